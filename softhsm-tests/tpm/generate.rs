//! Keys that we make, read by others.

use keyanchor::key::tpm::{MadeKey, NewKeyPlace, generate};
use keyanchor::key::{Curve, KeyAlgorithm, KeyError, KeyErrorKind, NewKey, NewTpmKey, SecretKind};

use super::{Bench, signs};
use crate::support::swtpm::Swtpm;

const P256: KeyAlgorithm = KeyAlgorithm::Ec(Curve::P256);

fn made(bench: &Bench, new: &NewKey) -> Result<MadeKey, KeyError> {
    generate(new, NewKeyPlace::File, &bench.options)
}

fn made_at_handle(bench: &Bench, new: &NewKey) -> Result<MadeKey, KeyError> {
    generate(new, NewKeyPlace::Persistent("handle:0x81000101".parse().unwrap()), &bench.options)
}

fn new(tpm: NewTpmKey) -> NewKey {
    NewKey { algorithm: P256, tpm }
}

/// Has the tpm2 provider of OpenSSL sign with the file, and openssl verify.
#[track_caller]
fn openssl_accepts(tpm: &Swtpm, pem: &str, password: &str) {
    std::fs::write(tpm.path("ours.pem"), pem).unwrap();
    std::fs::write(tpm.path("message"), "test message").unwrap();
    let provider = "-provider tpm2 -provider default -propquery ?provider=tpm2";
    let passin = if password.is_empty() { String::new() } else { format!(" -passin pass:{password}") };
    tpm.tool(&format!("openssl pkey {provider}{passin} -in ours.pem -pubout -out ours.pub"));
    tpm.tool(&format!("openssl dgst {provider}{passin} -sha256 -sign ours.pem -out signature message"));
    tpm.tool("openssl dgst -sha256 -verify ours.pub -signature signature message");
}

#[test]
fn our_files_are_accepted_by_the_provider_and_by_us() {
    let tpm = Swtpm::start();
    for algorithm in [P256, KeyAlgorithm::Ec(Curve::P384), KeyAlgorithm::Rsa { bits: 2048 }] {
        let bench = Bench::at(tpm.tcti());
        let key = made(&bench, &NewKey::new(algorithm)).unwrap();
        let pem = key.pem.unwrap();
        let opened = bench.pem(pem.as_bytes()).unwrap();
        assert_eq!(opened.public_key(), Some(&key.public_key));
        signs(Ok(opened)).unwrap();
        openssl_accepts(&tpm, &pem, "");
    }
    assert_eq!(tpm.left_behind(), "");
}

#[test]
fn a_description_is_kept() {
    let tpm = Swtpm::start();
    let bench = Bench::at(tpm.tcti());
    // Version 1.1 of the provider does not read files with one.
    let description = Some("test key of a server".to_owned());
    let pem = made(&bench, &new(NewTpmKey { description, ..NewTpmKey::default() })).unwrap().pem.unwrap();
    std::fs::write(tpm.path("ours.pem"), &pem).unwrap();
    assert!(tpm.tool("openssl asn1parse -in ours.pem").contains("test key of a server"));
    signs(bench.pem(pem.as_bytes())).unwrap();
}

#[test]
fn a_key_with_a_password_wants_it() {
    let tpm = Swtpm::start();
    let bench = Bench::with_secrets(tpm.tcti(), &[(SecretKind::TpmKeyPassword, "test-password")]);
    let key = made(&bench, &new(NewTpmKey { with_password: true, ..NewTpmKey::default() })).unwrap();
    let pem = key.pem.unwrap();
    signs(bench.pem(pem.as_bytes())).unwrap();
    openssl_accepts(&tpm, &pem, "test-password");
    let error = signs(Bench::at(tpm.tcti()).pem(pem.as_bytes())).unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::SecretMissing);
    assert_eq!(tpm.left_behind(), "");
}

#[test]
fn a_key_never_leaves_its_tpm_and_only_signs() {
    let tpm = Swtpm::start();
    for (with_password, wanted) in [
        (false, "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign"),
        (true, "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign"),
    ] {
        let bench = Bench::with_secrets(tpm.tcti(), &[(SecretKind::TpmKeyPassword, "test-password")]);
        let new = new(NewTpmKey { with_password, ..NewTpmKey::default() });
        assert_eq!(made_at_handle(&bench, &new).unwrap().pem, None);
        let public = tpm.tool("tpm2_readpublic -c 0x81000101");
        assert!(public.contains(&format!("value: {wanted}\n")), "{public}");
        tpm.tpm2("evictcontrol -Q -C o -c 0x81000101");
    }
}

#[test]
fn a_taken_handle_is_not_overwritten() {
    let tpm = Swtpm::start();
    let bench = Bench::at(tpm.tcti());
    let first = made_at_handle(&bench, &NewKey::new(P256)).unwrap();
    let error = made_at_handle(&bench, &NewKey::new(P256)).unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::Taken);
    assert!(error.to_string().contains("taken already"), "{error}");
    let key = bench.handle("handle:0x81000101").unwrap();
    assert_eq!(key.public_key(), Some(&first.public_key));
    signs(Ok(key)).unwrap();
    assert_eq!(tpm.left_behind(), "");
}

#[test]
fn an_owner_password_is_used_for_parent_and_handle() {
    let tpm = Swtpm::start();
    tpm.tpm2("changeauth -Q -c o test-owner");
    let bench = Bench::with_secrets(tpm.tcti(), &[(SecretKind::TpmParentPassword, "test-owner")]);
    made_at_handle(&bench, &NewKey::new(P256)).unwrap();
    signs(bench.handle("handle:0x81000101")).unwrap();
    assert_eq!(made(&Bench::at(tpm.tcti()), &NewKey::new(P256)).unwrap_err().kind(), KeyErrorKind::SecretMissing);
    assert_eq!(tpm.left_behind(), "");
}

#[test]
fn a_persistent_parent_is_named_in_the_file() {
    let tpm = Swtpm::start();
    tpm.make_srk("0x81000001");
    let parent = Some("handle:0x81000001".parse().unwrap());
    let bench = Bench::at(tpm.tcti());
    let pem = made(&bench, &new(NewTpmKey { parent, ..NewTpmKey::default() })).unwrap().pem.unwrap();
    signs(bench.pem(pem.as_bytes())).unwrap();
    openssl_accepts(&tpm, &pem, "");
}

#[test]
fn a_size_that_the_tpm_lacks_is_told() {
    let tpm = Swtpm::start();
    let error = made(&Bench::at(tpm.tcti()), &NewKey::new(KeyAlgorithm::Rsa { bits: 4096 })).unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("TPM2_Create"), "{error}");
    assert_eq!(tpm.left_behind(), "");
}
