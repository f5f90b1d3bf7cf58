//! Every row of the contract with SDKs, asked of the pure routes.

use hyper::Request;
use hyper::body::Body;
use hyper::http::request::Builder;

use super::super::answer::Answer;
use super::super::consumer::ConsumerToken;
use super::super::endpoint::Endpoint;
use super::super::route::route;
use super::super::setup::{first_snapshot, role_name};
use super::super::state::Snapshot;
use super::super::{document, options::Surface};
use super::*;

const NOW: &str = "2026-11-20T07:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

/// Two roles, of which the first has credentials for an hour, and a consumer of each.
fn snapshot() -> Snapshot {
    let roles = [ROLE, "arn:aws:iam::123456789012:role/batch"].map(|arn| role(arn, good));
    let consumers = ["web", "batch"].map(|role| Consumer {
        name: role.into(),
        role: role.into(),
        token_file: format!("/nonexistent/{role}").into(),
    });
    let mut snapshot = first_snapshot(&options(), &roles, &consumers).unwrap();
    let role = std::sync::Arc::make_mut(&mut snapshot.roles[0]);
    let mut vended = credentials(1, SignedDuration::ZERO);
    vended.expiration = after(3600).to_string();
    role.credentials = Some(document::render(&vended, ROLE, now()).unwrap());
    snapshot
}

fn consumer_token(snapshot: &Snapshot, index: usize) -> ConsumerToken {
    snapshot.consumers[index].tokens.current().clone()
}

struct Asked {
    endpoint: Endpoint,
    answer: Answer,
}

impl Asked {
    fn status(&self) -> u16 {
        self.answer.status().as_u16()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.answer.headers().get(name).map(|value| value.to_str().unwrap())
    }

