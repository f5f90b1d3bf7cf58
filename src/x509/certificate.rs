//! One certificate: its DER as it came, and the fields that this program reads.

use std::fmt;

use der::{Decode, Encode};

use crate::key::{KeyError, PublicKey};

/// A certificate that parsed. Keeps the octets it came from, which are what is sent.
#[derive(Clone)]
pub struct Certificate {
    der: Vec<u8>,
    parsed: x509_cert::Certificate,
}

/// A certificate that cannot be read.
#[derive(Debug)]
pub struct CertificateError(pub String);

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CertificateError {}

impl Certificate {
    /// Reads DER.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let parsed = x509_cert::Certificate::from_der(der).map_err(|e| CertificateError(e.to_string()))?;
        Ok(Self { der: der.to_vec(), parsed })
    }

    /// The octets as they came.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certified key.
    pub fn public_key(&self) -> Result<PublicKey, KeyError> {
        let spki = self.parsed.tbs_certificate().subject_public_key_info().to_der().unwrap_or_default();
        PublicKey::from_spki_der(&spki)
    }

    /// The serial number in decimal, of any length.
    pub fn serial_decimal(&self) -> String {
        // Schoolbook base conversion: a serial has at most twenty octets.
        let mut digits = vec![0u8];
        for octet in self.parsed.tbs_certificate().serial_number().as_bytes() {
            let mut carry = u32::from(*octet);
            for digit in &mut digits {
                let value = u32::from(*digit) * 256 + carry;
                *digit = (value % 10) as u8;
                carry = value / 10;
            }
            while carry > 0 {
                digits.push((carry % 10) as u8);
                carry /= 10;
            }
        }
        digits.iter().rev().map(|digit| char::from(b'0' + digit)).collect()
    }
}
