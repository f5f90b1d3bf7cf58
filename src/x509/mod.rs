//! X.509 certificates: reading, chains, and the requirements of Roles Anywhere. Does not know where keys live.

mod certificate;

pub use certificate::{Certificate, CertificateError};
