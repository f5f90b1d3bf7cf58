//! `keyanchor ca`: a certificate authority in a directory. One file per verb.

pub(super) mod authority_args;
mod crl;
pub(super) mod held;
mod init;
mod issue;
mod list;
mod revoke;

pub(super) use init::days;
use jiff::Timestamp;

const LONG_ABOUT: &str = "\
Issue client certificates with an authority of your own

The authority lives in a directory. Its keys are on a token, in a TPM, or, for trying only, in files of the directory. What it has
issued is in an index there, which only ever grows.";

const EXAMPLES: &str = "\
Examples:
  An authority whose key is on a token, and a certificate for a key on another one:
    keyanchor ca init --ca ca --subject CN=Example --private-key 'pkcs11:token=ca;object=root'
    keyanchor ca issue --ca ca --subject CN=web-01 --pkcs11 'pkcs11:token=t;object=web-01' \\
        --certificate web-01.pem
  What is not to be trusted any more:
    keyanchor ca revoke --ca ca --subject CN=web-01 --reason keyCompromise
    keyanchor ca crl --ca ca --out revoked.pem";

/// Issue client certificates with an authority of your own
#[derive(clap::Args, Debug)]
#[command(long_about = LONG_ABOUT, after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand, Debug)]
enum Verb {
    Init(Box<init::Args>),
    Issue(Box<issue::Args>),
    Revoke(Box<revoke::Args>),
    Crl(Box<crl::Args>),
    List(Box<list::Args>),
}

/// Runs one verb and gives its exit code.
pub fn run(args: &Args) -> u8 {
    match &args.verb {
        Verb::Init(args) => init::run(args),
        Verb::Issue(args) => issue::run(args),
        Verb::Revoke(args) => revoke::run(args),
        Verb::Crl(args) => crl::run(args),
        Verb::List(args) => list::run(args),
    }
}

/// The time in whole seconds, as certificates have it.
pub(super) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
