//! The log: a line per request on stderr, in `key=value` form. Text that came from a client is quoted and cut; what was vended
//! and signatures never get here.

use std::fmt;
use std::io::Write;

use super::certificate::Certificate;

/// Enough for any reason and any subject; a client cannot make lines longer.
const LONGEST_VALUE: usize = 1000;

/// One line, built up from its fields.
pub struct Line(String);

impl Line {
    /// Begins with the true time, whatever a fault does to the service's clock.
    pub fn new() -> Self {
        Self(jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
    }

    /// Adds a value that needs no quotes.
    #[must_use]
    pub fn plain(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.0.push_str(&format!(" {key}={value}"));
        self
    }

    /// Adds text in quotes, control characters escaped.
    #[must_use]
    pub fn quoted(mut self, key: &str, text: &str) -> Self {
        let cut: String = text.chars().take(LONGEST_VALUE).collect();
        self.0.push_str(&format!(" {key}={cut:?}"));
        self
    }

    /// Adds who presented a certificate.
    #[must_use]
    pub fn leaf(self, leaf: &Certificate) -> Self {
        self.quoted("leaf", &leaf.subject()).plain("serial", leaf.serial_hex())
    }

    /// Writes the line at once. Nothing is left to be done where even stderr is closed.
    pub fn write(mut self) {
        self.0.push('\n');
        let _ = std::io::stderr().write_all(self.0.as_bytes());
    }
}
