//! Signing requests (PKCS#10, RFC 2986) that others made: read with a bound, and believed only where their own key signed them.

use std::path::Path;

use const_oid::db::rfc5280::{ID_CE_BASIC_CONSTRAINTS, ID_CE_SUBJECT_ALT_NAME};
use const_oid::db::rfc5912::ID_EXTENSION_REQ;
use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier};
use der::{Decode, Encode, Reader, SliceReader, Tag, Tagged};
use spki::AlgorithmIdentifierRef;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::BasicConstraints;

use super::alternative_name::AlternativeName;
use super::error::{CertificateError, CertificateErrorKind};
use super::name::Name;
use super::signature::{self, SignatureAlgorithm, Verification};
use crate::files::{self, Format};
use crate::key::PublicKey;

/// Longest request that is looked at.
const LONGEST_REQUEST: usize = 1 << 16;

/// What somebody asks to have certified, and signed with the key in question.
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    /// Whom the certificate is to name; it may be empty.
    pub subject: Name,
    /// The names beside it that are asked for.
    pub names: Vec<AlternativeName>,
    /// Whether it asks for the certificate of a CA.
    pub asks_for_ca: bool,
    /// The key to be certified.
    pub public_key: PublicKey,
}

/// The fields as they came, before anything of them is believed.
struct Fields {
    signed: Vec<u8>,
    subject: Name,
    public_key: Vec<u8>,
    extensions: Extensions,
    algorithm: SignatureAlgorithm,
    signature: Vec<u8>,
}

/// What is read of the extensions that are asked for.
#[derive(Default)]
struct Extensions {
    names: Vec<AlternativeName>,
    ca: bool,
}

impl CertificateRequest {
    /// Reads a file that holds one request in PEM or DER.
    pub fn read(path: &Path) -> Result<Self, CertificateError> {
        Self::from_octets(path, &files::read(path)?.octets)
    }

    /// From the file's content; `path` is what messages call it.
    pub fn from_octets(path: &Path, octets: &[u8]) -> Result<Self, CertificateError> {
        let in_file = |error: CertificateError| error.context(path.display());
        let malformed = |error: files::PemError| in_file(unusable(error.to_string()));
        let blocks = files::blocks(octets).map_err(malformed)?;
        // The second label is an older one (RFC 7468 §7).
        let is_request = |label: &str| matches!(label, "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST");
        let mut requests = blocks.iter().filter(|block| is_request(block.label));
        match (requests.next(), requests.next()) {
            (Some(block), None) => Self::from_der(&block.decode().map_err(malformed)?).map_err(in_file),
            (Some(_), Some(second)) => {
                Err(in_file(unusable(format!("wanted one request, found a second one at line {}", second.line))))
            }
            (None, _) if octets.first() == Some(&0x30) => Self::from_der(octets).map_err(in_file),
            (None, _) => {
                let labels: Vec<_> = blocks.iter().map(|block| block.label).collect();
                let found = if labels.is_empty() { Format::of(octets).to_string() } else { labels.join(", ") };
                Err(in_file(unusable(format!("wanted a CERTIFICATE REQUEST block, found {found}"))))
            }
        }
    }

    /// Reads DER of at most 64 KiB, and nothing after it. Fails where the key is of a kind that Roles Anywhere does not take,
    /// and where it did not sign the request.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > LONGEST_REQUEST {
            let message = format!("wanted a request of at most {LONGEST_REQUEST} octets, found {}", der.len());
            return Err(unusable(message));
        }
        let fields = Fields::parse(der).map_err(|source| {
            let message = format!("wanted a PKCS#10 request in DER, found something else ({source})");
            unusable(message).with_source(source)
        })?;
        let verification = signature::check(fields.algorithm, &fields.public_key, &fields.signed, &fields.signature);
        let public_key = PublicKey::from_spki_der(&fields.public_key)
            .map_err(|error| unusable(error.to_string()).with_source(error))?;
        match verification {
            Verification::Verified => {
                let Extensions { names, ca: asks_for_ca } = fields.extensions;
                Ok(Self { subject: fields.subject, names, asks_for_ca, public_key })
            }
            Verification::Refuted => {
                Err(unusable("wanted a request signed by the key that it is for, found another signature"))
            }
            Verification::Unknown => {
                Err(unusable(format!("wanted an RSA or ECDSA signature, found {}", fields.algorithm)))
            }
        }
    }
}

impl Fields {
    /// CertificationRequest (RFC 2986 §4.2).
    fn parse(der: &[u8]) -> der::Result<Self> {
        let mut outer = SliceReader::new(der)?;
        let (signed, algorithm, signature) = outer.sequence(|fields| {
            let signed = fields.tlv_bytes()?.to_vec();
            let algorithm: AlgorithmIdentifierRef<'_> = fields.decode()?;
            let algorithm = SignatureAlgorithm::from_identifier(&algorithm);
            let signature: BitStringRef<'_> = fields.decode()?;
            Ok::<_, der::Error>((signed, algorithm, signature::whole_octets(signature)?))
        })?;
        outer.finish()?;
        let (subject, public_key, extensions) = AnyRef::from_der(&signed)?.sequence(|info| {
            let version: u8 = info.decode()?;
            if version != 0 {
                return Err(Tag::Integer.value_error().into());
            }
            let subject = Name::from_der(info.tlv_bytes()?)?;
            let public_key = AnyRef::decode(info)?.to_der()?;
            Ok::<_, der::Error>((subject, public_key, Extensions::asked_for(info)?))
        })?;
        Ok(Self { subject, public_key, extensions, algorithm, signature, signed })
    }
}

impl Extensions {
    /// Those in the extensionRequest (RFC 2985 §5.4.2) of the attributes, which some programs leave out where there are none.
    fn asked_for<'a>(info: &mut impl Reader<'a>) -> der::Result<Self> {
        let mut asked = Self::default();
        if info.is_finished() {
            return Ok(asked);
        }
        let attributes = AnyRef::decode(info)?;
        if !attributes.tag().is_context_specific() {
            return Err(attributes.tag().value_error().into());
        }
        let mut attributes = SliceReader::new(attributes.value())?;
        while !attributes.is_finished() {
            let (kind, values) = AnyRef::decode(&mut attributes)?
                .sequence(|reader| Ok::<_, der::Error>((ObjectIdentifier::decode(reader)?, AnyRef::decode(reader)?)))?;
            if kind != ID_EXTENSION_REQ {
                continue;
            }
            values.tag().assert_eq(Tag::Set)?;
            for extension in Vec::<Extension>::from_der(values.value())? {
                asked.read(extension.extn_id, extension.extn_value.as_bytes())?;
            }
        }
        Ok(asked)
    }

    fn read(&mut self, kind: ObjectIdentifier, value: &[u8]) -> der::Result<()> {
        match kind {
            ID_CE_SUBJECT_ALT_NAME => self.names.extend(AlternativeName::all_from_der(value)?),
            ID_CE_BASIC_CONSTRAINTS => self.ca |= BasicConstraints::from_der(value)?.ca,
            _ => {}
        }
        Ok(())
    }
}

fn unusable(message: impl Into<String>) -> CertificateError {
    CertificateError::new(CertificateErrorKind::Request, message)
}
