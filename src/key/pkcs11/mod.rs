//! Keys and certificates on PKCS#11 tokens: the loaded modules, and the handles on the tokens in them. Knows no X.509.
//!
//! A module is loaded once per process and lives on one thread with its sessions; devices and keys are handles that send it
//! work and wait with a limit.

mod error;
mod info;
mod key;
mod locate;
mod login;
mod module;
mod object;
mod raw;
mod search;
mod sign;
mod token;
mod uri;
mod uri_syntax;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;

use super::device::{Device, DeviceOptions, Listing, SigningKey, StoredCertificate, StoredKey, WantedKey};
use super::error::{KeyError, KeyErrorKind};
use key::TokenKey;
use locate::Located;
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
        if let Some(name) = uri.unknown.first() {
            return Err(KeyError::new(
                KeyErrorKind::NotFound,
                format!("{uri} matches nothing: its path has the attribute '{name}', which RFC 7512 does not define"),
            ));
        }
        self.warn_of_visible_pin(uri);
        let worker = self.worker(locate::module(&self.options.pkcs11, &uri.module)?)?;
        let admitted = uri.clone();
        worker.run(move |module| module.admit(&admitted))?;
        Ok(Box::new(TokenDevice { worker, uri: uri.clone() }))
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

/// The tokens of one module that one URI selects.
struct TokenDevice {
    worker: Arc<Worker>,
    uri: Uri,
}

impl Device for TokenDevice {
    fn open_key(&self, wanted: &WantedKey) -> Result<Box<dyn SigningKey>, KeyError> {
        let (uri, wanted) = (self.uri.clone(), wanted.clone());
        let found = self.worker.run(move |module| search::private_key(module, &uri, &wanted))?;
        Ok(Box::new(TokenKey::new(Arc::clone(&self.worker), self.uri.clone(), found)))
    }

    fn listing(&self) -> Option<&dyn Listing> {
        Some(self)
    }
}

impl Listing for TokenDevice {
    fn certificates(&self) -> Result<Vec<StoredCertificate>, KeyError> {
        let uri = self.uri.clone();
        self.worker.run(move |module| search::certificates(module, &uri))
    }

    fn issuers(&self, subject: &[u8]) -> Result<Vec<StoredCertificate>, KeyError> {
        let (uri, subject) = (self.uri.clone(), subject.to_vec());
        self.worker.run(move |module| search::issuers(module, &uri, &subject))
    }

    fn keys(&self) -> Result<Vec<StoredKey>, KeyError> {
        let uri = self.uri.clone();
        self.worker.run(move |module| search::keys(module, &uri))
    }
}
