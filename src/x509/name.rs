//! Distinguished names: compared, and read and written as RFC 4514 says, safe to print on a terminal.

mod parse;

use std::fmt::{self, Write};
use std::str::FromStr;

use const_oid::db::{rfc3280, rfc4519};
use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Encode, Reader, Tag, Tagged};

use super::syntax::SyntaxError;

/// The short names of RFC 4514 §3, and those that OpenSSL prints beside them.
const SHORT_NAMES: [(ObjectIdentifier, &str); 16] = [
    (rfc4519::CN, "CN"),
    (rfc4519::L, "L"),
    (rfc4519::ST, "ST"),
    (rfc4519::O, "O"),
    (rfc4519::OU, "OU"),
    (rfc4519::C, "C"),
    (rfc4519::STREET, "STREET"),
    (rfc4519::DC, "DC"),
    (rfc4519::UID, "UID"),
    (rfc4519::SERIAL_NUMBER, "serialNumber"),
    (rfc4519::GIVEN_NAME, "GN"),
    (rfc4519::SN, "SN"),
    (rfc4519::TITLE, "title"),
    (rfc4519::DN_QUALIFIER, "dnQualifier"),
    (rfc4519::POSTAL_CODE, "postalCode"),
    (rfc3280::EMAIL_ADDRESS, "emailAddress"),
];

/// A subject or an issuer.
#[derive(Clone, Debug)]
pub struct Name {
    der: Vec<u8>,
    attributes: Vec<Attribute>,
    text: String,
    canonical: String,
}

/// One attribute of a name, such as a common name.
#[derive(Clone, Debug)]
pub struct Attribute {
    kind: ObjectIdentifier,
    /// The value as text, where it is a string.
    pub value: Option<String>,
    /// DER of the value.
    der: Vec<u8>,
}

impl Attribute {
    /// The short name of its type, such as `CN`; `None` for a type that has none here.
    pub fn short_name(&self) -> Option<&'static str> {
        SHORT_NAMES.iter().find(|(oid, _)| *oid == self.kind).map(|(_, name)| *name)
    }

    /// The object identifier of its type, dotted.
    pub fn oid(&self) -> String {
        self.kind.to_string()
    }
}

/// RFC 4514 §2.3 and §2.4: `CN=value`, or the DER in hexadecimal where type or value is not known.
impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.short_name(), &self.value) {
            (Some(name), Some(value)) => write!(f, "{name}={}", escaped(value)),
            (name, _) => {
                f.write_str(name.unwrap_or(&self.oid()))?;
                f.write_str("=#")?;
                self.der.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
            }
        }
    }
}

impl Name {
    /// Reads a DER `Name` (RFC 5280 §4.1.2.4).
    pub(super) fn from_der(der: &[u8]) -> der::Result<Self> {
        let relative = relative_names(der)?;
        let text = text(&relative);
        let canonical = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        Ok(Self { der: der.to_vec(), attributes: relative.into_iter().flatten().collect(), text, canonical })
    }

    /// Every attribute in the order of the certificate, which is the reverse of the printed one.
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// The first common name.
    pub fn common_name(&self) -> Option<&str> {
        self.attributes.iter().find(|attribute| attribute.kind == rfc4519::CN)?.value.as_deref()
    }

    /// The DER as it came, which is what CKA_SUBJECT and CKA_ISSUER hold.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// Whether there is no attribute in it.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether both name the same: case, white space and the kind of string do not count (RFC 5280 §7.1), because CAs write
    /// the issuer of a certificate in another kind of string than their own subject.
    pub fn matches(&self, other: &Self) -> bool {
        self.der == other.der || self.canonical == other.canonical
    }
}

