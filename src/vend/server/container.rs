//! Container credentials, as the ECS agent and the EKS Pod Identity agent answer them (AWS SDKs and tools reference guide,
//! "Container credential provider"). The token alone decides the role. Pure.

use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use jiff::Timestamp;

use super::answer::{Answer, JSON, answer as respond, method_not_allowed};
use super::document;
use super::state::{ConsumerState, Snapshot};

/// The path of the EKS Pod Identity agent, for `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
pub const PATH: &str = "/v1/credentials";

pub(super) fn answer(request: &Parts, snapshot: &Snapshot, now: Timestamp) -> Answer {
    if request.method != Method::GET {
        return method_not_allowed(&Method::GET);
    }
    let mut presented = request.headers.get_all(AUTHORIZATION).iter();
    let (Some(token), None) = (presented.next(), presented.next()) else {
        return unauthorized("wanted one Authorization header with the content of the token file");
    };
    let Some(role) =
        consumer_of(&snapshot.consumers, token.as_bytes(), now).and_then(|consumer| snapshot.roles.get(consumer.role))
    else {
        return unauthorized("the token in the Authorization header is no consumer's, or has been replaced");
    };
    match role.valid(now) {
        Some(credentials) => respond(StatusCode::OK, &JSON, credentials.container.clone()),
        None => respond(StatusCode::SERVICE_UNAVAILABLE, &JSON, role.unavailable.container.clone()),
    }
}

/// Asks every consumer, also after one was found: the time tells nothing about which it was.
fn consumer_of<'a>(consumers: &'a [ConsumerState], token: &[u8], now: Timestamp) -> Option<&'a ConsumerState> {
    consumers
        .iter()
        .fold(None, |found, consumer| if consumer.tokens.accepts(token, now) { Some(consumer) } else { found })
}

fn unauthorized(message: &str) -> Answer {
    respond(StatusCode::UNAUTHORIZED, &JSON, document::container_failure("Unauthorized", message))
}
