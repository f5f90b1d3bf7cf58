//! The flags that name a key, its certificate and the secrets they want, as they stand on the command line.

use clap::ArgAction::Set;

use super::Failure;
use super::values::{SWITCH, parse, set, switch};
use crate::files::shell_word;
use crate::key::{CertificateReference, KeyReference};

/// Flags that name an identity
#[derive(clap::Args, Debug, Default)]
#[command(next_help_heading = "Key and certificate")]
pub struct IdentityArgs {
    /// Configuration file [default: KEYANCHOR_CONFIG, else ~/.config/keyanchor/config.toml]
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    pub(super) config: Option<String>,
    /// Take what no flag gives from [identity.NAME] of that file [default: KEYANCHOR_IDENTITY]
    #[arg(long, value_name = "NAME", help_heading = "Configuration")]
    pub(super) identity: Option<String>,
    /// Key and certificate on a PKCS#11 token, by one URI
    #[arg(long, value_name = "URI")]
    pub(super) pkcs11: Option<String>,
    /// Certificate: a PEM file or a pkcs11: URI; names the key too where no key is named
    #[arg(long, value_name = "FILE|URI")]
    pub(super) certificate: Option<String>,
    /// Private key: a PEM file, a TSS2 PEM file, a pkcs11: URI or handle:0x81…
    #[arg(long, value_name = "FILE|URI|HANDLE")]
    pub(super) private_key: Option<String>,
    /// Key in a TPM: a TSS2 PEM file or handle:0x81… (short form of --private-key)
    #[arg(long, value_name = "FILE|HANDLE")]
    pub(super) tpm: Option<String>,
    /// PEM file of certificates between the leaf and the trust anchor
    #[arg(long, value_name = "FILE")]
    pub(super) intermediates: Option<String>,
    /// PKCS#11 module [default: the URI's, else KEYANCHOR_PKCS11_LIB, else p11-kit-proxy]
    #[arg(long, value_name = "PATH")]
    pub(super) pkcs11_lib: Option<String>,
    /// Use the user PIN for keys that want a PIN for each signature
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH)]
    pub(super) reuse_pin: bool,
    /// Where the user PIN comes from: file:PATH, fd:N, env:NAME, credential:NAME or prompt
    #[arg(long, value_name = "SOURCE")]
    pub(super) pin_source: Option<String>,
    /// Where the PIN comes from that a key wants for each signature
    #[arg(long, value_name = "SOURCE")]
    pub(super) context_pin_source: Option<String>,
    /// Try the PIN although the token says that a wrong one would lock it
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH)]
    pub(super) use_final_try: bool,
    /// How long the device may work, prompts not counted [default: 60]
    #[arg(long, value_name = "SECONDS")]
    pub(super) token_timeout: Option<String>,
    /// Which TPM: a TCTI string [default: KEYANCHOR_TCTI, TPM_DEVICE, TPM2TOOLS_TCTI, TCTI, else /dev/tpmrm0]
    #[arg(long, value_name = "TCTI")]
    pub(super) tcti: Option<String>,
    /// Name, in hexadecimal, of the only TPM key that passwords may be encrypted to
    #[arg(long, value_name = "HEX")]
    pub(super) tpm_srk_name: Option<String>,
    /// Where the TPM key's password comes from
    #[arg(long, value_name = "SOURCE")]
    pub(super) tpm_password_source: Option<String>,
    /// Where the password of the TPM key's parent or hierarchy comes from
    #[arg(long, value_name = "SOURCE")]
    pub(super) tpm_parent_password_source: Option<String>,
    /// The TPM key's password itself; visible to other processes, prefer --tpm-password-source
    #[arg(long, value_name = "PASSWORD", hide = true)]
    pub(super) tpm_key_password: Option<RedactedArg>,
    /// The TPM key has no password
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH)]
    pub(super) no_tpm_key_password: bool,
    /// Password of an encrypted PKCS#8 file
    #[arg(long, value_name = "PASSWORD", hide = true)]
    pub(super) pkcs8_password: Option<RedactedArg>,
    /// Selects a certificate in another system's store; this build has none
    #[arg(long, value_name = "SELECTOR", hide = true)]
    pub(super) cert_selector: Option<String>,
    /// Names another system's store; this build has none
    #[arg(long, value_name = "NAME", hide = true)]
    pub(super) system_store_name: Option<String>,
    /// Belongs to --cert-selector; this build has none
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH, hide = true)]
    pub(super) use_latest_expiring_certificate: bool,
}

impl IdentityArgs {
    /// The flags that name the same key and certificate once more, for a shell; `identity` is that of the configuration file. No
    /// secrets: a URI loses its PIN.
    pub fn again(&self, identity: Option<&str>) -> Result<String, Failure> {
        let key = |flag, text: &Option<String>| {
            Ok::<_, Failure>(key_reference(flag, text.as_deref())?.map(|key| key.to_string()))
        };
        let certificate = parse::<CertificateReference>("--certificate", self.certificate.as_deref())?;
        let flags = [
            ("--config", self.config.clone()),
            ("--identity", identity.map(str::to_owned)),
            ("--pkcs11", key("--pkcs11", &self.pkcs11)?),
            ("--private-key", key("--private-key", &self.private_key)?),
            ("--tpm", key("--tpm", &self.tpm)?),
            ("--certificate", certificate.map(|certificate| certificate.to_string())),
            ("--intermediates", self.intermediates.clone()),
            ("--pkcs11-lib", self.pkcs11_lib.clone()),
            ("--pin-source", self.pin_source.clone()),
            ("--tcti", self.tcti.clone()),
        ];
        let given =
            flags.into_iter().filter_map(|(flag, value)| Some((flag, value.filter(|value| !value.is_empty())?)));
        Ok(given.map(|(flag, value)| format!(" {flag} {}", shell_word(&value))).collect())
    }
}

/// What a flag that names a key says. Behind `--tpm` a handle needs no `handle:`.
pub fn key_reference(flag: &str, text: Option<&str>) -> Result<Option<KeyReference>, Failure> {
    match set(text) {
        Some(digits) if flag == "--tpm" && is_handle(digits) => parse(flag, Some(&format!("handle:{digits}"))),
        text => parse(flag, text),
    }
}

/// Whether it can hardly be the name of a file.
fn is_handle(text: &str) -> bool {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or_default();
    digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// A password that the peer takes on the command line: it must not show in a Debug output.
#[derive(Clone)]
pub struct RedactedArg(pub(super) String);

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
