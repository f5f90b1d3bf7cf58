//! `keyanchor certificate`: certificates in files and on tokens are shown, judged as Roles Anywhere judges them, and written as PEM.

use serde_json::Value;

use crate::support::command::{Outcome, Run, keyanchor};
use crate::support::key::{Key, KeyFile};
use crate::support::pki::{Ca, Draft, bundle};
use crate::support::softhsm::{SoftHsm, Token};
use crate::support::spy::Spy;
use crate::support::{Folder, openssl, text};

fn certificate(verb: &str, arguments: &[&str]) -> Run {
    keyanchor(["certificate", verb]).args(arguments)
}

/// On a token, seen through pkcs11-spy.
fn on_token(verb: &str, token: &Token, spy: &Spy, uri: &str) -> Run {
    certificate(verb, &["--certificate", uri])
        .envs(token.env())
        .envs(spy.env())
        .env("KEYANCHOR_PKCS11_LIB", Spy::module())
}

#[track_caller]
fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(outcome.text()).unwrap()
}

#[test]
fn show_says_what_openssl_says_and_needs_no_login() {
    let (hsm, spy) = (SoftHsm::new(), Spy::before(SoftHsm::module()));
    let token = hsm.token("demo");
    let ca = Ca::root("Root");
    let leaf = token.identity(Key::Ec384, "01", "web-01", &ca);
    let uri = "pkcs11:token=demo;object=web-01";
    let shown = json(on_token("show", &token, &spy, uri).arg("--json").run().succeeds());
    let path = leaf.pem_path();
    let by_openssl = |what: &[&str]| {
        let said = openssl(&[&["x509", "-noout", "-nameopt", "RFC2253", "-in", text(&path)], what].concat());
        said.trim().split_once('=').unwrap().1.replace(':', "")
    };
    assert_eq!(shown["subject"], by_openssl(&["-subject"]));
    assert_eq!(shown["issuer"], by_openssl(&["-issuer"]));
    assert_eq!(shown["serialNumber"], by_openssl(&["-serial"]));
    assert_eq!(shown["fingerprintSha256"], by_openssl(&["-fingerprint", "-sha256"]).to_lowercase());
    assert_eq!((&shown["key"], &shown["ca"]), (&"P-384".into(), &false.into()));
    assert_eq!(shown["keyUsage"], serde_json::json!(["digitalSignature"]));
    assert_eq!(shown["missingIssuer"], "CN=Root");
    let outcome = on_token("show", &token, &spy, uri).run();
    outcome
        .succeeds()
        .stdout_contains("subject          CN=web-01\n")
        .stdout_contains("chain            CN=Root (not at hand)");
    assert_eq!((spy.calls().of("C_Login"), spy.calls().of("C_Sign")), (0, 0));
}

#[test]
fn a_good_certificate_is_said_to_be_taken() {
    let ca = Ca::root("Root");
    let middle = ca.intermediate("Middle");
    let key = KeyFile::generate(Key::Ec256);
    let leaf = middle.leaf("web-01", key.public_key()).pem_path();
    let (anchor, between) = (ca.certificate.pem_path(), middle.certificate.pem_path());
    let check = |more: &[&str]| certificate("check", &["--certificate", text(&leaf)]).args(more).run();
    let outcome = check(&["--trust-anchor", text(&anchor), "--intermediates", text(&between)]);
    for line in [
        "leaf CN=web-01, valid until ",
        "\n  ok  keyUsage with digitalSignature\n",
        "\nintermediate CN=Middle, valid until ",
        "\ntrust anchor CN=Root, valid until ",
        "\n  ok  keyUsage with keyCertSign\n",
        "\npath\n  ok  at most 5 certificates between leaf and root\n  ok  it ends at the trust anchor\n",
        "\n  ok  x509Subject/CN = web-01\n  ok  x509Issuer/CN = Middle\n",
        "\nsource identity (sts:SourceIdentity)\n  ok  CN=web-01\n",
    ] {
        outcome.succeeds().stdout_contains(line);
    }
    assert!(!outcome.text().contains("  NO  ") && outcome.stderr.is_empty(), "{outcome}");
    check(&[]).succeeds().stdout_contains("  ok  it ends before CN=Middle, which must be the trust anchor");
    check(&["--trust-anchor", text(&between)]).succeeds().stdout_contains("trust anchor CN=Middle");
    let apart = check(&["--trust-anchor", text(&anchor)]);
    apart.ends_with(7).stderr_contains("error: Roles Anywhere will refuse the certificate CN=web-01");
    apart.stdout_contains("  NO  wanted a path to the trust anchor CN=Root, found one that ends before CN=Middle");
    let namesake = Ca::root("Root");
    let namesake = namesake.certificate.pem_path();
    let outcome = check(&["--trust-anchor", text(&namesake), "--intermediates", text(&between), "--json"]);
    let report = json(outcome.ends_with(7));
    assert_eq!((&report["accepted"], &report["path"]["anchored"]), (&false.into(), &false.into()));
}

