//! `exec`: what the command finds in its environment and what not, how it ends, and the endpoint that it can have for its life.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::command::{Outcome, Run};
use crate::support::key::{Key, KeyFile};
use crate::support::pki::{Ca, Certificate};
use crate::support::sandbox::Sandbox;
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN};
use crate::support::{Folder, text, until};

struct Scene {
    ca: Ca,
    leaf: Certificate,
    key: KeyFile,
    sandbox: Sandbox,
}

impl Scene {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(more: &[&str]) -> Self {
        let ca = Ca::root("Root");
        let (leaf, key) = ca.leaf_with_key("host", Key::Ec256);
        let sandbox = Sandbox::trusting_with(&ca, more);
        Self { ca, leaf, key, sandbox }
    }

    fn exec(&self, flags: &[&str], command: &[&str]) -> Run {
        let certificate = self.leaf.pem_path();
        let files = ["--certificate", text(&certificate), "--private-key", text(self.key.path())];
        self.sandbox.command("exec", files).args(flags).arg("--").args(command)
    }

    fn shell(&self, flags: &[&str], line: &str) -> Run {
        self.exec(flags, &["sh", "-c", line])
    }
}

/// A variable in the output of env(1).
fn variable<'a>(outcome: &'a Outcome, name: &str) -> Option<&'a str> {
    outcome.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

#[test]
fn a_command_finds_credentials_in_its_environment_and_nothing_secret_beside_them() {
    let scene = Scene::new();
    let token = SoftHsm::new().token("t");
    token.identity(Key::Ec256, "01", "host", &scene.ca);
    let module = SoftHsm::module();
    let flags = ["--pkcs11", "pkcs11:token=t", "--pkcs11-lib", text(&module), "--pin-source", "env:TOKEN_PIN"];
    let run = scene.sandbox.command("exec", flags).args(["--", "sh", "-c", "env; tr '\\0' '\\n' </proc/$$/cmdline"]);
    let outcome = run
        .envs(token.env())
        .env("TOKEN_PIN", TEST_USER_PIN)
        .env("KEYANCHOR_CONTEXT_PIN", TEST_USER_PIN)
        .env("AWS_PROFILE", "other")
        .env("AWS_SECURITY_TOKEN", "old")
        .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/")
        .env("AWS_REGION", "eu-west-1")
        .run();
    outcome.succeeds();
    let request = scene.sandbox.requests("/sessions").pop().unwrap();
    assert!(request.contains(variable(&outcome, "AWS_ACCESS_KEY_ID").unwrap()), "{request}");
    assert!(variable(&outcome, "AWS_SECRET_ACCESS_KEY").unwrap().starts_with("sandbox-not-a-secret-"), "{outcome}");
    assert!(variable(&outcome, "AWS_SESSION_TOKEN").is_some_and(|token| token.len() > 20), "{outcome}");
    assert!(variable(&outcome, "AWS_CREDENTIAL_EXPIRATION").unwrap().ends_with('Z'), "{outcome}");
    assert_eq!(variable(&outcome, "AWS_REGION"), Some("eu-west-1"));
    for gone in [
        "TOKEN_PIN",
        "KEYANCHOR_CONTEXT_PIN",
        "AWS_PROFILE",
        "AWS_SECURITY_TOKEN",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ] {
        assert_eq!(variable(&outcome, gone), None, "{outcome}");
    }
    let (_, words) = outcome.text().rsplit_once("\nsh\n-c\n").unwrap();
    assert!(!words.contains("sandbox-not-a-secret-") && !outcome.text().contains(TEST_USER_PIN), "{outcome}");
}

#[test]
fn stdin_stdout_and_exit_code_are_the_command_s() {
    let scene = Scene::new();
    for flags in [&[][..], &["--serve"]] {
        let outcome = scene.shell(flags, "cat; exit 42").input("from stdin").run();
        outcome.ends_with(42);
        assert_eq!((outcome.text(), outcome.stderr.as_str()), ("from stdin", ""));
        scene.exec(flags, &["true"]).run().succeeds();
    }
}

#[test]
fn a_command_that_a_signal_ends_ends_it_by_that_signal() {
    let scene = Scene::new();
    for flags in [&[][..], &["--serve"]] {
        let outcome = scene.shell(flags, "kill -KILL $$").run();
        let signal = std::os::unix::process::ExitStatusExt::signal(&outcome.status);
        assert_eq!(signal, Some(Signal::KILL.as_raw()), "{outcome}");
    }
}

