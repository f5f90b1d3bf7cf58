//! DNS names, URIs and mail addresses as people write them for a certificate.

use super::super::syntax::SyntaxError;
use super::AlternativeName;

/// RFC 1035 §2.3.4.
const LONGEST_LABEL: usize = 63;
const LONGEST_DNS_NAME: usize = 253;
/// RFC 5321 §4.5.3.1.3, without the brackets.
const LONGEST_EMAIL: usize = 254;
/// No specification has one; what a session tag can hold.
const LONGEST_URI: usize = 2048;

impl AlternativeName {
    /// A DNS name in the preferred syntax (RFC 1034 §3.5); its first label may be `*`.
    pub fn dns(text: &str) -> Result<Self, SyntaxError> {
        limit(text, LONGEST_DNS_NAME)?;
        let rest = text.strip_prefix("*.").map_or(0, |_| 2);
        dns_name(text, rest)?;
        Ok(Self::Dns(text.to_owned()))
    }

    /// A URI with its scheme and something behind it (RFC 3986 §3).
    pub fn uri(text: &str) -> Result<Self, SyntaxError> {
        limit(text, LONGEST_URI)?;
        let wanted = |at, wanted| Err(SyntaxError::wanted(text, at, wanted));
        let is_scheme = |at: usize, octet: u8| match at {
            0 => octet.is_ascii_alphabetic(),
            _ => octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.'),
        };
        let scheme = text.bytes().enumerate().take_while(|(at, octet)| is_scheme(*at, *octet)).count();
        if scheme == 0 || text.as_bytes().get(scheme) != Some(&b':') {
            return wanted(scheme, "a URI with a scheme, such as spiffe://example.org/web");
        }
        if text.len() == scheme + 1 {
            return wanted(scheme + 1, "something behind the scheme");
        }
        let octets = text.as_bytes();
        for (at, octet) in text.bytes().enumerate().skip(scheme + 1) {
            let is_pair = || octets.get(at + 1..at + 3).is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit));
            if octet == b'%' && !is_pair() {
                return wanted(at + 1, "two hexadecimal digits after '%'");
            }
            // RFC 3986 §2.2 and §2.3.
            if !octet.is_ascii_alphanumeric() && !b"%-._~:/?#[]@!$&'()*+,;=".contains(&octet) {
                return wanted(at, "a character that a URI may have, or its octets as %XX");
            }
        }
        Ok(Self::Uri(text.to_owned()))
    }

    /// A mail address without name and brackets: a dot-string before the `@`, a DNS name behind it (RFC 5321 §4.1.2).
    pub fn email(text: &str) -> Result<Self, SyntaxError> {
        limit(text, LONGEST_EMAIL)?;
        let wanted = |at, wanted| Err(SyntaxError::wanted(text, at, wanted));
        let mut after_dot = true;
        for (at, octet) in text.bytes().enumerate() {
            let is_atom = octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet);
            match octet {
                b'@' if after_dot => return wanted(at, "a mailbox before '@'"),
                b'@' => return dns_name(text, at + 1).map(|()| Self::Email(text.to_owned())),
                b'.' if !after_dot => after_dot = true,
                _ if is_atom => after_dot = false,
                _ => return wanted(at, "a letter, a digit or one of !#$%&'*+-/=?^_`{|}~ in the mailbox"),
            }
        }
        wanted(text.len(), "'@' and a host")
    }
}

fn limit(text: &str, longest: usize) -> Result<(), SyntaxError> {
    match text.char_indices().nth(longest) {
        None => Ok(()),
        Some((at, _)) => {
            let message = format!("wanted at most {longest} characters, found {}", text.chars().count());
            Err(SyntaxError::new(text, at, message))
        }
    }
}

