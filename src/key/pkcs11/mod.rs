//! Keys and certificates on PKCS#11 tokens: the loaded modules, and the handles on the tokens in them. Knows no X.509.
//!
//! A module is loaded once per process and lives on one thread with its sessions; devices and keys are handles that send it
//! work and wait with a limit.

mod activity;
mod api;
mod approach;
mod dialect;
mod error;
mod generate;
mod info;
mod inventory;
mod key;
mod locate;
mod login;
mod module;
mod object;
mod p11_kit;
mod pair;
mod raw;
mod record;
mod search;
mod sign;
mod store;
mod token;
mod uri;
mod uri_syntax;
mod worker;
mod write;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::certificate_store::CertificateStore;
use super::device::{Device, DeviceOptions, Listing, SigningKey, StoredCertificate, StoredKey, WantedKey};
use super::error::{KeyError, KeyErrorKind};
use super::generation::KeyGeneration;
use super::inventory::{Abilities, Inventory};
use super::public::PublicKey;
use key::TokenKey;
use locate::Located;
use search::ListedKey;
pub use uri::Uri;
use worker::Worker;

/// The loaded modules of this process: each is loaded once, found by its real path.
pub struct Modules {
    options: DeviceOptions,
    workers: Vec<(PathBuf, Arc<Worker>)>,
    warned: bool,
}

impl Modules {
    /// None loaded yet.
    pub fn new(options: DeviceOptions) -> Self {
        Self { options, workers: Vec::new(), warned: false }
    }

    /// The tokens that the URI selects; at least one. Loads the module where it is not loaded, and enumerates its slots once.
    pub fn open(&mut self, uri: &Uri) -> Result<Box<dyn Device>, KeyError> {
        Ok(Box::new(self.tokens(uri)?))
    }

    /// The same, to list what they hold.
    pub fn inventory(&mut self, uri: &Uri) -> Result<Box<dyn Inventory>, KeyError> {
        Ok(Box::new(self.tokens(uri)?))
    }

    /// The same, to ask what they can do.
    pub fn abilities(&mut self, uri: &Uri) -> Result<Box<dyn Abilities>, KeyError> {
        Ok(Box::new(self.tokens(uri)?))
    }

    /// The same, to make a key on the only one of them.
    pub fn key_generation(&mut self, uri: &Uri) -> Result<Box<dyn KeyGeneration>, KeyError> {
        Ok(Box::new(self.tokens(uri)?))
    }

    /// The same, to store certificates on the only one of them.
    pub fn certificate_store(&mut self, uri: &Uri) -> Result<Box<dyn CertificateStore>, KeyError> {
        Ok(Box::new(self.tokens(uri)?))
    }

    fn tokens(&mut self, uri: &Uri) -> Result<TokenDevice, KeyError> {
        known_attributes(uri)?;
        self.warn_of_visible_pin(uri);
        let worker = self.worker(locate::module(&self.options.pkcs11, &uri.module)?)?;
        let admitted = uri.clone();
        worker.run(move |module| module.admit(&admitted))?;
        Ok(TokenDevice { worker, uri: uri.clone(), gave_all: AtomicBool::new(false), listed: Mutex::default() })
    }

    /// Finalises each module once, and does not wait for one that is stuck.
    pub fn close(self) {
        for (_, worker) in &self.workers {
            worker.end();
        }
    }

    fn worker(&mut self, module: Located) -> Result<Arc<Worker>, KeyError> {
        if let Some((_, worker)) = self.workers.iter().find(|(loaded, _)| *loaded == module.real) {
            return Ok(Arc::clone(worker));
        }
        let worker = Arc::new(Worker::start(module.path, self.options.clone())?);
        self.workers.push((module.real, Arc::clone(&worker)));
        Ok(worker)
    }

    fn warn_of_visible_pin(&mut self, uri: &Uri) {
        if uri.holds_pin() && !self.warned {
            self.warned = true;
            log::warn!(
                "a pin-value on a command line is visible to every user of this machine: pin-source=file:… is not"
            );
        }
    }
}

/// Refuses a URI that matches nothing because of an attribute that nobody knows; a slip of the hand is told from a vendor's own.
fn known_attributes(uri: &Uri) -> Result<(), KeyError> {
    let Some(name) = uri.unknown.first() else { return Ok(()) };
    let message = format!("{uri} matches nothing: its path has the attribute '{name}', which RFC 7512 does not define");
    Err(match uri::attribute_like(name) {
        Some(known) => KeyError::new(KeyErrorKind::Reference, format!("{message}; did you mean '{known}'?")),
        None => KeyError::new(KeyErrorKind::NotFound, message),
    })
}

/// The tokens of one module that one URI selects.
struct TokenDevice {
    worker: Arc<Worker>,
    uri: Uri,
    /// Every certificate on these tokens has been given out: no search finds another.
    gave_all: AtomicBool,
    /// What the last listing of keys read, for the one opening that follows it.
    listed: Mutex<Vec<ListedKey>>,
}

impl Device for TokenDevice {
    fn open_key(&self, wanted: &WantedKey) -> Result<Box<dyn SigningKey>, KeyError> {
        let (uri, wanted) = (self.uri.clone(), wanted.clone());
        let listed = std::mem::take(&mut *locked(&self.listed));
        let found = self.worker.run(move |module| search::private_key(module, &uri, &wanted, listed))?;
        Ok(Box::new(TokenKey::new(Arc::clone(&self.worker), self.uri.clone(), found)))
    }

    fn listing(&self) -> Option<&dyn Listing> {
        Some(self)
    }
}

impl Listing for TokenDevice {
    fn certificates(&self) -> Result<Vec<StoredCertificate>, KeyError> {
        let uri = self.uri.clone();
        let found = self.worker.run(move |module| search::certificates(module, &uri))?;
        self.gave_all.store(self.uri.selects_every_object(), Ordering::Relaxed);
        Ok(found)
    }

    fn issuers(&self, subject: &[u8]) -> Result<Vec<StoredCertificate>, KeyError> {
        if self.gave_all.load(Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        let (uri, subject) = (self.uri.clone(), subject.to_vec());
        self.worker.run(move |module| search::issuers(module, &uri, &subject))
    }

    fn keys(&self, certified: &[PublicKey]) -> Result<Vec<StoredKey>, KeyError> {
        let (uri, certified) = (self.uri.clone(), certified.to_vec());
        let listed = self.worker.run(move |module| search::keys(module, &uri, &certified))?;
        let stored = listed.iter().map(|key| key.stored.clone()).collect();
        *locked(&self.listed) = listed;
        Ok(stored)
    }
}

/// A panic elsewhere leaves nothing half-changed in what is locked here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
