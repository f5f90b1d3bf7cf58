//! Distinguished names as people write them: RFC 4514, and nothing beyond it, so that no name is read in another way than it was
//! meant. Names in the slashes of OpenSSL, values in quotation marks and spaces around separators are refused where they stand.

use const_oid::db::{rfc3280, rfc4519};
use der::asn1::{Any, AnyRef, ObjectIdentifier, SetOfVec};
use der::{Decode, Encode, Tag};
use x509_cert::attr::AttributeTypeAndValue;

use super::super::printable::shown;
use super::super::syntax::SyntaxError;
use super::SHORT_NAMES;

/// Longest text that is looked at.
const LONGEST: usize = 4096;

/// An example for messages.
const EXAMPLE: &str = "CN=web-01,O=Example";

/// The DER `Name` of a text: its relative names are written from the last to the first (RFC 4514 §2.1).
pub fn der(text: &str) -> Result<Vec<u8>, SyntaxError> {
    if text.is_empty() {
        return Err(SyntaxError::new(text, 0, format!("wanted a name such as {EXAMPLE}, found an empty one")));
    }
    if text.len() > LONGEST {
        let message = format!("wanted a name of at most {LONGEST} octets, found {}", text.len());
        return Err(SyntaxError::new("", 0, message));
    }
    let mut reader = Reader { text, at: 0 };
    let mut relative = vec![reader.relative_name()?];
    while reader.take(b',') {
        relative.push(reader.relative_name()?);
    }
    relative.reverse();
    relative
        .to_der()
        .map_err(|error| SyntaxError::new(text, 0, format!("wanted a name, found one without DER ({error})")))
}

struct Reader<'a> {
    text: &'a str,
    /// Octets that are read; always between two characters.
    at: usize,
}

impl<'a> Reader<'a> {
    /// RFC 4514 §3: attributes joined by plus signs. A set cannot hold the same type twice.
    fn relative_name(&mut self) -> Result<SetOfVec<AttributeTypeAndValue>, SyntaxError> {
        let mut attributes: Vec<AttributeTypeAndValue> = Vec::new();
        loop {
            let start = self.at;
            let attribute = self.attribute()?;
            if attributes.iter().any(|other| other.oid == attribute.oid) {
                return Err(SyntaxError::new(
                    self.text,
                    start,
                    "wanted another type beside '+', found the same one again",
                ));
            }
            attributes.push(attribute);
            if !self.take(b'+') {
                return SetOfVec::try_from(attributes).map_err(|error| {
                    SyntaxError::new(self.text, start, format!("wanted a set of attributes ({error})"))
                });
            }
        }
    }

    fn attribute(&mut self) -> Result<AttributeTypeAndValue, SyntaxError> {
        let oid = self.attribute_type()?;
        if !self.take(b'=') {
            return Err(self.wanted("'=' after the type"));
        }
        let start = self.at;
        let value = if self.take(b'#') { self.hexadecimal(start)? } else { self.string(oid)? };
        match self.peek() {
            None | Some(b',' | b'+') => Ok(AttributeTypeAndValue { oid, value }),
            Some(_) => Err(self.wanted("',', '+' or the end after the value")),
        }
    }

    /// A keyword of any case, or a dotted number.
    fn attribute_type(&mut self) -> Result<ObjectIdentifier, SyntaxError> {
        let start = self.at;
        let word = self.while_octet(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-'));
        if word.is_empty() {
            return Err(self.wanted(&format!("an attribute type as in {EXAMPLE}")));
        }
        if let Some((oid, _)) = SHORT_NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(word)) {
            return Ok(*oid);
        }
        let number = word.starts_with(|c: char| c.is_ascii_digit()).then(|| ObjectIdentifier::new(word).ok());
        number.flatten().ok_or_else(|| {
            let known: Vec<_> = SHORT_NAMES.iter().map(|(_, name)| *name).collect();
            let message = format!("wanted a dotted object identifier or one of {}, found '{word}'", known.join(", "));
            SyntaxError::new(self.text, start, message)
        })
    }

    /// RFC 4514 §2.4: the DER of the value after `#`.
    fn hexadecimal(&mut self, start: usize) -> Result<Any, SyntaxError> {
        let digits = self.while_octet(|octet| octet.is_ascii_hexdigit());
        let value = octets(digits).and_then(|octets| Any::from_der(&octets).ok());
        value.ok_or_else(|| {
            SyntaxError::new(self.text, start, "wanted a value in DER in hexadecimal after '#', found something else")
        })
    }

