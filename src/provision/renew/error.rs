//! Why nothing was renewed. Whatever it says, the old certificate is where it was.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use super::command::CommandError;
use crate::files::SharedFileError;
use crate::identity::IdentityError;

/// Why nothing was renewed.
#[derive(Debug)]
#[non_exhaustive]
pub enum RenewError {
    /// A key, a device, a certificate or a chain.
    Identity(IdentityError),
    /// The certificate that came is none to go on with.
    Refused(String),
    /// The command that should give one.
    Command(CommandError),
    /// The place for the old certificate is taken by something else.
    Occupied(PathBuf),
    /// The new file for the certificate is there already.
    Exists(PathBuf),
    /// The place of the certificate changed meanwhile.
    Changed(PathBuf),
    /// A file that cannot be written.
    File(SharedFileError),
}

impl fmt::Display for RenewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(error) => error.fmt(f),
            Self::Refused(message) => f.write_str(message),
            Self::Command(error) => error.fmt(f),
            Self::Occupied(path) => {
                let path = path.display();
                write!(f, "wanted {path} for the old certificate, found something else there than an older one of it")
            }
            Self::Exists(path) => write!(f, "wanted a new file, found {}, which exists", path.display()),
            Self::Changed(path) => {
                write!(f, "wanted {} as it was a moment ago, found another certificate in it", path.display())
            }
            Self::File(error) => error.fmt(f),
        }
    }
}

impl Error for RenewError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Identity(error) => error.source(),
            Self::Command(error) => error.source(),
            Self::File(error) => error.source(),
            Self::Refused(_) | Self::Occupied(_) | Self::Exists(_) | Self::Changed(_) => None,
        }
    }
}

impl From<IdentityError> for RenewError {
    fn from(error: IdentityError) -> Self {
        Self::Identity(error)
    }
}

impl From<CommandError> for RenewError {
    fn from(error: CommandError) -> Self {
        Self::Command(error)
    }
}

impl From<SharedFileError> for RenewError {
    fn from(error: SharedFileError) -> Self {
        Self::File(error)
    }
}
