//! Keys and certificates on PKCS#11 tokens.

mod uri;

use super::device::{Device, DeviceOptions};
use super::error::{KeyError, KeyErrorKind};
pub use uri::Uri;

/// The loaded modules of this process: each is loaded once, found by its real path.
pub struct Modules {
    _options: DeviceOptions,
}

impl Modules {
    /// None loaded yet.
    pub fn new(options: DeviceOptions) -> Self {
        Self { _options: options }
    }

    /// The token that the URI selects.
    pub fn open(&mut self, _uri: &Uri) -> Result<Box<dyn Device>, KeyError> {
        Err(KeyError::new(KeyErrorKind::Unsupported, "skeleton"))
    }

    /// Finalises each module once.
    pub fn close(self) {}
}
