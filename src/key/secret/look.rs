//! Looks at a source of a secret without reading it: a pipe gives its content once, and nobody needs the secret for this.

use std::env;
use std::fs::OpenOptions;
use std::io;
use std::path::PathBuf;

use super::{SecretSource, credential_path};
use crate::files::Access;

/// A source as it is before it is asked.
#[derive(Debug)]
pub enum SourceState {
    /// The value itself was given, and stands in the process list.
    Given,
    /// A file, or why it cannot be looked at.
    File(PathBuf, io::Result<Access>),
    /// A descriptor, and whether it is open.
    Descriptor(i32, bool),
    /// An environment variable, and whether it is set.
    Variable(String, bool),
    /// A systemd credential, where there is no folder of them.
    NoCredentials(String),
    /// The person, and whether there is a terminal to ask on.
    Prompt(bool),
}

impl SecretSource {
    /// What there is of the source; nothing is read from it.
    pub fn look(&self) -> SourceState {
        match self {
            Self::Given(_) => SourceState::Given,
            Self::File(path) => SourceState::File(path.clone(), Access::of(path)),
            Self::Descriptor(number) => {
                SourceState::Descriptor(*number, PathBuf::from(format!("/dev/fd/{number}")).exists())
            }
            Self::Variable(name) => SourceState::Variable(name.clone(), env::var_os(name).is_some()),
            Self::Credential(name) => match credential_path(name) {
                Some(path) => SourceState::File(path.clone(), Access::of(&path)),
                None => SourceState::NoCredentials(name.clone()),
            },
            Self::Prompt => SourceState::Prompt(OpenOptions::new().read(true).write(true).open("/dev/tty").is_ok()),
        }
    }
}
