//! One certificate: its DER as it came, and the fields that this program reads.

use std::fmt;

use const_oid::AssociatedOid;
use const_oid::db::rfc5280::ID_CE_SUBJECT_ALT_NAME;
use der::asn1::{Any, BitString, BitStringRef, Int, ObjectIdentifier};
use der::{Decode, Encode, Reader, Sequence, SliceReader};
use jiff::Timestamp;
use sha1::{Digest, Sha1};
use sha2::Sha256;
use spki::AlgorithmIdentifierOwned;
use x509_cert::Version;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectKeyIdentifier,
};
use x509_cert::time::{Time, Validity};

use super::alternative_name::AlternativeName;
use super::error::{CertificateError, CertificateErrorKind};
use super::name::Name;
use super::serial::SerialNumber;
use super::signature::{self, SignatureAlgorithm, Verification};
use crate::key::{KeyError, PublicKey};

/// Longest certificate that is looked at; a service that takes it in a header takes far less.
const LONGEST_CERTIFICATE: usize = 1 << 16;

/// The arc of the extensions in certificates that a YubiKey makes about its own keys (Yubico PIV attestation).
const YUBICO_PIV_ATTESTATION: &str = "1.3.6.1.4.1.41482.3.";

/// A certificate that parsed. Keeps the octets it came from, which are what is sent and what its signature covers.
#[derive(Clone)]
pub struct Certificate {
    der: Vec<u8>,
    signed_der: Vec<u8>,
    signed: Signed,
    subject: Name,
    issuer: Name,
    serial: SerialNumber,
    signature_algorithm: SignatureAlgorithm,
    signature: Vec<u8>,
}

/// TBSCertificate (RFC 5280 §4.1). Names and key stay as they came, because some of them would encode otherwise, and the
/// serial number is an integer of any length and sign.
#[derive(Clone, Sequence)]
pub(super) struct Signed {
    #[asn1(context_specific = "0", default = "Default::default")]
    pub version: Version,
    pub serial_number: Int,
    pub signature: AlgorithmIdentifierOwned,
    pub issuer: Any,
    pub validity: Validity,
    pub subject: Any,
    pub subject_public_key_info: Any,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub issuer_unique_id: Option<BitString>,
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", optional = "true")]
    pub subject_unique_id: Option<BitString>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    pub extensions: Option<Vec<Extension>>,
}

