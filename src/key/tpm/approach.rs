//! The way to a TPM: library, transport, and one command that shows whether somebody answers.

use super::super::approach::{Approach, Landmark, Stage, Tries, WantedSecret};
use super::super::device::DeviceOptions;
use super::super::error::KeyError;
use super::super::inventory::TpmKeyAttributes;
use super::super::secret::SecretKind;
use super::context::Tpm;
use super::key::wants_password;
use super::keyfile::TpmKeyFile;
use super::library;
use super::reach::Reach;
use super::worker::{self, Turn};

/// Appends the way to the TPM that a persistent key is in.
pub fn approach_handle(approach: &mut Approach, options: &DeviceOptions) {
    go(approach, options);
    want(approach, SecretKind::TpmKeyPassword, false, options);
}

/// What a key file tells before its TPM is asked.
pub struct KeyFileSummary {
    /// Attributes of its public area.
    pub attributes: TpmKeyAttributes,
    wants_password: bool,
}

/// Reads a `TSS2 PRIVATE KEY` PEM; `name` is what messages call it.
pub fn summary(name: &str, pem: &[u8]) -> Result<KeyFileSummary, KeyError> {
    let file = TpmKeyFile::from_pem(pem).map_err(|error| error.context(name))?;
    Ok(KeyFileSummary { attributes: file.public.attributes(), wants_password: wants_password(&file) })
}

/// Appends the way to the TPM that can load this key file.
pub fn approach_key_file(approach: &mut Approach, file: &KeyFileSummary, options: &DeviceOptions) {
    go(approach, options);
    if file.wants_password {
        want(approach, SecretKind::TpmKeyPassword, true, options);
    }
    want(approach, SecretKind::TpmParentPassword, false, options);
}

fn want(approach: &mut Approach, kind: SecretKind, certain: bool, options: &DeviceOptions) {
    let denied = kind == SecretKind::TpmKeyPassword && options.tpm.no_key_password;
    // A parent's password is rare: it is wanted where somebody gives one.
    let unlikely = kind == SecretKind::TpmParentPassword && !options.secrets.is_at_hand(kind);
    if !denied && !unlikely {
        approach.secrets.push(WantedSecret { kind, certain, from_reference: None });
    }
}

fn go(approach: &mut Approach, options: &DeviceOptions) {
    approach.unreached.extend([Stage::Library, Stage::Reach]);
    if approach.go(Stage::Library, library::load().map(|()| (Landmark::TpmLibrary, ()))).is_some() {
        approach.go(Stage::Reach, reach(options).map(|landmark| (landmark, ())));
    }
}

/// One TPM2_GetCapability.
fn reach(options: &DeviceOptions) -> Result<Landmark, KeyError> {
    let (reach, limit) = (Reach::resolve(&options.tpm), options.limit);
    let (place, named_by) = (reach.to_string(), reach.named_by());
    let tries = worker::run(options, &place, &Turn::default(), move |log| {
        Tpm::open(&reach, limit, log)?.ask_lockout().map_err(KeyError::from)
    })??;
    let tries = match tries.map(|lockout| lockout.tries_left) {
        None => Tries::Untroubled,
        Some(0) => Tries::Locked,
        Some(1) => Tries::Final,
        Some(left) => Tries::Left(left),
    };
    Ok(Landmark::Tpm { place, named_by, tries })
}