#[test]
fn every_requirement_that_is_not_met_is_marked() {
    let ca = Ca::root("Root");
    let key = KeyFile::generate(Key::Ec256);
    let good = || Draft::leaf("web-01");
    for (draft, requirement, text_of_it) in [
        (good().expired(), "validity", "it expired at "),
        (good().not_yet_valid(), "validity", "it is not valid until "),
        (good().v1(), "version", "wanted X.509 version 3, found version 1"),
        (good().without_subject(), "subject", "found an empty one"),
        (good().ca_true(), "endEntity", "wanted an end-entity certificate, found one of a CA"),
        (good().without_key_usage(), "digitalSignature", "found no keyUsage"),
        (good().without_digital_signature(), "digitalSignature", "found keyUsage without it"),
        (good().hashed_with_sha1(), "hash", "signed with SHA-256 or stronger, found SHA-1"),
    ] {
        let path = ca.issue(&draft, key.public_key()).pem_path();
        let outcome = certificate("check", &["--certificate", text(&path)]).run();
        outcome.ends_with(7).stdout_contains("  NO  ").stdout_contains(text_of_it);
        let report = json(certificate("check", &["--json", "--certificate", text(&path)]).run().ends_with(7));
        assert_eq!(report["accepted"], false);
        let requirements = report["certificates"][0]["requirements"].as_array().unwrap();
        let it = requirements.iter().find(|it| it["requirement"] == requirement).unwrap();
        assert_eq!(it["met"], false, "{requirement}");
    }
    let other = KeyFile::generate(Key::Ed25519);
    let path = ca.leaf("web-01", other.public_key()).pem_path();
    certificate("check", &["--certificate", text(&path)]).run().ends_with(7).stdout_contains("Ed25519");
}

#[test]
fn a_chain_that_is_too_long_is_marked_and_the_rest_is_judged() {
    let mut cas = vec![Ca::root("Root")];
    for depth in 1..=6 {
        let next = cas.last().unwrap().intermediate(&format!("Level {depth}"));
        cas.push(next);
    }
    let folder = Folder::new();
    let key = KeyFile::generate(Key::Ec256);
    let leaf = cas[6].leaf("web-01", key.public_key()).pem_path();
    let between = folder.write("chain.pem", bundle(cas[1..].iter().map(|ca| &ca.certificate)));
    let check = |more: &[&str]| {
        let base = ["--certificate", text(&leaf), "--intermediates", text(&between)];
        certificate("check", &base).args(more).run()
    };
    let outcome = check(&[]);
    outcome.ends_with(7).stdout_contains("\nintermediate CN=Level 1, valid until ");
    outcome.stdout_contains(
        "path\n  NO  wanted at most 5 certificates between leaf and root, found at least 6\n  ok  it ends before CN=Root",
    );
    let report = json(check(&["--json"]).ends_with(7));
    assert_eq!(report["path"]["requirements"][0]["requirement"], "chainLength");
    assert_eq!(report["path"]["requirements"][0]["met"], false);
}

