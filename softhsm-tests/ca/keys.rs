//! Authorities whose keys are on tokens, in a TPM and in files: openssl takes what each of them signs.

use crate::support::command::{Run, keyanchor};
use crate::support::key::{Key, KeyFile};
use crate::support::sandbox::{Printed, Sandbox};
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN, Token, WRONG_TEST_PIN};
#[cfg(feature = "tpm")]
use crate::support::swtpm::Swtpm;
use crate::support::text;

use super::{Scene, serial_of};

/// With SoftHSM and its tokens, of which the program is told the PIN of the authority's.
fn with_token(run: Run, token: &Token) -> Run {
    run.envs(token.env()).env("KEYANCHOR_PKCS11_LIB", SoftHsm::module()).env("KEYANCHOR_CA_PIN", TEST_USER_PIN)
}

#[test]
fn what_a_key_in_a_file_signs_is_verified() {
    let scene = Scene::new();
    let leaf = scene.issue("web-01", &["--dns", "web-01.example.net", "--uri", "spiffe://example.org/web"]);
    scene.crls();
    scene.verified(&leaf).ends_with(0);
    let report = crate::support::openssl(&["x509", "-in", text(&leaf), "-noout", "-text", "-nameopt", "RFC2253"]);
    for wanted in [
        "Issuer: CN=Test Root,O=Example",
        "Subject: CN=web-01,O=Example",
        "X509v3 Basic Constraints: critical\n                CA:FALSE\n",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "TLS Web Client Authentication",
        "DNS:web-01.example.net, URI:spiffe://example.org/web",
        "X509v3 Authority Key Identifier",
    ] {
        assert!(report.contains(wanted), "no {wanted} in {report}");
    }
}

#[test]
fn what_a_key_on_a_token_signs_is_verified_for_each_kind_of_key() {
    let token = SoftHsm::new().token("authority");
    for (number, kind) in (1..).zip(Key::SUPPORTED) {
        let label = format!("key-{number}");
        token.generate(kind, &format!("0{number}"), &label);
        let scene = Scene::empty();
        let uri = format!("pkcs11:token=authority;object={label}");
        let init = scene.run("init", &["--subject", "CN=Test Root", "--private-key", &uri]);
        let outcome = with_token(init, &token).run();
        outcome.succeeds().stderr_lacks("for trying only");
        let leaf = scene.path("leaf.pem");
        let key = KeyFile::generate(Key::Ec256);
        let order = ["--subject", "CN=web", "--private-key", text(key.path()), "--certificate", text(&leaf)];
        let issued = with_token(scene.run("issue", &order), &token).run();
        assert_eq!(issued.succeeds().text(), "", "{kind:?}");
        with_token(scene.run("crl", &[]), &token).run().succeeds();
        scene.verified(&leaf).ends_with(0);
    }
}

#[cfg(feature = "tpm")]
#[test]
fn what_keys_in_a_tpm_sign_is_verified() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    let attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign";
    for (handle, algorithm) in [("0x81000201", "ecc256"), ("0x81000202", "rsa2048")] {
        tpm.make_key("0x81000001", algorithm, attributes, "-p test-tpm-password");
        tpm.persist("0x81000001", "", handle);
    }
    let scene = Scene::empty();
    let keys = ["--private-key", "handle:0x81000201", "--intermediate-key", "handle:0x81000202"];
    let subjects = ["--subject", "CN=Test Root", "--intermediate-subject", "CN=Test Clients"];
    let secret = |run: Run| run.env("KEYANCHOR_CA_TPM_PASSWORD", "test-tpm-password");
    secret(scene.run("init", &keys).args(subjects).args(["--tcti", &tpm.tcti()])).run().succeeds();
    let client = KeyFile::generate(Key::Ec256);
    let order = ["--subject", "CN=web", "--private-key", text(client.path())];
    // The directory knows the way to the TPM.
    let issued = secret(scene.run("issue", &order)).run();
    let leaf = scene.folder.write("leaf.pem", issued.succeeds().text());
    secret(scene.run("crl", &[])).run().succeeds();
    secret(scene.run("crl", &["--issuer", "root"])).run().succeeds();
    scene.verified(&leaf).ends_with(0);
    assert_eq!(tpm.left_behind(), "");
    // The password of the key that is certified is not the authority's.
    scene.run("issue", &order).env("KEYANCHOR_TPM_PASSWORD", "test-tpm-password").run().fails_with(4);
}

