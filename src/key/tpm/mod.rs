//! Keys in a TPM 2.0: `TSS2 PRIVATE KEY` files and persistent handles, through tpm2-tss, which is loaded at run time.
//!
//! `keyfile`, `name`, `public`, `policy` and `scheme` are pure. `reach` finds the TPM, `approach` tells how far the way to it
//! goes; `line` and `wire` carry commands to it; `tcti`, `library` and `symbols` are the edges to tpm2-tss; `context` is an open TPM,
//! with which `parent`, `sign`, `generate` and `inventory` work on the thread of `worker`; `key` joins it all to the key layer's
//! traits.

mod approach;
mod context;
mod error;
mod generate;
mod handle;
mod inventory;
mod key;
mod keyfile;
mod library;
mod line;
mod marshal;
mod name;
mod parent;
mod policy;
mod public;
mod reach;
mod refusal;
mod scheme;
mod sign;
mod symbols;
mod tcti;
mod wire;
mod worker;

use super::device::{Device, DeviceOptions};
use super::error::KeyError;
pub use approach::{KeyFileSummary, approach_handle, approach_key_file, summary};
pub use generate::{MadeKey, NewKeyPlace, generate};
pub use handle::Handle;
pub use inventory::inventory;
pub use library::silence;
pub use name::Name;

use keyfile::TpmKeyFile;

/// The TPM that holds a persistent key. No command is sent before the key is opened.
pub fn open_handle(handle: &Handle, options: &DeviceOptions) -> Result<Box<dyn Device>, KeyError> {
    Ok(Box::new(key::TpmDevice::at_handle(*handle, options)))
}

/// The TCTI string or path of the TPM, where a flag or the environment names one.
pub fn named(options: &DeviceOptions) -> Option<String> {
    reach::Reach::named(&options.tpm)
}

/// The TPM that can load a `TSS2 PRIVATE KEY` PEM; `name` is what messages call the file. No command is sent before the
/// first signature: the file tells the public half.
pub fn open_key_file(name: &str, pem: &[u8], options: &DeviceOptions) -> Result<Box<dyn Device>, KeyError> {
    let file = TpmKeyFile::from_pem(pem).map_err(|error| error.context(name))?;
    if let Some(description) = &file.description {
        log::info!("{name}: {}", description.escape_debug());
    }
    Ok(Box::new(key::TpmDevice::with_file(name, file, options)))
}
