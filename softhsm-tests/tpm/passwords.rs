//! Passwords of keys, parents and hierarchies: asked for, tried once, told apart from lockout.

use keyanchor::key::{Advice, KeyErrorKind, SecretKind};

use super::{Bench, NO_PASSWORD, OWNER, PROTECTED, SIGNING, SRK, pem, signs};
use crate::support::swtpm::Swtpm;
use crate::support::tap::{CREATE_PRIMARY, Tap};
use crate::support::{command, text};

const KEY: SecretKind = SecretKind::TpmKeyPassword;
const PARENT: SecretKind = SecretKind::TpmParentPassword;

/// A TPM with a storage root key, and a key file with `test-password` under it.
fn with_password(attributes: &str) -> (Swtpm, Vec<u8>) {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    let key = tpm.make_key("0x81000001", "ecc256", attributes, "-p test-password");
    let file = pem(&[], SRK, &key.public(), &key.private());
    (tpm, file)
}

#[test]
fn the_right_password_signs_by_file_and_by_handle() {
    for attributes in [PROTECTED, SIGNING] {
        let (tpm, file) = with_password(attributes);
        tpm.persist("0x81000001", "", "0x81000101");
        let bench = Bench::with_secrets(tpm.tcti(), &[(KEY, "test-password")]);
        signs(bench.pem(&file)).unwrap();
        signs(bench.handle("handle:0x81000101")).unwrap();
        assert_eq!(tpm.lockout_counter(), 0);
        assert_eq!(tpm.left_behind(), "");
    }
}

#[test]
fn the_password_of_an_openssl_provider_key_is_taken() {
    let tpm = Swtpm::start();
    let file = tpm.openssl_key("-algorithm EC -pkeyopt group:P-256 -pkeyopt user-auth:test-password");
    signs(Bench::with_secrets(tpm.tcti(), &[(KEY, "test-password")]).file(&file)).unwrap();
}

#[test]
fn a_wrong_password_is_tried_once_and_the_tries_left_are_told() {
    let (tpm, file) = with_password(PROTECTED);
    let error = signs(Bench::with_secrets(tpm.tcti(), &[(KEY, "test-wrong")]).pem(&file)).unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::SecretWrong);
    let said = error.to_string();
    assert!(said.contains("tried once; 2 more before lockout, one is forgiven every 1000 s"), "{said}");
    assert!(said.contains("TPM_RC_AUTH_FAIL"), "{said}");
    assert!(!said.contains("test-wrong"));
    assert_eq!(tpm.lockout_counter(), 1);
    assert_eq!(tpm.left_behind(), "");
}

#[test]
fn a_wrong_password_is_not_tried_again_by_the_same_process() {
    let (tpm, file) = with_password(PROTECTED);
    let bench = Bench::with_secrets(tpm.tcti(), &[(KEY, "test-wrong")]);
    signs(bench.pem(&file)).unwrap_err();
    let error = signs(bench.pem(&file)).unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::SecretWrong);
    assert!(error.to_string().contains("has refused before for key.pem; it was not tried again"), "{error}");
    assert_eq!(tpm.lockout_counter(), 1);
}

#[test]
fn a_wrong_password_of_an_exempt_key_counts_nothing() {
    let (tpm, file) = with_password(SIGNING);
    let error = signs(Bench::with_secrets(tpm.tcti(), &[(KEY, "test-wrong")]).pem(&file)).unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::SecretWrong);
    assert!(error.to_string().contains("do not count"), "{error}");
    assert_eq!(tpm.lockout_counter(), 0);
}

