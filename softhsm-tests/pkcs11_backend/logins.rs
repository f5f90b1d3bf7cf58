//! Logins: sources of the PIN, flags of the token, one try.

use std::time::Duration;

use keyanchor::key::{HashAlgorithm, KeyErrorKind, SecretKind, WantedKey};

use super::{Person, Setup, certificates, refused, signs, uri};
use crate::support::fault::Fault;
use crate::support::key::Key;
use crate::support::own_process::in_own_process;
use crate::support::pki::Ca;
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN, Token, WRONG_TEST_PIN};
use crate::support::{Environment, variable};
use cryptoki_sys::{
    CKF_LOGIN_REQUIRED, CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED, CKR_USER_ALREADY_LOGGED_IN,
};
use keyanchor::key::Advice;

fn token() -> Token {
    let token = SoftHsm::new().token("login");
    token.generate(Key::Ec256, "01", "k");
    token
}

/// The token lives as long as this.
fn faulty(change: impl FnOnce(Fault) -> Fault) -> (Environment, (Fault, Token)) {
    let token = token();
    let fault = change(Fault::of(token.hsm()));
    (fault.env(), (fault, token))
}

fn open(setup: Setup, reference: &str) -> Result<(), keyanchor::key::KeyError> {
    let mut modules = setup.modules();
    let outcome = modules.open(&uri(reference)).unwrap().open_key(&WantedKey::default());
    let outcome = outcome.map(|key| signs(&*key, HashAlgorithm::Sha256));
    modules.close();
    outcome
}

#[test]
fn a_wrong_pin_is_tried_once_and_never_again() {
    let scenario = || {
        let mut modules = Setup::new(&Fault::module()).pin(SecretKind::UserPin, WRONG_TEST_PIN).modules();
        let device = modules.open(&uri("pkcs11:token=login")).unwrap();
        let open = || device.open_key(&WantedKey::default()).map(|_| ());
        let texts = ["the user PIN for token 'login' is wrong", "tried once", "a wrong PIN was entered"];
        let error = refused(open(), KeyErrorKind::SecretWrong, &texts);
        assert_eq!(error.code(), Some("CKR_PIN_INCORRECT from C_Login"));
        assert!(!error.to_string().contains(WRONG_TEST_PIN));
        refused(open(), KeyErrorKind::SecretWrong, &["has refused before", "not tried again"]);
        refused(device.listing().unwrap().keys(&[]), KeyErrorKind::SecretWrong, &["has refused before"]);
        modules.close();
    };
    let Some((fault, _token)) = in_own_process(|| faulty(|fault| fault), scenario) else { return };
    assert_eq!((fault.user_pins_tried(), fault.wrong_pins()), (1, 1));
}

#[test]
fn pins_come_from_the_uri_and_one_uri_s_pin_serves_the_other() {
    let scenario = || {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pin");
        std::fs::write(&file, format!("{TEST_USER_PIN}\n")).unwrap();
        for text in [
            format!("pkcs11:token=login?pin-value={TEST_USER_PIN}"),
            format!("pkcs11:token=login;pin-value={TEST_USER_PIN}"),
            format!("pkcs11:token=login?pin-source=file:{}", file.display()),
        ] {
            let mut modules = Setup::new(&SoftHsm::module()).modules();
            modules.open(&uri(&text)).unwrap();
            let device = modules.open(&uri("pkcs11:token=login;object=k")).unwrap();
            signs(&*device.open_key(&WantedKey::default()).unwrap(), HashAlgorithm::Sha256);
            modules.close();
        }
        let nobody = open(Setup::new(&SoftHsm::module()), "pkcs11:token=login");
        refused(nobody, KeyErrorKind::SecretMissing, &["token 'login' wants the user PIN"]);
    };
    in_own_process(
        || {
            let token = token();
            (token.env(), token)
        },
        scenario,
    );
}

#[test]
fn a_locked_token_is_not_tried_at_all() {
    let scenario = || {
        let mut setup = Setup::new(&Fault::module()).user_pin();
        setup.pkcs11.use_final_try = true;
        refused(open(setup, "pkcs11:"), KeyErrorKind::SecretLocked, &["is locked", "nothing was tried"]);
    };
    let Some((fault, _token)) = in_own_process(|| faulty(|fault| fault.flags(CKF_USER_PIN_LOCKED, 0)), scenario) else {
        return;
    };
    assert_eq!(fault.calls().of("C_Login"), 0);
}

