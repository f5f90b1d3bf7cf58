//! The small traits that every backend implements: opening a key, signing with it, listing what a device holds.
//! Further capabilities are further traits: [`Inventory`](super::Inventory), [`KeyGeneration`](super::KeyGeneration),
//! [`CertificateStore`](super::CertificateStore).

use std::sync::Arc;
use std::time::Duration;

use super::error::KeyError;
use super::public::PublicKey;
use super::secret::Secrets;
use super::signing::{Signature, SigningInput};
use super::tpm::Name;

/// An opened device (a token, a TPM, a file), seen through the reference that named it. It holds the one session and the one
/// login, which all keys and certificates opened through it share.
pub trait Device: Send + Sync {
    /// Opens the private key that the reference selects. Logs in where the device wants that, at most once per device.
    fn open_key(&self, wanted: &WantedKey) -> Result<Box<dyn SigningKey>, KeyError>;

    /// What the device can list; `None` where it holds nothing but one key.
    fn listing(&self) -> Option<&dyn Listing>;
}

/// A key that is ready to sign: it knows its public half and sends the raw operation to its device.
pub trait SigningKey: Send + Sync {
    /// The public half; `None` where the device shows none and no certificate told it.
    fn public_key(&self) -> Option<&PublicKey>;

    /// A reference without secrets that selects this key again.
    fn reference(&self) -> &str;

    /// Asks for the secrets that [`sign`](Self::sign) will want, so that nothing waits for a person later. No device operation.
    fn gather_secrets(&self) -> Result<(), KeyError>;

    /// One device signature over the input: RSASSA-PKCS1-v1_5 octets or DER ECDSA. The input hashes, the device does not.
    fn sign(&self, input: &SigningInput) -> Result<Signature, KeyError>;
}

/// Lists certificates and keys, without their secrets.
pub trait Listing {
    /// The certificates that the reference selects. Without login, unless nothing is found and one token matches.
    fn certificates(&self) -> Result<Vec<StoredCertificate>, KeyError>;

    /// Certificates on the same device whose subject is this DER `Name`, whatever else the reference says: the way up from a
    /// leaf to its issuers. None of them, and no device operation, where [`certificates`](Self::certificates) has given every
    /// certificate there is.
    fn issuers(&self, subject: &[u8]) -> Result<Vec<StoredCertificate>, KeyError>;

    /// The private keys that the reference selects, with their public halves. Logs in where the device wants that. Where
    /// `certified` is not empty, keys of other algorithms than these may be left out.
    fn keys(&self, certified: &[PublicKey]) -> Result<Vec<StoredKey>, KeyError>;
}

/// A certificate as a device stores it.
#[derive(Clone, Debug)]
pub struct StoredCertificate {
    /// DER of the certificate.
    pub der: Vec<u8>,
    /// CKA_ID, which its key shares; empty or `None` where there is none.
    pub id: Option<Vec<u8>>,
    /// A reference without secrets that selects this certificate.
    pub reference: String,
}

/// A private key as a device stores it.
#[derive(Clone, Debug)]
pub struct StoredKey {
    /// The public half, where the device shows it.
    pub public_key: Option<PublicKey>,
    /// CKA_ID; empty or `None` where there is none.
    pub id: Option<Vec<u8>>,
    /// A reference without secrets that selects this key.
    pub reference: String,
}

/// What is known of the key that is wanted, beyond the reference.
#[derive(Clone, Debug, Default)]
pub struct WantedKey {
    /// The certificate that the key belongs to.
    pub certificate: Option<CertificateOfKey>,
    /// The reference named the certificate, and the key is inferred from it: where its label matches no key, CKA_ID decides
    ///
    /// (draft-woodhouse-cert-best-practice §8.2).
    pub inferred: bool,
}

/// What a certificate tells about the key it certifies.
#[derive(Clone, Debug)]
pub struct CertificateOfKey {
    /// The certified public key.
    pub public_key: PublicKey,
    /// CKA_ID of the certificate where it was found on a token.
    pub id: Option<Vec<u8>>,
}

/// What all backends need to open a device.
#[derive(Clone, Debug)]
pub struct DeviceOptions {
    /// Where secrets come from, and whom to ask and to tell.
    pub secrets: Arc<Secrets>,
    /// How long a device may work on one request; time that a person takes at a prompt is not counted.
    pub limit: Duration,
    /// PKCS#11: modules and PIN rules.
    pub pkcs11: Pkcs11Options,
    /// TPM: the way to it and password rules.
    pub tpm: TpmOptions,
}

/// Choices that only PKCS#11 knows.
#[derive(Clone, Debug, Default)]
pub struct Pkcs11Options {
    /// Module named by a flag: wins over the reference.
    pub module: Option<std::path::PathBuf>,
    /// Module for references that name none.
    pub default_module: Option<std::path::PathBuf>,
    /// Use the user PIN for the context login of always-authenticate keys.
    pub reuse_pin: bool,
    /// Try the PIN although the token says that one wrong PIN locks it.
    pub use_final_try: bool,
    /// Look only at what tokens show without a login: none is made, whatever they want.
    pub without_login: bool,
}

/// Choices that only the TPM backend knows.
#[derive(Clone, Debug, Default)]
pub struct TpmOptions {
    /// TCTI string (`swtpm:path=…`, `device:/dev/tpmrm0`) or path named by a flag: wins over the environment.
    pub tcti: Option<String>,
    /// The name that the key must have to which sessions are salted; others are refused.
    pub srk_name: Option<Name>,
    /// The key has no password: none is asked for. The peer's `--no-tpm-key-password`.
    pub no_key_password: bool,
    /// The file that is named has a key in a TPM; any other key in it is refused.
    pub expected: bool,
}
