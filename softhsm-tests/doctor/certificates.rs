//! Certificates that AWS refuses, and chains that do not lead to the trust anchor.

use super::{Report, Scene};
use crate::support::Folder;
use crate::support::command::Run;
use crate::support::key::{Key, KeyFile};
use crate::support::pki::{Ca, Certificate, Draft};
use crate::support::sandbox::Sandbox;

/// `doctor` on a key and a certificate in files.
fn on_files(sandbox: &Sandbox, key: &KeyFile, certificate: &Certificate) -> Run {
    let run = sandbox.command("doctor", ["--json", "--private-key"]).arg(key.path());
    run.arg("--certificate").arg(certificate.pem_path())
}

#[test]
fn each_requirement_is_told_by_its_own_check() {
    let ca = Ca::root("Test Root");
    let sandbox = Sandbox::trusting(&ca);
    let key = KeyFile::generate(Key::Ec256);
    let table = [
        (Draft::leaf("host").expired(), "certificate.validity", "it expired at", "keyanchor renew"),
        (Draft::leaf("host").not_yet_valid(), "certificate.validity", "not valid until", "timedatectl"),
        (Draft::leaf("host").ca_true(), "certificate.end-entity", "CA:TRUE", "keyanchor csr"),
        (Draft::leaf("host").without_key_usage(), "certificate.key-usage", "no keyUsage", "keyanchor csr"),
        (Draft::leaf("host").without_digital_signature(), "certificate.key-usage", "without it", "keyanchor csr"),
        (Draft::leaf("host").hashed_with_sha1(), "certificate.signature-hash", "SHA-1", "keyanchor csr"),
        (Draft::leaf("host").without_subject(), "certificate.subject", "an empty one", "keyanchor csr"),
    ];
    for (draft, check, found, mend) in table {
        let leaf = ca.issue(&draft, key.public_key());
        let report = Report::of(on_files(&sandbox, &key, &leaf), 7);
        report.only_bad(&[check]).says(check, "bad", found).mends(check, mend);
    }
}

#[test]
fn a_certificate_that_ends_soon_is_noted() {
    let ca = Ca::root("Test Root");
    let sandbox = Sandbox::trusting(&ca);
    let key = KeyFile::generate(Key::Ec256);
    for (days, standing) in [(13, "note"), (15, "good")] {
        let leaf = ca.issue(&Draft::leaf("host").valid(-3600, days * 86_400 + 600), key.public_key());
        let report = Report::of(on_files(&sandbox, &key, &leaf), 0);
        report.says("certificate.validity", standing, &format!("{days} days from now"));
        assert_eq!(report.check("certificate.validity")["details"]["days_left"], days);
        let other = Report::of(on_files(&sandbox, &key, &leaf).args(["--warn-expiry", &(days + 2).to_string()]), 0);
        other.says("certificate.validity", "note", "").mends("certificate.validity", "keyanchor renew --private-key");
    }
}

#[test]
fn a_certificate_that_is_missing_is_told() {
    let scene = Scene::new();
    scene.token.delete_certificate("01");
    let report = Report::of(scene.doctor().arg("--sign"), 3);
    report.only_bad(&["certificate.found"]).mends("certificate.found", "keyanchor list");
    // A token that shows no certificate may hide one until a login; one that shows others does not.
    let found = Report::of(scene.doctor(), 0);
    found.says("certificate.found", "note", "shows more after a login").mends("certificate.found", "--sign");
    let other = scene.ca.leaf("other", scene.ca.public_key());
    scene.token.import_certificate(&other, "02", "other");
    let shown = Report::of(scene.doctor(), 3);
    shown.only_bad(&["certificate.found"]).says("certificate.found", "bad", "certificate object=other");
    // The key itself is good.
    report.says("key.found", "good", "object=server").says("key.signature", "good", "");
}

