//! What is wrong with the file, where.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

/// What a person can do about a [`ConfigError`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigErrorKind {
    /// There is no such file: name another, or make it.
    Absent,
    /// It has no section of that name: name one that it has.
    Unknown {
        /// `identity` or `consumer`.
        what: &'static str,
        /// The names that it has.
        known: Vec<String>,
    },
    /// It cannot be read, or does not say what it must: change it.
    Content,
}

/// A configuration file that cannot be used. Prints as `PATH:LINE: MESSAGE`.
#[derive(Debug)]
pub struct ConfigError {
    kind: ConfigErrorKind,
    path: PathBuf,
    line: Option<usize>,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ConfigError {
    /// Something about the file as a whole.
    pub fn file(path: &Path, message: impl Into<String>) -> Self {
        Self {
            kind: ConfigErrorKind::Content,
            path: path.to_owned(),
            line: None,
            message: message.into(),
            source: None,
        }
    }

    /// What a person can do about it.
    pub fn kind(&self) -> &ConfigErrorKind {
        &self.kind
    }

    pub(super) fn of_kind(self, kind: ConfigErrorKind) -> Self {
        Self { kind, ..self }
    }

    /// Something in a line, counted from 1.
    pub(super) fn line(path: &Path, line: usize, message: impl Into<String>) -> Self {
        Self { line: Some(line), ..Self::file(path, message) }
    }

    pub(super) fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
