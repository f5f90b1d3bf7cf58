//! The configuration file: who this machine is (`[identity.NAME]`) and who gets credentials from it (`[consumer.NAME]`). Strict,
//! so that a typing mistake is an error with its line and not a setting that does nothing. Holds sources of secrets, never a
//! secret. Knows no commands.
//!
//! ```toml
//! [identity.web]
//! key = "pkcs11:token=web;object=web-key"
//! certificate = "web.pem"
//! trust-anchor-arn = "arn:aws:rolesanywhere:eu-west-1:123456789012:trust-anchor/…"
//! profile-arn = "arn:aws:rolesanywhere:eu-west-1:123456789012:profile/…"
//! role-arn = "arn:aws:iam::123456789012:role/web"
//! pin-source = "credential:keyanchor.pin"
//!
//! [consumer.shop]
//! identity = "web"
//! token-file = "/run/keyanchor/shop/token"
//! ```

mod error;
mod locate;
mod section;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

pub use error::{ConfigError, ConfigErrorKind};
pub use locate::{Location, locate};
pub use section::{Document, Section, is_name};

use crate::key::{CertificateReference, KeyReference, SecretKind, SecretSource};

/// Longest file that is read: a wrong path such as /dev/zero must not fill the memory.
const LONGEST: u64 = 1024 * 1024;

/// What the file says.
#[derive(Debug, Default)]
pub struct Config {
    /// Identities by name.
    pub identities: BTreeMap<String, IdentityConfig>,
    /// Consumers by name.
    pub consumers: BTreeMap<String, ConsumerConfig>,
}

/// `[identity.NAME]`. Nothing is required here: flags may give the rest, and win over what is here. Relative paths are relative
/// to the file's directory; `~/` is the home directory.
#[derive(Clone, Debug, Default)]
pub struct IdentityConfig {
    /// `key`: a `pkcs11:` URI without a PIN, a `handle:`, or a path.
    pub key: Option<KeyReference>,
    /// `certificate`: a `pkcs11:` URI or a path.
    pub certificate: Option<CertificateReference>,
    /// `intermediates`: a path.
    pub intermediates: Option<PathBuf>,
    /// `pkcs11-lib`: path of the PKCS#11 module.
    pub pkcs11_lib: Option<PathBuf>,
    /// `tcti`: which TPM.
    pub tcti: Option<String>,
    /// `trust-anchor-arn`.
    pub trust_anchor_arn: Option<String>,
    /// `profile-arn`.
    pub profile_arn: Option<String>,
    /// `role-arn`.
    pub role_arn: Option<String>,
    /// `role-session-name`.
    pub role_session_name: Option<String>,
    /// `session-duration` in seconds, 900 to 43200.
    pub session_duration: Option<u32>,
    /// `warn-expiry` in days, 0 for never.
    pub warn_expiry: Option<u32>,
    /// `region`.
    pub region: Option<String>,
    /// `endpoint`.
    pub endpoint: Option<String>,
    /// `ca-bundle`: a path.
    pub ca_bundle: Option<PathBuf>,
    /// `ca`: directory of the authority that renews the certificate.
    pub ca: Option<PathBuf>,
    /// `ca-command`: the command that renews it.
    pub ca_command: Option<String>,
    /// `pin-source` and its kin, named as the flags are.
    pub secrets: Vec<(SecretKind, SecretSource)>,
}

impl IdentityConfig {
    /// What `warn-expiry` may be: up to ten years.
    pub const WARN_EXPIRY: RangeInclusive<u32> = 0..=3650;
}

/// `[consumer.NAME]`.
#[derive(Debug)]
pub struct ConsumerConfig {
    /// Whose credentials it gets.
    pub of: ConsumerOf,
    /// `token-file`: where its token is put. Relative to the file's directory.
    pub token_file: PathBuf,
}

/// Whose credentials a consumer gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsumerOf {
    /// `identity`: the role of an identity in this file.
    Identity(String),
    /// `role`: name or ARN of a role that the command line names.
    Role(String),
}

