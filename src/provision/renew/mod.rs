//! Renewing a certificate: what came from a CA is judged, proved where that can be done, and only then put where the old one is.
//! The old one stays, unless its removal is asked for. Knows no CA: certificates come from a command or from whoever calls.

mod command;
mod error;
mod place;

use jiff::Timestamp;

pub use command::{CaCommand, CommandError};
pub use error::RenewError;
pub use place::{Place, Put, TokenPlace};

use crate::identity::IdentityError;
use crate::key::PublicKey;
use crate::x509::{Certificate, Chain, Name, requirements};

/// A certificate that fits the key and meets what Roles Anywhere demands.
#[derive(Debug)]
pub struct Renewed {
    /// The new leaf.
    pub leaf: Certificate,
    /// Its issuers, as they are sent.
    pub chain: Vec<Certificate>,
    /// Those of the chain that only came with it: whoever uses the leaf must find them too.
    pub new_issuers: Vec<Certificate>,
    /// Where the path ends and where the old one ended, if that is elsewhere: another trust anchor would have to be known.
    pub other_end: Option<(Name, Name)>,
}

impl Renewed {
    /// Judges what a CA gave: the leaf is the certificate of the key, wherever it stands among its issuers. `reference` is what
    /// messages call the key.
    ///
    /// Fails where no certificate is the key's, where it is the old one again or one before it, where it lacks what Roles Anywhere demands of a leaf
    /// at `now`, and where its path is too long.
    pub fn accept(
        given: Vec<Certificate>,
        old: &Certificate,
        old_chain: &Chain,
        key: &PublicKey,
        reference: &str,
        now: Timestamp,
    ) -> Result<Self, RenewError> {
        let (leaf, others) = leaf_of(given, key, reference)?;
        if leaf == *old {
            let message = format!("wanted a new certificate, found the old one again: serial {}", leaf.serial_hex());
            return Err(RenewError::Refused(message));
        }
        let violations: Vec<_> = requirements::violations(&leaf, now).iter().map(ToString::to_string).collect();
        if !violations.is_empty() {
            let message = format!(
                "Roles Anywhere does not take the new certificate {}: {}",
                leaf.subject(),
                violations.join("; ")
            );
            return Err(RenewError::Refused(message));
        }
        // On a token the newest is the leaf, so that an older one would be put there for nothing.
        if leaf.not_before() < old.not_before() && leaf.not_after() <= old.not_after() {
            let (serial, old_serial) = (leaf.serial_hex(), old.serial_hex());
            let message =
                format!("wanted a newer certificate than serial {old_serial}, found an older one: serial {serial}");
            return Err(RenewError::Refused(message));
        }
        if !leaf.subject().matches(old.subject()) {
            log::warn!(
                "the new certificate names {} and the old one {}: conditions of roles may not hold",
                leaf.subject(),
                old.subject()
            );
        }
        let known: Vec<Certificate> =
            old_chain.certificates.iter().chain(&old_chain.root).chain(&old_chain.left_out).cloned().collect();
        let candidates = others.iter().chain(&known).cloned().collect();
        let chain = Chain::build::<IdentityError>(&leaf, candidates, &mut |_| Ok(Vec::new()))?;
        let new_issuers = chain.certificates.iter().filter(|issuer| !known.contains(issuer)).cloned().collect();
        let (end, old_end) = (end(&leaf, &chain), end(old, old_chain));
        let other_end = (!end.matches(old_end)).then(|| (end.clone(), old_end.clone()));
        Ok(Self { leaf, chain: chain.certificates, new_issuers, other_end })
    }
}

/// The first certificate of the key, and the others in their order.
fn leaf_of(
    mut given: Vec<Certificate>,
    key: &PublicKey,
    reference: &str,
) -> Result<(Certificate, Vec<Certificate>), RenewError> {
    let is_of_key = |it: &Certificate| it.public_key().is_ok_and(|certified| certified == *key);
    match given.iter().position(is_of_key) {
        Some(place) => {
            let leaf = given.remove(place);
            Ok((leaf, given))
        }
        None => {
            let Some(first) = given.first() else {
                return Err(RenewError::Refused("wanted a certificate, found none".to_owned()));
            };
            let error = first.public_key().and_then(|certified| certified.require(key, reference)).err();
            let subject = first.subject();
            Err(match error {
                Some(error) => IdentityError::from(error.context(format_args!("new certificate {subject}"))).into(),
                None => RenewError::Refused(format!("wanted a certificate of {reference}, found {subject}")),
            })
        }
    }
}

/// Who must be the trust anchor, or issued by it: the root, or the issuer that is not at hand.
fn end<'a>(leaf: &'a Certificate, chain: &'a Chain) -> &'a Name {
    let root = chain.root.as_ref().map(Certificate::subject);
    root.or(chain.missing.as_ref()).unwrap_or(leaf.issuer())
}

#[cfg(test)]
mod tests;
