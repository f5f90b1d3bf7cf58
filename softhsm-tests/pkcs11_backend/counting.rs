//! How many calls a credential costs, as pkcs11-spy counts them: one signature, one login, at most 25 calls in all.

use std::path::Path;

use keyanchor::key::HashAlgorithm;

use super::{Setup, certificates, of, signs, uri};
use crate::support::Environment;
use crate::support::key::Key;
use crate::support::own_process::in_own_process;
use crate::support::pki::Ca;
use crate::support::softhsm::{SoftHsm, Token};
use crate::support::spy::{Calls, Spy};

/// Certificate and key by this URI, as a credential needs them: list, open, ask for issuers, sign, end.
fn one_credential(reference: &str) {
    let mut modules = Setup::new(&Spy::module()).user_pin().modules();
    let device = modules.open(&uri(reference)).unwrap();
    let leaf = certificates(&*device).remove(0);
    let key = device.open_key(&of(&leaf)).unwrap();
    device.listing().unwrap().issuers(b"\x30\x00").unwrap();
    key.gather_secrets().unwrap();
    signs(&*key, HashAlgorithm::Sha256);
    modules.close();
}

/// A token with one key pair and one certificate, beside the empty slot that SoftHSM always shows.
fn watched(kind: Key) -> (Environment, Token, Spy) {
    let (hsm, spy) = (SoftHsm::new(), Spy::before(SoftHsm::module()));
    let token = hsm.token("counted");
    token.identity(kind, "01", "mine", &Ca::root("Test Root"));
    ([hsm.env(), spy.env()].concat(), token, spy)
}

#[track_caller]
fn is_frugal(calls: &Calls) {
    assert_eq!(["C_SignInit", "C_Sign", "C_Login"].map(|name| calls.of(name)), [1; 3], "{calls:?}");
    assert!(calls.total() <= 25, "{} calls: {calls:?}", calls.total());
}

#[test]
fn a_credential_with_an_rsa_key() {
    let prepare = || {
        let (environment, token, spy) = watched(Key::Rsa2048);
        (environment, (token, spy))
    };
    let Some((_token, spy)) = in_own_process(prepare, || one_credential("pkcs11:token=counted")) else { return };
    is_frugal(&spy.calls());
}

#[test]
fn a_credential_with_an_ec_key() {
    let prepare = || {
        let (environment, token, spy) = watched(Key::Ec256);
        (environment, (token, spy))
    };
    let Some((_token, spy)) = in_own_process(prepare, || one_credential("pkcs11:token=counted")) else { return };
    is_frugal(&spy.calls());
}

#[test]
fn certificates_that_the_uri_excludes_cost_nothing() {
    let prepare = || {
        let (environment, token, spy) = watched(Key::Ec256);
        let (other, _) = Ca::root("Other Root").leaf_with_key("other", Key::Ec256);
        // One of them has the CKA_ID of the key, as a YubiKey's attestation certificate has.
        for (id, label) in [("01", "attestation"), ("02", "other"), ("", "third")] {
            token.import_certificate(&other, id, label);
        }
        (environment, (token, spy))
    };
    let scenario = || one_credential("pkcs11:token=counted;object=mine");
    let Some((_token, spy)) = in_own_process(prepare, scenario) else { return };
    is_frugal(&spy.calls());
    // The certificate and the two halves of its key.
    assert_eq!(spy.calls().of("C_GetAttributeValue"), 3);
}

#[test]
fn each_further_certificate_costs_one_read() {
    let prepare = || {
        let (environment, token, spy) = watched(Key::Ec256);
        let ca = Ca::root("Other Root");
        for id in ["11", "12", "13"] {
            token.import_certificate(&ca.leaf_with_key(id, Key::Ec256).0, id, id);
        }
        (environment, (token, spy))
    };
    let scenario = || {
        let mut modules = Setup::new(&Spy::module()).user_pin().modules();
        let device = modules.open(&uri("pkcs11:token=counted")).unwrap();
        assert_eq!(certificates(&*device).len(), 4);
        // What was read is not read again.
        assert_eq!(certificates(&*device).len(), 4);
        modules.close();
    };
    let Some((_token, spy)) = in_own_process(prepare, scenario) else { return };
    assert_eq!(spy.calls().of("C_GetAttributeValue"), 4);
    assert_eq!(spy.calls().of("C_Login"), 0);
}

#[test]
fn a_module_is_loaded_once_whatever_path_leads_to_it() {
    fn by_two_paths(spy: &Path) {
        let link = tempfile::tempdir().unwrap();
        let link = link.path().join("link.so");
        std::os::unix::fs::symlink(spy, &link).unwrap();
        let mut modules = Setup::new(spy);
        modules.pkcs11.module = None;
        let mut modules = modules.user_pin().modules();
        for path in [spy, &link] {
            let text = format!("pkcs11:token=counted?module-path={}", path.display());
            let device = modules.open(&uri(&text)).unwrap();
            assert_eq!(device.listing().unwrap().keys(&[]).unwrap().len(), 1);
        }
        modules.close();
    }
    let prepare = || {
        let (environment, token, spy) = watched(Key::Ec256);
        (environment, (token, spy))
    };
    let Some((_token, spy)) = in_own_process(prepare, || by_two_paths(&Spy::module())) else { return };
    assert_eq!(["C_Initialize", "C_GetSlotList", "C_Login", "C_Finalize"].map(|name| spy.calls().of(name)), [1; 4]);
}