#[test]
fn lockout_is_told_apart_and_exempt_keys_work_on() {
    let (tpm, file) = with_password(PROTECTED);
    for _ in 0..3 {
        signs(Bench::with_secrets(tpm.tcti(), &[(KEY, "test-wrong")]).pem(&file)).unwrap_err();
    }
    let error = signs(Bench::with_secrets(tpm.tcti(), &[(KEY, "test-password")]).pem(&file)).unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::SecretLocked);
    assert!(error.to_string().contains("one is forgiven every 1000 s"), "{error}");
    assert!(error.to_string().contains("TPM_RC_LOCKOUT"), "{error}");
    assert!(matches!(error.advice(), Some(Advice::Run { command }) if command.contains("dictionarylockout")));

    let key = tpm.make_key("0x81000001", "ecc256", SIGNING, "");
    signs(Bench::at(tpm.tcti()).pem(&pem(NO_PASSWORD, SRK, &key.public(), &key.private()))).unwrap();
}

#[test]
fn a_password_that_nobody_gives_is_said_to_be_missing_and_nothing_is_tried() {
    let (tpm, file) = with_password(PROTECTED);
    tpm.persist("0x81000001", "", "0x81000101");
    for outcome in [signs(Bench::at(tpm.tcti()).pem(&file)), signs(Bench::at(tpm.tcti()).handle("handle:0x81000101"))] {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), KeyErrorKind::SecretMissing);
        assert!(matches!(error.advice(), Some(Advice::GiveSecret { flag: "--tpm-password-source", .. })));
    }
    assert_eq!(tpm.lockout_counter(), 0);
}

#[test]
fn an_exempt_key_at_a_handle_is_tried_without_password_before_anybody_is_asked() {
    let (tpm, _) = with_password(SIGNING);
    tpm.persist("0x81000001", "", "0x81000101");
    let error = signs(Bench::at(tpm.tcti()).handle("handle:0x81000101")).unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::SecretMissing);
    assert_eq!(tpm.lockout_counter(), 0);
    assert_eq!(tpm.left_behind(), "");
}

#[test]
fn a_key_at_a_handle_may_be_said_to_have_no_password() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    tpm.make_key("0x81000001", "ecc256", PROTECTED, "");
    tpm.persist("0x81000001", "", "0x81000101");
    let mut bench = Bench::at(tpm.tcti());
    let error = signs(bench.handle("handle:0x81000101")).unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::SecretMissing);
    assert!(error.to_string().contains("--no-tpm-key-password"), "{error}");
    bench.options.tpm.no_key_password = true;
    signs(bench.handle("handle:0x81000101")).unwrap();
}

#[test]
fn a_password_for_a_key_without_one_is_an_error_and_is_not_tried() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    let key = tpm.make_key("0x81000001", "ecc256", SIGNING, "");
    let tap = Tap::on(&tpm.socket());
    let bench = Bench::with_secrets(tap.tcti(), &[(KEY, "test-password")]);
    let error = signs(bench.pem(&pem(NO_PASSWORD, SRK, &key.public(), &key.private()))).unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::SecretWrong);
    assert!(error.to_string().contains("no password"), "{error}");
    assert!(tap.seen().is_empty());
}

#[test]
fn a_file_that_wrongly_says_it_has_no_password_is_found_out() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    let key = tpm.make_key("0x81000001", "ecc256", SIGNING, "-p test-password");
    let file = pem(NO_PASSWORD, SRK, &key.public(), &key.private());
    let error = signs(Bench::at(tpm.tcti()).pem(&file)).unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::SecretWrong);
    assert!(error.to_string().contains("its file says that it has none"), "{error}");
}

#[test]
fn a_password_longer_than_any_tpm_takes_is_not_tried() {
    let (tpm, file) = with_password(PROTECTED);
    let error = signs(Bench::with_secrets(tpm.tcti(), &[(KEY, &"test".repeat(17))]).pem(&file)).unwrap_err();
    assert!(error.to_string().contains("at most 64 octets, found 68"), "{error}");
    assert_eq!(tpm.lockout_counter(), 0);
}

