//! `keyanchor doctor`: reads what flags and configuration file name, walks the road, and tells what was found.

mod layout;
mod told;
mod words;

use std::collections::HashMap;
use std::path::PathBuf;

use clap::ArgAction::Set;
use jiff::Timestamp;

use super::failure::conclude;
use super::identity_args::IdentityArgs;
use super::identity_settings::IdentitySettings;
use super::log::LogArgs;
use super::output::print;
use super::session_args::{RoleArns, SessionArgs};
use super::values::{SWITCH, set, switch, without};
use super::{Failure, FailureKind};
use crate::doctor::{Check, Finding, Named, Road, walk};
use crate::key::Devices;
use crate::process::end;
use crate::rolesanywhere::{ClientOptions, CreateSession};
use told::Told;
use words::Remedies;

const LONG_ABOUT: &str = "\
Check every step from the device to the service, and say what mends it

Takes the flags of the commands that ask for credentials and walks their whole road: configuration, environment, device, PIN,
certificate, key, chain, ARNs, network, clock. Nothing is changed, nobody is logged in, and no PIN is read or tried. To the
service goes one HEAD request without a signature, for the date in its answer.

    good   as it should be
    note   worth knowing; nothing fails for it
    bad    credentials will not come, or come from elsewhere; the line behind it mends it
    skip   not looked at, because an earlier check failed or because nobody asked for it

The exit code is that of the worst: 0 where nothing is bad.";

const EXAMPLES: &str = "\
Examples:
  An identity of the configuration file, without logging in:
    keyanchor doctor --identity web
  The same with one signature, and whether the chain leads to the trust anchor:
    keyanchor doctor --identity web --sign --trust-anchor root.pem
  A token alone, for a program:
    keyanchor doctor --pkcs11 'pkcs11:token=prod;object=web-01' --json";

/// Check every step from the device to the service, and say what mends it
#[derive(clap::Args)]
#[command(long_about = LONG_ABOUT, after_help = EXAMPLES, mut_args(|flag| without(&["no_preflight"], flag)))]
pub struct Args {
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    session: SessionArgs,
    /// Log in where the device wants that, and make one signature
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, help_heading = "Diagnosis")]
    sign: bool,
    /// PEM file of the trust anchor's certificates, to see whether the chain ends there
    #[arg(long, value_name = "FILE", help_heading = "Diagnosis")]
    trust_anchor: Option<String>,
    /// Print JSON
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, help_heading = "Diagnosis")]
    json: bool,
    #[command(flatten)]
    log: LogArgs,
}

/// No device signature without `--sign`, one with it.
pub fn run(args: &Args) -> u8 {
    args.log.start();
    let asked = match asked(args) {
        Ok(asked) => asked,
        Err(failure) => return conclude(Err(failure)),
    };
    let mut devices = Devices::new(asked.road.devices.clone());
    let code = match examine(args, asked, &mut devices) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    };
    end::despite_crashes(code);
    devices.close();
    code
}

fn examine(args: &Args, asked: Asked, devices: &mut Devices) -> Result<u8, Failure> {
    let Asked { road, mut misread, remedies } = asked;
    let findings = walk(road, devices, Timestamp::now());
    let findings = findings.map_err(|error| Failure::from(error).in_flag("--trust-anchor"))?;
    let tell = |finding: Finding| {
        let failure = misread.remove(&finding.check);
        Told::new(finding, failure, &remedies)
    };
    let told: Vec<_> = findings.into_iter().map(tell).collect();
    print(if args.json { layout::json(&told)? } else { layout::text(&told) })?;
    Ok(told::exit_code(&told))
}

/// Why flags or file could not be understood, by the check that says so.
type Misread = HashMap<Check, Failure>;

/// What flags and file name.
struct Asked {
    road: Road,
    misread: Misread,
    remedies: Remedies,
}

/// Reads flags and file; a value that no command would take ends it before anything is looked at.
fn asked(args: &Args) -> Result<Asked, Failure> {
    let mut misread = Misread::new();
    let settings = args.identity.settings();
    let mut devices = match &settings {
        Ok(settings) => settings.device_options(false)?,
        Err(_) => args.identity.flags_alone().device_options(false)?,
    };
    devices.pkcs11.without_login = !args.sign;
    let settings = understood(settings, Check::Identity, &mut misread);
    let reference = settings.as_ref().map(IdentitySettings::reference);
    let identity = match reference.and_then(|reference| understood(reference, Check::Identity, &mut misread)) {
        Some(reference) => Named::This(reference),
        None => Named::Misread,
    };
    if let (Named::Misread, Some(failure)) = (&identity, misread.remove(&Check::Identity)) {
        misread.insert(Check::Identity, with_names(args, failure));
    }
    let file = settings.as_ref().map(IdentitySettings::file).cloned().unwrap_or_default();
    let renew = settings.as_ref().and_then(|settings| settings.renewal().ok());
    let road = Road {
        configuration: args.identity.location(),
        identity,
        devices,
        trust_anchor: set(args.trust_anchor.as_deref()).map(PathBuf::from),
        session: session(args, settings.as_ref(), &mut misread),
        client: client(args, settings.as_ref(), &mut misread),
        sign: args.sign,
        renew_from: args.session.warn_expiry(&file)?,
    };
    Ok(Asked { road, misread, remedies: Remedies { renew } })
}

/// Where the configuration file has identities and nothing was named, one of them was meant.
fn with_names(args: &Args, failure: Failure) -> Failure {
    let config = args.identity.configuration().map(|(config, _)| config).unwrap_or_default();
    let names: Vec<_> = config.identities.into_keys().collect();
    match names.is_empty() || args.identity.names_something() {
        true => failure,
        false => failure.with_hint(format!("name one of these: --identity {}", names.join(", --identity "))),
    }
}

fn session(args: &Args, settings: Option<&IdentitySettings<'_>>, misread: &mut Misread) -> Named<CreateSession> {
    let file = settings.map(IdentitySettings::file).cloned().unwrap_or_default();
    if !args.session.names_arn(&file) {
        return match settings {
            Some(_) => Named::Nothing,
            None => Named::Misread,
        };
    }
    match understood(args.session.create_session(&file, RoleArns::default()), Check::SessionArns, misread) {
        Some(session) => Named::This(session),
        None => Named::Misread,
    }
}

fn client(args: &Args, settings: Option<&IdentitySettings<'_>>, misread: &mut Misread) -> Named<ClientOptions> {
    let file = settings.map(IdentitySettings::file).cloned().unwrap_or_default();
    match understood(args.session.client_options(&file), Check::NetworkEndpoint, misread) {
        Some(options) => Named::This(options),
        None => Named::Misread,
    }
}

fn understood<T>(outcome: Result<T, Failure>, check: Check, misread: &mut Misread) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(failure) => {
            misread.insert(check, failure);
            None
        }
    }
}

/// A failure of a kind that has no words of its own.
fn other(message: String) -> Failure {
    Failure::new(FailureKind::Other, message)
}
