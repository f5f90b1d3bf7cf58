//! The JSON of `credential_process`, as the AWS SDKs and Tools Reference Guide describes it.

use std::io::{self, Write};

use serde::Serialize;
use zeroize::Zeroizing;

use crate::credentials::Credentials;

/// JSON writes an octet as at most six: `\u0000`.
const LONGEST_ESCAPE: usize = 6;

/// The members in the order in which other tools write them.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    version: u8,
    access_key_id: &'a str,
    secret_access_key: &'a str,
    session_token: &'a str,
    expiration: &'a str,
}

/// Writes one JSON object without a line end, by one write. Credentials that lack a field are an error, and nothing is written.
pub fn write(credentials: &Credentials, output: &mut impl Write) -> io::Result<()> {
    if let Some(field) = credentials.empty_field() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("wanted whole credentials, found no {field}")));
    }
    let document = Document {
        version: 1,
        access_key_id: &credentials.access_key_id,
        secret_access_key: &credentials.secret_access_key,
        session_token: &credentials.session_token,
        expiration: &credentials.expiration,
    };
    // Full capacity at once: a growing vector would leave pieces of the secrets behind.
    let values = credentials.access_key_id.len()
        + credentials.secret_access_key.len()
        + credentials.session_token.len()
        + credentials.expiration.len();
    let mut json = Zeroizing::new(Vec::with_capacity(128 + LONGEST_ESCAPE * values));
    serde_json::to_writer(&mut *json, &document)?;
    output.write_all(&json)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        Credentials {
            access_key_id: "ASIATEST".to_owned(),
            secret_access_key: Zeroizing::new("test/secret+\"quoted\"".to_owned()),
            session_token: Zeroizing::new("test-token==".to_owned()),
            expiration: "2026-01-02T03:04:05Z".to_owned(),
        }
    }

    /// Counts writes, and takes everything.
    #[derive(Default)]
    struct Sink {
        writes: usize,
        octets: Vec<u8>,
    }

    impl Write for Sink {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.writes += 1;
            self.octets.extend(octets);
            Ok(octets.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_document_is_one_write_in_the_known_order_without_a_line_end() {
        let mut sink = Sink::default();
        write(&credentials(), &mut sink).unwrap();
        assert_eq!(sink.writes, 1);
        assert_eq!(
            String::from_utf8(sink.octets).unwrap(),
            r#"{"Version":1,"AccessKeyId":"ASIATEST","SecretAccessKey":"test/secret+\"quoted\"","SessionToken":"test-token==","Expiration":"2026-01-02T03:04:05Z"}"#
        );
    }

    #[test]
    fn credentials_that_lack_a_field_are_not_written() {
        let mut sink = Sink::default();
        let lacking = Credentials { session_token: Zeroizing::default(), ..credentials() };
        let error = write(&lacking, &mut sink).unwrap_err();
        assert_eq!(error.to_string(), "wanted whole credentials, found no sessionToken");
        assert_eq!(sink.writes, 0);
    }
}
