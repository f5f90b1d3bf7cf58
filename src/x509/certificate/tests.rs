//! Fields and signatures against what openssl shows and signs, and damaged input.

use std::fs;

use super::*;
use crate::x509::signature::SignatureHash;
use crate::x509::test_pki::{CA, Issued, LEAF, Order, Pki};

const RSA: &str = "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out $OUT";

fn curve(name: &str) -> String {
    format!("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:{name} -out $OUT")
}

/// What `openssl x509` prints for this option, after the equals sign.
fn openssl(pki: &Pki, of: &Issued, option: &str) -> String {
    let out = pki.path("printed");
    pki.run(&format!("openssl x509 -noout -in $IN {option} > $OUT"), &[("IN", &of.path), ("OUT", &out)]);
    let text = fs::read_to_string(out).unwrap();
    text.trim_end().split_once('=').map_or(text.trim_end(), |(_, value)| value).to_owned()
}

#[test]
fn every_field_is_what_openssl_shows() {
    let pki = Pki::new();
    let ca = pki.root("Root");
    let subject = "/C=DE/O=Ex, Inc.+OU=a/CN=h\u{e4}st \\\"1\\\" /emailAddress=a@example.com";
    let issued = ca.issue(&Order { options: "-set_serial 0xF1A2B3C4D5E6F70812345678", ..Order::leaf(subject) });
    let certificate = issued.read();
    assert_eq!(certificate.serial_hex(), openssl(&pki, &issued, "-serial"));
    assert_eq!(certificate.serial_decimal(), "74782582284297281991299323512");
    let fingerprint = openssl(&pki, &issued, "-fingerprint -sha1").replace(':', "").to_lowercase();
    assert_eq!(certificate.fingerprint_sha1(), fingerprint);
    let options = "-subject -nameopt RFC2253,utf8,-esc_msb";
    assert_eq!(certificate.subject().to_string(), openssl(&pki, &issued, options).replace("subject=", ""));
    assert_eq!(certificate.issuer().to_string(), "CN=Root");
    assert_eq!(certificate.version(), 3);
    assert_eq!(certificate.issuer_der(), ca.certificate.read().subject_der());
    assert!(!certificate.is_ca() && !certificate.is_self_issued() && !certificate.is_attestation());
    let end = openssl(&pki, &issued, "-enddate -dateopt iso_8601").replace(' ', "T");
    assert_eq!(certificate.not_after().to_string(), end.replace("TZ", "Z").replace("Z", "") + "Z");
}

#[test]
fn a_signature_of_every_usual_algorithm_is_verified() {
    let pki = Pki::new();
    let issuers = [
        (RSA.to_owned(), vec!["-sha1", "-sha256", "-sha384", "-sha512", "-sha256 -sigopt rsa_padding_mode:pss"]),
        (RSA.replace("2048", "1024"), vec!["-sha256"]),
        (curve("P-256"), vec!["-sha1", "-sha256", "-sha384", "-sha512"]),
        (curve("P-384"), vec!["-sha256", "-sha384", "-sha512"]),
        (curve("P-521"), vec!["-sha256", "-sha512"]),
        ("openssl genpkey -algorithm ED25519 -out $OUT".to_owned(), vec![""]),
    ];
    let stranger = pki.root("Root").certificate.read();
    for (key, options) in issuers {
        let key = pki.new_key(&key);
        let ca = pki.root_with(&Order { key: Some(&key), ..Order::ca("/CN=Root") });
        let issuer = ca.certificate.read();
        assert!(issuer.is_self_signed() && issuer.is_ca());
        for options in options {
            // The length of the salt defaults to the largest possible in this command.
            let options = options.replace("pss", "pss -sigopt rsa_pss_saltlen:digest");
            let leaf = ca.issue(&Order { options: &options, ..Order::leaf("/CN=host") }).read();
            assert_eq!(leaf.is_signed_by(&issuer), Verification::Verified, "{}", leaf.signature_algorithm());
            assert_eq!(leaf.is_signed_by(&stranger), Verification::Refuted, "{}", leaf.signature_algorithm());
            assert_eq!(leaf.names_key_of(&issuer), Some(true));
            assert_eq!(leaf.names_key_of(&stranger), Some(false));
        }
    }
}

#[test]
fn the_hash_of_a_signature_is_told() {
    let pki = Pki::new();
    let key = pki.new_key(RSA);
    let ca = pki.root_with(&Order { key: Some(&key), ..Order::ca("/CN=Root") });
    for (options, wanted) in [
        ("-md5", Some(SignatureHash::Md5)),
        ("-sha1", Some(SignatureHash::Sha1)),
        ("-sha224", Some(SignatureHash::Sha224)),
        ("-sha384 -sigopt rsa_padding_mode:pss", Some(SignatureHash::Sha384)),
        ("-sha1 -sigopt rsa_padding_mode:pss", Some(SignatureHash::Sha1)),
        ("-sha3-256", None),
    ] {
        let leaf = ca.issue(&Order { options, ..Order::leaf("/CN=host") }).read();
        assert_eq!(leaf.signature_algorithm().hash(), wanted, "{options}");
    }
}

#[test]
fn serials_that_other_readers_refuse_are_exact() {
    let pki = Pki::new();
    let ca = pki.root("Root");
    let long = format!("-set_serial 0x01{}", "00".repeat(30));
    for (options, decimal) in [
        ("-set_serial -5", "-5"),
        ("-set_serial 0", "0"),
        (
            long.as_str(),
            // 2^240
            "1766847064778384329583297500742918515827483896875618958121606201292619776",
        ),
    ] {
        let leaf = ca.issue(&Order { options, ..Order::leaf("/CN=host") }).read();
        assert_eq!(leaf.serial_decimal(), decimal);
        assert_eq!(leaf.is_signed_by(&ca.certificate.read()), Verification::Verified);
    }
}

#[test]
fn a_certificate_that_never_expires_is_not_expired() {
    assert_eq!(timestamp(Time::INFINITY), Timestamp::MAX);
}

#[test]
fn an_attestation_is_told_by_its_extension() {
    let pki = Pki::new();
    let extensions = format!("{LEAF}1.3.6.1.4.1.41482.3.3=DER:050403\n");
    let leaf = pki.root("Root").issue(&Order { extensions: &extensions, ..Order::leaf("/CN=attestation") });
    assert!(leaf.read().is_attestation());
}

#[test]
fn damaged_certificates_never_panic() {
    let pki = Pki::new();
    let extensions = format!("{CA}subjectAltName=DNS:example.com\n");
    let der = pki.root_with(&Order { extensions: &extensions, ..Order::ca("/C=DE/CN=Root") }).certificate.der();
    let touch = |octets: &[u8]| {
        if let Ok(read) = Certificate::from_der(octets) {
            let _ =
                (read.public_key(), read.is_self_signed(), read.is_ca(), read.key_usage(), read.names_key_of(&read));
            let _ = (read.not_before(), read.not_after(), read.serial_decimal(), read.subject().to_string());
        }
    };
    for at in 0..der.len() {
        touch(&der[..at]);
        for bit in 0..8 {
            let mut damaged = der.clone();
            damaged[at] ^= 1 << bit;
            touch(&damaged);
        }
    }
    assert!(Certificate::from_der(&[der, vec![0]].concat()).is_err(), "something after the certificate");
}
