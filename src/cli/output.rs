//! stdout: data only, written whole before the command counts as done.

use std::io::{self, Write};

use super::{Failure, FailureKind};

/// Writes everything and flushes it, so that a full disk is a failure and not a silent success.
pub fn print(data: impl AsRef<[u8]>) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(data.as_ref()).and_then(|()| stdout.flush()).map_err(failed)
}

/// stdout cannot be written.
pub fn failed(error: io::Error) -> Failure {
    Failure::new(FailureKind::Other, format!("cannot write to stdout: {error}"))
}
