//! Files that several processes write and read at once: a lock with a limit, and a replacement that is whole or not at all.
//! Knows nothing of what is in them.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use zeroize::Zeroizing;

/// Longest pause between two looks at a lock that somebody else holds.
const LOCK_POLL: Duration = Duration::from_millis(20);

/// A file that could not be read, locked or replaced: what was wanted, and the operating system's reason.
#[derive(Debug)]
pub struct SharedFileError {
    message: String,
    source: Option<io::Error>,
}

impl SharedFileError {
    /// A reason of the caller's own.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// For `map_err`: `cannot DO PATH: REASON`.
    pub fn cannot<'a>(what: &'a str, path: &'a Path) -> impl Fn(io::Error) -> Self + 'a {
        move |source| Self { message: format!("cannot {what} {}", path.display()), source: Some(source) }
    }
}

impl fmt::Display for SharedFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl Error for SharedFileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}

/// A lock that ends with this value, or with the process that holds it: the kernel keeps it, not the file, which stays.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits no longer than the limit; `None` when somebody else still holds the lock then.
    pub fn acquire(path: &Path, limit: Duration) -> Result<Option<Self>, SharedFileError> {
        let deadline = Instant::now() + limit;
        let mut pause = Duration::from_millis(1);
        loop {
            let file = open_lock(path).map_err(SharedFileError::cannot("open the lock file", path))?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if is_at(&file, path) => return Ok(Some(Self { _file: file })),
                // Somebody has removed the file meanwhile: whoever comes next would lock another one.
                Ok(()) => continue,
                Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(error) => return Err(SharedFileError::cannot("lock", path)(error.into())),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            thread::sleep(pause.min(left));
            pause = LOCK_POLL.min(pause * 2);
        }
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // For writing too, since NFS makes a lock of the whole file out of it and wants that.
    options.read(true).write(true).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        outcome => return outcome,
    }
    match options.clone().create_new(true).mode(0o600).open(path) {
        Ok(file) => {
            // What root creates in somebody's directory must not lock that person out afterwards.
            let owner = directory(path).metadata()?;
            if owner.uid() != file.metadata()?.uid() {
                let _ = fchown(&file, Some(owner.uid()), Some(owner.gid()));
            }
            Ok(file)
        }
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(path),
        Err(error) => Err(error),
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(held), Ok(there)) = (file.metadata(), path.symlink_metadata()) else { return false };
    (held.dev(), held.ino()) == (there.dev(), there.ino())
}

/// Who may do what with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The permission bits.
    pub mode: u32,
    /// User and group, where they are not to be the process's own.
    pub owner: Option<(u32, u32)>,
}

impl Access {
    /// For the person alone.
    pub const PRIVATE: Self = Self { mode: 0o600, owner: None };
}

/// Opens a regular file for reading, and nothing else: a link would be somebody's trick, a FIFO would wait for ever.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

/// The whole content, which may hold secrets; an error where it is longer than the limit.
pub fn read_whole(file: &mut File, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut content = Zeroizing::new(Vec::with_capacity(length.min(limit).saturating_add(1)));
    file.take(limit as u64 + 1).read_to_end(&mut content)?;
    if content.len() > limit {
        return Err(io::Error::other(format!("it is longer than {limit} octets")));
    }
    Ok(content)
}

/// Replaces a file whole, or creates it: whoever reads finds the old content or the new, also after a crash.
///
/// The caller holds the lock of the file. The directory must exist.
pub fn replace(path: &Path, content: &[u8], access: Access) -> Result<(), SharedFileError> {
    Replacement::prepare(path, content, access)?.finish()
}

/// The new content, written and synced beside the file. Removed where it is dropped instead of finished.
#[derive(Debug)]
pub struct Replacement {
    path: PathBuf,
    temporary: Option<PathBuf>,
}

