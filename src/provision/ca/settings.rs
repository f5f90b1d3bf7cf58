//! `ca.toml`: where the authority's keys are, where their secrets come from, and for how long it issues. Strict, so that a typing
//! mistake is an error with its line. Holds sources of secrets, never a secret.
//!
//! ```toml
//! days = 90
//! crl-days = 30
//!
//! [root]
//! key = "pkcs11:token=ca;object=root"
//! pkcs11-lib = "/usr/lib/softhsm/libsofthsm2.so"
//! pin-source = "credential:ca-pin"
//!
//! [intermediate]
//! key = "intermediate.key"
//! ```

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::record::Issuer;
use crate::config::{ConfigError, Document, Section};
use crate::files::{self, FileError};
use crate::key::{KeyReference, SecretKind, SecretSource};

/// How many days a certificate is good for where nobody says otherwise.
pub const DAYS: u32 = 90;
/// How many days a CRL is good for where nobody says otherwise.
pub const CRL_DAYS: u32 = 30;
/// Most days of anything: a hundred years.
pub const MOST_DAYS: u32 = 36_525;

/// What the file says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The key of the root.
    pub root: KeySettings,
    /// The key of the intermediate, where there is one: then it issues the leaves.
    pub intermediate: Option<KeySettings>,
    /// Days that a leaf is good for.
    pub days: u32,
    /// Days until the next CRL is due.
    pub crl_days: u32,
}

/// Where a key of the authority is, and what opening it takes.
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// `key`: a `pkcs11:` URI without a PIN, a `handle:`, or a path, relative to the directory.
    pub key: KeyReference,
    /// `pkcs11-lib`: path of the PKCS#11 module.
    pub pkcs11_lib: Option<PathBuf>,
    /// `tcti`: which TPM.
    pub tcti: Option<String>,
    /// `pin-source` and its kin.
    pub secrets: Vec<(SecretKind, SecretSource)>,
}

impl KeySettings {
    /// A key that needs nothing else to be opened.
    pub fn of(key: KeyReference) -> Self {
        Self { key, pkcs11_lib: None, tcti: None, secrets: Vec::new() }
    }
}

impl Settings {
    /// Reads the file: at most a mebibyte.
    pub fn read<E: From<FileError> + From<ConfigError>>(path: &Path) -> Result<Self, E> {
        let content = files::read(path)?;
        let text = str::from_utf8(&content.octets).map_err(|_| ConfigError::file(path, "wanted text in UTF-8"))?;
        Ok(Self::parse(text, path)?)
    }

    /// Reads the text of the file at `path`.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let document = Document::new(text, path);
        let mut top = document.parse()?;
        let days = top.number("days", 1..=MOST_DAYS)?.unwrap_or(DAYS);
        let crl_days = top.number("crl-days", 1..=MOST_DAYS)?.unwrap_or(CRL_DAYS);
        let root = top.section("root")?.ok_or_else(|| ConfigError::file(path, "wanted [root], found none"))?;
        let settings =
            Self { root: key(root)?, intermediate: top.section("intermediate")?.map(key).transpose()?, days, crl_days };
        top.finish()?;
        Ok(settings)
    }

    /// The key of an issuer, where the authority has one.
    pub fn key(&self, issuer: Issuer) -> Option<&KeySettings> {
        match issuer {
            Issuer::Root => Some(&self.root),
            Issuer::Intermediate => self.intermediate.as_ref(),
        }
    }

    /// The text that [`parse`](Self::parse) reads, for a file in this directory. What is in the directory is named without it, so
    /// that the directory may be moved.
    pub fn to_toml(&self, directory: &Path) -> String {
        let mut text = format!(
            "# A certificate authority of keyanchor. It holds no secret, only where secrets come from.\n\
             days = {}\ncrl-days = {}\n",
            self.days, self.crl_days
        );
        write_key(&mut text, "root", &self.root, directory);
        if let Some(intermediate) = &self.intermediate {
            write_key(&mut text, "intermediate", intermediate, directory);
        }
        text
    }
}

