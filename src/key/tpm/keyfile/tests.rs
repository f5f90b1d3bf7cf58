//! The key-file codec: every encoding in the field, and no other.

use super::super::super::algorithm::{Curve, KeyAlgorithm};
use super::*;

fn sample() -> TpmKeyFile {
    let template = PublicArea::signing_template(KeyAlgorithm::Ec(Curve::P256), false).unwrap();
    TpmKeyFile {
        without_password: true,
        policy: Vec::new(),
        seed: None,
        description: Some("test key".to_owned()),
        parent: Parent::Primary(Hierarchy::Owner, Template::Ecc),
        public: PublicArea::parse(&template).unwrap(),
        private: vec![0xaa; 190],
    }
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let mut out = vec![tag];
    match len {
        0..0x80 => out.push(len as u8),
        0x80..0x100 => out.extend([0x81, len as u8]),
        _ => out.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    out.extend(content);
    out
}

/// A TPMKey with these optional fields and this `parent`, both in DER.
fn file_with(kind: ObjectIdentifier, optional: &[u8], parent: &[u8]) -> Result<TpmKeyFile, KeyError> {
    let sample = sample();
    let body = [
        kind.to_der().unwrap(),
        optional.to_vec(),
        parent.to_vec(),
        tlv(0x04, &marshal::sized(sample.public.octets()).unwrap()),
        tlv(0x04, &marshal::sized(&sample.private).unwrap()),
    ];
    TpmKeyFile::from_der(&tlv(0x30, &body.concat()))
}

const OWNER: &[u8] = &[0x02, 0x04, 0x40, 0x00, 0x00, 0x01];

#[test]
fn what_is_written_is_read_again() {
    let pem = sample().to_pem().unwrap();
    let read = TpmKeyFile::from_pem(pem.as_bytes()).unwrap();
    assert!(read.without_password);
    assert_eq!(read.description.as_deref(), Some("test key"));
    assert_eq!(read.parent, Parent::Primary(Hierarchy::Owner, Template::Ecc));
    assert_eq!(read.public.octets(), sample().public.octets());
    assert_eq!(read.private, sample().private);
    assert!(pem.lines().all(|line| line.len() <= 64));
}

#[test]
fn every_encoding_of_empty_auth_in_the_field_is_read() {
    for (field, wanted) in [
        (&[0xa0, 0x03, 0x01, 0x01, 0xff][..], true),
        (&[0xa0, 0x03, 0x01, 0x01, 0x01], true),
        (&[0x80, 0x01, 0xff], true),
        (&[0xa0, 0x03, 0x01, 0x01, 0x00], false),
        (&[], false),
    ] {
        assert_eq!(file_with(LOADABLE, field, OWNER).unwrap().without_password, wanted, "{field:02x?}");
    }
}

#[test]
fn every_encoding_of_the_parent_in_the_field_is_read() {
    let persistent = Parent::Persistent("handle:0x81000001".parse().unwrap());
    let owner = Parent::Primary(Hierarchy::Owner, Template::Ecc);
    for (parent, wanted) in [
        (&[0x02, 0x05, 0x00, 0x81, 0x00, 0x00, 0x01][..], persistent),
        (&[0x02, 0x04, 0x81, 0x00, 0x00, 0x01], persistent),
        (&[0x02, 0x01, 0x00], owner),
        (OWNER, owner),
        (&[0x02, 0x04, 0x40, 0x00, 0x00, 0x0b], Parent::Primary(Hierarchy::Endorsement, Template::Ecc)),
    ] {
        assert_eq!(file_with(LOADABLE, &[], parent).unwrap().parent, wanted, "{parent:02x?}");
    }
    assert!(file_with(LOADABLE, &[], &[0x02, 0x05, 0x00, 0x80, 0x00, 0x00, 0x01]).is_err(), "transient");
    let rsa = file_with(LOADABLE, &[0xa5, 0x03, 0x01, 0x01, 0x01], OWNER).unwrap();
    assert_eq!(rsa.parent, Parent::Primary(Hierarchy::Owner, Template::Rsa));
}

#[test]
fn a_key_is_found_beside_a_certificate_and_in_any_line_shape() {
    let pem = sample().to_pem().unwrap();
    let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for text in [
        format!("{certificate}{pem}"),
        format!("{pem}{certificate}"),
        pem.replace('\n', "\r\n"),
        format!("Bag Attributes\n{}", pem.replace("\n", "\n ")),
    ] {
        assert!(TpmKeyFile::from_pem(text.as_bytes()).is_ok(), "{text}");
    }
    let error = TpmKeyFile::from_pem(format!("{pem}{pem}").as_bytes()).unwrap_err();
    assert_eq!(error.kind(), KeyErrorKind::Ambiguous);
}

#[test]
fn kinds_that_cannot_sign_or_lack_their_seed_are_refused() {
    assert!(file_with(OLD_LOADABLE, &[], OWNER).is_ok());
    let refusal = |kind, optional: &[u8]| file_with(kind, optional, OWNER).unwrap_err().to_string();
    assert!(refusal(SEALED, &[]).contains("sealed"));
    assert!(refusal(IMPORTABLE, &[]).contains("lacks the secret"));
    assert!(refusal(ObjectIdentifier::new_unwrap("1.2.3"), &[]).contains("1.2.3"));
    let secret = tlv(0xa2, &tlv(0x04, &[0, 2, 7, 7]));
    assert!(refusal(LOADABLE, &secret).contains("only importable"));
    assert_eq!(file_with(IMPORTABLE, &secret, OWNER).unwrap().seed, Some(vec![7, 7]));
}

#[test]
fn no_truncated_file_is_read_and_no_flipped_bit_panics() {
    let der = sample().to_der().unwrap();
    for len in 0..der.len() {
        assert!(TpmKeyFile::from_der(&der[..len]).is_err(), "{len} octets");
    }
    for bit in 0..der.len() * 8 {
        let mut flipped = der.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let _ = TpmKeyFile::from_der(&flipped);
    }
}

#[test]
fn an_oversized_file_is_refused_before_it_is_decoded() {
    let text = format!("{BEGIN}\n{}\n{END}\n", "A".repeat(40_000));
    assert!(TpmKeyFile::from_pem(text.as_bytes()).unwrap_err().to_string().contains("longer"));
}
