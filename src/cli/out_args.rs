//! `--out FILE`: what a command makes goes to a new file instead of stdout.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::ArgAction::Set;

use super::output::print;
use super::values::{SWITCH, set, switch};
use super::{Failure, FailureKind};
use crate::files::shared::{Access, directory, replace};
use crate::files::{create, shell_word};

/// Flags for the file that takes the output
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Output")]
pub struct OutArgs {
    /// Write to this file instead of stdout; a file that exists is left alone
    #[arg(long, value_name = "FILE")]
    out: Option<String>,
    /// Replace the file of --out
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH)]
    force: bool,
}

/// Where the output goes.
pub enum Out {
    /// stdout.
    Stdout,
    /// A file that must not be there, and the flag that names it.
    New(&'static str, PathBuf),
    /// A file that may be replaced.
    Any(PathBuf),
}

impl OutArgs {
    /// Refuses a file that exists before anything is made.
    pub fn target(&self) -> Result<Out, Failure> {
        match set(self.out.as_deref()) {
            None => Ok(Out::Stdout),
            Some(path) => Out::to_file("--out", path.into(), self.force),
        }
    }
}

impl Out {
    /// The file that a flag names. One that exists is refused before anything is made, unless it may be replaced; so is one
    /// whose folder is missing.
    pub fn to_file(flag: &'static str, path: PathBuf, force: bool) -> Result<Self, Failure> {
        let folder = directory(&path);
        if !folder.is_dir() {
            let message =
                format!("{flag}: wanted a file in a folder that is there, found no folder {}", folder.display());
            return Err(Failure::new(FailureKind::Usage, message)
                .with_hint(format!("make it: mkdir -p {}", shell_word(&folder.display().to_string()))));
        }
        match path.symlink_metadata() {
            _ if force => Ok(Self::Any(path)),
            Ok(_) => Err(exists(flag, &path)),
            Err(_) => Ok(Self::New(flag, path)),
        }
    }

    /// Writes the whole or nothing. A new file is readable as the umask allows: nothing that is written so is secret.
    pub fn write(&self, text: &str) -> Result<(), Failure> {
        match self {
            Self::Stdout => print(text),
            Self::New(flag, path) => create(path, text.as_bytes(), 0o666).map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => exists(flag, path),
                _ => Failure::new(FailureKind::Other, format!("cannot write {}: {error}", path.display())),
            }),
            Self::Any(path) => replace(path, text.as_bytes(), Access { mode: 0o644, owner: None })
                .map_err(|error| Failure::new(FailureKind::Other, error.to_string())),
        }
    }
}

fn exists(flag: &str, path: &Path) -> Failure {
    let name = path.display().to_string();
    Failure::new(FailureKind::Usage, format!("{flag}: wanted a new file, found {name}, which exists"))
        .with_hint(format!("name another, or replace it: {flag} {} --force", shell_word(&name)))
}