    fn string(&mut self, oid: ObjectIdentifier) -> Result<Any, SyntaxError> {
        let start = self.at;
        let mut value = Value::default();
        loop {
            let place = self.at;
            match self.peek() {
                None | Some(b',' | b'+') => break,
                Some(b'\\') => self.escaped(&mut value)?,
                Some(b'"' | b';' | b'<' | b'>') => {
                    return Err(self.wanted("a backslash before a special character of the value"));
                }
                Some(b'\0') => return Err(self.wanted("a value without NUL")),
                Some(b' ') if self.is_outermost(start) => {
                    return Err(self.wanted("no space around ',', '+' and '=', or a backslash before it"));
                }
                Some(_) => value.push(place, self.character().as_bytes()),
            }
        }
        self.value_of(oid, start, &value)
    }

    /// Whether the space here begins or ends the value (RFC 4514 §3).
    fn is_outermost(&self, start: usize) -> bool {
        let after = self.text.get(self.at..).unwrap_or_default().trim_start_matches(' ');
        self.at == start || after.is_empty() || after.starts_with([',', '+'])
    }

    /// RFC 4514 §3: a special character as it is, or an octet of UTF-8 in two hexadecimal digits.
    fn escaped(&mut self, value: &mut Value) -> Result<(), SyntaxError> {
        let place = self.at;
        self.at += 1;
        if self.peek().is_some_and(|octet| b" \"#+,;<=>\\".contains(&octet)) {
            value.push(place, self.character().as_bytes());
            return Ok(());
        }
        let digits = self.text.get(self.at..self.at + 2).and_then(octets);
        let Some(octets) = digits else {
            return Err(self.wanted("a special character or two hexadecimal digits after the backslash"));
        };
        self.at += 2;
        value.push(place, &octets);
        Ok(())
    }

    /// The value in the kind of string that its type has (RFC 5280 §4.1.2.4 and appendix A.1).
    fn value_of(&self, oid: ObjectIdentifier, start: usize, value: &Value) -> Result<Any, SyntaxError> {
        let error = |place, message: String| Err(SyntaxError::new(self.text, place, message));
        let string = match std::str::from_utf8(&value.octets) {
            Ok("") => return Err(self.wanted("a value")),
            Ok(string) => string,
            Err(problem) => {
                return error(value.place(problem.valid_up_to()), "wanted UTF-8, found other octets".to_owned());
            }
        };
        let tag = kind_of_string(oid);
        let allowed = |c: char| match tag {
            Tag::PrintableString => c.is_ascii_alphanumeric() || " '()+,-./:=?".contains(c),
            Tag::Ia5String => c.is_ascii(),
            _ => true,
        };
        if let Some((at, c)) = string.char_indices().find(|(_, c)| !allowed(*c)) {
            let kind = if tag == Tag::PrintableString { "letters, digits or '()+,-./:=? and spaces" } else { "ASCII" };
            return error(value.place(at), format!("wanted {kind} in this value, found '{}'", shown(c)));
        }
        if oid == rfc4519::C && (string.len() != 2 || !string.bytes().all(|octet| octet.is_ascii_alphabetic())) {
            return error(start, format!("wanted the two letters of a country, found '{string}'"));
        }
        if let Some((longest, (at, _))) = upper_bound(oid).and_then(|max| Some((max, string.char_indices().nth(max)?)))
        {
            let message = format!("wanted at most {longest} characters, found {}", string.chars().count());
            return error(value.place(at), message);
        }
        Any::from_der(&AnyRef::new(tag, &value.octets).and_then(|any| any.to_der()).unwrap_or_default())
            .or_else(|problem| error(start, format!("wanted a value, found one without DER ({problem})")))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        self.at += usize::from(found);
        found
    }

