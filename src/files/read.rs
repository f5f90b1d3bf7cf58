//! Reading a whole file without hanging and without filling the memory.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use zeroize::Zeroizing;

use super::format::shell_word;

/// Longest key or certificate file: the bundle of every public root of the Web has a quarter of this.
const LONGEST_FILE: usize = 1 << 20;

/// How long a pipe may keep silent. A FIFO that nobody writes to would otherwise block the program for ever.
const PIPE_LIMIT: Duration = Duration::from_secs(10);

/// The octets of a file, wiped when dropped: it may hold a private key.
pub struct FileContent {
    /// Everything in it.
    pub octets: Zeroizing<Vec<u8>>,
    /// Permission bits; `None` for what is not a regular file.
    pub mode: Option<u32>,
}

/// Why a file cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileErrorKind {
    /// There is none by this name.
    Missing,
    /// This account may not.
    Forbidden,
    /// It is a directory, too large, or the operating system failed.
    Unreadable,
}

/// A file that cannot be read.
#[derive(Debug)]
pub struct FileError {
    kind: FileErrorKind,
    path: PathBuf,
    message: String,
}

impl FileError {
    fn new(kind: FileErrorKind, path: &Path, found: impl fmt::Display) -> Self {
        Self { kind, path: path.to_owned(), message: format!("cannot read {}: {found}", path.display()) }
    }

    fn from_io(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::new(FileErrorKind::Missing, path, "no such file"),
            io::ErrorKind::PermissionDenied => Self::new(FileErrorKind::Forbidden, path, "permission denied"),
            _ => Self::new(FileErrorKind::Unreadable, path, error),
        }
    }

    /// The command that shows what stands in the way, where one does: the owners and modes of the file and the folders above it.
    pub fn inspection(&self) -> Option<String> {
        let forbidden = self.kind == FileErrorKind::Forbidden;
        forbidden.then(|| format!("namei -l {}", shell_word(&self.path.display().to_string())))
    }

    /// What stands in the way.
    pub fn kind(&self) -> FileErrorKind {
        self.kind
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for FileError {}

/// Reads the whole file: at most one mebibyte, and at most ten seconds where it is a pipe or a device.
pub fn read(path: &Path) -> Result<FileContent, FileError> {
    let metadata = path.metadata().map_err(|error| FileError::from_io(path, &error))?;
    if metadata.is_dir() {
        return Err(FileError::new(FileErrorKind::Unreadable, path, "it is a directory"));
    }
    let (octets, mode) =
        if metadata.is_file() { (read_octets(path), Some(mode_of(&metadata))) } else { (read_pipe(path), None) };
    let octets = octets.map_err(|error| FileError::from_io(path, &error))?;
    if octets.len() > LONGEST_FILE {
        return Err(FileError::new(
            FileErrorKind::Unreadable,
            path,
            format_args!("wanted a file of keys or certificates, found more than {LONGEST_FILE} octets"),
        ));
    }
    Ok(FileContent { octets, mode })
}

fn read_octets(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    let expected = file.metadata().map_or(0, |metadata| usize::try_from(metadata.len()).unwrap_or(LONGEST_FILE));
    // A growing vector would leave unwiped pieces behind: full capacity at once, and where the length is not known
    // beforehand (a pipe) the most there can be.
    let capacity = if expected == 0 { LONGEST_FILE + 1 } else { expected.min(LONGEST_FILE) + 1 };
    let mut octets = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(LONGEST_FILE as u64 + 1).read_to_end(&mut octets)?;
    Ok(octets)
}

/// Opening and reading a pipe both block, so that a thread does it; one that never ends ends with the process.
fn read_pipe(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    let path = PathBuf::from(path);
    thread::Builder::new().name("read a pipe".to_owned()).spawn(move || {
        // Nobody listens any more after the limit.
        let _ = sender.send(read_octets(&path));
    })?;
    receiver.recv_timeout(PIPE_LIMIT).unwrap_or_else(|_| {
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("nothing wrote it to its end within {} s", PIPE_LIMIT.as_secs()),
        ))
    })
}

#[cfg(unix)]
fn mode_of(metadata: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o7777
}

#[cfg(not(unix))]
fn mode_of(_: &std::fs::Metadata) -> u32 {
    0o600
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let missing = read(&folder.path().join("absent.pem")).err().unwrap();
        assert_eq!(missing.kind(), FileErrorKind::Missing);
        assert!(missing.to_string().ends_with("absent.pem: no such file"), "{missing}");
        let directory = read(folder.path()).err().unwrap();
        assert!(directory.to_string().ends_with("it is a directory"), "{directory}");
    }

    #[test]
    fn an_endless_file_ends() {
        let error = read(Path::new("/dev/zero")).err().unwrap();
        assert!(error.to_string().contains("more than 1048576 octets"), "{error}");
    }

    #[test]
    fn a_pipe_is_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let writer = fifo.clone();
        let thread = thread::spawn(move || std::fs::write(writer, "through a pipe"));
        assert_eq!(read(&fifo).unwrap().octets.as_slice(), b"through a pipe");
        thread.join().unwrap().unwrap();
    }
}
