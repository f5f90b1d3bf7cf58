//! What flags say of an identity, as it can be written down: the keys of its section in the configuration file, and the flags
//! that stay on a command line because they say how a command goes about it.

use std::path::Path;

use super::identity_args::{IdentityArgs, key_reference};
use super::session_args::SessionArgs;
use super::values::{parse, parse_number, set};
use super::{Failure, FailureKind};
use crate::config::IdentityConfig;
use crate::files::shell_word;
use crate::key::pkcs11::Uri;
use crate::key::{CertificateReference, KeyReference, SecretKind, SecretSource};
use crate::provision::identity_entry::Value;

/// The keys of a section in the order in which they are written.
const KEYS: [&str; 18] = [
    "key",
    "certificate",
    "intermediates",
    "pkcs11-lib",
    "tcti",
    "pin-source",
    "context-pin-source",
    "tpm-password-source",
    "tpm-parent-password-source",
    "trust-anchor-arn",
    "profile-arn",
    "role-arn",
    "role-session-name",
    "session-duration",
    "region",
    "endpoint",
    "ca-bundle",
    "warn-expiry",
];

/// Where a secret may come from, for the hint of a refusal.
const SOURCE: &str = "keep it in a file that only you can read, and name that";

/// A draft of an identity. Cannot be printed: until it is checked, its URIs may hold PINs.
#[derive(Default)]
pub struct Draft {
    fields: Vec<(&'static str, Value)>,
    /// Words of a command line.
    flags: Vec<String>,
    /// Whether one URI names key and certificate.
    one_uri: bool,
    /// Passwords that were given themselves: the flag, and the key of a source that stands for it.
    given: Vec<(&'static str, Option<&'static str>)>,
}

/// What can be written down.
pub struct Finished {
    /// The keys of the section.
    pub fields: Vec<(&'static str, Value)>,
    /// Words of a command line, quoted.
    pub flags: Vec<String>,
}

impl Draft {
    /// What these flags say. Paths are made absolute; an empty value counts as unset.
    pub fn of(identity: &IdentityArgs, session: &SessionArgs) -> Result<Self, Failure> {
        let mut draft = Self::default();
        draft.key(identity)?;
        draft.path("intermediates", identity.intermediates.as_deref());
        draft.path("pkcs11-lib", identity.pkcs11_lib.as_deref());
        draft.text("tcti", identity.tcti.as_deref());
        for (key, kind, source) in [
            ("pin-source", SecretKind::UserPin, &identity.pin_source),
            ("context-pin-source", SecretKind::ContextPin, &identity.context_pin_source),
            ("tpm-password-source", SecretKind::TpmKeyPassword, &identity.tpm_password_source),
            ("tpm-parent-password-source", SecretKind::TpmParentPassword, &identity.tpm_parent_password_source),
        ] {
            draft.source(key, kind, source.as_deref())?;
        }
        draft.text("trust-anchor-arn", session.trust_anchor_arn.as_deref());
        draft.one("profile-arn", "--profile-arn", &session.profile_arn)?;
        draft.one("role-arn", "--role-arn", &session.role_arn)?;
        draft.text("role-session-name", session.role_session_name.as_deref());
        let duration = parse_number("--session-duration", session.session_duration.as_deref(), 900..=43_200)?;
        draft.fields.extend(duration.map(|seconds| ("session-duration", Value::Number(seconds))));
        draft.text("region", session.region.as_deref());
        draft.text("endpoint", session.endpoint.as_deref());
        draft.path("ca-bundle", session.ca_bundle.as_deref());
        let days = parse_number("--warn-expiry", session.warn_expiry.as_deref(), IdentityConfig::WARN_EXPIRY)?;
        draft.fields.extend(days.map(|days| ("warn-expiry", Value::Number(days))));
        draft.flags(identity, session);
        for (flag, source, value) in [
            ("--tpm-key-password", Some("tpm-password-source"), &identity.tpm_key_password),
            ("--pkcs8-password", None, &identity.pkcs8_password),
        ] {
            let is_given = value.as_ref().is_some_and(|value| !value.0.is_empty());
            draft.given.extend(is_given.then_some((flag, source)));
        }
        Ok(draft)
    }

    /// These, and for what they leave open those of the other.
    pub fn over(mut self, other: Self) -> Self {
        for (key, value) in other.fields {
            let is_replaced = self.value(key).is_some() || self.one_uri && key == "certificate";
            if !is_replaced {
                self.fields.push((key, value));
            }
        }
        let added: Vec<_> = other.flags.into_iter().filter(|flag| !self.flags.contains(flag)).collect();
        self.flags.extend(added);
        self.given.extend(other.given);
        self
    }

    /// Adds a switch to the command line.
    pub fn switch(&mut self, flag: &str, is_on: bool) {
        if is_on && !self.flags.iter().any(|known| known == flag) {
            self.flags.push(flag.to_owned());
        }
    }

