//! `/healthz`, `/readyz` and `/metrics`: for probes, on an address of their own, without credentials. Pure.

use hyper::body::Bytes;
use hyper::header::{ALLOW, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use jiff::Timestamp;

use super::answer::{Answer, TEXT, answer, text};
use super::metrics::Metrics;
use super::state::Snapshot;

static OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Answers a probe.
pub fn route(request: &Parts, snapshot: &Snapshot, metrics: &Metrics, now: Timestamp) -> Answer {
    let path = request.uri.path();
    if !["/healthz", "/readyz", "/metrics"].contains(&path) {
        return text(StatusCode::NOT_FOUND, "not found\n");
    }
    if ![Method::GET, Method::HEAD].contains(&request.method) {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match path {
        "/metrics" => answer(StatusCode::OK, &OPEN_METRICS, metrics.render(snapshot, now).into()),
        "/readyz" => readiness(snapshot, now),
        _ => text(StatusCode::OK, "ok\n"),
    }
}

/// Ready is who has valid credentials for every role. Why there are none is for those who hold a token, and for the log.
fn readiness(snapshot: &Snapshot, now: Timestamp) -> Answer {
    let without: Vec<_> = snapshot
        .roles
        .iter()
        .filter(|role| role.valid(now).is_none())
        .map(|role| format!("no valid credentials for role {}\n", String::from_utf8_lossy(&role.name)))
        .collect();
    if without.is_empty() {
        return text(StatusCode::OK, "ready\n");
    }
    answer(StatusCode::SERVICE_UNAVAILABLE, &TEXT, Bytes::from(without.concat()))
}
