//! Making keys that never leave their device: what is wanted, and what was made. Knows no device.

use super::algorithm::KeyAlgorithm;
use super::error::KeyError;
use super::public::PublicKey;
use super::tpm::Handle;

/// Makes key pairs on a device.
pub trait KeyGeneration {
    /// Makes a key pair that signs, does nothing else and cannot be exported, under the name that the reference gives.
    ///
    /// Fails with [`KeyErrorKind::Taken`](super::KeyErrorKind::Taken) where something has that name, and before anything is made
    /// then. What was made is taken out again where something fails later. One login at most.
    fn generate(&self, new: &NewKey) -> Result<GeneratedKey, KeyError>;
}

/// The key to make.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// RSA-2048, RSA-3072, RSA-4096, P-256, P-384 or P-521; devices lack some of them.
    pub algorithm: KeyAlgorithm,
    /// What only a TPM knows.
    pub tpm: NewTpmKey,
}

impl NewKey {
    /// A key of this kind, with nothing else demanded of it.
    pub fn new(algorithm: KeyAlgorithm) -> Self {
        Self { algorithm, tpm: NewTpmKey::default() }
    }
}

/// Choices for a new key that only a TPM knows.
#[derive(Clone, Debug, Default)]
pub struct NewTpmKey {
    /// A persistent storage key to put it under; else the owner hierarchy's P-256 primary key.
    pub parent: Option<Handle>,
    /// Whether it gets the password that the source of [`SecretKind::TpmKeyPassword`](super::SecretKind::TpmKeyPassword) gives.
    /// Without one it is exempt from dictionary-attack protection, so that lockout does not stop it.
    pub with_password: bool,
    /// In a key file: what the key is for. tpm2-openssl 1.1 and aws_signing_helper 1.8 do not read files that have one.
    pub description: Option<String>,
}

/// A key that was made.
#[derive(Clone, Debug)]
pub struct GeneratedKey {
    /// A reference without secrets that selects it.
    pub reference: String,
    /// Its public half.
    pub public_key: PublicKey,
}
