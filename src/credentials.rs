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

impl Credentials {
    /// The first field that is empty, by the name that the service gives it. Credentials with one are not credentials.
    pub fn empty_field(&self) -> Option<&'static str> {
        let fields = [
            ("accessKeyId", self.access_key_id.as_str()),
            ("secretAccessKey", self.secret_access_key.as_str()),
            ("sessionToken", self.session_token.as_str()),
            ("expiration", self.expiration.as_str()),
        ];
        fields.into_iter().find(|(_, value)| value.is_empty()).map(|(name, _)| name)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("expiration", &self.expiration)
            .finish_non_exhaustive()
    }
}
