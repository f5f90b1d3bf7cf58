//! Key and hash algorithms by their field's names; owns the numbers that follow from them.

use std::fmt;
use std::str::FromStr;

use super::error::{KeyError, KeyErrorKind};

/// What kind of key pair a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyAlgorithm {
    /// RSA with the modulus length in bits; signs with RSASSA-PKCS1-v1_5.
    Rsa {
        /// Length of the modulus.
        bits: usize,
    },
    /// An elliptic curve key; signs with ECDSA.
    Ec(Curve),
}

impl KeyAlgorithm {
    /// The one for new keys where nobody asks for another: every device has it, and it signs fastest.
    pub const DEFAULT: Self = Self::Ec(Curve::P256);

    /// The kinds that new keys are made of.
    pub const NEW: [Self; 6] = [
        Self::Ec(Curve::P256),
        Self::Ec(Curve::P384),
        Self::Ec(Curve::P521),
        Self::Rsa { bits: 2048 },
        Self::Rsa { bits: 3072 },
        Self::Rsa { bits: 4096 },
    ];
}

/// One of [`KeyAlgorithm::NEW`] by its name, in any case.
impl FromStr for KeyAlgorithm {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::NEW.into_iter().find(|known| known.to_string().eq_ignore_ascii_case(text)).ok_or_else(|| {
            let names = Self::NEW.map(|known| known.to_string()).join(", ");
            KeyError::new(KeyErrorKind::Reference, format!("wanted one of {names}, found '{text}'"))
        })
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "RSA-{bits}"),
            Self::Ec(curve) => curve.fmt(f),
        }
    }
}

/// The NIST prime curves that Roles Anywhere takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// secp256r1.
    P256,
    /// secp384r1.
    P384,
    /// secp521r1.
    P521,
}

impl Curve {
    /// Every curve, smallest first.
    pub const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    /// Octets of one field element, of r and of s (66 for P-521, SEC 1 §2.3.7).
    pub const fn field_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// Octets of an uncompressed point: 04 ‖ X ‖ Y (SEC 1 §2.3.3).
    pub const fn point_len(self) -> usize {
        1 + 2 * self.field_len()
    }

    /// The DER of the curve's `namedCurve` OBJECT IDENTIFIER, as CKA_EC_PARAMS holds it (RFC 5480 §2.1.1.1).
    pub const fn oid_der(self) -> &'static [u8] {
        match self {
            Self::P256 => &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
            Self::P384 => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22],
            Self::P521 => &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23],
        }
    }

    /// The curve that this `namedCurve` DER names.
    pub fn from_oid_der(der: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.oid_der() == der)
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        })
    }
}

/// The hashes a signing input may use. Roles Anywhere always takes SHA-256; the others serve `sign-string`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    /// Octets of a digest.
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The DER that precedes the digest in a PKCS#1 DigestInfo (RFC 8017 §9.2 note 1).
    pub const fn digest_info_prefix(self) -> [u8; 19] {
        let (arc, len) = match self {
            Self::Sha256 => (0x01, 0x20),
            Self::Sha384 => (0x02, 0x30),
            Self::Sha512 => (0x03, 0x40),
        };
        [
            0x30,
            0x11 + len,
            0x30,
            0x0d,
            0x06,
            0x09,
            0x60,
            0x86,
            0x48,
            0x01,
            0x65,
            0x03,
            0x04,
            0x02,
            arc,
            0x05,
            0x00,
            0x04,
            len,
        ]
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_info_prefixes_are_those_of_rfc_8017() {
        let hex = |hash: HashAlgorithm| hash.digest_info_prefix().map(|b| format!("{b:02x}")).concat();
        assert_eq!(hex(HashAlgorithm::Sha256), "3031300d060960864801650304020105000420");
        assert_eq!(hex(HashAlgorithm::Sha384), "3041300d060960864801650304020205000430");
        assert_eq!(hex(HashAlgorithm::Sha512), "3051300d060960864801650304020305000440");
    }
}
