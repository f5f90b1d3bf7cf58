//! `keyanchor generate`: keys that never leave their device, read and used by other people's tools.

#[cfg(feature = "tpm")]
use std::os::unix::fs::PermissionsExt;

use cryptoki_sys::{
    CKA_DECRYPT, CKA_PRIVATE, CKF_USER_PIN_FINAL_TRY, CKF_WRITE_PROTECTED, CKR_ATTRIBUTE_VALUE_INVALID,
    CKR_DEVICE_ERROR, CKR_DEVICE_MEMORY, CKR_MECHANISM_INVALID, CKR_TEMPLATE_INCONSISTENT, CKR_TOKEN_WRITE_PROTECTED,
};

use crate::support::command::{Outcome, Run, keyanchor};
use crate::support::fault::{Fault, Which};
use crate::support::key::Key;
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN, Token, WRONG_TEST_PIN};
use crate::support::spy::Spy;
#[cfg(feature = "tpm")]
use crate::support::swtpm::Swtpm;
use crate::support::{Folder, openssl, text};

/// Exit codes for usage, for a key or token, and for a PIN.
const USAGE: i32 = 2;
const KEY: i32 = 3;
const PIN: i32 = 4;

const ALGORITHMS: [&str; 6] = ["P-256", "P-384", "P-521", "RSA-2048", "RSA-3072", "RSA-4096"];

fn generate(token: &Token, reference: &str) -> Run {
    keyanchor(["generate", "--private-key", reference, "--pkcs11-lib"])
        .arg(SoftHsm::module())
        .envs(token.env())
        .env("KEYANCHOR_PIN", TEST_USER_PIN)
}

fn with_fault(fault: &Fault, reference: &str, pin: &str) -> Run {
    keyanchor(["generate", "--private-key", reference, "--pkcs11-lib"])
        .arg(Fault::module())
        .envs(fault.env())
        .env("KEYANCHOR_PIN", pin)
}

/// The reference that was printed, alone on its line.
#[track_caller]
fn printed(outcome: &Outcome) -> String {
    let line = outcome.succeeds().text().strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'), "{outcome}");
    line.to_owned()
}

/// A token on which something refused to be made is as it was.
#[track_caller]
fn is_empty(token: &Token) {
    let listing = token.listing();
    assert!(!listing.contains("Object"), "{listing}");
}

#[test]
fn every_kind_of_key_is_made_and_its_request_verified_by_openssl() {
    let token = SoftHsm::new().token("demo");
    for (number, algorithm) in (1..).zip(ALGORITHMS) {
        let id = format!("0{number}");
        let outcome = generate(&token, &format!("pkcs11:token=demo;object={algorithm};id=%{id}"))
            .args(["--algorithm", algorithm])
            .run();
        let reference = printed(&outcome);
        assert!(reference.contains(&format!(";id=%{id};object={algorithm};type=private")), "{reference}");

        let public = token.public_key(&id);
        let folder = Folder::new();
        let der = folder.write("public.der", &public);
        let shown = openssl(&["pkey", "-pubin", "-inform", "DER", "-in", text(&der), "-noout", "-text"]);
        let (family, size) = algorithm.split_once('-').unwrap();
        let wanted = if family == "P" { format!("NIST CURVE: {algorithm}") } else { format!("({size} bit)") };
        assert!(shown.contains(&wanted), "{shown}");

        let request = keyanchor(["csr", "--private-key", &reference, "--subject", "CN=demo", "--pkcs11-lib"])
            .arg(SoftHsm::module())
            .envs(token.env())
            .env("KEYANCHOR_PIN", TEST_USER_PIN)
            .run();
        let request = folder.write("csr.pem", request.succeeds().text());
        let verified = openssl(&["req", "-verify", "-in", text(&request), "-noout", "-pubkey"]);
        assert_eq!(verified, openssl(&["pkey", "-pubin", "-inform", "DER", "-in", text(&der)]));
    }
}

#[test]
fn a_new_key_only_signs_and_never_leaves_the_token() {
    let token = SoftHsm::new().token("demo");
    generate(&token, "pkcs11:token=demo;object=server;id=%01").run().succeeds();
    let listing = token.listing();
    for wanted in [
        "Usage:      sign\n  Access:     sensitive, always sensitive, never extractable, local\n",
        "Usage:      verify\n  Access:     local\n",
    ] {
        assert!(listing.contains(wanted), "{listing}");
    }
}

