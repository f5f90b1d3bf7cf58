//! Making a key file: for trying things out, since such a key can be copied by whoever can read the file.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::super::error::{KeyError, KeyErrorKind};

/// A new P-256 key as PKCS#8 in PEM.
pub fn generate_pem() -> Result<Zeroizing<String>, KeyError> {
    let failed = |_| KeyError::new(KeyErrorKind::Device, "the library could not make a P-256 key");
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?;
    let pkcs8 = pair.to_pkcs8v1().map_err(failed)?;
    let digits = Zeroizing::new(STANDARD.encode(pkcs8.as_ref()));
    // Room for all of it at once: a text that grows leaves copies behind.
    let mut pem = Zeroizing::new(String::with_capacity(digits.len() + digits.len() / 64 + 80));
    pem.push_str("-----BEGIN PRIVATE KEY-----\n");
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && place % 64 == 0 {
            pem.push('\n');
        }
        pem.push(digit);
    }
    pem.push_str("\n-----END PRIVATE KEY-----\n");
    Ok(pem)
}
