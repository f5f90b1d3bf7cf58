//! Joins key, leaf and chain by public key: the only place where they meet. Knows no backend by name: what a device is asked
//! goes through its traits.

mod choose;
mod overview;

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;

pub use overview::{Overview, OverviewCertificate, OverviewKey};

use crate::files::{self, FileError};
use crate::key::pkcs11::Uri;
use crate::key::{
    CertificateOfKey, CertificateReference, Device, Devices, KeyError, KeyErrorKind, KeyReference, PublicKey,
    SigningKey, StoredKey, WantedKey,
};
use crate::x509::{
    Certificate, CertificateError, CertificateErrorKind, CertificateFile, Chain, read_certificates, read_intermediates,
    requirements,
};

/// What a person names: at least a key or a certificate.
#[derive(Clone, Debug, Default)]
pub struct IdentityReference {
    /// The private key. Without one, the certificate's reference names it too: a PEM file that holds both, or a URI. The same
    /// URI for both means the same.
    pub key: Option<KeyReference>,
    /// The certificate, with further ones in the same file.
    pub certificate: Option<CertificateReference>,
    /// A PEM file of certificates between leaf and root.
    pub intermediates: Option<PathBuf>,
}

/// Who this workload is: a key, the certificate of that key, and the issuers on the way to the trust anchor.
pub struct Identity {
    /// Signs; its public half is the leaf's.
    pub key: Box<dyn SigningKey>,
    /// The end-entity certificate.
    pub leaf: Certificate,
    /// The leaf's issuer, then its issuer and so on; neither leaf nor root.
    pub chain: Vec<Certificate>,
}

/// Why there is no identity.
#[derive(Debug)]
pub enum IdentityError {
    /// The key, its device, or which of several is meant.
    Key(KeyError),
    /// The certificate or its chain.
    Certificate(CertificateError),
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(error) => error.fmt(f),
            Self::Certificate(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for IdentityError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Key(error) => error.source(),
            Self::Certificate(error) => error.source(),
        }
    }
}

impl From<KeyError> for IdentityError {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl From<CertificateError> for IdentityError {
    fn from(error: CertificateError) -> Self {
        Self::Certificate(error)
    }
}

impl From<FileError> for IdentityError {
    fn from(error: FileError) -> Self {
        Self::Certificate(error.into())
    }
}

impl Identity {
    /// Opens the key after everything that can be checked without it: so no PIN is asked for, and no try is spent, where the
    /// certificate cannot be used. With `preflight` the leaf must meet the requirements of Roles Anywhere at `now`.
    ///
    /// A token costs one search for certificates, one more for each issuer where the reference selects only some of them, and
    /// the search for the key with its login. Nothing is signed.
    pub fn open(
        devices: &mut Devices,
        wanted: &IdentityReference,
        preflight: bool,
        now: Timestamp,
    ) -> Result<Self, IdentityError> {
        let mut found = Found::find(devices, wanted)?;
        log::info!(
            "certificate {}, serial {}, valid until {}",
            found.leaf.subject(),
            found.leaf.serial_hex(),
            found.leaf.not_after()
        );
        if preflight {
            requirements::check(&found.leaf, now)?;
        }
        let chain = found.chain(wanted)?;
        tell_about(&chain, preflight.then_some(now));
        let key = found.open_key()?;
        Ok(Self { key, leaf: found.leaf, chain: chain.certificates })
    }