    /// Whether it says where the key is.
    pub fn names_key(&self) -> bool {
        let on_token = |value: &Value| matches!(value, Value::Text(text) if Uri::is_one(text));
        self.value("key").is_some() || self.value("certificate").is_some_and(on_token)
    }

    /// Whether it leaves open which key and which certificate are meant.
    pub fn names_nothing(&self) -> bool {
        self.value("key").is_none() && self.value("certificate").is_none()
    }

    /// The same as words of a command line, quoted.
    pub fn into_flags(self) -> Result<Vec<String>, Failure> {
        let key = if self.one_uri { "pkcs11" } else { "private-key" };
        let Finished { fields, flags } = self.without_secrets()?;
        let words = fields.iter().flat_map(|(name, value)| {
            let value = match value {
                Value::Text(text) => shell_word(text),
                Value::Number(number) => number.to_string(),
            };
            [format!("--{}", if *name == "key" { key } else { name }), value]
        });
        Ok(words.chain(flags).collect())
    }

    /// What no identity can be without and this one lacks, as flags.
    pub fn missing(&self) -> Vec<&'static str> {
        let key = self.names_nothing().then_some("--pkcs11, --private-key, --tpm or --certificate");
        let arns =
            [("trust-anchor-arn", "--trust-anchor-arn"), ("profile-arn", "--profile-arn"), ("role-arn", "--role-arn")];
        let arns = arns.into_iter().filter(|(key, _)| self.value(key).is_none()).map(|(_, flag)| flag);
        key.into_iter().chain(arns).collect()
    }

    /// The keys of the section and the flags for the command line, without any secret: one that stands in a URI or a flag is
    /// left out where a source is named in its place, and refused where none is.
    pub fn without_secrets(mut self) -> Result<Finished, Failure> {
        for (key, flag) in [("key", "--private-key"), ("certificate", "--certificate")] {
            let Some(Value::Text(text)) = self.value(key) else { continue };
            let Some(KeyReference::Pkcs11(uri)) = parse(flag, Some(text))? else { continue };
            if !uri.holds_pin() {
                continue;
            }
            if self.value("pin-source").is_none() {
                return Err(usage(format!("the URI of the {key} holds a PIN, which is not written into a file"))
                    .with_hint(format!("{SOURCE}: --pin-source file:PATH")));
            }
            let without = Value::Text(uri.to_string());
            self.fields.iter_mut().filter(|(known, _)| *known == key).for_each(|(_, value)| *value = without.clone());
        }
        for (flag, source) in &self.given {
            match source {
                Some(key) if self.value(key).is_some() => {}
                Some(key) => {
                    return Err(usage(format!("{flag} holds a password, which is not written into a file"))
                        .with_hint(format!("{SOURCE}: --{key} file:PATH")));
                }
                None => {
                    return Err(usage(format!("{flag}: wanted a key file without a password, found one with it"))
                        .with_hint(
                            "put the key into a token or a TPM, or decrypt it: openssl pkcs8 -in FILE -out KEY.pem",
                        ));
                }
            }
        }
        self.fields.sort_by_key(|(key, _)| KEYS.iter().position(|known| known == key));
        Ok(Finished { fields: self.fields, flags: self.flags })
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.fields.iter().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    fn key(&mut self, identity: &IdentityArgs) -> Result<(), Failure> {
        let certificate = identity.certificate.as_deref();
        if let Some((flag, text)) = identity.key()? {
            match key_reference(flag, Some(text))? {
                Some(KeyReference::File(_)) if flag == "--pkcs11" => {
                    return Err(usage("--pkcs11: wanted a URI that begins with pkcs11:, found something else"));
                }
                Some(KeyReference::File(path)) => self.path("key", path.to_str()),
                Some(KeyReference::Handle(handle)) => self.text("key", Some(&handle.to_string())),
                _ => self.text("key", Some(text.trim())),
            }
            self.one_uri = flag == "--pkcs11" && set(certificate).is_none();
        }
        match parse("--certificate", certificate)? {
            Some(CertificateReference::File(path)) => self.path("certificate", path.to_str()),
            _ => self.text("certificate", certificate.map(str::trim)),
        }
        Ok(())
    }

    fn text(&mut self, key: &'static str, value: Option<&str>) {
        self.fields.extend(set(value).map(|text| (key, Value::Text(text.to_owned()))));
    }

    fn path(&mut self, key: &'static str, value: Option<&str>) {
        self.fields.extend(set(value).map(|path| (key, Value::Text(absolute(path)))));
    }

    fn source(&mut self, key: &'static str, kind: SecretKind, value: Option<&str>) -> Result<(), Failure> {
        match parse(kind.flag(), value)? {
            Some(SecretSource::File(path)) => {
                let path = absolute(&path.to_string_lossy());
                self.text(key, Some(&format!("file:{path}")));
            }
            _ => self.text(key, value),
        }
        Ok(())
    }

    /// A flag that others take several times.
    fn one(&mut self, key: &'static str, flag: &str, values: &[String]) -> Result<(), Failure> {
        let named: Vec<_> = values.iter().filter_map(|value| set(Some(value))).collect();
        match named.as_slice() {
            [] => {}
            [one] => self.text(key, Some(one)),
            _ => return Err(usage(format!("wanted one {flag} for an identity, found {}", named.len()))),
        }
        Ok(())
    }

    fn flags(&mut self, identity: &IdentityArgs, session: &SessionArgs) {
        for (flag, is_on) in [
            ("--reuse-pin", identity.reuse_pin),
            ("--use-final-try", identity.use_final_try),
            ("--no-tpm-key-password", identity.no_tpm_key_password),
            ("--fips", session.fips.0 == Some(true)),
            ("--dualstack", session.dualstack.0 == Some(true)),
            ("--no-verify-ssl", session.no_verify_ssl),
            ("--no-preflight", session.no_preflight),
        ] {
            self.switch(flag, is_on);
        }
        for (flag, value) in [
            ("--token-timeout", &identity.token_timeout),
            ("--tpm-srk-name", &identity.tpm_srk_name),
            ("--timeout", &session.timeout),
        ] {
            self.flags.extend(set(value.as_deref()).map(|value| format!("{flag}={}", shell_word(value))));
        }
    }
}

/// A path that means the same from every directory. `~/` does already: the configuration file knows it.
fn absolute(path: &str) -> String {
    if path.starts_with("~/") {
        return path.to_owned();
    }
    let path = Path::new(path);
    std::path::absolute(path).as_deref().unwrap_or(path).to_string_lossy().into_owned()
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Usage, message)
}

#[cfg(test)]
mod tests {
    use clap::{Args, FromArgMatches};

