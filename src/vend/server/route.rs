//! From a request to its answer: pure, without sockets, so that every row of the contract is a unit test. Which paths there are
//! is decided here; what they answer, in `imds.rs` and `container.rs`.

use std::net::IpAddr;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use jiff::Timestamp;

use super::options::Surface;
use super::state::Snapshot;
use super::{container, host, imds};

/// An answer, always from memory.
pub type Answer = Response<Full<Bytes>>;

pub(super) static JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) static TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
static NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// A proxy that was tricked into asking on behalf of somebody else adds one of these, as SDKs never do.
static FORWARDED: [HeaderName; 2] = [HeaderName::from_static("x-forwarded-for"), HeaderName::from_static("forwarded")];

/// What was asked for; the label of the requests metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A session token.
    Token,
    /// The name of the IMDS role.
    Listing,
    /// The credentials of the IMDS role.
    Document,
    /// The region.
    Region,
    /// Container credentials.
    Container,
    /// Nothing that is served.
    None,
}

impl Endpoint {
    /// Every endpoint, in the order of the metric.
    pub const ALL: [Self; 6] = [Self::Token, Self::Listing, Self::Document, Self::Region, Self::Container, Self::None];

    /// The label of the metric.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Listing => "listing",
            Self::Document => "document",
            Self::Region => "region",
            Self::Container => "container",
            Self::None => "none",
        }
    }
}

/// Answers a request that came to `local`.
pub fn route(
    request: &Parts,
    snapshot: &Snapshot,
    local: IpAddr,
    surface: Surface,
    now: Timestamp,
) -> (Endpoint, Answer) {
    let path = request.uri.path();
    let path = path.strip_suffix('/').unwrap_or(path);
    let (endpoint, role) = match path {
        container::PATH if !snapshot.consumers.is_empty() => (Endpoint::Container, ""),
        _ if surface == Surface::Everything => imds::endpoint(path),
        _ => (Endpoint::None, ""),
    };
    if !host::is_ours(request, local) {
        return (endpoint, text(StatusCode::BAD_REQUEST, "wanted a Host header that names this server's address"));
    }
    if FORWARDED.iter().any(|name| request.headers.contains_key(name)) {
        return (endpoint, text(StatusCode::BAD_REQUEST, "unable to process requests with X-Forwarded-For header"));
    }
    let answer = match endpoint {
        Endpoint::None => text(StatusCode::NOT_FOUND, "not found"),
        Endpoint::Container => container::answer(request, snapshot, now),
        _ => imds::answer(endpoint, role, request, snapshot, now),
    };
    (endpoint, answer)
}

pub(super) fn text(status: StatusCode, body: &'static str) -> Answer {
    answer(status, &TEXT, Bytes::from_static(body.as_bytes()))
}

pub(super) fn plain(body: Bytes) -> Answer {
    answer(StatusCode::OK, &TEXT, body)
}

/// An answer that no cache keeps.
pub(super) fn answer(status: StatusCode, content_type: &HeaderValue, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.reserve(4);
    headers.insert(CONTENT_TYPE, content_type.clone());
    headers.insert(CACHE_CONTROL, NO_STORE.clone());
    answer
}

pub(super) fn method_not_allowed(allowed: &Method) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    let value = if *allowed == Method::PUT { HeaderValue::from_static("PUT") } else { HeaderValue::from_static("GET") };
    answer.headers_mut().insert(ALLOW, value);
    answer
}
