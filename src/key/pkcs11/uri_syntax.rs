//! The grammar of `pkcs11:` URIs (RFC 7512 §2.3): splits a text into decoded attributes and writes values. Knows no
//! attribute's meaning, and repeats no value in an error, for it may be a PIN.

use zeroize::Zeroizing;

use super::super::error::{KeyError, KeyErrorKind};

pub(super) const SCHEME: &str = "pkcs11:";

/// Longest URI that is read; tokens have 32-octet labels, and a PIN or an id is short.
const LONGEST: usize = 16 * 1024;

/// On which side of the `?` an attribute stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Path,
    Query,
}

/// `name=value`, the value percent-decoded.
pub(super) struct Attribute {
    pub(super) part: Part,
    pub(super) name: String,
    pub(super) value: Zeroizing<Vec<u8>>,
    /// Where the name starts in the text as it was written, counted in characters from 1.
    pub(super) position: usize,
}

/// Splits a URI. White space is left out wherever it stands, as p11-kit does, so that a URI may be pasted over two lines.
///
/// Fails on malformed attributes and escapes, and on an attribute that is given twice.
pub(super) fn attributes(text: &str) -> Result<Vec<Attribute>, KeyError> {
    if text.len() > LONGEST {
        return Err(malformed(format_args!("wanted at most {LONGEST} octets, found {}", text.len())));
    }
    let characters = Zeroizing::new(
        text.chars().enumerate().filter(|(_, character)| !character.is_ascii_whitespace()).collect::<Vec<_>>(),
    );
    let scheme: String = characters.iter().take(SCHEME.len()).map(|(_, character)| *character).collect();
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(malformed(format_args!("wanted the scheme {SCHEME}")));
    }
    let rest = characters.get(SCHEME.len()..).unwrap_or_default();
    let question = rest.iter().position(|(_, character)| *character == '?').unwrap_or(rest.len());
    let (path, query) = rest.split_at(question);

    let mut found = Vec::new();
    collect(Part::Path, path, ';', &mut found)?;
    collect(Part::Query, query.get(1..).unwrap_or_default(), '&', &mut found)?;
    Ok(found)
}

fn collect(part: Part, text: &[(usize, char)], separator: char, found: &mut Vec<Attribute>) -> Result<(), KeyError> {
    let pieces: Vec<_> = text.split(|(_, character)| *character == separator).collect();
    for (number, piece) in pieces.iter().enumerate() {
        match piece.first() {
            Some((position, _)) => {
                let attribute = attribute(part, piece, position + 1)?;
                if found.iter().any(|other| other.name == attribute.name) {
                    return Err(malformed(format_args!(
                        "{} at character {} is given a second time",
                        attribute.name, attribute.position
                    )));
                }
                found.push(attribute);
            }
            // `pkcs11:`, a separator at the end, and a `?` with nothing behind it harm nobody.
            None if number + 1 == pieces.len() => {}
            None => {
                let next = text.iter().filter(|(_, character)| *character == separator).nth(number);
                let position = next.map_or(0, |(position, _)| position + 1);
                return Err(malformed(format_args!(
                    "wanted an attribute at character {position}, found '{separator}'"
                )));
            }
        }
    }
    Ok(())
}

fn attribute(part: Part, piece: &[(usize, char)], position: usize) -> Result<Attribute, KeyError> {
    let equals = piece.iter().position(|(_, character)| *character == '=');
    let (name, value) = piece.split_at(equals.unwrap_or(piece.len()));
    // The text is not repeated where no name is certain: it may be half a PIN.
    let Some(value) = value.get(1..) else {
        return Err(malformed(format_args!("wanted name=value at character {position}, found no '='")));
    };
    if let Some((at, _)) = name.iter().find(|(_, c)| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))) {
        return Err(malformed(format_args!(
            "wanted letters, digits, '-' and '_' in the attribute's name, found another character at {}",
            at + 1
        )));
    }
    if name.is_empty() {
        return Err(malformed(format_args!("wanted an attribute's name before the '=' at character {position}")));
    }
    let name: String = name.iter().map(|(_, character)| *character).collect();
    let value = decode(&name, value)?;
    Ok(Attribute { part, name, value, position })
}

fn decode(name: &str, text: &[(usize, char)]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    // Room for all of it at once: a growing vector would leave pieces of a PIN behind.
    let mut value = Zeroizing::new(Vec::with_capacity(text.len() * 4));
    let mut rest = text.iter();
    while let Some((at, character)) = rest.next() {
        if *character != '%' {
            value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let mut digit = || rest.next().and_then(|(_, character)| character.to_digit(16));
        let octet = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        value.push(octet.ok_or_else(|| {
            malformed(format_args!("wanted two hexadecimal digits behind the '%' at character {} in {name}", at + 1))
        })?);
    }
    Ok(value)
}

fn malformed(what: std::fmt::Arguments<'_>) -> KeyError {
    KeyError::new(KeyErrorKind::Reference, format!("cannot read the pkcs11 URI: {what}"))
}

/// Percent-encodes what is not unreserved (RFC 3986 §2.3), but for the '/' that RFC 7512 allows in the query.
pub(super) fn encode(part: Part, value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    for octet in value {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(*octet)),
            b'/' if part == Part::Query => text.push('/'),
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

/// Percent-encodes every octet.
pub(super) fn encode_all(value: &[u8]) -> String {
    value.iter().map(|octet| format!("%{octet:02X}")).collect()
}
