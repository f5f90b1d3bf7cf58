//! Revoking and revocation lists.

use std::path::Path;
use std::time::Duration;

use crate::support::command::{Run, has_aws_cli};
use crate::support::key::{Key, KeyFile};
use crate::support::sandbox::ARNS;
use crate::support::{Folder, openssl, text};

use super::{Scene, serial_of};

fn crl(path: &Path) -> String {
    openssl(&["crl", "-in", text(path), "-noout", "-text"])
}

#[test]
fn a_revoked_certificate_fails_and_the_others_do_not() {
    for scene in [Scene::new(), Scene::with_intermediate()] {
        let (stolen, good) = (scene.issue("stolen", &[]), scene.issue("good", &[]));
        let revoked = scene.run("revoke", &["--certificate", text(&stolen), "--reason", "keyCompromise"]).run();
        revoked.succeeds().stderr_contains("keyanchor ca crl --ca");
        assert_eq!(revoked.text(), "");
        scene.crls();
        scene.verified(&good).ends_with(0);
        let outcome = scene.verified(&stolen);
        assert!(!outcome.status.success(), "{outcome}");
        outcome.stderr_contains("certificate revoked");
        let issuer = if scene.file("intermediate.crl").exists() { "intermediate.crl" } else { "root.crl" };
        let said = crl(&scene.file(issuer));
        assert!(said.contains(&serial_of(&stolen)) && said.contains("Key Compromise"), "{said}");
    }
}

#[test]
fn the_number_of_a_crl_grows_and_the_next_one_is_announced() {
    let scene = Scene::new();
    for number in 1..=3 {
        let outcome = scene.run("crl", &["--days", "7"]).run();
        let path = scene.folder.write("list.pem", outcome.succeeds().text());
        assert!(crl(&path).contains(&format!("X509v3 CRL Number: \n                {number}\n")), "{}", crl(&path));
        let copy = std::path::absolute(scene.file("root.crl")).unwrap();
        let wanted =
            format!("aws rolesanywhere import-crl --name keyanchor-root --crl-data fileb://{}", copy.display());
        outcome.stderr_contains(&wanted);
        assert_eq!(outcome.stderr.contains("update-crl"), number > 1, "{outcome}");
        assert_eq!(std::fs::read(copy).unwrap(), outcome.stdout);
    }
}

#[test]
fn the_aws_cli_takes_the_line_that_imports_a_crl() {
    if !has_aws_cli("the_aws_cli_takes_the_line_that_imports_a_crl") {
        return;
    }
    let scene = Scene::new();
    let outcome = scene.run("crl", &[]).run();
    let line = outcome.stderr.lines().find(|line| line.contains("import-crl")).unwrap();
    let line = line.replace("TRUST-ANCHOR-ARN", ARNS[1]);
    // Every parameter is judged before the connection is tried, at a port where nobody listens.
    let run = Run::program("sh").args(["-c", &format!("{line} --endpoint-url http://127.0.0.1:1")]);
    let keys = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_MAX_ATTEMPTS", "1")];
    let run = keys.into_iter().fold(run, |run, (name, value)| run.env(name, value));
    let outcome = run.env("AWS_DEFAULT_REGION", "eu-central-1").limit(Duration::from_secs(120)).run();
    outcome.stderr_contains("Could not connect to the endpoint URL");
}

#[test]
fn a_crl_goes_to_a_file_that_is_not_overwritten_unless_that_is_said() {
    let scene = Scene::new();
    let to = scene.path("list.pem");
    let crl = |more: &[&str]| scene.run("crl", &["--out", text(&to)]).args(more).run();
    assert_eq!(crl(&[]).succeeds().text(), "");
    let first = std::fs::read(&to).unwrap();
    crl(&[]).fails_with(2).stderr_contains("--force");
    assert_eq!(std::fs::read(&to).unwrap(), first);
    crl(&["--force"]).succeeds();
    assert_ne!(std::fs::read(&to).unwrap(), first);
}

