//! Private keys in files: told by content, read from PEM, signed with in this process. The same traits and checks as a device.

mod decode;
mod generate;
mod software;

use std::path::Path;

use super::error::{Advice, KeyError, KeyErrorKind};
use crate::files::{self, Block, FileContent, FileError, FileErrorKind, Format, PemError, shell_word, unused_name};
pub use generate::generate_pem;
pub use software::SoftwareKey;

/// What a key file holds, told by its content.
pub enum KeyFile {
    /// A key that this process signs with itself.
    Software(SoftwareKey),
    /// A `TSS2 PRIVATE KEY` PEM, from its `BEGIN` line to its `END` line, for the TPM backend.
    Tss2(Vec<u8>),
}

impl KeyFile {
    /// From the file's content; `path` is what messages and references call it. The first private key in it counts;
    /// certificates and parameters beside it are passed over.
    pub fn from_content(path: &Path, content: &FileContent) -> Result<Self, KeyError> {
        let blocks = files::blocks(&content.octets).map_err(|error| damaged(path, &error))?;
        let Some(block) = blocks.iter().find(|block| block.label.ends_with("PRIVATE KEY")) else {
            return Err(no_key(path, &content.octets, &blocks));
        };
        if block.label == "TSS2 PRIVATE KEY" {
            return Ok(Self::Tss2(block.text.to_vec()));
        }
        if let Some((found, command)) = conversion(path, block) {
            return Err(unsupported(path, &found).with_advice(Advice::Convert { command }));
        }
        warn_of_readers(path, content.mode);
        let der = block.decode().map_err(|error| damaged(path, &error))?;
        let (pair, public_key) = decode::key(block.label, &der).map_err(|error| error.context(path.display()))?;
        Ok(Self::Software(SoftwareKey::new(pair, public_key, path)))
    }
}

impl From<FileError> for KeyError {
    fn from(error: FileError) -> Self {
        let kind = match error.kind() {
            FileErrorKind::Forbidden => KeyErrorKind::Permission,
            FileErrorKind::Missing | FileErrorKind::Unreadable => KeyErrorKind::Unreachable,
        };
        let failure = Self::new(kind, error.to_string());
        match error.inspection() {
            Some(command) => failure.with_advice(Advice::Run { command }),
            None => failure,
        }
    }
}

/// A form of key that is known and not read here: what was found, and the command that makes an unencrypted PKCS#8 PEM of it.
fn conversion(path: &Path, block: &Block<'_>) -> Option<(String, String)> {
    let from = shell_word(&path.display().to_string());
    let to = || unused_name(path, "pem");
    match block.label {
        "OPENSSH PRIVATE KEY" => Some((
            "wanted a private key in PKCS#8, SEC1 or PKCS#1, found an OpenSSH key".to_owned(),
            format!("cp {from} {0} && ssh-keygen -p -N '' -m PKCS8 -f {0}", to()),
        )),
        label if block.encrypted || label == "ENCRYPTED PRIVATE KEY" => Some((
            format!("wanted an unencrypted private key, found an encrypted one ({label})"),
            format!("openssl pkey -in {from} -out {}", to()),
        )),
        _ => None,
    }
}

fn no_key(path: &Path, octets: &[u8], blocks: &[Block<'_>]) -> KeyError {
    if blocks.is_empty() {
        let format = Format::of(octets);
        let error = unsupported(path, &format!("wanted a private key in PEM, found {format}"));
        return match format.conversion(path) {
            Some(command) => error.with_advice(Advice::Convert { command }),
            None => error,
        };
    }
    let labels: Vec<_> = blocks.iter().map(|block| block.label).collect();
    let message = format!("{}: wanted a private key, found only {}", path.display(), labels.join(", "));
    let error = KeyError::new(KeyErrorKind::NotFound, message);
    match labels.contains(&"CERTIFICATE") {
        true => error.with_advice(Advice::NameKey),
        false => error,
    }
}

fn unsupported(path: &Path, found: &str) -> KeyError {
    KeyError::new(KeyErrorKind::Unsupported, format!("{}: {found}", path.display()))
}

fn damaged(path: &Path, error: &PemError) -> KeyError {
    unsupported(path, &error.to_string())
}

/// A key that everyone on the machine can read is as good as published. A group may read it: that is how services share one.
fn warn_of_readers(path: &Path, mode: Option<u32>) {
    if let Some(mode) = mode.filter(|mode| mode & 0o006 != 0) {
        log::warn!(
            "every account on this machine can read or change the private key in {} (mode {mode:04o})",
            path.display()
        );
    }
}

#[cfg(test)]
mod tests;
