//! The registry of opened devices: turns a reference into a device, and loads a PKCS#11 module once. The only file that
//! knows every backend.

use std::io;
use std::path::Path;

use super::approach::{Approach, Landmark, Stage};
use super::certificate_store::CertificateStore;
use super::device::{Device, DeviceOptions};
use super::error::{Advice, KeyError, KeyErrorKind};
use super::file::KeyFile;
use super::generation::{GeneratedKey, NewKey};
use super::inventory::{Abilities, Inventory, KeyEntry};
use super::pkcs11::{Modules, Uri};
use super::reference::KeyReference;
use super::tpm::{self, NewKeyPlace};
use crate::files::{self, Access, FileContent};

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
            KeyFile::Software(_) if self.options.tpm.expected => Err(KeyError::new(
                KeyErrorKind::Reference,
                format!("wanted a key in a TPM (TSS2 PRIVATE KEY) in {}, found a private key itself", path.display()),
            )
            .with_advice(Advice::NameBy { flag: "--private-key", reference: path.display().to_string() })),
            KeyFile::Software(key) => Ok(Box::new(key)),
            KeyFile::Tss2(pem) => tpm::open_key_file(&path.display().to_string(), &pem, &self.options),
        }
    }

    /// The token that this URI selects, for its certificates or its keys.
    pub fn open_token(&mut self, uri: &Uri) -> Result<Box<dyn Device>, KeyError> {
        self.modules.open(uri)
    }

    /// Lists the tokens that this URI selects. Loads the module; fails where it shows no such token.
    pub fn inventory(&mut self, uri: &Uri) -> Result<Box<dyn Inventory>, KeyError> {
        self.modules.inventory(uri)
    }

    /// Lists the TPM that the options name. No command is sent before it is asked.
    pub fn tpm_inventory(&self) -> Box<dyn Inventory> {
        tpm::inventory(&self.options)
    }

    /// The TPM that holds the key of a handle or a key file, as a flag or the environment names it: a TCTI string or a path. `None`
    /// where nothing names one, and for any other key. No command is sent.
    pub fn named_tpm(&self, reference: &KeyReference) -> Result<Option<String>, KeyError> {
        let is_in_tpm = match reference {
            KeyReference::Pkcs11(_) => false,
            KeyReference::Handle(_) => true,
            KeyReference::File(path) => matches!(KeyFile::from_content(path, &files::read(path)?)?, KeyFile::Tss2(_)),
        };
        Ok(if is_in_tpm { tpm::named(&self.options) } else { None })
    }

    /// What its device shows of the key that this reference selects, without a login of its own; `None` where that is nothing, or the
    /// key is in a file.
    pub fn entry(&mut self, reference: &KeyReference) -> Result<Option<KeyEntry>, KeyError> {
        let (contents, name) = match reference {
            KeyReference::Pkcs11(uri) => (self.inventory(uri)?.contents(false)?, None),
            KeyReference::Handle(handle) => (self.tpm_inventory().contents(false)?, Some(handle.to_string())),
            KeyReference::File(_) => return Ok(None),
        };
        let mut keys = contents.into_iter().flat_map(|contents| contents.keys);
        Ok(keys.find(|key| !key.public_only && name.as_ref().is_none_or(|name| *name == key.reference)))
    }

    /// What the tokens that this URI selects can do.
    pub fn abilities(&mut self, uri: &Uri) -> Result<Box<dyn Abilities>, KeyError> {
        self.modules.abilities(uri)
    }

    /// Stores certificates beside the keys that this URI selects, on the one token that it selects.
    pub fn certificate_store(&mut self, uri: &Uri) -> Result<Box<dyn CertificateStore>, KeyError> {
        self.modules.certificate_store(uri)
    }

    /// Makes a key pair that cannot be exported, where and under the name that the reference says: on a token (label and CKA_ID from
    /// the URI, a random CKA_ID where it has none), at a TPM's handle, or under a TPM's key in a file that is made with mode 0600.
    ///
    /// Fails with [`KeyErrorKind::Taken`] where something has the name, and before anything is made then.
    pub fn generate(&mut self, reference: &KeyReference, new: &NewKey) -> Result<GeneratedKey, KeyError> {
        match reference {
            KeyReference::Pkcs11(uri) => self.modules.key_generation(uri)?.generate(new),
            KeyReference::Handle(handle) => {
                let made = tpm::generate(new, NewKeyPlace::Persistent(*handle), &self.options)?;
                Ok(GeneratedKey { reference: handle.to_string(), public_key: made.public_key })
            }
            KeyReference::File(path) => self.generate_in_file(path, new),
        }
    }

    /// A TPM keeps nothing of a key in a file, so that nothing is to be taken out where the file cannot be written.
    fn generate_in_file(&self, path: &Path, new: &NewKey) -> Result<GeneratedKey, KeyError> {
        let taken = || {
            let message = format!("{} is there already, and nothing is overwritten: name another file", path.display());
            KeyError::new(KeyErrorKind::Taken, message)
        };
        if path.symlink_metadata().is_ok() {
            return Err(taken());
        }
        let made = tpm::generate(new, NewKeyPlace::File, &self.options)?;
        let pem = made.pem.unwrap_or_default();
        files::create(path, pem.as_bytes(), 0o600).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => taken(),
            kind => {
                let kind = match kind {
                    io::ErrorKind::PermissionDenied => KeyErrorKind::Permission,
                    _ => KeyErrorKind::Unreachable,
                };
                KeyError::new(kind, format!("cannot write the key file {}: {error}", path.display()))
            }
        })?;
        Ok(GeneratedKey { reference: path.display().to_string(), public_key: made.public_key })
    }

    /// How far the way to the device that holds this key goes. A file that can be read only once is not looked into.
    pub fn approach(&mut self, reference: &KeyReference) -> Approach {
        match reference {
            KeyReference::Pkcs11(uri) => self.modules.approach(uri),
            KeyReference::Handle(_) => {
                let mut approach = Approach::default();
                tpm::approach_handle(&mut approach, &self.options);
                approach
            }
            KeyReference::File(path) => self.approach_file(path),
        }
    }

    fn approach_file(&mut self, path: &Path) -> Approach {
        let mut approach = Approach::along(&[Stage::File]);
        let access = Access::of(path).ok();
        if access.as_ref().is_some_and(|access| !access.is_regular) {
            approach.go(Stage::File, Ok((Landmark::SoftwareKey(access), ())));
            return approach;
        }
        let opened =
            files::read(path).map_err(KeyError::from).and_then(|content| KeyFile::from_content(path, &content));
        let landmark = opened.and_then(|file| match file {
            KeyFile::Software(_) => Ok((Landmark::SoftwareKey(access), None)),
            KeyFile::Tss2(pem) => {
                let file = tpm::summary(&path.display().to_string(), &pem)?;
                Ok((Landmark::TpmKeyFile { access, attributes: file.attributes }, Some(file)))
            }
        });
        if let Some(Some(file)) = approach.go(Stage::File, landmark) {
            tpm::approach_key_file(&mut approach, &file, &self.options);
        }
        approach
    }

    /// Ends the sessions and finalises each module once. Called after the output is written, because modules crash here.
    pub fn close(self) {
        self.modules.close();
    }
}
