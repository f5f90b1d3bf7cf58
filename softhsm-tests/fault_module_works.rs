//! The fault-injecting module: without faults it is the real module, and each fault is what it says. The program that
//! suffers them is pkcs11-tool, so that these tests do not depend on the program under test.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use cryptoki_sys::*;
use rustix::process::Signal;

use crate::support::command::{Outcome, Run};
use crate::support::fault::{Fault, Which};
use crate::support::key::Key;
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN, Token, WRONG_TEST_PIN};

/// A token with one key, ID 01.
fn token(kind: Key) -> Token {
    let token = SoftHsm::new().token("faulty");
    token.generate(kind, "01", "k");
    token
}

fn pkcs11_tool(fault: &Fault) -> Run {
    Run::program("pkcs11-tool").arg("--module").arg(Fault::module()).envs(fault.env())
}

/// Signs 32 octets that stand for a digest.
fn signing(fault: &Fault, pin: &str) -> Run {
    let sign = ["--token-label", "faulty", "--login", "--pin", pin, "--sign", "--id", "01", "--mechanism", "ECDSA"];
    pkcs11_tool(fault).args(sign).input([7; 32])
}

fn sign(fault: &Fault) -> Outcome {
    signing(fault, TEST_USER_PIN).run()
}

#[track_caller]
fn fails(outcome: &Outcome, code: &str) {
    outcome.ends_with(1).stderr_contains(code);
}

#[test]
fn without_faults_everything_is_forwarded_and_counted() {
    let token = token(Key::Ec256);
    let fault = Fault::of(token.hsm());
    let outcome = sign(&fault);
    // r and s follow what pkcs11-tool says on stdout.
    assert!(outcome.succeeds().stdout.len() >= 64, "{outcome}");
    assert_eq!(["C_Initialize", "C_Login", "C_Sign", "C_Finalize"].map(|name| fault.calls().of(name)), [1; 4]);
    assert_eq!((fault.user_pins_tried(), fault.context_pins_tried(), fault.wrong_pins()), (1, 0, 0));

    sign(&fault).succeeds();
    assert_eq!(fault.calls().of("C_Sign"), 2, "a second process adds to the count");
    fails(&signing(&fault, WRONG_TEST_PIN).run(), "CKR_PIN_INCORRECT");
    assert_eq!((fault.user_pins_tried(), fault.wrong_pins()), (3, 1));
}

#[test]
fn a_call_can_be_slow() {
    let token = token(Key::Ec256);
    let fault = Fault::of(token.hsm()).delay("C_Sign", Duration::from_millis(300));
    let outcome = sign(&fault);
    assert!(outcome.succeeds().took >= Duration::from_millis(300), "{outcome}");
}

#[test]
fn a_module_can_crash_at_the_end() {
    let token = token(Key::Ec256);
    for (how, signal) in [("abort", Signal::ABORT), ("segv", Signal::SEGV)] {
        for place in ["C_Finalize", "exit"] {
            let fault = Fault::of(token.hsm()).crash(place, how);
            let outcome = sign(&fault);
            assert_eq!(outcome.status.signal(), Some(signal.as_raw()), "{place}\n{outcome}");
        }
    }
}

