//! What `--help` says, to the letter: a flag that comes, goes or changes its words shows here.
//!
//! `KEYANCHOR_UPDATE_SNAPSHOTS=1 cargo test --test softhsm help` writes the files in `softhsm-tests/snapshots/help` anew.

use std::path::PathBuf;

use crate::support::command::keyanchor;
use crate::support::shell::keyanchor_calls;

const COMMANDS: &[&str] = &[
    "credential-process",
    "serve",
    "env",
    "exec",
    "update",
    "cache",
    "list",
    "generate",
    "csr",
    "certificate",
    "ca",
    "renew",
    "sign-string",
    "read-certificate-data",
    "aws-template",
    "configure",
    "doctor",
    "sandbox",
    "completions",
    "man",
    "version",
];

/// Verbs below a command that have flags of their own.
const VERBS: &[[&str; 2]] = &[
    ["ca", "init"],
    ["ca", "issue"],
    ["ca", "revoke"],
    ["ca", "crl"],
    ["ca", "list"],
    ["certificate", "show"],
    ["certificate", "check"],
    ["certificate", "import"],
    ["certificate", "export"],
];

/// Every command and verb, as words.
fn all() -> impl Iterator<Item = &'static [&'static str]> {
    COMMANDS.iter().map(std::slice::from_ref).chain(VERBS.iter().map(<[_; 2]>::as_slice))
}

/// Compares with the recorded text, or records it.
#[track_caller]
fn is_as_recorded(name: &str, arguments: &[&str]) {
    let outcome = keyanchor(arguments).run();
    let said = outcome.succeeds().text();
    let file =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("softhsm-tests/snapshots/help").join(format!("{name}.txt"));
    if std::env::var_os("KEYANCHOR_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&file, said).unwrap();
    }
    let recorded = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert_eq!(said, recorded, "the help differs from {}", file.display());
    assert_eq!(outcome.stderr, "");
}

#[test]
fn the_help_of_each_command_is_as_recorded() {
    is_as_recorded("keyanchor", &["--help"]);
    for command in all() {
        is_as_recorded(&command.join("-"), &[command, &["--help"]].concat());
        is_as_recorded(&command.join("-"), &[&["help"], command].concat());
    }
}

#[test]
fn every_command_is_recorded() {
    let listing = keyanchor(["--help"]).run();
    let (_, commands) = listing.text().split_once("Commands:\n").unwrap();
    let names = commands.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next());
    assert_eq!(names.filter(|name| *name != "help").collect::<Vec<_>>(), COMMANDS);
}

#[test]
fn help_has_no_peculiarities() {
    for command in all() {
        let help = keyanchor(command).arg("--help").run();
        for line in help.text().lines() {
            assert!(line.chars().count() <= 130, "too long for a terminal: {line}");
        }
        // Every flag says what it does: its words follow on its own line or on the next one.
        let lines: Vec<_> = help.text().lines().take_while(|line| *line != "Examples:").collect();
        for pair in lines.windows(2).filter(|pair| pair[0].trim_start().starts_with("--")) {
            let words = pair[0].trim_start().split_once("  ").map_or(pair[1], |(_, words)| words).trim();
            assert!(words.starts_with(|first: char| first.is_uppercase()), "says nothing: {pair:?}");
        }
    }
}

/// What stands below the help's last heading.
fn examples(arguments: &[&str]) -> String {
    let help = keyanchor(arguments).arg("--help").run();
    let parts = help.succeeds().text().split_once("\nExamples:\n");
    let (_, examples) = parts.unwrap_or_else(|| panic!("{arguments:?} has no examples: set after_help\n{help}"));
    examples.to_owned()
}

#[test]
fn every_command_has_examples_that_are_command_lines() {
    for arguments in [&[][..]].into_iter().chain(all()) {
        let examples = examples(arguments);
        let too_long = examples.lines().find(|line| line.chars().count() > 100);
        assert_eq!(too_long, None, "{arguments:?}: wider than 100 columns");
        // What an example is for stands before it, less indented.
        let lines = examples.lines().filter(|line| line.starts_with("    "));
        let calls = keyanchor_calls(&lines.collect::<Vec<_>>().join("\n"));
        assert!(
            calls.iter().any(|words| words[1..].iter().zip(arguments).all(|(word, wanted)| word == wanted)),
            "{examples}"
        );
        for words in calls {
            keyanchor::cli::check(&words).unwrap_or_else(|failure| panic!("{words:?}: {failure}"));
        }
    }
}
