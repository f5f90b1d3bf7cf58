//! Where the file is. Pure: the environment is passed in.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where the configuration file is, and whether anybody said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Its path.
    pub path: PathBuf,
    /// Named by `--config` or KEYANCHOR_CONFIG, so that it must exist.
    pub named: bool,
}

/// `--config`, else `KEYANCHOR_CONFIG`, else `keyanchor/config.toml` in `XDG_CONFIG_HOME` or in `~/.config`. `None` where not even
/// HOME is set. As the XDG base directory specification says, an XDG_CONFIG_HOME that is relative is ignored.
pub fn locate(flag: Option<&Path>, variable: impl Fn(&str) -> Option<OsString>) -> Option<Location> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = flag.map(Path::to_owned).or_else(|| set("KEYANCHOR_CONFIG")) {
        return Some(Location { path, named: true });
    }
    let home =
        set("XDG_CONFIG_HOME").filter(|path| path.is_absolute()).or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(Location { path: home.join("keyanchor/config.toml"), named: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(flag: Option<&str>, variables: &[(&str, &str)]) -> Option<(String, bool)> {
        let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        locate(flag.map(Path::new), variable)
            .map(|location| (location.path.to_str().unwrap().to_owned(), location.named))
    }

    #[test]
    fn the_flag_goes_before_the_variable_and_that_before_the_directories() {
        let all = [("KEYANCHOR_CONFIG", "/v.toml"), ("XDG_CONFIG_HOME", "/xdg"), ("HOME", "/home/me")];
        assert_eq!(located(Some("f.toml"), &all), Some(("f.toml".into(), true)));
        assert_eq!(located(None, &all), Some(("/v.toml".into(), true)));
        assert_eq!(located(None, &all[1..]), Some(("/xdg/keyanchor/config.toml".into(), false)));
        assert_eq!(located(None, &all[2..]), Some(("/home/me/.config/keyanchor/config.toml".into(), false)));
        assert_eq!(located(None, &[]), None);
    }

    #[test]
    fn variables_that_say_nothing_are_as_if_absent() {
        let empty = [("KEYANCHOR_CONFIG", ""), ("XDG_CONFIG_HOME", "relative"), ("HOME", "/home/me")];
        assert_eq!(located(None, &empty), Some(("/home/me/.config/keyanchor/config.toml".into(), false)));
    }
}