#[test]
fn the_final_try_is_spent_only_when_the_person_says_so() {
    let scenario = || {
        let setup = || Setup::new(&Fault::module()).user_pin();
        let error = refused(open(setup(), "pkcs11:"), KeyErrorKind::SecretLocked, &["one more wrong PIN locks it"]);
        assert_eq!(error.advice(), Some(&Advice::Allow { flag: "--use-final-try" }));
        let mut allowed = setup();
        allowed.pkcs11.use_final_try = true;
        open(allowed, "pkcs11:").unwrap();
    };
    let prepare = || faulty(|fault| fault.flags(CKF_USER_PIN_FINAL_TRY, 0));
    let Some((fault, _token)) = in_own_process(prepare, scenario) else { return };
    assert_eq!(fault.calls().of("C_Login"), 1);
}

#[test]
fn a_low_count_is_said_at_the_prompt() {
    let scenario = || {
        let setup = Setup::with(&Fault::module(), Person { pin: Some(TEST_USER_PIN), ..Person::default() });
        let person = setup.person.clone();
        open(setup, "pkcs11:").unwrap();
        assert_eq!(*person.warnings.lock().unwrap(), ["a wrong PIN was entered since the last right one"]);
    };
    in_own_process(|| faulty(|fault| fault.flags(CKF_USER_PIN_COUNT_LOW, 0)), scenario);
}

#[test]
fn a_keypad_gets_no_pin_and_no_prompt() {
    let scenario = || {
        let setup = Setup::new(&Fault::module()).pin(SecretKind::UserPin, WRONG_TEST_PIN);
        let person = setup.person.clone();
        open(setup, "pkcs11:").unwrap();
        assert_eq!((person.asked(), person.at_keypad(), person.answers()), (0, 1, 1));
    };
    let Some((fault, _token)) = in_own_process(|| faulty(|fault| fault.pin_pad(TEST_USER_PIN)), scenario) else {
        return;
    };
    assert_eq!(fault.pins_typed_on_pad(), 1);
}

#[test]
fn a_keypad_gets_no_context_pin_either() {
    let prepare = || {
        let token = SoftHsm::new().token("login");
        token.generate_always_authenticate(Key::Ec256, "01", "k");
        let fault = Fault::of(token.hsm()).pin_pad(TEST_USER_PIN);
        (fault.env(), (fault, token))
    };
    let scenario = || {
        let setup = Setup::new(&Fault::module());
        let person = setup.person.clone();
        open(setup, "pkcs11:").unwrap();
        assert_eq!((person.asked(), person.at_keypad(), person.answers()), (0, 2, 2));
    };
    let Some((fault, _token)) = in_own_process(prepare, scenario) else { return };
    assert_eq!(fault.pins_typed_on_pad(), 2);
}

#[test]
fn a_token_that_needs_no_login_gets_none() {
    let scenario = || open(Setup::new(&Fault::module()), "pkcs11:").unwrap();
    let Some((fault, _token)) = in_own_process(|| faulty(|fault| fault.no_login(TEST_USER_PIN)), scenario) else {
        return;
    };
    assert_eq!(fault.calls().of("C_Login"), 0);
}

/// Stores a certificate that only a logged-in user sees, which pkcs11-tool cannot.
fn hide_a_certificate(der: Vec<u8>) {
    use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
    use cryptoki::object::{Attribute, CertificateType, ObjectClass};
    use cryptoki::session::UserType;

    let softhsm = Pkcs11::new(SoftHsm::module()).unwrap();
    softhsm.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
    let slot = softhsm.get_slots_with_initialized_token().unwrap()[0];
    let session = softhsm.open_rw_session(slot).unwrap();
    session.login(UserType::User, Some(&TEST_USER_PIN.to_owned().into())).unwrap();
    let hidden = [
        Attribute::Class(ObjectClass::CERTIFICATE),
        Attribute::CertificateType(CertificateType::X_509),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Subject(b"\x30\x00".to_vec()),
        Attribute::Label(b"hidden".to_vec()),
        Attribute::Value(der),
    ];
    session.create_object(&hidden).unwrap();
    drop(session);
    softhsm.finalize().unwrap();
}

