//! The DER forms of which certificates are made (X.690), written by hand: the program under test reads certificates with
//! a library, and a mistake must not cancel itself out.

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut octets = vec![tag];
    match length {
        0..0x80 => octets.push(length as u8),
        0x80..0x100 => octets.extend([0x81, length as u8]),
        _ => octets.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    octets.extend(content);
    octets
}

pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tagged(0x30, &parts.concat())
}

pub fn set(parts: &[&[u8]]) -> Vec<u8> {
    tagged(0x31, &parts.concat())
}

/// A context-specific constructed tag, EXPLICIT.
pub fn explicit(number: u8, content: &[u8]) -> Vec<u8> {
    tagged(0xa0 | number, content)
}

/// A non-negative INTEGER from its big-endian octets.
pub fn integer(magnitude: &[u8]) -> Vec<u8> {
    match magnitude.first() {
        Some(0x80..) => tagged(0x02, &[&[0], magnitude].concat()),
        _ => tagged(0x02, magnitude),
    }
}

pub fn boolean(value: bool) -> Vec<u8> {
    tagged(0x01, &[if value { 0xff } else { 0 }])
}

pub fn octet_string(octets: &[u8]) -> Vec<u8> {
    tagged(0x04, octets)
}

/// A BIT STRING of whole octets.
pub fn bit_string(octets: &[u8]) -> Vec<u8> {
    tagged(0x03, &[&[0], octets].concat())
}

pub fn utf8_string(text: &str) -> Vec<u8> {
    tagged(0x0c, text.as_bytes())
}

/// An OBJECT IDENTIFIER from its content octets.
pub fn oid(content: &[u8]) -> Vec<u8> {
    tagged(0x06, content)
}

/// UTCTime until 2049, GeneralizedTime from 2050 on (RFC 5280 §4.1.2.5).
pub fn time(moment: Timestamp) -> Vec<u8> {
    let civil = moment.to_zoned(TimeZone::UTC);
    if civil.year() < 2050 {
        tagged(0x17, civil.strftime("%y%m%d%H%M%SZ").to_string().as_bytes())
    } else {
        tagged(0x18, civil.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes())
    }
}
