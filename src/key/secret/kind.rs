//! Which secrets there are, and where each is looked for. Knows no source's content.

use std::fmt;

/// Which secret a device wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// The user PIN of a PKCS#11 token.
    UserPin,
    /// The PIN that an always-authenticate key wants for each signature.
    ContextPin,
    /// The password of a TPM key.
    TpmKeyPassword,
    /// The password of a TPM key's parent or hierarchy.
    TpmParentPassword,
}

impl SecretKind {
    /// The environment variable that holds the secret itself.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::UserPin => "KEYANCHOR_PIN",
            Self::ContextPin => "KEYANCHOR_CONTEXT_PIN",
            Self::TpmKeyPassword => "KEYANCHOR_TPM_PASSWORD",
            Self::TpmParentPassword => "KEYANCHOR_TPM_PARENT_PASSWORD",
        }
    }

    /// The flag that names a source.
    pub const fn flag(self) -> &'static str {
        match self {
            Self::UserPin => "--pin-source",
            Self::ContextPin => "--context-pin-source",
            Self::TpmKeyPassword => "--tpm-password-source",
            Self::TpmParentPassword => "--tpm-parent-password-source",
        }
    }

    /// The systemd credential that is looked for where nothing else names a source.
    pub const fn credential(self) -> &'static str {
        match self {
            Self::UserPin => "keyanchor.pin",
            Self::ContextPin => "keyanchor.context-pin",
            Self::TpmKeyPassword => "keyanchor.tpm-password",
            Self::TpmParentPassword => "keyanchor.tpm-parent-password",
        }
    }
}

impl fmt::Display for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UserPin => "user PIN",
            Self::ContextPin => "context PIN",
            Self::TpmKeyPassword => "TPM key password",
            Self::TpmParentPassword => "TPM parent password",
        })
    }
}
