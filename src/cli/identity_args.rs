//! The flags that name a key, its certificate and the secrets they want, and what they mean together.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ArgAction::Set;

use super::failure::conclude;
use super::terminal::Terminal;
use super::values::{SWITCH, parse, seconds, set, switch};
use super::{Failure, FailureKind};
use crate::identity::IdentityReference;
use crate::key::{
    CertificateReference, DeviceOptions, Devices, KeyReference, Pkcs11Options, Secret, SecretKind, SecretSource,
    Secrets, TpmOptions,
};
use crate::process::end;

/// How long a device may work where no flag says otherwise.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(60);

/// Flags that name an identity
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Key and certificate")]
pub struct IdentityArgs {
    /// Key and certificate on a PKCS#11 token, by one URI
    #[arg(long, value_name = "URI")]
    pkcs11: Option<String>,
    /// Certificate: a PEM file or a pkcs11: URI; names the key too where no key is named
    #[arg(long, value_name = "FILE|URI")]
    certificate: Option<String>,
    /// Private key: a PEM file, a TSS2 PEM file, a pkcs11: URI or handle:0x81…
    #[arg(long, value_name = "FILE|URI|HANDLE")]
    private_key: Option<String>,
    /// Key in a TPM: a TSS2 PEM file or handle:0x81… (short form of --private-key)
    #[arg(long, value_name = "FILE|HANDLE")]
    tpm: Option<String>,
    /// PEM file of certificates between the leaf and the trust anchor
    #[arg(long, value_name = "FILE")]
    intermediates: Option<String>,
    /// PKCS#11 module [default: the URI's, else KEYANCHOR_PKCS11_LIB, else p11-kit-proxy]
    #[arg(long, value_name = "PATH")]
    pkcs11_lib: Option<String>,
    /// Use the user PIN for keys that want a PIN for each signature
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH)]
    reuse_pin: bool,
    /// Where the user PIN comes from: file:PATH, fd:N, env:NAME, credential:NAME or prompt
    #[arg(long, value_name = "SOURCE")]
    pin_source: Option<String>,
    /// Where the PIN comes from that a key wants for each signature
    #[arg(long, value_name = "SOURCE")]
    context_pin_source: Option<String>,
    /// Try the PIN although the token says that a wrong one would lock it
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH)]
    use_final_try: bool,
    /// How long the device may work, prompts not counted [default: 60]
    #[arg(long, value_name = "SECONDS")]
    token_timeout: Option<String>,
    /// Which TPM: a TCTI string [default: KEYANCHOR_TCTI, TPM_DEVICE, TPM2TOOLS_TCTI, TCTI, else /dev/tpmrm0]
    #[arg(long, value_name = "TCTI")]
    tcti: Option<String>,
    /// Name, in hexadecimal, of the only TPM key that passwords may be encrypted to
    #[arg(long, value_name = "HEX")]
    tpm_srk_name: Option<String>,
    /// Where the TPM key's password comes from
    #[arg(long, value_name = "SOURCE")]
    tpm_password_source: Option<String>,
    /// Where the password of the TPM key's parent or hierarchy comes from
    #[arg(long, value_name = "SOURCE")]
    tpm_parent_password_source: Option<String>,
    /// The TPM key's password itself; visible to other processes, prefer --tpm-password-source
    #[arg(long, value_name = "PASSWORD", hide = true)]
    tpm_key_password: Option<RedactedArg>,
    /// The TPM key has no password
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH)]
    no_tpm_key_password: bool,
    /// Password of an encrypted PKCS#8 file
    #[arg(long, value_name = "PASSWORD", hide = true)]
    pkcs8_password: Option<RedactedArg>,
    /// Selects a certificate in another system's store; this build has none
    #[arg(long, value_name = "SELECTOR", hide = true)]
    cert_selector: Option<String>,
    /// Names another system's store; this build has none
    #[arg(long, value_name = "NAME", hide = true)]
    system_store_name: Option<String>,
    /// Belongs to --cert-selector; this build has none
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, hide = true)]
    use_latest_expiring_certificate: bool,
}

/// A password that the peer takes on the command line: it must not show in a Debug output.
#[derive(Clone)]
pub struct RedactedArg(String);

impl From<String> for RedactedArg {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl std::fmt::Debug for RedactedArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

impl IdentityArgs {
    /// What the flags name, before anything is opened.
    pub fn reference(&self) -> Result<IdentityReference, Failure> {
        self.refuse_other_stores()?;
        let named = one_key(&[
            ("--private-key", set(self.private_key.as_deref())),
            ("--tpm", set(self.tpm.as_deref())),
            ("--pkcs11", set(self.pkcs11.as_deref())),
        ])?;
        let key: Option<KeyReference> = match named {
            Some((flag, text)) => parse(flag, Some(text))?,
            None => None,
        };
        let certificate: Option<CertificateReference> = parse("--certificate", self.certificate.as_deref())?;
        let intermediates = set(self.intermediates.as_deref()).map(PathBuf::from);
        let (key, certificate) = match (named, key, certificate) {
            (Some(("--pkcs11", _)), Some(KeyReference::Pkcs11(uri)), None) => {
                (None, Some(CertificateReference::Pkcs11(uri)))
            }
            // The value is not repeated: it may be a URI with a PIN that lacks its beginning.
            (Some(("--pkcs11", _)), Some(KeyReference::File(_) | KeyReference::Handle(_)), _) => {
                return Err(usage("--pkcs11: wanted a URI that begins with pkcs11:, found something else")
                    .with_hint("a key in a file or a TPM is named by --private-key"));
            }
            (_, None, None) => {
                return Err(usage("wanted a key or a certificate, found no flag that names one")
                    .with_hint("name both by one URI: --pkcs11 'pkcs11:token=NAME;object=LABEL'"));
            }
            (_, key, certificate) => (key, certificate),
        };
        Ok(IdentityReference { key, certificate, intermediates })
    }

