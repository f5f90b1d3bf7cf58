//! What the authority writes down: one JSON object per event, in the order in which they happened.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::x509::build::RevocationReason;

/// Whose signature something carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Issuer {
    /// The root, which signs itself.
    Root,
    /// The intermediate under it.
    Intermediate,
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::Intermediate => "intermediate",
        })
    }
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The authority's root.
    Root,
    /// The authority's intermediate.
    Intermediate,
    /// A client.
    Leaf,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// A certificate was signed, and has left or was about to.
    Issued(Issued),
    /// A certificate was revoked.
    Revoked {
        /// Its serial number in upper-case hexadecimal.
        serial: String,
        /// When.
        at: Timestamp,
        /// Why.
        #[serde(with = "reason")]
        reason: RevocationReason,
    },
    /// A CRL was signed.
    Crl(Crl),
}

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Issued {
    /// The serial number in upper-case hexadecimal, without a leading 00 octet.
    pub serial: String,
    /// What it is for.
    pub role: Role,
    /// Who signed it.
    pub issuer: Issuer,
    /// Whom it certifies, as RFC 4514 writes it.
    pub subject: String,
    /// SHA-256 over the certified SubjectPublicKeyInfo, in lower-case hexadecimal.
    pub key: String,
    /// The first moment of its validity.
    pub not_before: Timestamp,
    /// The last.
    pub not_after: Timestamp,
    /// When it was signed.
    pub at: Timestamp,
}

/// A CRL that was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Crl {
    /// Whose it is.
    pub issuer: Issuer,
    /// Its number: each is larger than the one before.
    pub number: u64,
    /// When it was signed.
    pub at: Timestamp,
    /// When the next one is due.
    pub next_update: Timestamp,
}

/// A reason by the specification's name.
mod reason {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::RevocationReason;

    pub(super) fn serialize<S: Serializer>(reason: &RevocationReason, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(reason)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<RevocationReason, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_that_says_what_it_is() {
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        let event = Event::Revoked { serial: "0A".to_owned(), at, reason: RevocationReason::CaCompromise };
        let line = serde_json::to_string(&event).unwrap();
        assert_eq!(line, r#"{"event":"revoked","serial":"0A","at":"2027-01-15T08:00:00Z","reason":"cACompromise"}"#);
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }
}
