//! Signatures of certificates: which algorithm and hash, and whether an issuer's key made one.

use std::fmt;

use aws_lc_rs::signature::{self as verify, VerificationAlgorithm};
use const_oid::db::{DB, rfc5912, rfc8410};
use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier};
use der::{Decode, Encode, Reader, Tagged};
use spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use crate::key::Curve;

const ECDSA_WITH_SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.1");
const DSA_WITH_SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10040.4.3");

/// A hash that a signature algorithm names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignatureHash {
    /// MD2, MD4 or MD5: broken.
    Md5,
    /// SHA-1: broken.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl fmt::Display for SignatureHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA-1",
            Self::Sha224 => "SHA-224",
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        })
    }
}

/// The algorithm that an issuer signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5.
    RsaPkcs1(SignatureHash),
    /// RSASSA-PSS, with the length of the salt in octets.
    RsaPss(SignatureHash, usize),
    /// ECDSA.
    Ecdsa(SignatureHash),
    /// Ed25519.
    Ed25519,
    /// DSA with SHA-1.
    DsaSha1,
    /// One that this program cannot verify: its hash, if it has one of its own, is not known.
    Other(ObjectIdentifier),
}

impl SignatureAlgorithm {
    pub(super) fn from_identifier(identifier: &AlgorithmIdentifierRef<'_>) -> Self {
        use SignatureHash::{Md5, Sha1, Sha224, Sha256, Sha384, Sha512};
        match identifier.oid {
            rfc5912::MD_2_WITH_RSA_ENCRYPTION | rfc5912::MD_5_WITH_RSA_ENCRYPTION => Self::RsaPkcs1(Md5),
            rfc5912::SHA_1_WITH_RSA_ENCRYPTION => Self::RsaPkcs1(Sha1),
            rfc5912::SHA_224_WITH_RSA_ENCRYPTION => Self::RsaPkcs1(Sha224),
            rfc5912::SHA_256_WITH_RSA_ENCRYPTION => Self::RsaPkcs1(Sha256),
            rfc5912::SHA_384_WITH_RSA_ENCRYPTION => Self::RsaPkcs1(Sha384),
            rfc5912::SHA_512_WITH_RSA_ENCRYPTION => Self::RsaPkcs1(Sha512),
            ECDSA_WITH_SHA1 => Self::Ecdsa(Sha1),
            DSA_WITH_SHA1 => Self::DsaSha1,
            rfc5912::ECDSA_WITH_SHA_224 => Self::Ecdsa(Sha224),
            rfc5912::ECDSA_WITH_SHA_256 => Self::Ecdsa(Sha256),
            rfc5912::ECDSA_WITH_SHA_384 => Self::Ecdsa(Sha384),
            rfc5912::ECDSA_WITH_SHA_512 => Self::Ecdsa(Sha512),
            rfc8410::ID_ED_25519 => Self::Ed25519,
            rfc5912::ID_RSASSA_PSS => pss(identifier).unwrap_or(Self::Other(identifier.oid)),
            other => Self::Other(other),
        }
    }

    /// The hash that it names.
    pub fn hash(self) -> Option<SignatureHash> {
        match self {
            Self::RsaPkcs1(hash) | Self::RsaPss(hash, _) | Self::Ecdsa(hash) => Some(hash),
            Self::DsaSha1 => Some(SignatureHash::Sha1),
            Self::Ed25519 | Self::Other(_) => None,
        }
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RsaPkcs1(hash) => write!(f, "RSA with {hash}"),
            Self::RsaPss(hash, _) => write!(f, "RSA-PSS with {hash}"),
            Self::Ecdsa(hash) => write!(f, "ECDSA with {hash}"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::DsaSha1 => f.write_str("DSA with SHA-1"),
            Self::Other(oid) => match DB.by_oid(oid) {
                Some(name) => f.write_str(name),
                None => oid.fmt(f),
            },
        }
    }
}

/// RFC 4055 §3.1: hash `[0]` default SHA-1, mask generation `[1]`, salt length `[2]` default 20.
fn pss(identifier: &AlgorithmIdentifierRef<'_>) -> Option<SignatureAlgorithm> {
    let mut hash = SignatureHash::Sha1;
    let mut salt = 20;
    if let Some(parameters) = identifier.parameters {
        let mut reader = der::SliceReader::new(parameters.value()).ok()?;
        while !reader.is_finished() {
            let field = AnyRef::decode(&mut reader).ok()?;
            match field.tag().number().value() {
                0 => hash = pss_hash(AlgorithmIdentifierRef::from_der(field.value()).ok()?.oid)?,
                2 => salt = usize::from(u16::from_der(field.value()).ok()?),
                _ => {}
            }
        }
    }
    Some(SignatureAlgorithm::RsaPss(hash, salt))
}

fn pss_hash(oid: ObjectIdentifier) -> Option<SignatureHash> {
    Some(match oid {
        rfc5912::ID_SHA_1 => SignatureHash::Sha1,
        rfc5912::ID_SHA_224 => SignatureHash::Sha224,
        rfc5912::ID_SHA_256 => SignatureHash::Sha256,
        rfc5912::ID_SHA_384 => SignatureHash::Sha384,
        rfc5912::ID_SHA_512 => SignatureHash::Sha512,
        _ => return None,
    })
}

