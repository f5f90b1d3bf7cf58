//! Why a request is refused: what the service says in its answer, and the precise reason, which stays in the log.

use std::fmt;

use hyper::StatusCode;

/// Something wrong with a request, in one sentence for the log. What the answer says is decided by who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw(String);

impl Flaw {
    /// What was wanted and what was found: lower case, no full stop.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An answer other than success. `message` is as general as the service's own; `reason` says what really was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: StatusCode,
    /// The error's name, as `X-Amzn-ErrorType` or `<Code>` carry it.
    pub code: &'static str,
    /// Goes into the answer.
    pub message: String,
    /// Goes into the log only.
    pub reason: String,
}

impl Refusal {
    /// An error with its own name.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self { status, code, message: message.into(), reason: reason.to_string() }
    }

    /// A parameter is malformed or out of range; the service says which, so the message is the reason.
    pub fn validation(flaw: impl fmt::Display) -> Self {
        let message = flaw.to_string();
        Self::new(StatusCode::BAD_REQUEST, "ValidationException", message.clone(), message)
    }

    /// Trust is missing; the service gives one of a few messages.
    pub fn access_denied(message: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDeniedException", message, reason)
    }

    /// The request is not what the signature covers, or the signature is not by the leaf's key.
    pub fn invalid_signature(reason: impl fmt::Display) -> Self {
        Self::access_denied("Invalid signature", reason)
    }

    /// No path leads from the leaf to a trust anchor.
    pub fn untrusted(reason: impl fmt::Display) -> Self {
        Self::access_denied("Untrusted signing certificate", reason)
    }

    /// The leaf may not be used as an end-entity certificate.
    pub fn insufficient_certificate(reason: impl fmt::Display) -> Self {
        Self::access_denied("Untrusted certificate. Insufficient certificate", reason)
    }

    /// The trust anchor or profile is unknown in this region and account.
    pub fn not_found(message: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message, reason)
    }

    /// Something failed that is not the client's fault.
    pub fn internal(reason: impl fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerException", "Internal error", reason)
    }
}
