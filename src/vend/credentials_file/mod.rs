//! The shared credentials file of the AWS SDKs, which people and other tools write too: it is replaced whole under a lock, and
//! keeps its mode, its owner, the link that leads to it and every byte that is not ours.

mod edit;
#[cfg(test)]
mod losses;
mod obstacles;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

pub use edit::{Entry, Unwritable, edit};
pub use obstacles::{Obstacle, obstacles};

pub use crate::files::profiles::ProfileName;
use crate::files::rewrite::rewrite;
use crate::files::{SharedFileError, profiles};

/// Where the file is: `AWS_SHARED_CREDENTIALS_FILE`, else `~/.aws/credentials`. `None` without either variable.
pub fn path(variable: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    profiles::path(variable, home, ".aws/credentials")
}

/// Puts the entries into the file at once, and gives it back as it was where that fails.
///
/// A missing file is created with mode 0600, a missing directory with 0700. The lock is a file beside it, `NAME.lock`.
pub fn update(path: &Path, entries: &[Entry]) -> Result<(), SharedFileError> {
    rewrite(path, |existing| {
        let mut edited = Zeroizing::new(existing.to_vec());
        for entry in entries {
            for obstacle in obstacles(existing, entry.profile()) {
                log::warn!("{}: {obstacle}", path.display());
            }
            edited = edit(&edited, entry);
        }
        Ok(edited)
    })
}
