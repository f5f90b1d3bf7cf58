//! How flag values are read: as the peer's flag library does, so that existing command lines go on working.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::{Failure, FailureKind};

/// Value name that marks a switch: the command tree lets it stand alone, which means true.
pub const SWITCH: &str = "BOOL";

/// A switch that also takes `=true` and `=false`, in the spellings of Go's `strconv.ParseBool`.
pub fn switch(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        // An empty value counts as unset, and an unset switch is off.
        "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("wanted true or false".to_owned()),
    }
}

/// A switch that wins over the environment also where it says no; `None` where it was not given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice(pub Option<bool>);

/// The value of such a switch. Absent it is empty.
pub fn choice(text: &str) -> Result<Choice, String> {
    if text.is_empty() { Ok(Choice(None)) } else { switch(text).map(|on| Choice(Some(on))) }
}

/// A flag's value; an empty one counts as unset, as in `--region ""`.
pub fn set(value: Option<&str>) -> Option<&str> {
    value.filter(|text| !text.is_empty())
}

/// Whether the flag is a switch.
pub fn is_switch(arg: &clap::Arg) -> bool {
    arg.get_value_names().is_some_and(|names| names.iter().any(|name| name == SWITCH))
}

/// Lets every switch of the tree stand alone, and makes it off where it is absent and has no other default.
pub fn with_switches(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|arg| {
        if !is_switch(&arg) {
            return arg;
        }
        let arg = if arg.get_default_values().is_empty() { arg.default_value("false") } else { arg };
        arg.num_args(0..=1).require_equals(true).default_missing_value("true").hide_default_value(true).required(false)
    });
    command.mut_subcommands(with_switches)
}

/// Leaves a flag that a command takes but makes no use of out of its help.
pub fn without(ineffective: &[&str], flag: clap::Arg) -> clap::Arg {
    let hide = ineffective.contains(&flag.get_id().as_str());
    if hide { flag.hide(true) } else { flag }
}

/// A value that has a type of its own, with the flag's name in the error.
pub fn parse<T>(flag: &str, value: Option<&str>) -> Result<Option<T>, Failure>
where
    T: FromStr,
    Failure: From<T::Err>,
{
    set(value).map(str::parse).transpose().map_err(|error| Failure::from(error).in_flag(flag))
}

/// Seconds, whole or with a fraction.
pub fn seconds(flag: &str, value: Option<&str>) -> Result<Option<Duration>, Failure> {
    let Some(text) = set(value) else { return Ok(None) };
    text.parse::<f64>()
        .ok()
        .filter(|seconds| *seconds > 0.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map(Some)
        .ok_or_else(|| Failure::new(FailureKind::Usage, format!("{flag}: wanted seconds above 0, found '{text}'")))
}

/// A whole number in a range.
pub fn parse_number(flag: &str, value: Option<&str>, range: RangeInclusive<u32>) -> Result<Option<u32>, Failure> {
    let Some(text) = set(value) else { return Ok(None) };
    text.parse().ok().filter(|number| range.contains(number)).map(Some).ok_or_else(|| {
        let message =
            format!("{flag}: wanted a whole number from {} to {}, found '{text}'", range.start(), range.end());
        Failure::new(FailureKind::Usage, message)
    })
}

/// A whole number.
pub fn whole(flag: &str, value: Option<&str>) -> Result<Option<u32>, Failure> {
    let Some(text) = set(value) else { return Ok(None) };
    text.parse()
        .map(Some)
        .map_err(|_| Failure::new(FailureKind::Usage, format!("{flag}: wanted a whole number, found '{text}'")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_take_the_spellings_of_the_peer() {
        assert_eq!(switch("TRUE"), Ok(true));
        assert_eq!(switch("f"), Ok(false));
        assert_eq!(switch(""), Ok(false));
        assert!(switch("yes").is_err());
    }

    #[test]
    fn an_empty_value_counts_as_unset() {
        assert_eq!(set(Some("")), None);
        assert_eq!(whole("--session-duration", Some("")).unwrap(), None);
        assert_eq!(seconds("--timeout", Some("")).unwrap(), None);
    }

    #[test]
    fn limits_must_be_finite_and_above_zero() {
        for text in ["0", "-1", "inf", "NaN", "1e300", "soon"] {
            assert!(seconds("--timeout", Some(text)).is_err(), "{text}");
        }
        assert_eq!(seconds("--timeout", Some("0.25")).unwrap(), Some(Duration::from_millis(250)));
    }
}
