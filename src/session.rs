//! An identity for as long as credentials are wanted of it: opened on its devices once, kept, and read again where it may have
//! changed. Knows backends by name as little as outputs.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use jiff::Timestamp;

use crate::identity::{Identity, IdentityError, IdentityReference};
use crate::key::{CertificateReference, Devices, KeyError, KeyErrorKind, KeyReference};
use crate::rolesanywhere::{Client, ClientError, Created, Urgency};
use crate::x509::requirements;

/// An identity and the devices that it is on. Its clones are the same session: roles that are assumed with one identity share its
/// devices and its login.
#[derive(Clone)]
pub struct Session(Arc<Mutex<Held>>);

struct Held {
    devices: Shared,
    reference: IdentityReference,
    preflight: bool,
    current: Option<Current>,
}

/// The devices, `None` once they are closed. Sessions beside each other have the same.
type Shared = Arc<Mutex<Option<Devices>>>;

/// What was opened last, and the files as they were then.
struct Current {
    identity: Arc<Identity>,
    files: Files,
}

/// Why there are no credentials.
#[derive(Debug)]
pub enum SessionError {
    /// Key, certificate or chain.
    Identity(IdentityError),
    /// The signature, or what was sent and answered.
    Client(ClientError),
}

impl Session {
    /// Opens nothing yet. With `preflight`, the certificate must meet the requirements of Roles Anywhere each time.
    pub fn new(devices: Devices, reference: IdentityReference, preflight: bool) -> Self {
        Self::on(Arc::new(Mutex::new(Some(devices))), reference, preflight)
    }

    /// Another identity on the same devices: each module is loaded and each token logged in to once, and a secret that was wrong
    /// for one of them is not tried by the other.
    pub fn beside(&self, reference: IdentityReference) -> Self {
        let held = self.held();
        Self::on(Arc::clone(&held.devices), reference, held.preflight)
    }

    fn on(devices: Shared, reference: IdentityReference, preflight: bool) -> Self {
        Self(Arc::new(Mutex::new(Held { devices, reference, preflight, current: None })))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fresh credentials, and the identity that they were got with: one device signature.
    pub fn create(&self, client: &Client, urgency: Urgency) -> Result<(Created, Arc<Identity>), SessionError> {
        // The lock is not held while the key signs and AWS answers: another role may begin.
        let identity = self.held().identity(Timestamp::now())?;
        Ok((client.create_session(&identity, urgency)?, identity))
    }

    /// Ends the devices' sessions and finalises modules, unless somebody is still at work on them. Nothing can be created after
    /// this.
    pub fn close(&self) {
        let devices = try_lock(&self.0).and_then(|held| try_lock(&held.devices)?.take());
        if let Some(devices) = devices {
            devices.close();
        }
    }
}

impl Held {
    /// The identity as it is now; the one from before where what is found now does not fit together and that one still can be
    /// used: somebody may be about to replace certificate and key one after the other.
    fn identity(&mut self, now: Timestamp) -> Result<Arc<Identity>, IdentityError> {
        let files = Files::of(&self.reference);
        if let Some(current) = &self.current
            && !self.may_have_changed(current, &files)
        {
            check(&current.identity, self.preflight, now)?;
            return Ok(Arc::clone(&current.identity));
        }
        match self.open(now) {
            Ok(identity) => {
                let identity = Arc::new(identity);
                if self.current.as_ref().is_some_and(|current| current.identity.leaf != identity.leaf) {
                    let leaf = &identity.leaf;
                    log::warn!("going on with the certificate {}, serial {}", leaf.subject(), leaf.serial_hex());
                }
                self.current = Some(Current { identity: Arc::clone(&identity), files });
                Ok(identity)
            }
            Err(error) => match &self.current {
                Some(current)
                    if self.is_of_content(&error) && check(&current.identity, self.preflight, now).is_ok() =>
                {
                    log::warn!("the certificate and key from before go on: {error}");
                    Ok(Arc::clone(&current.identity))
                }
                _ => Err(error),
            },
        }
    }

    fn open(&mut self, now: Timestamp) -> Result<Identity, IdentityError> {
        let mut devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        let devices = devices
            .as_mut()
            .ok_or_else(|| KeyError::new(KeyErrorKind::Unreachable, "the devices are closed: the program ends"))?;
        Identity::open(devices, &self.reference, self.preflight, now)
    }

    /// A token is asked each time, for nothing tells that its certificate was replaced. What can be read only once, such as a
    /// pipe, is kept for good.
    fn may_have_changed(&self, current: &Current, files: &Files) -> bool {
        let is_on_token = matches!(self.reference.certificate, Some(CertificateReference::Pkcs11(_)));
        current.files.are_regular() && (is_on_token || current.files != *files)
    }

    /// Whether the error speaks of what was found and not of a device that is away or a secret that is missing, which another
    /// certificate would not mend.
    fn is_of_content(&self, error: &IdentityError) -> bool {
        let IdentityError::Key(error) = error else { return true };
        match error.kind() {
            KeyErrorKind::Mismatch | KeyErrorKind::Unsupported | KeyErrorKind::Ambiguous => true,
            KeyErrorKind::NotFound | KeyErrorKind::Unreachable | KeyErrorKind::Permission => {
                !matches!(self.reference.key, Some(KeyReference::Pkcs11(_) | KeyReference::Handle(_)))
                    && !matches!(self.reference.certificate, Some(CertificateReference::Pkcs11(_)))
            }
            _ => false,
        }
    }
}

/// What is locked, unless somebody is at work on it.
fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(guard)) => Some(guard.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// A certificate that was good when it was read may have ended since.
fn check(identity: &Identity, preflight: bool, now: Timestamp) -> Result<(), IdentityError> {
    if preflight {
        requirements::check(&identity.leaf, now)?;
    }
    Ok(())
}

/// The files that a reference names: by what they are told apart from those that take their place.
#[derive(PartialEq, Eq)]
struct Files(Vec<Option<File>>);

#[derive(PartialEq, Eq)]
struct File {
    is_regular: bool,
    /// Device, inode, size; time of modification and of change with their nanoseconds.
    numbers: [u64; 3],
    times: [i64; 4],
}

impl Files {
    fn of(reference: &IdentityReference) -> Self {
        let mut files = Vec::new();
        let mut add = |path: &Path| files.push(path.metadata().ok().as_ref().map(File::from));
        if let Some(KeyReference::File(path)) = &reference.key {
            add(path);
        }
        if let Some(CertificateReference::File(path)) = &reference.certificate {
            add(path);
        }
        if let Some(path) = &reference.intermediates {
            add(path);
        }
        Self(files)
    }

    fn are_regular(&self) -> bool {
        self.0.iter().flatten().all(|file| file.is_regular)
    }
}

impl From<&Metadata> for File {
    fn from(file: &Metadata) -> Self {
        Self {
            is_regular: file.is_file(),
            numbers: [file.dev(), file.ino(), file.size()],
            times: [file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()],
        }
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(error) => error.fmt(f),
            Self::Client(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SessionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Identity(error) => error.source(),
            Self::Client(error) => error.source(),
        }
    }
}

impl From<IdentityError> for SessionError {
    fn from(error: IdentityError) -> Self {
        Self::Identity(error)
    }
}

impl From<ClientError> for SessionError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}
