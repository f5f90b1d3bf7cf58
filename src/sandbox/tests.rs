//! Two whole requests made by another implementation (Python's `cryptography`, RFC 6979 nonces), and what becomes of them when a
//! part is changed. Nothing here is signed by this program.

use hyper::Request;
use hyper::body::Bytes;
use jiff::Timestamp;

use super::arrived::Arrived;
use super::certificate::Certificate;
use super::create_session::{Grant, Policy, Presented};
use super::refusal::Refusal;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

const DATE: &str = "20260102T030405Z";

/// EC P-256, self-signed.
const CA: &str = "\
MIIBpjCCAUygAwIBAgIIAQIDBAUGBwgwCgYIKoZIzj0EAwIwNzELMAkGA1UEBhMCVVMxFDASBgNVBAoMC0V4YW1wbGUgT3JnMRIw\
EAYDVQQDDAlWZWN0b3IgQ0EwHhcNMjYwMTAxMDAwMDAwWhcNMzYwMTAxMDAwMDAwWjA3MQswCQYDVQQGEwJVUzEUMBIGA1UECgwL\
RXhhbXBsZSBPcmcxEjAQBgNVBAMMCVZlY3RvciBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABM2f0oR6Q/b7DBLJCOxZayVz\
Z3cYUDW4A+pwdzWOZ6a7ZfeyWteNIb/NPqrL0NHYC2zTfVM6cMdmGD3Fp2V9wbCjQjBAMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0P\
AQH/BAQDAgEGMB0GA1UdDgQWBBTuVHEnU0c9o6fkJNEUlFq0HjGBJTAKBggqhkjOPQQDAgNIADBFAiEAwTm2vDh/FF+GuVbwgq2Y\
+10SEaStUEjVShgRwImz4LYCIDrCsG4MfFQUnkfchUKVAG1z36ggSyoxXoL7Z7oFaX8V";
/// RSA-2048, issued by the CA.
const RSA_LEAF: &str = "\
MIICrjCCAlOgAwIBAgIQH3HFEUoRn8DMWlpS+zcgrTAKBggqhkjOPQQDAjA3MQswCQYDVQQGEwJVUzEUMBIGA1UECgwLRXhhbXBs\
ZSBPcmcxEjAQBgNVBAMMCVZlY3RvciBDQTAeFw0yNjAxMDEwMDAwMDBaFw0zNjAxMDEwMDAwMDBaMDgxCzAJBgNVBAYTAlVTMRQw\
EgYDVQQKDAtFeGFtcGxlIE9yZzETMBEGA1UEAwwKdmVjdG9yLXJzYTCCASIwDQYJKoZIhvcNAQEBBQADggEPADCCAQoCggEBAN36\
aSFiS6SzF0/v63lUnVvWyv0O+QK18Ey0y011PqmAebz99ePNFKsvICc3vVGp5z4hNC/J1KsXRZIifnI+8MrA3JVAMvhBPa4l+b9y\
WN6cBVKZwSCXX/WgJgHGM2t2Je4x8i2hsonwuQ0Ct/7ZLfrbZK/Zm+roInwpopFTEzi0LXZTwSzZ/+5vxyjXU4P/jIf0ihGiDyyl\
DXx5gNC9+fiaz2PjY2ew+qqnk2I2E0GXmKckteW8oGyHeaHBqVatTLBZvLmw9CBIePyshdltx1KgsT6YxoiwKwBE9MNn9lMjuY91\
vdoe5ElWXzzieZ+FfhJGT6dw80/zfmMgxR3mhc0CAwEAAaN1MHMwDAYDVR0TAQH/BAIwADAOBgNVHQ8BAf8EBAMCB4AwEwYDVR0l\
BAwwCgYIKwYBBQUHAwIwHQYDVR0OBBYEFOoVe6S1KoUQp8lSWtUUOUkiDr5oMB8GA1UdIwQYMBaAFO5UcSdTRz2jp+Qk0RSUWrQe\
MYElMAoGCCqGSM49BAMCA0kAMEYCIQDwTQMWq7d9BEcXgSELroJkMri0giGaYMWQgjsPExvt7gIhAJZtPeOb/4kVbxD6GEjF6lHx\
LZCWu5DolXgJlRJJqhvE";
/// P-256, issued by the CA.
const EC_LEAF: &str = "\
MIIB3zCCAYSgAwIBAgINAPGis8TV5vcIEjRWeDAKBggqhkjOPQQDAjA3MQswCQYDVQQGEwJVUzEUMBIGA1UECgwLRXhhbXBsZSBP\
cmcxEjAQBgNVBAMMCVZlY3RvciBDQTAeFw0yNjAxMDEwMDAwMDBaFw0zNjAxMDEwMDAwMDBaMDcxCzAJBgNVBAYTAlVTMRQwEgYD\
VQQKDAtFeGFtcGxlIE9yZzESMBAGA1UEAwwJdmVjdG9yLWVjMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEgXRmV7Fqk3hRRMJE\
PrI3gMnsMj5OfGYuFqJKsCFAn6E34J7GQtdgK9ffjvKtjTw33yKVv/XfO1eeha9ne8mBW6N1MHMwDAYDVR0TAQH/BAIwADAOBgNV\
HQ8BAf8EBAMCB4AwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0OBBYEFPpJB/KNFHdmAExREjPlJk2+AKceMB8GA1UdIwQYMBaA\
FO5UcSdTRz2jp+Qk0RSUWrQeMYElMAoGCCqGSM49BAMCA0kAMEYCIQCTQsi8YamPXAJmId5aDzJsXN9ycWUvxE7z1ks7WZOFFgIh\
AM8aQC3Ndf6UOWy8T6ShKVZPtPgti8s0+LK7l5aWxQav";
/// Over the request with everything in the body and no chain.
const RSA_AUTHORIZATION: &str = "\
AWS4-X509-RSA-SHA256 Credential=41796794418840706582093025104159514797/20260102/us-east-1/rolesanywh\
ere/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-x509, Signature=d26cbaf93550af64a\
6b0bc055ee490397cf2051a32d6a6a8b328caa89807eaa78ad0ef0bbf51d8528ee41e1720e26406e7a09ca4c31ac4fc6a26c\
b7def89c3c49e97a1c53cc6f4213ca20f27cc2cd191d07c5c8744a4d9e5ff965d83ab3bcd4b9f75f9cbf745afb9413b49427\
c33e1d272487ae7a430498bc1b1d333033a9b4599c4cbcb6253ac944f9c63a042196d68e9dd533e81d1be21e62df3988372e\
a953292a5b7c3c01c6284da8c16d3d7ee573e68d1088bcbca052eb993be5f224e3b96780b3db613ec8450eef2153da06b2c9\
d71a4fea94c114722f74d009f344dfe14decb06cbad1136a8960f479775a8a68c4dd0df2ddab7681b7ac7ef1d1fab73";
const RSA_BODY: &str = r#"{"durationSeconds":900,"profileArn":"arn:aws:rolesanywhere:us-east-1:111122223333:profile/0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f1","roleArn":"arn:aws:iam::111122223333:role/ExampleRole","trustAnchorArn":"arn:aws:rolesanywhere:us-east-1:111122223333:trust-anchor/11111111-2222-4333-8444-555555555555"}"#;
/// Over the request with the ARNs in the query, a chain, and the headers of the AWS SDKs.
const EC_AUTHORIZATION: &str = "\
AWS4-X509-ECDSA-SHA256 Credential=74782582284297281991299323512/20260102/us-east-1/rolesanywhere/aws\
4_request, SignedHeaders=amz-sdk-invocation-id;amz-sdk-request;content-type;host;x-amz-date;x-amz-x5\
09;x-amz-x509-chain, Signature=304502202acfb7b887e983e125799de2eb94ac0e2e277b30c93682885afc7dc80a473\
74f022100c59cd9a5486a3c39b76126153b66c64bd17c01a83bd188f04351144a4354412d";
const EC_TARGET: &str = "\
/sessions?profileArn=arn%3Aaws%3Arolesanywhere%3Aus-east-1%3A111122223333%3Aprofile%2F0f1e2d3c-4b5a-\
4978-8695-a4b3c2d1e0f1&roleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fteam%2FExample%2BRole&trus\
tAnchorArn=arn%3Aaws%3Arolesanywhere%3Aus-east-1%3A111122223333%3Atrust-anchor%2F11111111-2222-4333-\
8444-555555555555";
const EC_BODY: &str = r#"{"durationSeconds":3600,"roleSessionName":"web-01"}"#;

