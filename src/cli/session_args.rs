//! The flags of commands that ask Roles Anywhere for credentials, and what they mean together.

use std::path::PathBuf;

use clap::ArgAction::Set;

use super::values::{Choice, SWITCH, choice, parse_number, seconds, set, switch, whole};
use super::{Failure, FailureKind};
use crate::config::IdentityConfig;
use crate::rolesanywhere::{ClientOptions, CreateSession, Environment};

/// What the peer asks for where no flag says otherwise.
const SESSION_DURATION: u32 = 3600;

/// Two weeks, so that one of them may be a holiday.
const WARN_EXPIRY: u32 = 14;

/// Flags of a CreateSession request
#[derive(clap::Args, Debug, Default)]
#[command(next_help_heading = "Session")]
pub struct SessionArgs {
    /// Role to assume
    #[arg(long, value_name = "ARN")]
    pub(super) role_arn: Vec<String>,
    /// Roles Anywhere profile
    #[arg(long, value_name = "ARN")]
    pub(super) profile_arn: Vec<String>,
    /// Roles Anywhere trust anchor
    #[arg(long, value_name = "ARN")]
    pub(super) trust_anchor_arn: Option<String>,
    /// Life of the credentials, 900 to 43200 seconds [default: 3600]
    #[arg(long, value_name = "SECONDS")]
    pub(super) session_duration: Option<String>,
    /// Name of the session; the profile must accept one
    #[arg(long, value_name = "NAME")]
    pub(super) role_session_name: Option<String>,
    /// Signing region and endpoint [default: the trust anchor's]
    #[arg(long, value_name = "REGION")]
    pub(super) region: Option<String>,
    /// Endpoint instead of the region's
    #[arg(long, value_name = "URL")]
    pub(super) endpoint: Option<String>,
    /// Use the region's FIPS endpoint
    #[arg(long, value_parser = choice, action = Set, value_name = SWITCH, default_value = "")]
    pub(super) fips: Choice,
    /// Use the region's dual-stack endpoint
    #[arg(long, value_parser = choice, action = Set, value_name = SWITCH, default_value = "")]
    pub(super) dualstack: Choice,
    /// Certificates that the endpoint's TLS certificate must chain to
    #[arg(long, value_name = "FILE")]
    pub(super) ca_bundle: Option<String>,
    /// Do not verify the endpoint's TLS certificate
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH)]
    pub(super) no_verify_ssl: bool,
    /// Accepted and without effect: the proxy variables of the environment are always honoured
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, hide = true)]
    pub(super) with_proxy: bool,
    /// How long the network may take in all, prompts and touches not counted [default: 20]
    #[arg(long, value_name = "SECONDS")]
    pub(super) timeout: Option<String>,
    /// Send the request although the certificate fails a requirement
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH)]
    pub(super) no_preflight: bool,
    /// Warn of a certificate that ends within so many days; 0 never [default: 14]
    #[arg(long, value_name = "DAYS", help_heading = "Output")]
    pub(super) warn_expiry: Option<String>,
}

impl SessionArgs {
    /// What is asked for, for these or else the last ones that the flags name; `file` gives what they leave open. Checked before
    /// any device is touched.
    pub fn create_session(&self, file: &IdentityConfig, wanted: RoleArns<'_>) -> Result<CreateSession, Failure> {
        let role = wanted.role.or(last(&self.role_arn)).or(file.role_arn.as_deref());
        let profile = wanted.profile.or(last(&self.profile_arn)).or(file.profile_arn.as_deref());
        let session = CreateSession::new(
            either(&self.trust_anchor_arn, &file.trust_anchor_arn),
            profile.unwrap_or_default(),
            role.unwrap_or_default(),
        )?;
        let duration = whole("--session-duration", self.session_duration.as_deref())?.or(file.session_duration);
        let session = session.with_duration(duration.unwrap_or(SESSION_DURATION))?;
        match either(&self.role_session_name, &file.role_session_name) {
            "" => Ok(session),
            name => Ok(session.with_role_session_name(name)?),
        }
    }

