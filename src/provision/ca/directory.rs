//! The directory of an authority: what its files are called, and who may touch them.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::{CaError, RefusalKind};
use super::record::Issuer;
use crate::files::shared::{self, Access};
use crate::files::{self, SharedFileError};

/// What everybody may read.
const PUBLIC: Access = Access { mode: 0o644, owner: None };

/// A directory by its path.
#[derive(Clone, Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// The directory of an authority that is there. It must belong to this account, and nobody else may write in it: whoever can
    /// could exchange the index or the keys.
    pub(super) fn open(path: &Path) -> Result<Self, CaError> {
        let directory = Self(path.to_owned());
        match path.metadata() {
            Ok(_) => directory.require_ours()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(directory.no_authority()),
            Err(error) => return Err(SharedFileError::cannot("look at", path)(error).into()),
        }
        match directory.settings().try_exists() {
            Ok(true) => Ok(directory),
            Ok(false) => Err(directory.no_authority()),
            Err(error) => Err(SharedFileError::cannot("look at", &directory.settings())(error).into()),
        }
    }

    /// Whether a new authority can be made here: there is nothing, or a directory with nothing but these files. Makes nothing.
    pub(super) fn require_vacant(path: &Path, expected: &[PathBuf]) -> Result<Self, CaError> {
        let directory = Self(path.to_owned());
        let refused = |message: String| Err(CaError::refused(RefusalKind::Occupied, message));
        match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(directory),
            Err(error) => return Err(SharedFileError::cannot("look at", path)(error).into()),
            Ok(_) => directory.require_ours()?,
        }
        if directory.settings().exists() {
            return refused(format!("wanted a new directory, found an authority in {}", path.display()));
        }
        match directory.anything_but(expected)? {
            Some(other) => refused(format!("wanted a new or empty directory, found {other} in {}", path.display())),
            None => Ok(directory),
        }
    }

    /// Makes it, for this account alone, where it is missing.
    pub(super) fn create(&self) -> Result<(), CaError> {
        let path = &self.0;
        shared::create_private_directory(path).map_err(SharedFileError::cannot("make the directory", path))?;
        self.require_ours()?;
        let private = Permissions::from_mode(0o700);
        Ok(fs::set_permissions(path, private).map_err(SharedFileError::cannot("change the mode of", path))?)
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// `ca.toml`.
    pub fn settings(&self) -> PathBuf {
        self.0.join("ca.toml")
    }

    /// `index.jsonl`.
    pub fn index(&self) -> PathBuf {
        self.0.join("index.jsonl")
    }

    /// `root.pem`, which is the trust anchor, and `intermediate.pem`.
    pub fn certificate(&self, issuer: Issuer) -> PathBuf {
        self.0.join(format!("{issuer}.pem"))
    }

    /// `root.key` and `intermediate.key`, where the keys are in files.
    pub fn key(&self, issuer: Issuer) -> PathBuf {
        self.0.join(format!("{issuer}.key"))
    }

    /// `root.crl` and `intermediate.crl`: the last CRL of each.
    pub fn crl(&self, issuer: Issuer) -> PathBuf {
        self.0.join(format!("{issuer}.crl"))
    }

    /// Writes a file that everybody may read, whole or not at all.
    pub(super) fn publish(&self, path: &Path, content: &str) -> Result<(), CaError> {
        Ok(shared::replace(path, content.as_bytes(), PUBLIC)?)
    }

    /// Writes a file for this account alone; one that is there is never overwritten.
    pub(super) fn write_secret(&self, path: &Path, content: &str) -> Result<(), CaError> {
        Ok(files::create(path, content.as_bytes(), 0o600).map_err(SharedFileError::cannot("write", path))?)
    }

    fn no_authority(&self) -> CaError {
        let message = format!("wanted a certificate authority in {}, found no ca.toml there", self.0.display());
        CaError::refused(RefusalKind::NoAuthority, message)
    }

    fn require_ours(&self) -> Result<(), CaError> {
        let found = self.0.metadata().map_err(SharedFileError::cannot("look at", &self.0))?;
        let (user, mode) = (rustix::process::geteuid().as_raw(), found.mode() & 0o7777);
        let (path, owner) = (self.0.display(), found.uid());
        let (kind, message) = if !found.is_dir() {
            (RefusalKind::Occupied, format!("wanted a directory, found something else at {path}"))
        } else if owner != user {
            (
                RefusalKind::Foreign,
                format!("wanted {path} to be a directory of user {user}, found it to be user {owner}'s"),
            )
        } else if mode & 0o022 != 0 {
            let message =
                format!("wanted {path} to be a directory that nobody else can write in, found it with mode {mode:04o}");
            (RefusalKind::Exposed, message)
        } else {
            return Ok(());
        };
        Err(CaError::refused(kind, message))
    }

    /// The name of something in it that is not expected.
    fn anything_but(&self, expected: &[PathBuf]) -> Result<Option<String>, CaError> {
        let cannot = SharedFileError::cannot("list", &self.0);
        for entry in fs::read_dir(&self.0).map_err(&cannot)? {
            let path = entry.map_err(&cannot)?.path();
            let is_lock = path == self.index().with_extension("lock");
            if !is_lock && !expected.iter().any(|known| same_file(known, &path)) {
                return Ok(path.file_name().map(|name| name.to_string_lossy().escape_debug().to_string()));
            }
        }
        Ok(None)
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    let (Ok(one), Ok(other)) = (one.metadata(), other.metadata()) else { return false };
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}
