//! Identities from files, and the choice among a token's certificates.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::choose;
use super::*;
use crate::key::{
    Advice, Attendant, DeviceOptions, HashAlgorithm, Pkcs11Options, Secret, SecretRequest, Secrets, SigningInput,
    StoredCertificate, TpmOptions,
};
use crate::x509::test_pki::{CA, Issued, Order, Pki};

/// Nobody at the terminal.
struct Nobody;

impl Attendant for Nobody {
    fn ask(&self, _: &SecretRequest<'_>) -> std::io::Result<Option<Secret>> {
        Ok(None)
    }
    fn enter_on_device(&self, _: &SecretRequest<'_>) {}
    fn device_is_slow(&self, _: &str) {}
    fn device_answered(&self) {}
}

fn devices() -> Devices {
    Devices::new(DeviceOptions {
        secrets: Arc::new(Secrets::new(Arc::new(Nobody))),
        limit: Duration::from_secs(10),
        pkcs11: Pkcs11Options::default(),
        tpm: TpmOptions::default(),
    })
}

fn files(certificate: Option<&Path>, key: Option<&Path>, intermediates: Option<&Path>) -> IdentityReference {
    IdentityReference {
        key: key.map(|path| KeyReference::File(path.to_path_buf())),
        certificate: certificate.map(|path| CertificateReference::File(path.to_path_buf())),
        intermediates: intermediates.map(Path::to_path_buf),
    }
}

fn open(wanted: &IdentityReference) -> Result<Identity, IdentityError> {
    Identity::open(&mut devices(), wanted, true, Timestamp::now())
}

fn certificate_error(result: Result<Identity, IdentityError>) -> CertificateError {
    match result.err().unwrap() {
        IdentityError::Certificate(error) => error,
        IdentityError::Key(error) => panic!("{error}"),
    }
}

fn key_error<T>(result: Result<T, IdentityError>) -> KeyError {
    match result.err().unwrap() {
        IdentityError::Key(error) => error,
        IdentityError::Certificate(error) => panic!("{error}"),
    }
}

#[test]
fn the_chain_comes_from_both_files_in_any_order() {
    let pki = Pki::new();
    let root = pki.root("Root");
    let upper = root.intermediate("Upper");
    let lower = upper.intermediate("Lower");
    let leaf = lower.leaf("host");
    let (file, bundle) = (pki.path("leaf.pem"), pki.path("bundle.pem"));
    fs::write(&file, leaf.pem() + &upper.certificate.pem()).unwrap();
    fs::write(&bundle, root.certificate.pem() + &lower.certificate.pem()).unwrap();
    let identity = open(&files(Some(&file), Some(&leaf.key), Some(&bundle))).unwrap();
    assert_eq!(identity.leaf, leaf.read());
    assert_eq!(identity.chain, [lower.certificate.read(), upper.certificate.read()]);
    let input = SigningInput::new(b"a message".to_vec(), HashAlgorithm::Sha256);
    let signature = identity.key.sign(&input).unwrap();
    identity.leaf.public_key().unwrap().verify(&input, &signature).unwrap();
}

#[test]
fn one_file_holds_certificate_and_key_even_through_a_pipe() {
    let pki = Pki::new();
    let leaf = pki.root("Root").leaf("host");
    let text = pki.key_pem(&leaf) + &leaf.pem();
    let fifo = pki.path("combined");
    pki.run("mkfifo $FIFO", &[("FIFO", &fifo)]);
    let writer = std::thread::spawn({
        let fifo = fifo.clone();
        move || fs::write(fifo, text)
    });
    assert_eq!(open(&files(Some(&fifo), None, None)).unwrap().leaf, leaf.read());
    writer.join().unwrap().unwrap();
}

#[test]
fn a_certificate_of_another_key_is_refused() {
    let pki = Pki::new();
    let root = pki.root("Root");
    let (mine, other) = (root.leaf("host"), root.leaf("other"));
    let wanted = files(Some(&mine.path), Some(&other.key), None);
    for error in [key_error(open(&wanted)), key_error(open_key(&mut devices(), &wanted))] {
        assert_eq!(error.kind(), KeyErrorKind::Mismatch);
    }
}

#[test]
fn requirements_are_checked_unless_told_otherwise() {
    let pki = Pki::new();
    let leaf = pki.root("Root").issue(&Order { extensions: CA, ..Order::leaf("/CN=host") });
    let wanted = files(Some(&leaf.path), Some(&leaf.key), None);
    let error = certificate_error(open(&wanted));
    assert_eq!(error.kind(), CertificateErrorKind::Requirement);
    assert_eq!(error.advice(), Some(&Advice::Allow { flag: "--no-preflight" }));
    Identity::open(&mut devices(), &wanted, false, Timestamp::now()).unwrap();
}

#[test]
fn a_key_without_a_certificate_opens_and_is_no_identity() {
    let pki = Pki::new();
    let leaf = pki.root("Root").leaf("host");
    let wanted = files(None, Some(&leaf.key), None);
    assert!(open_key(&mut devices(), &wanted).unwrap().public_key().is_some());
    assert!(certificate_error(open(&wanted)).to_string().starts_with("wanted the certificate of the key /"));
    assert_eq!(certificate_error(open(&IdentityReference::default())).kind(), CertificateErrorKind::Unnamed);
}

#[test]
fn a_certificate_file_without_a_key_says_so() {
    let pki = Pki::new();
    let leaf = pki.root("Root").leaf("host");
    let error = key_error(open(&files(Some(&leaf.path), None, None)));
    assert!(error.to_string().ends_with("wanted a private key, found only CERTIFICATE"), "{error}");
}

fn stored(number: u8, issued: &Issued) -> StoredCertificate {
    StoredCertificate { der: issued.der(), id: Some(vec![number]), reference: format!("pkcs11:id=%{number:02x}") }
}

fn key(public_key: Option<PublicKey>, id: u8) -> StoredKey {
    StoredKey { public_key, id: Some(vec![id]), reference: format!("pkcs11:id=%{id:02x};type=private") }
}

#[test]
fn one_certificate_is_taken_without_asking_for_keys() {
    let pki = Pki::new();
    let ca = pki.root("Root");
    let chosen = choose::leaf(vec![stored(1, &ca.certificate)], &"pkcs11:", |_| panic!("asked for keys")).unwrap();
    assert_eq!(chosen.leaf, ca.certificate.read());
}

#[test]
fn certificates_of_cas_and_attestations_are_no_leaves() {
    let pki = Pki::new();
    let ca = pki.root("Root");
    let leaf = ca.leaf("host");
    let extensions = "1.3.6.1.4.1.41482.3.3=DER:050403";
    let attestation = ca.issue(&Order { extensions, key: Some(&leaf.key), ..Order::leaf("/CN=attestation") });
    let all = vec![stored(1, &ca.certificate), stored(2, &attestation), stored(2, &leaf)];
    let chosen = choose::leaf(all, &"pkcs11:", |_| panic!("asked for keys")).unwrap();
    assert_eq!((chosen.leaf, chosen.id), (leaf.read(), Some(vec![2])));
    assert_eq!(chosen.others, [ca.certificate.read(), attestation.read()]);
}

#[test]
fn of_several_leaves_the_one_whose_key_is_there_is_taken() {
    let pki = Pki::new();
    let ca = pki.root("Root");
    let (one, two) = (ca.leaf("one"), ca.leaf("two"));
    let all = || vec![stored(1, &one), stored(2, &two)];
    let public = one.read().public_key().unwrap();
    let by_key = choose::leaf(all(), &"pkcs11:", |_| Ok(vec![key(Some(public), 9)])).unwrap();
    assert_eq!(by_key.leaf, one.read());
    let by_id = choose::leaf(all(), &"pkcs11:", |_| Ok(vec![key(None, 2)])).unwrap();
    assert_eq!(by_id.leaf, two.read());
}

#[test]
fn what_stays_ambiguous_lists_references_to_choose_from() {
    let pki = Pki::new();
    let ca = pki.root("Root");
    let (one, two, three) = (ca.leaf("one"), ca.leaf("two"), ca.leaf("three"));
    let choose = |keys: Vec<StoredKey>| {
        let all = vec![stored(1, &one), stored(2, &two), stored(3, &three)];
        let error = key_error(choose::leaf(all, &"pkcs11:token=t", |_| Ok(keys)));
        assert_eq!(error.kind(), KeyErrorKind::Ambiguous);
        let Some(Advice::ChooseOne { references }) = error.advice() else { panic!("{error}") };
        (error.to_string(), references.len())
    };
    let (message, references) = choose(vec![key(None, 1), key(None, 3)]);
    assert_eq!(message, "wanted one certificate, 2 whose keys are there match pkcs11:token=t");
    assert_eq!(references, 2);
    let (message, references) = choose(Vec::new());
    assert_eq!(message, "wanted one certificate, 3 match pkcs11:token=t, and the key of none of them was found");
    assert_eq!(references, 3);
}

#[test]
fn a_renewed_certificate_comes_before_the_old_one_and_needs_no_login_to_be_told() {
    let pki = Pki::new();
    let ca = pki.root("Root");
    let old = ca.leaf("host");
    let renewed = |subject, options| ca.issue(&Order { key: Some(&old.key), options, ..Order::leaf(subject) });
    let new = renewed("/CN=host", "-days 40");
    let all = |last: &Issued| vec![stored(1, &new), stored(1, last), stored(1, &ca.certificate)];
    let chosen = choose::leaf(all(&old), &"pkcs11:", |_| panic!("asked for keys")).unwrap();
    assert_eq!(chosen.leaf, new.read());
    assert_eq!(chosen.others, [old.read(), ca.certificate.read()]);
    let (one, two) = (stored(1, &new), stored(1, &renewed("/CN=host", "-days 40")));
    let either = |all| choose::leaf(all, &"pkcs11:", |_| panic!("asked for keys")).unwrap().leaf;
    assert_eq!(either(vec![one.clone(), two.clone()]), either(vec![two, one]), "of the same second");
    let elsewhere = renewed("/CN=other", "-days 50");
    let error = key_error(choose::leaf(all(&elsewhere), &"pkcs11:", |_| Ok(vec![key(None, 1)])));
    assert_eq!(error.kind(), KeyErrorKind::Ambiguous, "another subject is another certificate");
}

#[test]
fn what_a_token_stores_badly_is_passed_over() {
    let pki = Pki::new();
    let leaf = pki.root("Root").leaf("host");
    let garbage = || StoredCertificate { der: vec![1, 2, 3], id: None, reference: "pkcs11:object=bad".into() };
    let chosen = choose::leaf(vec![garbage(), stored(1, &leaf)], &"pkcs11:", |_| panic!("asked for keys")).unwrap();
    assert_eq!(chosen.leaf, leaf.read());
    let error = choose::leaf(vec![garbage()], &"pkcs11:", |_| panic!("asked for keys")).unwrap_err();
    assert!(error.to_string().starts_with("pkcs11:object=bad: wanted an X.509 certificate"), "{error}");
}
