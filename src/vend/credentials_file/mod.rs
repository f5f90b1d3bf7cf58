//! The shared credentials file of the AWS SDKs, which people and other tools write too: it is replaced whole under a lock, and
//! keeps its mode, its owner, the link that leads to it and every byte that is not ours.

mod edit;
mod lines;
#[cfg(test)]
mod losses;
mod obstacles;

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, accessat};
use zeroize::Zeroizing;

pub use edit::{Entry, ProfileName, Unwritable, edit};
pub use obstacles::{Obstacle, obstacles};

use super::files::{self, Access, FileError, Lock};

/// How long another process may hold the lock. A holder only edits and writes, which takes milliseconds.
const LOCK_LIMIT: Duration = Duration::from_secs(10);

/// Largest file that is read; those of people have kilobytes.
const LARGEST: usize = 16 << 20;

/// Most links that lead from one to the next, as in the kernel.
const MOST_LINKS: usize = 40;

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
pub fn update(path: &Path, entries: &[Entry]) -> Result<(), FileError> {
    let path = &follow(path)?;
    let directory = files::directory(path);
    files::create_private_directory(directory).map_err(FileError::cannot("make the directory", directory))?;
    let lock = lock_name(path);
    let Some(_lock) = Lock::acquire(&lock, LOCK_LIMIT)? else {
        let limit = LOCK_LIMIT.as_secs();
        return Err(FileError::new(format!("another process has held the lock {} for {limit} s", lock.display())));
    };
    let (existing, access) = read(path)?;
    let mut edited = existing.clone();
    for entry in entries {
        for obstacle in obstacles(&existing, entry.profile()) {
            log::warn!("{}: {obstacle}", path.display());
        }
        edited = edit(&edited, entry);
    }
    if *edited == *existing && path.exists() {
        return Ok(());
    }
    files::replace(path, &edited, access)
}

/// The file at the end of the links; it need not exist. The lock and the new file belong beside it, where a link may only lead to.
fn follow(path: &Path) -> Result<PathBuf, FileError> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match std::fs::read_link(&path) {
            Ok(target) => path = files::directory(&path).join(target),
            // Not a link, or not there.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) => {
                return Ok(path);
            }
            Err(error) => return Err(FileError::cannot("read", &path)(error)),
        }
    }
    Err(FileError::new(format!("wanted a file, found links without an end at {}", path.display())))
}

fn lock_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// The content and what must stay of the file; nothing, and a private one, where it is missing.
fn read(path: &Path) -> Result<(Zeroizing<Vec<u8>>, Access), FileError> {
    let mut file = match files::open_regular(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Zeroizing::default(), Access::PRIVATE)),
        Err(error) => return Err(FileError::cannot("read", path)(error)),
    };
    // A rename would pass over the mode of a file that somebody has made read-only.
    accessat(CWD, path, rustix::fs::Access::WRITE_OK, AtFlags::EACCESS)
        .map_err(|error| FileError::cannot("write", path)(error.into()))?;
    let metadata = file.metadata().map_err(FileError::cannot("read", path))?;
    let access = Access { mode: metadata.mode() & 0o7777, owner: Some((metadata.uid(), metadata.gid())) };
    let content = files::read_whole(&mut file, LARGEST).map_err(FileError::cannot("read", path))?;
    Ok((content, access))
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
