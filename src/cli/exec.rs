//! `keyanchor exec`: runs a command with credentials in its environment, or with an endpoint of its own that has them for as long
//! as it runs.

mod child;
mod endpoint;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;

use clap::ArgAction::Set;

use super::failure::conclude;
use super::identity_args::IdentityArgs;
use super::log::LogArgs;
use super::session_args::SessionArgs;
use super::values::{SWITCH, switch};
use super::vending::{self, Role};
use super::{Failure, FailureKind};
use crate::key::{SecretKind, SecretOwner};
use crate::process::end;
use crate::session::Session;
use crate::vend::{Vend, environment};
use endpoint::Endpoint;

/// Where SDKs look for credentials beside the environment's own: the command is to have one identity.
const OTHER_SOURCES: [&str; 5] = [
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    endpoint::URL,
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    endpoint::TOKEN_FILE,
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

const EXAMPLES: &str = "\
Examples:
  Credentials for one command:
    keyanchor exec --identity web -- aws sts get-caller-identity
  For one that may run longer than the credentials live:
    keyanchor exec --serve --identity web -- terraform apply";

/// Run a command with temporary credentials in its environment
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Give the command an endpoint of its own, which has fresh credentials for as long as it runs
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, help_heading = "Command")]
    serve: bool,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    log: LogArgs,
    /// The command and its arguments, after --
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// One device signature; with `--serve` one for each refresh. Ends as the command ends.
pub fn run(args: &Args) -> u8 {
    args.log.start();
    let outcome = vending::open(&args.identity, &args.session, args.serve).and_then(|(settings, session)| {
        let mut command = command(&args.command, &settings.secret_variables())?;
        let role = Role::new(&session, &settings, &args.session, None)?;
        match args.serve {
            true => beside_endpoint(&mut command, role, &session),
            false => in_our_place(&mut command, role, &session).map(|never| match never {}),
        }
    });
    match outcome {
        Ok(code) => code,
        Err(failure) => conclude(Err(failure)),
    }
}

/// The command takes the place of this process, so that nothing stands between it and whoever started it.
fn in_our_place(command: &mut Command, mut role: Role, session: &Session) -> Result<std::convert::Infallible, Failure> {
    let credentials = role.vend()?.credentials;
    if let Some(field) = credentials.empty_field() {
        return Err(Failure::new(FailureKind::Refused, format!("wanted whole credentials, found no {field}")));
    }
    command.envs(environment::variables(&credentials));
    // Nothing has been run where a module crashes when it is finalised: that is no success.
    end::despite_crashes(FailureKind::Key as u8);
    session.close();
    let error = command.exec();
    Err(not_run(command, &error))
}

/// The command runs beside this process, which serves it and ends as it ends.
fn beside_endpoint(command: &mut Command, role: Role, session: &Session) -> Result<u8, Failure> {
    let endpoint = Endpoint::start(role)?;
    command.envs(endpoint.variables());
    let status = child::run(command).map_err(|error| not_run(command, &error))?;
    drop(endpoint);
    let code = u8::try_from(status.code().unwrap_or_default()).unwrap_or(u8::MAX);
    end::despite_crashes(code);
    session.close();
    match status.signal() {
        Some(signal) => end::by_signal(signal),
        None => Ok(code),
    }
}

/// The command without the credentials and the secrets that are not to be its.
fn command(words: &[OsString], secrets: &[String]) -> Result<Command, Failure> {
    let (program, arguments) =
        words.split_first().ok_or_else(|| Failure::new(FailureKind::Usage, "wanted a command after --, found none"))?;
    let mut command = Command::new(program);
    command.args(arguments);
    let credentials = environment::NAMES.into_iter().chain(environment::IN_THE_WAY).chain(OTHER_SOURCES);
    let secrets = secret_variables().chain(secrets.iter().map(String::as_str));
    for name in credentials.chain(secrets) {
        command.env_remove(name);
    }
    Ok(command)
}

/// The secrets that this program takes from its environment are not the command's.
pub fn secret_variables<'a>() -> impl Iterator<Item = &'a str> {
    let of = |owner| SecretKind::ALL.map(|kind| kind.names(owner).variable);
    [SecretOwner::Identity, SecretOwner::Authority].into_iter().flat_map(of)
}

fn not_run(command: &Command, error: &io::Error) -> Failure {
    let program = command.get_program().to_string_lossy();
    match error.kind() {
        io::ErrorKind::NotFound => Failure::new(FailureKind::NotFound, format!("cannot find the command {program}")),
        _ => Failure::new(FailureKind::NotExecutable, format!("cannot run {program}: {error}")),
    }
}