#[test]
fn a_missing_intermediate_is_told_where_the_trust_anchor_is_known() {
    let root = Ca::root("Test Root");
    let middle = root.intermediate("Test Intermediate");
    let sandbox = Sandbox::trusting(&root);
    let (leaf, key) = middle.leaf_with_key("host", Key::Ec256);
    let doctor = || on_files(&sandbox, &key, &leaf);

    let before = "ends before CN=Test Intermediate";
    let report = Report::of(doctor(), 0);
    report.says("chain.path", "note", before).mends("chain.path", "--intermediates FILE");

    let anchor = root.certificate.pem_path();
    let report = Report::of(doctor().arg("--trust-anchor").arg(&anchor), 7);
    report.only_bad(&["chain.anchor"]).says("chain.anchor", "bad", before).mends("chain.anchor", "--intermediates");

    let whole = doctor().arg("--intermediates").arg(middle.certificate.pem_path());
    let report = Report::of(whole.arg("--trust-anchor").arg(&anchor), 0);
    report.says("chain.anchor", "good", "").says("chain.path", "note", "CN=Test Intermediate");
    report.says("chain.issuers", "good", "the 2 issuers").says("chain.validity", "good", "days from now");
}

#[test]
fn an_issuer_that_is_no_ca_is_told_and_one_that_has_ended_is_noted() {
    let root = Ca::root("Test Root");
    let middle = root.intermediate("Test Intermediate");
    let sandbox = Sandbox::trusting(&root);
    let (leaf, key) = middle.leaf_with_key("host", Key::Ec256);
    let doctor = |draft: Draft| {
        let issuer = root.issue(&draft, middle.public_key());
        (on_files(&sandbox, &key, &leaf).arg("--intermediates").arg(issuer.pem_path()), issuer)
    };
    let (run, _issuer) = doctor(Draft::ca("Test Intermediate").expired());
    let report = Report::of(run, 0);
    report.says("chain.validity", "note", "it ended at").mends("chain.validity", "keyanchor renew --private-key");
    let (run, _issuer) = doctor(Draft::ca("Test Intermediate").without_key_usage());
    let report = Report::of(run, 7);
    report
        .only_bad(&["chain.issuers"])
        .says("chain.issuers", "bad", "keyCertSign")
        .mends("chain.issuers", "--intermediates");
}

#[test]
fn a_chain_of_another_ca_is_told() {
    let root = Ca::root("Test Root");
    let sandbox = Sandbox::trusting(&root);
    let (leaf, key) = root.intermediate("Test Intermediate").leaf_with_key("host", Key::Ec256);
    // One of the same name and another key, and one of another name.
    for (other, found) in [("Test Intermediate", "did not sign CN=host"), ("Other", "none of 1 intermediates")] {
        let other = Ca::root("Other Root").intermediate(other);
        let run = on_files(&sandbox, &key, &leaf).arg("--intermediates").arg(other.certificate.pem_path());
        let report = Report::of(run, 7);
        report.only_bad(&["chain.path"]).says("chain.path", "bad", found).mends("chain.path", "--intermediates");
    }
    let folder = Folder::new();
    let garbage = folder.write("garbage.pem", "no PEM\n");
    let report = Report::of(on_files(&sandbox, &key, &leaf).arg("--intermediates").arg(garbage), 7);
    report.says("chain.path", "bad", "garbage.pem");
}

#[test]
fn a_file_without_a_certificate_is_told() {
    let ca = Ca::root("Test Root");
    let sandbox = Sandbox::trusting(&ca);
    let key = KeyFile::generate(Key::Ec256);
    let run =
        sandbox.command("doctor", ["--json", "--private-key"]).arg(key.path()).arg("--certificate").arg(key.path());
    let report = Report::of(run, 7);
    report.only_bad(&["certificate.found"]).says("certificate.found", "bad", "found only PRIVATE KEY");
    report.says("certificate.validity", "skip", "waits for certificate.found").says("key.found", "good", "P-256");
}