/// Reads RFC 4514, strictly: what [`Display`](fmt::Display) writes, with attribute types of any case. Countries, serial numbers and
/// qualifiers become a PrintableString, domain components and mail addresses an IA5String, everything else a UTF8String.
impl FromStr for Name {
    type Err = SyntaxError;

    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        let der = parse::der(text)?;
        Self::from_der(&der).map_err(|error| SyntaxError::new(text, 0, format!("wanted a name ({error})")))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The attributes of each relative name (RFC 5280 §4.1.2.4).
fn relative_names(der: &[u8]) -> der::Result<Vec<Vec<Attribute>>> {
    AnyRef::from_der(der)?.sequence(|reader| {
        let mut names = Vec::new();
        while !reader.is_finished() {
            names.push(relative_name(AnyRef::decode(reader)?)?);
        }
        Ok(names)
    })
}

fn relative_name(set: AnyRef<'_>) -> der::Result<Vec<Attribute>> {
    set.tag().assert_eq(Tag::Set)?;
    let mut reader = der::SliceReader::new(set.value())?;
    let mut attributes = Vec::new();
    while !reader.is_finished() {
        attributes.push(AnyRef::decode(&mut reader)?.sequence(|reader| {
            let (kind, value) = (ObjectIdentifier::decode(reader)?, AnyRef::decode(reader)?);
            Ok::<_, der::Error>(Attribute { kind, value: string_of(value), der: value.to_der()? })
        })?);
    }
    Ok(attributes)
}

/// RFC 4514 §2.1 and §2.2: relative names from the last to the first, joined by commas, their attributes joined by plus signs.
/// The order of those means nothing; OpenSSL turns it around as well.
fn text(relative: &[Vec<Attribute>]) -> String {
    let joined =
        |attributes: &Vec<Attribute>| attributes.iter().rev().map(Attribute::to_string).collect::<Vec<_>>().join("+");
    relative.iter().rev().map(joined).collect::<Vec<_>>().join(",")
}

fn string_of(value: AnyRef<'_>) -> Option<String> {
    let octets = value.value();
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            String::from_utf8(octets.to_vec()).ok()
        }
        // In practice ISO 8859-1, whatever T.61 says.
        Tag::TeletexString => Some(octets.iter().map(|octet| char::from(*octet)).collect()),
        Tag::BmpString => {
            let (pairs, rest) = octets.as_chunks::<2>();
            let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
            String::from_utf16(&units).ok().filter(|_| rest.is_empty())
        }
        _ => None,
    }
}

/// RFC 4514 §2.4. Beyond it, everything that could steer a terminal or reorder a line is written in hexadecimal.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.char_indices().next_back().map_or(0, |(at, _)| at);
    for (at, c) in value.char_indices() {
        let outermost = at == 0 || at == last;
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', c]),
            '#' if at == 0 => text.push_str("\\#"),
            ' ' if outermost => text.push_str("\\ "),
            _ if c.is_control() || steers_direction(c) => {
                for octet in c.encode_utf8(&mut [0; 4]).bytes() {
                    // Writing into a String cannot fail.
                    let _ = write!(text, "\\{octet:02x}");
                }
            }
            _ => text.push(c),
        }
    }
    text
}

/// Marks, embeddings, overrides and isolates of the bidirectional algorithm, and line separators.
fn steers_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name of one-attribute relative names.
    fn name(attributes: &[(ObjectIdentifier, Tag, &[u8])]) -> Name {
        let relative: Vec<u8> = attributes
            .iter()
            .flat_map(|(kind, tag, value)| {
                let value = AnyRef::new(*tag, value).unwrap().to_der().unwrap();
                let pair =
                    AnyRef::new(Tag::Sequence, &[kind.to_der().unwrap(), value].concat()).unwrap().to_der().unwrap();
                AnyRef::new(Tag::Set, &pair).unwrap().to_der().unwrap()
            })
            .collect();
        Name::from_der(&AnyRef::new(Tag::Sequence, &relative).unwrap().to_der().unwrap()).unwrap()
    }

    #[test]
    fn a_name_is_written_from_its_last_part_to_its_first() {
        let name = name(&[
            (rfc4519::C, Tag::PrintableString, b"DE"),
            (rfc4519::O, Tag::Utf8String, "Ex, \"M\u{fc}ller\"".as_bytes()),
            (rfc4519::CN, Tag::BmpString, &[0, b'#', 0, b'a', 0, b' ']),
        ]);
        assert_eq!(name.to_string(), "CN=\\#a\\ ,O=Ex\\, \\\"M\u{fc}ller\\\",C=DE");
    }

    #[test]
    fn unknown_attributes_are_hexadecimal() {
        let oid = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.1466.0");
        assert_eq!(name(&[(oid, Tag::OctetString, b"Hi")]).to_string(), "1.3.6.1.4.1.1466.0=#04024869");
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let text = name(&[(rfc4519::CN, Tag::Utf8String, "a\u{1b}[2J\n\u{9b}\u{202e}b".as_bytes())]).to_string();
        assert_eq!(text, r"CN=a\1b[2J\0a\c2\9b\e2\80\aeb");
    }

    #[test]
    fn the_kind_of_string_and_its_case_do_not_count() {
        let ours = name(&[(rfc4519::CN, Tag::PrintableString, b"Example  Root")]);
        let theirs = name(&[(rfc4519::CN, Tag::Utf8String, b"example root")]);
        let others = name(&[(rfc4519::CN, Tag::Utf8String, b"example root 2")]);
        assert!(ours.matches(&theirs) && !ours.matches(&others));
    }

    #[test]
    fn an_empty_name_is_empty() {
        assert!(name(&[]).is_empty());
    }
}
