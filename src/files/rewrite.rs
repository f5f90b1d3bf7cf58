//! A file that people own and edit too (law 6): edited under a lock and replaced whole, keeping its mode, its owner and the link
//! that leads to it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, accessat};
use zeroize::Zeroizing;

use super::shared::{self, Access, Lock, Replacement, SharedFileError};

/// How long another process may hold the lock. A holder only edits and writes, which takes milliseconds.
const LOCK_LIMIT: Duration = Duration::from_secs(10);

/// Largest file that is read; those of people have kilobytes.
const LARGEST: usize = 16 << 20;

/// Most links that lead from one to the next, as in the kernel.
const MOST_LINKS: usize = 40;

/// Replaces a file by what `edit` makes of its content, and leaves it as it was where that fails or changes nothing.
///
/// A missing file counts as empty and is created with mode 0600, a missing directory with 0700. The lock is a file beside it,
/// `NAME.lock`. The content may hold secrets.
pub fn rewrite<E: From<SharedFileError>>(
    path: &Path,
    edit: impl FnOnce(&[u8]) -> Result<Zeroizing<Vec<u8>>, E>,
) -> Result<(), E> {
    let file = Held::lock(path)?;
    let edited = edit(file.content())?;
    Ok(file.prepare(&edited)?.finish()?)
}

/// A file that nobody else of us changes meanwhile, for those who change two at once: both are prepared before either is finished.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    exists: bool,
    content: Zeroizing<Vec<u8>>,
    access: Access,
    lock: Lock,
}

impl Held {
    /// Follows the links, makes the directory, takes the lock and reads. Refuses a file that may not be written.
    pub fn lock(path: &Path) -> Result<Self, SharedFileError> {
        let path = follow(path)?;
        let directory = shared::directory(&path);
        shared::create_private_directory(directory)
            .map_err(SharedFileError::cannot("make the directory", directory))?;
        let lock_path = lock_name(&path);
        let Some(lock) = Lock::acquire(&lock_path, LOCK_LIMIT)? else {
            let limit = LOCK_LIMIT.as_secs();
            let message = format!("another process has held the lock {} for {limit} s", lock_path.display());
            return Err(SharedFileError::new(message));
        };
        let (content, access) = read(&path)?;
        Ok(Self { exists: path.exists(), path, content, access, lock })
    }

    /// What is in it; nothing where it is missing.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// Writes the new content beside the file. The lock is held on.
    pub fn prepare(self, edited: &[u8]) -> Result<Prepared, SharedFileError> {
        let unchanged = edited == &self.content[..] && self.exists;
        let replacement = match unchanged {
            true => None,
            false => Some(Replacement::prepare(&self.path, edited, self.access)?),
        };
        Ok(Prepared { replacement, _lock: self.lock })
    }
}

/// A file and what will take its place, unless it is dropped.
#[derive(Debug)]
pub struct Prepared {
    /// None where nothing changes.
    replacement: Option<Replacement>,
    _lock: Lock,
}

impl Prepared {
    /// Puts the new content in the file's place.
    pub fn finish(self) -> Result<(), SharedFileError> {
        self.replacement.map_or(Ok(()), Replacement::finish)
    }
}

/// The file at the end of the links; it need not exist. The lock and the new file belong beside it, where a link may only lead to.
fn follow(path: &Path) -> Result<PathBuf, SharedFileError> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match std::fs::read_link(&path) {
            Ok(target) => path = shared::directory(&path).join(target),
            // Not a link, or not there.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) => {
                return Ok(path);
            }
            Err(error) => return Err(SharedFileError::cannot("read", &path)(error)),
        }
    }
    Err(SharedFileError::new(format!("wanted a file, found links without an end at {}", path.display())))
}

fn lock_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// The content and what must stay of the file; nothing, and a private one, where it is missing.
fn read(path: &Path) -> Result<(Zeroizing<Vec<u8>>, Access), SharedFileError> {
    let mut file = match shared::open_regular(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Zeroizing::default(), Access::PRIVATE)),
        Err(error) => return Err(SharedFileError::cannot("read", path)(error)),
    };
    // A rename would pass over the mode of a file that somebody has made read-only.
    accessat(CWD, path, rustix::fs::Access::WRITE_OK, AtFlags::EACCESS)
        .map_err(|error| SharedFileError::cannot("write", path)(error.into()))?;
    let metadata = file.metadata().map_err(SharedFileError::cannot("read", path))?;
    let access = Access { mode: metadata.mode() & 0o7777, owner: Some((metadata.uid(), metadata.gid())) };
    let content = shared::read_whole(&mut file, LARGEST).map_err(SharedFileError::cannot("read", path))?;
    Ok((content, access))
}
