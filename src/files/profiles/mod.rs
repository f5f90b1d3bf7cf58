//! The two files of the AWS SDKs that hold profiles, `~/.aws/config` and `~/.aws/credentials`: where they are, their lines, and
//! the names of profiles. Does not know what is put into them.

mod lines;
mod name;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use lines::{Kind, Line, eol, split, without_mark};
pub use name::{ProfileName, ProfileNameError};

/// Where a file is: what its variable says (a `~/` before it is the home, as in botocore), else there in the home. `None` without
/// either variable. Empty variables count as unset.
pub fn path(variable: Option<OsString>, home: Option<OsString>, in_home: impl AsRef<Path>) -> Option<PathBuf> {
    let home = home.filter(|home| !home.is_empty()).map(PathBuf::from);
    match variable.filter(|path| !path.is_empty()).map(PathBuf::from) {
        None => Some(home?.join(in_home)),
        Some(path) => match path.strip_prefix("~") {
            Ok(below) => Some(home?.join(below)),
            Err(_) => Some(path),
        },
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_file_is_where_the_sdks_look_for_it() {
        let path = |variable: &str, home: &str| {
            super::path(Some(variable.into()), Some(home.into()), ".aws/config")
                .map(|path| path.to_str().unwrap().to_owned())
        };
        assert_eq!(path("", "/home/x").as_deref(), Some("/home/x/.aws/config"));
        assert_eq!(path("/etc/aws", "/home/x").as_deref(), Some("/etc/aws"));
        assert_eq!(path("~/aws", "/home/x").as_deref(), Some("/home/x/aws"));
        assert_eq!(path("~x", "/home/x").as_deref(), Some("~x"));
        assert_eq!(path("", ""), None);
        assert_eq!(path("~/aws", ""), None);
        assert_eq!(super::path(None, None, ".aws/config"), None);
    }
}