#[cfg(feature = "tpm")]
#[test]
fn the_tpm_that_the_environment_named_is_remembered() {
    let tpm = Swtpm::start();
    let handle = "handle:0x81000201";
    let run = |run: Run| run.env("KEYANCHOR_TCTI", tpm.tcti());
    let scene = Scene::empty();
    let missing = run(scene.run("init", &["--subject", "CN=Test Root", "--private-key", handle])).run();
    missing.fails_with(3).stderr_contains("make the key first: keyanchor generate --private-key handle:0x81000201");
    run(keyanchor(["generate", "--private-key", handle])).run().succeeds();
    run(scene.run("init", &["--subject", "CN=Test Root", "--private-key", handle])).run().succeeds();
    scene.issue("web", &[]);
    // A key in a file is in no TPM.
    let plain = Scene::empty();
    let key = KeyFile::generate(Key::Ec256);
    run(plain.run("init", &["--subject", "CN=Test Root", "--private-key", text(key.path())])).run().succeeds();
    assert!(!std::fs::read_to_string(plain.file("ca.toml")).unwrap().contains("tcti"));
}

#[test]
fn a_key_that_is_not_on_the_token_yet_is_made_by_the_command_that_is_told() {
    let token = SoftHsm::new().token("authority");
    let scene = Scene::empty();
    let uri = "pkcs11:token=authority;object=root";
    let init = || with_token(scene.run("init", &["--subject", "CN=Test Root", "--private-key", uri]), &token).run();
    let command = format!("keyanchor generate --private-key '{uri}'");
    init()
        .fails_with(3)
        .stderr_contains(&format!("hint: make the key first: {command}; or see what is there: keyanchor list"));
    let make = command.replace("keyanchor", env!("CARGO_BIN_EXE_keyanchor"));
    with_token(Run::program("sh").args(["-c", &make]), &token).env("KEYANCHOR_PIN", TEST_USER_PIN).run().succeeds();
    init().succeeds();
}

#[test]
fn an_intermediate_issues_and_its_certificate_follows_the_leaf() {
    let scene = Scene::with_intermediate();
    let leaf = scene.issue("web-01", &[]);
    scene.crls();
    scene.verified(&leaf).ends_with(0);
    let text_of = |path| std::fs::read_to_string(path).unwrap();
    assert!(text_of(&leaf).ends_with(&text_of(&scene.file("intermediate.pem"))));
    // A root that issued nothing but its intermediate, and an intermediate that may not make another.
    let report = crate::support::openssl(&["x509", "-in", text(&scene.file("intermediate.pem")), "-noout", "-text"]);
    assert!(report.contains("CA:TRUE, pathlen:0"), "{report}");
}

#[test]
fn keys_of_both_sides_may_be_on_one_token_and_their_pins_do_not_mix() {
    let hsm = SoftHsm::new();
    let token = hsm.token("both");
    token.generate(Key::Ec256, "01", "root");
    token.generate(Key::Ec256, "02", "web");
    let scene = Scene::empty();
    let init = scene.run("init", &["--subject", "CN=Test Root", "--private-key", "pkcs11:token=both;object=root"]);
    with_token(init, &token).run().succeeds();
    let order = ["--subject", "CN=web", "--pkcs11", "pkcs11:token=both;object=web"];
    // The key that is certified needs no PIN, and none of its is tried on the authority's token.
    let issued = with_token(scene.run("issue", &order), &token).env("KEYANCHOR_PIN", WRONG_TEST_PIN).run();
    issued.succeeds();
    let without = scene.run("issue", &order).envs(token.env()).env("KEYANCHOR_PKCS11_LIB", SoftHsm::module());
    let outcome = without.env("KEYANCHOR_PIN", TEST_USER_PIN).run();
    outcome.fails_with(4).stderr_contains("--ca-pin-source").stderr_contains("KEYANCHOR_CA_PIN");
    assert_eq!(scene.listed().len(), 2, "a certificate that nobody has");
}

#[test]
fn the_directory_remembers_where_the_pin_comes_from() {
    let token = SoftHsm::new().token("authority");
    token.generate(Key::Ec256, "01", "root");
    let scene = Scene::empty();
    scene.folder.write("pin", TEST_USER_PIN);
    let source = format!("file:{}", text(&scene.path("pin")));
    let module = SoftHsm::module();
    let key = ["--private-key", "pkcs11:token=authority;object=root", "--pkcs11-lib", text(&module)];
    let init = scene.run("init", &["--subject", "CN=Test Root", "--ca-pin-source", &source]).args(key);
    init.envs(token.env()).run().succeeds();
    let settings = std::fs::read_to_string(scene.file("ca.toml")).unwrap();
    assert!(
        settings.contains(&format!("pin-source = \"{source}\"")) && !settings.contains(TEST_USER_PIN),
        "{settings}"
    );
    scene.run("crl", &[]).envs(token.env()).run().succeeds();
}

