//! Storing certificates beside their keys. Knows no X.509: whoever reads certificates says what is in them.

use super::device::StoredCertificate;
use super::error::KeyError;
use super::public::PublicKey;

/// Stores and removes certificates on a device. One login at most.
pub trait CertificateStore {
    /// Whether a certificate of this key can be stored under this label: everything that [`import`](Self::import) looks at and
    /// may refuse, the login too, before there is a certificate.
    fn admit(&self, public_key: &PublicKey, label: Option<&[u8]>, others: &Others) -> Result<(), KeyError>;

    /// Stores the certificate with the CKA_ID of its key, which is the one that the reference selects, reads it back and compares.
    /// A certificate that is there already, octet for octet, is left as it is.
    ///
    /// Fails with [`KeyErrorKind::Mismatch`](super::KeyErrorKind::Mismatch) where the selected key is another one, and with
    /// [`KeyErrorKind::Taken`](super::KeyErrorKind::Taken) where another certificate has the key's CKA_ID (unless `others` says what
    /// becomes of it) or another key's has the label. Nothing is changed then.
    fn import(&self, new: &NewCertificate, others: Others) -> Result<StoredCertificate, KeyError>;

    /// Removes the one certificate that the reference selects, and gives back what was there.
    fn remove(&self) -> Result<StoredCertificate, KeyError>;
}

/// What becomes of the certificates that a key has already. A token with one place for each key overwrites its own in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Others {
    /// They stand in the way.
    Refuse,
    /// They stay beside the new one.
    Keep,
    /// They are removed after the new one is written.
    Remove,
    /// The one with this DER is removed after the new one is written; the others stay.
    RemoveOne(Vec<u8>),
}

impl Others {
    /// Whether the certificate with this DER is to be removed.
    pub fn removes(&self, der: &[u8]) -> bool {
        match self {
            Self::Refuse | Self::Keep => false,
            Self::Remove => true,
            Self::RemoveOne(old) => old == der,
        }
    }
}

/// A certificate to be stored, with the parts that a device searches by.
#[derive(Clone, Debug)]
pub struct NewCertificate {
    /// DER of the certificate.
    pub der: Vec<u8>,
    /// DER of its subject, a `Name`.
    pub subject: Vec<u8>,
    /// DER of its issuer, a `Name`.
    pub issuer: Vec<u8>,
    /// DER of its serial number, an `INTEGER`.
    pub serial: Vec<u8>,
    /// The public key that it certifies.
    pub public_key: PublicKey,
    /// CKA_LABEL; without one, the reference's, else the key's.
    pub label: Option<Vec<u8>>,
}
