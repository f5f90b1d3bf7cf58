//! The credentials this service gave out. They look like AWS's in form, and like nothing of value in content.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::rand;
use jiff::Timestamp;

use super::refusal::Flaw;

/// How many credentials are remembered; the oldest is forgotten first.
const REMEMBERED: usize = 4096;

const ACCESS_KEY_PREFIX: &str = "ASIASANDBOX";
const SECRET_PREFIX: &str = "sandbox-not-a-secret-";
const TOKEN_PREFIX: &str = "sandbox-not-a-session-token-";
/// Without 0, 1, 8 and 9, as AWS's access key ids.
const UPPER_ALPHANUMERIC: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Temporary credentials and whose they are.
#[derive(Clone)]
pub struct Vended {
    /// Twenty upper-case letters and digits.
    pub access_key_id: String,
    /// Forty characters, as AWS's are.
    pub secret_access_key: String,
    /// Must come back with every request.
    pub session_token: String,
    /// Whole seconds.
    pub expiration: Timestamp,
    /// Whose they are.
    pub identity: Identity,
}

/// An assumed role session, as GetCallerIdentity tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Twelve digits.
    pub account: String,
    /// `arn:PARTITION:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
    pub arn: String,
    /// `ROLE-ID:SESSION`.
    pub user_id: String,
}

impl fmt::Debug for Vended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vended")
            .field("access_key_id", &self.access_key_id)
            .field("expiration", &self.expiration)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// All credentials that are remembered.
#[derive(Default)]
pub struct Ledger(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    by_access_key: BTreeMap<String, Vended>,
    oldest_first: VecDeque<String>,
}

impl Ledger {
    /// Makes new credentials and remembers them.
    pub fn vend(&self, identity: Identity, expiration: Timestamp) -> Result<Vended, Flaw> {
        let vended = Vended {
            access_key_id: format!("{ACCESS_KEY_PREFIX}{}", random_text(9)?),
            secret_access_key: format!("{SECRET_PREFIX}{}", random_text(40 - SECRET_PREFIX.len())?),
            session_token: format!("{TOKEN_PREFIX}{}", random_text(64)?),
            expiration,
            identity,
        };
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.oldest_first.len() >= REMEMBERED
            && let Some(oldest) = entries.oldest_first.pop_front()
        {
            entries.by_access_key.remove(&oldest);
        }
        entries.oldest_first.push_back(vended.access_key_id.clone());
        entries.by_access_key.insert(vended.access_key_id.clone(), vended.clone());
        Ok(vended)
    }

    /// The credentials of this access key id.
    pub fn find(&self, access_key_id: &str) -> Option<Vended> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).by_access_key.get(access_key_id).cloned()
    }
}

/// A random (version 4) UUID, such as request ids are.
pub fn random_uuid() -> Result<String, Flaw> {
    let mut octets = [0; 16];
    rand::fill(&mut octets).map_err(|_| no_randomness())?;
    Ok(uuid(octets))
}

/// The text of a UUID whose version is set to 4 (RFC 9562 §5.4).
pub fn uuid(octets: [u8; 16]) -> String {
    let cleared = u128::from_be_bytes(octets) & !(0xf << 76) & !(0b11 << 62);
    let number = cleared | (4 << 76) | (0b10 << 62);
    let hex = format!("{number:032x}");
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}

/// Random upper-case letters and digits.
pub fn random_text(len: usize) -> Result<String, Flaw> {
    let mut octets = vec![0; len];
    rand::fill(&mut octets).map_err(|_| no_randomness())?;
    let character = |octet: &u8| UPPER_ALPHANUMERIC.get(usize::from(octet % 32)).copied().map_or('A', char::from);
    Ok(octets.iter().map(character).collect())
}

fn no_randomness() -> Flaw {
    Flaw::new("the operating system gave no random numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vend(ledger: &Ledger) -> Vended {
        let identity = Identity { account: "1".to_owned(), arn: "2".to_owned(), user_id: "3".to_owned() };
        ledger.vend(identity, Timestamp::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn what_is_vended_shows_that_it_is_no_secret() {
        let vended = vend(&Ledger::default());
        assert!(vended.access_key_id.starts_with("ASIASANDBOX"));
        assert_eq!(vended.access_key_id.len(), 20);
        assert!(vended.access_key_id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()));
        assert!(vended.secret_access_key.starts_with("sandbox-not-a-secret-"));
        assert_eq!(vended.secret_access_key.len(), 40);
        let debug = format!("{vended:?}");
        assert!(!debug.contains(&vended.secret_access_key) && !debug.contains(&vended.session_token));
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let ledger = Ledger::default();
        let first = vend(&ledger);
        let second = vend(&ledger);
        for _ in 0..REMEMBERED - 1 {
            vend(&ledger);
        }
        assert!(ledger.find(&first.access_key_id).is_none());
        assert!(ledger.find(&second.access_key_id).is_some());
    }

    #[test]
    fn uuids_have_version_and_variant() {
        assert_eq!(uuid([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
