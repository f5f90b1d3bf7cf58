//! References: what a person writes to name a key or a certificate. Parsed, printable, without secrets in print.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::error::{KeyError, KeyErrorKind};
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
            file(text).map(Self::File)
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
        if Uri::is_one(text) {
            return text.parse().map(Self::Pkcs11);
        }
        if Handle::is_one(text) {
            let message = format!("wanted a certificate in a file or on a token, found the TPM handle {text}");
            return Err(KeyError::new(
                KeyErrorKind::Reference,
                format!("{message}: a TPM keeps keys, no certificates"),
            ));
        }
        file(text).map(Self::File)
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

/// A file's name. A URI whose scheme is missing or mistyped would pass for one, and be repeated in messages with its PIN.
fn file(text: &str) -> Result<PathBuf, KeyError> {
    match text.to_ascii_lowercase().contains("pin-value") {
        true => Err(KeyError::new(
            KeyErrorKind::Reference,
            "wanted a file or a URI that begins with pkcs11:, found a pin-value without that beginning",
        )),
        false => Ok(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_names_no_certificate() {
        let error = "handle:0x81000101".parse::<CertificateReference>().unwrap_err();
        assert_eq!(error.kind(), KeyErrorKind::Reference);
        assert!(error.to_string().ends_with("a TPM keeps keys, no certificates"), "{error}");
    }

    #[test]
    fn a_pin_behind_a_mistyped_scheme_is_no_file_and_is_not_repeated() {
        for text in ["pkcs1:token=a?pin-value=test-secret", "token=a;PIN-VALUE=test-secret"] {
            let key = text.parse::<KeyReference>().unwrap_err();
            let certificate = text.parse::<CertificateReference>().unwrap_err();
            for error in [key, certificate] {
                assert_eq!(error.kind(), KeyErrorKind::Reference);
                assert!(!error.to_string().contains("test-secret"), "{error}");
            }
        }
    }
}
