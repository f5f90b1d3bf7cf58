//! `keyanchor csr`: requests for keys on every kind of device, judged by the openssl command.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::command::{Outcome, Run, keyanchor};
use crate::support::key::{Key, KeyFile};
use crate::support::pki::Ca;
use crate::support::softhsm::{SoftHsm, TEST_USER_PIN};
use crate::support::spy::Spy;
#[cfg(feature = "tpm")]
use crate::support::swtpm::Swtpm;
use crate::support::{Folder, openssl, text};

const SUBJECT: [&str; 8] = [
    "--subject",
    "CN=web-01,O=Example",
    "--dns",
    "web-01.example.net",
    "--uri",
    "spiffe://example.org/web",
    "--email",
    "w@x.y",
];

/// openssl verifies the request and shows what it asks for.
#[track_caller]
fn is_a_request(outcome: &Outcome, key: &[u8]) {
    let folder = Folder::new();
    let path = folder.write("csr.pem", outcome.succeeds().text());
    let report = openssl(&["req", "-verify", "-in", text(&path), "-noout", "-text", "-nameopt", "RFC2253"]);
    for wanted in [
        "Subject: CN=web-01,O=Example",
        "X509v3 Key Usage: critical\n                    Digital Signature\n",
        "TLS Web Client Authentication",
        "DNS:web-01.example.net, URI:spiffe://example.org/web, email:w@x.y",
    ] {
        assert!(report.contains(wanted), "no {wanted} in {report}");
    }
    let found = openssl(&["req", "-in", text(&path), "-noout", "-pubkey"]);
    let wanted = folder.write("key.der", key);
    assert_eq!(found, openssl(&["pkey", "-pubin", "-inform", "DER", "-in", text(&wanted)]));
}

#[test]
fn a_request_for_a_key_on_a_token_costs_one_login_and_one_signature() {
    let (hsm, spy) = (SoftHsm::new(), Spy::before(SoftHsm::module()));
    let token = hsm.token("demo");
    for (number, kind) in (1..).zip(Key::SUPPORTED) {
        let (id, label) = (format!("0{number}"), format!("key-{number}"));
        token.generate(kind, &id, &label);
        let before = spy.calls();
        let uri = format!("pkcs11:token=demo;object={label}");
        let outcome = keyanchor(["csr", "--private-key", &uri])
            .args(SUBJECT)
            .envs(token.env())
            .envs(spy.env())
            .env("KEYANCHOR_PKCS11_LIB", Spy::module())
            .env("KEYANCHOR_PIN", TEST_USER_PIN)
            .run();
        is_a_request(&outcome, &token.public_key(&id));
        let calls = spy.calls();
        assert_eq!(calls.of("C_Sign") - before.of("C_Sign"), 1);
        assert_eq!(calls.of("C_Login") - before.of("C_Login"), 1);
    }
}

#[test]
fn one_uri_for_key_and_certificate_needs_no_certificate_yet() {
    let hsm = SoftHsm::new();
    let token = hsm.token("demo");
    token.generate(Key::Ec256, "01", "server");
    let outcome = keyanchor(["csr", "--pkcs11", "pkcs11:token=demo;object=server", "--pkcs11-lib"])
        .arg(SoftHsm::module())
        .args(SUBJECT)
        .envs(token.env())
        .env("KEYANCHOR_PIN", TEST_USER_PIN)
        .run();
    is_a_request(&outcome, &token.public_key("01"));
}

#[test]
fn a_request_for_a_key_in_a_file() {
    for kind in Key::SUPPORTED {
        let key = KeyFile::generate(kind);
        is_a_request(&keyanchor(["csr", "--private-key", text(key.path())]).args(SUBJECT).run(), key.public_key());
    }
}

#[cfg(feature = "tpm")]
#[test]
fn a_request_for_a_key_in_a_tpm() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    for algorithm in ["EC -pkeyopt group:P-256", "EC -pkeyopt group:P-384", "RSA -pkeyopt rsa_keygen_bits:2048"] {
        let key = tpm.openssl_key(&format!("-algorithm {algorithm}"));
        let outcome = keyanchor(["csr", "--tpm", text(&key), "--tcti", &tpm.tcti()]).args(SUBJECT).run();
        tpm.tool(&format!(
            "openssl pkey -provider tpm2 -provider default -in {} -pubout -outform DER -out public.der",
            text(&key)
        ));
        is_a_request(&outcome, &std::fs::read(tpm.path("public.der")).unwrap());
    }
    assert_eq!(tpm.left_behind(), "");
}

