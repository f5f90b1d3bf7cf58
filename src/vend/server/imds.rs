//! IMDSv2 as SDKs expect it (EC2 user guide, "Use the Instance Metadata Service"). There is no IMDSv1: everything but the
//! session token itself wants one. Pure.

use std::borrow::Cow;

use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use jiff::Timestamp;

use super::answer::{Answer, JSON, answer as respond, method_not_allowed, plain, text};
use super::endpoint::Endpoint;
use super::session::LONGEST_LIFE;
use super::state::{RoleState, Snapshot};

static TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
static LIFE: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");

const ROLES: &str = "/latest/meta-data/iam/security-credentials";

/// What a path (without a `/` at its end) asks for; and of which role, as the path spells it.
pub(super) fn endpoint(path: &str) -> (Endpoint, &str) {
    match path {
        "/latest/api/token" => (Endpoint::Token, ""),
        "/latest/meta-data/placement/region" => (Endpoint::Region, ""),
        ROLES => (Endpoint::Listing, ""),
        _ => match path.strip_prefix(ROLES).and_then(|rest| rest.strip_prefix('/')) {
            Some(role) if !role.is_empty() && !role.contains('/') => (Endpoint::Document, role),
            _ => (Endpoint::None, ""),
        },
    }
}

/// Answers one of the endpoints above.
pub(super) fn answer(endpoint: Endpoint, role: &str, request: &Parts, snapshot: &Snapshot, now: Timestamp) -> Answer {
    if endpoint == Endpoint::Token {
        return session_token(request, snapshot, now);
    }
    if request.method != Method::GET {
        return method_not_allowed(&Method::GET);
    }
    let Some(token) = request.headers.get(&TOKEN) else {
        return text(StatusCode::UNAUTHORIZED, "no token provided");
    };
    let Some(left) = snapshot.sessions.seconds_left(token.as_bytes(), now) else {
        return text(StatusCode::UNAUTHORIZED, "invalid token provided");
    };
    let Some(shown) = snapshot.roles.get(snapshot.imds_role) else {
        return text(StatusCode::NOT_FOUND, "not found");
    };
    let mut answer = match endpoint {
        Endpoint::Listing => plain(shown.name.clone()),
        Endpoint::Region => plain(shown.region.clone()),
        _ if decoded(role).as_bytes() == shown.name => document(shown, now),
        _ => text(StatusCode::NOT_FOUND, "not found"),
    };
    answer.headers_mut().insert(LIFE.clone(), HeaderValue::from(left));
    answer
}

fn document(role: &RoleState, now: Timestamp) -> Answer {
    match role.valid(now) {
        Some(credentials) => respond(StatusCode::OK, &JSON, credentials.imds.clone()),
        None => respond(StatusCode::SERVICE_UNAVAILABLE, &JSON, role.unavailable.imds.clone()),
    }
}

fn session_token(request: &Parts, snapshot: &Snapshot, now: Timestamp) -> Answer {
    if request.method != Method::PUT {
        return method_not_allowed(&Method::PUT);
    }
    let Some(life) = wanted_life(&request.headers) else {
        return text(StatusCode::BAD_REQUEST, "invalid token TTL");
    };
    let Some(token) = snapshot.sessions.issue(now, life) else {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "no random octets to be had");
    };
    let mut answer = plain(Bytes::from(token));
    answer.headers_mut().insert(LIFE.clone(), HeaderValue::from(life));
    answer
}

/// The life that is asked for in seconds: digits only, in 1 to 21600; the longest where none is asked for.
fn wanted_life(headers: &HeaderMap) -> Option<u32> {
    let mut wanted = headers.get_all(&LIFE).iter();
    let Some(life) = wanted.next() else { return Some(LONGEST_LIFE) };
    let life = life.to_str().ok().filter(|life| life.bytes().all(|digit| digit.is_ascii_digit()))?;
    let life = life.parse().ok().filter(|life| (1..=LONGEST_LIFE).contains(life))?;
    wanted.next().is_none().then_some(life)
}

/// Some clients percent-encode the `+`, `=`, `,` and `@` that a role name may have.
fn decoded(role: &str) -> Cow<'_, str> {
    let Some((before, rest)) = role.split_once('%') else { return role.into() };
    let mut text = before.to_owned();
    for part in rest.split('%') {
        let octet = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(u8::is_ascii_graphic);
        let Some(octet) = octet else { return role.into() };
        text.push(char::from(octet));
        text.push_str(part.get(2..).unwrap_or_default());
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_name_may_be_percent_encoded() {
        for (encoded, name) in [("web", "web"), ("a%2Bb%3dc%2C%40", "a+b=c,@"), ("%77eb", "web")] {
            assert_eq!(decoded(encoded), name);
        }
        for broken in ["%", "%2", "a%zz", "%00", "%2é"] {
            assert_eq!(decoded(broken), broken);
        }
    }
}
