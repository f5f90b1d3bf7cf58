//! `keyanchor credential-process`: one credential, as the JSON that AWS SDKs read from a `credential_process`, or for a shell.

use clap::ArgAction::Set;

use super::cached;
use super::identity_args::IdentityArgs;
use super::identity_settings::IdentitySettings;
use super::log::LogArgs;
use super::session_args::SessionArgs;
use super::values::{SWITCH, set, switch};
use super::vending::{Role, with_session};
use super::{Failure, FailureKind, output};
use crate::session::Session;
use crate::vend::{Vend, environment, process};

const EXAMPLES: &str = "\
Examples:
  In ~/.aws/config, for an identity of the configuration file; one signature for many calls:
    credential_process = /usr/local/bin/keyanchor credential-process --cache --identity web
  With everything on the command line, and each step said on stderr:
    keyanchor credential-process --verbose --pkcs11 'pkcs11:token=prod;object=web-01' \\
        --trust-anchor-arn \"$ANCHOR\" --profile-arn \"$PROFILE\" --role-arn \"$ROLE\"
  In a shell:
    eval \"$(keyanchor credential-process --identity web --format env)\"";

/// Print temporary credentials for the AWS SDKs' credential_process
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Reuse credentials that an earlier call kept, and keep new ones, for this account alone
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, help_heading = "Credentials")]
    cache: bool,
    /// How they are printed: json (for credential_process) or env (lines that a shell evaluates)
    #[arg(long, value_name = "FORMAT", default_value = "json", help_heading = "Credentials")]
    format: String,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// One device signature and one login, or none where kept credentials are reused; the connection is opened while the device
/// signs.
pub fn run(args: &Args) -> u8 {
    args.log.start();
    with_session(&args.identity, &args.session, false, |settings, session| vend(args, settings, session))
}

fn vend(args: &Args, settings: &IdentitySettings<'_>, session: &Session) -> Result<(), Failure> {
    let format = Format::parse(&args.format)?;
    let mut role = Role::new(session, settings, &args.session, None)?;
    let credentials = match args.cache {
        true => cached::credentials(settings, &mut role)?,
        false => role.vend()?.credentials,
    };
    output::print_with(|stdout| match format {
        Format::Json => process::write(&credentials, stdout),
        Format::Shell => environment::write(&credentials, stdout),
    })
}

#[derive(Clone, Copy)]
enum Format {
    Json,
    Shell,
}

impl Format {
    fn parse(text: &str) -> Result<Self, Failure> {
        match set(Some(text)) {
            None | Some("json") => Ok(Self::Json),
            Some("env") => Ok(Self::Shell),
            Some(other) => {
                Err(Failure::new(FailureKind::Usage, format!("--format: wanted json or env, found '{other}'")))
            }
        }
    }
}
