//! X.509 certificates: reading, chains, and the requirements of Roles Anywhere. Does not know where keys live.

mod certificate;
mod chain;
mod error;
mod name;
mod pem;
pub mod requirements;
mod serial;
mod signature;
#[cfg(test)]
pub(crate) mod test_pki;

pub use certificate::Certificate;
pub use chain::{Chain, Lookup, MAX_CHAIN};
pub use error::{CertificateError, CertificateErrorKind};
pub use name::Name;
pub use pem::{CertificateFile, read_certificates, read_intermediates};
pub use serial::SerialNumber;
pub use signature::{SignatureAlgorithm, SignatureHash, Verification};
