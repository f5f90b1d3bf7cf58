//! Where a PIN comes from: every source, their order, and that the one which is first is the only one that is tried.

use crate::support::command::{Outcome, Run};
use crate::support::fault::Fault;
use crate::support::key::Key;
use crate::support::pki::Ca;
use crate::support::sandbox::{ARNS, Printed, Sandbox};
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN, Token, WRONG_TEST_PIN};
use crate::support::{Folder, text};

/// A token with one identity behind the fault module, and a service that grants it a session.
struct Scene {
    token: Token,
    sandbox: Sandbox,
    folder: Folder,
}

impl Scene {
    fn new() -> Self {
        let ca = Ca::root("Root");
        let token = SoftHsm::new().token("pins");
        token.identity(Key::Ec256, "01", "host", &ca);
        Self { token, sandbox: Sandbox::trusting(&ca), folder: Folder::new() }
    }

    fn fault(&self) -> Fault {
        Fault::of(self.token.hsm())
    }

    /// Asks by a URI with this query.
    fn ask(&self, fault: &Fault, query: &str) -> Run {
        let (module, uri) = (Fault::module(), format!("pkcs11:token=pins;object=host{query}"));
        self.sandbox.credential_process(["--pkcs11", &uri, "--pkcs11-lib", text(&module)]).envs(fault.env())
    }

    /// Asks once, with a fault module of its own.
    fn asked(&self, query: &str, more: impl FnOnce(Run) -> Run) -> Outcome {
        let fault = self.fault();
        more(self.ask(&fault, query)).run()
    }

    /// Asks through a script that prepares what the source wants; `"$@"` is the command, `$PIN` the PIN.
    fn ask_in(&self, script: &str, source: &str) -> Outcome {
        let (fault, here) = (self.fault(), [self.sandbox.endpoint(), text(self.sandbox.ca())]);
        let run = Run::program("sh")
            .args(["-c", script, "sh", env!("CARGO_BIN_EXE_keyanchor"), "credential-process"])
            .args(["--pkcs11", "pkcs11:token=pins;object=host", "--pin-source", source])
            .args(["--endpoint", here[0], "--ca-bundle", here[1]])
            .args(ARNS);
        run.envs(fault.env()).env("KEYANCHOR_PKCS11_LIB", Fault::module()).env("PIN", TEST_USER_PIN).run()
    }
}

#[test]
fn a_file_holds_a_pin_with_or_without_a_line_end() {
    let scene = Scene::new();
    for content in [format!("{TEST_USER_PIN}\n"), format!("{TEST_USER_PIN}\r\n"), TEST_USER_PIN.to_owned()] {
        let pin = scene.folder.write("pin", content);
        let source = format!("file:{}", pin.display());
        Printed::by(&scene.asked("", |run| run.args(["--pin-source", &source])));
        Printed::by(&scene.asked(&format!("?pin-source={source}"), |run| run));
        Printed::by(&scene.asked(&format!("?pin-source={}", pin.display()), |run| run));
    }
}

#[test]
fn a_fifo_is_read_once() {
    let script = r#"mkfifo fifo; printf '%s\n' "$PIN" >fifo & exec "$@""#;
    Printed::by(&Scene::new().ask_in(script, "file:fifo"));
}

#[test]
fn a_descriptor_is_read_to_its_end() {
    let script = "exec \"$@\" 9<<EOF\n$PIN\nEOF\n";
    Printed::by(&Scene::new().ask_in(script, "fd:9"));
    let closed = Scene::new().ask_in("exec \"$@\"", "fd:9");
    closed.fails_with(4).stderr_contains("descriptor 9");
}

#[test]
fn a_pipe_is_read_to_its_end() {
    let script = r#"printf %s "$PIN" | "$@""#;
    Printed::by(&Scene::new().ask_in(script, "fd:0"));
}

#[test]
fn a_credential_of_systemd_is_a_file_in_its_directory() {
    let scene = Scene::new();
    scene.folder.write("keyanchor.pin", TEST_USER_PIN);
    scene.folder.write("another", TEST_USER_PIN);
    let ask = |more: &[&str]| scene.asked("", |run| run.env("CREDENTIALS_DIRECTORY", scene.folder.path()).args(more));
    Printed::by(&ask(&[]));
    Printed::by(&ask(&["--pin-source", "credential:another"]));
    let missing = ask(&["--pin-source", "credential:missing"]);
    missing.fails_with(4).stderr_contains("missing");
}

