//! Revocation lists: each has a larger number than the one before, which the index keeps.

use jiff::Timestamp;

use super::authority::Signer;
use super::error::CaError;
use super::found::after_days;
use super::index::Entry;
use super::journal::Journal;
use super::record::{Crl, Event};
use crate::files::pem;
use crate::x509::build::{CrlTemplate, Revocation};

/// A CRL that was signed.
#[derive(Clone, Debug)]
pub struct SignedCrl {
    /// PEM, as `import-crl` takes it.
    pub pem: String,
    /// What the index says of it.
    pub record: Crl,
    /// How many certificates are on it.
    pub revoked: usize,
}

impl Signer<'_> {
    /// Signs the next CRL of this issuer, writes it into the index, and keeps it in the directory. One device signature.
    pub fn revocation_list(&self, days: Option<u32>, now: Timestamp) -> Result<SignedCrl, CaError> {
        let directory = &self.authority.directory;
        let mut journal = Journal::open(&directory.index())?;
        let index = journal.index();
        let days = days.unwrap_or(self.authority.settings().crl_days);
        let record = Crl {
            issuer: self.issuer,
            number: index.last_crl(self.issuer).map_or(0, |last| last.number) + 1,
            at: now,
            next_update: after_days(now, days)?,
        };
        let revoked: Vec<_> = index.to_be_listed(self.issuer).filter_map(revocation).collect();
        let number = revoked.len();
        let template =
            CrlTemplate { number: record.number, this_update: now, next_update: record.next_update, revoked };
        let pem = pem("X509 CRL", &self.sign(&template.issued_by(self.certificate)?)?);
        journal.append(Event::Crl(record))?;
        directory.publish(&directory.crl(self.issuer), &pem)?;
        Ok(SignedCrl { pem, record, revoked: number })
    }
}

/// The entry of a revoked certificate.
fn revocation(entry: &Entry) -> Option<Revocation> {
    let (since, reason) = entry.revoked?;
    Some(Revocation { serial: entry.serial()?, since, reason })
}
