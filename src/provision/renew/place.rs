//! Where a certificate is, and how a new one takes its place: a file whole, with the old one beside it; on a token as a second object.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use zeroize::Zeroizing;

use super::Renewed;
use super::error::RenewError;
use crate::files::rewrite::Held;
use crate::files::shared::directory;
use crate::files::{SharedFileError, blocks, create, pem};
use crate::identity::IdentityError;
use crate::key::pkcs11::Uri;
use crate::key::{Devices, Others, PublicKey};
use crate::provision::import::{admit_beside, import_beside};
use crate::x509::{Certificate, CertificateFile};

/// Where the new certificate goes.
#[derive(Clone, Debug)]
pub enum Place {
    /// The file that holds the old one.
    File(PathBuf),
    /// A file that must not be there.
    NewFile(PathBuf),
    /// The token where the key is.
    Token(Box<TokenPlace>),
}

/// A key on a token, beside which a certificate goes.
#[derive(Clone, Debug)]
pub struct TokenPlace {
    /// Selects the token, and the key where that has no reference of its own.
    pub at: Uri,
    /// The key's own reference.
    pub key: Option<Uri>,
}

/// What was done.
#[derive(Debug)]
pub struct Put {
    /// What selects the new certificate.
    pub reference: String,
    /// Where the old one is, where it stayed and something can be said of it.
    pub kept: Option<String>,
}

impl Place {
    /// Refuses what can be refused before a certificate is asked for: a file that cannot be written, no room for the old one, a token
    /// that would not take a certificate of this key. Logs in to a token.
    pub fn check(
        &self,
        devices: &mut Devices,
        public_key: &PublicKey,
        old: &Certificate,
        remove_old: bool,
    ) -> Result<(), RenewError> {
        match self {
            Self::File(path) => {
                let held = Held::lock(path)?;
                require_old(path, held.content(), old)?;
                writable(directory(path))?;
                if remove_old { Ok(()) } else { room_for_old(path, old).map(|_| ()) }
            }
            Self::NewFile(path) => match path.symlink_metadata() {
                Ok(_) => Err(RenewError::Exists(path.clone())),
                Err(_) => writable(directory(path)),
            },
            Self::Token(token) => {
                let others = others(old, remove_old);
                let admitted = admit_beside(devices, &token.at, token.key.as_ref(), public_key, &others);
                Ok(admitted.map_err(IdentityError::from)?)
            }
        }
    }

    /// Puts the new certificate there. The old one stays: a file as `FILE.old`, on a token beside the new one; with `remove_old` it
    /// does not. Fails without a change.
    pub fn put(
        &self,
        devices: &mut Devices,
        renewed: &Renewed,
        old: &Certificate,
        remove_old: bool,
    ) -> Result<Put, RenewError> {
        match self {
            Self::File(path) => replace(path, renewed, old, remove_old),
            Self::NewFile(path) => {
                create(path, text(renewed).as_bytes(), 0o666).map_err(|error| match error.kind() {
                    ErrorKind::AlreadyExists => RenewError::Exists(path.clone()),
                    _ => SharedFileError::cannot("write", path)(error).into(),
                })?;
                Ok(Put { reference: path.display().to_string(), kept: None })
            }
            Self::Token(token) => {
                let others = others(old, remove_old);
                let stored = import_beside(devices, &token.at, token.key.as_ref(), &renewed.leaf, others)?;
                let kept = (!remove_old).then(|| format!("beside it on the token, serial {}", old.serial_hex()));
                Ok(Put { reference: stored.reference, kept })
            }
        }
    }
}

fn others(old: &Certificate, remove_old: bool) -> Others {
    if remove_old { Others::RemoveOne(old.der().to_vec()) } else { Others::Keep }
}

/// The old content goes to `FILE.old`, then the new one into the file. A private key in it stays in it.
fn replace(path: &Path, renewed: &Renewed, old: &Certificate, remove_old: bool) -> Result<Put, RenewError> {
    let held = Held::lock(path)?;
    require_old(path, held.content(), old)?;
    let content = with_other_blocks(renewed, held.content())?;
    let mut kept = None;
    if !remove_old {
        let beside = room_for_old(path, old)?;
        let copy = held.content().to_vec();
        Held::lock(&beside)?.prepare(&Zeroizing::new(copy))?.finish()?;
        kept = Some(beside.display().to_string());
    }
    held.prepare(&content)?.finish()?;
    Ok(Put { reference: path.display().to_string(), kept })
}

/// Leaf and chain, then whatever else the file held that is no certificate.
fn with_other_blocks(renewed: &Renewed, existing: &[u8]) -> Result<Zeroizing<Vec<u8>>, RenewError> {
    let certificates = text(renewed);
    let blocks = blocks(existing).map_err(|error| SharedFileError::new(error.to_string()))?;
    let others = blocks.iter().filter(|block| !matches!(block.label, "CERTIFICATE" | "X509 CERTIFICATE"));
    // Room for all of it at once: a buffer that grows leaves copies of a key behind.
    let mut content = Zeroizing::new(Vec::with_capacity(certificates.len() + existing.len() + blocks.len()));
    content.extend(certificates.as_bytes());
    for block in others {
        content.extend(block.text);
        if !block.text.ends_with(b"\n") {
            content.push(b'\n');
        }
    }
    Ok(content)
}

fn text(renewed: &Renewed) -> String {
    [&renewed.leaf].into_iter().chain(&renewed.chain).map(|certificate| pem("CERTIFICATE", certificate.der())).collect()
}

fn require_old(path: &Path, content: &[u8], old: &Certificate) -> Result<(), RenewError> {
    match CertificateFile::from_octets(path, content) {
        Ok(file) if file.leaf == *old => Ok(()),
        Ok(_) => Err(RenewError::Changed(path.to_owned())),
        Err(error) => Err(IdentityError::from(error).into()),
    }
}

/// `FILE.old`, which may hold what an earlier renewal left there: an older certificate for the same subject.
fn room_for_old(path: &Path, old: &Certificate) -> Result<PathBuf, RenewError> {
    let mut name = OsString::from(path);
    name.push(".old");
    let beside = PathBuf::from(name);
    if beside.symlink_metadata().is_err() {
        return Ok(beside);
    }
    let is_older = crate::x509::read_certificates(&beside)
        .is_ok_and(|file| file.leaf.subject().matches(old.subject()) && file.leaf.not_before() <= old.not_before());
    if is_older { Ok(beside) } else { Err(RenewError::Occupied(beside)) }
}

fn writable(directory: &Path) -> Result<(), RenewError> {
    let outcome = accessat(CWD, directory, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS);
    Ok(outcome.map_err(|error| SharedFileError::cannot("write in", directory)(error.into()))?)
}
