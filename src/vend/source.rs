//! Where outputs get credentials from: the trait, what it gives, and why it fails. Knows neither devices nor AWS.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::credentials::Credentials;

/// Gets credentials: one device signature, one CreateSession.
pub trait Vend: Send {
    /// Blocks until there are credentials or there is a failure; has limits of its own for device and network.
    ///
    /// Re-reads certificate, chain and key files where they have changed. Never sends a PIN again that was wrong.
    fn vend(&mut self) -> Result<Vended, VendError>;
}

/// Credentials and what it took to get them.
#[derive(Debug)]
pub struct Vended {
    /// The credentials.
    pub credentials: Credentials,
    /// When the certificate ends that they were got with.
    pub certificate_expires: Option<Timestamp>,
    /// How long the device took to sign.
    pub device: Option<Duration>,
    /// How long AWS took to answer.
    pub service: Option<Duration>,
}

/// What part of a refresh failed; the names are those of the metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VendErrorKind {
    /// A key, token, TPM or key file.
    Key,
    /// A PIN or password.
    Secret,
    /// AWS refused the request.
    Refused,
    /// The network, the proxy or TLS; or AWS failed.
    Network,
    /// A certificate or a chain.
    Certificate,
    /// Anything else.
    Other,
}

impl VendErrorKind {
    /// Every kind, in the order of the metric.
    pub const ALL: [Self; 6] = [Self::Key, Self::Secret, Self::Refused, Self::Network, Self::Certificate, Self::Other];

    /// The kind with this label.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.label() == label)
    }

    /// The label of the metric.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Secret => "secret",
            Self::Refused => "refused",
            Self::Network => "network",
            Self::Certificate => "certificate",
            Self::Other => "other",
        }
    }
}

/// A refresh that gave no credentials.
#[derive(Debug)]
pub struct VendError {
    kind: VendErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl VendError {
    /// What was wanted and what was found; shown to local clients, so never a secret.
    pub fn new(kind: VendErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Adds the error underneath, from which a command line makes its hint.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What part failed.
    pub fn kind(&self) -> VendErrorKind {
        self.kind
    }

    /// The error underneath, for who knows its type.
    pub fn into_source(self) -> Option<Box<dyn Error + Send + Sync>> {
        self.source
    }
}

impl fmt::Display for VendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for VendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
