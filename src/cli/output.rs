//! stdout: data only, written whole before the command counts as done, and never to nowhere. What else there is to say goes to
//! stderr.

use std::io::{self, Write};

use serde::Serialize;

use super::{Failure, FailureKind};
use crate::process::start::stdout_is_closed;

/// Writes everything and flushes it, so that a full disk is a failure and not a silent success.
pub fn print(data: impl AsRef<[u8]>) -> Result<(), Failure> {
    print_with(|stdout| stdout.write_all(data.as_ref()))
}

/// Prints a document for programs, indented, with a line end.
pub fn json(document: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(document)
        .map_err(|error| Failure::new(FailureKind::Other, format!("cannot write JSON: {error}")))?;
    print(text + "\n")
}

/// The same for data that is written by who has it.
pub fn print_with(write: impl FnOnce(&mut io::StdoutLock<'_>) -> io::Result<()>) -> Result<(), Failure> {
    let failed = |found: String| Failure::new(FailureKind::Other, format!("cannot write to stdout: {found}"));
    if stdout_is_closed() {
        return Err(failed("it is closed".to_owned()));
    }
    let mut stdout = io::stdout().lock();
    write(&mut stdout).and_then(|()| stdout.flush()).map_err(|error| failed(error.to_string()))
}

/// Tells the person something that is no data: a line on stderr.
pub fn note(text: &str) {
    // Nobody is left to tell where stderr is closed.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}
