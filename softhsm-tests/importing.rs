//! `keyanchor certificate import`: certificates beside their keys on tokens, as other people's tools then see them.

use cryptoki_sys::{CKA_ISSUER, CKF_WRITE_PROTECTED, CKR_DEVICE_ERROR, CKR_DEVICE_MEMORY, CKR_TEMPLATE_INCONSISTENT};

use crate::support::command::{Run, keyanchor, tool};
use crate::support::fault::{Fault, Which};
use crate::support::key::Key;
use crate::support::pki::{Ca, Certificate, Draft, bundle};
use crate::support::sandbox::{Printed, Sandbox};
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN, Token, WRONG_TEST_PIN};
use crate::support::{Folder, text};

/// Exit codes for a key or token, a PIN, and a certificate.
const KEY: i32 = 3;
const PIN: i32 = 4;
const CERTIFICATE: i32 = 7;

const SERVER: &str = "pkcs11:token=demo;object=server";

/// A token with the key `server` under ID 01, and its CA.
struct Scene {
    token: Token,
    ca: Ca,
    public_key: Vec<u8>,
}

impl Scene {
    fn new() -> Self {
        let token = SoftHsm::new().token("demo");
        token.generate(Key::Ec256, "01", "server");
        let public_key = token.public_key("01");
        Self { token, ca: Ca::root("Test Root"), public_key }
    }

    fn leaf(&self, name: &str) -> Certificate {
        self.ca.leaf(name, &self.public_key)
    }

    fn import(&self, certificate: &Certificate) -> Run {
        self.import_with(certificate, SERVER)
    }

    fn import_with(&self, certificate: &Certificate, uri: &str) -> Run {
        keyanchor(["certificate", "import", text(&certificate.pem_path()), "--pkcs11", uri, "--pkcs11-lib"])
            .arg(SoftHsm::module())
            .envs(self.token.env())
            .env("KEYANCHOR_PIN", TEST_USER_PIN)
    }

    fn faulty(&self, fault: &Fault, certificate: &Certificate) -> Run {
        keyanchor(["certificate", "import", text(&certificate.pem_path()), "--pkcs11", SERVER, "--pkcs11-lib"])
            .arg(Fault::module())
            .envs(fault.env())
            .env("KEYANCHOR_PIN", TEST_USER_PIN)
    }

    /// Whether the token's only certificate is this one, as pkcs11-tool reads it.
    #[track_caller]
    fn holds(&self, certificate: &Certificate) {
        assert_eq!(self.certificates(), 1);
        let folder = Folder::new();
        let file = folder.join("read.der");
        let module = SoftHsm::module();
        let read =
            ["--module", text(&module), "--token-label", "demo", "--read-object", "--type", "cert", "--id", "01"];
        tool("pkcs11-tool", read.iter().chain(&["--output-file", text(&file)]), self.token.env());
        assert_eq!(std::fs::read(file).unwrap(), certificate.der);
    }

    fn certificates(&self) -> usize {
        self.token.listing().matches("Certificate Object").count()
    }
}

#[test]
fn a_key_that_was_made_and_certified_here_gets_a_credential() {
    let (token, ca) = (SoftHsm::new().token("demo"), Ca::root("Test Root"));
    let ours = |words: &[&str]| {
        keyanchor(words)
            .arg("--pkcs11-lib")
            .arg(SoftHsm::module())
            .envs(token.env())
            .env("KEYANCHOR_PIN", TEST_USER_PIN)
            .run()
    };
    let made = ours(&["generate", "--private-key", "pkcs11:token=demo;object=server;id=%01"]);
    let reference = made.succeeds().text().trim_end();
    let leaf = ca.leaf("web-01", &token.public_key("01"));
    let stored = ours(&["certificate", "import", text(&leaf.pem_path()), "--private-key", reference]);
    assert_eq!(stored.succeeds().text().trim_end(), reference.replace("type=private", "type=cert"));

    let listing = token.listing();
    assert!(listing.contains("subject:    DN: CN=web-01"), "{listing}");
    let sandbox = Sandbox::trusting(&ca);
    let vended = sandbox
        .credential_process(["--pkcs11", reference, "--pkcs11-lib"])
        .arg(SoftHsm::module())
        .envs(token.env())
        .env("KEYANCHOR_PIN", TEST_USER_PIN)
        .run();
    Printed::by(&vended);
}