#[test]
fn without_an_id_two_keys_get_different_ones() {
    let token = SoftHsm::new().token("demo");
    let first = printed(&generate(&token, "pkcs11:token=demo;object=one").run());
    let second = printed(&generate(&token, "pkcs11:token=demo;object=two").run());
    let id = |reference: &str| reference.split(';').find_map(|part| part.strip_prefix("id=").map(str::to_owned));
    assert_eq!(id(&first).unwrap().len(), "%00".len() * 8, "{first}");
    assert_ne!(id(&first), id(&second));
}

#[test]
fn one_login_and_no_more_calls_than_needed() {
    let (token, spy) = (SoftHsm::new().token("demo"), Spy::before(SoftHsm::module()));
    let outcome = keyanchor(["generate", "--private-key", "pkcs11:token=demo;object=server", "--pkcs11-lib"])
        .arg(Spy::module())
        .envs(token.env())
        .envs(spy.env())
        .env("KEYANCHOR_PIN", TEST_USER_PIN)
        .run();
    printed(&outcome);
    let calls = spy.calls();
    assert_eq!((calls.of("C_Login"), calls.of("C_GenerateKeyPair"), calls.of("C_Sign")), (1, 1, 0));
    // The read-write session takes the place of the read-only one.
    assert_eq!((calls.of("C_OpenSession"), calls.of("C_GetAttributeValue")), (2, 2));
}

#[test]
fn a_taken_label_or_id_is_named_and_nothing_is_made() {
    let token = SoftHsm::new().token("demo");
    token.generate(Key::Ec256, "01", "server");
    let before = token.listing();
    for (reference, taken) in [
        ("pkcs11:token=demo;object=server", "the label is taken on token 'demo' by pkcs11:token=demo;serial="),
        ("pkcs11:token=demo;object=server;id=%02", "the label is taken"),
        ("pkcs11:token=demo;object=other;id=%01", "the id is taken"),
    ] {
        let outcome = generate(&token, reference).run();
        outcome.fails_with(KEY).stderr_contains(taken).stderr_contains("id=%01;object=server");
        outcome.stderr_contains("hint: see what is there: keyanchor list --pkcs11-lib ");
        assert_eq!(token.listing(), before);
    }
}

#[test]
fn a_reference_must_name_one_token_and_a_key() {
    let hsm = SoftHsm::new();
    let (token, _other) = (hsm.token("demo"), hsm.token("demo"));
    let outcome = generate(&token, "pkcs11:token=demo;object=server").run();
    outcome.fails_with(KEY).stderr_contains("selects 2").stderr_contains("serial=");
    is_empty(&token);
    let outcome = generate(&token, "pkcs11:token=demo;object=server;type=cert").run();
    outcome.fails_with(KEY).stderr_contains("type=private");
    let outcome = generate(&token, "pkcs11:token=demo").run();
    outcome.fails_with(USAGE).stderr_contains("neither a label (object=) nor a CKA_ID (id=)");
    is_empty(&token);
    generate(&token, "pkcs11:token=none;object=server").run().fails_with(KEY);
    let outcome = generate(&token, "pkcs11:object=server").args(["--algorithm", "Ed25519"]).run();
    outcome.fails_with(2).stderr_contains("--algorithm: wanted one of P-256, P-384").stderr_contains("'Ed25519'");
    let outcome = generate(&token, "pkcs11:object=server").args(["--tpm-parent", "handle:0x81000001"]).run();
    outcome.fails_with(2).stderr_contains("--tpm-parent");
    keyanchor(["generate"]).run().fails_with(2);
}

#[test]
fn a_token_that_refuses_an_attribute_is_told_less_once() {
    let token = SoftHsm::new().token("demo");
    let fault = Fault::of(token.hsm()).taboo(CKA_DECRYPT);
    printed(&with_fault(&fault, "pkcs11:token=demo;object=one", TEST_USER_PIN).run());
    assert_eq!(fault.calls().of("C_GenerateKeyPair"), 2);
    assert!(token.listing().contains("sensitive, always sensitive, never extractable, local"));

    for answer in [CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_VALUE_INVALID] {
        let fault = Fault::of(token.hsm()).error("C_GenerateKeyPair", Which::Nth(1), answer);
        printed(&with_fault(&fault, &format!("pkcs11:token=demo;object={answer}"), TEST_USER_PIN).run());
        assert_eq!(fault.calls().of("C_GenerateKeyPair"), 2);
    }
}