    fn character(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.chars().next().map_or(0, char::len_utf8);
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    fn while_octet(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let start = self.at;
        while self.peek().is_some_and(&wanted) {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn wanted(&self, wanted: &str) -> SyntaxError {
        SyntaxError::wanted(self.text, self.at, wanted)
    }
}

/// A value without its escapes, with the place in the text that each octet came from.
#[derive(Default)]
struct Value {
    octets: Vec<u8>,
    places: Vec<usize>,
}

impl Value {
    fn push(&mut self, place: usize, octets: &[u8]) {
        self.octets.extend(octets);
        self.places.resize(self.octets.len(), place);
    }

    fn place(&self, octet: usize) -> usize {
        self.places.get(octet).copied().unwrap_or_default()
    }
}

fn octets(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    pairs.map(|pair| pair.filter(|it| it.len() == 2).and_then(|it| u8::from_str_radix(it, 16).ok())).collect()
}

fn kind_of_string(oid: ObjectIdentifier) -> Tag {
    match oid {
        rfc4519::C | rfc4519::SERIAL_NUMBER | rfc4519::DN_QUALIFIER => Tag::PrintableString,
        rfc4519::DC | rfc3280::EMAIL_ADDRESS => Tag::Ia5String,
        _ => Tag::Utf8String,
    }
}

/// Most characters of a value (RFC 5280 appendix A.1).
fn upper_bound(oid: ObjectIdentifier) -> Option<usize> {
    Some(match oid {
        rfc4519::CN | rfc4519::O | rfc4519::OU | rfc4519::SERIAL_NUMBER | rfc4519::TITLE => 64,
        rfc4519::L | rfc4519::ST => 128,
        rfc3280::EMAIL_ADDRESS => 255,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Name;

    fn round_trip(text: &str) -> String {
        text.parse::<Name>().unwrap_or_else(|error| panic!("{text}: {error}")).to_string()
    }

    /// The place as a person sees it, and the message.
    fn refusal(text: &str) -> (usize, String) {
        let error = text.parse::<Name>().unwrap_err();
        assert_eq!(error.text(), text);
        (error.column(), error.to_string())
    }

    #[test]
    fn what_is_printed_reads_as_the_same_name() {
        for text in [
            "CN=web-01,O=Example",
            "CN=a,OU=b,OU=c,O=d,L=e,ST=f,C=DE",
            "UID=jsmith,DC=example,DC=net",
            "CN=J.  Smith+OU=Sales,DC=example,DC=net",
            r#"CN=James \"Jim\" Smith\, III,O=\#1\+\;\<\>\\=x"#,
            r"CN=\ a\0db \ ,O=Müller 日本",
            "1.3.6.1.4.1.1466.0=#04024869",
            "serialNumber=4711,emailAddress=a@example.net,STREET=Way 1",
        ] {
            assert_eq!(round_trip(text), text);
        }
        assert_eq!(round_trip(r"cn=Lu\C4\8Di\C4\87,2.5.4.10=x,1.2.3.4=y"), "CN=Lučić,O=x,1.2.3.4=#0c0179");
    }

    #[test]
    fn the_first_relative_name_stands_last_in_the_certificate() {
        let name: Name = "CN=web,C=DE".parse().unwrap();
        let wanted = "301b310b3009060355040613024445310c300a06035504030c03776562";
        let hex: String = name.as_der().iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(hex, wanted);
    }

    #[test]
    fn every_fault_is_named_where_it_stands() {
        for (text, column, message) in [
            ("", 0, "wanted a name such as CN=web-01,O=Example, found an empty one"),
            ("/CN=web", 0, "wanted an attribute type as in CN=web-01,O=Example, found '/'"),
            ("CN=web,", 7, "wanted an attribute type as in CN=web-01,O=Example, found the end"),
            ("CN=web, O=x", 7, "wanted an attribute type as in CN=web-01,O=Example, found a space"),
            ("CN=web ,O=x", 6, "wanted no space around ',', '+' and '=', or a backslash before it, found a space"),
            ("CN= web", 3, "wanted no space around ',', '+' and '=', or a backslash before it, found a space"),
            ("CN", 2, "wanted '=' after the type, found the end"),
            ("CN=", 3, "wanted a value, found the end"),
            ("CN=,O=x", 3, "wanted a value, found ','"),
            ("O=\"Sue, Grabbit\"", 2, "wanted a backslash before a special character of the value, found '\"'"),
            ("CN=a;O=b", 4, "wanted a backslash before a special character of the value, found ';'"),
            ("CN=Müll\\x", 8, "wanted a special character or two hexadecimal digits after the backslash, found 'x'"),
            ("CN=a\\", 5, "wanted a special character or two hexadecimal digits after the backslash, found the end"),
            ("CN=ab\\ff", 5, "wanted UTF-8, found other octets"),
            ("CN=a+CN=b", 5, "wanted another type beside '+', found the same one again"),
            ("C=DEU", 2, "wanted the two letters of a country, found 'DEU'"),
            ("serialNumber=4_7", 14, "wanted letters, digits or '()+,-./:=? and spaces in this value, found '_'"),
            ("DC=ex\u{e4}mple", 5, "wanted ASCII in this value, found '\u{e4}'"),
            ("CN=#0c", 3, "wanted a value in DER in hexadecimal after '#', found something else"),
            ("CN=#0c0161x", 10, "wanted ',', '+' or the end after the value, found 'x'"),
        ] {
            assert_eq!(refusal(text), (column, message.to_owned()), "{text}");
        }
        let (column, message) = refusal("XN=a");
        assert_eq!(column, 0);
        assert!(message.starts_with("wanted a dotted object identifier or one of CN, L,"), "{message}");
        let (column, message) = refusal(&format!("CN={}\\2cb", "a".repeat(64)));
        assert_eq!((column, message.as_str()), (67, "wanted at most 64 characters, found 66"));
        assert!("CN=a,".repeat(2000).parse::<Name>().is_err());
    }

    #[test]
    fn no_text_makes_it_panic() {
        let text = "CN=a\\2cü\\\u{301},1.2=#0c01\u{1f600}+O= x;\"<>";
        for start in text.char_indices().map(|(at, _)| at) {
            for end in text.char_indices().map(|(at, _)| at).filter(|end| *end >= start) {
                let _ = text[start..end].parse::<Name>();
            }
        }
    }
}