    fn body(&self) -> String {
        let mut body = self.answer.body().clone();
        let mut text = String::new();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        while let std::task::Poll::Ready(Some(Ok(frame))) = std::pin::Pin::new(&mut body).poll_frame(&mut context) {
            text.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
        assert!(body.is_end_stream());
        text
    }
}

fn ask_at(snapshot: &Snapshot, request: Builder, surface: Surface, now: Timestamp) -> Asked {
    let local = if surface == Surface::Everything { "127.0.0.1" } else { "169.254.170.2" };
    let mut parts = request.body(()).unwrap().into_parts().0;
    if !parts.headers.contains_key("host") {
        parts.headers.insert("host", local.parse().unwrap());
    }
    let (endpoint, answer) = route(&parts, snapshot, local.parse().unwrap(), surface, now);
    Asked { endpoint, answer }
}

fn ask(snapshot: &Snapshot, request: Builder) -> Asked {
    ask_at(snapshot, request, Surface::Everything, now())
}

fn request(method: &str, path: &str) -> Builder {
    Request::builder().method(method).uri(path)
}

const TOKEN: &str = "X-aws-ec2-metadata-token";
const LIFE: &str = "X-aws-ec2-metadata-token-ttl-seconds";

fn token(snapshot: &Snapshot) -> String {
    ask(snapshot, request("PUT", "/latest/api/token").header(LIFE, "300")).body()
}

/// A GET with a session token.
fn get(snapshot: &Snapshot, path: &str) -> Asked {
    ask(snapshot, request("GET", path).header(TOKEN, token(snapshot)))
}

#[test]
fn a_session_token_says_how_long_it_lasts() {
    let snapshot = snapshot();
    for (path, wanted, life) in [
        ("/latest/api/token", Some("1"), "1"),
        ("/latest/api/token/", Some("300"), "300"),
        ("/latest/api/token", Some("21600"), "21600"),
        ("/latest/api/token", Some("060"), "60"),
        ("/latest/api/token", None, "21600"),
    ] {
        let mut request = request("PUT", path);
        if let Some(wanted) = wanted {
            request = request.header(LIFE, wanted);
        }
        let asked = ask(&snapshot, request);
        assert_eq!((asked.status(), asked.header(LIFE)), (200, Some(life)), "{wanted:?}");
        assert_eq!(asked.endpoint, Endpoint::Token);
        assert!(asked.body().len() >= 56 && !asked.body().contains('\n'), "{}", asked.body());
    }
}

#[test]
fn a_life_that_is_not_in_1_to_21600_is_refused() {
    let snapshot = snapshot();
    for wanted in ["0", "21601", "abc", "", "-1", "+60", "60 s", "1.5", "99999999999999999999", "60,60"] {
        let asked = ask(&snapshot, request("PUT", "/latest/api/token").header(LIFE, wanted));
        assert_eq!((asked.status(), &*asked.body()), (400, "invalid token TTL"), "{wanted:?}");
    }
    let twice = request("PUT", "/latest/api/token").header(LIFE, "60").header(LIFE, "60");
    assert_eq!(ask(&snapshot, twice).status(), 400);
}

#[test]
fn the_listing_is_the_name_of_the_imds_role_and_nothing_else() {
    let snapshot = snapshot();
    for path in [LISTING, LISTING.trim_end_matches('/')] {
        let asked = get(&snapshot, path);
        assert_eq!((asked.status(), &*asked.body(), asked.header(LIFE)), (200, "web", Some("300")), "{path}");
        assert_eq!(asked.endpoint, Endpoint::Listing);
    }
}

#[test]
fn the_document_is_json_with_the_life_of_the_token() {
    let snapshot = snapshot();
    for path in [
        DOCUMENT,
        "/latest/meta-data/iam/security-credentials/web/",
        "/latest/meta-data/iam/security-credentials/%77eb",
    ] {
        let asked = get(&snapshot, path);
        assert_eq!((asked.status(), asked.header(LIFE)), (200, Some("300")), "{path}");
        assert_eq!(asked.header("content-type"), Some("application/json"));
        assert_eq!(asked.header("cache-control"), Some("no-store"));
        let document: serde_json::Value = serde_json::from_str(&asked.body()).unwrap();
        assert_eq!(document["Code"], "Success");
        assert_eq!(document["Expiration"], "2026-11-20T08:00:00Z");
        assert_eq!(asked.endpoint, Endpoint::Document);
    }
}

#[test]
fn the_region_is_told() {
    let asked = get(&snapshot(), "/latest/meta-data/placement/region");
    assert_eq!((asked.status(), &*asked.body(), asked.header(LIFE)), (200, "eu-west-1", Some("300")));
}

#[test]
fn another_role_is_not_found() {
    let snapshot = snapshot();
    for role in ["other", "batch", "WEB", "we", "webs", "team", "%", "%zz"] {
        let asked = get(&snapshot, &format!("{LISTING}{role}"));
        assert_eq!((asked.status(), asked.header(LIFE)), (404, Some("300")), "{role}");
    }
}

#[test]
fn every_other_path_is_not_found() {
    let snapshot = snapshot();
    for path in [
        "/",
        "/latest",
        "/latest/meta-data/",
        "/latest/meta-data/iam/info",
        "/latest/meta-data/iam/security-credentialsweb",
        "/latest/meta-data/iam/security-credentials//",
        "/latest/meta-data/iam/security-credentials/web/anything",
        "/latest/meta-data/iam/security-credentials/web//",
        "//latest/meta-data/iam/security-credentials/",
        "/latest/../latest/meta-data/iam/security-credentials/",
        "/latest/api/token/x",
        "/latest/meta-data/placement/availability-zone",
        "/latest/dynamic/instance-identity/document",
        "/1.0/meta-data/iam/security-credentials/",
        "/v1",
        "/v1/credentials/x",
        "/healthz",
        "/metrics",
    ] {
        let asked = get(&snapshot, path);
        assert_eq!((asked.status(), asked.endpoint), (404, Endpoint::None), "{path}");
    }
}

#[test]
fn there_is_no_imdsv1() {
    let snapshot = snapshot();
    for path in [LISTING, DOCUMENT, "/latest/meta-data/placement/region"] {
        let without = ask(&snapshot, request("GET", path));
        assert_eq!((without.status(), &*without.body()), (401, "no token provided"), "{path}");
        for wrong in ["", "x", &"A".repeat(64)] {
            let asked = ask(&snapshot, request("GET", path).header(TOKEN, wrong));
            assert_eq!((asked.status(), &*asked.body()), (401, "invalid token provided"), "{path}");
        }
    }
}

#[test]
fn a_session_token_ends() {
    let snapshot = snapshot();
    let token = token(&snapshot);
    let at = |seconds| {
        let request = request("GET", DOCUMENT).header(TOKEN, &token);
        ask_at(&snapshot, request, Surface::Everything, after(seconds))
    };
    assert_eq!(at(299).header(LIFE), Some("1"));
    assert_eq!((at(300).status(), at(300).header(LIFE)), (401, None));
}

#[test]
fn another_method_is_told_which_one_is_allowed() {
    let snapshot = snapshot();
    for method in ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "FROBNICATE"] {
        let asked = ask(&snapshot, request(method, "/latest/api/token"));
        assert_eq!((asked.status(), asked.header("allow")), (405, Some("PUT")), "{method}");
    }
    for path in [LISTING, DOCUMENT, "/latest/meta-data/placement/region", CONTAINER_PATH] {
        for method in ["PUT", "HEAD", "POST", "DELETE", "OPTIONS", "FROBNICATE"] {
            let asked = ask(&snapshot, request(method, path).header(TOKEN, token(&snapshot)));
            assert_eq!((asked.status(), asked.header("allow")), (405, Some("GET")), "{method} {path}");
        }
    }
}

