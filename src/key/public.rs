//! Public keys: read from what certificates, tokens, TPMs and files show, compared, and used to check a signature in
//! software before it is sent.

use std::fmt;

use aws_lc_rs::signature as verify;
use const_oid::db::rfc5912;
use der::asn1::{BitStringRef, UintRef};
use der::{Decode, Encode, Sequence};
use sha2::{Digest, Sha256};
use spki::SubjectPublicKeyInfoRef;

use super::algorithm::{Curve, HashAlgorithm, KeyAlgorithm};
use super::error::{KeyError, KeyErrorKind};
use super::signing::{Signature, SigningInput};

/// The smallest and largest modulus this program signs with; AWS names no limits, the library that verifies has these.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A public key, normalised so that two of them are equal exactly when the keys are.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    algorithm: KeyAlgorithm,
    /// DER `RSAPublicKey` (RFC 8017 §A.1.1), or the uncompressed point 04 ‖ X ‖ Y.
    raw: Vec<u8>,
}

/// RFC 8017 §A.1.1.
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

impl PublicKey {
    /// From a DER `SubjectPublicKeyInfo`, as a certificate or CKA_PUBLIC_KEY_INFO holds it.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, KeyError> {
        let info = SubjectPublicKeyInfoRef::from_der(spki)
            .map_err(|source| unreadable("a SubjectPublicKeyInfo in DER").with_source(source))?;
        let bits = info.subject_public_key.as_bytes().ok_or_else(|| unreadable("a key of whole octets"))?;
        match info.algorithm.oid {
            rfc5912::RSA_ENCRYPTION => {
                let key = RsaPublicKey::from_der(bits)
                    .map_err(|source| unreadable("an RSAPublicKey in DER").with_source(source))?;
                Self::from_rsa(key.modulus.as_bytes(), key.public_exponent.as_bytes())
            }
            rfc5912::ID_EC_PUBLIC_KEY => {
                let parameters = info
                    .algorithm
                    .parameters
                    .and_then(|parameters| parameters.to_der().ok())
                    .ok_or_else(|| unreadable("a named curve"))?;
                Self::from_ec(Self::curve(&parameters)?, bits)
            }
            other => Err(KeyError::new(
                KeyErrorKind::Unsupported,
                format!("wanted an RSA or EC public key, found algorithm {}", name_of(other)),
            )),
        }
    }

    /// The curve that DER `ECParameters` name (CKA_EC_PARAMS); an error names the curve that is not supported.
    pub fn curve(parameters: &[u8]) -> Result<Curve, KeyError> {
        Curve::from_oid_der(parameters).ok_or_else(|| {
            let found = der::asn1::ObjectIdentifier::from_der(parameters)
                .map_or_else(|_| "parameters that name no curve".to_owned(), name_of);
            KeyError::new(KeyErrorKind::Unsupported, format!("wanted curve P-256, P-384 or P-521, found {found}"))
        })
    }

    /// From modulus and public exponent, unsigned and big-endian, leading zeros allowed.
    pub fn from_rsa(modulus: &[u8], public_exponent: &[u8]) -> Result<Self, KeyError> {
        let invalid = |source: der::Error| unreadable("an RSA modulus and exponent").with_source(source);
        let modulus = UintRef::new(modulus).map_err(invalid)?;
        let public_exponent = UintRef::new(public_exponent).map_err(invalid)?;
        let bits = bit_len(modulus.as_bytes());
        if !RSA_BITS.contains(&bits) {
            return Err(KeyError::new(
                KeyErrorKind::Unsupported,
                format!("wanted an RSA key of {} to {} bits, found {bits}", RSA_BITS.start(), RSA_BITS.end()),
            ));
        }
        let raw = RsaPublicKey { modulus, public_exponent }.to_der().map_err(invalid)?;
        Ok(Self { algorithm: KeyAlgorithm::Rsa { bits }, raw })
    }

    /// From an uncompressed point (04 ‖ X ‖ Y), as CKA_EC_POINT holds it, bare or in a DER OCTET STRING: tokens do either
    /// (PKCS#11 3.0 §2.3.3 says the latter), and the length tells which.
    pub fn from_ec(curve: Curve, point: &[u8]) -> Result<Self, KeyError> {
        let wanted = curve.point_len();
        let inner = if point.len() == wanted {
            point
        } else {
            <&der::asn1::OctetStringRef>::from_der(point).map_or(point, |octets| octets.as_bytes())
        };
        if inner.len() != wanted || inner.first() != Some(&0x04) {
            return Err(KeyError::new(
                KeyErrorKind::Unsupported,
                format!("wanted an uncompressed point of {wanted} octets for {curve}, found {} octets", inner.len()),
            ));
        }
        Ok(Self { algorithm: KeyAlgorithm::Ec(curve), raw: inner.to_vec() })
    }

    /// What kind of key this is.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// DER `RSAPublicKey`, or the uncompressed point: the contents of the `subjectPublicKey` BIT STRING.
    pub fn as_raw(&self) -> &[u8] {
        &self.raw
    }

    /// DER `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7).
    pub fn to_spki_der(&self) -> Result<Vec<u8>, KeyError> {
        let build = || -> der::Result<Vec<u8>> {
            let (oid, parameters) = match self.algorithm {
                KeyAlgorithm::Rsa { .. } => (rfc5912::RSA_ENCRYPTION, der::AnyRef::NULL),
                KeyAlgorithm::Ec(curve) => (rfc5912::ID_EC_PUBLIC_KEY, der::AnyRef::from_der(curve.oid_der())?),
            };
            SubjectPublicKeyInfoRef {
                algorithm: spki::AlgorithmIdentifierRef { oid, parameters: Some(parameters) },
                subject_public_key: BitStringRef::from_bytes(&self.raw)?,
            }
            .to_der()
        };
        build().map_err(|source| unreadable("a key that fits a SubjectPublicKeyInfo").with_source(source))
    }

    /// SHA-256 over the DER `SubjectPublicKeyInfo` in lower-case hexadecimal: what
    /// `openssl pkey -pubin -outform DER | sha256sum` prints.
    pub fn fingerprint(&self) -> String {
        let spki = self.to_spki_der().unwrap_or_default();
        Sha256::digest(&spki).iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// Refuses a key that is not the one the certificate certifies, before anything is signed. `self` is the certified key,
    /// `key` the public half of the one that `reference` names.
    pub fn require(&self, key: &Self, reference: &str) -> Result<(), KeyError> {
        if self == key {
            return Ok(());
        }
        Err(KeyError::new(
            KeyErrorKind::Mismatch,
            format!(
                "wanted the private key of the certificate ({} key with SHA-256 fingerprint {}), found another in {reference} \
                 ({} key with fingerprint {})",
                self.algorithm,
                self.fingerprint(),
                key.algorithm,
                key.fingerprint()
            ),
        ))
    }

    /// Checks a signature over the input's digest, in software, without asking the device and without hashing again.
    pub fn verify(&self, input: &SigningInput, signature: &Signature) -> Result<(), KeyError> {
        let outcome = match self.algorithm {
            KeyAlgorithm::Rsa { .. } => verify::UnparsedPublicKey::new(rsa_algorithm(input.hash()), &self.raw)
                .verify_digest(input.digest_value(), signature.as_bytes()),
            KeyAlgorithm::Ec(curve) => verify::UnparsedPublicKey::new(ecdsa_algorithm(curve, input.hash()), &self.raw)
                .verify_digest(input.digest_value(), signature.as_bytes()),
        };
        outcome.map_err(|_| {
            KeyError::new(
                KeyErrorKind::Device,
                format!("the device's signature does not verify under its {} public key", self.algorithm),
            )
        })
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.algorithm)
    }
}