impl Config {
    /// Reads the file. One that nobody named and that does not exist says nothing.
    pub fn load(location: &Location) -> Result<Self, ConfigError> {
        let path = &location.path;
        match read(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !location.named => Ok(Self::default()),
            Err(error) => {
                let absent = error.kind() == io::ErrorKind::NotFound;
                let kind = if absent { ConfigErrorKind::Absent } else { ConfigErrorKind::Content };
                Err(ConfigError::file(path, format!("cannot read it: {error}")).of_kind(kind).with_source(error))
            }
        }
    }

    /// Reads the text of the file at `path`.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let document = Document::new(text, path);
        let mut top = document.parse()?;
        let mut config = Self::default();
        for (name, section) in top.named_sections("identity")? {
            config.identities.insert(name, identity(section)?);
        }
        for (name, section) in top.named_sections("consumer")? {
            config.consumers.insert(name, consumer(section, &config.identities)?);
        }
        top.finish()?;
        Ok(config)
    }

    /// The identity of that name, or an error that names those there are.
    pub fn identity(&self, name: &str, location: &Location) -> Result<&IdentityConfig, ConfigError> {
        self.identities.get(name).ok_or_else(|| missing("identity", name, self.identities.keys(), location))
    }

    /// The consumer of that name, or an error that names those there are.
    pub fn consumer(&self, name: &str, location: &Location) -> Result<&ConsumerConfig, ConfigError> {
        self.consumers.get(name).ok_or_else(|| missing("consumer", name, self.consumers.keys(), location))
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let length = File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if u64::try_from(length).is_ok_and(|length| length > LONGEST) {
        return Err(io::Error::other(format!("wanted at most {LONGEST} octets")));
    }
    Ok(text)
}

fn identity(mut section: Section<'_>) -> Result<IdentityConfig, ConfigError> {
    let secrets = section.secret_sources()?;
    let identity = IdentityConfig {
        key: section.key_reference("key")?,
        certificate: section.certificate_reference("certificate")?,
        intermediates: section.path("intermediates")?,
        pkcs11_lib: section.path("pkcs11-lib")?,
        tcti: section.string("tcti")?,
        trust_anchor_arn: section.string("trust-anchor-arn")?,
        profile_arn: section.string("profile-arn")?,
        role_arn: section.string("role-arn")?,
        role_session_name: section.string("role-session-name")?,
        session_duration: section.number("session-duration", 900..=43_200)?,
        warn_expiry: section.number("warn-expiry", IdentityConfig::WARN_EXPIRY)?,
        region: section.string("region")?,
        endpoint: section.string("endpoint")?,
        ca_bundle: section.path("ca-bundle")?,
        ca: section.path("ca")?,
        ca_command: section.string("ca-command")?,
        secrets,
    };
    section.finish()?;
    Ok(identity)
}

fn consumer(
    mut section: Section<'_>,
    identities: &BTreeMap<String, IdentityConfig>,
) -> Result<ConsumerConfig, ConfigError> {
    let of = match (section.string("identity")?, section.string("role")?) {
        (Some(identity), None) if identities.contains_key(&identity) => ConsumerOf::Identity(identity),
        (Some(identity), None) => {
            let message = format!("identity names {identity:?}, and there is no [identity.{identity}]");
            return Err(section.error_at("identity", message));
        }
        (None, Some(role)) => ConsumerOf::Role(role),
        _ => return Err(section.error("wanted either identity or role")),
    };
    let token_file = section.path("token-file")?.ok_or_else(|| section.error("wanted token-file"))?;
    section.finish()?;
    Ok(ConsumerConfig { of, token_file })
}

fn missing<'a>(
    what: &'static str,
    name: &str,
    known: impl Iterator<Item = &'a String>,
    location: &Location,
) -> ConfigError {
    let known: Vec<_> = known.cloned().collect();
    let found = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let error = ConfigError::file(&location.path, format!("wanted [{what}.{name}], found {found}"));
    error.of_kind(ConfigErrorKind::Unknown { what, known })
}

#[cfg(test)]
mod tests;