    /// The same for a command that needs the key alone: `--pkcs11` then asks for no certificate.
    pub fn key_reference(&self) -> Result<IdentityReference, Failure> {
        match self.reference()? {
            IdentityReference { key: None, certificate: Some(CertificateReference::Pkcs11(uri)), intermediates }
                if set(self.certificate.as_deref()).is_none() =>
            {
                Ok(IdentityReference { key: Some(KeyReference::Pkcs11(uri)), certificate: None, intermediates })
            }
            reference => Ok(reference),
        }
    }

    /// The certificate, for a command that reads nothing else.
    pub fn certificate(&self) -> Result<CertificateReference, Failure> {
        self.reference()?.certificate.ok_or_else(|| {
            usage("wanted a certificate, found no --certificate and no --pkcs11")
                .with_hint("name one: --certificate FILE or --certificate 'pkcs11:token=NAME'")
        })
    }

    /// Everything that opening a device needs. Reads the environment, asks nobody.
    fn device_options(&self) -> Result<DeviceOptions, Failure> {
        Ok(DeviceOptions {
            secrets: Arc::new(self.secrets()?),
            limit: seconds("--token-timeout", self.token_timeout.as_deref())?.unwrap_or(TOKEN_TIMEOUT),
            pkcs11: Pkcs11Options {
                module: set(self.pkcs11_lib.as_deref()).map(PathBuf::from),
                default_module: env::var_os("KEYANCHOR_PKCS11_LIB").filter(|path| !path.is_empty()).map(PathBuf::from),
                reuse_pin: self.reuse_pin,
                use_final_try: self.use_final_try,
            },
            tpm: TpmOptions {
                tcti: set(self.tcti.as_deref()).map(str::to_owned),
                srk_name: parse("--tpm-srk-name", self.tpm_srk_name.as_deref())?,
                no_key_password: self.no_tpm_key_password,
            },
        })
    }

    /// Runs a command on devices, prints its failure and gives its exit code. The devices are closed after the output: a
    /// module that crashes when it is finalised must not cost the credentials.
    pub fn with_devices(&self, command: impl FnOnce(&mut Devices) -> Result<(), Failure>) -> u8 {
        let options = match self.device_options() {
            Ok(options) => options,
            Err(failure) => return conclude(Err(failure)),
        };
        let mut devices = Devices::new(options);
        let code = conclude(command(&mut devices));
        end::despite_crashes(code);
        devices.close();
        code
    }

    fn secrets(&self) -> Result<Secrets, Failure> {
        let mut secrets = Secrets::new(Arc::new(Terminal::new()));
        for (kind, flag) in [
            (SecretKind::UserPin, &self.pin_source),
            (SecretKind::ContextPin, &self.context_pin_source),
            (SecretKind::TpmKeyPassword, &self.tpm_password_source),
            (SecretKind::TpmParentPassword, &self.tpm_parent_password_source),
        ] {
            if let Some(source) = parse::<SecretSource>(kind.flag(), flag.as_deref())? {
                secrets.choose(kind, source);
            }
        }
        if self.context_pin_source.as_deref().is_some_and(|text| !text.is_empty()) && self.reuse_pin {
            return Err(usage("wanted --reuse-pin or --context-pin-source, found both"));
        }
        self.peer_passwords(&mut secrets)?;
        Ok(secrets)
    }

    fn peer_passwords(&self, secrets: &mut Secrets) -> Result<(), Failure> {
        let password = self.tpm_key_password.as_ref().map(|arg| arg.0.as_str());
        let Some(password) = set(password) else { return Ok(()) };
        if self.no_tpm_key_password {
            return Err(usage("wanted --tpm-key-password or --no-tpm-key-password, found both"));
        }
        if self.reuse_pin {
            return Err(usage("wanted --tpm-key-password or --reuse-pin, found both"));
        }
        if self.pkcs8_password.as_ref().is_some_and(|arg| !arg.0.is_empty()) {
            return Err(usage("wanted --tpm-key-password or --pkcs8-password, found both"));
        }
        if secrets.is_chosen(SecretKind::TpmKeyPassword) {
            return Err(usage("wanted --tpm-key-password or --tpm-password-source, found both"));
        }
        let secret = Secret::new(password.as_bytes().to_vec());
        secrets.choose(SecretKind::TpmKeyPassword, SecretSource::Given(Arc::new(secret)));
        Ok(())
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
