//! Revoking: a line in the index. It counts for others when they have the next CRL.

use jiff::Timestamp;

use super::authority::Authority;
use super::error::{CaError, RefusalKind};
use super::index::{Entry, Index};
use super::journal::Journal;
use super::record::{Event, Issued, Role};
use crate::x509::build::RevocationReason;
use crate::x509::{Certificate, Name, Verification};

/// Which certificate is meant.
#[derive(Clone, Debug)]
pub enum Which {
    /// By its serial number: hexadecimal, or decimal as AWS shows it.
    Serial(String),
    /// This one.
    Certificate(Box<Certificate>),
    /// The only one of this subject that is neither revoked nor over.
    Subject(Name),
}

impl Authority {
    /// Revokes a certificate, under the authority's lock, and gives what was revoked. No device is asked: the next CRL is signed
    /// when it is asked for.
    pub fn revoke(&self, which: &Which, reason: RevocationReason, now: Timestamp) -> Result<Issued, CaError> {
        let mut journal = Journal::open(&self.directory.index())?;
        let entry = self.find(journal.index(), which, now)?;
        let issued = entry.issued.clone();
        if let Some((at, reason)) = entry.revoked {
            let message =
                format!("{} (serial number {}) was revoked at {at} ({reason})", issued.subject, issued.serial);
            return Err(CaError::refused(RefusalKind::Revoked, message));
        }
        if issued.role == Role::Root {
            let message = format!("{} is the root: a trust anchor is removed where it is trusted", issued.subject);
            return Err(CaError::refused(RefusalKind::Order, message));
        }
        journal.append(Event::Revoked { serial: issued.serial.clone(), at: now, reason })?;
        Ok(issued)
    }

    fn find<'a>(&self, index: &'a Index, which: &Which, now: Timestamp) -> Result<&'a Entry, CaError> {
        let unknown = |message: String| CaError::refused(RefusalKind::Unknown, message);
        match which {
            Which::Serial(text) => index.meant_by(text).ok_or_else(|| {
                unknown(format!("wanted a serial number that was issued here, found '{}'", text.escape_debug()))
            }),
            Which::Certificate(certificate) => {
                let entry = index.by_serial(&certificate.serial_hex()).filter(|entry| {
                    let issuer = self.certificate(entry.issued.issuer);
                    issuer.is_some_and(|issuer| certificate.is_signed_by(issuer) == Verification::Verified)
                });
                entry.ok_or_else(|| {
                    let (subject, serial) = (certificate.subject(), certificate.serial_hex());
                    unknown(format!(
                        "wanted a certificate that was issued here, found {subject} (serial number {serial})"
                    ))
                })
            }
            Which::Subject(name) => only(index, &name.to_string(), now),
        }
    }
}

fn only<'a>(index: &'a Index, subject: &str, now: Timestamp) -> Result<&'a Entry, CaError> {
    let good: Vec<_> = index.good_of(subject, now).collect();
    if let [only] = good[..] {
        return Ok(only);
    }
    let wanted = format!("wanted one valid certificate of {subject}");
    if good.is_empty() {
        return Err(CaError::refused(RefusalKind::Unknown, format!("{wanted}, found none")));
    }
    // The first few tell what it is about.
    let serials: Vec<_> = good.iter().take(10).map(|entry| entry.issued.serial.clone()).collect();
    let message = format!("{wanted}, found {} (serial numbers {})", good.len(), serials.join(", "));
    Err(CaError::refused(RefusalKind::Several { serials }, message))
}
