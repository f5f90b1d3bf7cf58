//! Devices that are not there, do not start, or may not be used.

use cryptoki_sys::CKM_ECDSA;

use super::{Report, Scene};
use crate::support::Folder;
use crate::support::command::Run;
use crate::support::fault::Fault;
use crate::support::key::Key;
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN};

/// `doctor` with another module than the token's.
fn with_module(scene: &Scene, module: &std::path::Path) -> Run {
    let run = scene.sandbox.command("doctor", ["--json", "--pkcs11", "pkcs11:token=demo", "--pkcs11-lib"]);
    run.arg(module).envs(scene.token.env()).env("KEYANCHOR_PIN", TEST_USER_PIN)
}

#[test]
fn a_module_that_is_missing_is_named_with_the_one_that_was_meant() {
    let scene = Scene::new();
    let report = Report::of(with_module(&scene, "/nonexistent/libsofthsm2.so".as_ref()), 3);
    report.only_bad(&["device.library"]).says("device.library", "bad", "/nonexistent/libsofthsm2.so");
    report.mends("device.library", &format!("did you mean {}?", SoftHsm::module().display()));
    for after in ["device.start", "device.token", "certificate.found", "key.found", "chain.path"] {
        report.says(after, "skip", "waits for device.library");
    }
    // What does not need the device is looked at all the same.
    report.says("network.answer", "good", "").says("session.arns", "good", "");
}

#[test]
fn a_module_that_cannot_be_loaded_is_told_with_where_others_are_named() {
    let scene = Scene::new();
    let folder = Folder::new();
    let garbage = folder.write("garbage.so", "no library");
    let report = Report::of(with_module(&scene, &garbage), 3);
    report.only_bad(&["device.start"]).says("device.library", "good", "garbage.so");
    report.says("device.start", "bad", "cannot load").mends("device.start", "p11-kit list-modules");
}

#[test]
fn a_module_without_its_configuration_says_which_file_it_reads() {
    let scene = Scene::new();
    let run = with_module(&scene, &SoftHsm::module()).env("SOFTHSM2_CONF", "/nonexistent/softhsm2.conf");
    let report = Report::of(run, 3);
    report.only_bad(&["device.start"]).says("device.start", "bad", "SOFTHSM2_CONF").mends("device.start", "-L");
}

#[test]
fn a_token_that_is_not_there_is_told_with_those_that_are() {
    let scene = Scene::new();
    scene.token.hsm().token("other");
    let report = Report::of(scene.doctor_on("pkcs11:token=dmeo"), 3);
    report.only_bad(&["device.token"]).mends("device.token", "keyanchor list --pkcs11-lib");
    report.says("device.token", "bad", "pkcs11:token=demo;serial=").says("device.token", "bad", "token=other");
    report.says("key.found", "skip", "waits for device.token");
}

#[test]
fn a_uri_that_selects_two_tokens_is_noted_with_both() {
    let scene = Scene::new();
    scene.token.hsm().token("demo");
    let report = Report::of(scene.doctor(), 0);
    report.says("device.token", "note", "2 tokens").mends("device.token", "pkcs11:token=demo;serial=");
}

#[test]
fn a_key_that_is_not_there_is_told_after_a_login() {
    let scene = Scene::new();
    scene.token.delete_private("01");
    Report::of(scene.doctor(), 0).says("key.found", "note", "needs login").mends("key.found", "--sign");
    let report = Report::of(scene.doctor().arg("--sign"), 3);
    report.only_bad(&["key.found"]).says("key.found", "bad", "no private key on token 'demo'");
    report.mends("key.found", "keyanchor list --pkcs11-lib").says("key.signature", "skip", "waits for key.found");
    report.says("certificate.validity", "good", "");
}

#[test]
fn a_key_of_another_certificate_is_told() {
    let scene = Scene::new();
    let other = scene.ca.leaf("other", scene.ca.public_key());
    let run =
        scene.sandbox.command("doctor", ["--json", "--sign", "--private-key", "pkcs11:token=demo", "--pkcs11-lib"]);
    let run = run.arg(SoftHsm::module()).arg("--certificate").arg(other.pem_path()).envs(scene.token.env());
    let report = Report::of(run.env("KEYANCHOR_PIN", TEST_USER_PIN), 3);
    report.only_bad(&["key.certificate"]).says("key.certificate", "bad", "certifies another");
    report.mends("key.certificate", "keyanchor list").says("key.signature", "skip", "waits for key.certificate");
}

#[test]
fn a_public_key_of_another_certificate_is_told_without_a_login() {
    let scene = Scene::new();
    scene.token.generate(Key::Ec256, "02", "other");
    let leaf = scene.ca.leaf("other", scene.ca.public_key());
    scene.token.import_certificate(&leaf, "02", "other");
    let report = Report::of(scene.doctor_on("pkcs11:token=demo;object=other"), 3);
    report.only_bad(&["key.certificate"]).says("key.certificate", "bad", "the public key with its CKA_ID is another");
    report.mends("key.certificate", "keyanchor list");
}