#[test]
fn a_killed_process_leaves_its_count() {
    let token = token(Key::Ec256);
    let fault = Fault::of(token.hsm()).delay("C_Sign", Duration::from_secs(600));
    let running = signing(&fault, TEST_USER_PIN).spawn();
    let deadline = Instant::now() + Duration::from_secs(20);
    while fault.calls().of("C_Sign") == 0 {
        assert!(Instant::now() < deadline, "C_Sign was not called");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(running);
    assert_eq!((fault.calls().of("C_Sign"), fault.user_pins_tried()), (1, 1));
}

#[test]
fn a_call_can_fail_instead_of_being_made() {
    let token = token(Key::Ec256);
    let fault = Fault::of(token.hsm()).error("C_Sign", Which::Nth(1), CKR_DEVICE_ERROR);
    sign(&fault).ends_with(1);
    assert_eq!(fault.answered("C_Sign", CKR_DEVICE_ERROR), 1);
    let fault = Fault::of(token.hsm()).error("C_SignInit", Which::From(1), CKR_DEVICE_ERROR);
    fails(&sign(&fault), "CKR_DEVICE_ERROR");
    let fault = Fault::of(token.hsm()).error("C_Sign", Which::Nth(2), CKR_DEVICE_ERROR);
    sign(&fault).succeeds();
    let fault = Fault::of(token.hsm()).locked();
    fails(&sign(&fault), "CKR_PIN_LOCKED");
    assert_eq!((fault.calls().of("C_Login"), fault.user_pins_tried()), (1, 0), "no PIN reached the token");
}

#[test]
fn a_token_shows_the_flags_that_are_wanted() {
    let hsm = SoftHsm::new();
    hsm.token("faulty");
    let listing = |fault: &Fault| pkcs11_tool(fault).arg("--list-token-slots").run().succeeds().text().to_owned();
    let plain = listing(&Fault::of(&hsm));
    assert!(plain.contains("login required") && !plain.contains("user PIN"), "{plain}");
    let set = CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED;
    let faulty = listing(&Fault::of(&hsm).flags(set, CKF_LOGIN_REQUIRED));
    assert!(!faulty.contains("login required"), "{faulty}");
    for flag in ["user PIN count low", "final user PIN try", "user PIN locked"] {
        assert!(faulty.contains(flag), "no '{flag}'\n{faulty}");
    }
    assert_eq!(faulty.matches("user PIN locked").count(), 1, "uninitialised slots are as they were\n{faulty}");
}

#[test]
fn a_pin_is_typed_on_the_pad() {
    let token = token(Key::Ec256);
    let list = |fault: &Fault| pkcs11_tool(fault).args(["--token-label", "faulty", "--login", "--list-objects"]);
    let fault = Fault::of(token.hsm()).pin_pad(TEST_USER_PIN);
    let outcome = list(&fault).run();
    assert!(outcome.succeeds().text().contains("Private Key Object"), "{outcome}");
    assert_eq!((fault.pins_typed_on_pad(), fault.user_pins_tried()), (1, 1));

    fails(&list(&Fault::of(token.hsm()).pin_pad(WRONG_TEST_PIN)).run(), "CKR_PIN_INCORRECT");

    let fault = Fault::of(token.hsm()).pin_pad(TEST_USER_PIN).flags(0, CKF_PROTECTED_AUTHENTICATION_PATH);
    fails(&list(&fault).args(["--pin", TEST_USER_PIN]).run(), "CKR_ARGUMENTS_BAD");
    assert_eq!(fault.user_pins_tried(), 0, "a PIN that comes past the pad is not tried");
}

#[test]
fn a_token_may_need_no_login() {
    let token = token(Key::Ec256);
    let fault = Fault::of(token.hsm()).no_login(TEST_USER_PIN);
    let outcome = pkcs11_tool(&fault).args(["--token-label", "faulty", "--list-objects"]).run();
    assert!(outcome.succeeds().text().contains("Private Key Object"), "{outcome}");
    assert_eq!(fault.calls().of("C_Login"), 0);
}

#[test]
fn a_key_may_want_a_context_login() {
    let token = token(Key::Ec256);
    let fault = Fault::of(token.hsm()).context_pin(TEST_USER_PIN);
    sign(&fault).succeeds();
    assert_eq!((fault.user_pins_tried(), fault.context_pins_tried(), fault.wrong_pins()), (1, 1, 0));

    let fault = Fault::of(token.hsm()).context_pin("another-test-pin");
    fails(&sign(&fault), "CKR_PIN_INCORRECT");
    assert_eq!((fault.context_pins_tried(), fault.wrong_pins()), (1, 1));

    // A program that does not see the attribute makes no context login.
    let fault = Fault::of(token.hsm()).context_pin(TEST_USER_PIN).hide(CKA_ALWAYS_AUTHENTICATE);
    fails(&sign(&fault), "CKR_USER_NOT_LOGGED_IN");
}

#[test]
fn a_token_goes_away_and_comes_back_in_another_slot() {
    let token = token(Key::Ec256);
    let fault = Fault::of(token.hsm()).away_after("C_SignInit", 1, None);
    fails(&sign(&fault), "CKR_DEVICE_REMOVED");
    let list = |fault: &Fault| pkcs11_tool(fault).arg("--list-token-slots").run().text().to_owned();
    let gone = list(&Fault::of(token.hsm()).away_after("C_Initialize", 1, None));
    assert!(!gone.contains("faulty"), "{gone}");
    let back = list(&Fault::of(token.hsm()).away_after("C_Initialize", 1, Some(0)));
    assert!(back.contains("faulty"), "{back}");
    assert!(back.contains(&format!("({:#x})", token.slot + 1000)), "{back}");
    let fault = Fault::of(token.hsm()).away_after("C_Initialize", 1, Some(0));
    sign(&fault).succeeds();
    let fault = Fault::of(token.hsm()).away_after("C_SignInit", 1, Some(0));
    fails(&sign(&fault), "CKR_DEVICE_REMOVED");
}

#[test]
fn attributes_can_be_hidden() {
    let token = token(Key::Ec256);
    let list = ["--token-label", "faulty", "--list-objects", "--type", "pubkey"];
    let shown = pkcs11_tool(&Fault::of(token.hsm())).args(list).run();
    assert!(shown.text().contains("0441"), "{shown}");
    let hidden = pkcs11_tool(&Fault::of(token.hsm()).hide(CKA_EC_POINT)).args(list).run();
    assert!(hidden.text().contains("Public Key Object") && !hidden.text().contains("0441"), "{hidden}");
}

#[test]
fn a_mechanism_can_be_missing() {
    let token = token(Key::Ec256);
    let fault = Fault::of(token.hsm()).refuse(CKM_ECDSA);
    fails(&sign(&fault), "CKR_MECHANISM_INVALID");
    let mechanisms = |fault: &Fault| {
        pkcs11_tool(fault).args(["--token-label", "faulty", "--list-mechanisms"]).run().text().to_owned()
    };
    let lists_ecdsa = |text: &str| text.lines().any(|line| line.trim_start().starts_with("ECDSA,"));
    assert!(lists_ecdsa(&mechanisms(&Fault::of(token.hsm()))));
    assert!(!lists_ecdsa(&mechanisms(&fault)));
}

#[test]
fn a_token_may_want_a_digest_as_long_as_the_field() {
    let long = token(Key::Ec384);
    sign(&Fault::of(long.hsm())).succeeds();
    let fault = Fault::of(long.hsm()).long_digest();
    sign(&fault).ends_with(1);
    assert_eq!(fault.answered("C_Sign", CKR_DATA_LEN_RANGE), 1);
    sign(&Fault::of(token(Key::Ec256).hsm()).long_digest()).succeeds();
}

#[test]
fn a_fault_that_cannot_be_read_is_no_module() {
    let hsm = SoftHsm::new();
    let outcome = pkcs11_tool(&Fault::of(&hsm)).env("KEYANCHOR_FAULT_DELAY", "C_Sign").arg("-L").run();
    outcome.ends_with(1).stderr_contains("KEYANCHOR_FAULT_DELAY cannot be read");
}
