//! What bad input gets: a nonzero exit code by kind, nothing on stdout, an error that says what was wanted and what was
//! found, and a hint. Each case runs the program as a person or an SDK does; `docs/errors.md` has the exit codes.

mod certificates;
mod files;
mod http;
mod outputs;
mod pkcs11;
mod pkcs11_faults;
pub mod servers;
mod tls;
mod usage;

use std::path::Path;

use crate::support::command::{Outcome, Run, keyanchor};
use crate::support::key::{Key, KeyFile};
use crate::support::pki::{Ca, Certificate};
use crate::support::sandbox::Sandbox;
use crate::support::softhsm::{TEST_SO_PIN, TEST_USER_PIN, WRONG_TEST_PIN};
use servers::Listener;

const OTHER: i32 = 1;
const USAGE: i32 = 2;
const KEY: i32 = 3;
const PIN: i32 = 4;
const REFUSED: i32 = 5;
const NETWORK: i32 = 6;
const CERTIFICATE: i32 = 7;

const ANCHOR_ARN: &str =
    "arn:aws:rolesanywhere:us-east-1:111122223333:trust-anchor/11111111-2222-4333-8444-555555555555";
const PROFILE_ARN: &str = "arn:aws:rolesanywhere:us-east-1:111122223333:profile/0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f1";
const ROLE_ARN: &str = "arn:aws:iam::111122223333:role/ExampleRole";

/// A hint that is not given: there is nothing to be done that the error does not say.
const NO_HINT: &str = "";

/// `credential-process` for this endpoint; key and certificate are still to be named.
fn ask(endpoint: &str) -> Run {
    let arns = ["--trust-anchor-arn", ANCHOR_ARN, "--profile-arn", PROFILE_ARN, "--role-arn", ROLE_ARN];
    keyanchor(["credential-process", "--endpoint", endpoint]).args(arns)
}

/// The command failed like this: the exit code, nothing on stdout, one `error:` line with these parts, and one `hint:` with this
/// part, and no secret anywhere.
#[track_caller]
fn refused(outcome: &Outcome, code: i32, error: &[&str], hint: &str) {
    outcome.fails_with(code);
    let lines = |mark: &str| outcome.stderr.lines().filter(|line| line.starts_with(mark)).count();
    assert_eq!(lines("error: "), 1, "one error\n{outcome}");
    let (before, rest) = outcome.stderr.split_once("error: ").unwrap();
    let (said, hints) = match rest.split_once("\nhint: ") {
        Some((said, hint)) => (said.trim_end(), Some(hint)),
        None => (rest.trim_end(), None),
    };
    for part in error {
        assert!(said.contains(part), "no '{part}' in the error\n{outcome}");
    }
    assert!(!said.contains('\n') && !said.ends_with('.'), "one line without a full stop\n{outcome}");
    assert_eq!(hints.is_some(), hint != NO_HINT, "a hint\n{outcome}");
    assert!(hints.unwrap_or_default().contains(hint), "no '{hint}' in the hint\n{outcome}");
    assert!(before.lines().all(|line| line.starts_with("warning: ")), "something before the error\n{outcome}");
    without_secrets(outcome);
}

/// Nothing that a test knows as a secret was printed.
#[track_caller]
fn without_secrets(outcome: &Outcome) {
    for secret in [TEST_USER_PIN, WRONG_TEST_PIN, TEST_SO_PIN, "-----BEGIN", "pin-value=", "test-secret"] {
        outcome.stderr_lacks(secret);
    }
}

/// The lines of the hint, without its first words: words that can be pasted into a shell.
fn pasteable(outcome: &Outcome) -> Vec<&str> {
    let hint = outcome.stderr.split_once("\nhint: ").map_or("", |(_, hint)| hint);
    hint.lines().skip(1).map(str::trim).collect()
}

/// A CA with a leaf whose key is in a file.
struct FileIdentity {
    ca: Ca,
    leaf: Certificate,
    key: KeyFile,
}

impl FileIdentity {
    fn new(kind: Key) -> Self {
        let ca = Ca::root("Test Root");
        let (leaf, key) = ca.leaf_with_key("host", kind);
        Self { ca, leaf, key }
    }

    /// A command for this endpoint with key and certificate.
    fn ask(&self, endpoint: &str) -> Run {
        named(ask(endpoint), &self.leaf.pem_path(), self.key.path())
    }

    /// A service that trusts the CA.
    fn sandbox(&self, more: &[&str]) -> Sandbox {
        sandbox(&self.ca, more)
    }
}

/// Names certificate and key.
fn named(run: Run, certificate: &Path, key: &Path) -> Run {
    run.arg("--certificate").arg(certificate).arg("--private-key").arg(key)
}

/// A service that trusts this CA.
fn sandbox(ca: &Ca, more: &[&str]) -> Sandbox {
    Sandbox::start(["--trust-anchor", ca.certificate.pem_path().to_str().unwrap()].iter().chain(more))
}

/// Runs the command with an endpoint of its own, to which it must not connect.
#[track_caller]
fn without_request(run: impl FnOnce(&str) -> Run) -> Outcome {
    let listener = Listener::new();
    let outcome = run(&listener.https()).run();
    assert_eq!(listener.connections(), 0, "it connected\n{outcome}");
    outcome
}