fn key(mut section: Section<'_>) -> Result<KeySettings, ConfigError> {
    let settings = KeySettings {
        key: section.key_reference("key")?.ok_or_else(|| section.error("wanted key"))?,
        pkcs11_lib: section.path("pkcs11-lib")?,
        tcti: section.string("tcti")?,
        secrets: section.secret_sources()?,
    };
    section.finish()?;
    Ok(settings)
}

fn write_key(text: &mut String, name: &str, settings: &KeySettings, directory: &Path) {
    let within = |path: &Path| path.strip_prefix(directory).unwrap_or(path).display().to_string();
    let reference = match &settings.key {
        KeyReference::File(path) => within(path),
        other => other.to_string(),
    };
    let mut lines = vec![("key", Some(reference))];
    lines.push(("pkcs11-lib", settings.pkcs11_lib.as_ref().map(|path| path.display().to_string())));
    lines.push(("tcti", settings.tcti.clone()));
    for (kind, source) in &settings.secrets {
        lines.push((kind.flag().trim_start_matches('-'), durable(source)));
    }
    // Writing into a String cannot fail.
    let _ = write!(text, "\n[{name}]\n");
    for (key, value) in lines {
        if let Some(value) = value {
            let _ = writeln!(text, "{key} = {}", quoted(&value));
        }
    }
}

/// A source as it is written, where it gives the secret another time too.
fn durable(source: &SecretSource) -> Option<String> {
    match source {
        SecretSource::File(path) => Some(format!("file:{}", path.display())),
        SecretSource::Variable(name) => Some(format!("env:{name}")),
        SecretSource::Credential(name) => Some(format!("credential:{name}")),
        SecretSource::Given(_) | SecretSource::Descriptor(_) | SecretSource::Prompt => None,
    }
}

/// A basic string of TOML. Its escapes are those of JSON, and it wants one more character escaped.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Settings, String> {
        Settings::parse(text, Path::new("/ca/ca.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_is_read_again() {
        let written = Settings {
            root: KeySettings {
                key: "pkcs11:token=a%22b;object=root".parse().unwrap(),
                pkcs11_lib: Some("/lib/module \"x\"\u{7f}.so".into()),
                tcti: None,
                secrets: vec![
                    (SecretKind::UserPin, SecretSource::File("/run/pin".into())),
                    (SecretKind::ContextPin, SecretSource::Prompt),
                ],
            },
            intermediate: Some(KeySettings {
                tcti: Some("device:/dev/tpmrm0".to_owned()),
                ..KeySettings::of("/ca/intermediate.key".parse().unwrap())
            }),
            days: 7,
            crl_days: 1,
        };
        let text = written.to_toml(Path::new("/ca"));
        assert!(text.contains("key = \"intermediate.key\"\n"), "{text}");
        let read = parsed(&text).unwrap();
        assert_eq!((read.days, read.crl_days), (7, 1));
        assert_eq!(read.root.key.to_string(), written.root.key.to_string());
        assert_eq!(read.root.pkcs11_lib, written.root.pkcs11_lib);
        assert_eq!(read.root.secrets, [(SecretKind::UserPin, SecretSource::File("/run/pin".into()))]);
        let intermediate = read.intermediate.unwrap();
        assert_eq!(intermediate.key.to_string(), "/ca/intermediate.key");
        assert_eq!(intermediate.tcti.as_deref(), Some("device:/dev/tpmrm0"));
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        for (text, told) in [
            ("days = 3\n", "/ca/ca.toml: wanted [root], found none"),
            ("[root]\n", "/ca/ca.toml:1: wanted key in [root]"),
            ("[root]\nkey = \"k\"\nkeys = 1\n", "/ca/ca.toml:3: unknown key keys in [root]"),
            ("day = 3\n[root]\nkey = \"k\"\n", "/ca/ca.toml:1: unknown key day"),
            ("days = 0\n[root]\nkey = \"k\"\n", "/ca/ca.toml:1: wanted a whole number from 1 to 36525 for days"),
            ("[root]\nkey = \"pkcs11:token=a?pin-value=test-secret\"\n", "/ca/ca.toml:2: key holds a PIN"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.starts_with(told), "{error}");
            assert!(!error.contains("test-secret"), "{error}");
        }
    }
}
