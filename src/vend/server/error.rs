//! Why serving did not begin, or ended. Hints and exit codes are the command line's.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::super::source::VendError;

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
