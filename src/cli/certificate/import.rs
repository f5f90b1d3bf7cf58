//! `keyanchor certificate import`: puts a certificate onto the token where its key is.

use std::path::PathBuf;

use clap::ArgAction::Set;
use jiff::Timestamp;

use super::super::identity_settings::{IdentitySettings, with_devices};
use super::super::log::LogArgs;
use super::super::output::print;
use super::super::values::{SWITCH, switch, without};
use super::super::{Failure, FailureKind};
use super::IdentityArgs;
use crate::key::pkcs11::Uri;
use crate::key::{CertificateReference, Devices, KeyReference};
use crate::provision::import_certificate;
use crate::x509::{read_certificates, requirements};

const EXAMPLES: &str = "\
Examples:
  Beside its key, under the key's label:
    keyanchor certificate import web-01.pem --pkcs11 'pkcs11:token=prod;object=web-01'
  In the place of the one before:
    keyanchor certificate import renewed.pem --pkcs11 'pkcs11:token=prod;object=web-01' --force";

/// Flags of an identity that have no effect on a token's certificates
const INEFFECTIVE: [&str; 8] = [
    "intermediates",
    "context_pin_source",
    "reuse_pin",
    "tpm",
    "tcti",
    "tpm_srk_name",
    "tpm_password_source",
    "tpm_parent_password_source",
];

/// Store a certificate on the token of its key, and print the reference that selects it
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES, mut_args(|flag| without(&INEFFECTIVE, flag)))]
pub struct Args {
    /// PEM file; its first certificate is stored
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Remove the key's other certificate once the new one is written
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, help_heading = "Token")]
    force: bool,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// One login, no signature.
pub fn run(args: &Args) -> u8 {
    args.log.start();
    with_devices(&args.identity, |settings, devices| import(args, settings, devices))
}

fn import(args: &Args, settings: &IdentitySettings<'_>, devices: &mut Devices) -> Result<(), Failure> {
    let (destination, key) = destination(settings)?;
    let file = read_certificates(&args.file)?;
    if !file.others.is_empty() {
        let others = file.others.len();
        log::warn!("{}: stored is the first certificate, not the {others} behind it", args.file.display());
    }
    for violation in requirements::violations(&file.leaf, Timestamp::now()) {
        log::warn!("AWS refuses such a certificate: {violation}");
    }
    let stored = import_certificate(devices, &destination, key.as_ref(), &file.leaf, args.force)?;
    print(format!("{}\n", stored.reference))
}

/// Where the certificate goes, and its key where another URI names that.
fn destination(settings: &IdentitySettings<'_>) -> Result<(Uri, Option<Uri>), Failure> {
    let reference = settings.reference()?;
    let elsewhere = |what: &str, found: String| {
        Failure::new(FailureKind::Usage, format!("wanted {what} on a token, found {found}"))
            .with_hint("name the key: --pkcs11 'pkcs11:token=NAME;object=LABEL'")
    };
    match (reference.key, reference.certificate) {
        (None, Some(CertificateReference::Pkcs11(uri))) | (Some(KeyReference::Pkcs11(uri)), None) => Ok((uri, None)),
        (Some(KeyReference::Pkcs11(key)), Some(CertificateReference::Pkcs11(uri))) => Ok((uri, Some(key))),
        (Some(key @ (KeyReference::Handle(_) | KeyReference::File(_))), _) => {
            Err(elsewhere("the certificate's key", key.to_string()))
        }
        (_, Some(CertificateReference::File(path))) => {
            Err(elsewhere("a place for the certificate", path.display().to_string()))
        }
        (None, None) => Err(elsewhere("a place for the certificate", "none".to_owned())),
    }
}
