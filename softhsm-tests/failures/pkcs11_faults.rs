//! Tokens that warn, refuse, hang, crash or go away: what SoftHSM cannot do, by the module that injects faults.

use std::time::Duration;

use cryptoki_sys::{
    CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY, CKR_DEVICE_ERROR, CKR_PIN_EXPIRED, CKR_USER_PIN_NOT_INITIALIZED,
};

use super::{KEY, NO_HINT, PIN, ask, refused, sandbox, without_request};
use crate::support::command::{Run, keyanchor};
use crate::support::fault::{Fault, Which};
use crate::support::key::Key;
use crate::support::pki::Ca;
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN, Token, WRONG_TEST_PIN};

struct Scene {
    ca: Ca,
    token: Token,
}

impl Scene {
    fn new() -> Self {
        let ca = Ca::root("Test Root");
        let token = SoftHsm::new().token("demo");
        token.identity(Key::Ec256, "01", "server", &ca);
        Self { ca, token }
    }

    fn fault(&self) -> Fault {
        Fault::of(self.token.hsm())
    }
}

fn sign(fault: &Fault, pin: &str) -> Run {
    let run = keyanchor(["sign-string", "--private-key", "pkcs11:token=demo", "--pkcs11-lib"]).arg(Fault::module());
    run.envs(fault.env()).env("KEYANCHOR_PIN", pin)
}

fn vend(endpoint: &str, fault: &Fault, pin: &str) -> Run {
    let run = ask(endpoint).args(["--pkcs11", "pkcs11:token=demo", "--pkcs11-lib"]).arg(Fault::module());
    run.envs(fault.env()).env("KEYANCHOR_PIN", pin)
}

#[test]
fn a_wrong_pin_is_tried_once_and_the_flags_are_told() {
    let scene = Scene::new();
    let fault = scene.fault();
    let outcome = without_request(|endpoint| vend(endpoint, &fault, WRONG_TEST_PIN));
    let error =
        ["the user PIN for token 'demo' is wrong", "it was tried once and not again", "the token now reports: "];
    refused(&outcome, PIN, &error, "give the right one; to be asked for it: --pin-source prompt");
    assert_eq!((fault.calls().of("C_Login"), fault.user_pins_tried(), fault.wrong_pins()), (1, 1, 1));
}

#[test]
fn after_a_wrong_pin_the_token_says_what_the_next_one_does() {
    let scene = Scene::new();
    let table = [
        (CKF_USER_PIN_COUNT_LOW, "the token now reports: a wrong PIN was entered since the last right one"),
        (CKF_USER_PIN_FINAL_TRY, "the token now reports: one more wrong PIN locks the token"),
        (0, "the token now reports: nothing about the tries left"),
    ];
    for (flag, reported) in table {
        let fault = scene.fault().flags(flag, if flag == 0 { CKF_USER_PIN_COUNT_LOW } else { 0 });
        let outcome = sign(&fault, WRONG_TEST_PIN).arg("--use-final-try").run();
        refused(&outcome, PIN, &[reported, "(CKR_PIN_INCORRECT from C_Login)"], "--pin-source prompt");
        assert_eq!(fault.wrong_pins(), 1);
    }
}

#[test]
fn a_token_on_its_last_try_is_left_alone_unless_the_flag_says_otherwise() {
    let scene = Scene::new();
    let fault = scene.fault().flags(CKF_USER_PIN_FINAL_TRY, 0);
    let outcome = without_request(|endpoint| vend(endpoint, &fault, TEST_USER_PIN));
    let error = ["token 'demo' says that one more wrong PIN locks it", "nothing was tried"];
    refused(&outcome, PIN, &error, "--use-final-try");
    assert_eq!(fault.calls().of("C_Login"), 0);

    sign(&fault, TEST_USER_PIN).arg("--use-final-try").run().succeeds();
    assert_eq!(fault.user_pins_tried(), 1);
}

#[test]
fn a_locked_token_is_never_tried() {
    let scene = Scene::new();
    for more in [[].as_slice(), &["--use-final-try"]] {
        let fault = scene.fault().locked();
        let outcome = sign(&fault, TEST_USER_PIN).args(more).run();
        refused(&outcome, PIN, &["the PIN of token 'demo' is locked", "nothing was tried", "PUK or SO PIN"], NO_HINT);
        assert_eq!(fault.calls().of("C_Login"), 0);
    }
}

