//! From a request to its answer: pure, without sockets, so that every row of the contract is a unit test. Which paths there are
//! is decided here; what they answer, in `imds.rs` and `container.rs`.

use std::net::IpAddr;

use hyper::StatusCode;
use hyper::header::HeaderName;
use hyper::http::request::Parts;
use jiff::Timestamp;

use super::answer::{Answer, text};
use super::endpoint::Endpoint;
use super::options::Surface;
use super::state::Snapshot;
use super::{container, host, imds};

/// A proxy that was tricked into asking on behalf of somebody else adds one of these, as SDKs never do.
static FORWARDED: [HeaderName; 2] = [HeaderName::from_static("x-forwarded-for"), HeaderName::from_static("forwarded")];

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