#[test]
fn a_key_that_can_leave_its_token_is_noted() {
    let scene = Scene::new();
    scene.token.generate_extractable(Key::Rsa2048, "02", "loose");
    let leaf = scene.ca.leaf("loose", &scene.token.public_key("02"));
    scene.token.import_certificate(&leaf, "02", "loose");
    let report = Report::of(scene.doctor_on("pkcs11:token=demo;object=loose").arg("--sign"), 0);
    report.says("key.attributes", "note", "it can leave the device").mends("key.attributes", "keyanchor generate");
    report.says("key.mechanism", "good", "CKM_RSA_PKCS").says("key.signature", "good", "");
}

#[test]
fn a_token_without_the_key_s_mechanism_is_told_before_it_signs() {
    let scene = Scene::new();
    let fault = Fault::of(scene.token.hsm()).refuse(CKM_ECDSA);
    let run = with_module(&scene, &Fault::module()).envs(fault.env());
    let report = Report::of(run, 3);
    report.only_bad(&["key.mechanism"]).says("key.mechanism", "bad", "wanted CKM_ECDSA to sign with a P-256 key");
    report.mends("key.mechanism", "keyanchor generate");
}

#[test]
fn p11_kit_s_proxy_says_what_it_loads() {
    let scene = Scene::new();
    let run = scene.sandbox.command("doctor", ["--json", "--pkcs11", "pkcs11:token=demo;object=server"]);
    let report = Report::of(run.envs(scene.token.env()).env("KEYANCHOR_PIN", TEST_USER_PIN), 0);
    report.says("device.library", "good", "taken because no module is named");
    report.says("device.configuration", "good", "softhsm2").says("device.token", "good", "token 'demo'");
}

#[test]
fn a_module_that_p11_kit_misses_is_noted_with_its_file() {
    let scene = Scene::new();
    let run = scene.sandbox.command("doctor", ["--json", "--pkcs11", "pkcs11:token=demo;object=server"]);
    let run = run.envs(scene.token.env()).env("KEYANCHOR_PIN", TEST_USER_PIN);
    let modules = run.home().join(".config/pkcs11/modules");
    std::fs::create_dir_all(&modules).unwrap();
    std::fs::write(modules.join("gone.module"), "module: /nonexistent/gone.so\n").unwrap();
    let report = Report::of(run, 0);
    report.says("device.configuration", "note", "gone (/nonexistent/gone.so is missing)");
    report.mends("device.configuration", "p11-kit list-modules").says("device.token", "good", "token 'demo'");
}

#[cfg(feature = "tpm")]
mod tpm {
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;
    use crate::support::command::keyanchor;
    use crate::support::pki::Ca;
    use crate::support::swtpm::Swtpm;

    /// `doctor` on a key file of this TPM and its certificate, which everybody may read.
    fn on_key_file(tpm: &Swtpm) -> Run {
        tpm.make_srk("0x81000001");
        let key = tpm.openssl_key("-algorithm EC -pkeyopt group:P-256 -pkeyopt parent:0x81000001");
        let provider = "-provider tpm2 -provider default -propquery ?provider=tpm2";
        tpm.tool(&format!("openssl pkey {provider} -in provider.pem -pubout -outform DER -out public.der"));
        let leaf = Ca::root("Test Root").leaf("host", &std::fs::read(tpm.path("public.der")).unwrap());
        let certificate = tpm.path("certificate.pem");
        std::fs::write(&certificate, leaf.pem()).unwrap();
        for file in [&key, &certificate] {
            std::fs::set_permissions(file, PermissionsExt::from_mode(0o644)).unwrap();
        }
        keyanchor(["doctor", "--json", "--tpm"]).arg(key).arg("--certificate").arg(certificate)
    }

    #[test]
    fn a_tpm_that_is_not_there_is_told() {
        let mut tpm = Swtpm::start();
        let run = on_key_file(&tpm).args(["--tcti", &tpm.tcti()]);
        tpm.stop();
        let report = Report::of(run, 3);
        report.says("device.reach", "bad", "found nothing there").mends("device.reach", "ls -l /dev/tpm*");
        report.says("key.found", "skip", "waits for device.reach");
        report.only_bad(&["device.reach"]).says("certificate.validity", "good", "");
    }

    #[test]
    fn without_libtss2_the_package_is_named() {
        let tpm = Swtpm::start();
        let folder = Folder::new();
        // What the loader finds first, and cannot load.
        folder.write("libtss2-esys.so.0", "");
        let run = on_key_file(&tpm).args(["--tcti", &tpm.tcti()]).env("LD_LIBRARY_PATH", folder.path());
        let report = Report::of(run, 3);
        report
            .only_bad(&["device.library"])
            .says("device.library", "bad", "libtss2-esys.so.0")
            .mends("device.library", "install tpm2-tools");
        report.says("device.reach", "skip", "waits for device.library");
    }

    #[test]
    fn a_tpm_that_this_account_may_not_use_is_told_with_its_group() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let tpm = Swtpm::start();
        let run = on_key_file(&tpm).args(["--tcti", &tpm.tcti()]);
        std::fs::set_permissions(tpm.path(""), PermissionsExt::from_mode(0o755)).unwrap();
        // Group 1 has a name on every system.
        chown(tpm.socket(), Some(0), Some(1)).unwrap();
        std::fs::set_permissions(tpm.socket(), PermissionsExt::from_mode(0o660)).unwrap();
        let report = Report::of(run.unprivileged(), 3);
        report
            .only_bad(&["device.reach"])
            .says("device.reach", "bad", "for the group daemon")
            .mends("device.reach", "usermod -aG daemon");
    }
}
