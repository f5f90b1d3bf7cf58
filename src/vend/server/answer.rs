//! How answers are made: a status, a content type, a body, and never for a cache to keep.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};

/// An answer, always from memory.
pub type Answer = Response<Full<Bytes>>;

pub(super) static JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) static TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
static NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

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
