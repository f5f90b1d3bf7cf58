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

/// Whose key wants a secret. A certificate authority's key and the key that it certifies may be at work in one command: flag,
/// variable and credential of one never give a secret to the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecretOwner {
    /// The key of an identity.
    #[default]
    Identity,
    /// The key of a certificate authority.
    Authority,
}

/// How a secret is named where a source for it is sought.
#[derive(Clone, Copy, Debug)]
pub struct SecretNames {
    /// The flag that names a source.
    pub flag: &'static str,
    /// The environment variable that holds the secret itself.
    pub variable: &'static str,
    /// The systemd credential that is looked for where nothing else names a source.
    pub credential: &'static str,
}

impl SecretKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::UserPin, Self::ContextPin, Self::TpmKeyPassword, Self::TpmParentPassword];

    /// The environment variable that holds an identity's secret itself.
    pub const fn variable(self) -> &'static str {
        self.names(SecretOwner::Identity).variable
    }

    /// The flag that names a source of an identity's.
    pub const fn flag(self) -> &'static str {
        self.names(SecretOwner::Identity).flag
    }

    /// What the secret of this owner is called.
    pub const fn names(self, owner: SecretOwner) -> SecretNames {
        use SecretOwner::{Authority, Identity};
        let (flag, variable, credential) = match (owner, self) {
            (Identity, Self::UserPin) => ("--pin-source", "KEYANCHOR_PIN", "keyanchor.pin"),
            (Identity, Self::ContextPin) => ("--context-pin-source", "KEYANCHOR_CONTEXT_PIN", "keyanchor.context-pin"),
            (Identity, Self::TpmKeyPassword) => {
                ("--tpm-password-source", "KEYANCHOR_TPM_PASSWORD", "keyanchor.tpm-password")
            }
            (Identity, Self::TpmParentPassword) => {
                ("--tpm-parent-password-source", "KEYANCHOR_TPM_PARENT_PASSWORD", "keyanchor.tpm-parent-password")
            }
            (Authority, Self::UserPin) => ("--ca-pin-source", "KEYANCHOR_CA_PIN", "keyanchor.ca-pin"),
            (Authority, Self::ContextPin) => {
                ("--ca-context-pin-source", "KEYANCHOR_CA_CONTEXT_PIN", "keyanchor.ca-context-pin")
            }
            (Authority, Self::TpmKeyPassword) => {
                ("--ca-tpm-password-source", "KEYANCHOR_CA_TPM_PASSWORD", "keyanchor.ca-tpm-password")
            }
            (Authority, Self::TpmParentPassword) => (
                "--ca-tpm-parent-password-source",
                "KEYANCHOR_CA_TPM_PARENT_PASSWORD",
                "keyanchor.ca-tpm-parent-password",
            ),
        };
        SecretNames { flag, variable, credential }
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
