//! What can go wrong between a request and credentials, typed by what a person can do about it. Hints and exit codes are
//! the command line's.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::clock::ClockSkew;
use super::meaning::Meaning;
use crate::key::KeyError;

/// A session that was not created.
#[derive(Debug)]
pub struct ClientError {
    cause: Cause,
    attempts: u32,
}

/// Why a session was not created.
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause {
    /// What was asked for cannot be asked: a flag or a variable must change. Nothing was signed or sent.
    Request(RequestError),
    /// The key could not sign, or its signature is wrong.
    Key(KeyError),
    /// The service was not reached, or the connection ended before the answer was complete.
    Connection(ConnectionError),
    /// Something answered, and the status says no.
    Service(Box<ServiceError>),
    /// The status says yes, and there are no usable credentials in the answer.
    Answer(Box<AnswerError>),
}

impl ClientError {
    pub(super) fn new(cause: Cause, attempts: u32) -> Self {
        Self { cause, attempts }
    }

    /// What happened, at the last attempt.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// The same, for who wants to keep it.
    pub fn into_cause(self) -> Cause {
        self.cause
    }

    /// How many times the request was sent, or tried to be sent.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
}

impl<C: Into<Cause>> From<C> for ClientError {
    fn from(cause: C) -> Self {
        Self::new(cause.into(), 0)
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Request(error) => error.fmt(f),
            Cause::Key(error) => error.fmt(f),
            Cause::Connection(error) => error.fmt(f),
            Cause::Service(error) => error.fmt(f),
            Cause::Answer(error) => error.fmt(f),
        }?;
        if self.attempts > 1 {
            write!(f, " (tried {} times)", self.attempts)?;
        }
        Ok(())
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::Request(error) => error.source(),
            Cause::Key(error) => error.source(),
            Cause::Connection(error) => error.source(),
            Cause::Service(error) => error.source(),
            Cause::Answer(error) => error.source(),
        }
    }
}

impl From<RequestError> for Cause {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<KeyError> for Cause {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl From<ServiceError> for Cause {
    fn from(error: ServiceError) -> Self {
        Self::Service(Box::new(error))
    }
}

impl From<AnswerError> for Cause {
    fn from(error: AnswerError) -> Self {
        Self::Answer(Box::new(error))
    }
}

impl From<ConnectionError> for Cause {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error)
    }
}

/// A flag, a variable or a combination of them that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub struct RequestError {
    message: String,
    flag: Option<&'static str>,
}

impl RequestError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), flag: None }
    }

    /// Names the flag that says what was meant.
    pub(super) fn with_flag(mut self, flag: &'static str) -> Self {
        self.flag = Some(flag);
        self
    }

    /// A flag that says what was meant, or allows it.
    pub fn flag(&self) -> Option<&'static str> {
        self.flag
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for RequestError {}

/// What a person can do about a [`ConnectionError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionErrorKind {
    /// The name does not exist: mend the region, the endpoint or the proxy.
    NoSuchName,
    /// The name could not be looked up just now.
    NameLookup,
    /// Nothing accepts connections there.
    Unreachable,
    /// It ended before the answer was complete.
    Closed,
    /// It took longer than it may.
    Timeout,
    /// The proxy refuses to connect.
    Proxy,
    /// The server's certificate is not from an issuer that is trusted.
    UntrustedIssuer,
    /// The server's certificate is for another host.
    OtherHost,
    /// The server's certificate is expired or not valid yet: the certificate or the clock.
    CertificateTime,
    /// Any other failure of TLS.
    Tls,
    /// The certificates to be trusted cannot be read.
    TrustRoots,
    /// What answered does not speak HTTP/1.1.
    Protocol,
}

/// The service was not reached, or did not answer in full.
#[derive(Debug)]
pub struct ConnectionError {
    kind: ConnectionErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ConnectionError {
    pub(super) fn new(kind: ConnectionErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(super) fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Puts a fact of an outer layer before the message.
    pub(super) fn context(mut self, fact: impl fmt::Display) -> Self {
        self.message = format!("{fact}: {}", self.message);
        self
    }

    /// What a person can do about it.
    pub fn kind(&self) -> ConnectionErrorKind {
        self.kind
    }

    /// Whether another attempt may fare better: not where a name or a certificate must change first.
    pub(super) fn is_transient(&self) -> bool {
        use ConnectionErrorKind as Kind;
        matches!(self.kind, Kind::NameLookup | Kind::Unreachable | Kind::Closed | Kind::Timeout)
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for ConnectionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// An answer whose status says no.
#[derive(Debug)]
pub struct ServiceError {
    pub(super) host: String,
    pub(super) status: u16,
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    pub(super) request_id: Option<String>,
    pub(super) meaning: Meaning,
    pub(super) clock: Option<ClockSkew>,
    /// `x-amz-retry-after`.
    pub(super) retry_after: Option<Duration>,
}

impl ServiceError {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// AWS's error code, such as `AccessDeniedException`.
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// AWS's words; for an answer that is not AWS's, what it was.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// What AWS support wants to know.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// What it means, where that is known.
    pub fn meaning(&self) -> Meaning {
        self.meaning
    }

    /// How far this machine's clock is off, where that is more than a minute.
    pub fn clock(&self) -> Option<ClockSkew> {
        self.clock
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered HTTP {}", self.host, self.status)?;
        if let Some(code) = &self.code {
            write!(f, " {code}")?;
        }
        if let Some(message) = &self.message {
            write!(f, ": {message}")?;
        }
        if let Some(clock) = self.clock {
            write!(f, "; {clock}")?;
        }
        if let Some(request_id) = &self.request_id {
            write!(f, " (request id {request_id})")?;
        }
        Ok(())
    }
}

impl Error for ServiceError {}

/// A success without credentials.
#[derive(Debug)]
pub struct AnswerError {
    pub(super) host: String,
    pub(super) status: u16,
    /// What was wanted and what was found.
    pub(super) message: String,
    pub(super) request_id: Option<String>,
    pub(super) clock: Option<ClockSkew>,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered HTTP {} without usable credentials: {}", self.host, self.status, self.message)?;
        if let Some(clock) = self.clock {
            write!(f, "; {clock}")?;
        }
        if let Some(request_id) = &self.request_id {
            write!(f, " (request id {request_id})")?;
        }
        Ok(())
    }
}

impl Error for AnswerError {}
