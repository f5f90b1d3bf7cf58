//! The words about files that are written for people: the configuration file, `~/.aws/config`, and lines that are taken over.

use std::path::Path;

use super::super::{Failure, FailureKind};
use crate::files::profiles::ProfileName;
use crate::files::shell_word;
use crate::provision::aws_config::ProfileError;
use crate::provision::identity_entry::EntryError;
use crate::provision::process_line::LineError;

/// Why an identity is not written.
pub fn entry(error: EntryError, name: &str, path: &Path) -> Failure {
    let at = |line: usize| format!("{}:{line}", path.display());
    match error {
        EntryError::Config(error) => error.into(),
        EntryError::NotUtf8 => usage(format!("{}: wanted TOML in UTF-8, found another encoding", path.display())),
        EntryError::Exists { line } => usage(format!("{}: there is another [identity.{name}] already", at(line)))
            .with_hint("take another name with --identity, or replace that one: --force"),
        EntryError::OtherForm { line } => {
            usage(format!("{}: wanted [identity.{name}] as a section of its own, found it in another form", at(line)))
                .with_hint("change it by hand, or take another name with --identity")
        }
    }
}

/// Why a profile is not written.
pub fn profile(error: &ProfileError, profile: &ProfileName, path: &Path) -> Failure {
    let failure = usage(format!("profile {profile} in {}: {error}", path.display()));
    let file = shell_word(&path.display().to_string());
    match error {
        ProfileError::Header { line, wanted } => failure.with_hint(format!(
            "write it as every SDK reads it: sed -i {} {file}",
            shell_word(&format!("{line}s/.*/{wanted}/"))
        )),
        ProfileError::Twice { .. } => {
            failure.with_hint("put what they say under one header; the AWS CLI reads no such file")
        }
        ProfileError::Taken { .. } => {
            failure.with_hint("write another profile with --aws-profile, or replace them: --force")
        }
        ProfileError::Slipped { line } => {
            failure.with_hint(format!("make it a setting of its own: sed -i '{line}s/^[[:space:]]*//' {file}"))
        }
    }
}

/// Why a line is not taken over.
pub fn process_line(error: LineError) -> Failure {
    let wanted = "wanted 'PROGRAM credential-process FLAGS'";
    match error {
        LineError::Empty => usage(format!("{wanted}, found nothing")),
        LineError::Unclosed => usage(format!("{wanted}, found a quotation mark that is not closed")),
        LineError::Expansion(c) => usage(format!("{wanted} as words, found {c}, which only a shell replaces"))
            .with_hint("write out what it stands for: the AWS CLI runs no shell"),
        LineError::OtherCommand(command) => usage(format!("{wanted}, found the command {command}"))
            .with_hint(format!("write the identity from its flags, then run it: keyanchor {command} --identity NAME")),
        LineError::NoCommand => usage(format!("{wanted}, found something else"))
            .with_hint("give the command alone on stdin, without what stands before it: --from -"),
    }
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Usage, message)
}
