//! Credentials that `credential-process` keeps for the next call: one private file per set of references and parameters. Of
//! many processes that want the same, one makes them while the others wait. Knows no devices and no words for people.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::source::{VendError, VendErrorKind};
use crate::credentials::{Credentials, Life};
use crate::files::shared::{self, Access, Lock, SharedFileError};

/// How long another process may take to make credentials, with a PIN to be typed or a key to be touched. The SDKs' own limits
/// are 20 s (Rust) and 60 s (Go).
const REFRESH_LIMIT: Duration = Duration::from_secs(45);

/// Largest entry that is read; a session token has one or two kilobytes.
const LARGEST: usize = 64 << 10;

/// The form of the entries; another one is ignored.
const VERSION: u32 = 1;

/// Where the cache is: `keyanchor` in `XDG_RUNTIME_DIR`, which a reboot empties, else in the state home (`XDG_STATE_HOME`, else
/// `~/.local/state`). `None` without any. Relative and empty values count as unset, as the XDG specification says.
pub fn directory(runtime: Option<OsString>, state: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |value: Option<OsString>| value.map(PathBuf::from).filter(|path| path.is_absolute());
    let state = || absolute(state).or_else(|| absolute(home).map(|home| home.join(".local/state")));
    absolute(runtime).or_else(state).map(|above| above.join("keyanchor"))
}

/// What an entry is found by: a hash of everything that decides which credentials come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryName(String);

impl EntryName {
    /// From the references and parameters by their names, in an order that the caller keeps. No secrets: whoever sees the name
    /// of a file could try PINs against its hash.
    pub fn of<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut hash = Sha256::new();
        for (name, value) in parameters {
            // The lengths keep neighbours apart.
            for part in [name, value] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
        Self(hash.finalize().iter().map(|octet| format!("{octet:02x}")).collect())
    }

    /// The hash in hexadecimal.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in a file's name with this suffix.
    fn from_file(name: &str, suffix: &str) -> Option<Self> {
        let hash = name.strip_suffix(suffix)?;
        let is_ours = hash.len() == 64 && hash.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'));
        is_ours.then(|| Self(hash.to_owned()))
    }
}

/// An entry, as `cache list` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What it is found by.
    pub name: EntryName,
    /// What it is for, without secrets; `None` where the entry is damaged or not to be trusted.
    pub kept: Option<(String, Life)>,
}

/// The directory of the entries, known to be the person's own.
#[derive(Clone, Debug)]
pub struct Cache {
    directory: PathBuf,
}

/// What a file holds.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Content<'a> {
    version: u32,
    #[serde(borrow)]
    label: Cow<'a, str>,
    #[serde(borrow)]
    issued: Cow<'a, str>,
    #[serde(borrow)]
    expiration: Cow<'a, str>,
    #[serde(borrow)]
    access_key_id: Cow<'a, str>,
    #[serde(borrow)]
    secret_access_key: Cow<'a, str>,
    #[serde(borrow)]
    session_token: Cow<'a, str>,
}

impl Cache {
    /// Makes the directory with mode 0700 where it is missing, and refuses one that others can get into.
    pub fn open(directory: PathBuf) -> Result<Self, SharedFileError> {
        shared::create_private_directory(&directory)
            .map_err(SharedFileError::cannot("make the directory", &directory))?;
        let found = directory.symlink_metadata().map_err(SharedFileError::cannot("look at", &directory))?;
        if !found.is_dir() || !is_private(&found) {
            return Err(SharedFileError::new(format!(
                "wanted {} to be a directory of yours with mode 0700, found {}",
                directory.display(),
                Description(&found)
            )));
        }
        Ok(Self { directory })
    }

    /// The credentials that are kept, while more than the smaller of 20 minutes and a third of their life is left; else new
    /// ones, which are kept.
    ///
    /// `label` says what they are for, without secrets. An entry that is damaged, or that others could have written, is
    /// ignored and replaced. A cache that fails is said and costs nothing but the time: the credentials come all the same.
    ///
    /// Where another process could not make them while this one waited, its failure is this one's, kind and reason: with fifty
    /// processes waiting, a wrong PIN would be tried fifty times.
    pub fn obtain(
        &self,
        name: &EntryName,
        label: &str,
        now: impl Fn() -> Timestamp,
        vend: impl FnOnce() -> Result<Credentials, VendError>,
    ) -> Result<Credentials, VendError> {
        let asked = now();
        if let Some(kept) = self.reusable(name, asked) {
            return Ok(kept);
        }
        let lock = match Lock::acquire(&self.path(name, ".lock"), REFRESH_LIMIT) {
            Ok(Some(lock)) => lock,
            Ok(None) => {
                log::warn!("another process has fetched the same credentials for {} s", REFRESH_LIMIT.as_secs());
                return vend();
            }
            Err(error) => {
                log::warn!("the cache is not used: {error}");
                return vend();
            }
        };
        // Whoever held the lock meanwhile has what is wanted, or knows why there is none.
        if let Some(kept) = self.reusable(name, now()) {
            return Ok(kept);
        }
        if let Some(failure) = self.failure_since(name, asked) {
            return Err(failure);
        }
        let outcome = vend();
        let kept = match &outcome {
            Ok(credentials) => self.keep(name, label, now(), credentials),
            Err(error) => self.keep_failure(name, now(), error),
        };
        if let Err(error) = kept {
            log::warn!("the cache is not written: {error}");
        }
        drop(lock);
        outcome
    }