#[test]
fn the_certificate_gets_the_id_of_its_key_and_the_label_that_is_named() {
    let scene = Scene::new();
    scene.import_with(&scene.leaf("web-01"), "pkcs11:token=demo;id=%01").run().succeeds();
    assert!(scene.token.listing().contains("label:      server\n  subject:    DN: CN=web-01"), "the key's label");
    scene.token.delete_certificate("01");
    let leaf = scene.leaf("web-02");
    let outcome = scene.import(&leaf).args(["--certificate", "pkcs11:token=demo;object=web"]).run();
    assert!(outcome.succeeds().text().ends_with(";id=%01;object=web;type=cert\n"), "{outcome}");
    scene.holds(&leaf);
}

#[test]
fn a_certificate_of_another_key_is_refused() {
    let scene = Scene::new();
    let (stranger, _) = scene.ca.leaf_with_key("stranger", Key::Ec256);
    let outcome = scene.import(&stranger).run();
    outcome.fails_with(KEY).stderr_contains("the certificate certifies another P-256 key; found pkcs11:token=demo");
    scene.import_with(&scene.leaf("web"), "pkcs11:token=demo;object=none").run().fails_with(KEY);
    assert_eq!(scene.certificates(), 0);
}

#[test]
fn a_certificate_of_a_ca_is_refused_and_another_that_aws_would_refuse_is_warned_of() {
    let scene = Scene::new();
    let ca = scene.ca.issue(&Draft::ca("Sub CA"), &scene.public_key);
    let outcome = scene.import(&ca).run();
    outcome.fails_with(CERTIFICATE).stderr_contains("wanted the certificate of a key, found one of a CA: CN=Sub CA");
    assert_eq!(scene.certificates(), 0);
    let expired = scene.ca.issue(&Draft::leaf("old").expired(), &scene.public_key);
    scene.import(&expired).run().succeeds().stderr_contains("warning: AWS refuses such a certificate: it expired");
    scene.holds(&expired);
}

#[test]
fn a_certificate_that_is_there_is_replaced_only_by_force() {
    let scene = Scene::new();
    let (first, second) = (scene.leaf("first"), scene.leaf("second"));
    scene.import(&first).run().succeeds();
    let outcome = scene.import(&second).run();
    outcome
        .fails_with(KEY)
        .stderr_contains("its key has another certificate, pkcs11:token=demo;serial=")
        .stderr_contains("hint: to go on all the same, add --force");
    scene.holds(&first);

    scene.import(&second).arg("--force").run().succeeds();
    scene.holds(&second);
    // Once more is no conflict and no work.
    let fault = Fault::of(scene.token.hsm());
    scene.faulty(&fault, &second).run().succeeds();
    assert_eq!((fault.calls().of("C_CreateObject"), fault.calls().of("C_DestroyObject")), (0, 0));
    scene.holds(&second);
}

#[test]
fn a_label_of_another_key_s_certificate_is_not_taken_even_by_force() {
    let scene = Scene::new();
    scene.token.identity(Key::Ec256, "02", "other", &scene.ca);
    let leaf = scene.leaf("web");
    let outcome = keyanchor(["certificate", "import", text(&leaf.pem_path()), "--private-key", SERVER, "--pkcs11-lib"])
        .arg(SoftHsm::module())
        .args(["--certificate", "pkcs11:token=demo;object=other", "--force"])
        .envs(scene.token.env())
        .env("KEYANCHOR_PIN", TEST_USER_PIN)
        .run();
    outcome.fails_with(KEY).stderr_contains("another key's certificate has its label");
    assert_eq!(scene.certificates(), 1);
}