/// Labels of letters, digits and inner hyphens, from this octet on.
fn dns_name(text: &str, from: usize) -> Result<(), SyntaxError> {
    let mut start = from;
    for label in text.get(from..).unwrap_or_default().split('.') {
        let end = start + label.len();
        let is_inner = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
        if label.is_empty() {
            return Err(SyntaxError::wanted(text, start, "a label of a DNS name"));
        }
        if let Some(at) = label.bytes().position(|octet| !is_inner(octet)) {
            return Err(SyntaxError::wanted(text, start + at, "a letter, a digit or '-' in a DNS name"));
        }
        if label.len() > LONGEST_LABEL {
            let message = format!("wanted a label of at most {LONGEST_LABEL} characters, found {}", label.len());
            return Err(SyntaxError::new(text, start + LONGEST_LABEL, message));
        }
        for (at, edge) in [(start, label.starts_with('-')), (end - 1, label.ends_with('-'))] {
            if edge {
                return Err(SyntaxError::wanted(text, at, "a letter or a digit at both ends of a label"));
            }
        }
        start = end + 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parse = fn(&str) -> Result<AlternativeName, SyntaxError>;

    #[test]
    fn good_names_are_taken_as_they_are() {
        let cases: [(Parse, &[&str]); 3] = [
            (AlternativeName::dns, &["web-01", "web-01.example.net", "*.example.net", "xn--mller-kva.de", "1.a"]),
            (AlternativeName::uri, &["spiffe://example.org/ns/a?b#c", "urn:x:y", "https://[::1]:8080/%20"]),
            (AlternativeName::email, &["a@example.net", "first.last+tag@web-01"]),
        ];
        for (parse, texts) in cases {
            for text in texts {
                let printed = parse(text).unwrap().to_string();
                assert_eq!(printed.split_once(':').unwrap().1, *text);
            }
        }
    }

    #[test]
    fn every_fault_is_named_where_it_stands() {
        let cases: [(Parse, &str, usize, &str); 16] = [
            (AlternativeName::dns, "", 0, "wanted a label of a DNS name, found the end"),
            (AlternativeName::dns, "web.", 4, "wanted a label of a DNS name, found the end"),
            (AlternativeName::dns, "a..b", 2, "wanted a label of a DNS name, found '.'"),
            (AlternativeName::dns, "web_01", 3, "wanted a letter, a digit or '-' in a DNS name, found '_'"),
            (
                AlternativeName::dns,
                "m\u{fc}ller.de",
                1,
                "wanted a letter, a digit or '-' in a DNS name, found '\u{fc}'",
            ),
            (AlternativeName::dns, "a.*", 2, "wanted a letter, a digit or '-' in a DNS name, found '*'"),
            (AlternativeName::dns, "a.-b", 2, "wanted a letter or a digit at both ends of a label, found '-'"),
            (AlternativeName::dns, "a.b-", 3, "wanted a letter or a digit at both ends of a label, found '-'"),
            (
                AlternativeName::uri,
                "example.org",
                11,
                "wanted a URI with a scheme, such as spiffe://example.org/web, found the end",
            ),
            (AlternativeName::uri, "//x", 0, "wanted a URI with a scheme, such as spiffe://example.org/web, found '/'"),
            (AlternativeName::uri, "urn:", 4, "wanted something behind the scheme, found the end"),
            (
                AlternativeName::uri,
                "urn:a b",
                5,
                "wanted a character that a URI may have, or its octets as %XX, found a space",
            ),
            (AlternativeName::uri, "urn:%4x", 5, "wanted two hexadecimal digits after '%', found '4'"),
            (AlternativeName::email, "a.example", 9, "wanted '@' and a host, found the end"),
            (AlternativeName::email, "@x", 0, "wanted a mailbox before '@', found '@'"),
            (AlternativeName::email, "a@b@c", 3, "wanted a letter, a digit or '-' in a DNS name, found '@'"),
        ];
        for (parse, text, column, message) in cases {
            let error = parse(text).unwrap_err();
            assert_eq!((error.column(), error.to_string().as_str()), (column, message), "{text}");
        }
        let long = format!("a.{}", "b".repeat(64));
        let error = AlternativeName::dns(&long).unwrap_err();
        assert_eq!(
            (error.column(), error.to_string().as_str()),
            (65, "wanted a label of at most 63 characters, found 64")
        );
        assert_eq!(AlternativeName::dns(&"a.".repeat(200)).unwrap_err().column(), 253);
    }
}