#[test]
fn what_a_proxy_forwarded_is_refused_everywhere() {
    let snapshot = snapshot();
    let consumer = consumer_token(&snapshot, 0);
    for header in ["X-Forwarded-For", "Forwarded"] {
        for (method, path) in
            [("PUT", "/latest/api/token"), ("GET", LISTING), ("GET", DOCUMENT), ("GET", CONTAINER_PATH), ("GET", "/")]
        {
            for value in ["192.0.2.1", ""] {
                let request = request(method, path)
                    .header(header, value)
                    .header(TOKEN, token(&snapshot))
                    .header("Authorization", consumer.expose());
                assert_eq!(ask(&snapshot, request).status(), 400, "{method} {path} {header}: {value}");
            }
        }
    }
}

#[test]
fn a_request_for_another_host_is_refused_everywhere() {
    let snapshot = snapshot();
    for (method, path) in [("PUT", "/latest/api/token"), ("GET", DOCUMENT), ("GET", CONTAINER_PATH), ("GET", "/")] {
        let request = request(method, path).header("host", "evil.example").header(TOKEN, token(&snapshot));
        assert_eq!(ask(&snapshot, request).status(), 400, "{method} {path}");
    }
}

#[test]
fn a_query_changes_nothing() {
    assert_eq!(get(&snapshot(), &format!("{DOCUMENT}?x=y/z")).status(), 200);
}

#[test]
fn expired_credentials_are_a_503_with_the_reason() {
    let snapshot = snapshot();
    let request = || {
        let long = ask(&snapshot, request("PUT", "/latest/api/token")).body();
        super::routes::request("GET", DOCUMENT).header(TOKEN, long)
    };
    assert_eq!(ask_at(&snapshot, request(), Surface::Everything, after(3599)).status(), 200);
    let asked = ask_at(&snapshot, request(), Surface::Everything, after(3600));
    assert_eq!((asked.status(), asked.header("content-type")), (503, Some("application/json")));
    let body: serde_json::Value = serde_json::from_str(&asked.body()).unwrap();
    assert_eq!(body["Code"], "CredentialsUnavailable");
    assert!(body["Message"].as_str().unwrap().contains("no valid credentials"), "{body}");
    assert!(body.get("AccessKeyId").is_none());
}

