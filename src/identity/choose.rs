//! Which of the certificates on a token is the leaf: the one whose key is there too. Pure but for the question for the keys.

use std::fmt;

use jiff::Timestamp;

use super::IdentityError;
use crate::key::{Advice, KeyError, KeyErrorKind, PublicKey, StoredCertificate, StoredKey};
use crate::x509::{Certificate, CertificateError, CertificateErrorKind};

/// The leaf among the certificates that a reference selected.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) leaf: Certificate,
    /// CKA_ID of the leaf.
    pub(super) id: Option<Vec<u8>>,
    /// Every other certificate, the CAs among them.
    pub(super) others: Vec<Certificate>,
}

/// Chooses the leaf. One certificate is taken as it is. Of several, those of CAs and attestations are no leaves, and of those with
/// the same key and subject only the newest is one, because a renewed certificate may stand beside the old; if that leaves more
/// than one, `keys` is asked for theirs, and the one certificate whose key is there is taken. `reference` is what selected
/// them.
pub(super) fn leaf(
    stored: Vec<StoredCertificate>,
    reference: &dyn fmt::Display,
    keys: impl FnOnce(&[PublicKey]) -> Result<Vec<StoredKey>, KeyError>,
) -> Result<Chosen, IdentityError> {
    let (mut found, unreadable) = read(stored);
    let place = match found.len() {
        0 => return Err(unreadable.unwrap_or_else(|| none(reference)).into()),
        1 => 0,
        _ => place(&found, reference, keys)?,
    };
    let (leaf, stored) = found.remove(place);
    Ok(Chosen { leaf, id: stored.id, others: found.into_iter().map(|(certificate, _)| certificate).collect() })
}

/// A certificate, and how it is stored.
pub(super) type Candidate = (Certificate, StoredCertificate);

/// The certificates that can be read, each once, and what is wrong with the first that cannot.
pub(super) fn read(stored: Vec<StoredCertificate>) -> (Vec<Candidate>, Option<CertificateError>) {
    let mut unreadable = None;
    let mut found: Vec<Candidate> = Vec::new();
    for stored in stored {
        match Certificate::from_der(&stored.der) {
            Ok(certificate) if found.iter().any(|(known, _)| *known == certificate) => {}
            Ok(certificate) => found.push((certificate, stored)),
            Err(error) => {
                log::info!("passed over {}: {error}", stored.reference);
                unreadable.get_or_insert(error.context(stored.reference));
            }
        }
    }
    (found, unreadable)
}

fn place(
    found: &[Candidate],
    reference: &dyn fmt::Display,
    keys: impl FnOnce(&[PublicKey]) -> Result<Vec<StoredKey>, KeyError>,
) -> Result<usize, IdentityError> {
    let leaves: Vec<usize> = (0..)
        .zip(found)
        .filter(|(_, (certificate, _))| !certificate.is_ca() && !certificate.is_attestation())
        .filter(|(_, (certificate, _))| !found.iter().any(|(other, _)| succeeds(other, certificate)))
        .map(|(place, _)| place)
        .collect();
    match leaves[..] {
        [] => {
            let message = format!(
                "wanted an end-entity certificate, the {} that match {reference} are all of CAs or attestations",
                found.len()
            );
            return Err(CertificateError::new(CertificateErrorKind::Missing, message).into());
        }
        [only] => return Ok(only),
        _ => {}
    }
    let certified = |place: &usize| found.get(*place).and_then(|(certificate, _)| certificate.public_key().ok());
    let certified: Vec<_> = leaves.iter().filter_map(certified).collect();
    let keys = keys(&certified)?;
    let paired: Vec<usize> = leaves
        .iter()
        .copied()
        .filter(|place| found.get(*place).is_some_and(|candidate| keys.iter().any(|key| is_key_of(key, candidate))))
        .collect();
    let (message, places) = match paired[..] {
        [only] => return Ok(only),
        [] => (format!("{} match {reference}, and the key of none of them was found", leaves.len()), leaves),
        _ => (format!("{} whose keys are there match {reference}", paired.len()), paired),
    };
    let references =
        places.iter().filter_map(|place| found.get(*place)).map(|(_, stored)| stored.reference.clone()).collect();
    Err(KeyError::new(KeyErrorKind::Ambiguous, format!("wanted one certificate, {message}"))
        .with_advice(Advice::ChooseOne { references })
        .into())
}

/// Whether `later` was issued after `earlier`, for the same key and subject. Of two with the same times either will do, but always
/// the same one.
fn succeeds(later: &Certificate, earlier: &Certificate) -> bool {
    fn issued(it: &Certificate) -> (Timestamp, Timestamp, &[u8]) {
        (it.not_before(), it.not_after(), it.der())
    }
    later.subject().matches(earlier.subject())
        && issued(later) > issued(earlier)
        && later.public_key_der() == earlier.public_key_der()
}

/// By public key; where the device shows none, by CKA_ID.
fn is_key_of(key: &StoredKey, (certificate, stored): &Candidate) -> bool {
    match &key.public_key {
        Some(public_key) => certificate.public_key().is_ok_and(|certified| certified == *public_key),
        None => key.id.as_ref().is_some_and(|id| !id.is_empty() && stored.id.as_ref() == Some(id)),
    }
}

fn none(reference: &dyn fmt::Display) -> CertificateError {
    CertificateError::new(CertificateErrorKind::Missing, format!("wanted a certificate, found none for {reference}"))
}
