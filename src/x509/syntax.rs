//! Text that a person wrote and that cannot be read: what was wanted, and at which character.

use std::fmt;

use super::printable::shown;

/// A text that is not what its syntax asks for. Prints what was wanted and what was found; the text itself and the place are
/// for whoever shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    text: String,
    offset: usize,
    message: String,
}

impl SyntaxError {
    /// `offset` counts octets of `text`; it may be its length, where something is missing at the end.
    pub(super) fn new(text: &str, offset: usize, message: impl Into<String>) -> Self {
        Self { text: text.to_owned(), offset: offset.min(text.len()), message: message.into() }
    }

    /// Wanted something, found what stands at `offset`.
    pub(super) fn wanted(text: &str, offset: usize, wanted: &str) -> Self {
        let found = match text.get(offset..).and_then(|rest| rest.chars().next()) {
            Some(' ') => "a space".to_owned(),
            Some(c) => format!("'{}'", shown(c)),
            None => "the end".to_owned(),
        };
        Self::new(text, offset, format!("wanted {wanted}, found {found}"))
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many characters stand before the place.
    pub fn column(&self) -> usize {
        self.text.get(..self.offset).map_or(0, |before| before.chars().count())
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SyntaxError {}
