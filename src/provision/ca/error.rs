//! Errors of the certificate authority, grouped by what a person can do about them.

use std::error::Error;
use std::fmt;

use super::settings::KeySettings;
use crate::config::ConfigError;
use crate::files::{FileError, SharedFileError};
use crate::key::KeyError;
use crate::x509::CertificateError;

/// What a person can do about a [`Refusal`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalKind {
    /// There is no authority in the directory: make one.
    NoAuthority,
    /// There is one already, or something else: name another directory.
    Occupied,
    /// The directory is another account's: be that account, or name another directory.
    Foreign,
    /// Others can write in the directory: take that from them.
    Exposed,
    /// Another process holds the lock: wait for it.
    Busy,
    /// The index cannot be understood: bring back the one from before.
    Index,
    /// The subject has a valid certificate for another key: revoke it, or insist.
    NameTaken {
        /// The serial number of that certificate.
        serial: String,
    },
    /// No such certificate was issued: name one of those there are.
    Unknown,
    /// Several certificates are meant: name one of them.
    Several {
        /// The serial numbers of the first few.
        serials: Vec<String>,
    },
    /// It is revoked already.
    Revoked,
    /// The authority's own certificate is over, revoked, or of another key: make a new authority.
    Authority,
    /// The signing request cannot be certified: have another one made.
    Request,
    /// The order cannot be met as it stands: change it.
    Order,
}

/// What the authority does not do, and why: what was wanted and what was found.
#[derive(Debug)]
pub struct Refusal {
    kind: RefusalKind,
    message: String,
}

impl Refusal {
    /// What was wanted and what was found; lower case, no full stop.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// What a person can do about it.
    pub fn kind(&self) -> &RefusalKind {
        &self.kind
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Refusal {}

/// Why nothing was issued, revoked or listed.
#[derive(Debug)]
#[non_exhaustive]
pub enum CaError {
    /// The authority refuses.
    Refused(Refusal),
    /// The authority's key, or the device that holds it.
    Key(KeyError),
    /// A device has no such key for a new authority: make one.
    NoKey(Box<KeySettings>, KeyError),
    /// A certificate, a signing request or a name.
    Certificate(CertificateError),
    /// `ca.toml`.
    Settings(ConfigError),
    /// A file in the directory.
    File(SharedFileError),
}

impl CaError {
    /// A refusal of the authority's own.
    pub(super) fn refused(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self::Refused(Refusal::new(kind, message))
    }
}

impl fmt::Display for CaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Key(error) | Self::NoKey(_, error) => error.fmt(f),
            Self::Certificate(error) => error.fmt(f),
            Self::Settings(error) => error.fmt(f),
            Self::File(error) => error.fmt(f),
        }
    }
}

impl Error for CaError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(error) => error.source(),
            Self::Key(error) | Self::NoKey(_, error) => error.source(),
            Self::Certificate(error) => error.source(),
            Self::Settings(error) => error.source(),
            Self::File(error) => error.source(),
        }
    }
}

impl From<Refusal> for CaError {
    fn from(error: Refusal) -> Self {
        Self::Refused(error)
    }
}

impl From<KeyError> for CaError {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl From<CertificateError> for CaError {
    fn from(error: CertificateError) -> Self {
        Self::Certificate(error)
    }
}

impl From<ConfigError> for CaError {
    fn from(error: ConfigError) -> Self {
        Self::Settings(error)
    }
}

impl From<SharedFileError> for CaError {
    fn from(error: SharedFileError) -> Self {
        Self::File(error)
    }
}

impl From<FileError> for CaError {
    fn from(error: FileError) -> Self {
        Self::Certificate(error.into())
    }
}
