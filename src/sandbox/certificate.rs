//! Certificates as the verifier sees them: the octets that were signed, and the fields that PKIX (RFC 5280) decides by. Written
//! apart from `crate::x509` on purpose: what the client misreads must not be misread here in the same way.

use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5280, rfc5912};
use der::asn1::BitStringRef;
use der::{AnyRef, Decode, Encode, Sequence};
use jiff::Timestamp;
use spki::AlgorithmIdentifierRef;
use x509_cert::Version;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};

use super::canonical::hex;
use super::refusal::Flaw;
use super::signature::{Hash, PublicKey};

/// Extensions that may be critical: those this verifier obeys, and those that say nothing about who may be trusted here.
const UNDERSTOOD_EXTENSIONS: [ObjectIdentifier; 7] = [
    rfc5280::ID_CE_BASIC_CONSTRAINTS,
    rfc5280::ID_CE_KEY_USAGE,
    rfc5280::ID_CE_EXT_KEY_USAGE,
    rfc5280::ID_CE_SUBJECT_ALT_NAME,
    rfc5280::ID_CE_CERTIFICATE_POLICIES,
    rfc5280::ID_CE_SUBJECT_KEY_IDENTIFIER,
    rfc5280::ID_CE_AUTHORITY_KEY_IDENTIFIER,
];

/// A certificate that parsed.
#[derive(Clone)]
pub struct Certificate {
    der: Vec<u8>,
    /// The octets under the signature. Encoding the parsed form again could give others.
    signed: Vec<u8>,
    signature_algorithm: ObjectIdentifier,
    signature: Vec<u8>,
    parsed: x509_cert::Certificate,
}

/// RFC 5280 §4.1, with the part under the signature left unread.
#[derive(Sequence)]
struct Envelope<'a> {
    tbs_certificate: AnyRef<'a>,
    signature_algorithm: AlgorithmIdentifierRef<'a>,
    signature: BitStringRef<'a>,
}

/// A signature has no unused bits.
fn whole_octets(bits: BitStringRef<'_>) -> Result<Vec<u8>, Flaw> {
    let octets = bits.as_bytes().ok_or_else(|| Flaw::new("wanted a signature of whole octets, found unused bits"))?;
    Ok(octets.to_vec())
}

impl Certificate {
    /// Reads DER, all of it.
    pub fn from_der(der: &[u8]) -> Result<Self, Flaw> {
        let unreadable = |error: der::Error| Flaw::new(format!("wanted a certificate in DER, found {error}"));
        let envelope = Envelope::from_der(der).map_err(unreadable)?;
        let parsed = x509_cert::Certificate::from_der(der).map_err(unreadable)?;
        Ok(Self {
            der: der.to_vec(),
            signed: envelope.tbs_certificate.to_der().map_err(unreadable)?,
            signature_algorithm: envelope.signature_algorithm.oid,
            signature: whole_octets(envelope.signature)?,
            parsed,
        })
    }

    /// The octets as they came.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The subject in the order of RFC 4514, for people.
    pub fn subject(&self) -> String {
        self.parsed.tbs_certificate().subject().to_string()
    }

    /// The first common name of the subject.
    pub fn common_name(&self) -> Option<String> {
        self.parsed.tbs_certificate().subject().common_name().ok().flatten().map(|name| name.value().into_owned())
    }

    /// The issuer in the order of RFC 4514, for people.
    pub fn issuer(&self) -> String {
        self.parsed.tbs_certificate().issuer().to_string()
    }

    /// Issuer and subject are the same name; such a CA does not count towards a path length (RFC 5280 §4.2.1.9).
    pub fn is_self_issued(&self) -> bool {
        self.parsed.tbs_certificate().issuer() == self.parsed.tbs_certificate().subject()
    }

    /// The serial number's octets, big-endian, without leading zeros.
    pub fn serial(&self) -> &[u8] {
        let octets = self.parsed.tbs_certificate().serial_number().as_bytes();
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        octets.get(zeros..).unwrap_or_default()
    }

    /// The serial number in lower-case hexadecimal, an even number of digits.
    pub fn serial_hex(&self) -> String {
        hex(self.serial())
    }

    /// The certified key.
    pub fn public_key(&self) -> Result<PublicKey, Flaw> {
        PublicKey::from_spki(self.parsed.tbs_certificate().subject_public_key_info())
    }

    /// The rules of the trust model for an end-entity certificate, its path apart.
    pub fn require_end_entity(&self, now: Timestamp) -> Result<(), Flaw> {
        self.require_common(now)?;
        if self.parsed.tbs_certificate().subject().is_empty() {
            return Err(Flaw::new("wanted a certificate with a subject, found an empty one"));
        }
        if self.basic_constraints()?.is_some_and(|constraints| constraints.ca) {
            return Err(self.flaw("an end-entity certificate", "basicConstraints CA:TRUE"));
        }
        match self.key_usage()? {
            Some(usage) if usage.digital_signature() => Ok(()),
            Some(_) => Err(self.flaw("keyUsage digitalSignature", "a keyUsage without it")),
            None => Err(self.flaw("keyUsage digitalSignature", "no keyUsage")),
        }
    }

