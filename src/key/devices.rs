//! The registry of opened devices: turns a reference into a device, and loads a PKCS#11 module once. The only file that
//! knows every backend.

use std::path::Path;

use super::device::{Device, DeviceOptions};
use super::error::KeyError;
use super::file::KeyFile;
use super::pkcs11::{Modules, Uri};
use super::reference::KeyReference;
use super::tpm;
use crate::files::{self, FileContent};

/// Opens devices and shares what must be shared between them.
pub struct Devices {
    options: DeviceOptions,
    modules: Modules,
}

impl Devices {
    /// No device is touched before it is asked for.
    pub fn new(options: DeviceOptions) -> Self {
        Self { modules: Modules::new(options.clone()), options }
    }

    /// The device that holds this key.
    pub fn open(&mut self, reference: &KeyReference) -> Result<Box<dyn Device>, KeyError> {
        match reference {
            KeyReference::Pkcs11(uri) => self.open_token(uri),
            KeyReference::Handle(handle) => tpm::open_handle(handle, &self.options),
            KeyReference::File(path) => self.open_content(path, &files::read(path)?),
        }
    }

    /// The device for the key in this file's content. A file that holds certificate and key is read once: it may be a pipe,
    /// and it may be replaced between two readings.
    pub fn open_content(&mut self, path: &Path, content: &FileContent) -> Result<Box<dyn Device>, KeyError> {
        match KeyFile::from_content(path, content)? {
            KeyFile::Software(key) => Ok(Box::new(key)),
            KeyFile::Tss2(pem) => tpm::open_key_file(&path.display().to_string(), &pem, &self.options),
        }
    }

    /// The token that this URI selects, for its certificates or its keys.
    pub fn open_token(&mut self, uri: &Uri) -> Result<Box<dyn Device>, KeyError> {
        self.modules.open(uri)
    }

    /// Ends the sessions and finalises each module once. Called after the output is written, because modules crash here.
    pub fn close(self) {
        self.modules.close();
    }
}
