//! Making an authority: everything is signed before anything is written, and `ca.toml` comes last, which makes it one.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use zeroize::Zeroizing;

use super::authority::{Authority, signed};
use super::directory::Directory;
use super::error::{CaError, RefusalKind};
use super::journal;
use super::record::{Event, Issued, Issuer, Role};
use super::settings::{CRL_DAYS, DAYS, KeySettings, Settings};
use crate::files::{FileContent, pem};
use crate::key::{Devices, KeyError, KeyErrorKind, KeyReference, PublicKey, SigningKey, WantedKey, generate_key_file};
use crate::x509::build::{CertificateTemplate, Profile};
use crate::x509::{Certificate, Name, SerialNumber};

/// How long before its making a certificate is good already: clocks differ.
const BACKDATED: SignedDuration = SignedDuration::from_mins(5);

/// What a new authority is to be.
#[derive(Clone, Debug)]
pub struct Foundation {
    /// The root.
    pub root: NewIssuer,
    /// The intermediate under it.
    pub intermediate: Option<NewIssuer>,
}

/// An issuer of a new authority.
#[derive(Clone, Debug)]
pub struct NewIssuer {
    /// Whom its certificate names.
    pub subject: Name,
    /// Where its key is; without it, a key is made in a file of the directory, which is for trying only.
    pub key: Option<KeySettings>,
    /// Days that its certificate is good for.
    pub days: u32,
}

/// An issuer with its key at hand.
struct Ready<'a> {
    issuer: Issuer,
    subject: &'a Name,
    days: u32,
    settings: KeySettings,
    /// PEM of a key that was made.
    made: Option<Zeroizing<String>>,
    key: Box<dyn SigningKey>,
    public_key: PublicKey,
}

impl Foundation {
    /// Makes the authority in a directory that is missing or empty. One device signature for each certificate.
    ///
    /// Nothing is written before everything is signed; where writing fails, what was written is taken away.
    pub fn build(&self, path: &Path, devices: &mut Devices, now: Timestamp) -> Result<Authority, CaError> {
        let directory = Directory::require_vacant(path, &self.key_files())?;
        let root = Ready::new(Issuer::Root, &self.root, &directory, devices)?;
        let of_intermediate = |new| Ready::new(Issuer::Intermediate, new, &directory, devices);
        let intermediate = self.intermediate.as_ref().map(of_intermediate).transpose()?;
        if let Some(intermediate) = &intermediate {
            root.require_other(intermediate)?;
        }
        let root_certificate = root.self_signed(now)?;
        let intermediate_certificate =
            intermediate.as_ref().map(|it| it.signed_by(&root, &root_certificate, now)).transpose()?;
        let mut parts = vec![(root, root_certificate)];
        parts.extend(intermediate.zip(intermediate_certificate));

        directory.create()?;
        let _lock = journal::lock(&directory.index())?;
        // Somebody may have been faster.
        Directory::require_vacant(path, &self.key_files())?;
        let mut written = Vec::new();
        write(&directory, &parts, now, &mut written).inspect_err(|_| {
            for path in written {
                // The error that led here says more.
                let _ = fs::remove_file(path);
            }
        })?;
        Authority::open(path)
    }

    /// Files that a person may have put into the directory beforehand.
    fn key_files(&self) -> Vec<PathBuf> {
        let named = [Some(&self.root), self.intermediate.as_ref()].into_iter().flatten();
        named.filter_map(|new| Some(new.key.as_ref()?.key.clone())).filter_map(file_of).collect()
    }
}

fn file_of(reference: KeyReference) -> Option<PathBuf> {
    match reference {
        KeyReference::File(path) => Some(path),
        _ => None,
    }
}

impl<'a> Ready<'a> {
    fn new(issuer: Issuer, new: &'a NewIssuer, directory: &Directory, devices: &mut Devices) -> Result<Self, CaError> {
        let path = directory.key(issuer);
        let (settings, made, device) = match &new.key {
            Some(settings) => {
                let device = devices.open(&settings.key).map_err(|error| unopened(settings, error))?;
                let tcti = devices.named_tpm(&settings.key)?;
                (KeySettings { tcti, ..settings.clone() }, None, device)
            }
            None => {
                let pem = generate_key_file()?;
                let octets = Zeroizing::new(pem.as_bytes().to_vec());
                let device = devices.open_content(&path, &FileContent { octets, mode: Some(0o600) })?;
                (KeySettings::of(KeyReference::File(path)), Some(pem), device)
            }
        };
        let key = device.open_key(&WantedKey::default()).map_err(|error| unopened(&settings, error))?;
        let public_key = key.public_key().cloned().ok_or_else(|| {
            let message = format!("wanted a key that shows its public half, {} shows none", key.reference());
            KeyError::new(KeyErrorKind::Unsupported, message)
        })?;
        key.gather_secrets()?;
        Ok(Self { issuer, subject: &new.subject, days: new.days, settings, made, key, public_key })
    }