#[test]
fn the_token_of_a_consumer_alone_decides_its_role() {
    let snapshot = snapshot();
    let of = |index| request("GET", CONTAINER_PATH).header("Authorization", consumer_token(&snapshot, index).expose());

    let web = ask(&snapshot, of(0));
    assert_eq!((web.status(), web.header("content-type")), (200, Some("application/json")));
    let document: serde_json::Value = serde_json::from_str(&web.body()).unwrap();
    assert_eq!(document["RoleArn"], ROLE);

    let batch = ask(&snapshot, of(1));
    assert_eq!(batch.status(), 503, "the second role has no credentials yet");
    let reason: serde_json::Value = serde_json::from_str(&batch.body()).unwrap();
    assert_eq!(reason["code"], "CredentialsUnavailable");
}

#[test]
fn without_a_consumers_token_there_are_no_container_credentials() {
    let snapshot = snapshot();
    let token = consumer_token(&snapshot, 0);
    let bearer = format!("Bearer {}", token.expose());
    for presented in [&[][..], &[""], &["x"], &[&bearer], &[&token.expose()[1..]], &[token.expose(), token.expose()]] {
        let request = presented
            .iter()
            .fold(request("GET", CONTAINER_PATH), |request, value| request.header("Authorization", *value));
        let asked = ask(&snapshot, request);
        assert_eq!(asked.status(), 401);
        let reason: serde_json::Value = serde_json::from_str(&asked.body()).unwrap();
        assert!(reason["message"].is_string() && !asked.body().contains(token.expose()));
    }
    let session = super::routes::token(&snapshot);
    assert_eq!(ask(&snapshot, request("GET", CONTAINER_PATH).header("Authorization", session)).status(), 401);
}

#[test]
fn a_link_local_address_has_container_credentials_and_no_imds() {
    let snapshot = snapshot();
    let ask = |request| ask_at(&snapshot, request, Surface::Containers, now());
    let token = consumer_token(&snapshot, 0);
    assert_eq!(ask(request("GET", CONTAINER_PATH).header("Authorization", token.expose())).status(), 200);
    assert_eq!(ask(request("PUT", "/latest/api/token")).status(), 404);
    assert_eq!(ask(request("GET", DOCUMENT).header(TOKEN, super::routes::token(&snapshot))).status(), 404);
}

#[test]
fn roles_and_consumers_that_cannot_be_told_apart_are_refused() {
    let refusal = |roles: &[&str], consumers: &[(&str, &str)]| {
        let roles: Vec<_> = roles.iter().map(|arn| role(arn, good)).collect();
        let consumers: Vec<_> = consumers
            .iter()
            .map(|(role, file)| Consumer { name: "x".into(), role: (*role).into(), token_file: file.into() })
            .collect();
        first_snapshot(&options(), &roles, &consumers).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(refusal(&[ROLE], &[("web", "/a"), (ROLE, "/b")]), "");
    assert!(refusal(&[], &[]).contains("wanted a role"));
    assert!(refusal(&[ROLE, "arn:aws:iam::999999999999:role/web"], &[]).contains("two roles have the name web"));
    assert!(refusal(&[ROLE], &[("other", "/a")]).contains("wanted one of the roles web, found \"other\""));
    assert!(refusal(&[ROLE], &[("web", "/a"), ("web", "/a")]).contains("token file of another consumer"));
    let unknown = Options { imds_role: Some("other".into()), ..options() };
    assert!(first_snapshot(&unknown, &[role(ROLE, good)], &[]).is_err());
}

#[test]
fn a_role_is_named_by_the_end_of_its_arn() {
    assert_eq!(role_name(ROLE).unwrap(), "web");
    assert_eq!(role_name("arn:aws-cn:iam::123456789012:role/a+b=c,d.e@f-g_h").unwrap(), "a+b=c,d.e@f-g_h");
    for wrong in
        ["", "web", "arn:aws:iam::1:user/web", "arn:aws:iam::1:role/", "arn:aws:iam::1:role", "arn:aws:iam::1:role/a b"]
    {
        assert!(role_name(wrong).is_err(), "{wrong}");
    }
}