/// A TPM whose storage key at 0x81000001 has `test-parent` and these attributes, with a key file under it.
fn with_parent_password(no_da: &str) -> (Swtpm, Vec<u8>) {
    let tpm = Swtpm::start();
    let storage = format!("fixedtpm|fixedparent|sensitivedataorigin|userwithauth{no_da}|restricted|decrypt");
    tpm.tpm2(&format!("createprimary -Q -C o -g sha256 -G ecc256:aes128cfb -a {storage} -p test-parent -c srk.ctx"));
    tpm.tpm2("evictcontrol -Q -C o -c srk.ctx 0x81000001");
    let key = tpm.make_key("0x81000001", "ecc256", SIGNING, "-P test-parent");
    let file = pem(NO_PASSWORD, SRK, &key.public(), &key.private());
    (tpm, file)
}

#[test]
fn a_parents_password_is_taken_and_asked_for_where_it_is_missing() {
    for no_da in ["|noda", ""] {
        let (tpm, file) = with_parent_password(no_da);
        signs(Bench::with_secrets(tpm.tcti(), &[(PARENT, "test-parent")]).pem(&file)).unwrap();
        let error = signs(Bench::at(tpm.tcti()).pem(&file)).unwrap_err();
        assert_eq!(error.kind(), KeyErrorKind::SecretMissing, "{error}");
        assert!(matches!(error.advice(), Some(Advice::GiveSecret { flag: "--tpm-parent-password-source", .. })));
        assert_eq!(tpm.lockout_counter(), 0, "no empty password is tried where it counts");
        let error = signs(Bench::with_secrets(tpm.tcti(), &[(PARENT, "test-wrong")]).pem(&file)).unwrap_err();
        assert_eq!(error.kind(), KeyErrorKind::SecretWrong);
        assert!(error.to_string().contains("0x81000001"), "{error}");
        assert_eq!(tpm.left_behind(), "");
    }
}

#[test]
fn a_parent_that_counts_and_has_no_password_is_used_once_the_person_says_so() {
    let tpm = Swtpm::start();
    tpm.tpm2("createprimary -Q -C o -c srk.ctx");
    tpm.tpm2("evictcontrol -Q -C o -c srk.ctx 0x81000001");
    let key = tpm.make_key("0x81000001", "ecc256", SIGNING, "");
    let file = pem(NO_PASSWORD, SRK, &key.public(), &key.private());
    let error = signs(Bench::at(tpm.tcti()).pem(&file)).unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::SecretMissing);
    assert!(error.to_string().contains("even an empty one must be given"), "{error}");
    signs(Bench::with_secrets(tpm.tcti(), &[(PARENT, "")]).pem(&file)).unwrap();
}

#[test]
fn an_owner_password_is_wanted_only_where_the_primary_must_be_made() {
    let tpm = Swtpm::start();
    let file = tpm.openssl_key("-algorithm EC -pkeyopt group:P-256");
    tpm.tpm2("changeauth -Q -c o test-owner");
    let error = signs(Bench::at(tpm.tcti()).file(&file)).unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::SecretMissing);
    assert!(error.to_string().contains("owner hierarchy"), "{error}");
    let tap = Tap::on(&tpm.socket());
    signs(Bench::with_secrets(tap.tcti(), &[(PARENT, "test-owner")]).file(&file)).unwrap();
    assert!(!tap.seen().iter().any(|seen| seen.command.windows(10).any(|octets| octets == b"test-owner")));
    let error = signs(Bench::with_secrets(tpm.tcti(), &[(PARENT, "test-wrong")]).file(&file)).unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::SecretWrong);

    tpm.tpm2("changeauth -Q -c o -p test-owner");
    tpm.make_srk("0x81000001");
    tpm.tpm2("changeauth -Q -c o test-owner");
    signs(Bench::at(tpm.tcti()).file(&file)).unwrap();
    assert_eq!(tpm.lockout_counter(), 0);
    assert_eq!(tpm.left_behind(), "");
}

#[test]
fn a_persistent_primary_with_a_password_of_its_own_is_passed_over() {
    let (tpm, _) = with_parent_password("|noda");
    let file = tpm.openssl_key("-algorithm EC -pkeyopt group:P-256");
    signs(Bench::at(tpm.tcti()).file(&file)).unwrap();
    assert_eq!(tpm.left_behind(), "");
}