#[test]
fn the_old_certificate_stays_until_the_new_one_is_written_and_read_back() {
    let scene = Scene::new();
    let (first, second) = (scene.leaf("first"), scene.leaf("second"));
    scene.import(&first).run().succeeds();

    let full = Fault::of(scene.token.hsm()).error("C_CreateObject", Which::Every, CKR_DEVICE_MEMORY);
    let outcome = scene.faulty(&full, &second).arg("--force").run();
    outcome.fails_with(KEY).stderr_contains("the token is full");
    scene.holds(&first);

    // The calls before it read the key's two halves and twice the certificate that is there.
    let unreadable = Fault::of(scene.token.hsm()).error("C_GetAttributeValue", Which::Nth(5), CKR_DEVICE_ERROR);
    let outcome = scene.faulty(&unreadable, &second).arg("--force").run();
    outcome.fails_with(KEY).stderr_contains("the new certificate was taken out again");
    assert_eq!(unreadable.calls().of("C_CreateObject"), 1);
    scene.holds(&first);

    let stuck = Fault::of(scene.token.hsm()).error("C_DestroyObject", Which::Every, CKR_DEVICE_ERROR);
    let outcome = scene.faulty(&stuck, &second).arg("--force").run();
    outcome.fails_with(KEY).stderr_contains("the new certificate is stored; the old one, pkcs11:token=demo");
    assert_eq!(scene.certificates(), 2);
}

#[test]
fn a_token_that_refuses_an_attribute_is_told_less_once() {
    let scene = Scene::new();
    let leaf = scene.leaf("web");
    let fault = Fault::of(scene.token.hsm()).error("C_CreateObject", Which::Every, CKR_TEMPLATE_INCONSISTENT);
    let outcome = scene.faulty(&fault, &leaf).run();
    outcome.fails_with(KEY).stderr_contains("CKR_TEMPLATE_INCONSISTENT from C_CreateObject");
    assert_eq!(fault.calls().of("C_CreateObject"), 2);
    let fault = Fault::of(scene.token.hsm()).taboo(CKA_ISSUER);
    scene.faulty(&fault, &leaf).run().succeeds();
    assert_eq!((fault.calls().of("C_CreateObject"), fault.calls().of("C_Login")), (2, 1));
    scene.holds(&leaf);
}

#[test]
fn a_write_protected_token_costs_no_pin_and_a_wrong_one_is_tried_once() {
    let scene = Scene::new();
    let leaf = scene.leaf("web");
    let fault = Fault::of(scene.token.hsm()).flags(CKF_WRITE_PROTECTED, 0);
    scene.faulty(&fault, &leaf).run().fails_with(KEY).stderr_contains("the token is write-protected");
    assert_eq!(fault.calls().of("C_Login"), 0);
    let fault = Fault::of(scene.token.hsm());
    scene.faulty(&fault, &leaf).env("KEYANCHOR_PIN", WRONG_TEST_PIN).run().fails_with(PIN);
    assert_eq!(fault.user_pins_tried(), 1);
    assert_eq!(scene.certificates(), 0);
}

#[test]
fn a_bundle_gives_its_first_certificate_and_a_key_elsewhere_is_told() {
    let scene = Scene::new();
    let (leaf, folder) = (scene.leaf("web"), Folder::new());
    let file = folder.write("bundle.pem", bundle([&leaf, &scene.ca.certificate]));
    let import = |file: &str, more: &[&str]| {
        keyanchor(["certificate", "import", file, "--pkcs11-lib"])
            .arg(SoftHsm::module())
            .args(more)
            .envs(scene.token.env())
            .env("KEYANCHOR_PIN", TEST_USER_PIN)
            .run()
    };
    import(text(&file), &["--pkcs11", SERVER]).succeeds().stderr_contains("not the 1 behind it");
    scene.holds(&leaf);
    import(text(&file), &["--private-key", "handle:0x81000101"])
        .fails_with(2)
        .stderr_contains("found handle:0x81000101");
    import(text(&file), &["--certificate", "other.pem"]).fails_with(2).stderr_contains("found other.pem");
    import(text(&file), &[]).fails_with(2);
    import("none.pem", &["--pkcs11", SERVER]).fails_with(CERTIFICATE);
    import("/dev/null", &["--pkcs11", SERVER]).fails_with(CERTIFICATE);
}