#[test]
fn a_fault_in_a_name_is_pointed_at_and_costs_no_device() {
    let absent = ["csr", "--private-key", "/absent/key.pem"];
    let fault = |arguments: &[&str], pointed: &str| {
        keyanchor(absent).args(arguments).run().fails_with(2).stderr_contains(pointed);
    };
    fault(
        &["--subject", "CN=web, O=Example"],
        "error: --subject: wanted an attribute type as in CN=web-01,O=Example, found a space\n  \
         CN=web, O=Example\n         ^\n",
    );
    fault(
        &["--subject", "/CN=web/O=Example"],
        "wanted an attribute type as in CN=web-01,O=Example, found '/'\n  /CN=web/O=Example\n  ^\n",
    );
    fault(
        &["--subject", "CN=web", "--dns", "good.example", "--dns", "web_01"],
        "error: --dns: wanted a letter, a digit or '-' in a DNS name, found '_'\n  web_01\n     ^\n",
    );
    fault(&["--subject", "CN=web", "--uri", "example.org/x"], "  example.org/x\n             ^\n");
    fault(&["--subject", "CN=web", "--email", "a@"], "  a@\n    ^\n");
    fault(&["--subject", ""], "hint: name it: --subject CN=web-01,O=Example");
    fault(&[], "wanted a subject, found no --subject");
}

#[test]
fn a_file_that_exists_is_left_alone_unless_force_is_given() {
    let key = KeyFile::generate(Key::Ec256);
    let out = key.folder().join("web 01.csr");
    let make = |more: &[&str]| {
        keyanchor(["csr", "--private-key", text(key.path()), "--subject", "CN=web", "--out", text(&out)])
            .args(more)
            .run()
    };
    assert_eq!(make(&[]).succeeds().text(), "");
    let first = std::fs::read_to_string(&out).unwrap();
    openssl(&["req", "-verify", "-in", text(&out), "-noout"]);
    make(&[]).fails_with(2).stderr_contains("which exists").stderr_contains(&format!("--out '{}' --force", text(&out)));
    assert_eq!(std::fs::read_to_string(&out).unwrap(), first);
    make(&["--force"]).succeeds();
    assert_ne!(std::fs::read_to_string(&out).unwrap(), first);
    assert!(!Path::new(&format!("{}.lock", text(&out))).exists());
}

#[test]
fn a_file_is_readable_as_the_umask_allows_and_whole_or_not_there() {
    let key = KeyFile::generate(Key::Ec256);
    let (folder, program) = (Folder::new(), env!("CARGO_BIN_EXE_keyanchor"));
    let (made, bounded) = (folder.join("made.csr"), folder.join("bounded.csr"));
    let under = |limit: &str, out: &Path| {
        let line = format!(r#"{limit}; exec "$0" csr --private-key "$1" --subject CN=web --out "$2""#);
        Run::program("sh").args(["-c", &line, program, text(key.path()), text(out)]).run()
    };
    under("umask 027", &made).succeeds();
    assert_eq!(made.metadata().unwrap().permissions().mode() & 0o7777, 0o640);
    let outcome = under("trap '' XFSZ; ulimit -f 0", &bounded);
    outcome.fails_with(1).stderr_contains("cannot write ");
    let left: Vec<_> = folder.path().read_dir().unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, ["made.csr"], "nothing is left of what could not be written");
}

#[test]
fn a_certificate_beside_the_key_must_be_the_key_s() {
    let (key, other) = (KeyFile::generate(Key::Ec256), KeyFile::generate(Key::Ec256));
    let ca = Ca::root("Root");
    let certificate = ca.leaf("web", other.public_key()).pem_path();
    let outcome = keyanchor(["csr", "--private-key", text(key.path()), "--certificate", text(&certificate)])
        .args(["--subject", "CN=web"])
        .run();
    outcome.fails_with(3).stderr_contains("wanted the private key of the certificate");
}
