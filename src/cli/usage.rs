//! What is said of a command line that cannot be parsed. Values are not repeated: a URI among them may hold a PIN.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::output::print;
use super::{Failure, FailureKind};

/// Prints help and version where they were asked for; everything else is a usage failure.
pub fn explain(error: &clap::Error) -> Result<(), Failure> {
    match failure(error) {
        Some(failure) => Err(failure),
        None => print(error.render().to_string()),
    }
}

/// What is wrong with the command line; nothing where help or version were asked for.
pub fn failure(error: &clap::Error) -> Option<Failure> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => None,
        _ => Some(Failure::new(FailureKind::Usage, message(error)).with_hint(hint(error))),
    }
}

fn message(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        Some(ContextValue::Strings(texts)) => texts.first().map(String::as_str),
        _ => None,
    };
    let flag = context(ContextKind::InvalidArg).map(name_only);
    match error.kind() {
        ErrorKind::UnknownArgument => match flag {
            Some(flag) if flag.starts_with('-') => format!("there is no flag {flag}"),
            _ => "found a word that belongs to no flag".to_owned(),
        },
        ErrorKind::InvalidUtf8 => "wanted arguments in UTF-8, found one in another encoding".to_owned(),
        ErrorKind::InvalidSubcommand => "found no command of that name".to_owned(),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "wanted a command, found none".to_owned()
        }
        ErrorKind::MissingRequiredArgument => format!("wanted {}, found none", flag.unwrap_or("another flag")),
        ErrorKind::InvalidValue if context(ContextKind::InvalidValue) == Some("") => {
            format!("{}: wanted a value, found none", flag.unwrap_or("a flag"))
        }
        _ => {
            let reason = std::error::Error::source(error).map(ToString::to_string);
            let reason = reason.or_else(|| wanted(error)).unwrap_or_else(|| "wanted another value".to_owned());
            format!("{}: {reason}", flag.unwrap_or("the command line"))
        }
    }
}

/// The values that there are, where they can be counted.
fn wanted(error: &clap::Error) -> Option<String> {
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => {
            Some(format!("wanted one of {}", values.join(", ")))
        }
        _ => None,
    }
}

/// `--flag` of `--flag <VALUE>`, of `--flag[=<BOOL>]` and of `--flag=value`.
fn name_only(argument: &str) -> &str {
    argument.split(['=', ' ', '[']).next().unwrap_or(argument)
}

fn hint(error: &clap::Error) -> String {
    match error.get(ContextKind::SuggestedArg).or_else(|| error.get(ContextKind::SuggestedSubcommand)) {
        Some(ContextValue::String(similar)) => format!("did you mean {similar}? See keyanchor --help"),
        // The most similar one comes last; short names are a little similar to everything.
        Some(ContextValue::Strings(similar)) if !similar.is_empty() => {
            format!("did you mean {}? See keyanchor --help", similar.last().map_or("", String::as_str))
        }
        _ => "keyanchor --help lists the commands, keyanchor COMMAND --help the flags of one".to_owned(),
    }
}