#[test]
fn a_variable_that_is_not_set_is_an_error_and_not_an_empty_pin() {
    let scene = Scene::new();
    let fault = scene.fault();
    let outcome = scene.ask(&fault, "").args(["--pin-source", "env:NOWHERE"]).run();
    outcome.fails_with(4).stderr_contains("environment variable NOWHERE");
    assert_eq!(fault.user_pins_tried(), 0);
}

/// The places of a PIN, first to last. The prompt comes after them.
const ORDER: [&str; 4] = ["--pin-source", "the URI", "KEYANCHOR_PIN", "the credential"];

#[test]
fn the_first_source_that_is_there_is_the_only_one_that_is_tried() {
    let scene = Scene::new();
    for (at, place) in ORDER.into_iter().enumerate() {
        // This one right and all after it wrong; then the other way round.
        for (mine, others) in [(TEST_USER_PIN, WRONG_TEST_PIN), (WRONG_TEST_PIN, TEST_USER_PIN)] {
            let pin = |place: usize| (place >= at).then_some(if place == at { mine } else { others });
            let fault = scene.fault();
            let outcome = ask_with(&scene, &fault, pin);
            let right = mine == TEST_USER_PIN;
            if right {
                Printed::by(&outcome);
            } else {
                outcome.fails_with(4).stderr_contains("CKR_PIN_INCORRECT");
            }
            let tried = (fault.user_pins_tried(), fault.wrong_pins());
            assert_eq!(tried, (1, usize::from(!right)), "{place}\n{outcome}");
        }
    }
}

/// Asks with these PINs in the places of [`ORDER`].
fn ask_with<'a>(scene: &Scene, fault: &Fault, pin: impl Fn(usize) -> Option<&'a str>) -> Outcome {
    let query = pin(1).map(|pin| format!("?pin-value={pin}")).unwrap_or_default();
    let mut run = scene.ask(fault, &query);
    if let Some(pin) = pin(0) {
        run = run.args(["--pin-source", "env:FLAG_PIN"]).env("FLAG_PIN", pin);
    }
    if let Some(pin) = pin(2) {
        run = run.env("KEYANCHOR_PIN", pin);
    }
    if let Some(pin) = pin(3) {
        scene.folder.write("keyanchor.pin", pin);
        run = run.env("CREDENTIALS_DIRECTORY", scene.folder.path());
    }
    run.run()
}

#[test]
fn a_pin_in_the_uri_works_and_is_warned_of() {
    let scene = Scene::new();
    // In the query, and in the path as people write it.
    for pin in [format!("?pin-value={TEST_USER_PIN}"), format!(";pin-value={TEST_USER_PIN}")] {
        let outcome = scene.asked(&pin, |run| run.arg("--debug"));
        Printed::by(&outcome);
        outcome.stderr_contains("warning: a pin-value").stderr_lacks(TEST_USER_PIN);
    }
    let file = scene.folder.write("pin", TEST_USER_PIN);
    let outcome = scene.asked(&format!("?pin-source={}", file.display()), |run| run);
    Printed::by(&outcome);
    outcome.stderr_lacks("warning");
}

#[test]
fn an_error_prints_a_uri_without_its_pin() {
    let scene = Scene::new();
    let uri = format!("pkcs11:token=pins;object=nobody?pin-value={TEST_USER_PIN}");
    let module = Fault::module();
    let arguments = ["--pkcs11", &uri, "--pkcs11-lib", text(&module), "--debug"];
    let fault = scene.fault();
    let outcome = scene.sandbox.credential_process(arguments).envs(fault.env()).run();
    outcome.fails_with(3).stderr_contains("object=nobody").stderr_lacks(TEST_USER_PIN);
}

#[test]
fn a_source_that_is_none_is_a_usage_error_that_repeats_nothing() {
    let scene = Scene::new();
    for mistake in [TEST_USER_PIN, "file:", "fd:x", "env:", "credential:a/b"] {
        let outcome = scene.asked("", |run| run.args(["--pin-source", mistake]));
        outcome.fails_with(2).stderr_contains("--pin-source").stderr_lacks(TEST_USER_PIN);
    }
}
