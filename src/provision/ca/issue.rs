//! Certifying a key: the record is on the disk before the certificate leaves.

use jiff::Timestamp;

use super::authority::{Authority, Signer};
use super::error::{CaError, RefusalKind};
use super::found::{after_days, begin, record};
use super::index::Index;
use super::journal::Journal;
use super::record::Role;
use crate::key::PublicKey;
use crate::x509::build::{CertificateTemplate, Profile};
use crate::x509::{AlternativeName, Certificate, Name, SerialNumber};

/// What is to be certified. Everything else in the certificate is the authority's choice.
#[derive(Clone, Debug)]
pub struct Order {
    /// Whom the certificate names; not empty.
    pub subject: Name,
    /// The names beside it.
    pub names: Vec<AlternativeName>,
    /// The key. Whether the subject holds its private half is the caller's to know, by a signing request or by the device.
    pub public_key: PublicKey,
    /// Days that the certificate is good for, where not those of `ca.toml`. It never outlives its issuer.
    pub days: Option<u32>,
    /// The subject may have a valid certificate for another key. Without this only its own key is certified again.
    pub another_key: bool,
}

impl Authority {
    /// Refuses an order that cannot be met, before any device is asked.
    pub fn admit(&self, order: &Order, now: Timestamp) -> Result<(), CaError> {
        order.admit(self.index()?, now)
    }
}

impl Signer<'_> {
    /// Signs a client certificate and writes it into the index, under the authority's lock. One device signature. The caller has
    /// the certificate when the record is on the disk.
    pub fn issue(&self, order: &Order, now: Timestamp) -> Result<Certificate, CaError> {
        let mut journal = Journal::open(&self.authority.directory.index())?;
        order.admit(journal.index(), now)?;
        let template = CertificateTemplate {
            serial: unused(journal.index())?,
            subject: order.subject.clone(),
            public_key: order.public_key.clone(),
            not_before: begin(now).max(self.certificate.not_before()),
            not_after: after_days(now, order.days.unwrap_or(self.authority.settings().days))?,
            profile: Profile::Client(order.names.clone()),
        };
        let certificate = Certificate::from_der(&self.sign(&template.issued_by(self.certificate)?)?)?;
        journal.append(record(&certificate, &order.public_key, Role::Leaf, self.issuer, now))?;
        if self.certificate.not_after() < template.not_after {
            log::warn!("it ends with its issuer, at {}", certificate.not_after());
        }
        Ok(certificate)
    }
}

impl Order {
    fn admit(&self, index: &Index, now: Timestamp) -> Result<(), CaError> {
        if self.subject.is_empty() {
            // Roles Anywhere takes no empty subject, whatever names stand beside it.
            let message = "wanted a subject that names something, found an empty one";
            return Err(CaError::refused(RefusalKind::Order, message));
        }
        if self.another_key {
            return Ok(());
        }
        Ok(index.admit(&self.subject.to_string(), &self.public_key.fingerprint(), now)?)
    }
}

/// A random number that was never given: that one comes twice will not happen, and the index knows.
fn unused(index: &Index) -> Result<SerialNumber, CaError> {
    loop {
        let serial = SerialNumber::random()?;
        if !index.has(&serial.hex()) {
            return Ok(serial);
        }
    }
}