fn rsa_algorithm(hash: HashAlgorithm) -> &'static verify::RsaParameters {
    match hash {
        HashAlgorithm::Sha256 => &verify::RSA_PKCS1_2048_8192_SHA256,
        HashAlgorithm::Sha384 => &verify::RSA_PKCS1_2048_8192_SHA384,
        HashAlgorithm::Sha512 => &verify::RSA_PKCS1_2048_8192_SHA512,
    }
}

fn ecdsa_algorithm(curve: Curve, hash: HashAlgorithm) -> &'static verify::EcdsaVerificationAlgorithm {
    match (curve, hash) {
        (Curve::P256, HashAlgorithm::Sha256) => &verify::ECDSA_P256_SHA256_ASN1,
        (Curve::P256, HashAlgorithm::Sha384) => &verify::ECDSA_P256_SHA384_ASN1,
        (Curve::P256, HashAlgorithm::Sha512) => &verify::ECDSA_P256_SHA512_ASN1,
        (Curve::P384, HashAlgorithm::Sha256) => &verify::ECDSA_P384_SHA256_ASN1,
        (Curve::P384, HashAlgorithm::Sha384) => &verify::ECDSA_P384_SHA384_ASN1,
        (Curve::P384, HashAlgorithm::Sha512) => &verify::ECDSA_P384_SHA512_ASN1,
        (Curve::P521, HashAlgorithm::Sha256) => &verify::ECDSA_P521_SHA256_ASN1,
        (Curve::P521, HashAlgorithm::Sha384) => &verify::ECDSA_P521_SHA384_ASN1,
        (Curve::P521, HashAlgorithm::Sha512) => &verify::ECDSA_P521_SHA512_ASN1,
    }
}

