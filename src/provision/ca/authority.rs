//! An authority as it stands in its directory, and the same with the key of an issuer at hand.

use std::cell::OnceCell;
use std::path::Path;

use jiff::Timestamp;

use super::directory::Directory;
use super::error::{CaError, RefusalKind};
use super::index::Index;
use super::journal;
use super::record::Issuer;
use super::settings::Settings;
use crate::identity::IdentityError;
use crate::key::{CertificateOfKey, Devices, SigningKey, WantedKey};
use crate::provision::sign::sign;
use crate::x509::build::Unsigned;
use crate::x509::{Certificate, read_certificates};

/// What a directory holds: settings, certificates and index. No device is touched.
#[derive(Debug)]
pub struct Authority {
    pub(super) directory: Directory,
    settings: Settings,
    root: Certificate,
    intermediate: Option<Certificate>,
    index: OnceCell<Index>,
}

impl Authority {
    /// Reads settings and certificates.
    pub fn open(path: &Path) -> Result<Self, CaError> {
        let directory = Directory::open(path)?;
        let settings = Settings::read::<CaError>(&directory.settings())?;
        let root = certificate(&directory, Issuer::Root)?;
        let has_intermediate = settings.intermediate.is_some();
        let intermediate = has_intermediate.then(|| certificate(&directory, Issuer::Intermediate)).transpose()?;
        Ok(Self { directory, settings, root, intermediate, index: OnceCell::new() })
    }

    /// What `ca.toml` says.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where its files are.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Who signs the leaves: the intermediate where there is one.
    pub fn issuer(&self) -> Issuer {
        if self.intermediate.is_some() { Issuer::Intermediate } else { Issuer::Root }
    }

    /// The certificate of an issuer, where the authority has one.
    pub fn certificate(&self, issuer: Issuer) -> Option<&Certificate> {
        match issuer {
            Issuer::Root => Some(&self.root),
            Issuer::Intermediate => self.intermediate.as_ref(),
        }
    }

    /// What stands between a leaf and the root.
    pub fn chain(&self) -> impl Iterator<Item = &Certificate> {
        self.intermediate.iter()
    }

    /// Everything that was issued when this was asked first. Who writes reads it again, under the lock.
    pub fn index(&self) -> Result<&Index, CaError> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let index = journal::read(&self.directory.index())?;
        Ok(self.index.get_or_init(|| index))
    }

    /// The same authority with the key of an issuer at hand.
    ///
    /// Fails before any device is asked where the issuer's certificate is over or revoked. Logs in where the key's device wants
    /// that, and asks for the secrets that signing will want.
    pub fn signer(&self, issuer: Issuer, devices: &mut Devices, now: Timestamp) -> Result<Signer<'_>, CaError> {
        let missing = || CaError::refused(RefusalKind::Order, format!("wanted the {issuer}, this authority has none"));
        let certificate = self.certificate(issuer).ok_or_else(missing)?;
        let settings = self.settings.key(issuer).ok_or_else(missing)?;
        self.require_good(issuer, certificate, now)?;
        let wanted = CertificateOfKey { public_key: certificate.public_key()?, id: None };
        let key = devices.open(&settings.key)?.open_key(&WantedKey { certificate: Some(wanted), inferred: false })?;
        key.gather_secrets()?;
        Ok(Signer { authority: self, issuer, certificate, key })
    }

    fn require_good(&self, issuer: Issuer, certificate: &Certificate, now: Timestamp) -> Result<(), CaError> {
        let refused = |found: String| CaError::refused(RefusalKind::Authority, format!("the {issuer} {found}"));
        let (name, from, until) = (certificate.subject(), certificate.not_before(), certificate.not_after());
        if now > until || now < from {
            return Err(refused(format!("{name} is good from {from} until {until}, and it is {now}")));
        }
        // Nobody revokes a root.
        let revoked = match issuer {
            Issuer::Root => None,
            Issuer::Intermediate => self.index()?.by_serial(&certificate.serial_hex()).and_then(|entry| entry.revoked),
        };
        match revoked {
            Some((at, reason)) => Err(refused(format!("{name} was revoked at {at} ({reason})"))),
            None => Ok(()),
        }
    }
}

/// An authority with a key at hand.
pub struct Signer<'a> {
    pub(super) authority: &'a Authority,
    pub(super) issuer: Issuer,
    pub(super) certificate: &'a Certificate,
    key: Box<dyn SigningKey>,
}

impl Signer<'_> {
    /// One device signature.
    pub(super) fn sign(&self, unsigned: &Unsigned) -> Result<Vec<u8>, CaError> {
        signed(unsigned, &*self.key)
    }
}

/// DER with its signature: one device signature, verified.
pub(super) fn signed(unsigned: &Unsigned, key: &dyn SigningKey) -> Result<Vec<u8>, CaError> {
    sign(unsigned, key).map_err(|error| match error {
        IdentityError::Key(error) => error.into(),
        IdentityError::Certificate(error) => error.into(),
    })
}

fn certificate(directory: &Directory, issuer: Issuer) -> Result<Certificate, CaError> {
    Ok(read_certificates(&directory.certificate(issuer))?.leaf)
}
