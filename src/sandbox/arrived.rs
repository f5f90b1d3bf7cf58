//! A request as it arrived: the octets that a signature is checked against. Knows neither Roles Anywhere nor STS.

use hyper::Request;
use hyper::body::Bytes;
use hyper::header::HeaderMap;

use super::refusal::Flaw;

/// A whole request, body included.
pub struct Arrived(Request<Bytes>);

impl Arrived {
    /// Takes a request whose body was read.
    pub fn new(request: Request<Bytes>) -> Self {
        Self(request)
    }

    /// The method, upper-case as it came.
    pub fn method(&self) -> &str {
        self.0.method().as_str()
    }

    /// The path as it came, percent-encoding untouched.
    pub fn path(&self) -> &str {
        self.0.uri().path()
    }

    /// What follows `?`, as it came; empty without one.
    pub fn query(&self) -> &str {
        self.0.uri().query().unwrap_or_default()
    }

    /// The header lines.
    pub fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// The body's octets.
    pub fn body(&self) -> &[u8] {
        self.0.body()
    }

    /// The text of a header that must be there once.
    pub fn header(&self, name: &str) -> Result<&str, Flaw> {
        let mut values = self.headers().get_all(name).iter();
        let value = values.next().ok_or_else(|| Flaw::new(format!("wanted header {name}, found none")))?;
        if values.next().is_some() {
            return Err(Flaw::new(format!("wanted header {name} once, found it repeated")));
        }
        value.to_str().map_err(|_| Flaw::new(format!("wanted ASCII text in header {name}, found other octets")))
    }

    /// The text of a header that may be absent.
    pub fn optional_header(&self, name: &str) -> Result<Option<&str>, Flaw> {
        if self.headers().contains_key(name) { self.header(name).map(Some) } else { Ok(None) }
    }

    /// The query's pairs, percent-decoded, in the order they came.
    pub fn query_pairs(&self) -> Result<Vec<(String, String)>, Flaw> {
        raw_pairs(self.query())
            .map(|(name, value)| Ok((text(percent_decode(name)?)?, text(percent_decode(value)?)?)))
            .collect()
    }
}

/// The pairs of a query, undecoded: `a=b&c` is (a, b), (c, "").
pub fn raw_pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Undoes percent-encoding (RFC 3986 §2.1). A plus sign is a plus sign.
pub fn percent_decode(encoded: &str) -> Result<Vec<u8>, Flaw> {
    let mut octets = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            octets.push(*first);
            continue;
        }
        let broken = || Flaw::new("wanted two hexadecimal digits after each % of the query");
        let (digits, tail) = tail.split_at_checked(2).ok_or_else(broken)?;
        octets.push(unhex(digits).ok_or_else(broken)?.first().copied().ok_or_else(broken)?);
        rest = tail;
    }
    Ok(octets)
}

/// Reads hexadecimal of either case; `None` unless all of it is.
pub fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(nibble(*high)? * 16 + nibble(*low)?).ok(),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}

fn text(octets: Vec<u8>) -> Result<String, Flaw> {
    String::from_utf8(octets).map_err(|_| Flaw::new("wanted UTF-8 in the query, found other octets"))
}
