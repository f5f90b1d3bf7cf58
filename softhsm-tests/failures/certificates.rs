//! Certificates and chains that cannot be used, all of which are found before anything is sent.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{CERTIFICATE, FileIdentity, KEY, NO_HINT, REFUSED, ask, named, refused, sandbox, without_request};
use crate::support::Folder;
use crate::support::command::{Outcome, keyanchor, tool};
use crate::support::key::{Key, KeyFile};
use crate::support::pki::{Ca, Draft, bundle};
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN};

fn with_certificate(identity: &FileIdentity, certificate: &Path) -> Outcome {
    without_request(|endpoint| named(ask(endpoint), certificate, identity.key.path()))
}

fn with_intermediates(identity: &FileIdentity, file: &Path) -> Outcome {
    without_request(|endpoint| identity.ask(endpoint).arg("--intermediates").arg(file))
}

#[test]
fn a_certificate_file_that_cannot_be_read_is_named() {
    let identity = FileIdentity::new(Key::Ec256);
    let folder = Folder::new();
    let absent = folder.join("absent.pem");
    for outcome in [with_certificate(&identity, &absent), with_intermediates(&identity, &absent)] {
        refused(&outcome, CERTIFICATE, &["cannot read", "absent.pem: no such file"], "see what is there: ls -la /");
    }
    refused(&with_certificate(&identity, folder.path()), CERTIFICATE, &["it is a directory"], NO_HINT);
}

#[test]
fn a_certificate_that_this_account_may_not_read_says_so() {
    let identity = FileIdentity::new(Key::Ec256);
    let run = keyanchor(["read-certificate-data", "--certificate"]);
    let path = run.home().join("leaf.pem");
    std::fs::copy(identity.leaf.pem_path(), &path).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o000)).unwrap();
    let outcome = run.arg(&path).unprivileged().run();
    refused(&outcome, CERTIFICATE, &["cannot read", "leaf.pem: permission denied"], "namei -l ");
}

#[test]
fn garbage_is_no_certificate() {
    let identity = FileIdentity::new(Key::Ec256);
    let folder = Folder::new();
    let damaged = "-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
    let whole = identity.leaf.pem();
    let table = [
        (folder.write("empty", ""), "found an empty file"),
        (folder.write("text", "hello\n"), "found text without PEM in it"),
        (folder.write("octets", [0, 1, 2, 0xff]), "found a format that is not known here"),
        (folder.write("damaged", damaged), "damaged line 1: wanted an X.509 certificate"),
        (folder.write("cut", &whole[..whole.len() - 40]), "the block is cut off"),
    ];
    for (file, found) in table {
        for outcome in [with_certificate(&identity, &file), with_intermediates(&identity, &file)] {
            refused(&outcome, CERTIFICATE, &[file.to_str().unwrap(), found], NO_HINT);
        }
    }
}

#[test]
fn a_key_where_a_certificate_belongs_says_so() {
    let identity = FileIdentity::new(Key::Ec256);
    let outcome = with_certificate(&identity, identity.key.path());
    refused(&outcome, CERTIFICATE, &["wanted a CERTIFICATE block", "found only PRIVATE KEY"], NO_HINT);
    let file = Folder::new();
    let both = file
        .write("bundle.pem", identity.ca.certificate.pem() + &std::fs::read_to_string(identity.key.path()).unwrap());
    let outcome = with_intermediates(&identity, &both);
    refused(&outcome, CERTIFICATE, &["wanted only certificates", "found a PRIVATE KEY block at line"], NO_HINT);
}

#[test]
fn certificates_in_other_forms_come_with_the_command_that_converts_them() {
    let identity = FileIdentity::new(Key::Ec256);
    let folder = Folder::new();
    let (p7b, leaf) = (folder.join("leaf.p7b"), identity.leaf.pem_path());
    let arguments =
        ["crl2pkcs7", "-nocrl", "-outform", "DER", "-certfile", leaf.to_str().unwrap(), "-out", p7b.to_str().unwrap()];
    tool("openssl", arguments, Vec::new());
    let der = folder.write("leaf.der", &identity.leaf.der);
    for (file, found, command) in [
        (&der, "found a certificate in DER", "openssl x509 -inform DER -in "),
        (&p7b, "found PKCS#7 in DER", "openssl pkcs7 -inform DER -in "),
    ] {
        for outcome in [with_certificate(&identity, file), with_intermediates(&identity, file)] {
            refused(&outcome, CERTIFICATE, &[file.to_str().unwrap(), found], command);
        }
    }
}