    /// Every role that the flags name with its profile, in their order: the first with the first, or one profile for all. At
    /// least one, which is empty where no flag names any.
    pub fn roles(&self) -> Result<Vec<RoleArns<'_>>, Failure> {
        let (roles, profiles) = (named(&self.role_arn), named(&self.profile_arn));
        match (&roles[..], &profiles[..]) {
            ([], [] | [_]) => Ok(vec![RoleArns { role: None, profile: profiles.first().copied() }]),
            (_, [] | [_]) => {
                let profile = profiles.first().copied();
                Ok(roles.into_iter().map(|role| RoleArns { role: Some(role), profile }).collect())
            }
            _ if roles.len() == profiles.len() => {
                let pair = |(role, profile)| RoleArns { role: Some(role), profile: Some(profile) };
                Ok(roles.into_iter().zip(profiles).map(pair).collect())
            }
            _ => Err(Failure::new(
                FailureKind::Usage,
                format!(
                    "wanted a --profile-arn for each --role-arn or one for all, found {} for {}",
                    profiles.len(),
                    roles.len()
                ),
            )),
        }
    }

    /// Whether flags or file name any of the ARNs.
    pub fn names_arn(&self, file: &IdentityConfig) -> bool {
        let of_file = [&file.trust_anchor_arn, &file.profile_arn, &file.role_arn];
        self.names_role() || set(self.trust_anchor_arn.as_deref()).is_some() || of_file.into_iter().any(Option::is_some)
    }

    /// Whether the flags name a role or a profile.
    pub fn names_role(&self) -> bool {
        !named(&self.role_arn).is_empty() || !named(&self.profile_arn).is_empty()
    }

    /// How the service is reached. Reads the environment.
    pub fn client_options(&self, file: &IdentityConfig) -> Result<ClientOptions, Failure> {
        let text = |text: &str| set(Some(text)).map(str::to_owned);
        let defaults = ClientOptions::default();
        Ok(ClientOptions {
            region: text(either(&self.region, &file.region)),
            endpoint: text(either(&self.endpoint, &file.endpoint)),
            fips: self.fips.0,
            dual_stack: self.dualstack.0,
            ca_bundle: set(self.ca_bundle.as_deref()).map(PathBuf::from).or_else(|| file.ca_bundle.clone()),
            no_verify_ssl: self.no_verify_ssl,
            timeout: seconds("--timeout", self.timeout.as_deref())?.unwrap_or(defaults.timeout),
            environment: Environment::from_process()?,
        })
    }

    /// How many days before the end of a certificate a warning says so; 0 for none.
    pub fn warn_expiry(&self, file: &IdentityConfig) -> Result<u32, Failure> {
        let flag = parse_number("--warn-expiry", self.warn_expiry.as_deref(), IdentityConfig::WARN_EXPIRY)?;
        Ok(flag.or(file.warn_expiry).unwrap_or(WARN_EXPIRY))
    }

    /// Whether a certificate that fails a requirement is sent all the same.
    pub fn no_preflight(&self) -> bool {
        self.no_preflight
    }
}

/// A role and its profile, where they are not those of the flags or the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoleArns<'a> {
    /// The role.
    pub role: Option<&'a str>,
    /// Its Roles Anywhere profile.
    pub profile: Option<&'a str>,
}

/// The flag's values that say something.
fn named(values: &[String]) -> Vec<&str> {
    values.iter().filter_map(|value| set(Some(value))).collect()
}

/// Where a command takes one value, the last counts, as for every flag.
fn last(values: &[String]) -> Option<&str> {
    set(values.last().map(String::as_str))
}

/// The flag's value, else the file's, else nothing.
fn either<'a>(flag: &'a Option<String>, file: &'a Option<String>) -> &'a str {
    set(flag.as_deref()).or(file.as_deref()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::{Args, FromArgMatches};

    use super::*;

    type Pair = (Option<String>, Option<String>);

    fn roles(line: &str) -> Result<Vec<Pair>, Failure> {
        let command = crate::cli::values::with_switches(SessionArgs::augment_args(clap::Command::new("test")));
        let matches = command.get_matches_from(["test"].into_iter().chain(line.split_whitespace()));
        let args = SessionArgs::from_arg_matches(&matches).unwrap();
        let own = |arns: &RoleArns<'_>| (arns.role.map(str::to_owned), arns.profile.map(str::to_owned));
        args.roles().map(|roles| roles.iter().map(own).collect())
    }

    fn pair(role: &str, profile: &str) -> Pair {
        let named = |text: &str| set(Some(text)).map(str::to_owned);
        (named(role), named(profile))
    }

    #[test]
    fn each_role_has_its_profile_or_all_have_one() {
        assert_eq!(roles("").unwrap(), [pair("", "")]);
        assert_eq!(roles("--profile-arn=p").unwrap(), [pair("", "p")]);
        assert_eq!(roles("--role-arn=a --role-arn=b").unwrap(), [pair("a", ""), pair("b", "")]);
        assert_eq!(roles("--role-arn=a --role-arn=b --profile-arn=p").unwrap(), [pair("a", "p"), pair("b", "p")]);
        let paired = roles("--role-arn=a --profile-arn=p --role-arn=b --profile-arn=q").unwrap();
        assert_eq!(paired, [pair("a", "p"), pair("b", "q")]);
    }

    #[test]
    fn profiles_that_belong_to_no_role_are_a_usage_error() {
        for line in ["--profile-arn=p --profile-arn=q", "--role-arn=a --profile-arn=p --profile-arn=q"] {
            let failure = roles(line).unwrap_err();
            assert!(failure.to_string().starts_with("wanted a --profile-arn for each --role-arn"), "{failure}");
        }
    }
}