#[test]
fn a_login_is_tried_for_a_certificate_only_where_one_token_matches_and_shows_none() {
    const CERTIFICATE: &str = "KEYANCHOR_TEST_CERTIFICATE";
    let prepare = || {
        let token = token();
        let ca = Ca::root("Test Root");
        let fault = Fault::of(token.hsm());
        let environment = [fault.env(), vec![variable(CERTIFICATE, ca.certificate.der_path())]].concat();
        (environment, (fault, token, ca))
    };
    let scenario = || {
        hide_a_certificate(std::fs::read(std::env::var_os(CERTIFICATE).unwrap()).unwrap());
        let mut modules = Setup::new(&Fault::module()).user_pin().modules();
        let device = modules.open(&uri("pkcs11:token=login;object=hidden")).unwrap();
        assert_eq!(certificates(&*device).len(), 1);
        modules.close();
    };
    let Some((fault, ..)) = in_own_process(prepare, scenario) else { return };
    assert_eq!(fault.calls().of("C_Login"), 1);
}

#[test]
fn several_tokens_without_the_certificate_are_not_logged_in_to_for_it() {
    let prepare = || {
        let token = token();
        let other = token.hsm().token("other");
        let fault = Fault::of(token.hsm());
        (fault.env(), (fault, token, other))
    };
    let scenario = || {
        let mut modules = Setup::new(&Fault::module()).user_pin().modules();
        let device = modules.open(&uri("pkcs11:object=hidden")).unwrap();
        let texts = ["no certificate matches", "token 'login' holds", "token 'other' holds"];
        refused(device.listing().unwrap().certificates(), KeyErrorKind::NotFound, &texts);
        modules.close();
    };
    let Some((fault, ..)) = in_own_process(prepare, scenario) else { return };
    assert_eq!(fault.calls().of("C_Login"), 0);
}

#[test]
fn an_empty_pin_is_a_pin_and_not_the_request_to_use_a_keypad() {
    let scenario = || {
        let error = refused(
            open(Setup::new(&Fault::module()).pin(SecretKind::UserPin, ""), "pkcs11:"),
            KeyErrorKind::SecretWrong,
            &[],
        );
        // A NULL PIN would be CKR_ARGUMENTS_BAD for a token without a keypad.
        assert!(["CKR_PIN_INCORRECT from C_Login", "CKR_PIN_LEN_RANGE from C_Login"].contains(&error.code().unwrap()));
    };
    let Some((fault, _token)) = in_own_process(|| faulty(|fault| fault), scenario) else { return };
    assert_eq!(fault.user_pins_tried(), 1);
}

#[test]
fn who_is_logged_in_already_has_succeeded() {
    let scenario = || open(Setup::new(&Fault::module()).user_pin(), "pkcs11:").unwrap();
    let prepare = || faulty(|fault| fault.no_login(TEST_USER_PIN).flags(CKF_LOGIN_REQUIRED, 0));
    let Some((fault, _token)) = in_own_process(prepare, scenario) else { return };
    assert_eq!(fault.answered("C_Login", CKR_USER_ALREADY_LOGGED_IN), 1);
}

#[test]
fn the_time_of_a_person_at_the_prompt_is_not_the_device_s() {
    let scenario = || {
        let person = Person { pin: Some(TEST_USER_PIN), thinks: Duration::from_millis(2500), ..Person::default() };
        let mut setup = Setup::with(&SoftHsm::module(), person);
        setup.limit = Duration::from_secs(2);
        let person = setup.person.clone();
        open(setup, "pkcs11:token=login").unwrap();
        // Nor is it said that the device is slow.
        assert_eq!((person.asked(), person.slowness()), (1, 0));
    };
    let prepare = || {
        let token = token();
        (token.env(), token)
    };
    in_own_process(prepare, scenario);
}

#[test]
fn the_time_of_a_person_at_the_keypad_is_not_the_device_s() {
    let scenario = || {
        let mut setup = Setup::new(&Fault::module());
        setup.limit = Duration::from_secs(2);
        let person = setup.person.clone();
        open(setup, "pkcs11:").unwrap();
        assert_eq!((person.at_keypad(), person.slowness()), (1, 0));
    };
    let typing = |fault: Fault| fault.pin_pad(TEST_USER_PIN).delay("C_Login", Duration::from_millis(2500));
    in_own_process(|| faulty(typing), scenario);
}