#[test]
fn a_usage_that_does_not_name_clients_is_noted_and_no_reason_to_refuse() {
    let folder = Folder::new();
    let key = KeyFile::generate(Key::Ec256);
    let of_usage = |usage: &str| {
        let path = folder.join(format!("{usage}.pem"));
        let usage = format!("extendedKeyUsage={usage}");
        let request = ["req", "-x509", "-new", "-key", text(key.path()), "-subj", "/CN=web-01", "-out", text(&path)];
        let extensions = ["basicConstraints=CA:FALSE", "keyUsage=digitalSignature", &usage];
        openssl(&[&request[..], &extensions.map(|it| ["-addext", it]).concat()].concat());
        certificate("check", &["--certificate", text(&path)]).run()
    };
    let doubt = "\n  ??  extendedKeyUsage without clientAuth (AWS documents no requirement on it)\n";
    let outcome = of_usage("serverAuth");
    outcome.stdout_contains(doubt);
    let marked: Vec<_> = outcome.text().lines().filter(|line| line.starts_with("  NO  ")).collect();
    assert!(matches!(marked[..], [only] if only.contains("found one that signed itself")), "{outcome}");
    for usage in ["clientAuth,serverAuth", "anyExtendedKeyUsage"] {
        assert!(!of_usage(usage).text().contains("??"), "{usage}");
    }
}

#[test]
fn what_sts_drops_is_said_beside_what_it_keeps() {
    let folder = Folder::new();
    let (key, path, config) = (folder.join("key"), folder.join("leaf.pem"), folder.join("config"));
    std::fs::write(&config, "[req]\ndistinguished_name=dn\n[dn]\n").unwrap();
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-config",
        text(&config),
        "-keyout",
        text(&key),
        "-out",
        text(&path),
        "-subj",
        "/O=Example/OU=Security/OU=Engineering/CN=web (01)",
        "-addext",
        "keyUsage=digitalSignature",
        "-addext",
        "basicConstraints=CA:FALSE",
        "-addext",
        "subjectAltName=URI:urn:b,DNS:b.example,URI:urn:a,DNS:a.example",
    ]);
    let outcome = certificate("check", &["--certificate", text(&path)]).run();
    for line in [
        "  ok  x509Subject/OU = Security/Engineering\n",
        "  NO  x509Subject/CN = web (01) (STS does not take '(' in it)\n",
        "  ok  x509SAN/DNS = b.example\n",
        "  ok  x509SAN/URI = urn:b\n",
        "  ??  CN=web (01) (STS does not take ' ' in it)\n",
        "  NO  wanted a certificate by a trust anchor or below it, found one that signed itself\n",
    ] {
        outcome.ends_with(7).stdout_contains(line);
    }
    let report = json(certificate("check", &["--certificate", text(&path), "--json"]).run().ends_with(7));
    let tag = report["sessionTags"].as_array().unwrap().iter().find(|tag| tag["key"] == "x509Subject/CN").unwrap();
    assert_eq!((&tag["value"], &tag["set"]), (&"web (01)".into(), &false.into()));
    assert_eq!(report["sourceIdentity"]["value"], "CN=web (01)");
}

#[test]
fn export_writes_what_is_on_the_token() {
    let (hsm, spy) = (SoftHsm::new(), Spy::before(SoftHsm::module()));
    let token = hsm.token("demo");
    let root = Ca::root("Root");
    let (lower, folder) = (root.intermediate("Upper").intermediate("Lower"), Folder::new());
    let leaf = token.identity(Key::Ec256, "01", "web-01", &lower);
    token.import_certificate(&lower.certificate, "02", "lower");
    let uri = "pkcs11:token=demo;object=web-01";
    let outcome = on_token("export", &token, &spy, uri).run();
    assert_eq!(outcome.succeeds().text(), leaf.pem());
    let out = folder.join("chain.pem");
    let export = || on_token("export", &token, &spy, uri).args(["--chain", "--out", text(&out)]);
    assert_eq!(export().run().succeeds().text(), "");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), bundle([&leaf, &lower.certificate]));
    export().run().fails_with(2).stderr_contains("which exists").stderr_contains("--force");
    assert_eq!(spy.calls().of("C_Login"), 0);
    on_token("export", &token, &spy, "pkcs11:token=demo;object=absent").run().fails_with(3);
}

#[test]
fn a_file_that_holds_no_certificate_is_refused() {
    let folder = Folder::new();
    let path = folder.write("not.pem", "nothing here\n");
    for verb in ["show", "check", "export"] {
        certificate(verb, &["--certificate", text(&path)]).run().fails_with(7);
        certificate(verb, &["--certificate", "/absent.pem"]).run().fails_with(7);
        certificate(verb, &[]).run().fails_with(2);
    }
}
