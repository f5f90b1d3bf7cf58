//! The canonical form of a request, part by part. Knows text only.

use super::Request;

/// The canonical request: method, path, query, headers, names of the signed headers, hash of the body.
///
/// `headers` are canonical already; `body_sha256` is lower-case hex.
pub(super) fn request(request: &Request<'_>, headers: &Headers, body_sha256: &str) -> String {
    let mut text = format!("{}\n{}\n{}\n", request.method, path(request.path), query_string(request.query));
    for (name, value) in &headers.0 {
        text.push_str(&format!("{name}:{value}\n"));
    }
    text.push_str(&format!("\n{}\n{body_sha256}", headers.names()));
    text
}

/// A query as it is sent and as it is signed, which is the same: each name and value percent-encoded once, sorted, joined.
pub fn query_string(pairs: &[(&str, &str)]) -> String {
    let mut encoded: Vec<(String, String)> =
        pairs.iter().map(|(name, value)| (encode(name, false), encode(value, false))).collect();
    encoded.sort();
    encoded.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// The path of the URL, which is percent-encoded already, encoded once more: every service but S3 signs it like this.
fn path(sent: &str) -> String {
    encode(sent, true)
}

/// Percent-encodes everything but RFC 3986 §2.3's unreserved characters, in upper-case hex.
fn encode(text: &str, keep_slash: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(octet)),
            b'/' if keep_slash => encoded.push('/'),
            _ => encoded.push_str(&format!("%{octet:02X}")),
        }
    }
    encoded
}

/// Signed headers in canonical form: names lower-case and sorted, one line for each name.
pub(super) struct Headers(Vec<(String, String)>);

impl Headers {
    /// Values of one name are joined by commas in the order in which they come.
    pub(super) fn new<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut canonical: Vec<(String, String)> = Vec::new();
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            let value = collapse(value);
            match canonical.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) => {
                    values.push(',');
                    values.push_str(&value);
                }
                None => canonical.push((name, value)),
            }
        }
        canonical.sort();
        Self(canonical)
    }

    /// The names, joined by semicolons: SignedHeaders.
    pub(super) fn names(&self) -> String {
        self.0.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";")
    }
}

/// Takes the spaces off both ends and makes each run of spaces one.
fn collapse(value: &str) -> String {
    value.split(' ').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_sorted_by_its_encoded_names_and_values() {
        let query = query_string(&[("b", "2"), ("a-", "1"), ("a", "z"), ("a", "A=B+C d/é~")]);
        assert_eq!(query, "a=A%3DB%2BC%20d%2F%C3%A9~&a=z&a-=1&b=2");
        assert_eq!(query_string(&[]), "");
    }

    #[test]
    fn a_path_is_encoded_a_second_time() {
        assert_eq!(path("/sessions"), "/sessions");
        assert_eq!(path("/behind%20a/proxy~1/sessions"), "/behind%2520a/proxy~1/sessions");
    }

    #[test]
    fn header_names_fold_and_values_collapse() {
        let headers = Headers::new([("X-B", "  two   words "), ("x-a", "1"), ("X-b", "again")]);
        assert_eq!(headers.names(), "x-a;x-b");
        assert_eq!(headers.0[1].1, "two words,again");
    }
}
