//! What an order may say, and what the authority makes of it.

use crate::support::command::{Run, tool};
use crate::support::key::{Key, KeyFile};
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN, WRONG_TEST_PIN};
use crate::support::{openssl, text};

use super::{Scene, serial_of};

/// A request by openssl; `more` are further arguments of `openssl req`.
fn request(scene: &Scene, key: &KeyFile, subject: &str, more: &[&str]) -> std::path::PathBuf {
    let path = scene.path("request.pem");
    let base = ["req", "-new", "-key", text(key.path()), "-subj", subject, "-out", text(&path)];
    tool("openssl", base.iter().chain(more), Vec::new());
    path
}

fn report(certificate: &std::path::Path) -> String {
    openssl(&["x509", "-in", text(certificate), "-noout", "-text", "-nameopt", "RFC2253"])
}

#[test]
fn a_request_gets_its_subject_and_names_and_flags_win_over_them() {
    let scene = Scene::new();
    let key = KeyFile::generate(Key::Ec384);
    let csr = request(&scene, &key, "/O=Example/CN=asked", &["-addext", "subjectAltName=DNS:a.example,email:a@b.c"]);
    let issued = scene.run("issue", &["--csr", text(&csr)]).run();
    let leaf = scene.folder.write("leaf.pem", issued.succeeds().text());
    let said = report(&leaf);
    assert!(said.contains("Subject: CN=asked,O=Example") && said.contains("DNS:a.example, email:a@b.c"), "{said}");
    assert_eq!(openssl(&["x509", "-in", text(&leaf), "-noout", "-pubkey"]), {
        let spki = scene.folder.write("key.der", key.public_key());
        openssl(&["pkey", "-pubin", "-inform", "DER", "-in", text(&spki)])
    });
    let flags = ["--csr", text(&csr), "--subject", "CN=named", "--dns", "b.example"];
    let leaf = scene.folder.write("named.pem", scene.run("issue", &flags).run().succeeds().text());
    let said = report(&leaf);
    assert!(said.contains("Subject: CN=named\n") && said.contains("DNS:b.example\n"), "{said}");
    assert!(!said.contains("a.example"), "{said}");
}

#[test]
fn a_request_to_be_a_ca_gets_a_client_certificate() {
    let scene = Scene::new();
    let wanted = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign,cRLSign"];
    let csr = request(&scene, &KeyFile::generate(Key::Ec256), "/CN=sly", &wanted);
    let issued = scene.run("issue", &["--csr", text(&csr)]).run();
    issued.stderr_contains("asks for a CA's certificate (CA:TRUE), and gets a client's");
    let said = report(&scene.folder.write("leaf.pem", issued.succeeds().text()));
    assert!(said.contains("CA:FALSE") && !said.contains("Certificate Sign"), "{said}");
}

#[test]
fn a_certificate_is_good_for_the_days_that_were_asked_and_never_longer_than_its_issuer() {
    let scene = Scene::with(&["--days", "10"]);
    let enough = |leaf: &std::path::Path, days: u32| {
        let seconds = (days * 86_400).to_string();
        let check = ["x509", "-in", text(leaf), "-noout", "-checkend", &seconds];
        Run::program("openssl").args(check).run().status.success()
    };
    let week = scene.issue("week", &["--days", "7"]);
    assert!(enough(&week, 6) && !enough(&week, 7));
    let key = KeyFile::generate(Key::Ec256);
    let order = ["--subject", "CN=year", "--private-key", text(key.path()), "--days", "365"];
    let outcome = scene.run("issue", &order).run();
    outcome.succeeds().stderr_contains("warning: it ends with its issuer");
    let year = scene.folder.write("year.pem", outcome.text());
    assert!(enough(&year, 9) && !enough(&year, 10));
    scene.crls();
    scene.verified(&year).ends_with(0);
}

