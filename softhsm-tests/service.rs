//! What the service may answer, and what becomes of it: which failures are tried again, at the cost of one signature; what AWS's
//! refusals and a clock that is off look like; and what `--debug` shows of all this and what it never shows.

use std::net::TcpListener;
use std::time::Duration;

use crate::support::command::{Outcome, Run, keyanchor};
use crate::support::key::{Key, KeyFile};
use crate::support::pki::{Ca, Certificate};
use crate::support::sandbox::{ARNS, Printed, Sandbox};
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN, Token};
use crate::support::spy::{Calls, Spy};
use crate::support::text;

/// A key on a token, watched, and a service with these arguments.
struct Scene {
    token: Token,
    spy: Spy,
    sandbox: Sandbox,
}

impl Scene {
    fn new(arguments: &[&str]) -> Self {
        let ca = Ca::root("Root");
        let token = SoftHsm::new().token("t");
        token.identity(Key::Ec256, "01", "host", &ca);
        Self { token, spy: Spy::before(SoftHsm::module()), sandbox: Sandbox::trusting_with(&ca, arguments) }
    }

    fn ask(&self, more: &[&str]) -> Outcome {
        let module = Spy::module();
        let run = self.sandbox.credential_process(["--pkcs11", "pkcs11:token=t", "--pkcs11-lib", text(&module)]);
        let environment = [self.token.env(), self.spy.env()].concat();
        run.args(more).envs(environment).env("KEYANCHOR_PIN", TEST_USER_PIN).run()
    }

    fn signatures(&self) -> usize {
        let calls: Calls = self.spy.calls();
        calls.of("C_Sign")
    }

    fn requests(&self) -> usize {
        self.sandbox.requests("/sessions").len()
    }
}

#[test]
fn what_may_pass_is_sent_again_with_the_same_signature() {
    for fault in ["500:1", "503:1", "503:2", "429:1", "close:1", "truncated:1"] {
        let scene = Scene::new(&["--fault", fault]);
        Printed::by(&scene.ask(&[]));
        let failures = if fault == "503:2" { 2 } else { 1 };
        assert_eq!((scene.requests(), scene.signatures()), (1 + failures, 1), "{fault}: {}", scene.sandbox.log());
    }
}

#[test]
fn what_does_not_pass_is_sent_three_times() {
    for (fault, code) in [("503", 6), ("429", 6)] {
        let scene = Scene::new(&["--fault", fault]);
        let outcome = scene.ask(&[]);
        outcome.fails_with(code).stderr_contains(&format!("HTTP {fault}")).stderr_contains("request id ");
        assert_eq!((scene.requests(), scene.signatures()), (3, 1), "{fault}: {}", scene.sandbox.log());
    }
}

#[test]
fn a_decision_is_not_asked_for_again() {
    for (fault, texts) in [
        ("400", &["HTTP 400 ValidationException"][..]),
        ("403", &["HTTP 403 AccessDeniedException"]),
        ("404", &["HTTP 404 ResourceNotFoundException", "list-trust-anchors"]),
        ("html-403", &["HTTP 403", "check --endpoint and the proxy"]),
        ("redirect", &["HTTP 302", "a redirect is not followed"]),
        ("redirect-307", &["HTTP 307", "a redirect is not followed"]),
        ("malformed", &["HTTP 201 without usable credentials"]),
        ("empty", &["HTTP 201 without usable credentials"]),
        ("missing-fields", &["HTTP 201 without usable credentials", "secretAccessKey"]),
    ] {
        let scene = Scene::new(&["--fault", fault]);
        let outcome = scene.ask(&[]);
        outcome.fails_with(5);
        for text in texts {
            outcome.stderr_contains(text);
        }
        assert_eq!((scene.requests(), scene.signatures()), (1, 1), "{fault}: {}", scene.sandbox.log());
    }
}

#[test]
fn a_service_that_never_answers_ends_by_the_timeout() {
    for fault in ["hang", "hang-tls"] {
        let scene = Scene::new(&["--fault", fault]);
        let outcome = scene.ask(&["--timeout", "1"]);
        outcome.fails_with(6).stderr_contains("--timeout");
        // Not by the test's own limit of 30 s; how much longer than a second it took depends on the machine.
        assert!(outcome.took < Duration::from_secs(15), "{outcome}");
        assert_eq!(scene.signatures(), 1);
    }
}

