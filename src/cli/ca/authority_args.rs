//! The flags for the secrets of an authority's key. They have names of their own, so that they never give a secret to the key that
//! is certified, nor take one from it.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::Failure;
use crate::cli::identity_settings::TOKEN_TIMEOUT;
use crate::cli::terminal::Terminal;
use crate::cli::values::{parse, seconds};
use crate::key::{DeviceOptions, Pkcs11Options, SecretKind, SecretOwner, SecretSource, Secrets, TpmOptions};
use crate::provision::ca::KeySettings;

/// Flags for the secrets of the authority's key
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Key of the authority")]
pub struct AuthorityKeyArgs {
    /// Where its user PIN comes from: file:PATH, fd:N, env:NAME, credential:NAME or prompt
    #[arg(long, value_name = "SOURCE")]
    ca_pin_source: Option<String>,
    /// Where the PIN comes from that it wants for each signature
    #[arg(long, value_name = "SOURCE")]
    ca_context_pin_source: Option<String>,
    /// Where its TPM password comes from
    #[arg(long, value_name = "SOURCE")]
    ca_tpm_password_source: Option<String>,
    /// Where the password of its parent or hierarchy in the TPM comes from
    #[arg(long, value_name = "SOURCE")]
    ca_tpm_parent_password_source: Option<String>,
}

impl AuthorityKeyArgs {
    /// The sources that flags choose.
    pub fn sources(&self) -> Result<Vec<(SecretKind, SecretSource)>, Failure> {
        let flags = [
            (SecretKind::UserPin, &self.ca_pin_source),
            (SecretKind::ContextPin, &self.ca_context_pin_source),
            (SecretKind::TpmKeyPassword, &self.ca_tpm_password_source),
            (SecretKind::TpmParentPassword, &self.ca_tpm_parent_password_source),
        ];
        let mut sources = Vec::new();
        for (kind, flag) in flags {
            let name = kind.names(SecretOwner::Authority).flag;
            sources.extend(parse::<SecretSource>(name, flag.as_deref())?.map(|source| (kind, source)));
        }
        Ok(sources)
    }

    /// Everything that opening a key of the authority needs: flags win over `ca.toml`. Reads the environment, asks nobody.
    pub fn device_options(&self, key: &KeySettings, timeout: Option<&str>) -> Result<DeviceOptions, Failure> {
        let mut secrets = Secrets::of(SecretOwner::Authority, Arc::new(Terminal::new()));
        for (kind, source) in key.secrets.iter().cloned().chain(self.sources()?) {
            secrets.choose(kind, source);
        }
        let default_module = env::var_os("KEYANCHOR_PKCS11_LIB").filter(|path| !path.is_empty()).map(PathBuf::from);
        Ok(DeviceOptions {
            secrets: Arc::new(secrets),
            limit: seconds("--token-timeout", timeout)?.unwrap_or(TOKEN_TIMEOUT),
            pkcs11: Pkcs11Options { module: key.pkcs11_lib.clone(), default_module, ..Pkcs11Options::default() },
            tpm: TpmOptions { tcti: key.tcti.clone(), ..TpmOptions::default() },
        })
    }
}