    /// The rules for a CA that has `below` intermediates under it, self-issued ones not counted.
    pub fn require_authority(&self, now: Timestamp, below: usize) -> Result<(), Flaw> {
        self.require_common(now)?;
        self.require_authority_form()?;
        match self.basic_constraints()?.and_then(|constraints| constraints.path_len_constraint) {
            Some(limit) if below > usize::from(limit) => {
                Err(self
                    .flaw(&format!("at most {limit} intermediates under it (pathLenConstraint)"), &below.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// What must hold for a CA at any time: a trust anchor is not even accepted without it.
    pub fn require_authority_form(&self) -> Result<(), Flaw> {
        self.require_form()?;
        if !self.basic_constraints()?.is_some_and(|constraints| constraints.ca) {
            return Err(self.flaw("basicConstraints CA:TRUE", "none"));
        }
        match self.key_usage()? {
            Some(usage) if usage.key_cert_sign() => Ok(()),
            Some(_) => Err(self.flaw("keyUsage keyCertSign", "a keyUsage without it")),
            None => Err(self.flaw("keyUsage keyCertSign", "no keyUsage")),
        }
    }

    /// Whether `issuer` has the name that this certificate's issuer has.
    pub fn names_issuer(&self, issuer: &Self) -> bool {
        self.parsed.tbs_certificate().issuer() == issuer.parsed.tbs_certificate().subject()
    }

    /// The signature on this certificate must be by `issuer`'s key.
    pub fn require_signed_by(&self, issuer: &Self) -> Result<(), Flaw> {
        let hash = self.signature_hash()?;
        let key = issuer.public_key()?;
        if matches!(key, PublicKey::Rsa(_)) != self.signature_is_rsa() {
            return Err(self.flaw("a signature of the kind of its issuer's key", "another kind"));
        }
        key.verify(hash, &self.signed, &self.signature)
            .map_err(|_| self.flaw(&format!("a signature by {}", issuer.subject()), "one that does not verify"))
    }

    fn require_common(&self, now: Timestamp) -> Result<(), Flaw> {
        self.require_form()?;
        let validity = self.parsed.tbs_certificate().validity();
        let instant =
            |time: &x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        if now.as_second() < instant(&validity.not_before) {
            return Err(self.flaw("a certificate valid now", &format!("one valid from {}", validity.not_before)));
        }
        if now.as_second() > instant(&validity.not_after) {
            return Err(self.flaw("a certificate valid now", &format!("one that expired at {}", validity.not_after)));
        }
        Ok(())
    }

    fn require_form(&self) -> Result<(), Flaw> {
        let tbs = self.parsed.tbs_certificate();
        if tbs.version() != Version::V3 {
            return Err(self.flaw("an X.509 v3 certificate", &format!("{:?}", tbs.version())));
        }
        // A negative number has its first bit set (X.690 §8.3); the octets alone would pass for a positive one.
        let serial = tbs.serial_number().to_der().unwrap_or_default();
        if serial.get(2).is_none_or(|first| first & 0x80 != 0) || self.serial().is_empty() {
            return Err(self.flaw("a positive serial number", "another"));
        }
        self.signature_hash()?;
        if tbs.signature() != self.parsed.signature_algorithm() {
            return Err(self.flaw("one signature algorithm inside and outside", "two"));
        }
        let stranger = tbs
            .extensions()
            .into_iter()
            .flatten()
            .find(|extension| extension.critical && !UNDERSTOOD_EXTENSIONS.contains(&extension.extn_id));
        match stranger {
            Some(extension) => {
                Err(self.flaw("critical extensions that are understood here", &extension.extn_id.to_string()))
            }
            None => Ok(()),
        }
    }

    /// SHA-256 or stronger; MD5 and SHA-1 are refused.
    fn signature_hash(&self) -> Result<Hash, Flaw> {
        match self.signature_algorithm {
            rfc5912::SHA_256_WITH_RSA_ENCRYPTION | rfc5912::ECDSA_WITH_SHA_256 => Ok(Hash::Sha256),
            rfc5912::SHA_384_WITH_RSA_ENCRYPTION | rfc5912::ECDSA_WITH_SHA_384 => Ok(Hash::Sha384),
            rfc5912::SHA_512_WITH_RSA_ENCRYPTION | rfc5912::ECDSA_WITH_SHA_512 => Ok(Hash::Sha512),
            other => {
                Err(self.flaw("a signature of RSA PKCS#1 v1.5 or ECDSA with SHA-256 or stronger", &other.to_string()))
            }
        }
    }

    fn signature_is_rsa(&self) -> bool {
        matches!(
            self.signature_algorithm,
            rfc5912::SHA_256_WITH_RSA_ENCRYPTION
                | rfc5912::SHA_384_WITH_RSA_ENCRYPTION
                | rfc5912::SHA_512_WITH_RSA_ENCRYPTION
        )
    }

    fn basic_constraints(&self) -> Result<Option<BasicConstraints>, Flaw> {
        let found = self.parsed.tbs_certificate().get_extension::<BasicConstraints>();
        found
            .map(|found| found.map(|(_, value)| value))
            .map_err(|_| self.flaw("one readable basicConstraints", "another"))
    }

    fn key_usage(&self) -> Result<Option<KeyUsage>, Flaw> {
        let found = self.parsed.tbs_certificate().get_extension::<KeyUsage>();
        found.map(|found| found.map(|(_, value)| value)).map_err(|_| self.flaw("one readable keyUsage", "another"))
    }

    fn flaw(&self, wanted: &str, found: &str) -> Flaw {
        Flaw::new(format!("{}: wanted {wanted}, found {found}", self.subject()))
    }
}