    /// Two issuers of one name, or with one key, could not be told apart.
    fn require_other(&self, intermediate: &Self) -> Result<(), CaError> {
        let refused = |message: &str| Err(CaError::refused(RefusalKind::Order, message));
        if self.subject.matches(intermediate.subject) {
            return refused("wanted an intermediate with another subject than the root, found the same");
        }
        if self.public_key == intermediate.public_key {
            return refused("wanted an intermediate with another key than the root, found the same");
        }
        Ok(())
    }

    fn self_signed(&self, now: Timestamp) -> Result<Certificate, CaError> {
        let unsigned = self.template(Profile::Root, now)?.self_signed()?;
        Ok(Certificate::from_der(&signed(&unsigned, &*self.key)?)?)
    }

    fn signed_by(&self, root: &Self, certificate: &Certificate, now: Timestamp) -> Result<Certificate, CaError> {
        let unsigned = self.template(Profile::Intermediate, now)?.issued_by(certificate)?;
        Ok(Certificate::from_der(&signed(&unsigned, &*root.key)?)?)
    }

    fn template(&self, profile: Profile, now: Timestamp) -> Result<CertificateTemplate, CaError> {
        Ok(CertificateTemplate {
            serial: SerialNumber::random()?,
            subject: self.subject.clone(),
            public_key: self.public_key.clone(),
            not_before: begin(now),
            not_after: after_days(now, self.days)?,
            profile,
        })
    }
}

/// On a device the missing key can be made; a file may be missing for many reasons.
fn unopened(settings: &KeySettings, error: KeyError) -> CaError {
    match (error.kind(), &settings.key) {
        (KeyErrorKind::NotFound, KeyReference::Pkcs11(_) | KeyReference::Handle(_)) => {
            CaError::NoKey(Box::new(settings.clone()), error)
        }
        _ => error.into(),
    }
}

/// The beginning of a validity.
pub(super) fn begin(now: Timestamp) -> Timestamp {
    now.checked_sub(BACKDATED).unwrap_or(now)
}

/// The end of a validity, or when the next CRL is due.
pub(super) fn after_days(now: Timestamp, days: u32) -> Result<Timestamp, CaError> {
    now.checked_add(SignedDuration::from_hours(24 * i64::from(days))).map_err(|_| {
        CaError::refused(RefusalKind::Order, format!("wanted an end before the year 10000, found {days} days from now"))
    })
}

/// What the index says of a certificate.
pub(super) fn record(certificate: &Certificate, key: &PublicKey, role: Role, issuer: Issuer, at: Timestamp) -> Event {
    Event::Issued(Issued {
        serial: certificate.serial_hex(),
        role,
        issuer,
        subject: certificate.subject().to_string(),
        key: key.fingerprint(),
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
        at,
    })
}

fn write(
    directory: &Directory,
    parts: &[(Ready<'_>, Certificate)],
    now: Timestamp,
    written: &mut Vec<PathBuf>,
) -> Result<(), CaError> {
    let mut events = Vec::new();
    for (ready, certificate) in parts {
        if let Some(made) = &ready.made {
            directory.write_secret(&directory.key(ready.issuer), made)?;
            written.push(directory.key(ready.issuer));
        }
        let path = directory.certificate(ready.issuer);
        directory.publish(&path, &pem("CERTIFICATE", certificate.der()))?;
        written.push(path);
        let role = match ready.issuer {
            Issuer::Root => Role::Root,
            Issuer::Intermediate => Role::Intermediate,
        };
        events.push(record(certificate, &ready.public_key, role, Issuer::Root, now));
    }
    journal::create(&directory.index(), &events)?;
    written.push(directory.index());
    let key = |issuer| parts.iter().find(|(ready, _)| ready.issuer == issuer).map(|(ready, _)| ready.settings.clone());
    let root = key(Issuer::Root).ok_or_else(|| CaError::refused(RefusalKind::Order, "wanted a root, found none"))?;
    let settings = Settings { root, intermediate: key(Issuer::Intermediate), days: DAYS, crl_days: CRL_DAYS };
    directory.publish(&directory.settings(), &settings.to_toml(directory.path()))
}