#[test]
fn a_pin_in_the_uri_is_used_and_not_remembered() {
    let token = SoftHsm::new().token("authority");
    token.generate(Key::Ec256, "01", "root");
    let scene = Scene::empty();
    let uri = format!("pkcs11:token=authority;object=root?pin-value={TEST_USER_PIN}");
    let module = SoftHsm::module();
    let init = scene.run("init", &["--subject", "CN=Test Root", "--private-key", &uri, "--pkcs11-lib", text(&module)]);
    init.envs(token.env()).run().succeeds().stderr_lacks(TEST_USER_PIN);
    let settings = std::fs::read_to_string(scene.file("ca.toml")).unwrap();
    assert!(!settings.contains(TEST_USER_PIN) && !settings.contains("pin-"), "{settings}");
    scene.run("crl", &[]).envs(token.env()).run().fails_with(4).stderr_contains("--ca-pin-source");
}

#[test]
fn a_key_whose_public_half_is_hidden_wants_its_own_pin() {
    let token = SoftHsm::new().token("prod");
    token.import_private_key(&KeyFile::generate(Key::Rsa2048).pkcs8_der(), "01", "web");
    let scene = Scene::new();
    let order = ["--subject", "CN=web", "--pkcs11", "pkcs11:token=prod;object=web"];
    let run = || scene.run("issue", &order).envs(token.env()).env("KEYANCHOR_PKCS11_LIB", SoftHsm::module());
    run().env("KEYANCHOR_CA_PIN", TEST_USER_PIN).run().fails_with(4).stderr_contains("give it with --pin-source");
    run().env("KEYANCHOR_PIN", TEST_USER_PIN).run().succeeds();
}

#[cfg(feature = "tpm")]
#[test]
fn a_tpm_key_file_in_the_directory_is_found_wherever_the_directory_goes() {
    let tpm = Swtpm::start();
    let scene = Scene::empty();
    std::fs::create_dir(scene.path("ca")).unwrap();
    let key = scene.file("root.tss");
    let tcti = ["--tcti", &tpm.tcti()];
    keyanchor(["generate", "--private-key", text(&key)]).args(tcti).run().succeeds();
    let init = scene.run("init", &["--subject", "CN=Test Root", "--private-key", text(&key)]).args(tcti);
    init.run().succeeds().stderr_lacks("for trying only");
    let moved = Scene::empty();
    std::fs::rename(scene.path("ca"), moved.path("ca")).unwrap();
    let leaf = moved.issue("web", &[]);
    moved.crls();
    moved.verified(&leaf).ends_with(0);
}

#[test]
fn an_empty_token_gets_to_a_credential_in_five_commands() {
    let token = SoftHsm::new().token("prod");
    let scene = Scene::empty();
    let uri = "pkcs11:token=prod;object=web";
    let pin = |run: Run| {
        run.envs(token.env()).env("KEYANCHOR_PKCS11_LIB", SoftHsm::module()).env("KEYANCHOR_PIN", TEST_USER_PIN)
    };
    pin(keyanchor(["generate", "--private-key", uri])).run().succeeds();
    scene.run("init", &["--subject", "CN=Test Root"]).run().succeeds();
    let issued = pin(scene.run("issue", &["--subject", "CN=web", "--pkcs11", uri, "--certificate", uri])).run();
    let reference = issued.succeeds().text().trim_end();
    let shown = pin(keyanchor(["certificate", "show", "--certificate", reference])).run();
    shown.stdout_contains("subject          CN=web\n");
    let sandbox = Sandbox::start(["--trust-anchor", text(&scene.file("root.pem"))]);
    Printed::by(&pin(sandbox.credential_process(["--pkcs11", uri])).run());
    // Once more, which renews it: what is there is replaced only when that is said.
    let renew = || scene.run("issue", &["--subject", "CN=web", "--pkcs11", uri, "--certificate", uri]);
    pin(renew()).run().fails_with(3).stderr_contains("--force");
    pin(renew().args(["--force"])).run().succeeds();
    Printed::by(&pin(sandbox.credential_process(["--pkcs11", uri])).run());
}

#[test]
fn a_chain_from_a_file_is_taken_by_the_sandbox() {
    let scene = Scene::with_intermediate();
    let key = KeyFile::generate(Key::Rsa2048);
    let leaf = scene.issue_for(&key, "web-01", &[]);
    let sandbox = Sandbox::start(["--trust-anchor", text(&scene.file("root.pem"))]);
    let run = sandbox.credential_process(["--certificate", text(&leaf), "--private-key", text(key.path())]);
    Printed::by(&run.run());
    assert!(!serial_of(&leaf).is_empty());
}

#[test]
fn a_key_that_is_not_the_certificate_s_signs_nothing() {
    let scene = Scene::new();
    let other = KeyFile::generate(Key::Ec256);
    std::fs::copy(other.path(), scene.file("root.key")).unwrap();
    let client = KeyFile::generate(Key::Ec256);
    let run = keyanchor(["ca", "issue", "--ca", text(&scene.path("ca")), "--subject", "CN=web"]);
    run.args(["--private-key", text(client.path())]).run().fails_with(3).stderr_contains("found another in");
    assert_eq!(scene.listed().len(), 1);
}
