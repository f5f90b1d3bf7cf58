//! `doctor` on roads that are whole and on roads that are broken in one place: it names the fault and what mends it, and ends with
//! its exit code.

mod certificates;
mod costs;
mod devices;
mod good;
mod machine;
mod network;
mod secrets;

use crate::support::command::{Outcome, Run};
use crate::support::key::Key;
use crate::support::pki::Ca;
use crate::support::sandbox::Sandbox;
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN, Token};

/// A token with key and certificate, and a service that trusts it: a whole road.
struct Scene {
    ca: Ca,
    token: Token,
    sandbox: Sandbox,
}

impl Scene {
    fn new() -> Self {
        Self::with_sandbox(&[])
    }

    fn with_sandbox(arguments: &[&str]) -> Self {
        let ca = Ca::root("Test Root");
        let token = SoftHsm::new().token("demo");
        token.identity(Key::Ec256, "01", "server", &ca);
        let sandbox = Sandbox::trusting_with(&ca, arguments);
        Self { ca, token, sandbox }
    }

    /// `doctor` on key and certificate of the token.
    fn doctor(&self) -> Run {
        self.doctor_on("pkcs11:token=demo;object=server")
    }

    /// The same by another URI.
    fn doctor_on(&self, uri: &str) -> Run {
        let run = self.sandbox.command("doctor", ["--json", "--pkcs11", uri, "--pkcs11-lib"]);
        run.arg(SoftHsm::module()).envs(self.token.env()).env("KEYANCHOR_PIN", TEST_USER_PIN)
    }
}

/// What `doctor --json` said.
struct Report(serde_json::Value, Outcome);

impl Report {
    /// Runs it; the exit code must be the one that it says, and whatever is bad must come with what mends it.
    #[track_caller]
    fn of(run: Run, exit_code: i32) -> Self {
        let outcome = run.run();
        let json = outcome.ends_with(exit_code).json();
        assert_eq!(json["exit_code"], exit_code, "{outcome}");
        let report = Self(json, outcome);
        let without = report.checks().iter().find(|check| check["standing"] == "bad" && check["mend"].is_null());
        assert_eq!(without, None, "nothing mends it\n{}", report.1);
        report
    }

    #[track_caller]
    fn checks(&self) -> &Vec<serde_json::Value> {
        self.0["checks"].as_array().unwrap()
    }

    /// The one check of this name.
    #[track_caller]
    fn check(&self, name: &str) -> &serde_json::Value {
        let found: Vec<_> = self.checks().iter().filter(|check| check["check"] == name).collect();
        assert_eq!(found.len(), 1, "{name}\n{}", self.1);
        found[0]
    }

    /// That the check stands so and says this.
    #[track_caller]
    fn says(&self, name: &str, standing: &str, found: &str) -> &Self {
        let check = self.check(name);
        assert_eq!(check["standing"], standing, "{name}\n{}", self.1);
        assert!(check["found"].as_str().unwrap().contains(found), "no {found:?} in {name}\n{}", self.1);
        self
    }

    /// That the check comes with a command that has this in it.
    #[track_caller]
    fn mends(&self, name: &str, command: &str) -> &Self {
        let mend = self.check(name)["mend"].as_str().unwrap_or_default();
        assert!(mend.contains(command), "no {command:?} mends {name}\n{}", self.1);
        self
    }

    /// That nothing else is bad.
    #[track_caller]
    fn only_bad(&self, names: &[&str]) -> &Self {
        let bad: Vec<_> = self.checks().iter().filter(|check| check["standing"] == "bad").collect();
        let bad: Vec<_> = bad.iter().map(|check| check["check"].as_str().unwrap()).collect();
        assert_eq!(bad, names, "{}", self.1);
        self
    }
}
