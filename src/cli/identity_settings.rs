//! What the flags and the configuration file say together of a key, its certificate and their secrets. Flags win.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::failure::conclude;
use super::identity_args::{IdentityArgs, key_reference};
use super::terminal::Terminal;
use super::values::{parse, seconds, set};
use super::{Failure, FailureKind};
use crate::config::{self, Config, ConsumerConfig, IdentityConfig, Location};
use crate::identity::IdentityReference;
use crate::key::{
    CertificateReference, DeviceOptions, Devices, KeyReference, Pkcs11Options, Secret, SecretKind, SecretSource,
    Secrets, TpmOptions,
};
use crate::process::end;

/// How long a device may work where no flag says otherwise.
pub const TOKEN_TIMEOUT: Duration = Duration::from_secs(60);

/// What several roles are got with.
pub struct Identities<'a> {
    /// By their names in the configuration file; at least one.
    pub settings: Vec<(Option<String>, IdentitySettings<'a>)>,
    /// Of the same file.
    pub consumers: BTreeMap<String, ConsumerConfig>,
}

/// Flags, and `[identity.NAME]` for what they leave open.
pub struct IdentitySettings<'a> {
    flags: &'a IdentityArgs,
    /// Of the file's identity.
    name: Option<String>,
    file: IdentityConfig,
}

impl IdentityArgs {
    /// Reads the configuration file where flag or environment choose one of its identities.
    pub fn settings(&self) -> Result<IdentitySettings<'_>, Failure> {
        let name = self.chosen();
        let file = match &name {
            Some(name) => {
                let (config, location) = self.configuration()?;
                config.identity(name, &location)?.clone()
            }
            None if set(self.config.as_deref()).is_some() => {
                return Err(usage("wanted --identity NAME beside --config FILE, found none"));
            }
            None => IdentityConfig::default(),
        };
        Ok(IdentitySettings { flags: self, name, file })
    }

    /// For a command that may have several identities: the one that flags or environment choose or that flags name, else every
    /// one of the configuration file, by name; and that file's consumers. The file takes part where it is named or needed.
    pub fn all_settings(&self) -> Result<Identities<'_>, Failure> {
        let (chosen, by_flags) = (self.chosen(), self.names_key_or_certificate());
        let location = config::locate(set(self.config.as_deref()).map(Path::new), |name| env::var_os(name));
        let from_flags = || vec![(None, IdentitySettings { flags: self, name: None, file: IdentityConfig::default() })];
        if chosen.is_none() && (location.is_none() || by_flags && !location.is_some_and(|location| location.named)) {
            return Ok(Identities { settings: from_flags(), consumers: BTreeMap::new() });
        }
        let (config, location) = self.configuration()?;
        let of_file = |(name, file): (&String, &IdentityConfig)| {
            (Some(name.clone()), IdentitySettings { flags: self, name: Some(name.clone()), file: file.clone() })
        };
        let settings = match &chosen {
            Some(name) => vec![of_file((name, config.identity(name, &location)?))],
            None if by_flags || config.identities.is_empty() => from_flags(),
            None => config.identities.iter().map(of_file).collect(),
        };
        Ok(Identities { settings, consumers: config.consumers })
    }

    /// The configuration file and where it is.
    pub fn configuration(&self) -> Result<(Config, Location), Failure> {
        configuration(self.config.as_deref())
    }

    /// The one flag that names the key, and what it says. None of another system's stores is asked for.
    pub fn key(&self) -> Result<Option<(&'static str, &str)>, Failure> {
        self.refuse_other_stores()?;
        one_key(&[
            ("--private-key", set(self.private_key.as_deref())),
            ("--tpm", set(self.tpm.as_deref())),
            ("--pkcs11", set(self.pkcs11.as_deref())),
        ])
    }

    fn refuse_other_stores(&self) -> Result<(), Failure> {
        let asked = [
            ("--cert-selector", set(self.cert_selector.as_deref()).is_some()),
            ("--system-store-name", set(self.system_store_name.as_deref()).is_some()),
            ("--use-latest-expiring-certificate", self.use_latest_expiring_certificate),
        ];
        match asked.into_iter().find(|(_, set)| *set) {
            Some((flag, _)) => Err(usage(format!(
                "{flag} selects from the certificate store of Windows or macOS, and this build has no such store"
            ))
            .with_hint("name the certificate: --certificate FILE, or --pkcs11 'pkcs11:token=NAME'")),
            None => Ok(()),
        }
    }

    /// The flags without the configuration file, for who goes on where it cannot be used.
    pub fn flags_alone(&self) -> IdentitySettings<'_> {
        IdentitySettings { name: None, flags: self, file: IdentityConfig::default() }
    }

    /// Where the configuration file is or would be.
    pub fn location(&self) -> Option<Location> {
        config::locate(set(self.config.as_deref()).map(Path::new), |name| env::var_os(name))
    }

    /// Whether flags or environment name an identity, a key or a certificate.
    pub fn names_something(&self) -> bool {
        self.chosen().is_some() || self.names_key_or_certificate()
    }

    fn names_key_or_certificate(&self) -> bool {
        let flags = [&self.private_key, &self.tpm, &self.pkcs11, &self.certificate];
        flags.into_iter().any(|flag| set(flag.as_deref()).is_some())
    }

    /// `--identity`, else KEYANCHOR_IDENTITY.
    pub fn chosen(&self) -> Option<String> {
        let variable = || env::var("KEYANCHOR_IDENTITY").ok();
        self.identity.clone().or_else(variable).filter(|name| !name.is_empty())
    }
}

