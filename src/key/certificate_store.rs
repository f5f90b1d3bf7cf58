//! Storing certificates beside their keys. Knows no X.509: whoever reads certificates says what is in them.

use super::device::StoredCertificate;
use super::error::KeyError;
use super::public::PublicKey;

/// Stores and removes certificates on a device. One login at most.
pub trait CertificateStore {
    /// Whether a certificate of this key can be stored under this label: everything that [`import`](Self::import) looks at and
    /// may refuse, the login too, before there is a certificate.
    fn admit(&self, public_key: &PublicKey, label: Option<&[u8]>, replace: bool) -> Result<(), KeyError>;

    /// Stores the certificate with the CKA_ID of its key, which is the one that the reference selects, reads it back and compares.
    /// A certificate that is there already, octet for octet, is left as it is.
    ///
    /// Fails with [`KeyErrorKind::Mismatch`](super::KeyErrorKind::Mismatch) where the selected key is another one, and with
    /// [`KeyErrorKind::Taken`](super::KeyErrorKind::Taken) where another certificate has the key's CKA_ID (unless `replace` is set:
    /// it is removed after the new one is written) or another key's has the label. Nothing is changed then.
    fn import(&self, new: &NewCertificate, replace: bool) -> Result<StoredCertificate, KeyError>;

    /// Removes the one certificate that the reference selects, and gives back what was there.
    fn remove(&self) -> Result<StoredCertificate, KeyError>;
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
