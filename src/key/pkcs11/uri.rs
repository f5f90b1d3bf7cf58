//! RFC 7512 URIs: skeleton.

use std::fmt;
use std::str::FromStr;

use super::super::error::KeyError;

/// A `pkcs11:` URI.
#[derive(Clone, Debug)]
pub struct Uri(String);

impl Uri {
    /// Whether the text has the scheme `pkcs11:`, in any case.
    pub fn is_one(text: &str) -> bool {
        text.trim_start().get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("pkcs11:"))
    }
}

impl FromStr for Uri {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
