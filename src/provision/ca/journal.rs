//! The index as a file: one line per event, only ever appended to, and on the disk before what it tells of leaves the authority.
//!
//! Whoever dies while writing leaves a line without an end. What it told of has not left, so that the next one to write takes
//! it away, and who only reads passes over it.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

use super::error::{CaError, RefusalKind};
use super::index::Index;
use super::record::Event;
use crate::files::SharedFileError;
use crate::files::shared::{self, Access, Lock};

/// Longest file that is read: about a million certificates.
const LONGEST_FILE: u64 = 512 << 20;

/// Longest line; a subject may be long, but not that long.
const LONGEST_LINE: u64 = 64 << 10;

/// How long another process may hold the lock. It does while its key signs, which may mean a touch by a person.
const LOCK_LIMIT: Duration = Duration::from_secs(120);

/// The events so far, and the right to add others: held by one process at a time.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    index: Index,
    _lock: Lock,
}

impl Journal {
    /// Waits for the lock, reads what is there, and takes away what somebody who died has left.
    pub(super) fn open(path: &Path) -> Result<Self, CaError> {
        let lock = lock(path)?;
        let mut file = open(path, true).map_err(SharedFileError::cannot("open", path))?;
        let (index, whole) = read_events(&mut file, path)?;
        let length = file.metadata().map_err(SharedFileError::cannot("read", path))?.len();
        if whole < length {
            log::warn!(
                "{}: took away a line that a process did not finish; what it told of never left",
                path.display()
            );
            file.set_len(whole).and_then(|()| file.sync_all()).map_err(SharedFileError::cannot("mend", path))?;
        }
        Ok(Self { path: path.to_owned(), file, index, _lock: lock })
    }

    /// The events so far.
    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// Writes an event down: it is on the disk when this returns.
    pub(super) fn append(&mut self, event: Event) -> Result<(), CaError> {
        let mut line = serde_json::to_vec(&event).map_err(|error| SharedFileError::new(error.to_string()))?;
        if line.len() as u64 >= LONGEST_LINE {
            let message = format!("wanted a subject that fits a line of {LONGEST_LINE} octets, found a longer one");
            return Err(CaError::refused(RefusalKind::Order, message));
        }
        line.push(b'\n');
        self.index.apply(event).map_err(|contradiction| CaError::refused(RefusalKind::Index, contradiction))?;
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        Ok(written.map_err(SharedFileError::cannot("write to", &self.path))?)
    }
}

/// The first events of a new authority. The caller holds the lock.
pub(super) fn create(path: &Path, events: &[Event]) -> Result<(), CaError> {
    let mut text = Vec::new();
    for event in events {
        text.extend(serde_json::to_vec(event).map_err(|error| SharedFileError::new(error.to_string()))?);
        text.push(b'\n');
    }
    Ok(shared::replace(path, &text, Access::PRIVATE)?)
}

/// The events so far, for who writes none: asks for no lock.
pub(super) fn read(path: &Path) -> Result<Index, CaError> {
    let mut file = open(path, false).map_err(SharedFileError::cannot("open", path))?;
    Ok(read_events(&mut file, path)?.0)
}

/// Keeps everybody else from writing, for as long as it lives.
pub(super) fn lock(path: &Path) -> Result<Lock, CaError> {
    let name = path.with_extension("lock");
    Lock::acquire(&name, LOCK_LIMIT)?.ok_or_else(|| {
        let message = format!("another process has held the lock {} for {} s", name.display(), LOCK_LIMIT.as_secs());
        CaError::refused(RefusalKind::Busy, message)
    })
}

/// A link would be somebody's trick, a FIFO would wait for ever.
fn open(path: &Path, writable: bool) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).append(writable).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

/// The events of the whole lines, and how many octets these are.
fn read_events(file: &mut File, path: &Path) -> Result<(Index, u64), CaError> {
    let length = file.metadata().map_err(SharedFileError::cannot("read", path))?.len();
    if length > LONGEST_FILE {
        let message = format!("{}: wanted at most {LONGEST_FILE} octets, found {length}", path.display());
        return Err(CaError::refused(RefusalKind::Index, message));
    }
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let (mut index, mut whole, mut line) = (Index::default(), 0, Vec::new());
    for number in 1.. {
        line.clear();
        let read = (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line);
        let read = read.map_err(SharedFileError::cannot("read", path))?;
        let Some(text) = line.strip_suffix(b"\n") else {
            // The end, or a line that somebody did not finish: there can be nothing behind it.
            if (read as u64) < LONGEST_LINE {
                break;
            }
            return Err(damaged(path, number, "it is longer than any that is written here"));
        };
        let event = serde_json::from_slice(text).map_err(|error| damaged(path, number, &reason(&error)))?;
        index.apply(event).map_err(|contradiction| damaged(path, number, &contradiction))?;
        whole += read as u64;
    }
    Ok((index, whole))
}

