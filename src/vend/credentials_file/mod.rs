//! The shared credentials file of the AWS SDKs, which people and other tools write too: it is replaced whole under a lock, and
//! keeps its mode, its owner, the link that leads to it and every byte that is not ours.

mod edit;
mod lines;
#[cfg(test)]
mod losses;
mod obstacles;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

pub use edit::{Entry, ProfileName, Unwritable, edit};
pub use obstacles::{Obstacle, obstacles};

use crate::files::SharedFileError;
use crate::files::rewrite::rewrite;

/// Where the file is: `AWS_SHARED_CREDENTIALS_FILE` (a `~/` before it is the home, as in botocore), else
/// `~/.aws/credentials`. `None` without either variable. Empty variables count as unset.
pub fn path(variable: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let home = home.filter(|home| !home.is_empty()).map(PathBuf::from);
    match variable.filter(|path| !path.is_empty()).map(PathBuf::from) {
        None => Some(home?.join(".aws/credentials")),
        Some(path) => match path.strip_prefix("~") {
            Ok(below) => Some(home?.join(below)),
            Err(_) => Some(path),
        },
    }
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

#[cfg(test)]
mod tests {
    #[test]
    fn the_file_is_where_the_sdks_look_for_it() {
        let path = |variable: &str, home: &str| {
            super::path(Some(variable.into()), Some(home.into())).map(|path| path.to_str().unwrap().to_owned())
        };
        assert_eq!(path("", "/home/x").as_deref(), Some("/home/x/.aws/credentials"));
        assert_eq!(path("/etc/aws", "/home/x").as_deref(), Some("/etc/aws"));
        assert_eq!(path("~/aws", "/home/x").as_deref(), Some("/home/x/aws"));
        assert_eq!(path("~x", "/home/x").as_deref(), Some("~x"));
        assert_eq!(path("", ""), None);
        assert_eq!(path("~/aws", ""), None);
        assert_eq!(super::path(None, None), None);
    }
}
