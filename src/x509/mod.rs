//! X.509 certificates: reading, making, chains, and the requirements of Roles Anywhere. Does not know where keys live.

mod alternative_name;
pub mod assessment;
pub mod build;
mod certificate;
mod chain;
mod error;
mod name;
mod pem;
mod printable;
mod request;
pub mod requirements;
mod serial;
pub mod session_tags;
mod signature;
mod syntax;
#[cfg(test)]
pub(crate) mod test_pki;

pub use alternative_name::AlternativeName;
pub use certificate::Certificate;
pub use chain::{Chain, Lookup};
pub use error::{CertificateError, CertificateErrorKind};
pub use name::{Attribute, Name};
pub use pem::{CertificateFile, read_certificates, read_intermediates};
pub use printable::printable;
pub use request::CertificateRequest;
pub use serial::SerialNumber;
pub use signature::{SignatureAlgorithm, SignatureHash, Verification};
pub use syntax::SyntaxError;
