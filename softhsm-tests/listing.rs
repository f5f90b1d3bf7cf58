//! `keyanchor list`: what it says of tokens and TPMs, and whether its references select what they stand beside.

use cryptoki_sys::{CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED, CKF_USER_PIN_TO_BE_CHANGED, CKF_WRITE_PROTECTED};
use serde_json::{Value, json};

use crate::support::command::{Run, keyanchor};
use crate::support::fault::Fault;
use crate::support::key::{Key, KeyFile};
use crate::support::pki::{Ca, Draft};
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN, Token};
use crate::support::spy::Spy;
#[cfg(feature = "tpm")]
use crate::support::swtpm::Swtpm;

const KEY: i32 = 3;

fn list(token: &Token) -> Run {
    keyanchor(["list", "--pkcs11-lib"]).arg(SoftHsm::module()).envs(token.env()).env("KEYANCHOR_PIN", TEST_USER_PIN)
}

/// The only device of a listing.
#[track_caller]
fn device(run: Run) -> Value {
    let listing = run.arg("--json").run().succeeds().json();
    let devices = listing["devices"].as_array().unwrap();
    assert_eq!(devices.len(), 1, "{listing:#}");
    devices[0].clone()
}

fn labelled<'a>(entries: &'a Value, label: &str) -> &'a Value {
    entries.as_array().unwrap().iter().find(|entry| entry["label"] == label).unwrap_or(&Value::Null)
}

#[test]
fn without_a_login_certificates_and_public_halves_show() {
    let (token, spy) = (SoftHsm::new().token("demo"), Spy::before(SoftHsm::module()));
    token.identity(Key::Ec256, "01", "server", &Ca::root("Test Root"));
    let run = keyanchor(["list", "--pkcs11", "pkcs11:token=demo", "--pkcs11-lib"]).arg(Spy::module());
    let outcome = run.envs(token.env()).envs(spy.env()).env("KEYANCHOR_PIN", TEST_USER_PIN).run();
    let text = outcome.succeeds().text();
    assert!(text.starts_with("token 'demo': wants a login; --login shows what is private  pkcs11:token=demo;serial="));
    let lines: Vec<_> = text.lines().skip(1).collect();
    assert_eq!(lines.len(), 2, "{outcome}");
    assert!(lines[0].trim_start().starts_with("public half"), "{outcome}");
    assert!(lines[0].ends_with(";id=%01;object=server;type=private") && lines[0].contains(" P-256 "), "{outcome}");
    assert!(lines[1].starts_with("    certificate ") && lines[1].contains(" CN=server "), "{outcome}");
    assert!(lines[1].contains(" until 20") && lines[1].ends_with(";id=%01;object=server;type=cert"), "{outcome}");
    assert_eq!(spy.calls().of("C_Login"), 0);
}

#[test]
fn every_reference_can_be_pasted() {
    let token = SoftHsm::new().token("demo & sons");
    let ca = Ca::root("Test Root");
    token.identity(Key::Ec256, "01", "a;b c", &ca);
    token.identity(Key::Rsa2048, "ff00", "zwei", &ca);
    let device = device(list(&token).arg("--login"));
    for key in device["keys"].as_array().unwrap() {
        let reference = key["reference"].as_str().unwrap();
        let sign = keyanchor(["sign-string", "--private-key", reference, "--pkcs11-lib"]).arg(SoftHsm::module());
        sign.envs(token.env()).env("KEYANCHOR_PIN", TEST_USER_PIN).run().succeeds();
        let certificate = key["certificates"][0].as_str().unwrap();
        let show = keyanchor(["certificate", "show", "--certificate", certificate, "--pkcs11-lib"]);
        show.arg(SoftHsm::module()).envs(token.env()).run().succeeds().stdout_contains("subject          CN=");
    }
    let again = keyanchor(["list", "--pkcs11", device["reference"].as_str().unwrap(), "--pkcs11-lib"]);
    again.arg(SoftHsm::module()).envs(token.env()).run().succeeds();
}

