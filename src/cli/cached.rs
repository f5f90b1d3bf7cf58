//! Credentials by way of the cache: what they are kept under, and going on without it where there is none.

use std::env;

use jiff::Timestamp;

use super::Failure;
use super::identity_settings::IdentitySettings;
use super::vending::Role;
use crate::credentials::Credentials;
use crate::vend::Vend;
use crate::vend::cache::{self, Cache, EntryName};

/// Kept credentials, or new ones that are then kept. No device is opened for kept ones.
pub fn credentials(settings: &IdentitySettings<'_>, role: &mut Role) -> Result<Credentials, Failure> {
    let mut parameters = settings.parameters()?;
    parameters.extend(role.parameters());
    let name = EntryName::of(parameters.iter().map(|(name, value)| (*name, value.as_str())));
    let key = parameters.first().map_or("", |(_, value)| value.as_str());
    let label = format!("{} with {key}", role.arn());
    match open() {
        Some(cache) => Ok(cache.obtain(&name, &label, Timestamp::now, || Ok(role.vend()?.credentials))?),
        None => Ok(role.vend()?.credentials),
    }
}

/// Where the cache is.
pub fn directory() -> Option<std::path::PathBuf> {
    cache::directory(env::var_os("XDG_RUNTIME_DIR"), env::var_os("XDG_STATE_HOME"), env::var_os("HOME"))
}

/// A cache that cannot be used costs a signature, not the credentials.
fn open() -> Option<Cache> {
    let Some(directory) = directory() else {
        log::warn!("the cache is not used: neither XDG_RUNTIME_DIR nor XDG_STATE_HOME nor HOME is set");
        return None;
    };
    Cache::open(directory).inspect_err(|error| log::warn!("the cache is not used: {error}")).ok()
}