#[test]
fn an_answer_without_an_end_is_not_read_to_it() {
    let scene = Scene::new(&["--fault", "endless"]);
    scene.ask(&[]).fails_with(6).stderr_contains("at most 65536 octets");
    assert_eq!(scene.requests(), 1);
}

/// How far the clock is off, as the line that names it says.
#[track_caller]
fn seconds_off(outcome: &Outcome, direction: &str) -> u64 {
    let (_, rest) =
        outcome.stderr.split_once("this machine's clock is ").unwrap_or_else(|| panic!("not named\n{outcome}"));
    let (seconds, rest) = rest.split_once(" s ").unwrap();
    assert!(rest.starts_with(&format!("{direction} the server's")), "{outcome}");
    seconds.parse().unwrap()
}

#[test]
fn a_clock_that_is_off_costs_a_second_signature_with_the_server_s_time_and_is_named() {
    for (fault, direction) in [("clock:+600", "behind"), ("clock:-600", "ahead of")] {
        let scene = Scene::new(&["--fault", fault]);
        let outcome = scene.ask(&[]);
        Printed::by(&outcome);
        outcome.stderr_contains("warning: ");
        assert!((595..=605).contains(&seconds_off(&outcome, direction)), "{outcome}");
        assert_eq!((scene.requests(), scene.signatures()), (2, 2), "{}", scene.sandbox.log());
    }
}

#[test]
fn a_refusal_names_a_clock_that_is_off_with_the_difference() {
    let scene = Scene::new(&["--fault", "clock:+600", "--fault", "403"]);
    let outcome = scene.ask(&[]);
    outcome.fails_with(5).stderr_contains("hint: set this machine's clock: timedatectl");
    assert!((595..=605).contains(&seconds_off(&outcome, "behind")), "{outcome}");
}

#[test]
fn short_lived_credentials_are_printed_with_their_true_end() {
    let scene = Scene::new(&["--lifetime", "60"]);
    let printed = Printed::by(&scene.ask(&[]));
    let line = scene.sandbox.requests("/sessions").pop().unwrap();
    assert!(line.contains(&format!("expiration={}", printed.expiration)), "{line}");
    let end: jiff::Timestamp = printed.expiration.parse().unwrap();
    assert!(end.duration_since(jiff::Timestamp::now()).as_secs() <= 60, "{printed:?}");
}

#[test]
fn each_refusal_of_aws_has_a_hint_of_its_own() {
    let name = ["--role-session-name", "web-01"];
    let long = ["--session-duration", "7200"];
    let anchor = ["--trust-anchor-arn", "arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/x"];
    let role = ["--role-arn", "arn:aws:iam::111122223333:role/Known"];
    for (arguments, asked, message, hint) in [
        (&[][..], &name[..], "Not authorized to set roleSessionName.", "--accept-role-session-name"),
        (
            &role[..],
            &[],
            "Unable to assume role for arn:aws:iam::111122223333:role/ExampleRole.",
            "sts:SetSourceIdentity",
        ),
        (&anchor[..], &[], "HTTP 404 ResourceNotFoundException", "list-trust-anchors"),
        (
            &["--max-session-duration", "3600", "--profile-duration", "43200"],
            &long,
            "MaxSessionDuration",
            "--session-duration",
        ),
    ] {
        let scene = Scene::new(arguments);
        let outcome = scene.ask(asked);
        outcome.fails_with(5).stderr_contains(message).stderr_contains("request id ");
        let hint_line = outcome.stderr.lines().find(|line| line.starts_with("hint: ")).unwrap_or_default();
        assert!(hint_line.contains(hint), "no '{hint}' in the hint\n{outcome}");
        assert_eq!(scene.requests(), 1);
    }
}

/// A key in a file.
fn files() -> (Ca, Certificate, KeyFile) {
    let ca = Ca::root("Root");
    let (leaf, key) = ca.leaf_with_key("host", Key::Ec256);
    (ca, leaf, key)
}

