//! What the tests stand on: real tokens, real keys and certificates, and the program as a person runs it.
//!
//! - `command.rs`: runs a program in a clean environment with a hard time limit, and judges what came out;
//! - `conformance.rs`: what every backend must do alike;
//! - `terminal.rs`: the same on a pseudo-terminal, for prompts;
//! - `key.rs`: kinds of keys, key files in every format, and the signatures of a CA;
//! - `der.rs`: the few DER forms of which certificates are made;
//! - `page.rs`: pages of the documentation, as commands and what they print;
//! - `pki.rs`: a CA whose certificates may have any fault;
//! - `own_process.rs`: scenarios within the library that need a process of their own;
//! - `shell.rs`: the commands of a shell text, as words;
//! - `softhsm.rs`: SoftHSM tokens made with other people's tools;
//! - `fault.rs`: the faults that SoftHSM cannot have, by the module in `softhsm-tests/fault-module`;
//! - `sandbox.rs`: the service that verifies, as a process of its own;
//! - `spy.rs`: the PKCS#11 calls of a program, as pkcs11-spy saw them;
//! - `swtpm.rs`: software TPMs, and keys in them made with other people's tools;
//! - `tap.rs`: the commands between a program and its TPM: counted, held back, cut off.
#![allow(dead_code, reason = "it is a tool box: a tool stays while no test needs it")]

pub mod command;
pub mod conformance;
pub mod der;
pub mod fault;
pub mod key;
pub mod own_process;
pub mod page;
pub mod pki;
pub mod sandbox;
pub mod shell;
pub mod softhsm;
pub mod spy;
pub mod swtpm;
pub mod tap;
pub mod terminal;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

/// Environment variables for a program under test.
pub type Environment = Vec<(OsString, OsString)>;

/// One variable of an [`Environment`].
pub fn variable(name: &str, value: impl AsRef<OsStr>) -> (OsString, OsString) {
    (name.into(), value.as_ref().to_owned())
}

/// A folder that lives as long as anything in it is held.
#[derive(Clone, Debug)]
pub struct Folder(Arc<TempDir>);

impl Folder {
    pub fn new() -> Self {
        Self(Arc::new(TempDir::with_prefix("keyanchor-test-").unwrap()))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file and gives its path.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

/// Waits until something is so, in small steps and never for ever.
#[track_caller]
pub fn until(what: &str, is_so: impl FnMut() -> bool) {
    within(Duration::from_secs(30), what, is_so);
}

/// The same with another limit.
#[track_caller]
pub fn within(limit: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !is_so() {
        assert!(started.elapsed() < limit, "waited for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What the openssl command prints; it must succeed.
#[track_caller]
pub fn openssl(arguments: &[&str]) -> String {
    String::from_utf8(command::tool("openssl", arguments, Environment::new())).unwrap()
}

/// The first of these paths that exists; `what` names it, and `package` has it, where none does.
fn find_file(what: &str, package: &str, candidates: &[&str]) -> PathBuf {
    candidates.iter().map(PathBuf::from).find(|path| path.exists()).unwrap_or_else(|| {
        panic!("{what} of the package {package} is in none of {candidates:?}; scripts/setup installs it")
    })
}
