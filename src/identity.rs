//! Joins key, leaf and chain by public key: the only place where they meet.

use crate::key::SigningKey;
use crate::x509::Certificate;

/// Who this workload is: a key, the certificate of that key, and the issuers on the way to the trust anchor.
pub struct Identity {
    /// Signs; its public half is the leaf's.
    pub key: Box<dyn SigningKey>,
    /// The end-entity certificate.
    pub leaf: Certificate,
    /// The leaf's issuer, then its issuer and so on; neither leaf nor root.
    pub chain: Vec<Certificate>,
}
