//! What is signed and what comes out: the one place where a message is hashed (law 3), and the signature's encoding.

use std::cell::OnceCell;

use aws_lc_rs::digest;

use super::algorithm::{Curve, HashAlgorithm};
use super::error::{KeyError, KeyErrorKind};

/// A message with its digest, computed at most once. A backend takes whichever its mechanism needs and cannot hash again:
/// the digest for CKM_ECDSA, CKM_RSA_PKCS and a TPM, the message for mechanisms that hash themselves.
#[derive(Debug)]
pub struct SigningInput {
    message: Vec<u8>,
    hash: HashAlgorithm,
    digest: OnceCell<digest::Digest>,
}

impl SigningInput {
    /// The message to be signed, and the hash that its signature uses.
    pub fn new(message: Vec<u8>, hash: HashAlgorithm) -> Self {
        Self { message, hash, digest: OnceCell::new() }
    }

    /// The message as it is, for mechanisms that hash themselves or do not hash.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The hash that the signature uses.
    pub fn hash(&self) -> HashAlgorithm {
        self.hash
    }

    /// The digest of the message under [`hash`](Self::hash).
    pub fn digest(&self) -> &[u8] {
        self.digest_value().as_ref()
    }

    /// The PKCS#1 DigestInfo: DER prefix, then the digest. Input of CKM_RSA_PKCS.
    pub fn digest_info(&self) -> Vec<u8> {
        [&self.hash.digest_info_prefix(), self.digest()].concat()
    }

    pub(super) fn digest_value(&self) -> &digest::Digest {
        self.digest.get_or_init(|| digest::digest(digest_algorithm(self.hash), &self.message))
    }
}

pub(super) fn digest_algorithm(hash: HashAlgorithm) -> &'static digest::Algorithm {
    match hash {
        HashAlgorithm::Sha256 => &digest::SHA256,
        HashAlgorithm::Sha384 => &digest::SHA384,
        HashAlgorithm::Sha512 => &digest::SHA512,
    }
}

/// A finished signature: k octets for RSA, DER `SEQUENCE { INTEGER r, INTEGER s }` for ECDSA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature(Vec<u8>);

impl Signature {
    /// An RSA signature as every device returns it: as many octets as the modulus has.
    pub fn from_rsa(octets: Vec<u8>) -> Self {
        Self(octets)
    }

    /// An ECDSA signature that is in DER already, as software returns it.
    pub fn from_ecdsa_der(der: Vec<u8>) -> Self {
        Self(der)
    }

    /// An ECDSA signature as PKCS#11 returns it: r ‖ s, each padded to the field's length (PKCS#11 3.0 §2.3.1).
    ///
    /// Fails where the length is not that of two field elements.
    pub fn from_ecdsa_fixed(curve: Curve, fixed: &[u8]) -> Result<Self, KeyError> {
        let half = curve.field_len();
        if fixed.len() != 2 * half {
            return Err(KeyError::new(
                KeyErrorKind::Device,
                format!(
                    "wanted an ECDSA signature of {} octets for {curve}, the device returned {}",
                    2 * half,
                    fixed.len()
                ),
            ));
        }
        let (r, s) = fixed.split_at(half);
        Self::from_ecdsa_integers(r, s)
    }

    /// An ECDSA signature as a TPM returns it: r and s as unsigned big-endian integers of any length.
    ///
    /// Fails where an integer is empty or longer than any curve here allows.
    pub fn from_ecdsa_integers(r: &[u8], s: &[u8]) -> Result<Self, KeyError> {
        use der::Encode;
        let body = || -> der::Result<Vec<u8>> {
            let r = der::asn1::UintRef::new(r)?;
            let s = der::asn1::UintRef::new(s)?;
            [r, s].to_der()
        };
        body().map(Self).map_err(|source| {
            KeyError::new(KeyErrorKind::Device, "the device returned an ECDSA signature that is not two integers")
                .with_source(source)
        })
    }

    /// The octets, in the encoding that the type's documentation names.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_and_s_become_minimal_positive_integers() {
        let mut fixed = [0u8; 64];
        fixed[31] = 0x7f;
        fixed[32] = 0x80;
        let der = Signature::from_ecdsa_fixed(Curve::P256, &fixed).unwrap();
        let mut wanted = vec![0x30, 0x26, 0x02, 0x01, 0x7f, 0x02, 0x21, 0x00, 0x80];
        wanted.extend([0; 31]);
        assert_eq!(der.as_bytes(), wanted);
    }

    #[test]
    fn p521_takes_a_two_octet_length() {
        let der = Signature::from_ecdsa_fixed(Curve::P521, &[0x01; 132]).unwrap();
        assert_eq!(&der.as_bytes()[..3], [0x30, 0x81, 0x88]);
    }

    #[test]
    fn a_signature_of_the_wrong_length_is_refused() {
        let error = Signature::from_ecdsa_fixed(Curve::P256, &[1; 63]).unwrap_err();
        assert!(error.to_string().contains("64 octets for P-256, the device returned 63"), "{error}");
    }
}
