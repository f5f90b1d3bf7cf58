//! Why serving ended, and why a refresh failed. Hints and exit codes are the command line's.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

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

/// Why serving did not begin, or ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// Options, roles or consumers do not go together.
    Usage(String),
    /// An address cannot be listened on.
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// A consumer's token cannot be put where the consumer looks for it.
    TokenFile {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The first refresh of a role failed.
    FirstRefresh {
        /// Name of the role.
        role: String,
        /// The reason.
        source: VendError,
    },
    /// The operating system has no thread, timer or randomness to give.
    System(io::Error),
}

impl ServeError {
    pub(super) fn randomness() -> Self {
        Self::System(io::Error::other("no random octets to be had"))
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) => f.write_str(message),
            Self::Listen { address, source } => write!(f, "cannot listen on {address}: {source}"),
            Self::TokenFile { path, source } => write!(f, "cannot write the token file {}: {source}", path.display()),
            Self::FirstRefresh { role, source } => write!(f, "no credentials for role {role}: {source}"),
            Self::System(source) => write!(f, "cannot start the server: {source}"),
        }
    }
}

impl Error for ServeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Usage(_) => None,
            Self::Listen { source, .. } | Self::TokenFile { source, .. } | Self::System(source) => Some(source),
            Self::FirstRefresh { source, .. } => Some(source),
        }
    }
}