#[test]
fn a_token_that_refuses_both_ways_is_not_asked_a_third_time() {
    let token = SoftHsm::new().token("demo");
    let fault = Fault::of(token.hsm()).error("C_GenerateKeyPair", Which::Every, CKR_TEMPLATE_INCONSISTENT);
    let outcome = with_fault(&fault, "pkcs11:token=demo;object=server", TEST_USER_PIN).run();
    outcome.fails_with(KEY).stderr_contains("(CKR_TEMPLATE_INCONSISTENT from C_GenerateKeyPair)");
    assert_eq!(fault.calls().of("C_GenerateKeyPair"), 2);
    let fault = Fault::of(token.hsm()).taboo(CKA_PRIVATE);
    with_fault(&fault, "pkcs11:token=demo;object=server", TEST_USER_PIN).run().fails_with(KEY);
    is_empty(&token);
}

#[test]
fn a_write_protected_token_costs_no_pin() {
    let token = SoftHsm::new().token("demo");
    let fault = Fault::of(token.hsm()).flags(CKF_WRITE_PROTECTED, 0);
    let outcome = with_fault(&fault, "pkcs11:token=demo;object=server", TEST_USER_PIN).run();
    outcome.fails_with(KEY).stderr_contains("token 'demo': the token is write-protected");
    assert_eq!(fault.calls().of("C_Login"), 0);
    // Some say so only when it is tried.
    let fault = Fault::of(token.hsm()).error("C_OpenSession", Which::Nth(2), CKR_TOKEN_WRITE_PROTECTED);
    let outcome = with_fault(&fault, "pkcs11:token=demo;object=server", TEST_USER_PIN).run();
    outcome.fails_with(KEY).stderr_contains("write-protected (CKR_TOKEN_WRITE_PROTECTED from C_OpenSession)");
    is_empty(&token);
}

#[test]
fn a_full_token_and_a_missing_mechanism_have_their_own_words() {
    let token = SoftHsm::new().token("demo");
    for (answer, said) in [
        (CKR_DEVICE_MEMORY, "the token is full"),
        (CKR_MECHANISM_INVALID, "the token does not make keys of this type and size"),
    ] {
        let fault = Fault::of(token.hsm()).error("C_GenerateKeyPair", Which::Every, answer);
        let outcome = with_fault(&fault, "pkcs11:token=demo;object=server", TEST_USER_PIN).run();
        outcome.fails_with(KEY).stderr_contains(said).stderr_contains("from C_GenerateKeyPair)");
        assert_eq!(fault.calls().of("C_GenerateKeyPair"), 1);
    }
    is_empty(&token);
}

#[test]
fn what_was_made_is_taken_out_again_when_something_fails_later() {
    let token = SoftHsm::new().token("demo");
    for fault in [
        Fault::of(token.hsm()).error("C_GetAttributeValue", Which::Nth(1), CKR_DEVICE_ERROR),
        Fault::of(token.hsm()).error("C_GetAttributeValue", Which::Nth(2), CKR_DEVICE_ERROR),
    ] {
        let outcome = with_fault(&fault, "pkcs11:token=demo;object=server", TEST_USER_PIN).run();
        outcome.fails_with(KEY).stderr_contains("the new key was taken out again: token 'demo': the device failed");
        is_empty(&token);
    }
    let fault = Fault::of(token.hsm()).exportable();
    let outcome = with_fault(&fault, "pkcs11:token=demo;object=server", TEST_USER_PIN).run();
    outcome.fails_with(KEY).stderr_contains("wanted a key that cannot be exported");
    is_empty(&token);
    let fault = Fault::of(token.hsm()).exportable().error("C_DestroyObject", Which::Every, CKR_DEVICE_ERROR);
    let outcome = with_fault(&fault, "pkcs11:token=demo;object=server;id=%09", TEST_USER_PIN).run();
    outcome.fails_with(KEY).stderr_contains("id=%09;object=server;type=private could not be taken out again");
}

#[test]
fn a_wrong_pin_is_tried_once_and_a_last_try_not_at_all() {
    let token = SoftHsm::new().token("demo");
    let fault = Fault::of(token.hsm());
    let outcome = with_fault(&fault, "pkcs11:token=demo;object=server", WRONG_TEST_PIN).run();
    outcome.fails_with(PIN).stderr_contains("it was tried once and not again");
    assert_eq!((fault.user_pins_tried(), fault.calls().of("C_GenerateKeyPair")), (1, 0));

    let fault = Fault::of(token.hsm()).flags(CKF_USER_PIN_FINAL_TRY, 0);
    let outcome = with_fault(&fault, "pkcs11:token=demo;object=server", TEST_USER_PIN).run();
    outcome.fails_with(PIN).stderr_contains("--use-final-try");
    assert_eq!(fault.user_pins_tried(), 0);
    is_empty(&token);
}

