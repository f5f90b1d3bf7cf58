//! Persistent handles.

use keyanchor::key::{HashAlgorithm, KeyErrorKind};

use super::{Bench, SIGNING, signs, signs_with};
use crate::support::command::keyanchor;
use crate::support::swtpm::Swtpm;

#[test]
fn keys_of_every_algorithm_that_the_tpm_has_sign() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    for (number, algorithm) in
        ["ecc256", "ecc384", "ecc521", "rsa2048", "rsa3072", "ecc256:ecdsa-sha256", "rsa2048:rsassa-sha256"]
            .into_iter()
            .enumerate()
    {
        let handle = format!("0x810001{number:02x}");
        tpm.make_key("0x81000001", algorithm, SIGNING, "");
        tpm.persist("0x81000001", "", &handle);
        signs(Bench::at(tpm.tcti()).handle(&format!("handle:{handle}"))).unwrap_or_else(|e| panic!("{algorithm}: {e}"));
    }
    for handle in ["handle:0x81000100", "handle:81000101", "handle:0x81000103"] {
        for hash in [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512] {
            signs_with(Bench::at(tpm.tcti()).handle(handle), hash).unwrap();
        }
    }
    assert_eq!(tpm.left_behind(), "");
}

#[test]
fn a_handle_with_nothing_is_not_found() {
    let tpm = Swtpm::start();
    let error = signs(Bench::at(tpm.tcti()).handle("handle:0x81000101")).unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::NotFound);
    assert!(error.to_string().contains("handle:0x81000101"), "{error}");
    assert!(error.to_string().contains("TPM_RC_HANDLE"), "{error}");
}

#[test]
fn keys_that_may_not_sign_are_refused_with_the_reason() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    let storage = signs(Bench::at(tpm.tcti()).handle("handle:0x81000001")).unwrap_err();
    assert_eq!(storage.kind(), KeyErrorKind::Unsupported);
    assert!(storage.to_string().contains("may only decrypt"), "{storage}");

    let restricted = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign|restricted";
    tpm.make_key("0x81000001", "ecc256:ecdsa-sha256:null", restricted, "");
    tpm.persist("0x81000001", "", "0x81000102");
    let error = signs(Bench::at(tpm.tcti()).handle("handle:0x81000102")).unwrap_err();
    assert!(error.to_string().contains("restricted"), "{error}");

    tpm.make_key("0x81000001", "rsa2048:rsapss-sha256:null", SIGNING, "");
    tpm.persist("0x81000001", "", "0x81000103");
    let error = signs(Bench::at(tpm.tcti()).handle("handle:0x81000103")).unwrap_err();
    assert!(error.to_string().contains("RSASSA-PSS"), "{error}");
}

#[test]
fn the_way_by_the_bare_socket_and_by_tpm2_tss_is_the_same() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    tpm.make_key("0x81000001", "ecc256", SIGNING, "");
    tpm.persist("0x81000001", "", "0x81000101");
    signs(Bench::at(tpm.socket().to_str().unwrap()).handle("handle:0x81000101")).unwrap();
    // By a program of its own, since this transport's socket stays open in children of the tests.
    let run =
        |key: &str| keyanchor(["sign-string", "--private-key", key]).env("TPM2TOOLS_TCTI", tpm.tpm2_tss_tcti()).run();
    run("handle:0x81000101").succeeds();
    // What tpm2-tss says about a failure is ours to say.
    let outcome = run("handle:0x81000102");
    outcome.fails_with(3).stderr_lacks("esys").stderr_lacks("tcti:");
}
