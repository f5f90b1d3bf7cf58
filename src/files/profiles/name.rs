//! The name of a profile.

use std::fmt;
use std::str::FromStr;

/// The name of a profile that a header can hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProfileName(String);

impl ProfileName {
    /// As it stands in the header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ProfileName {
    type Err = ProfileNameError;

    fn from_str(name: &str) -> Result<Self, ProfileNameError> {
        let breaks_header = |c: char| c.is_control() || matches!(c, '[' | ']' | '#' | ';');
        if name.is_empty() || name.trim() != name || name.contains(breaks_header) {
            return Err(ProfileNameError(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }
}

/// A name that no header can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileNameError(String);

impl fmt::Display for ProfileNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "wanted the name of a profile, found {:?}: empty, or with brackets, #, ;, control characters or white space \
             around it",
            self.0
        )
    }
}

impl std::error::Error for ProfileNameError {}