#[test]
fn protection_and_use_of_each_key_are_told() {
    let token = SoftHsm::new().token("demo");
    token.generate(Key::Ec256, "01", "made");
    token.generate_always_authenticate(Key::Ec384, "02", "asks");
    token.import_key(&KeyFile::generate(Key::Rsa2048).pkcs8_der(), "03", "brought");
    token.generate(Key::Ed25519, "04", "edwards");
    let device = device(list(&token).arg("--login"));
    assert_eq!(
        (&device["kind"], &device["loggedIn"], &device["mayHide"]),
        (&json!("token"), &json!(true), &json!(false))
    );
    let made = labelled(&device["keys"], "made");
    let attributes = json!({
        "sensitive": true, "extractable": false, "neverExtractable": true, "local": true,
        "alwaysAuthenticate": false, "sign": true,
    });
    assert_eq!(made["attributes"], attributes, "{made:#}");
    for (label, algorithm, exportable, never_left, pin) in [
        ("made", json!("P-256"), false, true, false),
        ("asks", json!("P-384"), false, true, true),
        ("brought", json!("RSA-2048"), false, false, false),
        ("edwards", Value::Null, false, true, false),
    ] {
        let key = labelled(&device["keys"], label);
        let found = (&key["algorithm"], &key["exportable"], &key["neverLeft"], &key["pinPerSignature"]);
        assert_eq!(found, (&algorithm, &json!(exportable), &json!(never_left), &json!(pin)), "{key:#}");
        assert_eq!((&key["needsLogin"], &key["publicOnly"]), (&json!(true), &json!(false)), "{key:#}");
    }
    assert_eq!(labelled(&device["keys"], "edwards")["otherKind"], "an Edwards key (Ed25519 or Ed448)");
    let text = list(&token).arg("--login").run();
    for wanted in ["never left", "not exportable", "PIN per signature", "no certificate"] {
        text.stdout_contains(wanted);
    }
}

#[test]
fn a_certificate_stands_below_its_key_whatever_its_names() {
    let token = SoftHsm::new().token("demo");
    let ca = Ca::root("Test Root");
    token.generate(Key::Ec256, "01", "server");
    let expired = ca.issue(&Draft::leaf("old").expired(), &token.public_key("01"));
    token.import_certificate(&expired, "77", "elsewhere");
    token.import_certificate(&ca.certificate, "", "root");
    let device = device(list(&token).arg("--login"));
    let (old, root) = (labelled(&device["certificates"], "elsewhere"), labelled(&device["certificates"], "root"));
    assert_eq!(old["key"], labelled(&device["keys"], "server")["reference"]);
    assert_eq!(
        (&old["subject"], &old["ca"], &root["ca"], &root["key"]),
        (&json!("CN=old"), &json!(false), &json!(true), &Value::Null)
    );
    let text = list(&token).arg("--login").run();
    text.stdout_contains(" expired ").stdout_contains(" CA ");
}

#[test]
fn equal_names_are_told_because_the_reference_selects_both() {
    let token = SoftHsm::new().token("demo");
    token.generate(Key::Ec256, "01", "twin");
    token.generate(Key::Ec256, "01", "twin");
    let device = device(list(&token).arg("--login"));
    let keys = device["keys"].as_array().unwrap();
    assert!(keys.len() == 2 && keys.iter().all(|key| key["ambiguous"] == true), "{device:#}");
    list(&token).arg("--login").run().stdout_contains("(selects several)");
}

#[test]
fn what_a_token_calls_itself_does_not_steer_the_terminal() {
    let token = SoftHsm::new().token("demo\u{1b}[31m");
    let outcome = list(&token).run();
    outcome.succeeds().stdout_contains("token 'demo\\u{1b}[31m'");
    assert!(!outcome.text().contains('\u{1b}'), "{outcome}");
}

