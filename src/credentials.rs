//! The credentials that CreateSession vends. Knows no output format.

use std::fmt;

use zeroize::Zeroizing;

/// Temporary AWS credentials. The secret parts are wiped on drop and do not show in Debug.
#[derive(Clone)]
pub struct Credentials {
    /// Names the credentials; not secret.
    pub access_key_id: String,
    /// Secret.
    pub secret_access_key: Zeroizing<String>,
    /// Secret.
    pub session_token: Zeroizing<String>,
    /// RFC 3339, exactly as the service wrote it.
    pub expiration: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("expiration", &self.expiration)
            .finish_non_exhaustive()
    }
}