fn bit_len(modulus: &[u8]) -> usize {
    modulus.first().map_or(0, |top| modulus.len() * 8 - top.leading_zeros() as usize)
}

/// Algorithms and curves that keys come with and that this program does not sign with, by the names people use.
const OTHERS: [(&str, &str); 10] = [
    ("1.2.840.10040.4.1", "DSA"),
    ("1.3.101.110", "X25519"),
    ("1.3.101.112", "Ed25519"),
    ("1.3.101.113", "Ed448"),
    ("1.3.132.0.10", "curve secp256k1"),
    ("1.3.36.3.3.2.8.1.1.7", "curve brainpoolP256r1"),
    ("1.3.36.3.3.2.8.1.1.11", "curve brainpoolP384r1"),
    ("2.16.840.1.101.3.4.3.17", "ML-DSA-44"),
    ("2.16.840.1.101.3.4.3.18", "ML-DSA-65"),
    ("2.16.840.1.101.3.4.3.19", "ML-DSA-87"),
];

/// The name of an algorithm or curve, with its object identifier.
pub(super) fn name_of(oid: der::asn1::ObjectIdentifier) -> String {
    let number = oid.to_string();
    let known = OTHERS.iter().find(|(other, _)| *other == number).map(|(_, name)| *name);
    match known.or_else(|| const_oid::db::DB.by_oid(&oid)) {
        Some(name) => format!("{name} ({number})"),
        None => number,
    }
}

fn unreadable(wanted: &str) -> KeyError {
    KeyError::new(KeyErrorKind::Unsupported, format!("wanted {wanted}, found something else in the public key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_the_same_bare_and_in_an_octet_string() {
        for curve in [Curve::P256, Curve::P384, Curve::P521] {
            let point = [&[0x04][..], &vec![0x17; curve.point_len() - 1]].concat();
            let wrapped = der::asn1::OctetStringRef::new(&point).unwrap().to_der().unwrap();
            let bare = PublicKey::from_ec(curve, &point).unwrap();
            assert_eq!(bare, PublicKey::from_ec(curve, &wrapped).unwrap());
            assert_eq!(bare.as_raw(), point);
        }
    }

    #[test]
    fn a_point_that_is_compressed_or_of_another_curve_is_refused() {
        for point in [[&[0x02][..], &[0x17; 32]].concat(), [&[0x04][..], &[0x17; 96]].concat(), Vec::new()] {
            let error = PublicKey::from_ec(Curve::P256, &point).unwrap_err();
            assert_eq!(error.kind(), KeyErrorKind::Unsupported);
            assert!(error.to_string().contains(&format!("found {} octets", point.len())), "{error}");
        }
    }
}