fn damaged(path: &Path, line: usize, reason: &str) -> CaError {
    let message =
        format!("{}:{line}: wanted an event of the authority, found something else: {reason}", path.display());
    CaError::refused(RefusalKind::Index, message)
}

/// What serde says, without its place in the line, which it counts from the line's own beginning.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::record::{Issued, Issuer, Role};
    use super::*;
    use crate::x509::build::RevocationReason;

    fn issued(serial: &str) -> Event {
        let at = Timestamp::from_second(0).unwrap();
        Event::Issued(Issued {
            serial: serial.to_owned(),
            role: Role::Leaf,
            issuer: Issuer::Root,
            subject: "CN=web".to_owned(),
            key: "k".to_owned(),
            not_before: at,
            not_after: at,
            at,
        })
    }

    struct Scene {
        _folder: tempfile::TempDir,
        path: PathBuf,
    }

    impl Scene {
        fn with(serials: &[&str]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("index.jsonl");
            create(&path, &serials.iter().map(|serial| issued(serial)).collect::<Vec<_>>()).unwrap();
            Self { _folder: folder, path }
        }

        fn spoil(&self, octets: &[u8]) {
            OpenOptions::new().append(true).open(&self.path).unwrap().write_all(octets).unwrap();
        }

        fn serials(&self) -> Vec<String> {
            read(&self.path).unwrap().entries().iter().map(|entry| entry.issued.serial.clone()).collect()
        }
    }

    #[test]
    fn what_was_appended_is_read_again() {
        let scene = Scene::with(&["0A"]);
        let mut journal = Journal::open(&scene.path).unwrap();
        journal.append(issued("0B")).unwrap();
        assert!(journal.append(issued("0B")).is_err(), "a serial number repeats");
        drop(journal);
        assert_eq!(scene.serials(), ["0A", "0B"]);
    }

    #[test]
    fn a_line_that_was_not_finished_is_passed_over_and_mended() {
        let line = serde_json::to_vec(&issued("0B")).unwrap();
        let zeros = [0; 700];
        for torn in [&line[..1], &line[..line.len() / 2], &line, &zeros] {
            let scene = Scene::with(&["0A"]);
            scene.spoil(torn);
            assert_eq!(scene.serials(), ["0A"]);
            Journal::open(&scene.path).unwrap().append(issued("0C")).unwrap();
            assert_eq!(scene.serials(), ["0A", "0C"]);
        }
    }

    #[test]
    fn a_damaged_line_is_named_and_nothing_is_appended() {
        for (damage, told) in [
            ("{}\n", ":2: "),
            ("{\"event\":\"burnt\"}\n", "unknown variant `burnt`"),
            ("not json\n", "expected ident"),
            (&(serde_json::to_string(&issued("0A")).unwrap() + "\n"), "0A was issued before"),
            (&("x".repeat(70_000) + "\n"), "longer than any"),
        ] {
            let scene = Scene::with(&["0A"]);
            scene.spoil(damage.as_bytes());
            let error = Journal::open(&scene.path).err().unwrap().to_string();
            assert!(error.contains("index.jsonl:2: ") && error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_revocation_is_an_event_like_others() {
        let scene = Scene::with(&["0A"]);
        let at = Timestamp::from_second(5).unwrap();
        let revoked = Event::Revoked { serial: "0A".to_owned(), at, reason: RevocationReason::KeyCompromise };
        Journal::open(&scene.path).unwrap().append(revoked).unwrap();
        let index = read(&scene.path).unwrap();
        assert_eq!(index.by_serial("0A").unwrap().revoked, Some((at, RevocationReason::KeyCompromise)));
    }

    #[test]
    fn a_link_is_no_index() {
        let scene = Scene::with(&[]);
        let link = scene.path.with_file_name("link.jsonl");
        std::os::unix::fs::symlink(&scene.path, &link).unwrap();
        assert!(Journal::open(&link).is_err());
    }
}