/// A request whose every part can be changed.
#[derive(Clone)]
struct Sketch {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Sketch {
    fn rsa() -> Self {
        Self {
            method: "POST",
            target: "/sessions".to_owned(),
            headers: vec![
                ("host", "rolesanywhere.us-east-1.amazonaws.com".to_owned()),
                ("content-type", "application/json".to_owned()),
                ("x-amz-date", DATE.to_owned()),
                ("x-amz-x509", RSA_LEAF.to_owned()),
                ("authorization", RSA_AUTHORIZATION.to_owned()),
                ("user-agent", "not signed".to_owned()),
            ],
            body: RSA_BODY.to_owned(),
        }
    }

    fn ec() -> Self {
        Self {
            method: "POST",
            target: EC_TARGET.to_owned(),
            headers: vec![
                ("host", "rolesanywhere.us-east-1.amazonaws.com".to_owned()),
                ("content-type", "application/json".to_owned()),
                ("amz-sdk-invocation-id", "00000000-0000-4000-8000-000000000000".to_owned()),
                ("amz-sdk-request", "attempt=1; max=3".to_owned()),
                ("x-amz-date", DATE.to_owned()),
                ("x-amz-x509", EC_LEAF.to_owned()),
                ("x-amz-x509-chain", CA.to_owned()),
                ("authorization", EC_AUTHORIZATION.to_owned()),
            ],
            body: EC_BODY.to_owned(),
        }
    }

