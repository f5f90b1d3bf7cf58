//! The public half of a key that need not sign: without its PIN, where its device shows it.

use crate::key::{Advice, Devices, KeyEntry, KeyError, KeyErrorKind, KeyReference, PublicKey, WantedKey};

/// The public half of the key that the reference selects.
///
/// A token is searched without a login, and asked for one only where it shows no such key without. A TPM and a file want no password
/// for it.
pub fn public_half(devices: &mut Devices, reference: &KeyReference) -> Result<PublicKey, KeyError> {
    if let KeyReference::Pkcs11(uri) = reference {
        let contents = devices.inventory(uri)?.contents(false)?;
        let shown: Vec<_> = contents.into_iter().flat_map(|contents| contents.keys).collect();
        if let Some(public_key) = the_one(&shown, reference)? {
            return Ok(public_key);
        }
    }
    let key = devices.open(reference)?.open_key(&WantedKey::default())?;
    key.public_key().cloned().ok_or_else(|| {
        let message = format!("wanted a key that shows its public half, {} shows none", key.reference());
        KeyError::new(KeyErrorKind::Unsupported, message)
    })
}

/// The key that is shown; `None` where a login is needed to tell.
fn the_one(shown: &[KeyEntry], reference: &KeyReference) -> Result<Option<PublicKey>, KeyError> {
    let mut public_keys: Vec<&PublicKey> = shown.iter().filter_map(|key| key.public_key.as_ref()).collect();
    public_keys.dedup();
    match public_keys[..] {
        [] => Ok(None),
        [only] => Ok(Some(only.clone())),
        _ => {
            let references = shown.iter().map(|key| key.reference.clone()).collect();
            let message = format!("wanted one key, {reference} selects {}", public_keys.len());
            Err(KeyError::new(KeyErrorKind::Ambiguous, message).with_advice(Advice::ChooseOne { references }))
        }
    }
}
