//! Devices that are slow, silent, or taken away.

use std::time::{Duration, Instant};

use cryptoki_sys::{
    CKR_CANT_LOCK, CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED, CKR_GENERAL_ERROR, CKR_SESSION_READ_ONLY_EXISTS,
};
use keyanchor::key::{HashAlgorithm, KeyErrorKind, SigningInput, WantedKey};

use super::{Setup, refused, signs, uri};
use crate::support::Environment;
use crate::support::fault::{Fault, Which};
use crate::support::key::Key;
use crate::support::own_process::in_own_process;
use crate::support::softhsm::{SoftHsm, Token};

/// The token lives as long as this.
fn faulty(change: impl FnOnce(Fault) -> Fault) -> (Environment, (Fault, Token)) {
    let token = SoftHsm::new().token("faulty");
    token.generate(Key::Ec256, "01", "k");
    let fault = change(Fault::of(token.hsm()));
    (fault.env(), (fault, token))
}

fn input() -> SigningInput {
    SigningInput::new(b"a message for the test".to_vec(), HashAlgorithm::Sha256)
}

#[test]
fn a_slow_device_is_announced_once_and_taken_back() {
    let scenario = || {
        let setup = Setup::new(&Fault::module()).user_pin();
        let person = setup.person.clone();
        let mut modules = setup.modules();
        let key = modules.open(&uri("pkcs11:")).unwrap().open_key(&WantedKey::default()).unwrap();
        assert_eq!(person.slowness(), 0);
        signs(&*key, HashAlgorithm::Sha256);
        assert_eq!((person.slowness(), person.answers()), (1, 1));
        modules.close();
    };
    in_own_process(|| faulty(|fault| fault.delay("C_Sign", Duration::from_millis(900))), scenario);
}

#[test]
fn a_device_that_never_answers_ends_by_the_limit_and_holds_nobody() {
    let scenario = || {
        let started = Instant::now();
        let mut setup = Setup::new(&Fault::module()).user_pin();
        setup.limit = Duration::from_secs(1);
        let person = setup.person.clone();
        let mut modules = setup.modules();
        let key = modules.open(&uri("pkcs11:")).unwrap().open_key(&WantedKey::default()).unwrap();
        let texts = ["within 1 s", "C_Sign of", "libkeyanchor_fault_module.so"];
        refused(key.sign(&input()), KeyErrorKind::Timeout, &texts);
        assert_eq!((person.slowness(), person.answers()), (1, 1));
        // Who comes later does not wait as long again.
        refused(key.sign(&input()), KeyErrorKind::Timeout, &["C_Sign of"]);
        modules.close();
        // The limit, and not again the limit or a wait for the module.
        assert!(started.elapsed() < Duration::from_millis(3500), "{:?}", started.elapsed());
    };
    in_own_process(|| faulty(|fault| fault.delay("C_Sign", Duration::from_secs(25))), scenario);
}

#[test]
fn many_short_calls_count_together() {
    let scenario = || {
        let mut setup = Setup::new(&Fault::module()).user_pin();
        setup.limit = Duration::from_millis(700);
        let mut modules = setup.modules();
        let device = modules.open(&uri("pkcs11:")).unwrap();
        refused(device.listing().unwrap().keys(&[]), KeyErrorKind::Timeout, &["within 0.7 s", "C_GetAttributeValue"]);
        modules.close();
    };
    let prepare = || faulty(|fault| fault.delay("C_GetAttributeValue", Duration::from_millis(400)));
    in_own_process(prepare, scenario);
}

