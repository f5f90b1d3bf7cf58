//! A failed command as people see it: kind, message, hint, exit code.

use std::fmt;
use std::io::Write;

/// What kind of failure ends the program; each has its exit code, documented in `docs/errors.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Anything that has no kind of its own, such as an output that cannot be written.
    Other = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A key, token, TPM or key file.
    Key = 3,
    /// A PIN or password.
    Secret = 4,
    /// AWS refused the request.
    Refused = 5,
    /// The network, the proxy or TLS.
    Network = 6,
    /// A certificate or a chain.
    Certificate = 7,
    /// `exec` cannot run the command: as in shells.
    NotExecutable = 126,
    /// `exec` does not find the command: as in shells.
    NotFound = 127,
}

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    kind: FailureKind,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// What was wanted and what was found; lower case, no full stop.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// A command that mends it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what else is to be done.
    #[must_use]
    pub fn and_hint(mut self, hint: String) -> Self {
        self.hint = Some(match self.hint {
            Some(first) => format!("{first}; and {hint}"),
            None => hint,
        });
        self
    }

    /// Says which flag brought the value that failed.
    #[must_use]
    pub fn in_flag(mut self, flag: &str) -> Self {
        self.message = format!("{flag}: {}", self.message);
        self
    }

    /// Adds what else is to be known of it.
    #[must_use]
    pub fn with_remark(mut self, remark: &str) -> Self {
        self.message = format!("{}; {remark}", self.message);
        self
    }

    /// What kind it is.
    pub fn kind(&self) -> FailureKind {
        self.kind
    }

    /// The command that mends it, where there is one.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Prints the failure to stderr and gives its exit code.
    pub fn report(&self) -> u8 {
        let mut text = format!("error: {}\n", self.message);
        if let Some(hint) = &self.hint {
            text.push_str(&format!("hint: {hint}\n"));
        }
        // Nothing is left to be done where even stderr is closed.
        let _ = std::io::stderr().write_all(text.as_bytes());
        self.kind as u8
    }
}

/// The message without the hint.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Prints a failure, if there is one, and gives the exit code.
pub fn conclude(outcome: Result<(), Failure>) -> u8 {
    match outcome {
        Ok(()) => 0,
        Err(failure) => failure.report(),
    }
}
