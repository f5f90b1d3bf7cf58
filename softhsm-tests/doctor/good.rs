//! Whole roads: nothing is bad, and the exit code is 0.

use super::{Report, Scene};
use crate::support::key::Key;
use crate::support::pki::Ca;
use crate::support::sandbox::Sandbox;

#[test]
fn a_token_with_its_service_is_good_without_a_login() {
    let scene = Scene::new();
    let report = Report::of(scene.doctor(), 0);
    report
        .only_bad(&[])
        .says("device.library", "good", "libsofthsm2.so, named by --pkcs11-lib")
        .says("device.start", "good", "SoftHSM")
        .says("device.token", "good", "token 'demo', which wants a login with a PIN")
        .says("secret.tries", "good", "no wrong PIN")
        .says("secret.user-pin", "good", "the variable KEYANCHOR_PIN")
        .says("certificate.found", "good", "CN=server")
        .says("certificate.validity", "good", "29 days from now")
        .says("certificate.key-usage", "good", "")
        .says("key.found", "note", "needs login: the public half of pkcs11:token=demo;")
        .says("key.certificate", "good", "for this key")
        .says("key.mechanism", "good", "CKM_ECDSA")
        .says("key.signature", "skip", "not tried")
        .says("session.arns", "good", "ExampleRole")
        .says("network.name", "good", "127.0.0.1")
        .says("network.tls", "good", "TLSv1_3, key exchange X25519MLKEM768, certificate issued by CN=keyanchor sandbox")
        .says("network.answer", "good", "HTTP 405")
        .says("clock", "good", "0 s");
    // One HEAD, and nothing that asks for credentials.
    let log = scene.sandbox.log();
    assert_eq!(scene.sandbox.requests("/sessions").len(), 1, "{log}");
    assert!(log.contains("method=\"HEAD\"") && !log.contains("method=\"POST\""), "{log}");
}

#[test]
fn with_sign_the_key_is_opened_and_signs() {
    let scene = Scene::new();
    let anchor = scene.ca.certificate.pem_path();
    let report = Report::of(scene.doctor().arg("--sign").arg("--trust-anchor").arg(anchor), 0);
    report
        .only_bad(&[])
        .says("key.found", "good", "object=server")
        .says("key.certificate", "good", "for this key")
        .says("key.attributes", "good", "made on the device and cannot leave it")
        .says("key.signature", "good", "made and verified one signature")
        .says("chain.anchor", "good", "")
        .says("chain.issuers", "good", "the issuer that was found is a CA");
    assert_eq!(report.check("key.attributes")["details"]["exportable"], false);
}

#[test]
fn a_person_reads_a_line_for_each_check() {
    let scene = Scene::new();
    let run = scene.sandbox.command("doctor", ["--pkcs11", "pkcs11:token=demo;object=absent", "--pkcs11-lib"]);
    let run = run.arg(crate::support::softhsm::SoftHsm::module()).envs(scene.token.env());
    let outcome = run.env("KEYANCHOR_PIN", crate::support::softhsm::TEST_USER_PIN).arg("--sign").run();
    outcome.ends_with(3);
    outcome.stdout_contains("bad   certificate.found").stdout_contains("keyanchor list --pkcs11-lib");
    outcome.stdout_contains("\n2 bad, ").stdout_contains(" not looked at\n");
}

#[test]
fn a_key_in_a_file_is_noted_and_good() {
    let ca = Ca::root("Test Root");
    let (leaf, key) = ca.leaf_with_key("host", Key::Rsa2048);
    let sandbox = Sandbox::trusting(&ca);
    let run = sandbox.command("doctor", ["--json", "--sign", "--private-key"]).arg(key.path());
    let report = Report::of(run.arg("--certificate").arg(leaf.pem_path()), 0);
    report.only_bad(&[]).says("device.file", "note", "can be copied").mends("device.file", "keyanchor generate");
    report.says("key.signature", "good", "one signature");
}

#[cfg(feature = "tpm")]
#[test]
fn a_key_in_a_tpm_with_its_service_is_good() {
    use crate::support::swtpm::Swtpm;
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    let key = tpm.openssl_key("-algorithm EC -pkeyopt group:P-256 -pkeyopt parent:0x81000001");
    let ca = Ca::root("Test Root");
    let public = tpm.tool("openssl pkey -provider tpm2 -provider default -propquery ?provider=tpm2 -in provider.pem -pubout -outform DER -out public.der");
    assert_eq!(public, "");
    let leaf = ca.leaf("host", &std::fs::read(tpm.path("public.der")).unwrap());
    let sandbox = Sandbox::trusting(&ca);
    let doctor = || {
        let run = sandbox.command("doctor", ["--json", "--tcti", &tpm.tcti(), "--tpm"]).arg(&key);
        run.arg("--certificate").arg(leaf.pem_path())
    };
    Report::of(doctor(), 0)
        .only_bad(&[])
        .says("device.file", "good", "only its TPM can use")
        .says("device.library", "good", "tpm2-tss")
        .says("device.reach", "good", "answers; named by --tcti")
        .says("secret.tries", "good", "more wrong passwords")
        .says("key.found", "good", "P-256")
        .says("key.attributes", "good", "made on the device and cannot leave it")
        .says("key.certificate", "good", "");
    Report::of(doctor().arg("--sign"), 0).only_bad(&[]).says("key.signature", "good", "one signature");
    assert_eq!(tpm.left_behind(), "");
}
