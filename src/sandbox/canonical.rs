//! The canonical request and the string to sign of SigV4, rebuilt from what arrived. Written apart from the signer on purpose:
//! nothing here may be shared with `crate::sigv4x509`.

use aws_lc_rs::digest::{SHA256, digest};

use super::arrived::{Arrived, percent_decode, raw_pairs};
use super::authorization::{Authorization, SigningTime};
use super::refusal::Flaw;

/// What the client must have signed if it sent this request with this `Authorization`.
pub fn string_to_sign(arrived: &Arrived, authorization: &Authorization, time: &SigningTime) -> Result<Vec<u8>, Flaw> {
    let canonical = canonical_request(arrived, &authorization.signed_headers)?;
    let lines = [&authorization.algorithm, &time.text, &authorization.scope.to_string(), &sha256_hex(&canonical)];
    Ok(lines.map(String::as_str).join("\n").into_bytes())
}

/// Octets, because header values need not be text.
fn canonical_request(arrived: &Arrived, signed_headers: &[String]) -> Result<Vec<u8>, Flaw> {
    let mut canonical = Vec::new();
    // Only paths that encoding leaves as they are get here: `/sessions` and `/`.
    for line in [arrived.method(), arrived.path(), &canonical_query(arrived.query())?] {
        canonical.extend_from_slice(line.as_bytes());
        canonical.push(b'\n');
    }
    for name in signed_headers {
        canonical.extend_from_slice(name.as_bytes());
        canonical.push(b':');
        canonical.extend_from_slice(&canonical_value(arrived, name)?);
        canonical.push(b'\n');
    }
    canonical.push(b'\n');
    canonical.extend_from_slice(signed_headers.join(";").as_bytes());
    canonical.push(b'\n');
    canonical.extend_from_slice(sha256_hex(arrived.body()).as_bytes());
    Ok(canonical)
}

/// Sorted by encoded name, then by encoded value.
fn canonical_query(query: &str) -> Result<String, Flaw> {
    let mut pairs = raw_pairs(query)
        .map(|(name, value)| Ok((percent_encode(&percent_decode(name)?), percent_encode(&percent_decode(value)?))))
        .collect::<Result<Vec<_>, Flaw>>()?;
    pairs.sort();
    Ok(pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&"))
}

/// Everything but the unreserved characters of RFC 3986 §2.3, in upper-case hexadecimal.
fn percent_encode(octets: &[u8]) -> String {
    let mut encoded = String::with_capacity(octets.len());
    for octet in octets {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(*octet)),
            _ => encoded.push_str(&format!("%{octet:02X}")),
        }
    }
    encoded
}

/// Values of one name joined by commas in the order they came, each trimmed, runs of spaces made one.
fn canonical_value(arrived: &Arrived, name: &str) -> Result<Vec<u8>, Flaw> {
    let values: Vec<Vec<u8>> =
        arrived.headers().get_all(name).iter().map(|value| collapse_spaces(value.as_bytes())).collect();
    if values.is_empty() {
        return Err(Flaw::new(format!("wanted header {name}, which SignedHeaders lists, found none")));
    }
    Ok(values.join(&b','))
}

fn collapse_spaces(value: &[u8]) -> Vec<u8> {
    let words = value.split(|octet| *octet == b' ').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(&b' ')
}

/// Lower-case hexadecimal of the SHA-256.
pub fn sha256_hex(octets: &[u8]) -> String {
    hex(digest(&SHA256, octets).as_ref())
}

/// Lower-case hexadecimal.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;
    use hyper::body::Bytes;

    fn canonical(request: hyper::http::request::Builder, signed: &[&str]) -> String {
        let arrived = Arrived::new(request.body(Bytes::new()).unwrap());
        let signed: Vec<String> = signed.iter().map(|name| (*name).to_owned()).collect();
        String::from_utf8(canonical_request(&arrived, &signed).unwrap()).unwrap()
    }

    #[test]
    fn orders_and_encodes_the_query() {
        assert_eq!(canonical_query("b=2&a=%7e%2f+x&a=%20&c").unwrap(), "a=%20&a=~%2F%2Bx&b=2&c=");
        assert_eq!(canonical_query("").unwrap(), "");
        // Sorted as pairs: joined first, `a-=` would precede `a=`.
        assert_eq!(canonical_query("a-=1&a=2").unwrap(), "a=2&a-=1");
        assert!(canonical_query("a=%2").is_err());
        assert!(canonical_query("a=%zz").is_err());
    }

    #[test]
    fn trims_collapses_and_joins_header_values() {
        let request = Request::get("/").header("x-b", "  two   words ").header("X-A", "1").header("x-a", "2");
        let text = canonical(request, &["x-a", "x-b"]);
        let empty_body = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(text, format!("GET\n/\n\nx-a:1,2\nx-b:two words\n\nx-a;x-b\n{empty_body}"));
    }

    #[test]
    fn a_signed_header_that_did_not_arrive_is_an_error() {
        let arrived = Arrived::new(Request::get("/").body(Bytes::new()).unwrap());
        assert!(canonical_request(&arrived, &["host".to_owned()]).is_err());
    }
}
