//! `keyanchor certificate`: what can be done with a certificate, one file per verb.

mod check;
mod export;
mod import;
mod show;

use super::identity_args::IdentityArgs;

/// Flags of an identity that have no effect where only its certificate is looked at.
const OF_KEYS: [&str; 8] = [
    "reuse_pin",
    "context_pin_source",
    "tcti",
    "tpm",
    "tpm_srk_name",
    "tpm_password_source",
    "tpm_parent_password_source",
    "no_tpm_key_password",
];

const EXAMPLES: &str = "\
Examples:
  What Roles Anywhere has against a certificate, if anything:
    keyanchor certificate check --certificate web-01.pem --trust-anchor root.pem
  The flags of a verb:
    keyanchor certificate show --help";

/// Show, check, import or export a certificate
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand, Debug)]
enum Verb {
    Show(Box<show::Args>),
    Check(Box<check::Args>),
    Import(Box<import::Args>),
    Export(Box<export::Args>),
}

/// No verb here signs.
pub fn run(args: &Args) -> u8 {
    match &args.verb {
        Verb::Show(args) => show::run(args),
        Verb::Check(args) => check::run(args),
        Verb::Import(args) => import::run(args),
        Verb::Export(args) => export::run(args),
    }
}