    /// Replaces `from` by `to` in a header.
    fn edit(mut self, name: &str, from: &str, to: &str) -> Self {
        let (_, value) = self.headers.iter_mut().find(|(header, _)| *header == name).unwrap();
        assert!(value.contains(from), "{name} has no {from}");
        *value = value.replacen(from, to, 1);
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(header, _)| *header != name);
        self
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn judge_by(&self, policy: &Policy, seconds_later: i64) -> Result<Grant, Refusal> {
        let mut request = Request::builder().method(self.method).uri(&self.target);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let arrived = Arrived::new(request.body(Bytes::from(self.body.clone())).unwrap());
        let signed_at: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let now = Timestamp::from_second(signed_at.as_second() + seconds_later).unwrap();
        Presented::read(&arrived)?.judge(policy, &arrived, now)
    }

    fn judge(&self) -> Result<Grant, Refusal> {
        self.judge_by(&policy(), 0)
    }

    fn refusal(&self) -> Refusal {
        self.judge().unwrap_err()
    }
}

fn certificate(base64: &str) -> Certificate {
    Certificate::from_der(&BASE64_STANDARD.decode(base64).unwrap()).unwrap()
}

fn policy() -> Policy {
    Policy {
        trust_anchors: vec![certificate(CA)],
        region: None,
        trust_anchor_arns: Vec::new(),
        profile_arns: Vec::new(),
        role_arns: Vec::new(),
        accept_role_session_name: true,
        profile_duration_seconds: 3600,
        max_session_duration_seconds: 43_200,
        lifetime_seconds: None,
    }
}

#[test]
fn the_rsa_request_is_granted() {
    let grant = Sketch::rsa().judge().unwrap();
    assert_eq!(grant.expiration.to_string(), "2026-01-02T03:19:05Z");
    // Without a roleSessionName the session has the serial number's name.
    let session = "arn:aws:sts::111122223333:assumed-role/ExampleRole/1f71c5114a119fc0cc5a5a52fb3720ad";
    assert_eq!(grant.identity.arn, session);
}

#[test]
fn the_ec_request_is_granted() {
    let grant = Sketch::ec().judge().unwrap();
    assert_eq!(grant.expiration.to_string(), "2026-01-02T04:04:05Z");
    assert_eq!(grant.identity.arn, "arn:aws:sts::111122223333:assumed-role/Example+Role/web-01");
}

#[test]
fn what_canonicalisation_evens_out_does_not_spoil_the_signature() {
    assert!(Sketch::ec().edit("amz-sdk-request", "attempt=1; max=3", "  attempt=1;   max=3 ").judge().is_ok());
    let mut reordered = Sketch::ec();
    let (first, rest) = EC_TARGET.strip_prefix("/sessions?").unwrap().split_once('&').unwrap();
    reordered.target = format!("/sessions?{rest}&{}", first.replace("%3A", ":").replace("%2F", "%2f"));
    assert!(reordered.judge().is_ok());
    assert!(Sketch::rsa().with("x-not-signed", "anything").judge().is_ok());
}

#[test]
fn a_change_of_anything_that_is_signed_is_an_invalid_signature() {
    let ec = Sketch::ec;
    let mut other_body = ec();
    other_body.body = other_body.body.replace("web-01", "web-02");
    let mut other_query = ec();
    other_query.target = other_query.target.replace("team", "tean");
    let mut more_query = ec();
    more_query.target.push_str("&a=b");
    let mut other_method = ec();
    other_method.method = "PUT";
    let mut other_path = ec();
    other_path.target = other_path.target.replacen("/sessions", "/session", 1);
    let changed = [
        other_body,
        other_query,
        more_query,
        other_method,
        other_path,
        ec().edit("host", "us-east-1", "us-east-2"),
        ec().edit("content-type", "json", "jsom"),
        ec().edit("amz-sdk-request", "attempt=1", "attempt=2"),
        ec().edit("x-amz-date", "05Z", "06Z"),
        ec().with("amz-sdk-request", "attempt=2; max=3"),
        ec().with("x-amz-date", DATE),
        ec().without("amz-sdk-request"),
        ec().without("x-amz-date"),
        ec().without("x-amz-x509-chain"),
        ec().edit("x-amz-x509-chain", CA, &format!("{CA},{CA}")),
        ec().edit("authorization", "/us-east-1/", "/us-east-2/"),
        ec().edit("authorization", "/20260102/", "/20260103/"),
        ec().edit("authorization", "/rolesanywhere/", "/sts/"),
        ec().edit("authorization", "74782582284297281991299323512", "74782582284297281991299323513"),
        ec().edit("authorization", "74782582284297281991299323512", "074782582284297281991299323512"),
        ec().edit("authorization", "74782582284297281991299323512", "f1a2b3c4d5e6f70812345678"),
        ec().edit("authorization", "ECDSA-SHA256", "RSA-SHA256"),
        ec().edit("authorization", "ECDSA-SHA256", "ECDSA-SHA384"),
        ec().edit("authorization", "AWS4-X509-ECDSA-SHA256", "AWS4-HMAC-SHA256"),
        ec().edit("authorization", "Signature=3045", "Signature=3046"),
        ec().edit("authorization", "0a47374f", "0a47374e"),
        Sketch::rsa().edit("authorization", "Signature=d2", "Signature=d3"),
        Sketch::rsa().edit("authorization", "7ef1d1fab73", "7ef1d1fab"),
    ];
    for (index, sketch) in changed.iter().enumerate() {
        let refusal = sketch.refusal();
        assert_eq!(
            (refusal.status.as_u16(), refusal.message.as_str()),
            (403, "Invalid signature"),
            "{index}: {refusal:?}"
        );
        assert_eq!(refusal.code, "AccessDeniedException");
    }
}

#[test]
fn each_header_that_must_be_signed_is_missed() {
    for name in ["content-type", "host", "x-amz-date", "x-amz-x509"] {
        let listed = if name == "x-amz-x509" { format!(";{name}") } else { format!("{name};") };
        let sketch = Sketch::rsa().edit("authorization", &listed, "");
        assert_eq!(sketch.refusal().reason, format!("wanted header {name} in SignedHeaders, found it missing"));
    }
    // The chain is optional; once sent it must be signed.
    let refusal = Sketch::rsa().with("x-amz-x509-chain", CA).refusal();
    assert_eq!(refusal.reason, "wanted header x-amz-x509-chain in SignedHeaders, found it missing");
}

#[test]
fn without_a_readable_certificate_nothing_is_judged() {
    let leafless = [
        Sketch::rsa().without("x-amz-x509"),
        Sketch::rsa().edit("x-amz-x509", "MII", "MI"),
        Sketch::rsa().edit("x-amz-x509", "MII", "MIJ"),
        Sketch::rsa().with("x-amz-x509", RSA_LEAF),
    ];
    for (index, sketch) in leafless.iter().enumerate() {
        assert_eq!(sketch.refusal().message, "Untrusted certificate. Insufficient certificate", "{index}");
    }
    let six = [CA; 6].join(",");
    for chain in ["", "MII", &format!("{CA}, {CA}"), &format!("{CA},"), &six] {
        let sketch = Sketch::ec().edit("x-amz-x509-chain", CA, chain);
        assert_eq!(sketch.refusal().message, "Untrusted signing certificate", "{chain}");
    }
}

#[test]
fn without_an_authorization_the_token_is_missing() {
    assert_eq!(Sketch::rsa().without("authorization").refusal().message, "Missing Authentication Token");
}

#[test]
fn the_clock_may_be_five_minutes_off() {
    for seconds in [-300, 300] {
        assert!(Sketch::rsa().judge_by(&policy(), seconds).is_ok());
    }
    let late = Sketch::rsa().judge_by(&policy(), 301).unwrap_err();
    let message =
        "Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z (20260102T030906Z - 5 min.)";
    assert_eq!(late.message, message);
    let early = Sketch::rsa().judge_by(&policy(), -301).unwrap_err();
    assert!(early.message.starts_with("Signature not yet current: "), "{early:?}");
}

#[test]
fn the_leaf_must_chain_to_a_trust_anchor() {
    let stranger = Policy { trust_anchors: Vec::new(), ..policy() };
    let refusal = Sketch::rsa().judge_by(&stranger, 0).unwrap_err();
    assert_eq!(refusal.message, "Untrusted signing certificate");
    assert!(refusal.reason.contains("Vector CA"), "{refusal:?}");
    // The CA that the EC request sends along is a link, not an anchor.
    assert_eq!(Sketch::ec().judge_by(&stranger, 0).unwrap_err().message, "Untrusted signing certificate");
}

#[test]
fn a_certificate_is_valid_from_its_first_second_to_its_last() {
    let leaf = certificate(EC_LEAF);
    let at = |time: &str| leaf.require_end_entity(time.parse().unwrap()).is_ok();
    assert!(at("2026-01-01T00:00:00Z") && at("2036-01-01T00:00:00Z"));
    assert!(!at("2025-12-31T23:59:59Z") && !at("2036-01-01T00:00:01Z"));
}

#[test]
fn a_certificate_names_one_signature_algorithm() {
    let mut der = BASE64_STANDARD.decode(EC_LEAF).unwrap();
    // ecdsa-with-SHA256 outside becomes ecdsa-with-SHA384, inside it stays.
    let oid = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    let outside = der.windows(oid.len()).rposition(|window| window == oid).unwrap();
    der[outside + oid.len() - 1] = 0x03;
    let now = "2026-01-02T03:04:05Z".parse().unwrap();
    let flaw = Certificate::from_der(&der).unwrap().require_end_entity(now).unwrap_err();
    assert!(flaw.to_string().ends_with("wanted one signature algorithm inside and outside, found two"), "{flaw}");
}

#[test]
fn no_octet_of_a_certificate_can_change_unnoticed() {
    let (whole, ca) = (BASE64_STANDARD.decode(EC_LEAF).unwrap(), certificate(CA));
    let now = "2026-01-02T03:04:05Z".parse().unwrap();
    let accepted = |der: &[u8]| {
        let judge = |leaf: Certificate| leaf.require_end_entity(now).and_then(|()| leaf.require_signed_by(&ca));
        Certificate::from_der(der).and_then(judge).is_ok()
    };
    assert!(accepted(&whole));
    for index in 0..whole.len() {
        for mask in [0x01, 0x20, 0x80, 0xff] {
            let mut changed = whole.clone();
            changed[index] ^= mask;
            assert!(!accepted(&changed), "octet {index} ^ {mask:#x}");
        }
        assert!(!accepted(&whole[..index]), "cut at {index}");
    }
    assert!(!accepted(&[whole.as_slice(), &[0]].concat()));
}

#[test]
fn the_endpoint_has_one_region_if_it_was_given_one() {
    let elsewhere = Policy { region: Some("eu-west-1".to_owned()), ..policy() };
    assert_eq!(Sketch::rsa().judge_by(&elsewhere, 0).unwrap_err().message, "Invalid signature");
    let here = Policy { region: Some("us-east-1".to_owned()), ..policy() };
    assert!(Sketch::rsa().judge_by(&here, 0).is_ok());
}

#[test]
fn what_does_not_exist_is_not_found_and_what_is_not_allowed_is_denied() {
    let others = || vec!["arn:aws:rolesanywhere:us-east-1:111122223333:other".to_owned()];
    let no_anchor = Policy { trust_anchor_arns: others(), ..policy() };
    let no_profile = Policy { profile_arns: others(), ..policy() };
    for policy in [no_anchor, no_profile] {
        let refusal = Sketch::rsa().judge_by(&policy, 0).unwrap_err();
        assert_eq!((refusal.status.as_u16(), refusal.code), (404, "ResourceNotFoundException"));
    }
    let no_role = Policy { role_arns: others(), ..policy() };
    let refusal = Sketch::rsa().judge_by(&no_role, 0).unwrap_err();
    assert_eq!(refusal.message, "Unable to assume role for arn:aws:iam::111122223333:role/ExampleRole.");
    let no_name = Policy { accept_role_session_name: false, ..policy() };
    assert_eq!(Sketch::ec().judge_by(&no_name, 0).unwrap_err().message, "Not authorized to set roleSessionName.");
    assert!(Sketch::rsa().judge_by(&no_name, 0).is_ok());
}

#[test]
fn the_duration_is_the_shorter_one_and_the_roles_maximum_refuses() {
    let generous = Policy { profile_duration_seconds: 43_200, max_session_duration_seconds: 3600, ..policy() };
    assert_eq!(Sketch::ec().judge_by(&generous, 0).unwrap().expiration.to_string(), "2026-01-02T04:04:05Z");
    let short = Policy { profile_duration_seconds: 900, ..policy() };
    assert_eq!(Sketch::ec().judge_by(&short, 0).unwrap().expiration.to_string(), "2026-01-02T03:19:05Z");
    let strict = Policy { max_session_duration_seconds: 3599, ..policy() };
    let refusal = Sketch::ec().judge_by(&strict, 0).unwrap_err();
    assert!(
        refusal.message.ends_with("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    );
    let brief = Policy { lifetime_seconds: Some(5), ..policy() };
    assert_eq!(Sketch::ec().judge_by(&brief, 0).unwrap().expiration.to_string(), "2026-01-02T03:04:10Z");
}
