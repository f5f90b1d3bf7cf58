//! Keys in software TPMs: what other people's tools made, and what we make.

mod bad_input;
mod commands;
mod conduct;
mod conformance;
mod generate;
mod handles;
mod key_files;
mod passwords;
mod policies;

use std::path::Path;

use keyanchor::key::{
    DeviceOptions, HashAlgorithm, KeyError, Pkcs11Options, SecretKind, SigningInput, SigningKey, WantedKey, tpm,
};

use crate::support::conformance::device_options;
use crate::support::der::tagged as der;

/// Attributes of a signing key that lockout does not stop.
const SIGNING: &str = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign";
/// The same under dictionary-attack protection.
const PROTECTED: &str = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign";

/// How a test uses a TPM.
struct Bench {
    options: DeviceOptions,
}

impl Bench {
    /// The TPM by this TCTI string.
    fn at(tcti: impl Into<String>) -> Self {
        Self::with_secrets(tcti, &[])
    }

    /// The same, with these secrets on the command line.
    fn with_secrets(tcti: impl Into<String>, given: &[(SecretKind, &str)]) -> Self {
        let mut options = device_options(given, Pkcs11Options::default());
        options.tpm.tcti = Some(tcti.into());
        Self { options }
    }

    fn handle(&self, handle: &str) -> Result<Box<dyn SigningKey>, KeyError> {
        tpm::open_handle(&handle.parse().unwrap(), &self.options)?.open_key(&WantedKey::default())
    }

    fn file(&self, path: &Path) -> Result<Box<dyn SigningKey>, KeyError> {
        self.pem(&std::fs::read(path).unwrap())
    }

    fn pem(&self, pem: &[u8]) -> Result<Box<dyn SigningKey>, KeyError> {
        tpm::open_key_file("key.pem", pem, &self.options)?.open_key(&WantedKey::default())
    }
}

/// Signs a message and checks the signature in software.
fn signs(key: Result<Box<dyn SigningKey>, KeyError>) -> Result<(), KeyError> {
    signs_with(key, HashAlgorithm::Sha256)
}

fn signs_with(key: Result<Box<dyn SigningKey>, KeyError>, hash: HashAlgorithm) -> Result<(), KeyError> {
    let key = key?;
    let input = SigningInput::new(b"test message".to_vec(), hash);
    let signature = key.sign(&input)?;
    key.public_key().unwrap().verify(&input, &signature)
}

/// A `TSS2 PRIVATE KEY` PEM from the files of tpm2_create, with these optional fields and parent in DER.
fn pem(optional: &[u8], parent: &[u8], public: &[u8], private: &[u8]) -> Vec<u8> {
    pem_of_kind(3, optional, parent, public, private)
}

fn pem_of_kind(kind: u8, optional: &[u8], parent: &[u8], public: &[u8], private: &[u8]) -> Vec<u8> {
    use base64::Engine;
    let body = [
        vec![0x06, 0x06, 0x67, 0x81, 0x05, 0x0a, 0x01, kind],
        optional.to_vec(),
        parent.to_vec(),
        der(0x04, public),
        der(0x04, private),
    ];
    let armour = base64::engine::general_purpose::STANDARD.encode(der(0x30, &body.concat()));
    format!("-----BEGIN TSS2 PRIVATE KEY-----\n{armour}\n-----END TSS2 PRIVATE KEY-----\n").into_bytes()
}

/// emptyAuth TRUE.
const NO_PASSWORD: &[u8] = &[0xa0, 0x03, 0x01, 0x01, 0xff];
/// Parents as DER INTEGERs.
const SRK: &[u8] = &[0x02, 0x05, 0x00, 0x81, 0x00, 0x00, 0x01];
const OWNER: &[u8] = &[0x02, 0x04, 0x40, 0x00, 0x00, 0x01];