/// Whether an issuer's key made a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// It did.
    Verified,
    /// It did not.
    Refuted,
    /// The algorithm cannot be verified here.
    Unknown,
}

/// Checks `signature` over `message` under the key of `issuer`, a DER `SubjectPublicKeyInfo`.
pub(super) fn check(algorithm: SignatureAlgorithm, issuer: &[u8], message: &[u8], signature: &[u8]) -> Verification {
    let Ok(issuer) = SubjectPublicKeyInfoRef::from_der(issuer) else {
        return Verification::Unknown;
    };
    let Some(key) = issuer.subject_public_key.as_bytes() else {
        return Verification::Unknown;
    };
    match verifier(algorithm, &issuer.algorithm) {
        Verifier::With(verifier) if verifier.verify_sig(key, message, signature).is_ok() => Verification::Verified,
        Verifier::With(_) | Verifier::OtherKeyType => Verification::Refuted,
        Verifier::None => Verification::Unknown,
    }
}

enum Verifier {
    With(&'static dyn VerificationAlgorithm),
    /// The algorithm is one for another type of key: this issuer cannot have made the signature.
    OtherKeyType,
    None,
}

fn verifier(algorithm: SignatureAlgorithm, key: &AlgorithmIdentifierRef<'_>) -> Verifier {
    use SignatureHash::{Sha1, Sha256, Sha384, Sha512};
    let key_type = match algorithm {
        SignatureAlgorithm::RsaPkcs1(_) => rfc5912::RSA_ENCRYPTION,
        SignatureAlgorithm::RsaPss(..) if key.oid == rfc5912::ID_RSASSA_PSS => rfc5912::ID_RSASSA_PSS,
        SignatureAlgorithm::RsaPss(..) => rfc5912::RSA_ENCRYPTION,
        SignatureAlgorithm::Ecdsa(_) => rfc5912::ID_EC_PUBLIC_KEY,
        SignatureAlgorithm::Ed25519 => rfc8410::ID_ED_25519,
        SignatureAlgorithm::DsaSha1 | SignatureAlgorithm::Other(_) => return Verifier::None,
    };
    if key.oid != key_type {
        return Verifier::OtherKeyType;
    }
    // Old, weak algorithms are verified too: whether a signature is the issuer's is one question, whether AWS takes it another.
    Verifier::With(match algorithm {
        SignatureAlgorithm::RsaPkcs1(Sha1) => &verify::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        SignatureAlgorithm::RsaPkcs1(Sha256) => &verify::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        SignatureAlgorithm::RsaPkcs1(Sha384) => &verify::RSA_PKCS1_2048_8192_SHA384,
        SignatureAlgorithm::RsaPkcs1(Sha512) => &verify::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        // The library knows only salts as long as the digest, which is what CAs use.
        SignatureAlgorithm::RsaPss(Sha256, 32) => &verify::RSA_PSS_2048_8192_SHA256,
        SignatureAlgorithm::RsaPss(Sha384, 48) => &verify::RSA_PSS_2048_8192_SHA384,
        SignatureAlgorithm::RsaPss(Sha512, 64) => &verify::RSA_PSS_2048_8192_SHA512,
        SignatureAlgorithm::Ecdsa(hash) => match ecdsa(curve(key), hash) {
            Some(verifier) => verifier,
            None => return Verifier::None,
        },
        SignatureAlgorithm::Ed25519 => &verify::ED25519,
        _ => return Verifier::None,
    })
}

fn curve(key: &AlgorithmIdentifierRef<'_>) -> Option<Curve> {
    Curve::from_oid_der(&key.parameters?.to_der().ok()?)
}

fn ecdsa(curve: Option<Curve>, hash: SignatureHash) -> Option<&'static dyn VerificationAlgorithm> {
    use SignatureHash::{Sha1, Sha256, Sha384, Sha512};
    Some(match (curve?, hash) {
        (Curve::P256, Sha1) => &verify::ECDSA_P256_SHA1_ASN1,
        (Curve::P256, Sha256) => &verify::ECDSA_P256_SHA256_ASN1,
        (Curve::P256, Sha384) => &verify::ECDSA_P256_SHA384_ASN1,
        (Curve::P256, Sha512) => &verify::ECDSA_P256_SHA512_ASN1,
        (Curve::P384, Sha256) => &verify::ECDSA_P384_SHA256_ASN1,
        (Curve::P384, Sha384) => &verify::ECDSA_P384_SHA384_ASN1,
        (Curve::P384, Sha512) => &verify::ECDSA_P384_SHA512_ASN1,
        (Curve::P521, Sha1) => &verify::ECDSA_P521_SHA1_ASN1,
        (Curve::P521, Sha256) => &verify::ECDSA_P521_SHA256_ASN1,
        (Curve::P521, Sha384) => &verify::ECDSA_P521_SHA384_ASN1,
        (Curve::P521, Sha512) => &verify::ECDSA_P521_SHA512_ASN1,
        _ => return None,
    })
}

/// The octets of a BIT STRING that holds whole ones.
pub(super) fn whole_octets(bits: BitStringRef<'_>) -> der::Result<Vec<u8>> {
    bits.as_bytes().map(<[u8]>::to_vec).ok_or_else(|| der::Tag::BitString.value_error().into())
}
