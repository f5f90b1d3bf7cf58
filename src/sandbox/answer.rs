//! Answers in the two protocols that are spoken here: restJson1 (Roles Anywhere) and query (STS). Knows words and forms, not
//! why an answer is given.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderName, HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::{Value, json};

use super::fault::FaultKind;
use super::refusal::Refusal;
use super::vended::Identity;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const XML: HeaderValue = HeaderValue::from_static("text/xml");
const HTML: HeaderValue = HeaderValue::from_static("text/html");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const STS_NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Which protocol the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// restJson1: Roles Anywhere.
    Json,
    /// query: STS.
    Xml,
}

/// A body that is whole, or that does not end.
pub enum AnswerBody {
    /// All of it.
    Whole(Option<Bytes>),
    /// Fewer octets than `Content-Length` says; `true` once they had time to leave.
    Truncated(Option<Bytes>, bool),
    /// Spaces for ever.
    Endless,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(match &mut *self {
            Self::Truncated(None, left @ false) => {
                // The connection is dropped at the end of this body; a pause lets hyper write what it has.
                *left = true;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Self::Whole(octets) | Self::Truncated(octets, _) => octets.take().map(|octets| Ok(Frame::data(octets))),
            Self::Endless => Some(Ok(Frame::data(Bytes::from_static(&[b' '; 4096])))),
        })
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(octets) => SizeHint::with_exact(octets.as_ref().map_or(0, |octets| octets.len() as u64)),
            Self::Truncated(..) | Self::Endless => SizeHint::new(),
        }
    }
}

/// An answer without the headers that every answer has.
pub type Answer = Response<AnswerBody>;

/// Adds the service's clock and the request's id.
pub fn finish(mut answer: Answer, request_id: &str, now: Timestamp) -> Answer {
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now).unwrap_or_default();
    for (name, text) in [(DATE, date.as_str()), (REQUEST_ID, request_id)] {
        if let Ok(value) = HeaderValue::from_str(text) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

/// A session that was granted.
pub fn created(body: &Value) -> Answer {
    with_body(StatusCode::CREATED, JSON, body.to_string())
}

/// Whose credentials these are.
pub fn caller_identity(identity: &Identity, request_id: &str) -> Answer {
    let Identity { account, arn, user_id } = identity;
    let (arn, user_id) = (escape(arn), escape(user_id));
    with_body(
        StatusCode::OK,
        XML,
        format!(
            "<GetCallerIdentityResponse xmlns=\"{STS_NAMESPACE}\">\n  <GetCallerIdentityResult>\n    <Arn>{arn}</Arn>\n    \
             <UserId>{user_id}</UserId>\n    <Account>{account}</Account>\n  </GetCallerIdentityResult>\n  \
             <ResponseMetadata>\n    <RequestId>{request_id}</RequestId>\n  </ResponseMetadata>\n\
             </GetCallerIdentityResponse>\n"
        ),
    )
}

/// A refusal in the client's protocol; its reason is not told.
pub fn refused(refusal: &Refusal, protocol: Protocol, request_id: &str) -> Answer {
    let Refusal { status, code, message, .. } = refusal;
    let mut answer = match protocol {
        Protocol::Json => {
            let mut answer = with_body(*status, JSON, json!({ "message": message }).to_string());
            answer.headers_mut().insert(ERROR_TYPE, HeaderValue::from_static(code));
            answer
        }
        Protocol::Xml => {
            let (kind, message) = (if status.is_server_error() { "Receiver" } else { "Sender" }, escape(message));
            with_body(
                *status,
                XML,
                format!(
                    "<ErrorResponse xmlns=\"{STS_NAMESPACE}\">\n  <Error>\n    <Type>{kind}</Type>\n    \
                     <Code>{code}</Code>\n    <Message>{message}</Message>\n  </Error>\n  \
                     <RequestId>{request_id}</RequestId>\n</ErrorResponse>\n"
                ),
            )
        }
    };
    if *status == StatusCode::METHOD_NOT_ALLOWED {
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    }
    answer
}

/// The answer of a fault; `None` where the fault is that there is none.
pub fn faulty(kind: FaultKind, request_id: &str) -> Option<Answer> {
    let partial = r#"{"credentialSet":[{"credentials":{"accessKeyId":"ASIASANDBOXMALFORMED","#;
    Some(match kind {
        FaultKind::Status(status) => {
            let (code, message) = words_of(status);
            refused(&Refusal::new(status, code, message, "fault"), Protocol::Json, request_id)
        }
        FaultKind::Html403 => {
            let page =
                "<!DOCTYPE html>\n<html><head><title>403 Forbidden</title></head><body>Forbidden</body></html>\n";
            with_body(StatusCode::FORBIDDEN, HTML, page.to_owned())
        }
        FaultKind::Redirect(status) => {
            let mut answer = with_body(status, HTML, String::new());
            answer.headers_mut().insert(LOCATION, HeaderValue::from_static("https://elsewhere.invalid/sessions"));
            answer
        }
        FaultKind::Malformed => with_body(StatusCode::CREATED, JSON, partial.to_owned()),
        FaultKind::Empty => created(&json!({ "credentialSet": [] })),
        FaultKind::MissingFields => {
            created(&json!({ "credentialSet": [{ "credentials": { "accessKeyId": "ASIASANDBOXINCOMPLETE" } }] }))
        }
        FaultKind::Truncated => {
            let mut answer = typed(StatusCode::CREATED, JSON, AnswerBody::Truncated(Some(partial.into()), false));
            answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(partial.len() + 1000));
            answer
        }
        FaultKind::Endless => typed(StatusCode::CREATED, JSON, AnswerBody::Endless),
        FaultKind::Close | FaultKind::Hang | FaultKind::HangTls | FaultKind::CloseTls | FaultKind::Clock(_) => {
            return None;
        }
    })
}

fn words_of(status: StatusCode) -> (&'static str, &'static str) {
    match status.as_u16() {
        400 => ("ValidationException", "Injected fault: a parameter is not valid"),
        403 => ("AccessDeniedException", "Untrusted certificate. Insufficient certificate"),
        404 => ("ResourceNotFoundException", "Injected fault: no such trust anchor or profile"),
        408 => ("RequestTimeoutException", "Injected fault: the request took too long"),
        429 => ("ThrottlingException", "Rate exceeded"),
        503 => ("ServiceUnavailableException", "Injected fault: service unavailable"),
        _ if status.is_client_error() => ("ClientException", "Injected fault"),
        _ => ("InternalServerException", "Injected fault: internal error"),
    }
}

fn with_body(status: StatusCode, content_type: HeaderValue, body: String) -> Answer {
    typed(status, content_type, AnswerBody::Whole(Some(body.into())))
}

fn typed(status: StatusCode, content_type: HeaderValue, body: AnswerBody) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

/// Makes text safe between XML tags.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
