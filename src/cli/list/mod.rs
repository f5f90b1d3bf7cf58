//! `keyanchor list`: what tokens and the TPM hold, and the reference that selects each.

mod document;
mod table;

use clap::ArgAction::Set;

use super::identity_args::IdentityArgs;
use super::identity_settings::{IdentitySettings, with_devices};
use super::log::LogArgs;
use super::output::{json, print};
use super::values::{SWITCH, switch, without};
use super::{Failure, FailureKind};
use crate::identity::Overview;
use crate::key::pkcs11::Uri;
use crate::key::{CertificateReference, Contents, Devices, KeyError, KeyReference};
use jiff::Timestamp;

const EXAMPLES: &str = "\
Examples:
  All tokens and the TPM, as far as they show themselves without a login:
    keyanchor list
  Private keys too, on one token:
    keyanchor list --pkcs11 'pkcs11:token=prod' --login
  The references of all keys:
    keyanchor list --json | jq -r '.devices[].keys[].reference'";

/// Flags of an identity that have no effect where nothing signs
const INEFFECTIVE: [&str; 7] = [
    "intermediates",
    "context_pin_source",
    "reuse_pin",
    "tpm_srk_name",
    "tpm_password_source",
    "tpm_parent_password_source",
    "no_tpm_key_password",
];

/// List the keys and certificates on tokens and in the TPM
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES, next_line_help = true, mut_args(|flag| without(&INEFFECTIVE, flag)))]
pub struct Args {
    /// Log in to the one token that is named, so that private objects show too
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, help_heading = "Listing")]
    login: bool,
    /// Print JSON
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, help_heading = "Output")]
    json: bool,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// What is listed, and whether it must be there.
struct Scope {
    tokens: Option<Uri>,
    tpm: bool,
    /// A flag names it: then it is no note but a failure where it is missing.
    named: bool,
}

/// No signature, and no login without `--login`.
pub fn run(args: &Args) -> u8 {
    args.log.start();
    with_devices(&args.identity, |settings, devices| list(args, settings, devices))
}

fn list(args: &Args, settings: &IdentitySettings<'_>, devices: &mut Devices) -> Result<(), Failure> {
    let scope = scope(args, settings)?;
    let mut found = Vec::new();
    if let Some(uri) = &scope.tokens {
        let tokens = devices.inventory(uri).and_then(|tokens| tokens.contents(args.login));
        found.extend(noted(tokens, scope.named || args.login)?);
    }
    if scope.tpm {
        found.extend(noted(devices.tpm_inventory().contents(false), scope.named)?);
    }
    let overviews: Vec<_> = found.into_iter().map(Overview::of).collect();
    match args.json {
        true => json(&document::Document::of(&overviews)),
        false => print(table::text(&overviews, Timestamp::now())),
    }
}

/// What nobody asked for by a flag may be missing.
fn noted(contents: Result<Vec<Contents>, KeyError>, must_be_there: bool) -> Result<Vec<Contents>, Failure> {
    match contents {
        Err(error) if !must_be_there => {
            log::warn!("not listed: {error}");
            Ok(Vec::new())
        }
        other => Ok(other?),
    }
}

/// By flag or configuration file: the token or the TPM of what is named, with a module all its tokens, with a TCTI that TPM.
/// Else the tokens of the default module and the TPM.
fn scope(args: &Args, settings: &IdentitySettings<'_>) -> Result<Scope, Failure> {
    if settings.names_something() {
        return of_reference(settings);
    }
    let (module, tcti) = settings.names_ways();
    let all = || "pkcs11:".parse::<Uri>();
    Ok(Scope {
        tokens: (module || !tcti || args.login).then(all).transpose()?,
        tpm: tcti || !module,
        named: module || tcti,
    })
}

fn of_reference(settings: &IdentitySettings<'_>) -> Result<Scope, Failure> {
    let reference = settings.reference()?;
    let (tokens, tpm) = match (reference.key, reference.certificate) {
        (Some(KeyReference::Pkcs11(uri)), _) | (None, Some(CertificateReference::Pkcs11(uri))) => {
            (Some(uri.without_type()), false)
        }
        (Some(KeyReference::Handle(_)), _) => (None, true),
        (Some(KeyReference::File(_)), _) | (None, _) => {
            return Err(Failure::new(FailureKind::Usage, "wanted a token or a TPM to list, found a file")
                .with_hint("name a token, or nothing for all of them: keyanchor list --pkcs11 'pkcs11:token=NAME'"));
        }
    };
    Ok(Scope { tokens, tpm, named: true })
}