    /// All entries, by their names.
    pub fn list(&self) -> Result<Vec<Listed>, SharedFileError> {
        let mut listed = Vec::new();
        for file in self.files()? {
            if let Some(name) = EntryName::from_file(&file, ".json") {
                let kept = self.read(&name).ok().flatten().map(|(label, life, _)| (label, life));
                listed.push(Listed { name, kept });
            }
        }
        listed.sort_by(|a, b| a.name.0.cmp(&b.name.0));
        Ok(listed)
    }

    /// Removes all entries, and gives their number.
    pub fn clear(&self) -> Result<usize, SharedFileError> {
        let mut cleared = 0;
        for file in self.files()? {
            let is_entry = EntryName::from_file(&file, ".json").is_some();
            // A lock that somebody holds may go too: its holder goes on, and the next one makes a new file.
            if is_entry || [".failed", ".lock"].iter().any(|suffix| EntryName::from_file(&file, suffix).is_some()) {
                let path = self.directory.join(file);
                match std::fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(SharedFileError::cannot("remove", &path)(error));
                    }
                    _ => cleared += usize::from(is_entry),
                }
            }
        }
        Ok(cleared)
    }

    fn files(&self) -> Result<Vec<String>, SharedFileError> {
        let cannot = SharedFileError::cannot("list", &self.directory);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.directory).map_err(&cannot)? {
            // Our names are ASCII.
            names.extend(entry.map_err(&cannot)?.file_name().into_string());
        }
        Ok(names)
    }

    fn path(&self, name: &EntryName, suffix: &str) -> PathBuf {
        self.directory.join(format!("{}{suffix}", name.0))
    }

    fn reusable(&self, name: &EntryName, now: Timestamp) -> Option<Credentials> {
        match self.read(name) {
            Ok(kept) => kept.filter(|(_, life, _)| life.is_reusable(now)).map(|(_, _, credentials)| credentials),
            Err(error) => {
                log::warn!("a cache entry is ignored: {error}");
                None
            }
        }
    }

    /// `None` where there is no entry.
    fn read(&self, name: &EntryName) -> Result<Option<(String, Life, Credentials)>, SharedFileError> {
        let path = self.path(name, ".json");
        let Some(octets) = read_private(&path)? else { return Ok(None) };
        let kept = parse(&octets).ok_or_else(|| {
            SharedFileError::new(format!("wanted credentials in {}, found it damaged", path.display()))
        })?;
        Ok(Some(kept))
    }

    fn keep(
        &self,
        name: &EntryName,
        label: &str,
        issued: Timestamp,
        credentials: &Credentials,
    ) -> Result<(), SharedFileError> {
        let content = Content {
            version: VERSION,
            label: label.into(),
            issued: issued.to_string().into(),
            expiration: (&credentials.expiration).into(),
            access_key_id: (&credentials.access_key_id).into(),
            secret_access_key: credentials.secret_access_key.as_str().into(),
            session_token: credentials.session_token.as_str().into(),
        };
        let path = self.path(name, ".json");
        // Room for all of it: a buffer that grows leaves copies behind.
        let mut octets = Zeroizing::new(Vec::with_capacity(LARGEST));
        serde_json::to_writer(&mut *octets, &content).map_err(|e| SharedFileError::cannot("write", &path)(e.into()))?;
        shared::replace(&path, &octets, Access::PRIVATE)
    }

    fn keep_failure(&self, name: &EntryName, now: Timestamp, error: &VendError) -> Result<(), SharedFileError> {
        let content = format!("{now}\n{}\n{error}", error.kind().label());
        shared::replace(&self.path(name, ".failed"), content.as_bytes(), Access::PRIVATE)
    }

    /// Why another process failed, where that was after this time.
    fn failure_since(&self, name: &EntryName, since: Timestamp) -> Option<VendError> {
        let octets = read_private(&self.path(name, ".failed")).ok()??;
        let mut parts = std::str::from_utf8(&octets).ok()?.splitn(3, '\n');
        let (time, kind, reason) = (parts.next()?, parts.next()?, parts.next()?);
        let kind = VendErrorKind::from_label(kind)?;
        let message = format!("another process that fetched the same credentials failed: {reason}");
        (time.parse::<Timestamp>().ok()? >= since).then(|| VendError::new(kind, message))
    }
}

/// A file of the person's own that nobody else can read or write; `None` where there is none.
fn read_private(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, SharedFileError> {
    let mut file = match shared::open_regular(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        outcome => outcome.map_err(SharedFileError::cannot("read", path))?,
    };
    let found = file.metadata().map_err(SharedFileError::cannot("read", path))?;
    if !is_private(&found) {
        let found = Description(&found);
        return Err(SharedFileError::new(format!(
            "wanted {} to be yours with mode 0600, found {found}",
            path.display()
        )));
    }
    shared::read_whole(&mut file, LARGEST).map(Some).map_err(SharedFileError::cannot("read", path))
}

fn is_private(found: &std::fs::Metadata) -> bool {
    found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o077 == 0
}

/// What is wrong with a file that is not private.
struct Description<'a>(&'a std::fs::Metadata);

impl fmt::Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.0.is_dir() { "a directory" } else { "a file" };
        write!(f, "{kind} of user {} with mode {:04o}", self.0.uid(), self.0.mode() & 0o7777)
    }
}

fn parse(octets: &[u8]) -> Option<(String, Life, Credentials)> {
    let content: Content<'_> = serde_json::from_slice(octets).ok()?;
    let credentials = Credentials {
        access_key_id: content.access_key_id.into_owned(),
        secret_access_key: Zeroizing::new(content.secret_access_key.into_owned()),
        session_token: Zeroizing::new(content.session_token.into_owned()),
        expiration: content.expiration.into_owned(),
    };
    let life = credentials.life(content.issued.parse().ok()?)?;
    (content.version == VERSION).then(|| (content.label.into_owned(), life, credentials))
}

#[cfg(test)]
mod tests;