impl<'a> IdentitySettings<'a> {
    /// These flags and what an identity says that has no name yet.
    pub fn new(flags: &'a IdentityArgs, file: IdentityConfig) -> Self {
        Self { flags, name: None, file }
    }

    /// Whether flags or file name a key or a certificate.
    pub fn names_something(&self) -> bool {
        self.flags.names_key_or_certificate() || self.file.key.is_some() || self.file.certificate.is_some()
    }

    /// Whether flags name a PKCS#11 module, and whether they name a TPM.
    pub fn names_ways(&self) -> (bool, bool) {
        (set(self.flags.pkcs11_lib.as_deref()).is_some(), set(self.flags.tcti.as_deref()).is_some())
    }

    /// What is named, before anything is opened.
    pub fn reference(&self) -> Result<IdentityReference, Failure> {
        Ok(self.named()?.0)
    }

    /// What the configuration file says of a session, for what its flags leave open.
    pub fn file(&self) -> &IdentityConfig {
        &self.file
    }

    /// Whether a certificate is named, by itself or by one URI for it and its key.
    pub fn names_certificate(&self) -> Result<bool, Failure> {
        let of_file = self.file.key.is_some() || self.file.certificate.is_some();
        match of_file || self.flags.names_key_or_certificate() {
            true => Ok(self.reference()?.certificate.is_some()),
            false => Ok(false),
        }
    }

    /// What is named, and whether it is one URI for key and certificate.
    fn named(&self) -> Result<(IdentityReference, bool), Failure> {
        let named = self.flags.key()?;
        let key: Option<KeyReference> = match named {
            Some((flag, text)) => key_reference(flag, Some(text))?,
            None => None,
        };
        let certificate: Option<CertificateReference> = parse("--certificate", self.flags.certificate.as_deref())?;
        let intermediates = set(self.flags.intermediates.as_deref()).map(PathBuf::from);
        let intermediates = intermediates.or_else(|| self.file.intermediates.clone());
        let (key, certificate) = match (named, key, certificate) {
            (Some(("--pkcs11", _)), Some(KeyReference::Pkcs11(uri)), None) => {
                (None, Some(CertificateReference::Pkcs11(uri)))
            }
            // The value is not repeated: it may be a URI with a PIN that lacks its beginning.
            (Some(("--pkcs11", _)), Some(KeyReference::File(_) | KeyReference::Handle(_)), _) => {
                return Err(usage("--pkcs11: wanted a URI that begins with pkcs11:, found something else")
                    .with_hint("a key in a file or a TPM is named by --private-key"));
            }
            (_, key, certificate) => {
                (key.or_else(|| self.file.key.clone()), certificate.or_else(|| self.file.certificate.clone()))
            }
        };
        let one_uri = named.is_some_and(|(flag, _)| flag == "--pkcs11") && key.is_none();
        let (key, certificate, one_uri) = match (key, certificate) {
            (None, None) => {
                return Err(usage("wanted a key or a certificate, found no flag that names one")
                    .with_hint("name both by one URI: --pkcs11 'pkcs11:token=NAME;object=LABEL'"));
            }
            // In the file, the URI of a key alone names both, as --pkcs11 does.
            (Some(KeyReference::Pkcs11(uri)), None) if named.is_none() => {
                (None, Some(CertificateReference::Pkcs11(uri)), true)
            }
            (key, certificate) => (key, certificate, one_uri),
        };
        Ok((IdentityReference { key, certificate, intermediates }, one_uri))
    }

    /// Whether the key is the file's, and with it the secrets, the module and the TPM that the file names: the PIN of one token is
    /// not to be tried on another.
    fn key_is_of_file(&self) -> bool {
        let flags = [&self.flags.private_key, &self.flags.tpm, &self.flags.pkcs11];
        let by_flag = |flag: &Option<String>| set(flag.as_deref()).is_some();
        !flags.into_iter().any(by_flag) && (self.file.key.is_some() || !by_flag(&self.flags.certificate))
    }

