//! Persistent handles as people write them: `handle:0x81000101` or `handle:81000101`.

use std::fmt;
use std::str::FromStr;

use super::super::error::{KeyError, KeyErrorKind};

const SCHEME: &str = "handle:";

/// A persistent handle (0x81000000 to 0x81FFFFFF, TPM 2.0 part 2 §7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(u32);

impl Handle {
    /// Whether the text has the scheme `handle:`.
    pub fn is_one(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// The persistent handle of this number; `None` for handles of other kinds.
    pub(super) const fn from_number(number: u32) -> Option<Self> {
        if number >> 24 == 0x81 { Some(Self(number)) } else { None }
    }

    /// The handle's number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl FromStr for Handle {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let malformed = || {
            KeyError::new(
                KeyErrorKind::Reference,
                format!("wanted a persistent TPM handle such as handle:0x81000101, found {text}"),
            )
        };
        let digits = text.strip_prefix(SCHEME).ok_or_else(malformed)?;
        let digits = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")).unwrap_or(digits);
        // from_str_radix takes a sign, a handle has none.
        if digits.starts_with(['+', '-']) {
            return Err(malformed());
        }
        u32::from_str_radix(digits, 16).ok().and_then(Self::from_number).ok_or_else(malformed)
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}0x{:08x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations_name_the_same_handle() {
        for text in ["handle:0x81000101", "handle:81000101", "handle:0X81000101"] {
            assert_eq!(text.parse::<Handle>().unwrap().to_string(), "handle:0x81000101");
        }
    }

    #[test]
    fn what_is_not_a_persistent_handle_is_refused() {
        for text in [
            "handle:",
            "handle:0x",
            "handle:zz",
            "handle:0x40000001",
            "handle:0x80000001",
            "handle:+81000101",
            "handle:0x8100010100",
            "handle::81000101",
        ] {
            assert!(text.parse::<Handle>().is_err(), "{text}");
        }
    }
}
