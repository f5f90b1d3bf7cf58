//! `keyanchor configure`: an identity in the configuration file, and the line in `~/.aws/config` that uses it.

use std::env;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::ArgAction::Set;

use super::credential_process::{self, LeftOut};
use super::identity_args::IdentityArgs;
use super::identity_draft::{Draft, Finished};
use super::identity_settings::IdentitySettings;
use super::session_args::{RoleArns, SessionArgs};
use super::values::{SWITCH, set, switch};
use super::words;
use super::{Failure, FailureKind};
use crate::config::{self, Config, IdentityConfig, Location};
use crate::files::profiles::{self, ProfileName};
use crate::files::rewrite::Held;
use crate::files::{SharedFileError, read_octets, shell_word};
use crate::provision::aws_config::{self, ProfileEntry, Replace};
use crate::provision::identity_entry::{self, Existing, IdentityEntry};
use crate::provision::process_line;
use crate::rolesanywhere::Client;

/// Largest file of the AWS SDKs that is read.
const LARGEST: usize = 16 << 20;

/// Longest line that is read from stdin.
const LONGEST_LINE: u64 = 64 << 10;

const EXAMPLES: &str = "\
Examples:
  A profile whose key is on a token, unattended:
    keyanchor configure --identity web --pkcs11 'pkcs11:token=prod;object=web-01' \\
        --pin-source file:/etc/keyanchor/pin --trust-anchor-arn \"$ANCHOR\" \\
        --profile-arn \"$PROFILE\" --role-arn \"$ROLE\"
    aws sts get-caller-identity --profile web
  Take over a profile that aws_signing_helper serves:
    keyanchor configure --from web";

/// Write an identity into the configuration file, and the line that uses it into ~/.aws/config
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
#[command(mut_arg("identity", |flag| flag.help("Name of the identity that is written [default: that of --from]")))]
pub struct Args {
    /// Profile of ~/.aws/config that gets the line [default: that of --from, else the identity's name]
    #[arg(long, value_name = "PROFILE", help_heading = "Profile")]
    aws_profile: Option<String>,
    /// Write the identity alone
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, help_heading = "Profile")]
    no_aws_profile: bool,
    /// Take over the credential_process of this profile, or a line from stdin (-)
    #[arg(long, value_name = "PROFILE|-", help_heading = "Profile")]
    from: Option<String>,
    /// Let the line reuse credentials that an earlier call kept
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, help_heading = "Profile")]
    cache: bool,
    /// Replace another identity of that name, and other credentials of that profile
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, help_heading = "Profile")]
    force: bool,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    session: SessionArgs,
}

/// Opens no device and asks nobody.
pub fn run(args: &Args) -> Result<(), Failure> {
    let aws_config = profiles::path(env::var_os("AWS_CONFIG_FILE"), env::var_os("HOME"), ".aws/config");
    let from = args.from(aws_config.as_deref())?;
    let mut draft = Draft::of(&args.identity, &args.session)?;
    draft.switch("--cache", args.cache);
    let mut left_out = Vec::new();
    if let Some(line) = &from.line {
        let (base, ineffective) = taken_over(line)?;
        (draft, left_out) = (draft.over(base), ineffective);
    }
    let name = args.name(&from)?;
    let profile = args.profile(&from, &name)?;
    let location = location(args.identity.config.as_deref())?;
    // Flags that name no key speak of the identity that is there.
    let completes =
        draft.names_nothing() && location.path.exists() && Config::load(&location)?.identities.contains_key(&name);
    let missing = draft.missing();
    if !missing.is_empty() && !completes {
        return Err(usage(format!("wanted {}, found none", missing.join("; "))).with_hint(
            "see the ARNs: aws rolesanywhere list-trust-anchors, aws rolesanywhere list-profiles, aws iam list-roles",
        ));
    }
    let Finished { fields, flags } = draft.without_secrets()?;
    let existing = match (completes, args.force) {
        (true, false) => Existing::Completed,
        (true, true) => Existing::Changed,
        (false, false) => Existing::Kept,
        (false, true) => Existing::Replaced,
    };
    let job = Job { entry: IdentityEntry { name, fields }, existing, flags, location, force: args.force, from };
    match profile {
        None => job.write_identity()?,
        Some(profile) => {
            let file =
                aws_config.ok_or_else(|| usage("wanted ~/.aws/config, found neither AWS_CONFIG_FILE nor HOME"))?;
            job.write_both(&profile, &file)?;
        }
    }
    left_out.iter().for_each(|LeftOut { flag, reason }| say(&format!("left out: {flag}, {reason}")));
    Ok(())
}

/// What `--from` names.
struct From {
    /// Where it stands, if not on stdin.
    profile: Option<ProfileName>,
    line: Option<String>,
}

