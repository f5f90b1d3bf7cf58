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

/// How long a pipe may take. A FIFO that nobody writes to would otherwise block the program for ever; who decrypts what is written
/// to it may have a password to type.
const PIPE_LIMIT: Duration = Duration::from_secs(60);

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

    /// The command that shows what stands in the way, where one does: what there is instead, or owners and modes.
    pub fn inspection(&self) -> Option<String> {
        match self.kind {
            FileErrorKind::Missing => Some(neighbours_of(&self.path)),
            FileErrorKind::Forbidden => Some(way_to(&self.path)),
            FileErrorKind::Unreadable => None,
        }
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

/// The command that shows the owners and modes of a file and the folders above it.
pub fn way_to(path: &Path) -> String {
    format!("namei -l {}", shell_word(&path.display().to_string()))
}

/// The command that shows what is in the folder of a file that is not there, or in the first one above it that is.
fn neighbours_of(path: &Path) -> String {
    let folder = path.ancestors().skip(1).find(|folder| folder.is_dir()).filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or(Path::new("."));
    format!("see what is there: ls -la {}", shell_word(&folder.display().to_string()))
}

/// Reads a key or certificate file to its end: at most one mebibyte, and at most a minute where it is a pipe or a device.
pub fn read(path: &Path) -> Result<FileContent, FileError> {
    let whole = || {
        let octets = read_octets(path, LONGEST_FILE)?;
        let metadata = path.metadata()?;
        Ok(FileContent { octets, mode: metadata.is_file().then(|| mode_of(&metadata)) })
    };
    whole().map_err(|error| FileError::from_io(path, &error))
}

/// Reads a file to its end, into one buffer that is wiped when dropped. Fails where it has more octets than the longest may have,
/// or is a pipe or a device and takes longer than a minute.
pub fn read_octets(path: &Path, longest: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let metadata = path.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    if metadata.is_file() {
        return read_to_end(path, longest);
    }
    read_pipe(path, longest, PIPE_LIMIT)
}

fn read_to_end(path: &Path, longest: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    let expected = file.metadata().map_or(0, |metadata| usize::try_from(metadata.len()).unwrap_or(longest));
    // A growing vector would leave unwiped pieces behind: full capacity at once, and where the length is not known
    // beforehand (a pipe) the most there can be.
    let capacity = if expected == 0 { longest } else { expected.min(longest) };
    let mut octets = Zeroizing::new(Vec::with_capacity(capacity + 1));
    file.take(longest as u64 + 1).read_to_end(&mut octets)?;
    if octets.len() > longest {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("found more than {longest} octets")));
    }
    Ok(octets)
}

/// Opening and reading a pipe both block, so that a thread does it; one that never ends ends with the process.
fn read_pipe(path: &Path, longest: usize, limit: Duration) -> io::Result<Zeroizing<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    let path = PathBuf::from(path);
    thread::Builder::new().name("read a pipe".to_owned()).spawn(move || {
        // Nobody listens any more after the limit.
        let _ = sender.send(read_to_end(&path, longest));
    })?;
    receiver.recv_timeout(limit).unwrap_or_else(|_| {
        let late = format!("nothing wrote it to its end within {} s", limit.as_secs_f32());
        Err(io::Error::new(io::ErrorKind::TimedOut, late))
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

    fn fifo(folder: &tempfile::TempDir) -> PathBuf {
        let fifo = folder.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        fifo
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_ends_by_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let error = read_pipe(&fifo(&folder), LONGEST_FILE, Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.to_string(), "nothing wrote it to its end within 0.05 s");
    }

    #[test]
    fn a_pipe_is_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = fifo(&folder);
        let writer = fifo.clone();
        let thread = thread::spawn(move || std::fs::write(writer, "through a pipe"));
        assert_eq!(read(&fifo).unwrap().octets.as_slice(), b"through a pipe");
        thread.join().unwrap().unwrap();
    }
}
