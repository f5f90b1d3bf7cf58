//! Signatures by the keys that certificates certify. Written apart from `crate::key::PublicKey` on purpose; what both rest on is
//! AWS-LC, whose signatures other people's tools check in the tests.

use aws_lc_rs::signature as verify;
use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::refusal::Flaw;

/// A hash strong enough for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256, the only one for requests.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// A key that can be verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// DER `RSAPublicKey`.
    Rsa(Vec<u8>),
    /// A point in the encoding of SEC 1 §2.3.3, and its curve.
    Ec(Vec<u8>, Curve),
}

/// The curves that are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// secp256r1.
    P256,
    /// secp384r1.
    P384,
    /// secp521r1.
    P521,
}

impl PublicKey {
    /// From a certificate's `SubjectPublicKeyInfo`.
    pub fn from_spki(info: &SubjectPublicKeyInfoOwned) -> Result<Self, Flaw> {
        let bits = info.subject_public_key.as_bytes().unwrap_or_default().to_vec();
        match info.algorithm.oid {
            rfc5912::RSA_ENCRYPTION => Ok(Self::Rsa(bits)),
            rfc5912::ID_EC_PUBLIC_KEY => {
                let curve = info.algorithm.parameters.as_ref().and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
                Ok(Self::Ec(bits, Curve::from_oid(curve)?))
            }
            other => Err(Flaw::new(format!("wanted an RSA or EC key in the certificate, found algorithm {other}"))),
        }
    }

    /// The name of the signing algorithm that a request signed by this key carries.
    pub fn request_algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "AWS4-X509-RSA-SHA256",
            Self::Ec(..) => "AWS4-X509-ECDSA-SHA256",
        }
    }

    /// Checks a signature over `message`, which is hashed here: RSASSA-PKCS1-v1_5, or ECDSA in DER.
    pub fn verify(&self, hash: Hash, message: &[u8], signature: &[u8]) -> Result<(), Flaw> {
        let outcome = match self {
            Self::Rsa(key) => verify::UnparsedPublicKey::new(rsa(hash), key).verify(message, signature),
            Self::Ec(point, curve) => {
                verify::UnparsedPublicKey::new(ecdsa(*curve, hash), point).verify(message, signature)
            }
        };
        outcome.map_err(|_| Flaw::new("wanted a signature that verifies, found one that does not"))
    }
}

impl Curve {
    fn from_oid(oid: Option<ObjectIdentifier>) -> Result<Self, Flaw> {
        match oid {
            Some(rfc5912::SECP_256_R_1) => Ok(Self::P256),
            Some(rfc5912::SECP_384_R_1) => Ok(Self::P384),
            Some(rfc5912::SECP_521_R_1) => Ok(Self::P521),
            Some(other) => Err(Flaw::new(format!("wanted curve P-256, P-384 or P-521, found {other}"))),
            None => Err(Flaw::new("wanted a named curve, found other EC parameters")),
        }
    }
}

fn rsa(hash: Hash) -> &'static verify::RsaParameters {
    match hash {
        Hash::Sha256 => &verify::RSA_PKCS1_2048_8192_SHA256,
        Hash::Sha384 => &verify::RSA_PKCS1_2048_8192_SHA384,
        Hash::Sha512 => &verify::RSA_PKCS1_2048_8192_SHA512,
    }
}

fn ecdsa(curve: Curve, hash: Hash) -> &'static verify::EcdsaVerificationAlgorithm {
    match (curve, hash) {
        (Curve::P256, Hash::Sha256) => &verify::ECDSA_P256_SHA256_ASN1,
        (Curve::P256, Hash::Sha384) => &verify::ECDSA_P256_SHA384_ASN1,
        (Curve::P256, Hash::Sha512) => &verify::ECDSA_P256_SHA512_ASN1,
        (Curve::P384, Hash::Sha256) => &verify::ECDSA_P384_SHA256_ASN1,
        (Curve::P384, Hash::Sha384) => &verify::ECDSA_P384_SHA384_ASN1,
        (Curve::P384, Hash::Sha512) => &verify::ECDSA_P384_SHA512_ASN1,
        (Curve::P521, Hash::Sha256) => &verify::ECDSA_P521_SHA256_ASN1,
        (Curve::P521, Hash::Sha384) => &verify::ECDSA_P521_SHA384_ASN1,
        (Curve::P521, Hash::Sha512) => &verify::ECDSA_P521_SHA512_ASN1,
    }
}
