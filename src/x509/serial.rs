//! Serial numbers of any length, in the two notations that people and AWS use.

use std::fmt::Write;

use aws_lc_rs::rand;

use super::error::{CertificateError, CertificateErrorKind};

/// A serial number: an integer, positive in every certificate that follows RFC 5280 §4.1.2.2.
///
/// Longer ones than its twenty octets are taken, because the CAs that issue them exist and AWS does not forbid them. Negative
/// ones are shown with their sign, as OpenSSL does and as every big-integer library that a verifier may use prints them:
/// RFC 5280 asks to handle them gracefully, and a wrong number in `Credential=` would only come back as a denial.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SerialNumber {
    negative: bool,
    /// Big-endian, without leading zeros; empty for zero.
    magnitude: Vec<u8>,
}

impl SerialNumber {
    /// From the contents of a DER INTEGER: two's complement, big-endian.
    pub fn from_twos_complement(octets: &[u8]) -> Self {
        let negative = octets.first().is_some_and(|top| top & 0x80 != 0);
        let mut magnitude = octets.to_vec();
        if negative {
            negate(&mut magnitude);
        }
        let leading = magnitude.iter().take_while(|octet| **octet == 0).count();
        magnitude.drain(..leading);
        Self { negative, magnitude }
    }

    /// A new one: 158 random bits behind 01, so that all are positive and as long as they may be, and none comes twice
    /// (RFC 5280 §4.1.2.2). Fails where the system has no random octets.
    pub fn random() -> Result<Self, CertificateError> {
        let mut magnitude = vec![0; 20];
        rand::fill(&mut magnitude).map_err(|_| {
            CertificateError::new(
                CertificateErrorKind::Issuance,
                "wanted a random serial number, found no random octets",
            )
        })?;
        if let Some(top) = magnitude.first_mut() {
            *top = *top & 0x3f | 0x40;
        }
        Ok(Self { negative: false, magnitude })
    }

    /// The contents of a DER INTEGER: two's complement, big-endian, as short as it can be.
    pub fn to_twos_complement(&self) -> Vec<u8> {
        let mut octets = [&[0], self.magnitude.as_slice()].concat();
        if self.negative {
            negate(&mut octets);
        }
        let sign = if self.negative { 0xff } else { 0 };
        let is_spare = |pair: &[u8]| matches!(pair, [first, second] if *first == sign && (second ^ sign) & 0x80 == 0);
        let spare = octets.windows(2).take_while(|pair| is_spare(pair)).count();
        octets.drain(..spare);
        octets
    }

    /// In decimal, as `Credential=` wants it.
    pub fn decimal(&self) -> String {
        // Nine decimal digits per limb, least significant first; four octets go in at a time.
        const LIMB: u64 = 1_000_000_000;
        let mut limbs = vec![0u64];
        let head = self.magnitude.len() % 4;
        let (first, rest) = self.magnitude.split_at(head);
        for chunk in std::iter::once(first).chain(rest.chunks(4)) {
            let mut carry = chunk.iter().fold(0u64, |value, octet| value << 8 | u64::from(*octet));
            for limb in &mut limbs {
                let value = (*limb << (8 * chunk.len())) + carry;
                *limb = value % LIMB;
                carry = value / LIMB;
            }
            while carry > 0 {
                limbs.push(carry % LIMB);
                carry /= LIMB;
            }
        }
        let mut limbs = limbs.iter().rev();
        let mut text = format!("{}{}", self.sign(), limbs.next().unwrap_or(&0));
        for limb in limbs {
            // Writing into a String cannot fail.
            let _ = write!(text, "{limb:09}");
        }
        text
    }

    /// In upper-case hexadecimal, two digits per octet, without a leading 00 octet.
    pub fn hex(&self) -> String {
        let digits = match self.magnitude.as_slice() {
            [] => "00".to_owned(),
            octets => octets.iter().map(|octet| format!("{octet:02X}")).collect(),
        };
        format!("{}{digits}", self.sign())
    }

    fn sign(&self) -> &'static str {
        if self.negative { "-" } else { "" }
    }
}

fn negate(octets: &mut [u8]) {
    let mut carry = true;
    for octet in octets.iter_mut().rev() {
        (*octet, carry) = (!*octet).overflowing_add(u8::from(carry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_are_right_in_both_notations() {
        for (octets, decimal, hex) in [
            (&[0x00][..], "0", "00"),
            (&[0x05], "5", "05"),
            (&[0x00, 0xff], "255", "FF"),
            (&[0x3b, 0x9a, 0xca, 0x00], "1000000000", "3B9ACA00"),
            (
                &[0x1f, 0x71, 0xc5, 0x11, 0x4a, 0x11, 0x9f, 0xc0, 0xcc, 0x5a, 0x5a, 0x52, 0xfb, 0x37, 0x20, 0xad],
                "41796794418840706582093025104159514797",
                "1F71C5114A119FC0CC5A5A52FB3720AD",
            ),
            (
                &[0, 0xf1, 0xa2, 0xb3, 0xc4, 0xd5, 0xe6, 0xf7, 0x08, 0x12, 0x34, 0x56, 0x78],
                "74782582284297281991299323512",
                "F1A2B3C4D5E6F70812345678",
            ),
        ] {
            let serial = SerialNumber::from_twos_complement(octets);
            assert_eq!((serial.decimal().as_str(), serial.hex().as_str()), (decimal, hex));
        }
    }

    #[test]
    fn a_negative_serial_keeps_its_sign() {
        for (octets, decimal, hex) in [
            (&[0xfb][..], "-5", "-05"),
            (&[0x80], "-128", "-80"),
            (&[0xff, 0x00], "-256", "-0100"),
            (&[0xff], "-1", "-01"),
        ] {
            let serial = SerialNumber::from_twos_complement(octets);
            assert_eq!((serial.decimal().as_str(), serial.hex().as_str()), (decimal, hex));
            assert_eq!(serial.to_twos_complement().last(), octets.last());
            assert_eq!(SerialNumber::from_twos_complement(&serial.to_twos_complement()), serial);
        }
    }

    #[test]
    fn two_s_complement_is_as_short_as_der_wants_it() {
        for octets in [&[0x00][..], &[0x7f], &[0x00, 0x80], &[0x80], &[0xff, 0x7f], &[0xff], &[0x01, 0x00]] {
            assert_eq!(SerialNumber::from_twos_complement(octets).to_twos_complement(), octets);
        }
        let random = SerialNumber::random().unwrap();
        assert_eq!(random.to_twos_complement().len(), 20);
        assert_ne!(random, SerialNumber::random().unwrap());
    }

    #[test]
    fn a_serial_of_two_hundred_bits_is_exact() {
        let mut octets = [0u8; 26];
        octets[0] = 1;
        // 2^200, as `bc` prints it.
        let wanted = "1606938044258990275541962092341162602522202993782792835301376";
        assert_eq!(SerialNumber::from_twos_complement(&octets).decimal(), wanted);
    }
}
