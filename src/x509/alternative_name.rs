//! Names beside the subject (subjectAltName, RFC 5280 §4.2.1.6): read from certificates and requests, and from what people write.

mod parse;

use std::fmt;

use const_oid::db::rfc5280::ID_CE_SUBJECT_ALT_NAME;
use der::asn1::{AnyRef, ContextSpecific, Ia5StringRef, OctetString};
use der::{Decode, DecodeValue, Encode, Header, Reader, SliceReader, Tag, TagMode, TagNumber};
use x509_cert::ext::Extension;

use super::name::Name;
use super::printable::printable;

/// One name of a subjectAltName.
#[derive(Clone, Debug)]
pub enum AlternativeName {
    /// dNSName.
    Dns(String),
    /// uniformResourceIdentifier.
    Uri(String),
    /// rfc822Name.
    Email(String),
    /// directoryName.
    Directory(Name),
    /// A kind that nothing here asks for.
    Other {
        /// What the kind is called, such as `IP address`.
        kind: &'static str,
        /// DER of the GeneralName.
        der: Vec<u8>,
    },
}

impl AlternativeName {
    /// Every name of an extension's value, in its order. Kinds that are not known are kept.
    pub(super) fn all_from_der(der: &[u8]) -> der::Result<Vec<Self>> {
        AnyRef::from_der(der)?.sequence(|reader| {
            let mut names = Vec::new();
            while !reader.is_finished() {
                names.push(Self::from_der(reader.tlv_bytes()?)?);
            }
            Ok(names)
        })
    }

    fn from_der(der: &[u8]) -> der::Result<Self> {
        let mut reader = SliceReader::new(der)?;
        let header = Header::decode(&mut reader)?;
        let value = AnyRef::decode_value(&mut reader, header)?.value();
        let text = || String::from_utf8(value.to_vec()).map_err(|_| Tag::Ia5String.value_error());
        Ok(match header.tag().number().value() {
            1 => Self::Email(text()?),
            2 => Self::Dns(text()?),
            // A Name is a CHOICE, so that its tag stands inside of this one (X.680 §31.2.7).
            4 => Self::Directory(Name::from_der(value)?),
            6 => Self::Uri(text()?),
            number => Self::Other { kind: kind(number), der: der.to_vec() },
        })
    }

    fn to_der(&self) -> der::Result<Vec<u8>> {
        let text = |number, text: &str| {
            let value = Ia5StringRef::new(text)?;
            ContextSpecific { tag_number: TagNumber(number), tag_mode: TagMode::Implicit, value }.to_der()
        };
        match self {
            Self::Email(email) => text(1, email),
            Self::Dns(name) => text(2, name),
            Self::Uri(uri) => text(6, uri),
            Self::Directory(name) => {
                let value = AnyRef::from_der(name.as_der())?;
                ContextSpecific { tag_number: TagNumber(4), tag_mode: TagMode::Explicit, value }.to_der()
            }
            Self::Other { der, .. } => Ok(der.clone()),
        }
    }

    /// The extension that holds these names; none where there are none. It is not critical, because every subject here names
    /// something (RFC 5280 §4.2.1.6).
    pub(super) fn extension(names: &[Self]) -> der::Result<Option<Extension>> {
        if names.is_empty() {
            return Ok(None);
        }
        let names = names.iter().map(Self::to_der).collect::<der::Result<Vec<_>>>()?.concat();
        let value = OctetString::new(AnyRef::new(Tag::Sequence, &names)?.to_der()?)?;
        Ok(Some(Extension { extn_id: ID_CE_SUBJECT_ALT_NAME, critical: false, extn_value: value }))
    }
}

/// `DNS:web-01.example`, as OpenSSL writes it.
impl fmt::Display for AlternativeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "DNS:{}", printable(name)),
            Self::Uri(uri) => write!(f, "URI:{}", printable(uri)),
            Self::Email(email) => write!(f, "email:{}", printable(email)),
            Self::Directory(name) => write!(f, "DirName:{name}"),
            Self::Other { kind, .. } => f.write_str(kind),
        }
    }
}

fn kind(number: u32) -> &'static str {
    match number {
        0 => "otherName",
        3 => "X.400 address",
        5 => "EDI party name",
        7 => "IP address",
        8 => "registered ID",
        _ => "unknown name",
    }
}