impl Replacement {
    /// Does everything that can fail for want of permission or space. The caller holds the lock of the file.
    pub fn prepare(path: &Path, content: &[u8], access: Access) -> Result<Self, SharedFileError> {
        let temporary = temporary_name(path)?;
        // Under the lock, one that is there was left behind by a process that has died.
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(SharedFileError::cannot("write beside", path)(error));
            }
            _ => {}
        }
        let replacement = Self { path: path.to_owned(), temporary: Some(temporary.clone()) };
        write_new(&temporary, content, access).map_err(SharedFileError::cannot("write beside", path))?;
        Ok(replacement)
    }

    /// Puts it in the file's place.
    pub fn finish(mut self) -> Result<(), SharedFileError> {
        if let Some(temporary) = &self.temporary {
            std::fs::rename(temporary, &self.path).map_err(SharedFileError::cannot("replace", &self.path))?;
            self.temporary = None;
        }
        // The new content is in place. Without this a power failure may bring the old one back, which is no loss of anybody's.
        sync_directory(&self.path).map_err(SharedFileError::cannot("write the directory of", &self.path))
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // The error that led here says more than one about a file that may not even exist.
            let _ = std::fs::remove_file(temporary);
        }
    }
}

fn temporary_name(path: &Path) -> Result<PathBuf, SharedFileError> {
    let name =
        path.file_name().ok_or_else(|| SharedFileError::new(format!("{} does not name a file", path.display())))?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(".keyanchor");
    Ok(path.with_file_name(temporary))
}

fn write_new(path: &Path, content: &[u8], access: Access) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    if let Some((user, group)) = access.owner {
        let now = file.metadata()?;
        if (now.uid(), now.gid()) != (user, group) {
            fchown(&file, Some(user), Some(group))?;
        }
    }
    file.set_permissions(PermissionsExt::from_mode(access.mode))?;
    file.write_all(content)?;
    file.sync_all()
}

/// Makes a new name in the directory of a file last through a power failure.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    match File::open(directory(path))?.sync_all() {
        // Some network file systems cannot sync a directory.
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
        outcome => outcome,
    }
}

/// The directory that a file is in.
pub fn directory(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a directory and those above it, where they are missing, for the person alone.
pub fn create_private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_WAIT: Duration = Duration::ZERO;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_lock_is_held_until_it_is_dropped() {
        let folder = folder();
        let path = folder.path().join("lock");
        let held = Lock::acquire(&path, NO_WAIT).unwrap();
        assert!(held.is_some());
        assert!(Lock::acquire(&path, Duration::from_millis(5)).unwrap().is_none());
        drop(held);
        assert!(Lock::acquire(&path, NO_WAIT).unwrap().is_some());
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_lock_file_that_was_removed_locks_nobody_out_and_nobody_in() {
        let folder = folder();
        let path = folder.path().join("lock");
        let first = Lock::acquire(&path, NO_WAIT).unwrap().unwrap();
        std::fs::remove_file(&path).unwrap();
        let second = Lock::acquire(&path, NO_WAIT).unwrap().unwrap();
        assert!(!is_at(&first._file, &path));
        assert!(is_at(&second._file, &path));
    }

    #[test]
    fn a_leftover_of_a_dead_process_is_in_nobodys_way() {
        let folder = folder();
        let path = folder.path().join("credentials");
        std::fs::write(folder.path().join(".credentials.keyanchor"), "half a").unwrap();
        replace(&path, b"whole", Access::PRIVATE).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o600);
    }

    #[test]
    fn a_failed_replacement_leaves_nothing_behind() {
        let folder = folder();
        let path = folder.path().join("credentials");
        std::fs::create_dir(&path).unwrap();
        let error = replace(&path, b"x", Access::PRIVATE).unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot replace {}: ", path.display())), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn only_regular_files_of_bounded_length_are_read() {
        let folder = folder();
        let path = folder.path().join("f");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(*read_whole(&mut open_regular(&path).unwrap(), 5).unwrap(), b"12345");
        assert!(read_whole(&mut open_regular(&path).unwrap(), 4).is_err());
        std::os::unix::fs::symlink(&path, folder.path().join("link")).unwrap();
        assert!(open_regular(&folder.path().join("link")).is_err());
        assert!(open_regular(Path::new("/dev/zero")).is_err());
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("fifo"), rustix::fs::Mode::RUSR).unwrap();
        assert!(open_regular(&folder.path().join("fifo")).is_err());
    }
}