impl Args {
    fn from(&self, aws_config: Option<&Path>) -> Result<From, Failure> {
        match set(self.from.as_deref()) {
            None => Ok(From { profile: None, line: None }),
            Some("-") => {
                let mut line = String::new();
                io::stdin()
                    .take(LONGEST_LINE)
                    .read_to_string(&mut line)
                    .map_err(|error| Failure::new(FailureKind::Other, format!("--from: cannot read stdin: {error}")))?;
                Ok(From { profile: None, line: Some(line) })
            }
            Some(name) => {
                let profile: ProfileName = name.parse().map_err(|error| usage(format!("--from: {error}")))?;
                let path = aws_config
                    .ok_or_else(|| usage("--from: wanted ~/.aws/config, found neither AWS_CONFIG_FILE nor HOME"))?;
                let content = read_octets(path, LARGEST).map_err(|error| {
                    Failure::new(FailureKind::Other, format!("--from: cannot read {}: {error}", path.display()))
                })?;
                let line = aws_config::credential_process(&content, &profile)
                    .map_err(|error| words::profile(&error, &profile, path))?
                    .ok_or_else(|| {
                        usage(format!(
                            "--from: wanted a credential_process of profile {profile}, found none in {}",
                            path.display()
                        ))
                    })?;
                Ok(From { profile: Some(profile), line: Some(line) })
            }
        }
    }

    fn name(&self, from: &From) -> Result<String, Failure> {
        let name = set(self.identity.identity.as_deref()).or(from.profile.as_ref().map(ProfileName::as_str));
        let name = name.ok_or_else(|| {
            usage("wanted --identity NAME, found none").with_hint("give the identity a name: --identity web")
        })?;
        match config::is_name(name) {
            true => Ok(name.to_owned()),
            false => {
                Err(usage(format!("--identity: wanted a name of letters, digits, '-', '_' and '.', found {name:?}")))
            }
        }
    }

    /// None where no profile is to be written.
    fn profile(&self, from: &From, identity: &str) -> Result<Option<ProfileName>, Failure> {
        let named = set(self.aws_profile.as_deref());
        match (self.no_aws_profile, named, &from.profile) {
            (true, Some(_), _) => Err(usage("wanted --aws-profile or --no-aws-profile, found both")),
            (true, None, _) => Ok(None),
            (false, None, Some(profile)) => Ok(Some(profile.clone())),
            (false, named, _) => {
                named.unwrap_or(identity).parse().map(Some).map_err(|error| usage(format!("--aws-profile: {error}")))
            }
        }
    }
}

/// What the line says, and what of it has no place in an identity.
fn taken_over(line: &str) -> Result<(Draft, Vec<LeftOut>), Failure> {
    let line = process_line::read(line).map_err(|error| words::process_line(error).in_flag("--from"))?;
    let old = credential_process::Args::parse(&line.flags).map_err(|failure| failure.in_flag("--from"))?;
    if old.identity.identity.is_some() || old.identity.config.is_some() {
        return Err(usage(
            "--from: wanted a line of its own flags, found one that takes an identity of a configuration file",
        ));
    }
    let mut draft = Draft::of(&old.identity, &old.session).map_err(|failure| failure.in_flag("--from"))?;
    draft.switch("--cache", old.cache);
    Ok((draft, old.left_out()))
}

/// All that is to be written, but for the profile.
struct Job {
    entry: IdentityEntry,
    /// What becomes of one that is there.
    existing: Existing,
    /// For the command line.
    flags: Vec<String>,
    location: Location,
    force: bool,
    from: From,
}

impl Job {
    fn write_identity(&self) -> Result<(), Failure> {
        let file = lock(&self.location.path)?;
        let (edited, _) = self.edited(&file)?;
        file.prepare(&edited).and_then(|prepared| prepared.finish()).map_err(unwritable)?;
        self.say_identity();
        Ok(())
    }

    /// Both files are checked and prepared before either is changed.
    fn write_both(&self, profile: &ProfileName, aws_config: &Path) -> Result<(), Failure> {
        self.refuse_credentials(profile)?;
        let file = lock(&self.location.path)?;
        let (edited, identity) = self.edited(&file)?;
        let region = match &identity.region {
            Some(region) => Some(region.as_str()),
            None => identity.trust_anchor_arn.as_deref().and_then(|arn| arn.split(':').nth(3)),
        };
        let command = self.command()?;
        let entry = ProfileEntry { profile, command: &command, region };
        let replace = match self.force {
            true => Replace::AllWays,
            false if self.from.profile.as_ref() == Some(profile) => Replace::Process,
            false => Replace::Nothing,
        };
        let aws_file = lock(aws_config)?;
        let aws_edited = aws_config::put(aws_file.content(), entry, replace)
            .map_err(|error| words::profile(&error, profile, aws_config))?;
        let (identity, aws) =
            (file.prepare(&edited).map_err(unwritable)?, aws_file.prepare(&aws_edited).map_err(unwritable)?);
        // The identity first: one that nothing uses yet is in nobody's way.
        identity.finish().and_then(|()| aws.finish()).map_err(unwritable)?;
        self.say_identity();
        say(&format!(
            "wrote {} in {}: credential_process = {command}",
            aws_config::header(profile),
            aws_config.display()
        ));
        say(&format!("try it: aws sts get-caller-identity --profile {}", shell_word(profile.as_str())));
        Ok(())
    }

