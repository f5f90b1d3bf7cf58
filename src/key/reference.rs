//! References: what a person writes to name a key or a certificate. Parsed, printable, without secrets in print.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::error::KeyError;
use super::pkcs11::Uri;
use super::tpm::Handle;

/// Names a private key.
#[derive(Clone, Debug)]
pub enum KeyReference {
    /// A `pkcs11:` URI.
    Pkcs11(Uri),
    /// A persistent key in a TPM, `handle:0x81000101`.
    Handle(Handle),
    /// A file: what kind of key it holds is decided by its content.
    File(PathBuf),
}

impl FromStr for KeyReference {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if Uri::is_one(text) {
            text.parse().map(Self::Pkcs11)
        } else if Handle::is_one(text) {
            text.parse().map(Self::Handle)
        } else {
            Ok(Self::File(text.into()))
        }
    }
}

impl fmt::Display for KeyReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pkcs11(uri) => uri.fmt(f),
            Self::Handle(handle) => handle.fmt(f),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Names a certificate.
#[derive(Clone, Debug)]
pub enum CertificateReference {
    /// A `pkcs11:` URI.
    Pkcs11(Uri),
    /// A file of PEM certificates, the leaf first.
    File(PathBuf),
}

impl FromStr for CertificateReference {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if Uri::is_one(text) { text.parse().map(Self::Pkcs11) } else { Ok(Self::File(text.into())) }
    }
}

impl fmt::Display for CertificateReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pkcs11(uri) => uri.fmt(f),
            Self::File(path) => path.display().fmt(f),
        }
    }
}