    /// What ends first of leaf and chain, where that is between the two times: AWS takes none of them after its end.
    pub fn first_to_end(&self, now: Timestamp, until: Timestamp) -> Option<&Certificate> {
        let certificates = [&self.leaf].into_iter().chain(&self.chain);
        let ends_soon = |certificate: &&Certificate| (now..until).contains(&certificate.not_after());
        certificates.filter(ends_soon).min_by_key(|certificate| certificate.not_after())
    }
}

/// Finds the certificate alone, with the chain that would be sent. A token is asked without a login, unless several certificates
/// match and only their keys tell which is the leaf. Nothing is demanded of it, nor of the length of the chain.
pub fn find_certificate(
    devices: &mut Devices,
    wanted: &IdentityReference,
) -> Result<(Certificate, Chain), IdentityError> {
    let mut found = match &wanted.certificate {
        Some(CertificateReference::File(path)) => {
            let CertificateFile { leaf, others } = read_certificates(path)?;
            Found { leaf, id: None, others, token: None, holder: None }
        }
        _ => Found::find(devices, wanted)?,
    };
    let chain = found.path(wanted)?;
    Ok((found.leaf, chain))
}

/// Opens the key alone. A certificate that is named beside it must be the key's; nothing else is demanded of it.
pub fn open_key(devices: &mut Devices, wanted: &IdentityReference) -> Result<Box<dyn SigningKey>, IdentityError> {
    match (&wanted.key, &wanted.certificate) {
        (Some(key), None) => Ok(devices.open(key)?.open_key(&WantedKey::default())?),
        _ => Found::find(devices, wanted)?.open_key(),
    }
}

/// A leaf, and the devices that hold its key and its issuers: an identity before its key is opened.
pub struct Found {
    leaf: Certificate,
    /// CKA_ID of the leaf, where it came from a token.
    id: Option<Vec<u8>>,
    /// What stands beside the leaf.
    others: Vec<Certificate>,
    /// The token that the leaf came from.
    token: Option<Box<dyn Device>>,
    /// What holds the key, where that is not the token.
    holder: Option<Box<dyn Device>>,
}

impl Found {
    fn find(devices: &mut Devices, wanted: &IdentityReference) -> Result<Self, IdentityError> {
        match Self::seek(devices, wanted)? {
            (found, None) => Ok(found),
            (_, Some(error)) => Err(error.into()),
        }
    }

    /// Finds the leaf. Where it is in a file, it can be judged although the device of its key cannot be opened: why not is told
    /// beside it.
    pub fn seek(devices: &mut Devices, wanted: &IdentityReference) -> Result<(Self, Option<KeyError>), IdentityError> {
        match &wanted.certificate {
            Some(CertificateReference::Pkcs11(uri)) => Ok((Self::on_token(devices, uri, wanted.key.as_ref())?, None)),
            Some(CertificateReference::File(path)) => {
                let content = files::read(path)?;
                let CertificateFile { leaf, others } = CertificateFile::from_octets(path, &content.octets)?;
                let holder = match &wanted.key {
                    Some(key) => devices.open(key),
                    None => devices.open_content(path, &content),
                };
                let (holder, unopened) = match holder {
                    Ok(holder) => (Some(holder), None),
                    Err(error) => (None, Some(error)),
                };
                Ok((Self { leaf, id: None, others, token: None, holder }, unopened))
            }
            None => Err(CertificateError::new(
                CertificateErrorKind::Unnamed,
                match &wanted.key {
                    Some(key) => format!("wanted the certificate of the key {key}, found none named"),
                    None => "wanted a certificate and its key, found neither named".to_owned(),
                },
            )
            .into()),
        }
    }

    fn on_token(devices: &mut Devices, uri: &Uri, key: Option<&KeyReference>) -> Result<Self, IdentityError> {
        // One URI for both opens one device. What it says of the type can be true of one of them only; the PIN, which is not
        // printed, is the key's first.
        let own = key.filter(|key| key.to_string() != uri.to_string());
        let uri = match key {
            Some(KeyReference::Pkcs11(same)) if own.is_none() => same.clone().or_pin_of(uri).without_type(),
            None => uri.clone().without_type(),
            Some(_) => uri.clone(),
        };
        // Opened before the token is asked for anything, because a login uses the PIN of the key's reference first.
        let holder = own.map(|key| devices.open(key)).transpose()?;
        let token = devices.open_token(&uri)?;
        let stored = match token.listing() {
            Some(listing) => listing.certificates()?,
            None => Vec::new(),
        };
        let chosen =
            choose::leaf(stored, &uri, |certified| keys(holder.as_ref().unwrap_or(&token).as_ref(), certified))?;
        Ok(Self { leaf: chosen.leaf, id: chosen.id, others: chosen.others, token: Some(token), holder })
    }

    /// The leaf.
    pub fn leaf(&self) -> &Certificate {
        &self.leaf
    }

