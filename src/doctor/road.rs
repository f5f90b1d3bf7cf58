//! The road that is walked: what flags and configuration file say of it.

use std::path::PathBuf;

use crate::config::Location;
use crate::identity::IdentityReference;
use crate::key::DeviceOptions;
use crate::rolesanywhere::{ClientOptions, CreateSession};

/// What the person named: the road that is walked.
pub struct Road {
    /// Where the configuration file is.
    pub configuration: Option<Location>,
    /// Key and certificate.
    pub identity: Named<IdentityReference>,
    /// How devices are opened.
    pub devices: DeviceOptions,
    /// A file with the trust anchor's certificates, where it is at hand.
    pub trust_anchor: Option<PathBuf>,
    /// What is asked for.
    pub session: Named<CreateSession>,
    /// How the service is reached.
    pub client: Named<ClientOptions>,
    /// Make one signature.
    pub sign: bool,
    /// From so many days before its end, a certificate is to be renewed.
    pub renew_from: u32,
}

/// What flags and configuration file say of something.
pub enum Named<T> {
    /// It is this.
    This(T),
    /// They say nothing.
    Nothing,
    /// They cannot be understood; why not is for who read them to say.
    Misread,
}

impl<T> Named<T> {
    pub(super) fn this(&self) -> Option<&T> {
        match self {
            Self::This(this) => Some(this),
            Self::Nothing | Self::Misread => None,
        }
    }
}