    /// The same for a command that needs the key alone: one URI for both then asks for no certificate.
    pub fn key_reference(&self) -> Result<IdentityReference, Failure> {
        match self.named()? {
            (IdentityReference { certificate: Some(CertificateReference::Pkcs11(uri)), intermediates, .. }, true) => {
                Ok(IdentityReference { key: Some(KeyReference::Pkcs11(uri)), certificate: None, intermediates })
            }
            (reference, _) => Ok(reference),
        }
    }

    /// What tells the key and the certificate from others, as names and values in a fixed order: references, and the ways to
    /// the devices. No secrets.
    pub fn parameters(&self) -> Result<Vec<(&'static str, String)>, Failure> {
        let reference = self.reference()?;
        let key = reference.key.map(|key| match key {
            KeyReference::File(path) => absolute(&path),
            other => other.to_string(),
        });
        let certificate = reference.certificate.map(|certificate| match certificate {
            CertificateReference::File(path) => absolute(&path),
            other => other.to_string(),
        });
        let module = set(self.flags.pkcs11_lib.as_deref()).map(PathBuf::from).or_else(|| self.module_of_file());
        let variable = |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let parameters = [
            ("key", key),
            ("certificate", certificate),
            ("intermediates", reference.intermediates.as_deref().map(absolute)),
            ("module", module.as_deref().map(absolute)),
            ("KEYANCHOR_PKCS11_LIB", variable("KEYANCHOR_PKCS11_LIB")),
            ("tcti", self.tcti()),
            ("KEYANCHOR_TCTI", variable("KEYANCHOR_TCTI")),
            ("TPM_DEVICE", variable("TPM_DEVICE")),
            ("TPM2TOOLS_TCTI", variable("TPM2TOOLS_TCTI")),
            ("TCTI", variable("TCTI")),
        ];
        Ok(parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }

    /// The command that renews the certificate, for a person to run.
    pub fn renewal(&self) -> Result<String, Failure> {
        Ok(format!("keyanchor renew{}", self.flags.again(self.name.as_deref())?))
    }

    /// Whether the devices of both are opened alike: by the same module, at the same TPM, with the same secrets.
    pub fn opens_devices_like(&self, other: &Self) -> bool {
        let of = |settings: &Self| (settings.file.pkcs11_lib.clone(), settings.file.tcti.clone());
        of(self) == of(other) && self.file.secrets == other.file.secrets
    }

    /// The certificate, for a command that reads nothing else.
    pub fn certificate(&self) -> Result<CertificateReference, Failure> {
        self.reference()?.certificate.ok_or_else(|| {
            usage("wanted a certificate, found no --certificate and no --pkcs11")
                .with_hint("name one: --certificate FILE or --certificate 'pkcs11:token=NAME'")
        })
    }

    /// Everything that opening a device needs. Reads the environment, asks nobody. With `lives_long`, what a secret's source
    /// gives only once is kept.
    pub fn device_options(&self, lives_long: bool) -> Result<DeviceOptions, Failure> {
        let mut secrets = self.secrets()?;
        if lives_long {
            secrets.keep_what_is_read_once();
        }
        Ok(DeviceOptions {
            secrets: Arc::new(secrets),
            limit: seconds("--token-timeout", self.flags.token_timeout.as_deref())?.unwrap_or(TOKEN_TIMEOUT),
            pkcs11: Pkcs11Options {
                module: set(self.flags.pkcs11_lib.as_deref()).map(PathBuf::from).or_else(|| self.module_of_file()),
                default_module: env::var_os("KEYANCHOR_PKCS11_LIB").filter(|path| !path.is_empty()).map(PathBuf::from),
                reuse_pin: self.flags.reuse_pin,
                use_final_try: self.flags.use_final_try,
                without_login: false,
            },
            tpm: TpmOptions {
                tcti: self.tcti(),
                srk_name: parse("--tpm-srk-name", self.flags.tpm_srk_name.as_deref())?,
                no_key_password: self.flags.no_tpm_key_password,
                expected: set(self.flags.tpm.as_deref()).is_some(),
            },
        })
    }

    /// Whether a source other than the prompt gives the password of a TPM key: a new key gets it.
    pub fn gives_tpm_password(&self) -> Result<bool, Failure> {
        Ok(!self.flags.no_tpm_key_password && self.secrets()?.is_at_hand(SecretKind::TpmKeyPassword))
    }

    /// The variables from which secrets are taken because a flag or the file says so.
    pub fn secret_variables(&self) -> Vec<String> {
        let flags = self.flags;
        let sources = [
            &flags.pin_source,
            &flags.context_pin_source,
            &flags.tpm_password_source,
            &flags.tpm_parent_password_source,
        ];
        let by_flags = sources.into_iter().filter_map(|source| source.as_deref()?.strip_prefix("env:"));
        let by_file = self.file.secrets.iter().filter_map(|(_, source)| match source {
            SecretSource::Variable(name) => Some(name.as_str()),
            _ => None,
        });
        by_flags.chain(by_file).map(str::to_owned).collect()
    }

    fn module_of_file(&self) -> Option<PathBuf> {
        self.file.pkcs11_lib.clone().filter(|_| self.key_is_of_file())
    }

    fn tcti(&self) -> Option<String> {
        let of_file = || self.file.tcti.clone().filter(|_| self.key_is_of_file());
        set(self.flags.tcti.as_deref()).map(str::to_owned).or_else(of_file)
    }

    fn secrets(&self) -> Result<Secrets, Failure> {
        let mut secrets = Secrets::new(Arc::new(Terminal::new()));
        if self.key_is_of_file() {
            self.file.secrets.iter().for_each(|(kind, source)| secrets.choose(*kind, source.clone()));
        }
        for (kind, flag) in [
            (SecretKind::UserPin, &self.flags.pin_source),
            (SecretKind::ContextPin, &self.flags.context_pin_source),
            (SecretKind::TpmKeyPassword, &self.flags.tpm_password_source),
            (SecretKind::TpmParentPassword, &self.flags.tpm_parent_password_source),
        ] {
            if let Some(source) = parse::<SecretSource>(kind.flag(), flag.as_deref())? {
                secrets.choose(kind, source);
            }
        }
        if self.flags.context_pin_source.as_deref().is_some_and(|text| !text.is_empty()) && self.flags.reuse_pin {
            return Err(usage("wanted --reuse-pin or --context-pin-source, found both"));
        }
        self.peer_passwords(&mut secrets)?;
        Ok(secrets)
    }

    fn peer_passwords(&self, secrets: &mut Secrets) -> Result<(), Failure> {
        let password = self.flags.tpm_key_password.as_ref().map(|arg| arg.0.as_str());
        let Some(password) = set(password) else { return Ok(()) };
        if self.flags.no_tpm_key_password {
            return Err(usage("wanted --tpm-key-password or --no-tpm-key-password, found both"));
        }
        if self.flags.reuse_pin {
            return Err(usage("wanted --tpm-key-password or --reuse-pin, found both"));
        }
        if self.flags.pkcs8_password.as_ref().is_some_and(|arg| !arg.0.is_empty()) {
            return Err(usage("wanted --tpm-key-password or --pkcs8-password, found both"));
        }
        if set(self.flags.tpm_password_source.as_deref()).is_some() {
            return Err(usage("wanted --tpm-key-password or --tpm-password-source, found both"));
        }
        let secret = Secret::new(password.as_bytes().to_vec()).with_origin("--tpm-key-password");
        secrets.choose(SecretKind::TpmKeyPassword, SecretSource::Given(Arc::new(secret)));
        Ok(())
    }
}

/// The configuration file, which `--config` may name, and where it is.
pub fn configuration(flag: Option<&str>) -> Result<(Config, Location), Failure> {
    let location = config::locate(set(flag).map(Path::new), |name| env::var_os(name));
    let location = location.ok_or_else(|| {
        usage("wanted a configuration file, found no --config, KEYANCHOR_CONFIG, XDG_CONFIG_HOME or HOME")
    })?;
    Ok((Config::load(&location)?, location))
}

/// Runs a command on devices, prints its failure and gives its exit code. The devices are closed after the output: a module
/// that crashes when it is finalised must not cost the credentials.
pub fn with_devices(
    args: &IdentityArgs,
    command: impl FnOnce(&IdentitySettings<'_>, &mut Devices) -> Result<(), Failure>,
) -> u8 {
    let open = || {
        let settings = args.settings()?;
        let devices = Devices::new(settings.device_options(false)?);
        Ok((settings, devices))
    };
    let (settings, mut devices) = match open() {
        Ok(opened) => opened,
        Err(failure) => return conclude(Err(failure)),
    };
    let code = conclude(command(&settings, &mut devices));
    end::despite_crashes(code);
    devices.close();
    code
}

/// A path that means the same from every directory.
fn absolute(path: &Path) -> String {
    std::path::absolute(path).as_deref().unwrap_or(path).to_string_lossy().into_owned()
}

/// The one flag that names the key; two of them are a usage error.
fn one_key<'a>(flags: &[(&'static str, Option<&'a str>)]) -> Result<Option<(&'static str, &'a str)>, Failure> {
    let mut named = flags.iter().filter_map(|(flag, value)| value.map(|value| (*flag, value)));
    match (named.next(), named.next()) {
        (Some((first, _)), Some((second, _))) => {
            Err(usage(format!("wanted one flag that names the key, found {first} and {second}")))
        }
        (one, _) => Ok(one),
    }
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Usage, message)
}