#[test]
fn a_session_is_salted_only_to_the_pinned_key() {
    let (tpm, file) = with_password(PROTECTED);
    let mut bench = Bench::with_secrets(tpm.tcti(), &[(KEY, "test-password")]);
    tpm.tpm2("readpublic -Q -c 0x81000001 -n srk.name");
    let name: String = std::fs::read(tpm.path("srk.name")).unwrap().iter().map(|o| format!("{o:02X}")).collect();
    bench.options.tpm.srk_name = Some(name.parse().unwrap());
    signs(bench.pem(&file)).unwrap();
    bench.options.tpm.srk_name = Some(format!("000b{}", "00".repeat(32)).parse().unwrap());
    let error = signs(bench.pem(&file)).unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::Mismatch);
    assert_eq!(tpm.left_behind(), "");
}

#[test]
fn a_session_for_a_bare_handle_finds_something_to_be_salted_to() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    tpm.make_key("0x81000001", "ecc256", PROTECTED, "-p test-password");
    tpm.persist("0x81000001", "", "0x81000101");
    tpm.tpm2("evictcontrol -Q -C o -c 0x81000001");
    let bench = Bench::with_secrets(tpm.tcti(), &[(KEY, "test-password")]);
    signs(bench.handle("handle:0x81000101")).unwrap();
    tpm.tpm2("changeauth -Q -c o test-owner");
    signs(bench.handle("handle:0x81000101")).unwrap();
    assert_eq!(tpm.left_behind(), "");
}

#[test]
fn a_pinned_persistent_key_serves_whatever_made_it() {
    let tpm = Swtpm::start();
    // tpm2_createprimary's own attributes are not the template's: wrong passwords count.
    tpm.tpm2("createprimary -Q -C o -G ecc -c other.ctx");
    tpm.tpm2("evictcontrol -Q -C o -c other.ctx 0x81000001");
    tpm.make_key("0x81000001", "ecc256", PROTECTED, "-p test-password");
    tpm.persist("0x81000001", "", "0x81000101");
    tpm.tpm2("readpublic -Q -c 0x81000001 -n srk.name");
    let name: String = std::fs::read(tpm.path("srk.name")).unwrap().iter().map(|o| format!("{o:02x}")).collect();
    let tap = Tap::on(&tpm.socket());
    let mut bench = Bench::with_secrets(tap.tcti(), &[(KEY, "test-password")]);
    bench.options.tpm.srk_name = Some(name.parse().unwrap());
    signs(bench.handle("handle:0x81000101")).unwrap();
    assert!(tap.seen().iter().all(|seen| seen.code != CREATE_PRIMARY), "{:x?}", tap.seen());
    drop(tap);
    assert_eq!(tpm.left_behind(), "");
}

#[test]
fn the_owner_key_file_asks_for_the_key_password_too() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    let key = tpm.make_key("0x81000001", "rsa2048", PROTECTED, "-p test-password");
    tpm.tpm2("evictcontrol -Q -C o -c 0x81000001");
    tpm.tpm2("changeauth -Q -c o test-owner");
    let file = pem(&[], OWNER, &key.public(), &key.private());
    let bench = Bench::with_secrets(tpm.tcti(), &[(KEY, "test-password"), (PARENT, "test-owner")]);
    signs(bench.pem(&file)).unwrap();
    assert_eq!(tpm.left_behind(), "");
}

#[test]
fn a_wrong_password_says_where_it_comes_from() {
    let (tpm, pem) = with_password(PROTECTED);
    let (tcti, file) = (tpm.tcti(), tpm.path("key.pem"));
    std::fs::write(&file, pem).unwrap();
    let flags = ["--private-key", text(&file), "--tcti", &tcti, "--tpm-password-source", "env:MY_PASSWORD"];
    let outcome = command::keyanchor(["sign-string"]).args(flags).env("MY_PASSWORD", "test-wrong").input("x").run();
    outcome
        .fails_with(4)
        .stderr_contains("it comes from the environment variable MY_PASSWORD")
        .stderr_lacks("test-wrong");
}