#[test]
fn a_subject_is_certified_again_for_its_own_key_and_for_another_only_when_that_is_said() {
    let scene = Scene::new();
    let (mine, other) = (KeyFile::generate(Key::Ec256), KeyFile::generate(Key::Ec256));
    let first = scene.issue_for(&mine, "web", &[]);
    let first = serial_of(&first);
    let again = serial_of(&scene.issue_for(&mine, "web", &[]));
    assert_ne!(first, again);
    let order = ["--subject", "cn=WEB,o=example", "--private-key", text(other.path())];
    let refused = scene.run("issue", &order).run();
    refused.fails_with(2).stderr_contains(&first).stderr_contains("--another-key").stderr_contains("hint: revoke");
    scene.run("issue", &order).args(["--another-key"]).run().succeeds();
    assert_eq!(scene.listed().len(), 4);
}

#[test]
fn a_subject_is_free_again_when_its_certificate_is_revoked() {
    let scene = Scene::new();
    scene.issue("web", &[]);
    scene.run("revoke", &["--subject", "CN=web,O=Example"]).run().succeeds();
    scene.issue("web", &[]);
}

#[test]
fn a_file_that_is_there_is_replaced_only_when_that_is_said() {
    let scene = Scene::new();
    let key = KeyFile::generate(Key::Ec256);
    let to = scene.folder.write("leaf.pem", "something of mine\n");
    let order = ["--subject", "CN=web", "--private-key", text(key.path()), "--certificate", text(&to)];
    let refused = scene.run("issue", &order).run();
    refused.fails_with(2).stderr_contains("--certificate: wanted a new file").stderr_contains("--force");
    assert_eq!(std::fs::read_to_string(&to).unwrap(), "something of mine\n");
    assert_eq!(scene.listed().len(), 1, "issued for nobody");
    scene.run("issue", &order).args(["--force"]).run().succeeds();
    serial_of(&to);
}

#[test]
fn what_could_not_be_delivered_is_named_so_that_it_can_be_revoked() {
    let scene = Scene::new();
    let key = KeyFile::generate(Key::Ec256);
    let program = env!("CARGO_BIN_EXE_keyanchor");
    let ca = scene.path("ca");
    let line = r#"exec "$0" ca issue --ca "$1" --subject CN=web --private-key "$2" > /dev/full"#;
    let outcome = Run::program("sh").args(["-c", line, program, text(&ca), text(key.path())]).run();
    outcome.fails_with(1).stderr_contains("was issued and is lost");
    let serial = scene.listed()[1]["serial"].as_str().unwrap().to_owned();
    outcome.stderr_contains(&format!("--serial {serial} --reason superseded"));
    scene.run("revoke", &["--serial", &serial, "--reason", "superseded"]).run().succeeds();
}

#[test]
fn nothing_is_issued_for_a_place_that_would_not_take_it() {
    let scene = Scene::new();
    let key = KeyFile::generate(Key::Ec256);
    let to = scene.path("no-such-folder/leaf.pem");
    let order = ["--subject", "CN=web", "--private-key", text(key.path()), "--certificate", text(&to)];
    scene.run("issue", &order).run().fails_with(2).stderr_contains("hint: make it: mkdir -p");
    let token = SoftHsm::new().token("prod");
    token.generate(Key::Ec256, "01", "web");
    let uri = "pkcs11:token=prod;object=web";
    let onto_token = |key: &str, pin: &str| {
        let run = scene.run("issue", &["--subject", "CN=web", "--private-key", key, "--certificate", uri]);
        run.envs(token.env()).env("KEYANCHOR_PKCS11_LIB", SoftHsm::module()).env("KEYANCHOR_PIN", pin).run()
    };
    onto_token(uri, WRONG_TEST_PIN).fails_with(4);
    onto_token(text(key.path()), TEST_USER_PIN).fails_with(3);
    assert_eq!(scene.listed().len(), 1, "a certificate that nobody has");
    onto_token(uri, TEST_USER_PIN).succeeds();
    onto_token(uri, TEST_USER_PIN).fails_with(3).stderr_contains("--force");
    assert_eq!(scene.listed().len(), 2, "a certificate that nobody has");
}
