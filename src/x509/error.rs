//! Errors of certificates and chains, grouped by what a person can do about them.

use std::error::Error;
use std::fmt;

use crate::files::{FileError, Format};
use crate::key::Advice;

/// What a person can do about a [`CertificateError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CertificateErrorKind {
    /// The file cannot be read: name another, or change its mode.
    File,
    /// The file is of a format, or holds a PEM block, that is not read here: convert it.
    Format,
    /// No certificate was named: name one.
    Unnamed,
    /// There is no certificate where one was named.
    Missing,
    /// The certificate does not parse: get it again.
    Malformed,
    /// Roles Anywhere refuses such a certificate: have another one issued.
    Requirement,
    /// The chain is longer than Roles Anywhere takes.
    Chain,
    /// The signing request cannot be used: have another one made.
    Request,
    /// Such a certificate or revocation list must not be issued: ask for another, or by another issuer.
    Issuance,
}

/// A failure of a certificate, a certificate file or a chain.
#[derive(Debug)]
pub struct CertificateError {
    kind: CertificateErrorKind,
    message: String,
    advice: Option<Advice>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl CertificateError {
    /// A failure that says what was wanted and what was found.
    pub fn new(kind: CertificateErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), advice: None, source: None }
    }

    /// Adds what may mend it.
    #[must_use]
    pub fn with_advice(mut self, advice: Advice) -> Self {
        self.advice = Some(advice);
        self
    }

    /// Adds the error underneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Puts a fact of an outer layer before the message, such as which file was read.
    #[must_use]
    pub fn context(mut self, fact: impl fmt::Display) -> Self {
        self.message = format!("{fact}: {}", self.message);
        self
    }

    /// What a person can do about it.
    pub fn kind(&self) -> CertificateErrorKind {
        self.kind
    }

    /// What may mend it, beyond its kind.
    pub fn advice(&self) -> Option<&Advice> {
        self.advice.as_ref()
    }

    pub(super) fn unsupported(path: &std::path::Path, format: Format) -> Self {
        let kind = match format {
            Format::Empty | Format::Text => CertificateErrorKind::Missing,
            _ => CertificateErrorKind::Format,
        };
        let error = Self::new(kind, format!("wanted PEM certificates in {}, found {format}", path.display()));
        match format.conversion(path) {
            Some(command) => error.with_advice(Advice::Convert { command }),
            None => error,
        }
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for CertificateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<FileError> for CertificateError {
    fn from(error: FileError) -> Self {
        let failure = Self::new(CertificateErrorKind::File, error.to_string());
        match error.inspection() {
            Some(command) => failure.with_advice(Advice::Run { command }),
            None => failure,
        }
    }
}
