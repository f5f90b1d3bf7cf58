//! The build without TPM support: recognises references to TPM keys and says what is missing.

mod handle;
mod name;

use super::device::{Device, DeviceOptions};
use super::error::{KeyError, KeyErrorKind};
pub use handle::Handle;
pub use name::Name;

/// Fails: this build has no TPM support.
pub fn open_handle(handle: &Handle, _options: &DeviceOptions) -> Result<Box<dyn Device>, KeyError> {
    Err(without_tpm(&handle.to_string()))
}

/// Fails: this build has no TPM support.
pub fn open_key_file(name: &str, _pem: &[u8], _options: &DeviceOptions) -> Result<Box<dyn Device>, KeyError> {
    Err(without_tpm(name))
}

/// There is no library to keep silent.
pub fn silence() {}

fn without_tpm(what: &str) -> KeyError {
    KeyError::new(
        KeyErrorKind::Unsupported,
        format!("{what} is a TPM key, and this build has no TPM support (its feature tpm was left out)"),
    )
}
