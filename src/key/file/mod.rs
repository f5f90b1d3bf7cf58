//! Private keys in files: skeleton.

use std::path::Path;

use super::device::{Device, Listing, SigningKey, WantedKey};
use super::error::{KeyError, KeyErrorKind};

/// What a key file holds, told by its content.
pub enum KeyFile {
    /// A key that this process signs with itself.
    Software(SoftwareKey),
    /// A `TSS2 PRIVATE KEY` PEM, for the TPM backend.
    Tss2(Vec<u8>),
}

impl KeyFile {
    /// Reads the file.
    pub fn read(_path: &Path) -> Result<Self, KeyError> {
        Err(KeyError::new(KeyErrorKind::Unsupported, "skeleton"))
    }
}

/// An unencrypted private key from a PEM file.
pub struct SoftwareKey;

impl Device for SoftwareKey {
    fn open_key(&self, _wanted: &WantedKey) -> Result<Box<dyn SigningKey>, KeyError> {
        Err(KeyError::new(KeyErrorKind::Unsupported, "skeleton"))
    }
    fn listing(&self) -> Option<&dyn Listing> {
        None
    }
}
