//! Public areas: templates, refusals, lengths.

use super::*;

const DECRYPT: u32 = 1 << 17;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// A P-256 signing key with these attributes and this scheme field.
fn ec_key(attributes: u32, scheme: &str) -> Vec<u8> {
    let mut area = hex("0023000b");
    area.extend(attributes.to_be_bytes());
    area.extend(hex(&format!("00000010{scheme}00030010")));
    for coordinate in [7u8, 9] {
        area.extend(marshal::sized(&[coordinate; 32]).unwrap());
    }
    area
}

#[test]
fn templates_are_the_published_ones() {
    assert_eq!(Template::Ecc.area(), hex("0023000b00030472000000060080004300100003001000000000"));
    assert_eq!(Template::Rsa.area(), hex("0001000b00030472000000060080004300100800000000000000"));
}

#[test]
fn a_key_made_by_a_template_fits_it_and_one_without_no_da_does_not() {
    let mut area = Template::Ecc.up_to_unique().to_vec();
    area.extend(marshal::sized(&[1; 32]).unwrap());
    area.extend(marshal::sized(&[2; 32]).unwrap());
    assert!(Template::Ecc.fits(&PublicArea::parse(&area).unwrap()));
    assert!(!Template::Rsa.fits(&PublicArea::parse(&area).unwrap()));
    area[6] &= !0x04;
    assert!(!Template::Ecc.fits(&PublicArea::parse(&area).unwrap()));
}

#[test]
fn what_a_key_may_not_do_is_said() {
    let refusal = |attributes, scheme| {
        PublicArea::parse(&ec_key(attributes, scheme)).unwrap().signing_key().unwrap_err().to_string()
    };
    assert!(refusal(DECRYPT, "0010").contains("may only decrypt"));
    assert!(refusal(SIGN | RESTRICTED, "0018000b").contains("restricted"));
    assert!(refusal(SIGN, "001a000b0000").contains("ECDAA"));
    assert!(PublicArea::parse(&ec_key(SIGN | DECRYPT, "0018000b")).unwrap().signing_key().is_ok());
}

#[test]
fn a_truncated_or_longer_area_is_none() {
    let area = ec_key(SIGN, "0010");
    for len in 0..area.len() {
        assert!(PublicArea::parse(&area[..len]).is_none(), "{len} octets");
    }
    assert!(PublicArea::parse(&[area, vec![0]].concat()).is_none());
}

#[test]
fn a_new_key_is_a_signing_key_of_its_tpm_only() {
    let area = PublicArea::signing_template(KeyAlgorithm::Ec(Curve::P256), true).unwrap();
    assert_eq!(area, hex("0023000b000400720000001000100003001000000000"));
    let area = PublicArea::signing_template(KeyAlgorithm::Rsa { bits: 2048 }, false).unwrap();
    assert_eq!(area, hex("0001000b0004047200000010001008000000000000 00".replace(' ', "").as_str()));
    assert!(PublicArea::signing_template(KeyAlgorithm::Rsa { bits: 1024 }, false).is_err());
}

#[test]
fn coordinates_are_padded_and_stripped_to_the_fields_length() {
    assert_eq!(padded(&[5], 3), Some(vec![0, 0, 5]));
    assert_eq!(padded(&[0, 0, 0, 5], 3), Some(vec![0, 0, 5]));
    assert_eq!(padded(&[1, 2, 3, 4], 3), None);
}