impl Certificate {
    /// Reads DER, and nothing after it. At most 64 KiB.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > LONGEST_CERTIFICATE {
            return Err(CertificateError::new(
                CertificateErrorKind::Malformed,
                format!("wanted a certificate of at most {LONGEST_CERTIFICATE} octets, found {}", der.len()),
            ));
        }
        Self::parse(der).map_err(|source| {
            CertificateError::new(
                CertificateErrorKind::Malformed,
                format!("wanted an X.509 certificate in DER, found something else ({source})"),
            )
            .with_source(source)
        })
    }

    fn parse(der: &[u8]) -> der::Result<Self> {
        let mut outer = SliceReader::new(der)?;
        let (signed_der, algorithm, signature) = outer.sequence(|fields| {
            let signed = fields.tlv_bytes()?.to_vec();
            let algorithm: AlgorithmIdentifierOwned = fields.decode()?;
            let signature: BitStringRef<'_> = fields.decode()?;
            Ok::<_, der::Error>((signed, algorithm, signature::whole_octets(signature)?))
        })?;
        outer.finish()?;
        let signed = Signed::from_der(&signed_der)?;
        Ok(Self {
            subject: Name::from_der(&signed.subject.to_der()?)?,
            issuer: Name::from_der(&signed.issuer.to_der()?)?,
            serial: SerialNumber::from_twos_complement(signed.serial_number.as_bytes()),
            signature_algorithm: SignatureAlgorithm::from_identifier(&(&algorithm).into()),
            der: der.to_vec(),
            signed_der,
            signed,
            signature,
        })
    }

    /// The octets as they came.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The X.509 version as people count it: 1, 2 or 3.
    pub fn version(&self) -> u8 {
        self.signed.version as u8 + 1
    }

    /// The certified key; an error names the algorithm or size that is not supported.
    pub fn public_key(&self) -> Result<PublicKey, KeyError> {
        PublicKey::from_spki_der(&self.public_key_der())
    }

    /// The certified key as DER `SubjectPublicKeyInfo`, of any algorithm.
    pub fn public_key_der(&self) -> Vec<u8> {
        // What was decoded encodes again; an empty vector fails every comparison.
        self.signed.subject_public_key_info.to_der().unwrap_or_default()
    }

    /// The serial number.
    pub fn serial(&self) -> &SerialNumber {
        &self.serial
    }

    /// The serial number's DER, an `INTEGER` as it came.
    pub fn serial_der(&self) -> Vec<u8> {
        self.signed.serial_number.to_der().unwrap_or_default()
    }

    /// The serial number in decimal, of any length.
    pub fn serial_decimal(&self) -> String {
        self.serial.decimal()
    }

    /// The serial number in upper-case hexadecimal.
    pub fn serial_hex(&self) -> String {
        self.serial.hex()
    }

    /// Whom it certifies.
    pub fn subject(&self) -> &Name {
        &self.subject
    }

    /// Who signed it.
    pub fn issuer(&self) -> &Name {
        &self.issuer
    }

    /// The DER `Name` of the subject.
    pub fn subject_der(&self) -> &[u8] {
        self.subject.as_der()
    }

    /// The DER `Name` of the issuer.
    pub fn issuer_der(&self) -> &[u8] {
        self.issuer.as_der()
    }

    /// The first moment of its validity.
    pub fn not_before(&self) -> Timestamp {
        timestamp(self.signed.validity.not_before)
    }

    /// The last moment of its validity. 99991231235959Z, which stands for "does not expire" (RFC 5280 §4.1.2.5), comes out as
    /// the last moment that a timestamp can hold.
    pub fn not_after(&self) -> Timestamp {
        timestamp(self.signed.validity.not_after)
    }

    /// basicConstraints, if there are any.
    pub fn basic_constraints(&self) -> Result<Option<BasicConstraints>, CertificateError> {
        self.extension("basicConstraints")
    }

    /// keyUsage, if there is any.
    pub fn key_usage(&self) -> Result<Option<KeyUsage>, CertificateError> {
        self.extension("keyUsage")
    }

    /// extendedKeyUsage, if there is any.
    pub fn extended_key_usage(&self) -> Result<Option<ExtendedKeyUsage>, CertificateError> {
        self.extension("extendedKeyUsage")
    }

    /// The names beside the subject, in their order.
    pub fn alternative_names(&self) -> Result<Vec<AlternativeName>, CertificateError> {
        let Some(value) = self.extension_value(ID_CE_SUBJECT_ALT_NAME) else { return Ok(Vec::new()) };
        AlternativeName::all_from_der(value).map_err(|source| self.unreadable("subjectAltName", source))
    }

    /// subjectKeyIdentifier, if there is any.
    pub fn key_identifier(&self) -> Option<Vec<u8>> {
        let identifier = self.extension::<SubjectKeyIdentifier>("subjectKeyIdentifier").ok()??;
        Some(identifier.0.into_bytes().into())
    }

    /// Whether basicConstraints say that it is a CA's.
    pub fn is_ca(&self) -> bool {
        matches!(self.basic_constraints(), Ok(Some(BasicConstraints { ca: true, .. })))
    }

    /// Whether subject and issuer are the same name.
    pub fn is_self_issued(&self) -> bool {
        self.subject.matches(&self.issuer)
    }

    /// Whether its own key signed it: a root.
    pub fn is_self_signed(&self) -> bool {
        self.is_self_issued() && self.is_signed_by(self) == Verification::Verified
    }

    /// Whether a device made it to attest how its key came to be: such a certificate stands beside the one that a CA issued
    /// for the same key, and shares its CKA_ID.
    pub fn is_attestation(&self) -> bool {
        self.extensions().iter().any(|extension| extension.extn_id.to_string().starts_with(YUBICO_PIV_ATTESTATION))
    }

    /// The algorithm of its signature.
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.signature_algorithm
    }

    /// Whether the issuer's key made its signature. Compares no names.
    pub fn is_signed_by(&self, issuer: &Self) -> Verification {
        signature::check(self.signature_algorithm, &issuer.public_key_der(), &self.signed_der, &self.signature)
    }

    /// Whether the key identifiers that both may carry agree; `None` where one is missing. A hint, and no proof.
    pub fn names_key_of(&self, issuer: &Self) -> Option<bool> {
        let wanted = self.extension::<AuthorityKeyIdentifier>("authorityKeyIdentifier").ok()??.key_identifier?;
        let found = issuer.extension::<SubjectKeyIdentifier>("subjectKeyIdentifier").ok()??;
        Some(wanted == found.0)
    }

    /// SHA-1 over the DER in lower-case hexadecimal: the name by which tools show a certificate, not a protection.
    pub fn fingerprint_sha1(&self) -> String {
        Sha1::digest(&self.der).iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// SHA-256 over the DER in lower-case hexadecimal.
    pub fn fingerprint_sha256(&self) -> String {
        Sha256::digest(&self.der).iter().map(|octet| format!("{octet:02x}")).collect()
    }

    fn extensions(&self) -> &[Extension] {
        self.signed.extensions.as_deref().unwrap_or_default()
    }

    fn extension<'a, T>(&'a self, name: &str) -> Result<Option<T>, CertificateError>
    where
        T: Decode<'a, Error = der::Error> + AssociatedOid,
    {
        let Some(value) = self.extension_value(T::OID) else { return Ok(None) };
        T::from_der(value).map(Some).map_err(|source| self.unreadable(name, source))
    }

    fn extension_value(&self, oid: ObjectIdentifier) -> Option<&[u8]> {
        let extension = self.extensions().iter().find(|extension| extension.extn_id == oid)?;
        Some(extension.extn_value.as_bytes())
    }

    fn unreadable(&self, name: &str, source: der::Error) -> CertificateError {
        CertificateError::new(
            CertificateErrorKind::Malformed,
            format!("wanted {name} in DER in the certificate {}, found something else ({source})", self.subject),
        )
        .with_source(source)
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, serial {})", self.subject, self.serial_hex())
    }
}

fn timestamp(time: Time) -> Timestamp {
    i64::try_from(time.to_unix_duration().as_secs())
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
