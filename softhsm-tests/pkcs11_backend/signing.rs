//! Signatures with every kind of key, verified in software.

use keyanchor::key::{HashAlgorithm, KeyErrorKind, SecretKind, WantedKey};

use super::{Person, Setup, certificates, of, refused, signs, uri};
use crate::support::fault::Fault;
use crate::support::key::Key;
use crate::support::own_process::in_own_process;
use crate::support::pki::Ca;
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN, WRONG_TEST_PIN};
use crate::support::spy::Spy;
use cryptoki_sys::{CKA_EC_POINT, CKA_MODULUS, CKM_RSA_PKCS, CKR_DATA_LEN_RANGE, CKR_MECHANISM_INVALID};

#[test]
fn every_kind_of_key_signs_every_hash() {
    let prepare = || {
        let token = SoftHsm::new().token("signing");
        let ca = Ca::root("Test Root");
        for (number, kind) in Key::SUPPORTED.into_iter().enumerate() {
            token.identity(kind, &format!("0{number}"), &format!("{kind:?}"), &ca);
        }
        (token.env(), token)
    };
    let scenario = || {
        let mut modules = Setup::new(&SoftHsm::module()).user_pin().modules();
        let device = modules.open(&uri("pkcs11:token=signing")).unwrap();
        let all = certificates(&*device);
        assert_eq!(all.len(), Key::SUPPORTED.len());
        for certificate in all {
            let key = device.open_key(&of(&certificate)).unwrap();
            for hash in [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512] {
                signs(&*key, hash);
            }
        }
        modules.close();
    };
    in_own_process(prepare, scenario);
}

#[test]
fn a_token_that_only_hashes_itself_gets_the_message() {
    let prepare = || {
        let token = SoftHsm::new().token("signing");
        token.generate(Key::Rsa2048, "01", "k");
        let fault = Fault::of(token.hsm()).refuse(CKM_RSA_PKCS);
        (fault.env(), (fault, token))
    };
    let scenario = || {
        let mut modules = Setup::new(&Fault::module()).user_pin().modules();
        let key = modules.open(&uri("pkcs11:token=signing")).unwrap().open_key(&WantedKey::default()).unwrap();
        signs(&*key, HashAlgorithm::Sha256);
        // What the token wants is known by now.
        signs(&*key, HashAlgorithm::Sha512);
        modules.close();
    };
    let Some((fault, _token)) = in_own_process(prepare, scenario) else { return };
    assert_eq!(fault.answered("C_SignInit", CKR_MECHANISM_INVALID), 1);
    assert_eq!(fault.calls().of("C_Sign"), 2);
}

#[test]
fn a_token_that_wants_a_digest_as_long_as_the_field_gets_zeros_before_it() {
    let prepare = || {
        let token = SoftHsm::new().token("signing");
        token.generate(Key::Ec384, "01", "k");
        let fault = Fault::of(token.hsm()).long_digest();
        (fault.env(), (fault, token))
    };
    let scenario = || {
        let mut modules = Setup::new(&Fault::module()).user_pin().modules();
        let key = modules.open(&uri("pkcs11:token=signing")).unwrap().open_key(&WantedKey::default()).unwrap();
        signs(&*key, HashAlgorithm::Sha256);
        signs(&*key, HashAlgorithm::Sha256);
        modules.close();
    };
    let Some((fault, _token)) = in_own_process(prepare, scenario) else { return };
    assert_eq!(fault.answered("C_Sign", CKR_DATA_LEN_RANGE), 1);
    assert_eq!(fault.calls().of("C_Sign"), 3);
}

#[test]
fn keys_of_other_kinds_are_named_for_what_they_are() {
    let prepare = || {
        let token = SoftHsm::new().token("signing");
        token.generate(Key::Ed25519, "01", "k");
        (token.env(), token)
    };
    let scenario = || {
        let mut modules = Setup::new(&SoftHsm::module()).user_pin().modules();
        let device = modules.open(&uri("pkcs11:token=signing")).unwrap();
        refused(
            device.open_key(&WantedKey::default()).map(|_| ()),
            KeyErrorKind::Unsupported,
            &["object=k;type=private"],
        );
        modules.close();
    };
    in_own_process(prepare, scenario);
}

/// An always-authenticate key on a token, with pkcs11-spy before it.
fn always_authenticate() -> (crate::support::Environment, (SoftHsm, Spy)) {
    let (hsm, spy) = (SoftHsm::new(), Spy::before(SoftHsm::module()));
    hsm.token("signing").generate_always_authenticate(Key::Ec256, "01", "k");
    ([hsm.env(), spy.env()].concat(), (hsm, spy))
}