    /// The issuers, from what stands beside the leaf, the intermediates that are named, and the token. To be asked once.
    pub fn chain(&mut self, wanted: &IdentityReference) -> Result<Chain, IdentityError> {
        let path = self.path(wanted)?;
        requirements::require_length(&path.certificates)?;
        Ok(path)
    }

    /// The same, however long it is.
    fn path(&mut self, wanted: &IdentityReference) -> Result<Chain, IdentityError> {
        let mut candidates = std::mem::take(&mut self.others);
        if let Some(path) = &wanted.intermediates {
            candidates.extend(read_intermediates(path)?);
        }
        let device = self.token.as_ref().or(self.holder.as_ref());
        let listing = device.and_then(|device| device.listing());
        Chain::follow(&self.leaf, candidates, &mut |subject| {
            let stored = match listing {
                Some(listing) => listing.issuers(subject)?,
                None => Vec::new(),
            };
            Ok::<_, IdentityError>(choose::read(stored).0.into_iter().map(|(certificate, _)| certificate).collect())
        })
    }

    /// What the leaf tells of its key; `None` where its public key is of no kind that is supported.
    pub fn certificate_of_key(&self) -> Option<CertificateOfKey> {
        Some(CertificateOfKey { public_key: self.certified().ok()?, id: self.id.clone() })
    }

    /// The leaf's key, which must be the one that is certified.
    pub fn open_key(&self) -> Result<Box<dyn SigningKey>, IdentityError> {
        let certified = self.certified()?;
        let certificate = CertificateOfKey { public_key: certified.clone(), id: self.id.clone() };
        let wanted = WantedKey { certificate: Some(certificate), inferred: self.holder.is_none() };
        let Some(device) = self.holder.as_ref().or(self.token.as_ref()) else {
            return Err(KeyError::new(KeyErrorKind::NotFound, "wanted a device that holds the key, found none").into());
        };
        let key = device.open_key(&wanted).and_then(|key| match key.public_key() {
            Some(public_key) => certified.require(public_key, key.reference()).map(|()| key),
            None => Ok(key),
        });
        Ok(key.map_err(|error| match error.kind() {
            KeyErrorKind::Mismatch => error.context(format_args!("certificate {}", self.leaf.subject())),
            _ => error,
        })?)
    }

    fn certified(&self) -> Result<PublicKey, KeyError> {
        self.leaf
            .public_key()
            .map_err(|error| error.context(format_args!("the key of the certificate {}", self.leaf.subject())))
    }
}

/// The keys of a device; one that cannot list holds a single one.
fn keys(device: &dyn Device, certified: &[PublicKey]) -> Result<Vec<StoredKey>, KeyError> {
    match device.listing() {
        Some(listing) => listing.keys(certified),
        None => {
            let key = device.open_key(&WantedKey::default())?;
            let (public_key, reference) = (key.public_key().cloned(), key.reference().to_owned());
            Ok(vec![StoredKey { public_key, id: None, reference }])
        }
    }
}

/// Says what is sent and what is not; warns of what AWS may refuse in it.
fn tell_about(chain: &Chain, checked_at: Option<Timestamp>) {
    log::info!("chain: sending {}", names(&chain.certificates).unwrap_or("no certificate but the leaf".to_owned()));
    if let Some(root) = &chain.root {
        log::info!("chain: it ends in the root {}, which is not sent", root.subject());
    }
    if let Some(missing) = &chain.missing {
        log::info!("chain: it ends before {missing}, of which no certificate was found: that must be the trust anchor");
    }
    if let Some(left_out) = names(&chain.left_out) {
        log::info!("chain: left out, because it is not on the path: {left_out}");
    }
    let Some(now) = checked_at else { return };
    for certificate in &chain.certificates {
        for violation in requirements::issuer_violations(certificate, now) {
            log::warn!("AWS may refuse the intermediate certificate {}: {violation}", certificate.subject());
        }
    }
}

fn names(certificates: &[Certificate]) -> Option<String> {
    let names: Vec<_> = certificates.iter().map(|certificate| format!("'{}'", certificate.subject())).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

#[cfg(test)]
mod tests;
