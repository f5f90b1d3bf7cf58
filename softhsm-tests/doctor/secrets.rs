//! PINs without a source, sources without a PIN, and tokens that count wrong ones. Nothing of this costs a try.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cryptoki_sys::{CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY};

use super::{Report, Scene};
use crate::support::Folder;
use crate::support::command::{Run, keyanchor, tool};
use crate::support::fault::Fault;
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN};

/// `doctor` that takes the PIN from this source.
fn from_source(scene: &Scene, source: &str) -> Run {
    let run = scene
        .sandbox
        .command("doctor", ["--json", "--pkcs11", "pkcs11:token=demo;object=server", "--pin-source", source]);
    run.arg("--pkcs11-lib").arg(SoftHsm::module()).envs(scene.token.env())
}

#[test]
fn a_source_that_gives_no_pin_is_told_before_anybody_needs_it() {
    let scene = Scene::new();
    for (source, found, mend) in [
        ("file:/nonexistent/pin", "from /nonexistent/pin: No such file", "umask 077; cat > /nonexistent/pin"),
        ("env:NO_SUCH_PIN", "variable NO_SUCH_PIN, which is not set", "read -rs NO_SUCH_PIN && export NO_SUCH_PIN"),
        ("fd:77", "descriptor 77, which is not open", "77< FILE"),
        ("credential:pin", "CREDENTIALS_DIRECTORY is not set", "LoadCredential=pin:PATH"),
        ("prompt", "no terminal to ask on", "--pin-source file:PATH"),
    ] {
        let report = Report::of(from_source(&scene, source), 4);
        report.only_bad(&["secret.user-pin"]).says("secret.user-pin", "bad", found).mends("secret.user-pin", mend);
        // With --sign, the road ends there.
        let report = Report::of(from_source(&scene, source).arg("--sign"), 4);
        report.only_bad(&["secret.user-pin"]).says("key.signature", "skip", "waits for secret.user-pin");
    }
}

#[test]
fn a_pin_file_that_others_read_or_this_account_cannot_is_told() {
    let scene = Scene::new();
    let folder = Folder::new();
    let file = folder.write("pin", TEST_USER_PIN);
    let set = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    let source = format!("file:{}", file.display());
    set(&file, 0o600);
    Report::of(from_source(&scene, &source), 0).says("secret.user-pin", "good", "(mode 0600)");

    set(folder.path(), 0o711);
    set(&file, 0o644);
    // The commands take it, so it is no fault.
    let report = Report::of(from_source(&scene, &source), 0);
    report.says("secret.user-pin", "note", "every account can read the user PIN");
    report.mends("secret.user-pin", &format!("chmod 600 {}", file.display()));

    set(&file, 0o600);
    if rustix::process::geteuid().is_root() {
        // The token's files are for everybody, the PIN is not.
        tool("chmod", ["-R", "a+rwX", scene.token.hsm().path().to_str().unwrap()], Vec::new());
        let run = keyanchor(["doctor", "--json", "--pkcs11", "pkcs11:token=demo", "--pin-source", &source]);
        let run = run.arg("--pkcs11-lib").arg(SoftHsm::module()).envs(scene.token.env()).unprivileged();
        let report = Report::of(run, 4);
        report.only_bad(&["secret.user-pin"]).says("secret.user-pin", "bad", "which this account may not read");
        report.mends("secret.user-pin", &format!("namei -l {}", file.display()));
    }
}

#[test]
fn what_a_token_counts_is_told_and_nothing_is_tried() {
    let scene = Scene::new();
    let doctor = |fault: &Fault| {
        let run =
            scene.sandbox.command("doctor", ["--json", "--sign", "--pkcs11", "pkcs11:token=demo", "--pkcs11-lib"]);
        run.arg(Fault::module()).envs(fault.env()).env("KEYANCHOR_PIN", TEST_USER_PIN)
    };
    for (fault, found, mend) in [
        (Fault::of(scene.token.hsm()).locked(), "is locked", "--login-type so --init-pin"),
        (
            Fault::of(scene.token.hsm()).flags(CKF_USER_PIN_FINAL_TRY, 0),
            "one more wrong PIN locks it",
            "--use-final-try",
        ),
    ] {
        let report = Report::of(doctor(&fault), 4);
        report.only_bad(&["secret.tries"]).says("secret.tries", "bad", found).mends("secret.tries", mend);
        report.says("key.found", "skip", "waits for secret.tries");
        assert_eq!(fault.calls().of("C_Login"), 0);
    }
    let fault = Fault::of(scene.token.hsm()).flags(CKF_USER_PIN_COUNT_LOW, 0);
    Report::of(doctor(&fault), 0).says("secret.tries", "note", "a wrong PIN was entered");
    let fault = Fault::of(scene.token.hsm()).flags(CKF_USER_PIN_FINAL_TRY, 0);
    Report::of(doctor(&fault).arg("--use-final-try"), 0).says("secret.tries", "note", "--use-final-try allows");
    assert_eq!(fault.calls().of("C_Login"), 1);
}

#[test]
fn a_wrong_pin_is_tried_once_and_only_with_sign() {
    let scene = Scene::new();
    let fault = Fault::of(scene.token.hsm());
    let run = scene.sandbox.command("doctor", ["--json", "--pkcs11", "pkcs11:token=demo", "--pkcs11-lib"]);
    let run = run.arg(Fault::module()).envs(fault.env()).env("KEYANCHOR_PIN", crate::support::softhsm::WRONG_TEST_PIN);
    let report = Report::of(run.arg("--sign"), 4);
    report.only_bad(&["key.found"]).says("key.found", "bad", "it was tried once and not again");
    assert_eq!((fault.wrong_pins(), fault.calls().of("C_Sign")), (1, 0));
}

#[test]
fn a_key_that_wants_a_pin_for_each_signature_needs_a_source_for_it() {
    let scene = Scene::new();
    let doctor = |fault: &Fault| {
        let run =
            scene.sandbox.command("doctor", ["--json", "--sign", "--pkcs11", "pkcs11:token=demo", "--pkcs11-lib"]);
        run.arg(Fault::module()).envs(fault.env()).env("KEYANCHOR_PIN", TEST_USER_PIN)
    };
    let fault = Fault::of(scene.token.hsm()).context_pin("test-context-pin");
    let report = Report::of(doctor(&fault), 4);
    report.only_bad(&["secret.context-pin"]).mends("secret.context-pin", "KEYANCHOR_CONTEXT_PIN");
    report.says("key.signature", "skip", "waits for secret.context-pin");
    assert_eq!((fault.context_pins_tried(), fault.calls().of("C_Sign")), (0, 0));

    let report = Report::of(doctor(&fault).env("KEYANCHOR_CONTEXT_PIN", "test-context-pin"), 0);
    report.says("secret.context-pin", "good", "KEYANCHOR_CONTEXT_PIN").says("key.signature", "good", "");
    assert_eq!((fault.context_pins_tried(), fault.calls().of("C_Sign")), (1, 1));
}

#[test]
fn a_pin_in_the_uri_is_noted_and_not_repeated() {
    let scene = Scene::new();
    let uri = format!("pkcs11:token=demo;object=server?pin-value={TEST_USER_PIN}");
    let report = Report::of(scene.doctor_on(&uri), 0);
    report
        .says("secret.user-pin", "note", "stands on the command line")
        .mends("secret.user-pin", "--pin-source file:PATH");
    assert!(!report.1.text().contains(TEST_USER_PIN) && !report.1.stderr.contains(TEST_USER_PIN), "{}", report.1);
}
