//! Revocation lists (RFC 5280 §5).

use std::fmt;
use std::str::FromStr;

use der::asn1::{Any, Int};
use der::{Decode, Encode, Sequence};
use jiff::Timestamp;
use spki::AlgorithmIdentifierOwned;
use x509_cert::Version;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{CrlNumber, CrlReason};
use x509_cert::time::Time;

use super::extensions::{authority_key, extension, key_identifier};
use super::{Unsigned, not_encodable, refused, time};
use crate::x509::certificate::Certificate;
use crate::x509::error::CertificateError;
use crate::x509::printable::printable;
use crate::x509::serial::SerialNumber;

/// What a revocation list will say.
#[derive(Clone, Debug)]
pub struct CrlTemplate {
    /// Greater than that of every list of this issuer before.
    pub number: u64,
    /// When it was made.
    pub this_update: Timestamp,
    /// Until when the next one will be made.
    pub next_update: Timestamp,
    /// What is revoked.
    pub revoked: Vec<Revocation>,
}

/// A revoked certificate.
#[derive(Clone, Debug)]
pub struct Revocation {
    /// Its number.
    pub serial: SerialNumber,
    /// Since when it is revoked.
    pub since: Timestamp,
    /// Why.
    pub reason: RevocationReason,
}

/// Why a certificate is revoked for good (RFC 5280 §5.3.1). Text and back: the specification's names, such as `keyCompromise`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationReason {
    /// No reason is given, and none is written.
    Unspecified,
    /// Somebody else may have the key.
    KeyCompromise,
    /// Somebody else may have the CA's key.
    CaCompromise,
    /// Its subject is called otherwise now.
    AffiliationChanged,
    /// Another certificate took its place.
    Superseded,
    /// It is not needed any more.
    CessationOfOperation,
    /// Its subject may no longer do what it certified.
    PrivilegeWithdrawn,
}

impl RevocationReason {
    /// Every reason with its name.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Unspecified, "unspecified"),
        (Self::KeyCompromise, "keyCompromise"),
        (Self::CaCompromise, "cACompromise"),
        (Self::AffiliationChanged, "affiliationChanged"),
        (Self::Superseded, "superseded"),
        (Self::CessationOfOperation, "cessationOfOperation"),
        (Self::PrivilegeWithdrawn, "privilegeWithdrawn"),
    ];

    fn code(self) -> Option<CrlReason> {
        Some(match self {
            // RFC 5280 §5.3.1: better absent than unspecified.
            Self::Unspecified => return None,
            Self::KeyCompromise => CrlReason::KeyCompromise,
            Self::CaCompromise => CrlReason::CaCompromise,
            Self::AffiliationChanged => CrlReason::AffiliationChanged,
            Self::Superseded => CrlReason::Superseded,
            Self::CessationOfOperation => CrlReason::CessationOfOperation,
            Self::PrivilegeWithdrawn => CrlReason::PrivilegeWithdrawn,
        })
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(reason, _)| reason == self).map_or("unspecified", |(_, name)| name))
    }
}

/// The name of no reason.
#[derive(Debug)]
pub struct UnknownReason(String);

impl FromStr for RevocationReason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        let found = Self::ALL.iter().find(|(_, name)| name.eq_ignore_ascii_case(text));
        found.map(|(reason, _)| *reason).ok_or_else(|| UnknownReason(text.to_owned()))
    }
}

impl fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = RevocationReason::ALL.iter().map(|(_, name)| *name).collect();
        write!(f, "wanted one of {}, found '{}'", names.join(", "), printable(&self.0))
    }
}

impl std::error::Error for UnknownReason {}

/// TBSCertList (RFC 5280 §5.1).
#[derive(Sequence)]
struct Listed {
    version: Version,
    signature: AlgorithmIdentifierOwned,
    issuer: Any,
    this_update: Time,
    next_update: Option<Time>,
    revoked: Option<Vec<Entry>>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    extensions: Option<Vec<Extension>>,
}

#[derive(Sequence)]
struct Entry {
    serial: Int,
    since: Time,
    extensions: Option<Vec<Extension>>,
}

impl CrlTemplate {
    /// The list of this issuer, whose key signs it. Fails where the issuer may not sign lists, or where the next update is not
    /// after this one.
    pub fn issued_by(&self, issuer: &Certificate) -> Result<Unsigned, CertificateError> {
        if !issuer.is_ca() || issuer.key_usage()?.is_some_and(|usage| !usage.crl_sign()) {
            let message = format!("wanted the certificate of a CA with cRLSign, found {}", issuer.subject());
            return Err(refused(message));
        }
        if self.next_update <= self.this_update {
            let message = format!("wanted a next update after {}, found {}", self.this_update, self.next_update);
            return Err(refused(message));
        }
        let signer = issuer.public_key().map_err(|error| refused(error.to_string()).with_source(error))?;
        let identifier = issuer.key_identifier().unwrap_or_else(|| key_identifier(&signer));
        let (this_update, next_update) = (time(self.this_update)?, time(self.next_update)?);
        let revoked = self.revoked.iter().map(Revocation::entry).collect::<Result<Vec<_>, _>>()?;
        Unsigned::new(signer, |signature| {
            Listed {
                version: Version::V2,
                signature,
                issuer: Any::from_der(issuer.subject_der())?,
                this_update,
                next_update: Some(next_update),
                // RFC 5280 §5.1.2.6: absent, not empty.
                revoked: Some(revoked).filter(|revoked| !revoked.is_empty()),
                extensions: Some(vec![
                    authority_key(identifier)?,
                    extension(false, &CrlNumber::try_from(self.number)?)?,
                ]),
            }
            .to_der()
        })
    }
}

impl Revocation {
    fn entry(&self) -> Result<Entry, CertificateError> {
        let since = time(self.since)?;
        let entry = || {
            let reason = self.reason.code().map(|code| extension(false, &code)).transpose()?;
            let serial = Int::new(&self.serial.to_twos_complement())?;
            Ok(Entry { serial, since, extensions: reason.map(|reason| vec![reason]) })
        };
        entry().map_err(not_encodable)
    }
}
