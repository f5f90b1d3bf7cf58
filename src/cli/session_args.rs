//! The flags of commands that ask Roles Anywhere for credentials, and what they mean together.

use std::path::PathBuf;

use clap::ArgAction::Set;

use super::Failure;
use super::values::{SWITCH, seconds, set, switch, whole};
use crate::config::IdentityConfig;
use crate::rolesanywhere::{ClientOptions, CreateSession, Environment};

/// What the peer asks for where no flag says otherwise.
const SESSION_DURATION: u32 = 3600;

/// Flags of a CreateSession request
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Session")]
pub struct SessionArgs {
    /// Role to assume
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,
    /// Roles Anywhere profile
    #[arg(long, value_name = "ARN")]
    profile_arn: Option<String>,
    /// Roles Anywhere trust anchor
    #[arg(long, value_name = "ARN")]
    trust_anchor_arn: Option<String>,
    /// Life of the credentials, 900 to 43200 seconds [default: 3600]
    #[arg(long, value_name = "SECONDS")]
    session_duration: Option<String>,
    /// Name of the session; the profile must accept one
    #[arg(long, value_name = "NAME")]
    role_session_name: Option<String>,
    /// Signing region and endpoint [default: the trust anchor's]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// Endpoint instead of the region's
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Use the region's FIPS endpoint
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH)]
    fips: bool,
    /// Use the region's dual-stack endpoint
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH)]
    dualstack: bool,
    /// Certificates that the endpoint's TLS certificate must chain to
    #[arg(long, value_name = "FILE")]
    ca_bundle: Option<String>,
    /// Do not verify the endpoint's TLS certificate
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH)]
    no_verify_ssl: bool,
    /// Accepted and without effect: the proxy variables of the environment are always honoured
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, hide = true)]
    with_proxy: bool,
    /// How long the network may take in all, prompts and touches not counted [default: 20]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<String>,
    /// Send the request although the certificate fails a requirement
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH)]
    no_preflight: bool,
}

impl SessionArgs {
    /// What is asked for, for this role or else the one that the flags name; `file` gives what they leave open. Checked before
    /// any device is touched.
    pub fn create_session(&self, file: &IdentityConfig, role: Option<&str>) -> Result<CreateSession, Failure> {
        let session = CreateSession::new(
            either(&self.trust_anchor_arn, &file.trust_anchor_arn),
            either(&self.profile_arn, &file.profile_arn),
            role.unwrap_or(either(&self.role_arn, &file.role_arn)),
        )?;
        let duration = whole("--session-duration", self.session_duration.as_deref())?.or(file.session_duration);
        let session = session.with_duration(duration.unwrap_or(SESSION_DURATION))?;
        match either(&self.role_session_name, &file.role_session_name) {
            "" => Ok(session),
            name => Ok(session.with_role_session_name(name)?),
        }
    }

    /// How the service is reached. Reads the environment.
    pub fn client_options(&self, file: &IdentityConfig) -> Result<ClientOptions, Failure> {
        let text = |text: &str| set(Some(text)).map(str::to_owned);
        let defaults = ClientOptions::default();
        Ok(ClientOptions {
            region: text(either(&self.region, &file.region)),
            endpoint: text(either(&self.endpoint, &file.endpoint)),
            fips: self.fips,
            dual_stack: self.dualstack,
            ca_bundle: set(self.ca_bundle.as_deref()).map(PathBuf::from),
            no_verify_ssl: self.no_verify_ssl,
            timeout: seconds("--timeout", self.timeout.as_deref())?.unwrap_or(defaults.timeout),
            environment: Environment::from_process()?,
        })
    }

    /// Whether a certificate that fails a requirement is sent all the same.
    pub fn no_preflight(&self) -> bool {
        self.no_preflight
    }
}

/// The flag's value, else the file's, else nothing.
fn either<'a>(flag: &'a Option<String>, file: &'a Option<String>) -> &'a str {
    set(flag.as_deref()).or(file.as_deref()).unwrap_or_default()
}