#[test]
fn a_token_that_was_taken_away_is_said_so_and_its_key_found_again_in_another_slot() {
    let scenario = || {
        let mut modules = Setup::new(&Fault::module()).user_pin().modules();
        let key = modules.open(&uri("pkcs11:token=faulty")).unwrap().open_key(&WantedKey::default()).unwrap();
        signs(&*key, HashAlgorithm::Sha256);
        let error = refused(key.sign(&input()), KeyErrorKind::Unreachable, &["token 'faulty'", "taken away"]);
        assert!(error.code().is_some(), "{error}");
        // Away, then back in another slot.
        let again = (0..3).find_map(|_| key.sign(&input()).ok());
        key.public_key().unwrap().verify(&input(), &again.expect("it did not come back")).unwrap();
        modules.close();
    };
    in_own_process(|| faulty(|fault| fault.away_after("C_Sign", 1, Some(1))), scenario);
}

#[test]
fn an_error_of_the_device_carries_its_code_and_its_call() {
    let scenario = || {
        let mut modules = Setup::new(&Fault::module()).user_pin().modules();
        let key = modules.open(&uri("pkcs11:")).unwrap().open_key(&WantedKey::default()).unwrap();
        let error = refused(key.sign(&input()), KeyErrorKind::Unreachable, &["token 'faulty'"]);
        assert_eq!(error.code(), Some("CKR_DEVICE_REMOVED from C_Sign"));
        modules.close();
    };
    in_own_process(|| faulty(|fault| fault.error("C_Sign", Which::Nth(1), CKR_DEVICE_REMOVED)), scenario);
}

#[test]
fn a_module_that_fails_to_start_says_what_it_may_want() {
    let scenario = || {
        let opened = Setup::new(&Fault::module()).modules().open(&uri("pkcs11:")).map(|_| ());
        let error = refused(opened, KeyErrorKind::Unreachable, &["failed to start", "configuration"]);
        assert_eq!(error.code(), Some("CKR_GENERAL_ERROR from C_Initialize"));
    };
    in_own_process(|| faulty(|fault| fault.error("C_Initialize", Which::Every, CKR_GENERAL_ERROR)), scenario);
}

#[test]
fn a_token_without_read_only_sessions_gets_another() {
    let scenario = || {
        let mut modules = Setup::new(&Fault::module()).user_pin().modules();
        let key = modules.open(&uri("pkcs11:")).unwrap().open_key(&WantedKey::default()).unwrap();
        signs(&*key, HashAlgorithm::Sha256);
        modules.close();
    };
    let prepare = || faulty(|fault| fault.error("C_OpenSession", Which::Nth(1), CKR_SESSION_READ_ONLY_EXISTS));
    let Some((fault, _token)) = in_own_process(prepare, scenario) else { return };
    assert_eq!(fault.calls().of("C_OpenSession"), 2);
}

#[test]
fn a_module_that_cannot_lock_is_started_without_locks() {
    let scenario = || {
        let mut modules = Setup::new(&Fault::module()).user_pin().modules();
        let key = modules.open(&uri("pkcs11:")).unwrap().open_key(&WantedKey::default()).unwrap();
        signs(&*key, HashAlgorithm::Sha256);
        modules.close();
    };
    let prepare = || faulty(|fault| fault.error("C_Initialize", Which::Nth(1), CKR_CANT_LOCK));
    let Some((fault, _token)) = in_own_process(prepare, scenario) else { return };
    assert_eq!(fault.calls().of("C_Initialize"), 2);
}

#[test]
fn a_slot_that_cannot_be_read_hides_no_other() {
    let scenario = || {
        let mut modules = Setup::new(&Fault::module()).user_pin().modules();
        // Whichever of the two slots answers the error.
        let device = modules.open(&uri("pkcs11:")).unwrap();
        assert_eq!(device.listing().unwrap().keys(&[]).unwrap().len(), 1);
        modules.close();
    };
    let prepare = || {
        let (_, (fault, token)) = faulty(|fault| fault.error("C_GetTokenInfo", Which::Nth(1), CKR_DEVICE_ERROR));
        let other = token.hsm().token("other");
        other.generate(Key::Ec256, "01", "k");
        (fault.env(), (fault, token, other))
    };
    in_own_process(prepare, scenario);
}