#[cfg(feature = "tpm")]
fn in_tpm(tpm: &Swtpm, reference: &str) -> Run {
    keyanchor(["generate", "--private-key", reference, "--tcti", &tpm.tcti()])
}

#[cfg(feature = "tpm")]
#[test]
fn a_key_at_a_handle_is_the_tpm_s_and_signs() {
    let tpm = Swtpm::start();
    assert_eq!(printed(&in_tpm(&tpm, "handle:81000101").run()), "handle:0x81000101");
    let public = tpm.tool("tpm2_readpublic -c 0x81000101");
    assert!(public.contains("value: fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign\n"), "{public}");
    keyanchor(["sign-string", "--tpm", "handle:0x81000101", "--no-tpm-key-password", "--tcti", &tpm.tcti()])
        .run()
        .succeeds();

    let outcome = in_tpm(&tpm, "handle:0x81000101").run();
    outcome.fails_with(KEY).stderr_contains("handle:0x81000101 is taken already");
    assert_eq!(tpm.tool("tpm2_readpublic -c 0x81000101"), public);
    let outcome = in_tpm(&tpm, "handle:0x81000102").args(["--description", "x"]).run();
    outcome.fails_with(2).stderr_contains("--description");
    assert_eq!(tpm.left_behind(), "");
}

#[cfg(feature = "tpm")]
#[test]
fn a_key_file_is_the_person_s_alone_and_openssl_signs_with_it() {
    let tpm = Swtpm::start();
    std::fs::write(tpm.path("message"), "test message").unwrap();
    for algorithm in ["P-256", "P-384", "P-521", "RSA-2048", "RSA-3072"] {
        let file = tpm.path(&format!("{algorithm}.pem"));
        let outcome = in_tpm(&tpm, text(&file)).args(["--algorithm", algorithm]).run();
        assert_eq!(printed(&outcome), text(&file));
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        let provider = "-provider tpm2 -provider default -propquery ?provider=tpm2";
        tpm.tool(&format!("openssl pkey {provider} -in {algorithm}.pem -pubout -out ours.pub"));
        tpm.tool(&format!("openssl dgst {provider} -sha256 -sign {algorithm}.pem -out signature message"));
        tpm.tool("openssl dgst -sha256 -verify ours.pub -signature signature message");
    }
    let outcome = in_tpm(&tpm, text(&tpm.path("big.pem"))).args(["--algorithm", "RSA-4096"]).run();
    outcome.fails_with(KEY).stderr_contains("TPM2_Create");
    assert!(!tpm.path("big.pem").exists());
    assert_eq!(tpm.left_behind(), "");
}

#[cfg(feature = "tpm")]
#[test]
fn parent_password_and_description_are_the_person_s_choice() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    let file = tpm.path("key.pem");
    let outcome = in_tpm(&tpm, text(&file))
        .args(["--tpm-parent", "handle:0x81000001", "--description", "the key of web-01"])
        .env("KEYANCHOR_TPM_PASSWORD", "test-password")
        .run();
    printed(&outcome);
    let shown = tpm.tool("openssl asn1parse -in key.pem");
    assert!(shown.contains("the key of web-01") && shown.contains("INTEGER           :81000001"), "{shown}");
    let sign = || keyanchor(["sign-string", "--tpm", text(&file), "--tcti", &tpm.tcti()]);
    sign().env("KEYANCHOR_TPM_PASSWORD", "test-password").run().succeeds();
    sign().run().fails_with(PIN);
}

#[cfg(feature = "tpm")]
#[test]
fn a_file_that_is_there_stays_and_a_folder_that_is_not_is_told() {
    let tpm = Swtpm::start();
    let file = tpm.path("precious.pem");
    std::fs::write(&file, "precious").unwrap();
    let outcome = in_tpm(&tpm, text(&file)).run();
    outcome.fails_with(KEY).stderr_contains("precious.pem is there already, and nothing is overwritten");
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    let link = tpm.path("link.pem");
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    in_tpm(&tpm, text(&link)).run().fails_with(KEY).stderr_contains("is there already");
    let outcome = in_tpm(&tpm, text(&tpm.path("no/such/key.pem"))).run();
    outcome.fails_with(KEY).stderr_contains("cannot write the key file");
    let outcome = keyanchor(["generate", "--private-key", "new.pem", "--tcti", "device:/nonexistent/tpm"]).run();
    outcome.fails_with(KEY).stderr_contains("the new TPM key: wanted a TPM at /nonexistent/tpm");
}
