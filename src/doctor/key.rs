//! The private key: whether it is there, whether it is the certificate's, and whether it signs.

use std::time::{Duration, Instant};

use super::check::Check;
use super::fact::KeyFact;
use super::finding::{Finding, Standing};
use crate::identity::IdentityError;
use crate::key::{
    CertificateOfKey, HashAlgorithm, KeyAlgorithm, KeyAttributes, KeyEntry, KeyError, KeyErrorKind, Mechanism,
    PublicKey, SigningInput, SigningKey,
};

/// What a signature of this check is made over: nothing that anybody would take for a request.
const MESSAGE: &[u8] = b"keyanchor doctor: this signature asks for nothing";

/// Judges a key that was opened. `certified`: with the certificate that it must be the key of.
pub fn found(key: &dyn SigningKey, certified: bool) -> Vec<Finding> {
    let algorithm = key.public_key().map(PublicKey::algorithm);
    let found = KeyFact::Found { reference: key.reference().to_owned(), algorithm };
    let found = Finding::new(Check::KeyFound, Standing::Good, found);
    [Some(found), certified.then(|| pairing(key))].into_iter().flatten().collect()
}

/// Judges why it was not. `hidden`: a login was wanted and not made.
pub fn missing(error: IdentityError, certified: bool, hidden: bool, sign: bool) -> Vec<Finding> {
    let found = match () {
        () if is(&error, KeyErrorKind::Mismatch) => {
            let mismatch = Finding::new(Check::KeyCertificate, Standing::Bad, KeyFact::Mismatch(error));
            return vec![mismatch, no_signature(Check::KeyCertificate, sign)];
        }
        () if hidden && is(&error, KeyErrorKind::NotFound) => {
            Finding::new(Check::KeyFound, Standing::Note, KeyFact::NeedsLogin)
        }
        () => Finding::new(Check::KeyFound, Standing::Bad, KeyFact::Unusable(error)),
    };
    let pairing = certified.then(|| Finding::awaits(Check::KeyCertificate, Check::KeyFound));
    [Some(found), pairing, Some(no_signature(Check::KeyFound, sign))].into_iter().flatten().collect()
}

/// Judges what shows of a key whose private half wants a login: the public halves that the reference selects. `None` where they
/// tell nothing.
pub fn hidden(public: &[KeyEntry], certificate: Option<&CertificateOfKey>) -> Option<Vec<Finding>> {
    let shown = |entry: &KeyEntry, pairing: Option<Finding>| {
        let algorithm = entry.public_key.as_ref().map(PublicKey::algorithm);
        let half = KeyFact::PublicHalf { reference: entry.reference.clone(), algorithm };
        let half = Finding::new(Check::KeyFound, Standing::Note, half);
        [Some(half), pairing, Some(no_signature(Check::KeyFound, false))].into_iter().flatten().collect()
    };
    let Some(certificate) = certificate else {
        let [only] = public else { return None };
        return Some(shown(only, None));
    };
    let certified = &certificate.public_key;
    if let Some(same) = public.iter().find(|entry| entry.public_key.as_ref() == Some(certified)) {
        return Some(shown(same, Some(Finding::new(Check::KeyCertificate, Standing::Good, KeyFact::Certified))));
    }
    let id = certificate.id.as_ref().filter(|id| !id.is_empty())?;
    let of_id = |entry: &&KeyEntry| entry.id.as_ref() == Some(id) && entry.public_key.is_some();
    let other = public.iter().find(of_id)?;
    let fingerprints = [certified.fingerprint(), other.public_key.as_ref()?.fingerprint()];
    let other = KeyFact::OtherPublicHalf { reference: other.reference.clone(), fingerprints };
    let other = Finding::new(Check::KeyCertificate, Standing::Bad, other);
    Some(vec![other, no_signature(Check::KeyCertificate, false)])
}

/// Judges what the device says of the key's protection. A key that can be copied works, and is not what a device is for.
pub fn attributes(attributes: Option<KeyAttributes>) -> Finding {
    let Some(attributes) = attributes else {
        return Finding::new(Check::KeyAttributes, Standing::Note, KeyFact::NoAttributes);
    };
    let standing = match (attributes.signs(), attributes.is_exportable()) {
        (Some(false), _) => Standing::Bad,
        (_, Some(false)) => Standing::Good,
        _ => Standing::Note,
    };
    Finding::new(Check::KeyAttributes, standing, KeyFact::Attributes(attributes))
}

/// The mechanisms that sign with an RSA key, and with an EC key (PKCS#11 2.40 §2.1, §2.3).
const OF_RSA: (&[u64], &[&str]) = (&[0x1, 0x40], &["CKM_RSA_PKCS", "CKM_SHA256_RSA_PKCS"]);
const OF_EC: (&[u64], &[&str]) = (&[0x1041], &["CKM_ECDSA"]);

/// Judges whether a token signs with keys of this type.
pub fn mechanism(algorithm: KeyAlgorithm, mechanisms: Result<Vec<Mechanism>, KeyError>) -> Finding {
    let (numbers, wanted) = match algorithm {
        KeyAlgorithm::Rsa { .. } => OF_RSA,
        KeyAlgorithm::Ec(_) => OF_EC,
    };
    let (standing, fact) = match mechanisms {
        Err(error) => (Standing::Note, KeyFact::Untold(error)),
        Ok(mechanisms) => match mechanisms.iter().find(|it| it.signs && numbers.contains(&it.number)) {
            Some(found) => {
                let name = found.name.clone().unwrap_or_default();
                (Standing::Good, KeyFact::Mechanism { name, in_hardware: found.in_hardware })
            }
            None => (Standing::Bad, KeyFact::NoMechanism { algorithm, wanted }),
        },
    };
    Finding::new(Check::KeyMechanism, standing, fact)
}

fn pairing(key: &dyn SigningKey) -> Finding {
    match key.public_key() {
        Some(_) => Finding::new(Check::KeyCertificate, Standing::Good, KeyFact::Certified),
        None => Finding::new(Check::KeyCertificate, Standing::Note, KeyFact::TakenOnTrust),
    }
}

fn is(error: &IdentityError, kind: KeyErrorKind) -> bool {
    matches!(error, IdentityError::Key(error) if error.kind() == kind)
}

/// Makes one signature and verifies it in software, where it is asked for.
pub fn signature(key: &dyn SigningKey, sign: bool, login: bool) -> Finding {
    if !sign {
        return Finding::new(Check::KeySignature, Standing::Skipped, KeyFact::NotAsked { login });
    }
    match signed(key) {
        Ok(took) => Finding::new(Check::KeySignature, Standing::Good, KeyFact::Signed { took }),
        Err(error) => Finding::new(Check::KeySignature, Standing::Bad, KeyFact::DidNotSign(error)),
    }
}

/// There is no key to make one with; or nobody asked for one.
pub fn no_signature(earlier: Check, sign: bool) -> Finding {
    match sign {
        true => Finding::awaits(Check::KeySignature, earlier),
        false => Finding::new(Check::KeySignature, Standing::Skipped, KeyFact::NotAsked { login: true }),
    }
}

fn signed(key: &dyn SigningKey) -> Result<Duration, KeyError> {
    key.gather_secrets()?;
    let input = SigningInput::new(MESSAGE.to_vec(), HashAlgorithm::Sha256);
    let start = Instant::now();
    let signature = key.sign(&input)?;
    let took = start.elapsed();
    if let Some(public_key) = key.public_key() {
        public_key.verify(&input, &signature)?;
    }
    Ok(took)
}