#[test]
fn a_certificate_is_found_by_any_form_of_its_number_and_revoked_once() {
    let scene = Scene::new();
    for (name, form) in [("plain", ""), ("colons", ":"), ("prefix", "0x")] {
        let hex = serial_of(&scene.issue(name, &[]));
        let text = match form {
            ":" => {
                hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect::<Vec<_>>().join(":")
            }
            prefix => format!("{prefix}{}", hex.to_lowercase()),
        };
        scene.run("revoke", &["--serial", &text]).run().succeeds().stderr_contains(&hex);
        let twice = scene.run("revoke", &["--serial", &text]).run();
        twice.fails_with(2).stderr_contains("was revoked at");
    }
}

#[test]
fn a_number_that_was_not_issued_and_a_certificate_of_another_authority_are_refused() {
    let (scene, other) = (Scene::new(), Scene::new());
    let foreign = other.issue("foreign", &[]);
    scene.run("revoke", &["--serial", "0123"]).run().fails_with(2).stderr_contains("found '0123'");
    scene.run("revoke", &["--certificate", text(&foreign)]).run().fails_with(2).stderr_contains("issued here");
    let uri = scene.run("revoke", &["--certificate", "pkcs11:token=t;object=web"]).run();
    uri.fails_with(2).stderr_contains("--certificate: wanted a file, found pkcs11:token=t;object=web");
    uri.stderr_contains("keyanchor certificate show --certificate 'pkcs11:token=t;object=web'");
    let outcome = scene.run("revoke", &[]).run();
    outcome.fails_with(2).stderr_contains("wanted one of --serial").stderr_contains("hint: see what was issued: ");
    scene.run("revoke", &["--serial", "01", "--reason", "lost"]).run().fails_with(2).stderr_contains("keyCompromise");
}

#[test]
fn a_subject_with_several_certificates_names_them_all() {
    let scene = Scene::new();
    let key = KeyFile::generate(Key::Ec256);
    let serials = [scene.issue_for(&key, "web", &[]), scene.issue_for(&key, "web", &[])].map(|path| serial_of(&path));
    let refused = scene.run("revoke", &["--subject", "CN=web,O=Example"]).run();
    refused.fails_with(2);
    // Both went to one file: the second is there.
    refused.stderr_contains(&serials[1]).stderr_contains("found 2 (serial numbers");
    let command = format!("  keyanchor ca revoke --ca {} --serial {}\n", text(&scene.path("ca")), serials[1]);
    refused.stderr_contains("hint: revoke those that are meant").stderr_contains(&command);
    Run::program("sh")
        .args(["-c", &command.replacen("keyanchor", env!("CARGO_BIN_EXE_keyanchor"), 1)])
        .run()
        .succeeds();
    scene.run("revoke", &["--subject", "CN=web,O=Example"]).run().succeeds();
    scene.run("revoke", &["--subject", "CN=nobody"]).run().fails_with(2).stderr_contains("found none");
}

#[test]
fn an_intermediate_that_was_revoked_issues_nothing_more() {
    let scene = Scene::with_intermediate();
    let leaf = scene.issue("web", &[]);
    scene.run("revoke", &["--certificate", text(&scene.file("intermediate.pem"))]).run().succeeds();
    scene.crls_of_root();
    let client = KeyFile::generate(Key::Ec256);
    let refused = scene.run("issue", &["--subject", "CN=late", "--private-key", text(client.path())]).run();
    refused.fails_with(7).stderr_contains("was revoked");
    assert!(!scene.verified(&leaf).status.success());
    let root = scene.run("revoke", &["--certificate", text(&scene.file("root.pem"))]).run();
    root.fails_with(2).stderr_contains("is the root");
}

#[test]
fn a_crl_that_is_too_long_for_aws_is_said() {
    let scene = Scene::new();
    let folder = Folder::new();
    super::survival::fill(&scene, 5000, true);
    let outcome = scene.run("crl", &["--out", text(&folder.join("list.pem"))]).run();
    outcome.succeeds().stderr_contains("warning: AWS takes CRLs of 300000 octets at most");
}