/// Asks an endpoint that is no service.
fn ask_at(endpoint: &str, leaf: &Certificate, key: &KeyFile) -> Run {
    let certificate = leaf.pem_path();
    let files = ["--certificate", text(&certificate), "--private-key", text(key.path())];
    keyanchor(["credential-process", "--endpoint", endpoint]).args(ARNS).args(files)
}

#[test]
fn a_port_that_nobody_listens_on() {
    let (_, leaf, key) = files();
    // Bound and closed again: nobody else gets a port from the system so soon.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outcome = ask_at(&format!("https://{address}"), &leaf, &key).run();
    outcome.fails_with(6).stderr_contains(&format!("port {}", address.port())).stderr_contains("refused");
    outcome.stderr_contains("hint: check network and proxy").stderr_lacks("arn:aws");
}

#[test]
fn a_server_that_is_not_trusted_is_not_asked_twice() {
    let (ca, leaf, key) = files();
    let sandbox = Sandbox::trusting(&ca);
    let outcome = ask_at(sandbox.endpoint(), &leaf, &key).run();
    outcome.fails_with(6).stderr_contains("--ca-bundle");
    let distrusted = ask_at(sandbox.endpoint(), &leaf, &key).arg("--no-verify-ssl").run();
    Printed::by(&distrusted);
    distrusted.stderr_contains("warning: --no-verify-ssl");
    assert_eq!(sandbox.connections(), 2);
}

#[test]
fn debug_shows_everything_but_secrets() {
    let scene = Scene::new(&[]);
    let outcome = scene.ask(&["--debug"]);
    let printed = Printed::by(&outcome);
    for shown in [
        "canonical request:\nPOST\n/sessions\n",
        "string to sign:\nAWS4-X509-ECDSA-SHA256\n",
        "/eu-central-1/rolesanywhere/aws4_request\n",
        "phase connect: ",
        "phase tls: ",
        "phase sign: ",
        "phase post: ",
        "debug: TLSv1_3 with 127.0.0.1, key exchange X25519MLKEM768\n",
        "response: HTTP 201",
        "\"assumedRoleUser\":{\"arn\":\"arn:aws:sts::",
        &printed.access_key_id,
    ] {
        outcome.stderr_contains(shown);
    }
    outcome.stderr_lacks(&printed.secret_access_key).stderr_lacks(&printed.session_token).stderr_lacks(TEST_USER_PIN);
    // Nor a part of them.
    outcome.stderr_lacks("sandbox-not-a-secret").stderr_lacks(&printed.session_token[..16]);
}

#[test]
fn debug_shows_a_refusal_whole() {
    let scene = Scene::new(&["--fault", "403"]);
    let outcome = scene.ask(&["--debug"]);
    outcome.fails_with(5).stderr_contains("debug: response: HTTP 403").stderr_lacks(TEST_USER_PIN);
}

#[test]
fn debug_does_not_show_what_a_broken_answer_holds() {
    for fault in ["malformed", "missing-fields", "truncated"] {
        let outcome = Scene::new(&["--fault", fault]).ask(&["--debug", "--timeout", "3"]);
        outcome.stderr_lacks("sandbox-not-a-secret").stderr_lacks("secretAccessKey\":");
    }
}

#[test]
fn verbose_says_each_step_in_a_line() {
    let scene = Scene::new(&[]);
    let outcome = scene.ask(&["--verbose"]);
    let printed = Printed::by(&outcome);
    assert!(outcome.stderr.lines().all(|line| line.starts_with("step: ")), "{outcome}");
    let mut said = outcome.stderr.lines();
    for step in [
        "loading the PKCS#11 module",
        "searching token 't' for certificates",
        "certificate CN=host",
        "chain: sending",
        "logging in to token 't'",
        "connecting to https://127.0.0.1:",
        "signed with pkcs11:",
        "credentials ASIASANDBOX",
    ] {
        assert!(said.any(|line| line.contains(step)), "no step '{step}' in its place\n{outcome}");
    }
    outcome.stderr_lacks(&printed.secret_access_key).stderr_lacks(&printed.session_token).stderr_lacks(TEST_USER_PIN);
}

#[test]
fn without_these_flags_a_success_says_nothing() {
    let outcome = Scene::new(&[]).ask(&[]);
    Printed::by(&outcome);
    assert_eq!(outcome.stderr, "");
}
