//! The private key: whether it is there, whether it is the certificate's, and whether it signs.

use std::time::{Duration, Instant};

use super::finding::{Check, Fact, Finding, Standing};
use crate::identity::IdentityError;
use crate::key::{HashAlgorithm, KeyAlgorithm, KeyError, KeyErrorKind, PublicKey, SigningInput, SigningKey};

/// What a signature of this check is made over: nothing that anybody would take for a request.
const MESSAGE: &[u8] = b"keyanchor doctor: this signature asks for nothing";

/// What was found of it.
#[derive(Debug)]
pub enum KeyFact {
    /// It is there.
    Found {
        /// A reference that selects it again.
        reference: String,
        /// Its type, where the device shows it.
        algorithm: Option<KeyAlgorithm>,
    },
    /// The token shows it after a login only.
    NeedsLogin,
    /// It is not there, or cannot be used.
    Unusable(IdentityError),
    /// It is the certificate's.
    Certified,
    /// The device shows no public half: the certificate's is taken on trust, and CKA_ID.
    TakenOnTrust,
    /// It is another certificate's.
    Mismatch(IdentityError),
    /// It signed.
    Signed {
        /// How long the device took, with its login and touch.
        took: Duration,
    },
    /// It did not.
    DidNotSign(KeyError),
}

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
pub fn signature(key: &dyn SigningKey, sign: bool) -> Finding {
    if !sign {
        return Finding::new(Check::KeySignature, Standing::Skipped, Fact::NotAsked);
    }
    match signed(key) {
        Ok(took) => Finding::new(Check::KeySignature, Standing::Good, KeyFact::Signed { took }),
        Err(error) => Finding::new(Check::KeySignature, Standing::Bad, KeyFact::DidNotSign(error)),
    }
}

/// There is no key to make one with.
pub fn no_signature(earlier: Check, sign: bool) -> Finding {
    match sign {
        true => Finding::awaits(Check::KeySignature, earlier),
        false => Finding::new(Check::KeySignature, Standing::Skipped, Fact::NotAsked),
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