#[test]
fn what_roles_anywhere_demands_is_checked_before_anything_is_sent() {
    let ca = Ca::root("Test Root");
    let key = KeyFile::generate(Key::Ec256);
    let table = [
        (Draft::leaf("host").expired(), "it expired at"),
        (Draft::leaf("host").not_yet_valid(), "it is not valid until"),
        (Draft::leaf("host").v1(), "wanted X.509 version 3, found version 1"),
        (Draft::leaf("host").ca_true(), "found one of a CA"),
        (Draft::leaf("host").without_digital_signature(), "found keyUsage without it"),
        (Draft::leaf("host").without_key_usage(), "found no keyUsage"),
        (Draft::leaf("host").hashed_with_sha1(), "wanted a certificate signed with SHA-256 or stronger, found SHA-1"),
        (Draft::leaf("host").without_subject(), "wanted a subject that names something"),
    ];
    let sandbox = sandbox(&ca, &[]);
    for (draft, found) in table {
        let leaf = ca.issue(&draft, key.public_key());
        let outcome = without_request(|endpoint| named(ask(endpoint), &leaf.pem_path(), key.path()));
        refused(&outcome, CERTIFICATE, &["Roles Anywhere does not take the certificate", found], "--no-preflight");
        // The flag that the hint names sends it, and the service refuses it.
        let run = named(ask(sandbox.endpoint()), &leaf.pem_path(), key.path()).arg("--no-preflight");
        let outcome = run.arg("--ca-bundle").arg(sandbox.ca()).run();
        outcome.fails_with(REFUSED).stderr_contains("HTTP 403 AccessDeniedException: Untrusted certificate");
    }
}

#[test]
fn a_key_that_roles_anywhere_does_not_take_is_named_in_its_certificate() {
    let ca = Ca::root("Test Root");
    for (kind, found) in [(Key::Ed25519, "Ed25519"), (Key::Secp256k1, "secp256k1")] {
        let (leaf, key) = ca.leaf_with_key("host", kind);
        let outcome = without_request(|endpoint| named(ask(endpoint), &leaf.pem_path(), key.path()));
        // The key file is looked at first.
        refused(&outcome, KEY, &[found], NO_HINT);
    }
}

#[test]
fn a_chain_of_more_than_five_is_refused() {
    let root = Ca::root("Root");
    let mut cas = vec![root];
    for depth in 1..=6 {
        let next = cas.last().unwrap().intermediate(&format!("Level {depth}"));
        cas.push(next);
    }
    let (leaf, key) = cas.last().unwrap().leaf_with_key("host", Key::Ec256);
    let folder = Folder::new();
    let file = folder.write("chain.pem", bundle(cas[1..].iter().map(|ca| &ca.certificate)));
    let run = |endpoint: &str| named(ask(endpoint), &leaf.pem_path(), key.path()).arg("--intermediates").arg(&file);
    refused(&without_request(run), CERTIFICATE, &["at most 5", "found at least 6"], NO_HINT);
}

#[test]
fn the_certificate_of_another_key_is_refused_before_any_request() {
    let identity = FileIdentity::new(Key::Ec256);
    let key = identity.key.path().display().to_string();
    for (kind, certified) in [(Key::Ec256, "P-256"), (Key::Ec384, "P-384"), (Key::Rsa2048, "RSA-2048")] {
        let (other, _) = identity.ca.leaf_with_key("other", kind);
        let certified = format!("wanted the private key of the certificate ({certified} key with SHA-256 fingerprint ");
        let error = ["certificate CN=other: ", &certified, "found another in", &key, "(P-256 key with fingerprint "];
        refused(&with_certificate(&identity, &other.pem_path()), KEY, &error, NO_HINT);
        let run = named(keyanchor(["sign-string"]), &other.pem_path(), identity.key.path());
        refused(&run.run(), KEY, &error, NO_HINT);
    }
}

#[test]
fn the_certificate_of_another_key_is_refused_before_any_request_on_a_token_too() {
    let hsm = SoftHsm::new();
    let token = hsm.token("mine");
    token.generate(Key::Ec256, "01", "key");
    let ca = Ca::root("Test Root");
    for kind in [Key::Ec256, Key::Rsa2048] {
        let (other, _) = ca.leaf_with_key("other", kind);
        let run = |endpoint: &str| {
            let certificate = other.pem_path();
            let named =
                ask(endpoint).arg("--certificate").arg(certificate).args(["--private-key", "pkcs11:token=mine"]);
            named.arg("--pkcs11-lib").arg(SoftHsm::module()).envs(hsm.env()).env("KEYANCHOR_PIN", TEST_USER_PIN)
        };
        let found = ["the certificate certifies another", "found pkcs11:token=mine", "id=%01;object=key", "P-256"];
        refused(&without_request(run), KEY, &found, "keyanchor list");
    }
    // On the token under one CKA_ID, as a renewal for a new key would leave it.
    let (other, _) = ca.leaf_with_key("other", Key::Ec256);
    token.import_certificate(&other, "01", "key");
    let run = |endpoint: &str| {
        let named = ask(endpoint).args(["--pkcs11", "pkcs11:token=mine;object=key"]);
        named.arg("--pkcs11-lib").arg(SoftHsm::module()).envs(hsm.env()).env("KEYANCHOR_PIN", TEST_USER_PIN)
    };
    refused(&without_request(run), KEY, &["the certificate certifies another", "id=%01"], "keyanchor list");
}
