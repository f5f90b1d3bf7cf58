//! Signs what `x509::build` has prepared, with a key on any device.

use crate::identity::IdentityError;
use crate::key::SigningKey;
use crate::x509::build::Unsigned;

/// DER with its signature. One device signature, which is verified in software before anything leaves this function.
///
/// Fails before the device is asked where the key is not the one that must sign. A key that does not show its public half is
/// told by its signature.
pub fn sign(unsigned: &Unsigned, key: &dyn SigningKey) -> Result<Vec<u8>, IdentityError> {
    if let Some(public_key) = key.public_key() {
        unsigned.signer().require(public_key, key.reference())?;
    }
    key.gather_secrets()?;
    let signature = key.sign(unsigned.input())?;
    unsigned.signer().verify(unsigned.input(), &signature)?;
    Ok(unsigned.finish(&signature)?)
}