#[test]
fn a_low_count_warns_and_is_tried() {
    let scene = Scene::new();
    let fault = scene.fault().flags(CKF_USER_PIN_COUNT_LOW, 0);
    let outcome = sign(&fault, TEST_USER_PIN).run();
    outcome.succeeds().stderr_contains("warning: token 'demo': a wrong PIN was entered since the last right one");
    assert_eq!(fault.user_pins_tried(), 1);
}

#[test]
fn other_refusals_of_a_login_have_their_own_words() {
    let scene = Scene::new();
    let table = [
        (CKR_PIN_EXPIRED, PIN, "the PIN has expired"),
        (CKR_USER_PIN_NOT_INITIALIZED, PIN, "the token has no user PIN yet"),
        (CKR_DEVICE_ERROR, KEY, "the device failed"),
    ];
    for (answer, code, said) in table {
        let fault = scene.fault().error("C_Login", Which::Every, answer);
        refused(&sign(&fault, TEST_USER_PIN).run(), code, &["token 'demo'", said, " from C_Login)"], NO_HINT);
        assert_eq!(fault.calls().of("C_Login"), 1);
    }
}

#[test]
fn a_call_that_hangs_ends_by_the_limit_and_is_named() {
    let scene = Scene::new();
    for call in ["C_Initialize", "C_GetTokenInfo", "C_Login", "C_Sign"] {
        let fault = scene.fault().delay(call, Duration::from_secs(20));
        let outcome = without_request_of_slow(call, |endpoint| {
            vend(endpoint, &fault, TEST_USER_PIN).args(["--token-timeout", "0.8", "--verbose=false"])
        });
        let module = Fault::module().display().to_string();
        refused(&outcome, KEY, &["within 0.8 s", call, "has not returned", &module], "--token-timeout");
        assert!(outcome.took < Duration::from_secs(4), "{outcome}");
    }
}

/// While the device signs, the connection is opened: only C_Sign may find one.
fn without_request_of_slow(call: &str, run: impl FnOnce(&str) -> Run) -> crate::support::command::Outcome {
    match call {
        "C_Sign" => run(&super::servers::Listener::new().https()).run(),
        _ => without_request(run),
    }
}

#[test]
fn a_token_that_is_taken_away_between_calls_is_said_so() {
    let scene = Scene::new();
    for call in ["C_OpenSession", "C_FindObjectsFinal", "C_Login", "C_SignInit"] {
        let fault = scene.fault().away_after(call, 1, None);
        let outcome = sign(&fault, TEST_USER_PIN).run();
        refused(&outcome, KEY, &["token 'demo'", "taken away", "CKR_"], NO_HINT);
    }
}

#[test]
fn a_device_that_fails_while_signing_costs_no_request_and_no_second_try() {
    let scene = Scene::new();
    let fault = scene.fault().error("C_Sign", Which::Every, CKR_DEVICE_ERROR);
    let sandbox = sandbox(&scene.ca, &[]);
    let outcome = vend(sandbox.endpoint(), &fault, TEST_USER_PIN).arg("--ca-bundle").arg(sandbox.ca()).run();
    refused(&outcome, KEY, &["token 'demo'", "the device failed", "(CKR_DEVICE_ERROR from C_Sign)"], NO_HINT);
    assert_eq!(sandbox.requests("/sessions").len(), 0, "{}", sandbox.log());
    assert_eq!(fault.calls().of("C_Login"), 1);
}

#[test]
fn a_module_that_crashes_at_the_end_costs_no_credentials() {
    let scene = Scene::new();
    let sandbox = sandbox(&scene.ca, &[]);
    for place in ["C_Finalize", "exit"] {
        for how in ["abort", "segv", "hang"] {
            let fault = scene.fault().crash(place, how);
            let outcome = vend(sandbox.endpoint(), &fault, TEST_USER_PIN).arg("--ca-bundle").arg(sandbox.ca()).run();
            outcome.succeeds();
            assert_eq!(outcome.json()["Version"], 1, "{outcome}");
            assert_eq!(fault.lines().any(|line| line == "crash"), place == "C_Finalize");
            // And the code of a failure is kept too.
            let outcome = sign(&fault, WRONG_TEST_PIN).run();
            refused(&outcome, PIN, &["is wrong"], "-pin-source prompt");
        }
    }
}
