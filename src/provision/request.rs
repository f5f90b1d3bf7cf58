//! A signing request for a key on any device.

use super::sign::sign;
use crate::identity::IdentityError;
use crate::key::{KeyError, KeyErrorKind, PublicKey, SigningKey};
use crate::x509::build::RequestTemplate;
use crate::x509::{AlternativeName, Name};

/// DER of a PKCS#10 request that asks for a client certificate as Roles Anywhere takes it. One device signature.
///
/// Fails before the device is asked where it does not show the key's public half.
pub fn request(key: &dyn SigningKey, subject: Name, names: Vec<AlternativeName>) -> Result<Vec<u8>, IdentityError> {
    let public_key = shown(key)?;
    sign(&RequestTemplate { subject, names, public_key }.unsigned()?, key)
}

/// The public half of an opened key.
pub fn shown(key: &dyn SigningKey) -> Result<PublicKey, KeyError> {
    key.public_key().cloned().ok_or_else(|| {
        let message = format!("wanted the public half of {}, which the device does not show", key.reference());
        KeyError::new(KeyErrorKind::Unsupported, message)
    })
}
