//! `keyanchor update`: keeps profiles of the AWS credentials file fresh.

use std::env;
use std::io::{self, Write as _};
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;

use clap::ArgAction::Set;
use jiff::Timestamp;

use super::identity_args::IdentityArgs;
use super::identity_settings::IdentitySettings;
use super::log::{LogArgs, LogFormat};
use super::session_args::SessionArgs;
use super::signals::Signals;
use super::values::{SWITCH, switch};
use super::vending::{Role, with_session};
use super::{Failure, FailureKind};
use crate::session::Session;
use crate::vend::credentials_file::{self, ProfileName};
use crate::vend::update::{Profile, Report, SystemClock, UpdateError, Updater, Wake};

/// The profile that SDKs use where none is named.
const DEFAULT_PROFILE: &str = "default";

const EXAMPLES: &str = "\
Examples:
  Keep the profile default fresh until it is ended:
    keyanchor update --identity web
  Two profiles, of which one has a role of its own, once:
    keyanchor update --once --identity web \\
        --profile web --profile batch=arn:aws:iam::111122223333:role/batch";

/// Keep profiles of the AWS credentials file fresh
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Profile to write, or profile and its role; repeatable [default: default]
    #[arg(long, value_name = "NAME[=ROLE-ARN]", help_heading = "Credentials file")]
    profile: Vec<String>,
    /// Write each profile once and end
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, help_heading = "Credentials file")]
    once: bool,
    /// Go on although the first refresh fails
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, help_heading = "Credentials file")]
    keep_trying: bool,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    session: SessionArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// One device signature per profile and refresh; one login in all.
pub fn run(args: &Args) -> u8 {
    args.log.start();
    with_session(&args.identity, &args.session, !args.once, |settings, session| update(args, settings, session))
}

fn update(args: &Args, settings: &IdentitySettings<'_>, session: &Session) -> Result<(), Failure> {
    let file = credentials_file::path(env::var_os("AWS_SHARED_CREDENTIALS_FILE"), env::var_os("HOME"));
    let file = file.ok_or_else(|| {
        usage("wanted a credentials file, found neither AWS_SHARED_CREDENTIALS_FILE nor HOME in the environment")
    })?;
    let profiles = profiles(args, settings, session)?;
    let lines = &mut Lines { goes_on: !args.once };
    if args.once {
        let clock = SystemClock::new(channel().1);
        return first(&mut Updater::new(file, profiles, clock), lines);
    }
    let signals = Signals::watch()?;
    let ending = signals.ending();
    let mut updater = Updater::new(file, profiles, SystemClock::new(signals.wakes));
    match first(&mut updater, lines) {
        Err(_) if ending.load(Ordering::Relaxed) => return Ok(()),
        Err(failure) if args.keep_trying => log::warn!("{failure}"),
        outcome => outcome?,
    }
    while updater.next(lines) != Wake::End {}
    Ok(())
}

/// The first refresh of every profile. Of several failures the first is the command's.
fn first(updater: &mut Updater<SystemClock>, lines: &mut Lines) -> Result<(), Failure> {
    let mut failures = updater.once(lines).into_iter();
    let Some((profile, error)) = failures.next() else { return Ok(()) };
    for (profile, error) in failures {
        log::error!("profile {profile}: {error}");
    }
    Err(failure(error).in_flag(&format!("profile {profile}")))
}

fn failure(error: UpdateError) -> Failure {
    match error {
        UpdateError::Vend(error) => error.into(),
        UpdateError::Unusable(error) => Failure::new(FailureKind::Refused, error.to_string()),
        UpdateError::File(error) => Failure::new(FailureKind::Other, error.to_string()),
    }
}

fn profiles(args: &Args, settings: &IdentitySettings<'_>, session: &Session) -> Result<Vec<Profile>, Failure> {
    let mut profiles: Vec<(ProfileName, Profile)> = Vec::new();
    let mut named: Vec<&str> = args.profile.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
    if named.is_empty() {
        named.push(DEFAULT_PROFILE);
    }
    for text in named {
        let (name, role) = split(text);
        let name: ProfileName = name.parse().map_err(|error| usage(format!("--profile: {error}")))?;
        if profiles.iter().any(|(known, _)| *known == name) {
            return Err(usage(format!("--profile: wanted each profile once, found {name} twice")));
        }
        let role = Role::new(session, settings, &args.session, role)?;
        profiles.push((name.clone(), Profile::new(name, Box::new(role))));
    }
    Ok(profiles.into_iter().map(|(_, profile)| profile).collect())
}

/// `NAME=ROLE-ARN`, or a name alone: it may hold a `=` itself, as may the name of a role.
fn split(text: &str) -> (&str, Option<&str>) {
    match text.find("=arn:") {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    }
}

/// A line on stderr for each refresh, as people are used to; of one that goes well and is the only one, nothing.
struct Lines {
    goes_on: bool,
}

impl Report for Lines {
    fn refreshed(&mut self, profile: &ProfileName, next: Timestamp) {
        if self.goes_on {
            let line = format!("profile {profile}: written, next refresh at {}", seconds(next));
            // A closed stderr is nobody's loss.
            let _ = io::stderr().write_all(LogFormat::Text.line("info", &line).as_bytes());
        } else {
            log::info!("profile {profile}: written");
        }
    }

    fn failed(&mut self, profile: &ProfileName, error: &UpdateError, failures: u32, next: Timestamp) {
        log::warn!(
            "profile {profile}: not refreshed ({failures} in a row), the file is as it was; next try at {}: {error}",
            seconds(next)
        );
    }
}

/// Fractions of seconds interest nobody.
fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Usage, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_its_role_behind_the_first_sign_that_an_arn_follows() {
        assert_eq!(split("default"), ("default", None));
        assert_eq!(split("web=arn:aws:iam::1:role/R"), ("web", Some("arn:aws:iam::1:role/R")));
        assert_eq!(split("a=b=arn:aws:iam::1:role/x=y"), ("a=b", Some("arn:aws:iam::1:role/x=y")));
        assert_eq!(split("a=b"), ("a=b", None));
    }
}