    use super::*;
    use crate::cli::values::{SWITCH, with_switches};

    /// Flags that say where the identity is, that do nothing, or that belong to the stores of other systems.
    const ELSEWHERE: [&str; 6] =
        ["config", "identity", "with-proxy", "cert-selector", "system-store-name", "use-latest-expiring-certificate"];

    fn command() -> clap::Command {
        with_switches(SessionArgs::augment_args(IdentityArgs::augment_args(clap::Command::new("test"))))
    }

    fn draft(words: &[&str]) -> Result<Draft, Failure> {
        let matches = command().get_matches_from([&["test"], words].concat());
        Draft::of(&IdentityArgs::from_arg_matches(&matches).unwrap(), &SessionArgs::from_arg_matches(&matches).unwrap())
    }

    #[test]
    fn no_flag_is_forgotten() {
        for flag in command().get_arguments().filter_map(clap::Arg::get_long).filter(|flag| !ELSEWHERE.contains(flag)) {
            let names = command();
            let flag_of = names.get_arguments().find(|known| known.get_long() == Some(flag)).unwrap();
            let is_switch = flag_of.get_value_names().is_some_and(|names| names.iter().any(|name| name == SWITCH));
            let value = match flag {
                "pkcs11" => "pkcs11:token=t",
                "session-duration" | "warn-expiry" => "900",
                _ if flag.ends_with("-source") => "env:NAME",
                _ => "x",
            };
            let word = if is_switch { format!("--{flag}") } else { format!("--{flag}={value}") };
            let draft = draft(&[&word]).unwrap_or_else(|failure| panic!("{word}: {failure}"));
            let kept = draft.fields.len() + draft.flags.len() + draft.given.len();
            assert_eq!(kept, 1, "{word} is lost, or belongs to those that mean nothing to an identity");
            assert!(draft.fields.iter().all(|(key, _)| KEYS.contains(key)), "{word} has no place among the keys");
        }
    }

    #[test]
    fn flags_of_ones_own_win_and_a_uri_for_both_replaces_both() {
        let base = || draft(&["--certificate=/c.pem", "--private-key=/k.pem", "--region=a", "--fips"]).unwrap();
        let text = |draft: &Draft, key: &str| match draft.value(key) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let both = draft(&["--pkcs11=pkcs11:token=t", "--region=b", "--fips"]).unwrap().over(base());
        assert_eq!((text(&both, "key").as_deref(), text(&both, "certificate")), (Some("pkcs11:token=t"), None));
        assert_eq!((text(&both, "region").as_deref(), &both.flags[..]), (Some("b"), &["--fips".to_owned()][..]));
        let key = draft(&["--tpm=/t.pem"]).unwrap().over(base());
        assert_eq!(
            (text(&key, "key").as_deref(), text(&key, "certificate").as_deref()),
            (Some("/t.pem"), Some("/c.pem"))
        );
    }

    #[test]
    fn paths_are_absolute_and_the_home_stays_a_home() {
        let here = std::env::current_dir().unwrap().display().to_string();
        let draft = draft(&["--private-key=k.pem", "--pin-source=file:pin", "--intermediates=~/i.pem"]).unwrap();
        let values: Vec<_> = draft.without_secrets().unwrap().fields.into_iter().map(|(_, value)| value).collect();
        let expected = [format!("{here}/k.pem"), "~/i.pem".to_owned(), format!("file:{here}/pin")];
        assert_eq!(values, expected.map(Value::Text));
    }
}
