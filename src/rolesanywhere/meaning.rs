//! What the service's refusals mean. The service tells its reasons apart by the words of the message alone, so that words
//! are compared here and nowhere else.

/// What a refusal means, as far as a person can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Meaning {
    /// No path from the leaf to the trust anchor: another CA, or intermediates are missing.
    UntrustedCertificate,
    /// The leaf is not what the service demands of one, such as digitalSignature or CA:FALSE.
    InsufficientCertificate,
    /// Signature and request do not fit.
    InvalidSignature,
    /// The time of the request is too far from the server's.
    RequestTime,
    /// The profile does not accept a role session name.
    RoleSessionNameNotAllowed,
    /// The role's MaxSessionDuration is shorter than what was asked for.
    DurationTooLong,
    /// Parts of the certificate cannot become session tags.
    SessionTags,
    /// The role's trust policy does not let this identity in.
    RoleNotAssumable,
    /// Trust anchor or profile are unknown in this region and account.
    UnknownResource,
    /// A parameter is malformed or out of range.
    InvalidParameter,
    /// Too many requests for this certificate or from this address.
    Throttled,
    /// The server wants the client to go elsewhere, which is never followed with a signed request.
    Redirect,
    /// The service failed by itself.
    ServiceFailure,
    /// The answer is not the service's: a proxy, a gateway, another server.
    NotTheService,
    /// Anything else: AWS's words are all there is.
    Other,
}

/// Codes that ask for fewer requests, as the AWS SDKs list them.
const THROTTLING: [&str; 14] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "LimitExceededException",
    "BandwidthLimitExceeded",
    "SlowDown",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "EC2ThrottledException",
];

/// Codes that mean a failure which may be gone by the next attempt.
const TRANSIENT: [&str; 2] = ["RequestTimeout", "RequestTimeoutException"];

/// Codes about the time of a request, and about its signature.
const TIME: [&str; 4] = ["RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture", "RequestTimeSkewed"];
const SIGNATURE: [&str; 3] = ["InvalidSignatureException", "InvalidSignature", "SignatureDoesNotMatch"];

/// What the service says in the message of an AccessDeniedException. The order decides where a message holds several.
const DENIALS: [(&str, Meaning); 9] = [
    ("insufficient certificate", Meaning::InsufficientCertificate),
    ("untrusted signing certificate", Meaning::UntrustedCertificate),
    ("untrusted certificate", Meaning::UntrustedCertificate),
    ("signature expired", Meaning::RequestTime),
    ("signature not yet current", Meaning::RequestTime),
    ("invalid signature", Meaning::InvalidSignature),
    ("set rolesessionname", Meaning::RoleSessionNameNotAllowed),
    ("exceeds the maxsessionduration", Meaning::DurationTooLong),
    ("failed to be mapped into session tags", Meaning::SessionTags),
];

impl Meaning {
    /// Reads status, code and message; both of them are AWS's, not those of a page of HTML.
    pub(super) fn of(status: u16, code: Option<&str>, message: Option<&str>) -> Self {
        let is_in =
            |codes: &[&str]| code.is_some_and(|code| codes.iter().any(|known| known.eq_ignore_ascii_case(code)));
        if status == 429 || is_in(&THROTTLING) {
            return Self::Throttled;
        }
        let message = message.unwrap_or_default().to_ascii_lowercase();
        if let Some((_, meaning)) = DENIALS.into_iter().find(|(words, _)| message.contains(words)) {
            return meaning;
        }
        if is_in(&TIME) {
            return Self::RequestTime;
        }
        if is_in(&SIGNATURE) {
            return Self::InvalidSignature;
        }
        if message.contains("unable to assume role") {
            return Self::RoleNotAssumable;
        }
        if is_in(&["ValidationException"]) {
            return Self::InvalidParameter;
        }
        match status {
            300..=399 => Self::Redirect,
            404 if is_in(&["ResourceNotFoundException"]) => Self::UnknownResource,
            500..=599 => Self::ServiceFailure,
            _ if is_in(&TRANSIENT) => Self::ServiceFailure,
            _ if code.is_none() => Self::NotTheService,
            _ => Self::Other,
        }
    }

    /// Whether a fresh signature with another time may be accepted.
    pub(super) fn blames_signature(self) -> bool {
        matches!(self, Self::InvalidSignature | Self::RequestTime)
    }
}

/// Whether the same request may be accepted later: never a denial.
pub(super) fn is_transient(status: u16, code: Option<&str>) -> bool {
    matches!(status, 429 | 500 | 502 | 503 | 504)
        || code.is_some_and(|code| THROTTLING.iter().chain(&TRANSIENT).any(|known| known.eq_ignore_ascii_case(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_messages_have_their_meanings() {
        let denied = |message| Meaning::of(403, Some("AccessDeniedException"), Some(message));
        let table = [
            ("Untrusted signing certificate", Meaning::UntrustedCertificate),
            ("Untrusted certificate. Insufficient certificate", Meaning::InsufficientCertificate),
            ("Invalid signature", Meaning::InvalidSignature),
            ("Signature expired: 20260102T030405Z is now earlier than 20260102T030505Z", Meaning::RequestTime),
            ("Not authorized to set roleSessionName.", Meaning::RoleSessionNameNotAllowed),
            ("Unable to assume role for arn:aws:iam::111122223333:role/R.", Meaning::RoleNotAssumable),
            (
                "Unable to assume role for arn. Some attributes failed to be mapped into session tags. Issuer: [ ]",
                Meaning::SessionTags,
            ),
            (
                "Unable to assume role for arn. The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
                Meaning::DurationTooLong,
            ),
            ("Something new", Meaning::Other),
        ];
        for (message, wanted) in table {
            assert_eq!(denied(message), wanted, "{message}");
        }
    }

    #[test]
    fn codes_and_statuses_have_their_meanings() {
        let table = [
            (400, Some("ValidationException"), Meaning::InvalidParameter),
            (400, Some("throttlingexception"), Meaning::Throttled),
            (429, None, Meaning::Throttled),
            (403, Some("RequestTimeTooSkewed"), Meaning::RequestTime),
            (403, Some("SignatureDoesNotMatch"), Meaning::InvalidSignature),
            (404, Some("ResourceNotFoundException"), Meaning::UnknownResource),
            (404, None, Meaning::NotTheService),
            (403, None, Meaning::NotTheService),
            (302, None, Meaning::Redirect),
            (503, None, Meaning::ServiceFailure),
            (408, Some("RequestTimeout"), Meaning::ServiceFailure),
        ];
        for (status, code, wanted) in table {
            assert_eq!(Meaning::of(status, code, None), wanted, "{status} {code:?}");
        }
    }

    #[test]
    fn denials_are_final_and_throttling_is_not() {
        for (status, code) in [
            (400, "ValidationException"),
            (403, "AccessDeniedException"),
            (404, "ResourceNotFoundException"),
            (501, "X"),
        ] {
            assert!(!is_transient(status, Some(code)), "{status}");
        }
        for (status, code) in [(429, None), (500, None), (502, None), (503, None), (504, None), (400, Some("SlowDown"))]
        {
            assert!(is_transient(status, code), "{status}");
        }
    }
}
