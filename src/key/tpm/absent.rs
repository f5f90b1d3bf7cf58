//! The build without TPM support: recognises references to TPM keys and says what is missing.

mod handle;
mod name;

use super::approach::{Approach, Stage};
use super::device::{Device, DeviceOptions};
use super::error::{KeyError, KeyErrorKind};
use super::generation::NewKey;
use super::inventory::{Contents, Inventory, TpmKeyAttributes};
use super::public::PublicKey;
pub use handle::Handle;
pub use name::Name;

/// Fails: this build has no TPM support.
pub fn open_handle(handle: &Handle, _options: &DeviceOptions) -> Result<Box<dyn Device>, KeyError> {
    Err(without_tpm(&handle.to_string()))
}

/// None: this build has no TPM support.
pub fn named(_options: &DeviceOptions) -> Option<String> {
    None
}

/// Fails: this build has no TPM support.
pub fn open_key_file(name: &str, _pem: &[u8], _options: &DeviceOptions) -> Result<Box<dyn Device>, KeyError> {
    Err(without_tpm(name))
}

/// Where a new key would be kept.
#[derive(Clone, Copy, Debug)]
pub enum NewKeyPlace {
    /// In a file.
    File,
    /// In the TPM.
    Persistent(Handle),
}

/// A key that no build without TPM support makes.
#[derive(Clone, Debug)]
pub struct MadeKey {
    /// Its public half.
    pub public_key: PublicKey,
    /// Its file.
    pub pem: Option<String>,
}

/// Fails: this build has no TPM support.
pub fn generate(_new: &NewKey, place: NewKeyPlace, _options: &DeviceOptions) -> Result<MadeKey, KeyError> {
    Err(match place {
        NewKeyPlace::File => without_tpm("the new key"),
        NewKeyPlace::Persistent(handle) => without_tpm(&handle.to_string()),
    })
}

/// Lists nothing: this build has no TPM support.
pub fn inventory(_options: &DeviceOptions) -> Box<dyn Inventory> {
    Box::new(Absent)
}

struct Absent;

impl Inventory for Absent {
    fn contents(&self, _log_in: bool) -> Result<Vec<Contents>, KeyError> {
        Err(KeyError::new(KeyErrorKind::Unsupported, "this build has no TPM support (its feature tpm was left out)"))
    }
}

/// Goes nowhere: this build has no TPM support.
pub fn approach_handle(approach: &mut Approach, _options: &DeviceOptions) {
    approach.go::<()>(Stage::Library, Err(without_tpm("the handle")));
}

/// What no build without TPM support knows.
pub struct KeyFileSummary {
    /// Attributes of a public area.
    pub attributes: TpmKeyAttributes,
}

/// Fails: this build has no TPM support.
pub fn summary(name: &str, _pem: &[u8]) -> Result<KeyFileSummary, KeyError> {
    Err(without_tpm(name))
}

/// Goes nowhere: this build has no TPM support.
pub fn approach_key_file(_approach: &mut Approach, _file: &KeyFileSummary, _options: &DeviceOptions) {}

/// There is no library to keep silent.
pub fn silence() {}

fn without_tpm(what: &str) -> KeyError {
    KeyError::new(
        KeyErrorKind::Unsupported,
        format!("{what} is a TPM key, and this build has no TPM support (its feature tpm was left out)"),
    )
}
