//! Everything that is made here is judged by the openssl command, which also signs: it shares nothing with this program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::files::{self, pem};
use crate::x509::test_pki::Pki;
use crate::x509::{AlternativeName, Certificate, CertificateRequest, Name, SerialNumber};

const KEYS: [&str; 4] = [
    "RSA -pkeyopt rsa_keygen_bits:2048",
    "EC -pkeyopt ec_paramgen_curve:P-256",
    "EC -pkeyopt ec_paramgen_curve:P-384",
    "EC -pkeyopt ec_paramgen_curve:P-521",
];

/// A key in a file, with its public half.
struct TestKey {
    path: PathBuf,
    public_key: PublicKey,
}

fn key(pki: &Pki, algorithm: &str) -> TestKey {
    let path = pki.new_key(&format!("openssl genpkey -algorithm {algorithm} -out $OUT"));
    let spki = output(&["pkey", "-in", path.to_str().unwrap(), "-pubout", "-outform", "DER"]);
    TestKey { public_key: PublicKey::from_spki_der(&spki).unwrap(), path }
}

#[track_caller]
fn output(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[track_caller]
fn text(arguments: &[&str]) -> String {
    String::from_utf8(output(arguments)).unwrap()
}

/// Has openssl sign, and verifies as every backend's signature is verified.
fn signed(pki: &Pki, unsigned: &Unsigned, key: &TestKey) -> Vec<u8> {
    let (message, out) = (pki.path("message"), pki.path("signature"));
    fs::write(&message, unsigned.input().message()).unwrap();
    let digest = unsigned.input().hash().to_string().replace('-', "");
    pki.run(
        &format!("openssl dgst -{} -sign $KEY -out $OUT $IN", digest.to_lowercase()),
        &[("KEY", &key.path), ("OUT", &out), ("IN", &message)],
    );
    let octets = fs::read(&out).unwrap();
    let signature = match key.public_key.algorithm() {
        KeyAlgorithm::Rsa { .. } => Signature::from_rsa(octets),
        KeyAlgorithm::Ec(_) => Signature::from_ecdsa_der(octets),
    };
    unsigned.signer().verify(unsigned.input(), &signature).unwrap();
    unsigned.finish(&signature).unwrap()
}

fn write(pki: &Pki, name: &str, label: &str, der: &[u8]) -> String {
    let path = pki.path(name);
    fs::write(&path, pem(label, der)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn days(days: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(24 * days)
}

fn names() -> Vec<AlternativeName> {
    vec![
        AlternativeName::dns("web-01.example.net").unwrap(),
        AlternativeName::uri("spiffe://example.org/web").unwrap(),
        AlternativeName::email("web@example.net").unwrap(),
    ]
}

fn template(subject: &str, key: &TestKey, profile: Profile) -> CertificateTemplate {
    CertificateTemplate {
        serial: SerialNumber::random().unwrap(),
        subject: name(subject),
        public_key: key.public_key.clone(),
        not_before: days(-1),
        not_after: days(30),
        profile,
    }
}

fn root(pki: &Pki, key: &TestKey) -> Certificate {
    let unsigned = template("CN=Root,O=Example", key, Profile::Root).self_signed().unwrap();
    Certificate::from_der(&signed(pki, &unsigned, key)).unwrap()
}

#[test]
fn openssl_takes_a_request_of_every_kind_of_key() {
    let pki = Pki::new();
    for algorithm in KEYS {
        let key = key(&pki, algorithm);
        let subject = r"CN=web-01+OU=a\,b,O=Müller";
        let template = RequestTemplate { subject: name(subject), names: names(), public_key: key.public_key.clone() };
        let der = signed(&pki, &template.unsigned().unwrap(), &key);
        let path = write(&pki, "csr.pem", "CERTIFICATE REQUEST", &der);
        let report = text(&["req", "-in", &path, "-verify", "-noout", "-text"]);
        for wanted in [
            "X509v3 Basic Constraints: critical",
            "CA:FALSE",
            "X509v3 Key Usage: critical",
            "Digital Signature\n",
            "TLS Web Client Authentication",
            "DNS:web-01.example.net, URI:spiffe://example.org/web, email:web@example.net",
        ] {
            assert!(report.contains(wanted), "{algorithm}: {wanted} in {report}");
        }
        let shown = text(&["req", "-in", &path, "-noout", "-subject", "-nameopt", "RFC2253,-esc_msb,utf8"]);
        assert_eq!(shown, format!("subject={subject}\n"));
        let request = CertificateRequest::read(Path::new(&path)).unwrap();
        assert_eq!(request.subject.to_string(), subject);
        assert_eq!(request.public_key, key.public_key);
        let found: Vec<_> = request.names.iter().map(ToString::to_string).collect();
        assert_eq!(found.join(", "), "DNS:web-01.example.net, URI:spiffe://example.org/web, email:web@example.net");
    }
}

#[test]
fn openssl_verifies_root_intermediate_and_client_of_every_kind_of_key() {
    let pki = Pki::new();
    for algorithm in KEYS {
        let (root_key, middle_key, leaf_key) = (key(&pki, algorithm), key(&pki, algorithm), key(&pki, KEYS[1]));
        let root = root(&pki, &root_key);
        let unsigned = template("CN=Middle", &middle_key, Profile::Intermediate).issued_by(&root).unwrap();
        let middle = Certificate::from_der(&signed(&pki, &unsigned, &root_key)).unwrap();
        let unsigned = template("CN=web-01", &leaf_key, Profile::Client(names())).issued_by(&middle).unwrap();
        let leaf = Certificate::from_der(&signed(&pki, &unsigned, &middle_key)).unwrap();
        let [root_path, middle_path, leaf_path] = [("root", &root), ("middle", &middle), ("leaf", &leaf)]
            .map(|(name, certificate)| write(&pki, name, "CERTIFICATE", certificate.der()));
        let verdict = text(&[
            "verify",
            "-x509_strict",
            "-purpose",
            "sslclient",
            "-CAfile",
            &root_path,
            "-untrusted",
            &middle_path,
            &leaf_path,
        ]);
        assert_eq!(verdict, format!("{leaf_path}: OK\n"));
        let leaf_text = text(&["x509", "-in", &leaf_path, "-noout", "-text"]);
        for wanted in ["Version: 3", "CA:FALSE", "Digital Signature\n", "TLS Web Client Authentication", "email:web@"] {
            assert!(leaf_text.contains(wanted), "{wanted} in {leaf_text}");
        }
        let middle_text = text(&["x509", "-in", &middle_path, "-noout", "-text"]);
        assert!(middle_text.contains("CA:TRUE, pathlen:0") && middle_text.contains("Certificate Sign, CRL Sign"));
        let root_text = text(&["x509", "-in", &root_path, "-noout", "-text"]);
        assert!(root_text.contains("critical\n                CA:TRUE\n"), "{root_text}");
        assert_eq!(leaf.names_key_of(&middle), Some(true));
        assert_eq!(leaf.issuer_der(), middle.subject_der());
        crate::x509::requirements::check(&leaf, Timestamp::now()).unwrap();
    }
}

/// openssl writes this issuer with another kind of string than this program would.
#[test]
fn the_issuer_s_name_stays_octet_for_octet() {
    let pki = Pki::new();
    let config = pki.path("config");
    fs::write(&config, "[req]\nstring_mask = pkix\ndistinguished_name = dn\n[dn]\n").unwrap();
    let issuer = key(&pki, KEYS[1]);
    let out = pki.path("ca");
    pki.run(
        "openssl req -x509 -config $CONFIG -key $KEY -subj '/CN=Root/O=b+OU=a' -multivalue-rdn -days 9 -out $OUT",
        &[("CONFIG", &config), ("KEY", &issuer.path), ("OUT", &out)],
    );
    // `req -x509` without an extension section makes a version 1 certificate: no CA.
    let plain = crate::x509::read_certificates(&out).unwrap().leaf;
    let leaf_key = key(&pki, KEYS[1]);
    let error = template("CN=a", &leaf_key, Profile::Client(Vec::new())).issued_by(&plain).unwrap_err();
    assert_eq!(error.kind(), CertificateErrorKind::Issuance);
    pki.run(
        "openssl req -x509 -config $CONFIG -key $KEY -subj '/CN=Root/O=b+OU=a' -multivalue-rdn -days 9 -out $OUT \
         -addext basicConstraints=critical,CA:TRUE",
        &[("CONFIG", &config), ("KEY", &issuer.path), ("OUT", &out)],
    );
    let ca = crate::x509::read_certificates(&out).unwrap().leaf;
    assert!(ca.subject_der().windows(6).any(|octets| octets == [0x13, 4, b'R', b'o', b'o', b't']), "PrintableString");
    let unsigned = template("CN=a", &leaf_key, Profile::Client(Vec::new())).issued_by(&ca).unwrap();
    let leaf = Certificate::from_der(&signed(&pki, &unsigned, &issuer)).unwrap();
    assert_eq!(leaf.issuer_der(), ca.subject_der());
    let path = write(&pki, "leaf", "CERTIFICATE", leaf.der());
    text(&["verify", "-CAfile", out.to_str().unwrap(), &path]);
    assert_eq!(leaf.not_after(), ca.not_after(), "no longer than the issuer");
}

#[test]
fn times_are_written_as_rfc_5280_wants_them() {
    let pki = Pki::new();
    let key = key(&pki, KEYS[1]);
    for (not_after, tag) in [("2049-12-31T23:59:59.9Z", 0x17), ("2050-01-01T00:00:00Z", 0x18)] {
        let template =
            CertificateTemplate { not_after: not_after.parse().unwrap(), ..template("CN=Root", &key, Profile::Root) };
        let der = signed(&pki, &template.self_signed().unwrap(), &key);
        let found = Certificate::from_der(&der).unwrap();
        assert_eq!(found.not_after().as_second(), template.not_after.as_second());
        let path = write(&pki, "root", "CERTIFICATE", &der);
        let parsed = text(&["asn1parse", "-in", &path]);
        let kind = if tag == 0x17 { "UTCTIME           :491231235959Z" } else { "GENERALIZEDTIME   :20500101000000Z" };
        assert!(parsed.contains(kind), "{parsed}");
    }
}

#[test]
fn what_must_not_be_issued_is_refused() {
    let pki = Pki::new();
    let (root_key, other) = (key(&pki, KEYS[1]), key(&pki, KEYS[1]));
    let root = root(&pki, &root_key);
    let client = template("CN=a", &other, Profile::Client(Vec::new()));
    let leaf = Certificate::from_der(&signed(&pki, &client.issued_by(&root).unwrap(), &root_key)).unwrap();
    let unsigned = template("CN=Middle", &other, Profile::Intermediate).issued_by(&root).unwrap();
    let middle = Certificate::from_der(&signed(&pki, &unsigned, &root_key)).unwrap();
    let refusal = |template: &CertificateTemplate, issuer| {
        let error = template.issued_by(issuer).unwrap_err();
        assert_eq!(error.kind(), CertificateErrorKind::Issuance);
        error.to_string()
    };
    assert_eq!(refusal(&client, &leaf), "wanted the certificate of a CA as issuer, found an end entity's: CN=a");
    let below = template("CN=Below", &other, Profile::Intermediate);
    assert_eq!(refusal(&below, &middle), "wanted an issuer of CAs, found pathLenConstraint 0 in CN=Middle");
    let late = CertificateTemplate { not_before: days(31), not_after: days(40), ..client };
    assert!(refusal(&late, &root).starts_with("wanted an end of validity after"));
}

#[test]
fn openssl_believes_a_revocation_list() {
    let pki = Pki::new();
    for algorithm in KEYS {
        let key = key(&pki, algorithm);
        let root = root(&pki, &key);
        let revoked = |serial: &[u8], reason| Revocation {
            serial: SerialNumber::from_twos_complement(serial),
            since: days(-1),
            reason,
        };
        let mut template = CrlTemplate {
            number: 4711,
            this_update: days(0),
            next_update: days(7),
            revoked: vec![
                revoked(&[0x12, 0x34], RevocationReason::KeyCompromise),
                revoked(&[0x00, 0xff], RevocationReason::Unspecified),
            ],
        };
        let der = signed(&pki, &template.issued_by(&root).unwrap(), &key);
        let path = write(&pki, "crl", "X509 CRL", &der);
        let ca = write(&pki, "root", "CERTIFICATE", root.der());
        let report = text(&["crl", "-in", &path, "-noout", "-text", "-CAfile", &ca]);
        for wanted in [
            "Version 2",
            "X509v3 CRL Number: \n                4711",
            "Serial Number: 1234",
            "Serial Number: FF",
            "Key Compromise",
            "X509v3 Authority Key Identifier",
        ] {
            assert!(report.contains(wanted), "{wanted} in {report}");
        }
        assert_eq!(report.matches("CRL Reason Code").count(), 1, "{report}");
        template.revoked.clear();
        let der = signed(&pki, &template.issued_by(&root).unwrap(), &key);
        let path = write(&pki, "crl", "X509 CRL", &der);
        assert!(text(&["crl", "-in", &path, "-noout", "-text", "-CAfile", &ca]).contains("No Revoked Certificates."));
    }
}

#[test]
fn requests_that_openssl_made_are_read_and_forged_ones_are_not() {
    let pki = Pki::new();
    let key = key(&pki, KEYS[1]);
    let out = pki.path("csr");
    pki.run(
        "openssl req -new -key $KEY -subj /CN=web/O=b -addext subjectAltName=DNS:web,IP:10.0.0.1 -out $OUT",
        &[("KEY", &key.path), ("OUT", &out)],
    );
    let request = CertificateRequest::read(&out).unwrap();
    assert_eq!((request.subject.to_string().as_str(), &request.public_key), ("O=b,CN=web", &key.public_key));
    let names: Vec<_> = request.names.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["DNS:web", "IP address"]);
    let octets = fs::read(&out).unwrap();
    let der = files::blocks(&octets).unwrap()[0].decode().unwrap();
    assert!(CertificateRequest::from_octets(&out, &der).is_ok(), "DER as well");
    let mut forged = der.to_vec();
    let place = forged.windows(3).position(|octets| octets == b"web").unwrap();
    forged[place] = b'W';
    let error = CertificateRequest::from_der(&forged).unwrap_err();
    assert_eq!(error.kind(), CertificateErrorKind::Request);
    assert_eq!(error.to_string(), "wanted a request signed by the key that it is for, found another signature");
    let refusal = |content: &str| {
        fs::write(&out, content).unwrap();
        CertificateRequest::read(&out).unwrap_err().to_string()
    };
    let twice = pem("CERTIFICATE REQUEST", &der).repeat(2);
    assert!(refusal(&twice).contains("wanted one request, found a second one at line"), "{}", refusal(&twice));
    let other = pem("CERTIFICATE", &der);
    assert!(refusal(&other).ends_with("wanted a CERTIFICATE REQUEST block, found CERTIFICATE"));
    assert!(refusal("").ends_with("found an empty file"), "{}", refusal(""));
    for at in 0..der.len() {
        let _ = CertificateRequest::from_der(&der[..at]);
        let mut damaged = der.to_vec();
        damaged[at] ^= 1 << (at % 8);
        assert!(CertificateRequest::from_der(&damaged).is_err(), "octet {at}");
    }
    pki.run("openssl req -new -newkey ed25519 -nodes -keyout /dev/null -subj /CN=a -out $OUT", &[("OUT", &out)]);
    assert_eq!(CertificateRequest::read(&out).unwrap_err().kind(), CertificateErrorKind::Request);
}

#[test]
fn openssl_prints_names_as_they_were_written() {
    let pki = Pki::new();
    let key = key(&pki, KEYS[1]);
    for subject in [
        "CN=a,OU=b,OU=c,O=d,L=e,ST=f,C=DE",
        "UID=jsmith,DC=example,DC=net",
        r#"CN=James \"Jim\" Smith\, III,O=\#1\+\;\<\>\\=x\ "#,
        "serialNumber=4711,emailAddress=a@example.net,GN=a,SN=b,title=c,postalCode=4,dnQualifier=q",
        "1.3.6.1.4.1.1466.0=#0C024869",
    ] {
        let template =
            RequestTemplate { subject: name(subject), names: Vec::new(), public_key: key.public_key.clone() };
        let path = write(&pki, "csr", "CERTIFICATE REQUEST", &signed(&pki, &template.unsigned().unwrap(), &key));
        let shown = text(&["req", "-in", &path, "-noout", "-subject", "-nameopt", "RFC2253"]);
        assert_eq!(shown, format!("subject={subject}\n"));
    }
}
