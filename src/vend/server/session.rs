//! IMDSv2 session tokens. Stateless, so that any number of them takes no memory: a token carries the moment it ends at and
//! proves by an HMAC under a key of this process that it was issued here. A restart ends them all; SDKs then ask anew.

use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use super::error::ServeError;

/// Longest life of a token that IMDSv2 knows, and the one it gets where none is asked for.
pub const LONGEST_LIFE: u32 = 21_600;

/// End (seconds since 1970, big-endian), then octets that make each token another one.
const CLAIM: usize = 16;
/// HMAC-SHA-256.
const TAG: usize = 32;
/// Base64 of claim and tag; 48 octets need no padding.
const TEXT: usize = 64;

/// Issues and checks session tokens.
pub struct SessionTokens {
    key: hmac::Key,
}

impl SessionTokens {
    /// A fresh random key.
    pub fn new() -> Result<Self, ServeError> {
        let mut key = [0; 32];
        rand::fill(&mut key).map_err(|_| ServeError::randomness())?;
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key) })
    }

    /// A token that is taken for `life` seconds from `now`; `None` where the system has no randomness.
    pub fn issue(&self, now: Timestamp, life: u32) -> Option<String> {
        let end = now.as_second().checked_add(i64::from(life))?;
        let mut nonce = [0; 8];
        rand::fill(&mut nonce).ok()?;
        let mut token = Vec::with_capacity(CLAIM + TAG);
        token.extend_from_slice(&end.to_be_bytes());
        token.extend_from_slice(&nonce);
        let tag = hmac::sign(&self.key, &token);
        token.extend_from_slice(tag.as_ref());
        Some(URL_SAFE_NO_PAD.encode(token))
    }

    /// The seconds that the token has left; `None` where it was not issued here or has ended. Compares in constant time.
    pub fn seconds_left(&self, token: &[u8], now: Timestamp) -> Option<u32> {
        let mut octets = [0; CLAIM + TAG];
        if token.len() != TEXT || URL_SAFE_NO_PAD.decode_slice(token, &mut octets).ok()? != octets.len() {
            return None;
        }
        let (claim, tag) = octets.split_at(CLAIM);
        hmac::verify(&self.key, claim, tag).ok()?;
        let end = i64::from_be_bytes(*claim.first_chunk()?);
        u32::try_from(end.checked_sub(now.as_second())?).ok().filter(|left| *left > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_token_lasts_as_long_as_was_asked_for() {
        let tokens = SessionTokens::new().unwrap();
        let token = tokens.issue(second(1000), 60).unwrap();
        assert_eq!(tokens.seconds_left(token.as_bytes(), second(1000)), Some(60));
        assert_eq!(tokens.seconds_left(token.as_bytes(), second(1059)), Some(1));
        assert_eq!(tokens.seconds_left(token.as_bytes(), second(1060)), None);
    }

    #[test]
    fn each_token_is_another_one() {
        let tokens = SessionTokens::new().unwrap();
        assert_ne!(tokens.issue(second(1), 60), tokens.issue(second(1), 60));
    }

    #[test]
    fn a_token_of_another_process_or_with_one_bit_changed_is_not_taken() {
        let tokens = SessionTokens::new().unwrap();
        let foreign = SessionTokens::new().unwrap().issue(second(1), 60).unwrap();
        assert_eq!(tokens.seconds_left(foreign.as_bytes(), second(1)), None);

        let token = tokens.issue(second(1), 60).unwrap().into_bytes();
        for at in 0..token.len() {
            let mut changed = token.clone();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(tokens.seconds_left(&changed, second(1)), None, "octet {at}");
        }
    }

    #[test]
    fn what_is_no_token_at_all_is_not_taken() {
        let tokens = SessionTokens::new().unwrap();
        for garbage in [&b""[..], b"x", &[b'A'; 64], &[0xff; 64], &[b'A'; 65], &[b'A'; 100_000]] {
            assert_eq!(tokens.seconds_left(garbage, second(1)), None);
        }
    }
}
