//! `keyanchor generate`: makes a key that never leaves its device.

use super::identity_args::IdentityArgs;
use super::identity_settings::{IdentitySettings, with_devices};
use super::log::LogArgs;
use super::output::print;
use super::values::{parse, set, without};
use super::{Failure, FailureKind};
use crate::key::tpm::Handle;
use crate::key::{Devices, KeyAlgorithm, KeyReference, NewKey, NewTpmKey};

const EXAMPLES: &str = "\
Examples:
  On a token, under a label of your choice:
    keyanchor generate --private-key 'pkcs11:token=prod;object=web-01' --algorithm P-384
  In a TPM, and in a file that only this TPM can use:
    keyanchor generate --private-key handle:0x81000101
    keyanchor generate --private-key /etc/keyanchor/key.pem";

/// Flags of an identity that say nothing of a key that is not there yet
const INEFFECTIVE: [&str; 4] = ["certificate", "intermediates", "context_pin_source", "reuse_pin"];

/// Make a key that never leaves its token or TPM, and print the reference that selects it
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES, mut_args(|flag| without(&INEFFECTIVE, flag)))]
pub struct Args {
    /// P-256, P-384, P-521, RSA-2048, RSA-3072 or RSA-4096
    #[arg(long, value_name = "ALGORITHM", default_value = "P-256", help_heading = "New key")]
    algorithm: String,
    /// Storage key of the TPM to put the key under [default: the owner hierarchy's P-256 primary key]
    #[arg(long, value_name = "HANDLE", help_heading = "New key")]
    tpm_parent: Option<String>,
    /// What a TPM key file says the key is for; some programs do not read files that say so
    #[arg(long, value_name = "TEXT", help_heading = "New key")]
    description: Option<String>,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// One key pair; no signature.
pub fn run(args: &Args) -> u8 {
    args.log.start();
    with_devices(&args.identity, |settings, devices| generate(args, settings, devices))
}

fn generate(args: &Args, settings: &IdentitySettings<'_>, devices: &mut Devices) -> Result<(), Failure> {
    let algorithm: KeyAlgorithm = parse("--algorithm", Some(&args.algorithm))?.unwrap_or(KeyAlgorithm::DEFAULT);
    let reference = settings.key_reference()?.key.ok_or_else(|| unnamed("found none"))?;
    let tpm = NewTpmKey {
        parent: parse::<Handle>("--tpm-parent", args.tpm_parent.as_deref())?,
        with_password: settings.gives_tpm_password()?,
        description: set(args.description.as_deref()).map(str::to_owned),
    };
    refuse_unnamed(&reference)?;
    refuse_for_token(&reference, &tpm)?;
    let made = devices.generate(&reference, &NewKey { algorithm, tpm })?;
    log::info!("made a {} key", made.public_key.algorithm());
    print(format!("{}\n", made.reference))
}

fn unnamed(found: &str) -> Failure {
    Failure::new(FailureKind::Usage, format!("wanted the name of the new key, {found}"))
        .with_hint("name it: --private-key 'pkcs11:token=NAME;object=LABEL', handle:0x81000101 or a file")
}

/// A key that only its random CKA_ID tells from others is hard to find again.
fn refuse_unnamed(reference: &KeyReference) -> Result<(), Failure> {
    match reference {
        KeyReference::Pkcs11(uri) if !uri.names_object() => {
            Err(unnamed(&format!("found {reference}, which names neither a label (object=) nor a CKA_ID (id=)")))
        }
        _ => Ok(()),
    }
}

/// What only a TPM does must not be passed over in silence.
fn refuse_for_token(reference: &KeyReference, tpm: &NewTpmKey) -> Result<(), Failure> {
    let wanted_elsewhere = match reference {
        KeyReference::Pkcs11(_) if tpm.parent.is_some() => Some("--tpm-parent"),
        KeyReference::Pkcs11(_) | KeyReference::Handle(_) if tpm.description.is_some() => Some("--description"),
        _ => None,
    };
    match wanted_elsewhere {
        Some(flag) => Err(Failure::new(FailureKind::Usage, format!("{flag} has no meaning for the key {reference}"))),
        None => Ok(()),
    }
}
