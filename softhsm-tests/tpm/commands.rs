//! The commands that a signature costs, counted between the program and the TPM.

use super::{Bench, NO_PASSWORD, OWNER, PROTECTED, SIGNING, SRK, pem, signs};
use crate::support::swtpm::Swtpm;
use crate::support::tap::{
    CREATE_PRIMARY, FLUSH_CONTEXT, GET_CAPABILITY, LOAD, READ_PUBLIC, SIGN, START_AUTH_SESSION, Tap,
};
use keyanchor::key::{SecretKind, SigningInput};

#[test]
fn a_persistent_handle_without_password_costs_two() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    tpm.make_key("0x81000001", "ecc256", SIGNING, "");
    tpm.persist("0x81000001", "", "0x81000101");
    let tap = Tap::on(&tpm.socket());
    let key = Bench::at(tap.tcti()).handle("handle:0x81000101").unwrap();
    assert_eq!(tap.take_codes(), [READ_PUBLIC]);
    let input = SigningInput::new(b"test message".to_vec(), keyanchor::key::HashAlgorithm::Sha256);
    for _ in 0..2 {
        key.sign(&input).unwrap();
        assert_eq!(tap.take_codes(), [SIGN], "a server's next signature costs one");
    }
}

#[test]
fn a_key_file_under_a_persistent_parent_costs_four() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    let key = tpm.make_key("0x81000001", "rsa2048", SIGNING, "");
    let tap = Tap::on(&tpm.socket());
    let key = Bench::at(tap.tcti()).pem(&pem(NO_PASSWORD, SRK, &key.public(), &key.private())).unwrap();
    assert_eq!(tap.take_codes(), [0; 0], "the file tells the public key");
    signs(Ok(key)).unwrap();
    assert_eq!(tap.take_codes(), [READ_PUBLIC, LOAD, SIGN, FLUSH_CONTEXT]);
}

#[test]
fn under_the_owner_hierarchy_a_persistent_primary_saves_making_it() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    let key = tpm.make_key("0x81000001", "ecc256", SIGNING, "");
    let file = pem(NO_PASSWORD, OWNER, &key.public(), &key.private());
    let tap = Tap::on(&tpm.socket());
    signs(Bench::at(tap.tcti()).pem(&file)).unwrap();
    assert_eq!(tap.take_codes(), [GET_CAPABILITY, READ_PUBLIC, LOAD, SIGN, FLUSH_CONTEXT]);

    tpm.tpm2("evictcontrol -Q -C o -c 0x81000001");
    signs(Bench::at(tap.tcti()).pem(&file)).unwrap();
    assert_eq!(tap.take_codes(), [GET_CAPABILITY, CREATE_PRIMARY, LOAD, SIGN, FLUSH_CONTEXT, FLUSH_CONTEXT]);

    // Another customary handle serves as well.
    tpm.make_srk("0x81000002");
    signs(Bench::at(tap.tcti()).pem(&file)).unwrap();
    assert_eq!(tap.take_codes(), [GET_CAPABILITY, READ_PUBLIC, LOAD, SIGN, FLUSH_CONTEXT]);
}

#[test]
fn a_persistent_key_that_is_another_template_costs_one_look() {
    let tpm = Swtpm::start();
    // What tpm2_createprimary makes unasked: RSA, and not exempt from lockout.
    tpm.tpm2("createprimary -Q -C o -c srk.ctx");
    tpm.tpm2("evictcontrol -Q -C o -c srk.ctx 0x81000001");
    let file = tpm.openssl_key("-algorithm EC -pkeyopt group:P-256");
    let tap = Tap::on(&tpm.socket());
    signs(Bench::at(tap.tcti()).file(&file)).unwrap();
    assert_eq!(
        tap.take_codes(),
        [GET_CAPABILITY, READ_PUBLIC, CREATE_PRIMARY, LOAD, SIGN, FLUSH_CONTEXT, FLUSH_CONTEXT]
    );
}

#[test]
fn a_password_costs_a_session_and_one_signature() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    let key = tpm.make_key("0x81000001", "ecc256", PROTECTED, "-p test-password");
    let tap = Tap::on(&tpm.socket());
    let bench = Bench::with_secrets(tap.tcti(), &[(SecretKind::TpmKeyPassword, "test-password")]);
    signs(bench.pem(&pem(&[], SRK, &key.public(), &key.private()))).unwrap();
    let mut codes = tap.take_codes();
    assert_eq!(codes.split_off(4), [FLUSH_CONTEXT; 2]);
    assert_eq!(codes, [READ_PUBLIC, LOAD, START_AUTH_SESSION, SIGN]);
}

#[test]
fn neither_password_nor_digest_is_on_the_wire() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    let key = tpm.make_key("0x81000001", "ecc256", PROTECTED, "-p test-password");
    let tap = Tap::on(&tpm.socket());
    let bench = Bench::with_secrets(tap.tcti(), &[(SecretKind::TpmKeyPassword, "test-password")]);
    let key = bench.pem(&pem(&[], SRK, &key.public(), &key.private())).unwrap();
    let input = SigningInput::new(b"test message".to_vec(), keyanchor::key::HashAlgorithm::Sha256);
    key.sign(&input).unwrap();
    let seen = tap.seen();
    let has = |needle: &[u8]| seen.iter().any(|seen| seen.command.windows(needle.len()).any(|at| at == needle));
    assert!(has(b"\x00\x00\x01\x5d"), "the tap sees commands");
    assert!(!has(b"test-password"));
    assert!(!has(input.digest()));
}
