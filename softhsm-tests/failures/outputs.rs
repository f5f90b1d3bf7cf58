//! Output that nobody receives: a credential that cannot be written is no success.

use super::{FileIdentity, OTHER, refused};
use crate::support::command::{Outcome, Run};
use crate::support::key::Key;

/// Runs the arguments with stdout redirected like this by a shell.
fn redirected(arguments: &[&str], redirection: &str) -> Outcome {
    let script = format!("exec \"$0\" \"$@\" {redirection}");
    Run::program("sh").args(["-c", &script, env!("CARGO_BIN_EXE_keyanchor")]).args(arguments).run()
}

#[test]
fn an_output_that_cannot_be_written_is_a_failure() {
    let identity = FileIdentity::new(Key::Ec256);
    let sandbox = identity.sandbox(&[]);
    let (leaf, key) = (identity.leaf.pem_path().display().to_string(), identity.key.path().display().to_string());
    let ca = sandbox.ca().display().to_string();
    let vend = [
        "credential-process",
        "--endpoint",
        sandbox.endpoint(),
        "--ca-bundle",
        &ca,
        "--certificate",
        &leaf,
        "--private-key",
        &key,
        "--trust-anchor-arn",
        super::ANCHOR_ARN,
        "--profile-arn",
        super::PROFILE_ARN,
        "--role-arn",
        super::ROLE_ARN,
    ];
    let commands: [&[&str]; 5] = [
        &vend,
        &["sign-string", "--private-key", &key],
        &["read-certificate-data", "--certificate", &leaf],
        &["version"],
        &["--help"],
    ];
    for arguments in commands {
        for (redirection, found) in [(">/dev/full", "No space left on device"), (">&-", "closed")] {
            let outcome = redirected(arguments, redirection);
            refused(&outcome, OTHER, &["cannot write to stdout", found], "");
        }
        // Nobody's loss, and wanted by who asks for the exit code alone.
        redirected(arguments, ">/dev/null").succeeds();
    }
}

#[test]
fn a_closed_stderr_costs_only_the_words() {
    let outcome = redirected(&["sign-string", "--private-key", "/nonexistent"], "2>&-");
    outcome.ends_with(super::KEY);
    assert!(outcome.stdout.is_empty(), "{outcome}");
}