#[test]
fn an_always_authenticate_key_reuses_the_user_pin_where_that_is_allowed() {
    let scenario = || {
        let mut setup = Setup::new(&Spy::module()).user_pin();
        setup.pkcs11.reuse_pin = true;
        let person = setup.person.clone();
        let mut modules = setup.modules();
        let device = modules.open(&uri("pkcs11:")).unwrap();
        // Whatever logged in first.
        device.listing().unwrap().keys(&[]).unwrap();
        let key = device.open_key(&WantedKey::default()).unwrap();
        key.gather_secrets().unwrap();
        signs(&*key, HashAlgorithm::Sha256);
        assert_eq!(person.asked(), 0);
        modules.close();
    };
    let Some((_hsm, spy)) = in_own_process(always_authenticate, scenario) else { return };
    assert_eq!(["C_Login", "C_SignInit", "C_Sign"].map(|name| spy.calls().of(name)), [2, 1, 1]);
}

#[test]
fn an_always_authenticate_key_asks_for_its_pin_before_each_signature() {
    let scenario = || {
        let setup = Setup::with(&Spy::module(), Person { pin: Some(TEST_USER_PIN), ..Person::default() }).user_pin();
        let person = setup.person.clone();
        let mut modules = setup.modules();
        let key = modules.open(&uri("pkcs11:")).unwrap().open_key(&WantedKey::default()).unwrap();
        key.gather_secrets().unwrap();
        key.gather_secrets().unwrap();
        assert_eq!(person.asked(), 1);
        signs(&*key, HashAlgorithm::Sha256);
        assert_eq!(person.asked(), 1);
        // Not gathered: asked for when it is needed.
        signs(&*key, HashAlgorithm::Sha256);
        assert_eq!(person.asked(), 2);
        modules.close();
    };
    let Some((_hsm, spy)) = in_own_process(always_authenticate, scenario) else { return };
    assert_eq!(["C_Login", "C_SignInit", "C_Sign"].map(|name| spy.calls().of(name)), [3, 2, 2]);
}

#[test]
fn a_wrong_context_pin_is_tried_once_and_leaves_nothing_behind() {
    let scenario = || {
        let setup = Setup::new(&Spy::module()).user_pin().pin(SecretKind::ContextPin, WRONG_TEST_PIN);
        let mut modules = setup.modules();
        let key = modules.open(&uri("pkcs11:")).unwrap().open_key(&WantedKey::default()).unwrap();
        let input = keyanchor::key::SigningInput::new(b"message".to_vec(), HashAlgorithm::Sha256);
        let error = refused(key.sign(&input), KeyErrorKind::SecretWrong, &["the context PIN", "tried once"]);
        assert_eq!(error.code(), Some("CKR_PIN_INCORRECT from C_Login"));
        refused(key.sign(&input), KeyErrorKind::SecretWrong, &["has refused before"]);
        modules.close();
    };
    let Some((_hsm, spy)) = in_own_process(always_authenticate, scenario) else { return };
    assert_eq!(["C_Login", "C_SignInit", "C_Sign"].map(|name| spy.calls().of(name)), [2, 1, 0]);
}

#[test]
fn a_context_pin_from_a_source_of_its_own_serves_every_signature_without_a_question() {
    let scenario = || {
        let setup = Setup::new(&Spy::module()).user_pin().pin(SecretKind::ContextPin, TEST_USER_PIN);
        let person = setup.person.clone();
        let mut modules = setup.modules();
        let key = modules.open(&uri("pkcs11:")).unwrap().open_key(&WantedKey::default()).unwrap();
        for _ in 0..2 {
            key.gather_secrets().unwrap();
            signs(&*key, HashAlgorithm::Sha256);
        }
        assert_eq!(person.asked(), 0);
        modules.close();
    };
    let Some((_hsm, spy)) = in_own_process(always_authenticate, scenario) else { return };
    assert_eq!(["C_Login", "C_SignInit", "C_Sign"].map(|name| spy.calls().of(name)), [3, 2, 2]);
}

#[test]
fn a_token_that_hides_both_public_halves_signs_with_the_key_of_the_certificate_s_id() {
    let prepare = || {
        let token = SoftHsm::new().token("signing");
        let ca = Ca::root("Test Root");
        token.identity(Key::Rsa2048, "01", "rsa", &ca);
        token.identity(Key::Ec384, "02", "ec", &ca);
        let fault = Fault::of(token.hsm()).hide(CKA_MODULUS).hide(CKA_EC_POINT);
        (fault.env(), (fault, token))
    };
    let scenario = || {
        let mut modules = Setup::new(&Fault::module()).user_pin().modules();
        for name in ["rsa", "ec"] {
            let device = modules.open(&uri(&format!("pkcs11:object={name}"))).unwrap();
            let key = device.open_key(&of(&certificates(&*device)[0])).unwrap();
            signs(&*key, HashAlgorithm::Sha256);
        }
        modules.close();
    };
    in_own_process(prepare, scenario);
}
