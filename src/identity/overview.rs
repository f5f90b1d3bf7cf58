//! Which of a device's certificates belong to which of its keys.

use std::collections::HashMap;

use crate::key::{CertificateEntry, Contents, DeviceInfo, KeyEntry};
use crate::x509::{Certificate, CertificateError};

/// What a device holds, with what belongs together.
#[derive(Debug)]
pub struct Overview {
    /// The device itself.
    pub device: DeviceInfo,
    /// Private keys and certificates may be there that only a login shows.
    pub may_hide: bool,
    /// Its keys.
    pub keys: Vec<OverviewKey>,
    /// Its certificates.
    pub certificates: Vec<OverviewCertificate>,
}

/// A key, and its certificates on the same device.
#[derive(Debug)]
pub struct OverviewKey {
    /// The key.
    pub entry: KeyEntry,
    /// Places of its certificates in [`Overview::certificates`].
    pub certificates: Vec<usize>,
}

/// A certificate, and its key on the same device.
#[derive(Debug)]
pub struct OverviewCertificate {
    /// How the device stores it.
    pub entry: CertificateEntry,
    /// What it says, or why it cannot be read.
    pub certificate: Result<Certificate, CertificateError>,
    /// Place of its key in [`Overview::keys`].
    pub key: Option<usize>,
}

impl Overview {
    /// Joins keys and certificates by public key; where the device shows none, by CKA_ID.
    pub fn of(contents: Contents) -> Self {
        let may_hide = contents.may_hide();
        let mut keys: Vec<_> =
            contents.keys.into_iter().map(|entry| OverviewKey { entry, certificates: Vec::new() }).collect();
        let mut by_public_key = HashMap::new();
        let mut by_id = HashMap::new();
        for (place, key) in keys.iter().enumerate() {
            match (&key.entry.public_key, &key.entry.id) {
                (Some(public_key), _) => by_public_key.entry(public_key.clone()).or_insert(place),
                (None, Some(id)) => by_id.entry(id.clone()).or_insert(place),
                (None, None) => continue,
            };
        }
        let mut certificates = Vec::new();
        for (number, entry) in contents.certificates.into_iter().enumerate() {
            let certificate = Certificate::from_der(&entry.der);
            let certified = certificate.as_ref().ok().and_then(|certificate| certificate.public_key().ok());
            let key = certified
                .and_then(|certified| by_public_key.get(&certified))
                .or_else(|| entry.id.as_ref().and_then(|id| by_id.get(id)))
                .copied();
            if let Some(key) = key.and_then(|place| keys.get_mut(place)) {
                key.certificates.push(number);
            }
            certificates.push(OverviewCertificate { entry, certificate, key });
        }
        Self { device: contents.device, may_hide, keys, certificates }
    }
}