    /// The configuration file with the identity in it, and that, which then is one that commands can use.
    fn edited(&self, file: &Held) -> Result<(Vec<u8>, IdentityConfig), Failure> {
        let path = &self.location.path;
        let edited = identity_entry::put(file.content(), path, &self.entry, self.existing)
            .map_err(|error| words::entry(error, &self.entry.name, path))?;
        let config = Config::parse(&String::from_utf8_lossy(&edited), path)?;
        let identity = config.identity(&self.entry.name, &self.location)?;
        check(identity)?;
        Ok((edited, identity.clone()))
    }

    /// Keys in `~/.aws/credentials` go before every `credential_process`, so that the line would do nothing.
    fn refuse_credentials(&self, profile: &ProfileName) -> Result<(), Failure> {
        let path = crate::vend::credentials_file::path(env::var_os("AWS_SHARED_CREDENTIALS_FILE"), env::var_os("HOME"));
        let Some(path) = path else { return Ok(()) };
        let Ok(content) = read_octets(&path, LARGEST) else { return Ok(()) };
        match aws_config::before_process(&content, profile).first() {
            None => Ok(()),
            Some((setting, line)) => Err(usage(format!(
                "wanted no other credentials of profile {profile}, found {setting} in line {line} of {}, which goes \
                 before a credential_process",
                path.display()
            ))
            .with_hint("take it out there, or write another profile: --aws-profile NAME")),
        }
    }

    /// One line that botocore and shells split into the same words.
    fn command(&self) -> Result<String, Failure> {
        let mut words =
            vec![shell_word(&program()?), "credential-process".into(), "--identity".into(), self.entry.name.clone()];
        // SDKs may run where neither KEYANCHOR_CONFIG nor XDG_CONFIG_HOME is set.
        let found = config::locate(None, |name| env::var_os(name).filter(|_| name == "HOME"));
        if found.is_none_or(|found| found.path != self.location.path) {
            words.extend(["--config".to_owned(), shell_word(&self.location.path.to_string_lossy())]);
        }
        words.extend(self.flags.iter().cloned());
        Ok(words.join(" "))
    }

    fn say_identity(&self) {
        let keys: Vec<_> = self.entry.fields.iter().map(|(key, _)| *key).collect();
        say(&format!("wrote [identity.{}] in {}: {}", self.entry.name, self.location.path.display(), keys.join(", ")));
    }
}

/// Whether commands can use the identity as it is read back: everything is checked that they check before they open a device.
fn check(identity: &IdentityConfig) -> Result<(), Failure> {
    let (flags, session) = (IdentityArgs::default(), SessionArgs::default());
    let settings = IdentitySettings::new(&flags, identity.clone());
    settings.reference()?;
    settings.device_options(false)?;
    let request = session.create_session(identity, RoleArns::default())?;
    Client::new(&request, &session.client_options(identity)?)?;
    Ok(())
}

/// Where the configuration file is, absolute: its path goes into a line that is run from elsewhere.
fn location(flag: Option<&str>) -> Result<Location, Failure> {
    let location = config::locate(set(flag).map(Path::new), |name| env::var_os(name)).ok_or_else(|| {
        usage("wanted a configuration file, found no --config, KEYANCHOR_CONFIG, XDG_CONFIG_HOME or HOME")
    })?;
    let path = std::path::absolute(&location.path).unwrap_or(location.path);
    Ok(Location { path, ..location })
}

/// This program, by the absolute path that it was called by: what is a link stays one, so that the line outlives an upgrade.
fn program() -> Result<String, Failure> {
    let unknown =
        |found: String| Failure::new(FailureKind::Other, format!("wanted the path of this program, found {found}"));
    let running = env::current_exe().map_err(|error| unknown(error.to_string()))?;
    let called = env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let candidates: Vec<PathBuf> = match called.components().count() {
        1 => env::var_os("PATH").iter().flat_map(env::split_paths).map(|folder| folder.join(&called)).collect(),
        _ => vec![called],
    };
    let is_running = |path: &PathBuf| path.canonicalize().is_ok_and(|real| real == running);
    let path =
        candidates.into_iter().find(is_running).and_then(|path| std::path::absolute(path).ok()).unwrap_or(running);
    path.to_str().map(str::to_owned).ok_or_else(|| unknown("one that is not UTF-8".to_owned()))
}

fn lock(path: &Path) -> Result<Held, Failure> {
    Held::lock(path).map_err(unwritable)
}

fn unwritable(error: SharedFileError) -> Failure {
    Failure::new(FailureKind::Other, error.to_string())
}

/// What was done, for the person.
fn say(line: &str) {
    // A closed stderr is nobody's loss.
    let _ = writeln!(io::stderr(), "{line}");
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Usage, message)
}
