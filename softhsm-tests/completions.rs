//! What shells complete: each shell reads its script and is asked.

use crate::support::command::{Outcome, Run, is_there, keyanchor};
use crate::support::{Folder, text};

/// The script in a file of a folder that lives as long as it is held.
fn script(shell: &str) -> (Folder, std::path::PathBuf) {
    let folder = Folder::new();
    let path = folder.write("_keyanchor", &keyanchor(["completions", shell]).run().succeeds().stdout);
    (folder, path)
}

/// What bash offers in place of the last of these words.
fn offered_by_bash(words: &[&str]) -> Vec<String> {
    let (_folder, script) = script("bash");
    let ask = r#"
        source "$1"
        shift
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        # Only bash itself may set options of a completion under way.
        compopt() { :; }
        _keyanchor keyanchor "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let outcome = Run::program("bash").args(["--norc", "-c", ask, "bash", text(&script)]).args(words).run();
    lines(&outcome)
}

fn lines(outcome: &Outcome) -> Vec<String> {
    assert_eq!(outcome.stderr, "", "{outcome}");
    outcome.succeeds().text().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_and_nothing_that_is_hidden() {
    let (_folder, script) = script("bash");
    Run::program("bash").args(["-n", text(&script)]).run().succeeds();
    assert_eq!(offered_by_bash(&["keyanchor", "cred"]), ["credential-process"]);
    assert_eq!(
        offered_by_bash(&["keyanchor", "credential-process", "--tpm"]),
        ["--tpm", "--tpm-srk-name", "--tpm-password-source", "--tpm-parent-password-source"]
    );
    assert_eq!(offered_by_bash(&["keyanchor", "cache", ""]), ["-h", "--help", "list", "clear"]);
    assert_eq!(offered_by_bash(&["keyanchor", "completions", "f"]), ["fish"]);
}

#[test]
fn bash_completes_files_where_a_file_is_wanted_and_only_there() {
    let folder = Folder::new();
    let file = folder.write("certificate.pem", "");
    let begun = text(&file).trim_end_matches(".pem");
    assert_eq!(offered_by_bash(&["keyanchor", "serve", "--certificate", begun]), [text(&file)]);
    assert_eq!(offered_by_bash(&["keyanchor", "serve", "--role-arn", begun]), [begun]);
    // A switch takes no word after it.
    assert_eq!(offered_by_bash(&["keyanchor", "credential-process", "--cache", "--form"]), ["--format"]);
}

#[test]
fn zsh_reads_its_completions_and_knows_whose_they_are() {
    if !is_there("zsh", "zsh_reads_its_completions_and_knows_whose_they_are") {
        return;
    }
    let (_folder, script) = script("zsh");
    Run::program("zsh").args(["-n", text(&script)]).run().succeeds();
    let ask = "autoload -U compinit && compinit -D && source $1 && print $_comps[keyanchor]";
    let outcome = Run::program("zsh").args(["-f", "-c", ask, "zsh", text(&script)]).run();
    assert_eq!(lines(&outcome), ["_keyanchor"]);
}

#[test]
fn fish_completes_commands_and_flags() {
    if !is_there("fish", "fish_completes_commands_and_flags") {
        return;
    }
    let (_folder, script) = script("fish");
    Run::program("fish").args(["-n", text(&script)]).run().succeeds();
    let offered = |line: &str| {
        let ask = format!("source {}; complete -C '{line}'", text(&script));
        let offered = lines(&Run::program("fish").args(["--no-config", "-c", &ask]).run());
        offered.iter().filter_map(|line| line.split('\t').next()).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(offered("keyanchor cred"), ["credential-process"]);
    assert_eq!(offered("keyanchor credential-process --trust"), ["--trust-anchor-arn"]);
}

#[test]
fn another_shell_is_a_usage_error() {
    keyanchor(["completions", "tcsh"]).run().fails_with(2).stderr_contains("wanted one of bash, zsh, fish");
    keyanchor(["completions"]).run().fails_with(2).stderr_contains("SHELL");
}
