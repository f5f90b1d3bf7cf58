//! Which key object belongs to which certificate, which public one to which private one, and how a key signs. Pure.

use cryptoki::object::{Attribute, KeyType};
use cryptoki_sys::{CK_KEY_TYPE, CKK_EC, CKK_EC_EDWARDS, CKK_EC_MONTGOMERY, CKK_RSA};

use super::super::algorithm::KeyAlgorithm;
use super::super::device::CertificateOfKey;
use super::super::error::{KeyError, KeyErrorKind};
use super::super::public::PublicKey;
use super::object::KeyObject;
use super::record::Signer;
use super::uri::Uri;

/// The certificate's key pair. `None` where the certificate has no CKA_ID, or the URI names another.
pub(super) fn template_of_certificate(
    uri: &Uri,
    certificate: &CertificateOfKey,
    inferred: bool,
) -> Option<Vec<Attribute>> {
    let id = certificate.id.clone().filter(|id| !id.is_empty())?;
    if uri.id.as_ref().is_some_and(|wanted| *wanted != id) {
        return None;
    }
    // An inferred key has the certificate's CKA_ID, and often another label.
    let label = uri.object.clone().filter(|_| !inferred);
    Some(pair_template(key_type(&certificate.public_key), Some(id), label))
}

/// Both halves of key pairs at once: they share CKA_KEY_TYPE, which certificates do not have.
pub(super) fn pair_template(key_type: KeyType, id: Option<Vec<u8>>, label: Option<Vec<u8>>) -> Vec<Attribute> {
    let names = id.map(Attribute::Id).into_iter().chain(label.map(Attribute::Label));
    [Attribute::KeyType(key_type)].into_iter().chain(names).collect()
}

pub(super) fn key_type(public_key: &PublicKey) -> KeyType {
    match public_key.algorithm() {
        KeyAlgorithm::Rsa { .. } => KeyType::RSA,
        KeyAlgorithm::Ec(_) => KeyType::EC,
    }
}

/// The public key object that belongs to a private one: CKA_ID tells, and where several share it, CKA_LABEL.
pub(super) fn other_half(key: &KeyObject, public: &[KeyObject]) -> Option<PublicKey> {
    let same_id = || public.iter().filter(|half| half.id == key.id && half.key_type == key.key_type);
    let same_label = same_id().filter(|half| half.label == key.label);
    let half = only(same_id()).or_else(|| only(same_label))?;
    half.public_key.clone()
}

fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next();
    first.filter(|_| items.next().is_none())
}

/// The certificate's key among these: by public key, and where the token shows none, by CKA_ID (law 1: no test signature).
/// Gives the candidates back where none is, or where several may be.
pub(super) fn of_certificate(
    mut found: Vec<KeyObject>,
    certificate: Option<&CertificateOfKey>,
) -> Result<KeyObject, Vec<KeyObject>> {
    let Some(certificate) = certificate else { return Err(found) };
    let same = found.iter().position(|key| key.public_key.as_ref() == Some(&certificate.public_key));
    if let Some(place) = same {
        return Ok(found.swap_remove(place));
    }
    match only((0..).zip(&found).filter(|(_, key)| may_be(key, certificate))) {
        Some((place, _)) => Ok(found.swap_remove(place)),
        None => Err(found),
    }
}

/// Whether this is a key without a public half that nothing distinguishes from the certificate's.
pub(super) fn may_be(key: &KeyObject, certificate: &CertificateOfKey) -> bool {
    let id = certificate.id.as_ref().filter(|id| !id.is_empty());
    key.public_key.is_none()
        && key.problem.is_none()
        && key.key_type == Some(*key_type(&certificate.public_key))
        && (id.is_none() || key.id.as_ref() == id)
}

/// How the key signs, or why it cannot.
pub(super) fn usable(key: &KeyObject, certificate: Option<&CertificateOfKey>) -> Result<Signer, KeyError> {
    let unsupported = |message: &str| KeyError::new(KeyErrorKind::Unsupported, message);
    if let Some(other) = key.key_type.filter(|other| !matches!(*other, CKK_RSA | CKK_EC)) {
        return Err(unsupported(&format!("wanted an RSA or EC key, found {}", name_of(other))));
    }
    if let Some(problem) = &key.problem {
        return Err(unsupported(&problem.to_string()));
    }
    if key.signs == Some(false) {
        return Err(unsupported("wanted a key that may sign, its CKA_SIGN is false"));
    }
    let known = key.public_key.as_ref().or(certificate.map(|certificate| &certificate.public_key));
    match (known.map(PublicKey::algorithm), key.key_type, key.curve) {
        (Some(KeyAlgorithm::Rsa { .. }), _, _) | (None, Some(CKK_RSA), _) => Ok(Signer::Rsa),
        (Some(KeyAlgorithm::Ec(curve)), _, _) | (None, Some(CKK_EC), Some(curve)) => Ok(Signer::Ec(curve)),
        (None, Some(CKK_EC), None) => Err(unsupported("the token does not show the curve of this EC key")),
        (None, _, _) => Err(unsupported("the token does not show what type of key this is")),
    }
}

/// A CKA_KEY_TYPE that cannot sign a request, as people know it.
pub(super) fn name_of(key_type: CK_KEY_TYPE) -> String {
    match key_type {
        CKK_EC_EDWARDS => "an Edwards key (Ed25519 or Ed448)".to_owned(),
        CKK_EC_MONTGOMERY => "a key for key agreement (X25519 or X448)".to_owned(),
        other => format!("CKA_KEY_TYPE 0x{other:X}"),
    }
}
