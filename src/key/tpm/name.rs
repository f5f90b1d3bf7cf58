//! The Name of a TPM object: what stays the same of a key wherever it is loaded (TPM 2.0 part 1 §16).

use std::fmt;
use std::str::FromStr;

use super::super::error::{KeyError, KeyErrorKind};

/// TPM_ALG_ID of SHA-1, SHA-256, SHA-384 and SHA-512, with the length of their digests.
const HASHES: [(u16, usize); 4] = [(0x0004, 20), (0x000b, 32), (0x000c, 48), (0x000d, 64)];

/// TPM_ALG_ID of a hash, then the digest of the object's public area. Written in hexadecimal, as `tpm2_readpublic` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(Vec<u8>);

impl Name {
    /// Of this hash's TPM_ALG_ID and digest.
    pub(super) fn new(hash: u16, digest: &[u8]) -> Self {
        Self([&hash.to_be_bytes(), digest].concat())
    }
}

impl FromStr for Name {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let digits = text.trim();
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        let octets = octets(digits).unwrap_or_default();
        let known = HASHES.iter().find_map(|(id, length)| {
            let digest = octets.strip_prefix(&id.to_be_bytes())?;
            (digest.len() == *length).then(|| Self::new(*id, digest))
        });
        known.ok_or_else(|| {
            KeyError::new(
                KeyErrorKind::Reference,
                format!("wanted a TPM key's name in hexadecimal, such as 000b and a SHA-256 digest, found '{text}'"),
            )
        })
    }
}

/// The octets of hexadecimal digits; `None` where there is anything else.
fn octets(digits: &str) -> Option<Vec<u8>> {
    let value = |digit: &u8| char::from(*digit).to_digit(16);
    let pairs = digits.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(value(high)? << 4 | value(low)?).ok(),
        _ => None,
    });
    pairs.collect()
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_tools_print_it() {
        let digest = "5A".repeat(32);
        for text in [format!("000b{digest}"), format!("0x000B{digest}\n")] {
            assert_eq!(text.parse::<Name>().unwrap().to_string(), format!("000b{}", digest.to_lowercase()));
        }
        let longest = format!("000d{}", "00".repeat(64));
        assert_eq!(longest.parse::<Name>().unwrap(), Name::new(0x000d, &[0; 64]));
    }

    #[test]
    fn anything_else_is_no_name() {
        let digest = "5a".repeat(32);
        for text in
            ["", "zz", "000b00", &digest, &format!("000b{digest}5"), &format!("000c{digest}"), &format!("0012{digest}")]
        {
            assert_eq!(text.parse::<Name>().unwrap_err().kind(), KeyErrorKind::Reference, "{text}");
        }
    }
}
