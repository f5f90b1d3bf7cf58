//! `keyanchor credential-process`: one credential, as the JSON that AWS SDKs read from a `credential_process`, or for a shell.

use clap::ArgAction::Set;
use clap::{Args as _, FromArgMatches as _};

use super::cached;
use super::identity_args::IdentityArgs;
use super::identity_settings::IdentitySettings;
use super::log::LogArgs;
use super::session_args::SessionArgs;
use super::usage;
use super::values::{SWITCH, set, switch, with_switches};
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

/// A flag that means something to one call only, or nothing at all.
pub struct LeftOut {
    /// As it is written.
    pub flag: &'static str,
    /// Why no configuration has it.
    pub reason: &'static str,
}

/// Print temporary credentials for the AWS SDKs' credential_process
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Reuse credentials that an earlier call kept, and keep new ones, for this account alone
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, help_heading = "Credentials")]
    pub(super) cache: bool,
    /// How they are printed: json (for credential_process) or env (lines that a shell evaluates)
    #[arg(long, value_name = "FORMAT", default_value = "json", help_heading = "Credentials")]
    format: String,
    #[command(flatten)]
    pub(super) identity: IdentityArgs,
    #[command(flatten)]
    pub(super) session: SessionArgs,
    #[command(flatten)]
    log: LogArgs,
}

impl Args {
    /// Reads flags as the command line does.
    pub fn parse(flags: &[String]) -> Result<Self, Failure> {
        let command =
            with_switches(Self::augment_args(clap::Command::new("credential-process").args_override_self(true)));
        let words = std::iter::once("credential-process").chain(flags.iter().map(String::as_str));
        let matches = command.disable_help_flag(true).try_get_matches_from(words);
        matches.and_then(|matches| Self::from_arg_matches(&matches)).map_err(|error| {
            usage::failure(&error)
                .unwrap_or_else(|| Failure::new(FailureKind::Usage, "wanted flags, found a call for help"))
        })
    }

    /// Those of the given flags that no configuration has.
    pub fn left_out(&self) -> Vec<LeftOut> {
        let given = [
            ("--debug", "say it on the command line where you look for a fault", self.log.debug),
            ("--verbose", "say it on the command line where you look for a fault", self.log.verbose),
            ("--with-proxy", "the proxy variables are always honoured", self.session.with_proxy),
            ("--format", "SDKs read JSON", !matches!(Format::parse(&self.format), Ok(Format::Json))),
        ];
        given.into_iter().filter(|(_, _, given)| *given).map(|(flag, reason, _)| LeftOut { flag, reason }).collect()
    }
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