#[test]
fn the_state_of_the_pin_is_told_and_no_try_is_spent() {
    let token = SoftHsm::new().token("demo");
    for (flags, said, field) in [
        (CKF_USER_PIN_LOCKED, "PIN locked", "locked"),
        (CKF_USER_PIN_FINAL_TRY, "one more wrong PIN locks it", "finalTry"),
        (CKF_USER_PIN_TO_BE_CHANGED, "PIN to be changed", "toBeChanged"),
    ] {
        let fault = Fault::of(token.hsm()).flags(flags | CKF_WRITE_PROTECTED, 0);
        let run = || keyanchor(["list", "--pkcs11-lib"]).arg(Fault::module()).envs(fault.env());
        run().run().succeeds().stdout_contains(said).stdout_contains("write-protected");
        let device = device(run());
        assert_eq!((&device["pin"][field], &device["writeProtected"]), (&json!(true), &json!(true)), "{device:#}");
        assert_eq!(fault.calls().of("C_Login"), 0);
    }
}

#[test]
fn several_tokens_are_listed_but_not_logged_in_to() {
    let hsm = SoftHsm::new();
    let (one, _two) = (hsm.token("one"), hsm.token("two"));
    let outcome = list(&one).run();
    outcome.succeeds().stdout_contains("token 'one'").stdout_contains("token 'two'");
    let outcome = list(&one).arg("--login").run();
    outcome.fails_with(KEY).stderr_contains("wanted one token").stderr_contains("'pkcs11:token=two;serial=");
    list(&one).args(["--login", "--pkcs11", "pkcs11:token=two"]).run().succeeds();
}

#[test]
fn a_missing_device_is_a_note_unless_a_flag_names_it() {
    let nothing = |arguments: &[&str]| {
        keyanchor(["list"])
            .args(arguments)
            .env("KEYANCHOR_PKCS11_LIB", "/nonexistent/module.so")
            .env("TPM_DEVICE", "/nonexistent/tpm")
            .run()
    };
    let outcome = nothing(&[]);
    outcome.succeeds().stderr_contains("warning: not listed: wanted the PKCS#11 module /nonexistent/module.so");
    outcome.stderr_contains("warning: not listed: wanted a TPM at /nonexistent/tpm");
    assert_eq!(outcome.text(), "");
    assert_eq!(nothing(&["--json"]).json(), json!({ "devices": [] }));
    for flags in [["--pkcs11-lib", "/nonexistent/module.so"], ["--tcti", "/nonexistent/tpm"], ["--pkcs11", "pkcs11:"]] {
        nothing(&flags).fails_with(KEY);
    }
    nothing(&["--private-key", "key.pem"]).fails_with(2).stderr_contains("found a file");
}

#[cfg(feature = "tpm")]
#[test]
fn persistent_keys_of_a_tpm_show_what_they_may_do() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    let reference = "handle:0x81000101";
    keyanchor(["generate", "--private-key", reference, "--tcti", &tpm.tcti()]).run().succeeds();
    let device = device(keyanchor(["list", "--tcti", &tpm.tcti()]));
    assert_eq!((&device["kind"], device["keys"].as_array().unwrap().len()), (&json!("tpm"), 2));
    let key = |reference: &str| {
        device["keys"].as_array().unwrap().iter().find(|key| key["reference"] == reference).unwrap().clone()
    };
    let attributes = |decrypt: bool| {
        json!({
            "fixedTPM": true, "fixedParent": true, "sensitiveDataOrigin": true, "userWithAuth": true, "noDA": true,
            "sign": !decrypt, "decrypt": decrypt, "restricted": decrypt,
        })
    };
    let (srk, made) = (key("handle:0x81000001"), key(reference));
    assert_eq!((&srk["attributes"], &srk["signs"]), (&attributes(true), &json!(false)));
    assert_eq!((&made["attributes"], &made["signs"]), (&attributes(false), &json!(true)));
    assert_eq!((&made["algorithm"], &made["neverLeft"]), (&json!("P-256"), &json!(true)));
    let text = keyanchor(["list", "--tcti", &tpm.tcti()]).run();
    text.succeeds().stdout_contains("does not sign").stdout_contains(reference);
    assert_eq!(tpm.left_behind(), "");
}