#[test]
fn signals_reach_the_command() {
    let scene = Scene::new();
    for flags in [&[][..], &["--serve"]] {
        let folder = Folder::new();
        let ready = folder.join("ready");
        let wait = format!("touch {}; while :; do sleep 0.05; done", ready.display());
        let line = format!("trap 'echo hup' HUP; trap 'echo term; exit 3' TERM; {wait}");
        let running = scene.shell(flags, &line).spawn();
        until("the command", || ready.exists());
        // To this process alone, as a supervisor does, and not to its group.
        let pid = Pid::from_raw(i32::try_from(running.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let outcome = running.wait();
        outcome.ends_with(3);
        assert_eq!(outcome.text(), "term\n", "{outcome}");
    }
}

#[test]
fn what_cannot_be_run_is_said_as_a_shell_would() {
    let scene = Scene::new();
    let folder = Folder::new();
    let file = folder.write("not-executable", "");
    for flags in [&[][..], &["--serve"]] {
        scene
            .exec(flags, &["no-such-command"])
            .run()
            .fails_with(127)
            .stderr_contains("cannot find the command no-such");
        scene.exec(flags, &[text(&file)]).run().fails_with(126).stderr_contains("cannot run ");
    }
    scene.exec(&[], &[]).run().fails_with(2);
}

#[test]
fn without_credentials_nothing_is_run() {
    for flags in [&[][..], &["--serve"]] {
        let scene = Scene::with(&["--fault", "403"]);
        let folder = Folder::new();
        let line = format!("touch {}", folder.join("was-run").display());
        scene.shell(flags, &line).run().fails_with(5).stderr_contains("403");
        assert!(!folder.join("was-run").exists());
    }
}

#[test]
fn a_crash_of_the_module_at_its_end_is_no_success_of_the_command() {
    let scene = Scene::new();
    let token = SoftHsm::new().token("t");
    token.identity(Key::Ec256, "01", "host", &scene.ca);
    let fault = crate::support::fault::Fault::of(token.hsm()).crash("C_Finalize", "segv");
    let module = crate::support::fault::Fault::module();
    let flags = ["--pkcs11", "pkcs11:token=t", "--pkcs11-lib", text(&module)];
    let run = scene.sandbox.command("exec", flags).args(["--", "echo", "was run"]);
    let outcome = run.envs(fault.env()).env("KEYANCHOR_PIN", TEST_USER_PIN).run();
    assert_eq!((outcome.status.code(), outcome.text()), (Some(3), ""), "{outcome}");
}

/// Asks the endpoint as SDKs do.
const ASK: &str = "curl -s -H \"Authorization: $(cat \"$AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE\")\" \
                   \"$AWS_CONTAINER_CREDENTIALS_FULL_URI\"";

#[test]
fn a_command_can_have_an_endpoint_of_its_own_for_its_life() {
    let scene = Scene::new();
    let line = format!("{ASK}; env >&2");
    let outcome = scene.shell(&["--serve"], &line).env("AWS_ACCESS_KEY_ID", "stale").run();
    outcome.succeeds();
    let document = outcome.json();
    let request = scene.sandbox.requests("/sessions").pop().unwrap();
    assert!(request.contains(document["AccessKeyId"].as_str().unwrap()), "{request}");
    outcome.stderr_lacks("AWS_ACCESS_KEY_ID").stderr_lacks("sandbox-not-a-secret-");
    let token_file =
        outcome.stderr.lines().find_map(|line| line.strip_prefix("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE="));
    let folder = std::path::Path::new(token_file.unwrap()).parent().unwrap();
    assert!(!folder.exists(), "the token's folder is left behind");
}

#[test]
fn the_endpoint_is_nobody_else_s() {
    let scene = Scene::new();
    let imds = "curl -s -o /dev/null -w '%{http_code} ' -X PUT -H 'x-aws-ec2-metadata-token-ttl-seconds: 60' \
                \"${AWS_CONTAINER_CREDENTIALS_FULL_URI%/*}/latest/api/token\"";
    let bare = "curl -s -o /dev/null -w '%{http_code} ' \"$AWS_CONTAINER_CREDENTIALS_FULL_URI\"";
    let modes = "d=${AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE%/*}; stat -c %a \"$d\" \"$d/token\" | tr '\\n' ' '";
    let line = format!("{imds}; {bare}; {modes}");
    let outcome = scene.shell(&["--serve"], &line).run();
    assert_eq!(outcome.succeeds().text(), "404 401 700 600 ", "{outcome}");
}

#[test]
fn a_command_outlives_its_first_credentials() {
    let scene = Scene::with(&["--lifetime", "12"]);
    let folder = Folder::new();
    let line = format!(
        "first=$({ASK} | grep -o ASIASANDBOX[A-Z0-9]*); while :; do now=$({ASK} | grep -o ASIASANDBOX[A-Z0-9]*); \
         [ \"$first\" != \"$now\" ] && break; sleep 0.2; done; echo \"$first $now\" >{}",
        folder.join("seen").display()
    );
    scene.shell(&["--serve"], &line).run().succeeds();
    let seen = fs::read_to_string(folder.join("seen")).unwrap();
    let (first, now) = seen.trim().split_once(' ').unwrap();
    assert!(first.starts_with("ASIA") && now.starts_with("ASIA") && first != now, "{seen}");
}
