//! PINs and passwords: what the device says of wrong ones, and whether each has a source. None is read and none is tried.

use std::path::PathBuf;

use super::check::Check;
use super::device;
use super::fact::SecretFact;
use super::finding::{Finding, Standing};
use crate::files::Access;
use crate::key::{Approach, Landmark, SecretKind, Secrets, SourceState, Tries, WantedSecret};

/// The tries of every device on the way.
pub fn tries(approach: &Approach, use_final_try: bool) -> Vec<Finding> {
    let library = device::library(&approach.steps);
    let tokens = device::tokens(&approach.steps).into_iter().filter(|token| token.login_required);
    let tokens = tokens.map(|token| tries_of(token.name(), token.pin.into(), use_final_try, library.clone()));
    let tpms = approach.steps.iter().filter_map(|step| match &step.outcome {
        Ok(Landmark::Tpm { place, tries, .. }) => Some(tries_of(place.clone(), *tries, use_final_try, None)),
        _ => None,
    });
    tokens.chain(tpms).collect()
}

/// A token decides by itself; whether a TPM's lockout concerns the key, the key's attributes say.
fn tries_of(device: String, tries: Tries, final_allowed: bool, library: Option<PathBuf>) -> Finding {
    let standing = match tries {
        Tries::Untroubled | Tries::Left(_) => Standing::Good,
        Tries::Troubled | Tries::Unset | Tries::ToBeChanged => Standing::Note,
        Tries::Final if final_allowed => Standing::Note,
        Tries::Final | Tries::Locked if library.is_some() => Standing::Bad,
        Tries::Final | Tries::Locked => Standing::Note,
    };
    Finding::new(Check::SecretTries, standing, SecretFact::Tries { device, tries, library, final_allowed })
}

/// The source of every secret that a signature will want.
pub fn sources(wanted: &[WantedSecret], secrets: &Secrets) -> Vec<Finding> {
    wanted
        .iter()
        .map(|wanted| source(wanted, secrets.source(wanted.kind, wanted.from_reference.as_ref()).look()))
        .collect()
}

/// The source of the PIN that a key wants for each signature.
pub fn context_pin(secrets: &Secrets) -> Finding {
    let wanted = WantedSecret { kind: SecretKind::ContextPin, certain: true, from_reference: None };
    source(&wanted, secrets.source(wanted.kind, None).look())
}

fn source(wanted: &WantedSecret, state: SourceState) -> Finding {
    let missing = if wanted.certain { Standing::Bad } else { Standing::Note };
    let standing = match &state {
        SourceState::Given => Standing::Note,
        SourceState::File(_, Ok(access)) => file(access),
        SourceState::File(_, Err(_)) | SourceState::NoCredentials(_) => Standing::Bad,
        SourceState::Descriptor(_, there) | SourceState::Variable(_, there) if !there => Standing::Bad,
        SourceState::Prompt(false) => missing,
        SourceState::Descriptor(..) | SourceState::Variable(..) | SourceState::Prompt(_) => Standing::Good,
    };
    let check = match wanted.kind {
        SecretKind::UserPin => Check::SecretUserPin,
        SecretKind::ContextPin => Check::SecretContextPin,
        SecretKind::TpmKeyPassword => Check::SecretTpmKeyPassword,
        SecretKind::TpmParentPassword => Check::SecretTpmParentPassword,
    };
    Finding::new(check, standing, SecretFact::Source { kind: wanted.kind, state, certain: wanted.certain })
}

/// A group may read it: that is how services share one. Credentials come all the same where everybody may.
fn file(access: &Access) -> Standing {
    match (access.readable, access.read_by_all) {
        (true, false) => Standing::Good,
        (true, true) => Standing::Note,
        (false, _) => Standing::Bad,
    }
}
