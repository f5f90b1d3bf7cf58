//! Keys in a TPM 2.0: this build recognises their references and has no backend for them yet.

mod handle;

use super::device::{Device, DeviceOptions};
use super::error::{KeyError, KeyErrorKind};
pub use handle::Handle;

/// The TPM that holds a persistent key.
pub fn open_handle(handle: &Handle, _options: &DeviceOptions) -> Result<Box<dyn Device>, KeyError> {
    Err(without_tpm(&handle.to_string()))
}

/// The TPM that can load a `TSS2 PRIVATE KEY` PEM; `name` is what messages call the file.
pub fn open_key_file(name: &str, _pem: &[u8], _options: &DeviceOptions) -> Result<Box<dyn Device>, KeyError> {
    Err(without_tpm(name))
}

fn without_tpm(what: &str) -> KeyError {
    KeyError::new(KeyErrorKind::Unsupported, format!("{what} names a TPM key, and this build has no TPM support"))
}
