//! The JSON bodies: rendered once per refresh, shared by every answer, wiped when the last of these is gone. Pure.

use hyper::body::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use zeroize::Zeroizing;

use super::super::source::{VendError, VendErrorKind};
use crate::credentials::Credentials;

/// Credentials in the forms in which they are answered.
#[derive(Clone)]
pub struct Rendered {
    /// From here on they are not served.
    pub expires: Timestamp,
    /// The IMDS role document.
    pub imds: Bytes,
    /// The answer of the container credentials endpoint.
    pub container: Bytes,
}

/// The fields in the peer's order; times have no fractions, which botocore's format cannot read.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ImdsDocument<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    code: &'a str,
    #[serde(rename = "Type")]
    kind: &'a str,
    expiration: &'a str,
    last_updated: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerDocument<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    expiration: &'a str,
    role_arn: &'a str,
}

/// Renders credentials that were got at `now`; an error where they are not such as may be served.
pub fn render(credentials: &Credentials, role_arn: &str, now: Timestamp) -> Result<Rendered, VendError> {
    let refuse = |what: String| VendError::new(VendErrorKind::Other, what);
    let parts = [&credentials.access_key_id, &*credentials.secret_access_key, &*credentials.session_token];
    if parts.iter().any(|part| part.is_empty()) {
        return Err(refuse("the credentials of the answer are incomplete".to_owned()));
    }
    let expires: Timestamp = credentials.expiration.parse().map_err(|_| {
        refuse(format!("wanted a time as the credentials' expiration, found {:?}", credentials.expiration))
    })?;
    if expires <= now {
        return Err(refuse(format!("the credentials expired at {expires}, before they came: is the clock right?")));
    }
    let expiration = seconds(expires);
    let imds = ImdsDocument {
        access_key_id: &credentials.access_key_id,
        secret_access_key: &credentials.secret_access_key,
        token: &credentials.session_token,
        code: "Success",
        kind: "AWS-HMAC",
        expiration: &expiration,
        last_updated: &seconds(now),
    };
    let container = ContainerDocument {
        access_key_id: &credentials.access_key_id,
        secret_access_key: &credentials.secret_access_key,
        token: &credentials.session_token,
        expiration: &expiration,
        role_arn,
    };
    Ok(Rendered { expires, imds: secret_line(&imds)?, container: secret_line(&container)? })
}

/// Why there are no credentials, as IMDS says it.
pub fn imds_failure(code: &str, message: &str) -> Bytes {
    line(&serde_json::json!({ "Code": code, "Message": message }))
}

/// The same as the container credentials endpoint says it: SDKs want the names in lower case there.
pub fn container_failure(code: &str, message: &str) -> Bytes {
    line(&serde_json::json!({ "code": code, "message": message }))
}

fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn secret_line(document: &impl Serialize) -> Result<Bytes, VendError> {
    // Large enough that no unwiped buffer is left behind by growing.
    let mut text = Zeroizing::new(Vec::with_capacity(16 * 1024));
    serde_json::to_writer(&mut *text, document)
        .map_err(|error| VendError::new(VendErrorKind::Other, "cannot render the credentials").with_source(error))?;
    text.push(b'\n');
    let text = Zeroizing::new(text.as_slice().to_vec());
    Ok(Bytes::from_owner(text))
}

fn line(document: &serde_json::Value) -> Bytes {
    Bytes::from(format!("{document}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(expiration: &str) -> Credentials {
        Credentials {
            access_key_id: "ASIATEST".into(),
            secret_access_key: Zeroizing::new("secret/+\"".into()),
            session_token: Zeroizing::new("token==".into()),
            expiration: expiration.into(),
        }
    }

    const ROLE: &str = "arn:aws:iam::123456789012:role/path/web";

    fn now() -> Timestamp {
        "2026-11-20T07:00:00.987654321Z".parse().unwrap()
    }

    #[test]
    fn the_imds_document_has_every_field_in_order_and_no_fractions() {
        let rendered = render(&credentials("2026-11-20T08:00:00.5Z"), ROLE, now()).unwrap();
        assert_eq!(
            rendered.imds,
            "{\"AccessKeyId\":\"ASIATEST\",\"SecretAccessKey\":\"secret/+\\\"\",\"Token\":\"token==\",\
             \"Code\":\"Success\",\"Type\":\"AWS-HMAC\",\"Expiration\":\"2026-11-20T08:00:00Z\",\
             \"LastUpdated\":\"2026-11-20T07:00:00Z\"}\n"
        );
    }

    #[test]
    fn the_container_document_has_the_four_fields_that_sdks_insist_on() {
        let rendered = render(&credentials("2026-11-20T08:00:00+01:00"), ROLE, now()).err().unwrap();
        assert!(rendered.to_string().contains("is the clock right"), "{rendered}");
        let rendered = render(&credentials("2026-11-20T10:00:00+01:00"), ROLE, now()).unwrap();
        assert_eq!(
            rendered.container,
            "{\"AccessKeyId\":\"ASIATEST\",\"SecretAccessKey\":\"secret/+\\\"\",\"Token\":\"token==\",\
             \"Expiration\":\"2026-11-20T09:00:00Z\",\"RoleArn\":\"arn:aws:iam::123456789012:role/path/web\"}\n"
        );
    }

    #[test]
    fn credentials_that_are_empty_or_have_no_time_are_never_served() {
        let mut empty = credentials("2026-11-20T08:00:00Z");
        empty.session_token.clear();
        assert!(render(&empty, ROLE, now()).is_err());
        for expiration in ["", "tomorrow", "0001-01-01T00:00:00Z", "2026-11-20T07:00:00Z"] {
            assert!(render(&credentials(expiration), ROLE, now()).is_err(), "{expiration}");
        }
    }

    #[test]
    fn failures_are_valid_json_whatever_the_reason_says() {
        assert_eq!(imds_failure("C", "a \"b\"\n"), "{\"Code\":\"C\",\"Message\":\"a \\\"b\\\"\\n\"}\n");
        assert_eq!(container_failure("C", "m"), "{\"code\":\"C\",\"message\":\"m\"}\n");
    }
}
