//! Key files made by the openssl command, and the signatures that a CA makes with them.

use std::path::{Path, PathBuf};

use super::command::{Run, tool};
use super::{Folder, text};

/// A kind of key pair, for files and tokens alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Ec256,
    Ec384,
    Ec521,
    Rsa2048,
    /// A size that Roles Anywhere does not take.
    Rsa1024,
    /// An algorithm that Roles Anywhere does not take.
    Ed25519,
    /// A curve that Roles Anywhere does not take.
    Secp256k1,
}

impl Key {
    /// The kinds that Roles Anywhere takes.
    pub const SUPPORTED: [Self; 4] = [Self::Ec256, Self::Ec384, Self::Ec521, Self::Rsa2048];

    fn genpkey(self) -> &'static [&'static str] {
        match self {
            Self::Ec256 => &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            Self::Ec384 => &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
            Self::Ec521 => &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"],
            Self::Rsa2048 => &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            Self::Rsa1024 => &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
            Self::Ed25519 => &["-algorithm", "ED25519"],
            Self::Secp256k1 => &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"],
        }
    }
}

/// A private key in a file: PKCS#8 PEM, and copies in other formats as wanted.
#[derive(Clone, Debug)]
pub struct KeyFile {
    pub kind: Key,
    path: PathBuf,
    public_key: Vec<u8>,
    folder: Folder,
}

impl KeyFile {
    /// A fresh key in a folder of its own.
    pub fn generate(kind: Key) -> Self {
        let folder = Folder::new();
        let path = folder.join("key.pem");
        openssl(["genpkey", "-out", text(&path)].iter().chain(kind.genpkey()).copied());
        let public_key = openssl(["pkey", "-in", text(&path), "-pubout", "-outform", "DER"]);
        Self { kind, path, public_key, folder }
    }

    /// The PKCS#8 PEM file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the file, for files beside it.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// SubjectPublicKeyInfo, DER.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// PKCS#8 DER.
    pub fn pkcs8_der(&self) -> PathBuf {
        self.converted("key.der", &["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"])
    }

    /// PEM in the form before PKCS#8: PKCS#1 for RSA, SEC1 for EC.
    pub fn traditional_pem(&self) -> PathBuf {
        self.converted(
            "key.traditional.pem",
            match self.kind {
                Key::Rsa2048 => &["rsa", "-traditional"],
                _ => &["ec"],
            },
        )
    }

    /// SEC1 PEM of an EC key after its `EC PARAMETERS`, as `openssl ecparam -genkey` writes it.
    pub fn pem_after_parameters(&self) -> PathBuf {
        self.converted("key.parameters.pem", &["ec", "-param_out"])
    }

    /// Encrypted PKCS#8 PEM.
    pub fn encrypted_pem(&self, test_password: &str) -> PathBuf {
        self.converted("key.encrypted.pem", &["pkcs8", "-topk8", "-passout", &format!("pass:{test_password}")])
    }

    fn converted(&self, name: &str, arguments: &[&str]) -> PathBuf {
        let to = self.folder.join(name);
        let paths = ["-in", text(&self.path), "-out", text(&to)];
        openssl(arguments.iter().copied().chain(paths));
        to
    }

    /// A signature over the message: DER for ECDSA, PKCS#1 v1.5 for RSA.
    pub(super) fn sign(&self, hash: Hash, message: &[u8]) -> Vec<u8> {
        let outcome =
            Run::program("openssl").args(["dgst", hash.option(), "-sign"]).arg(&self.path).input(message).run();
        assert!(outcome.status.success(), "{outcome}");
        outcome.stdout
    }
}

/// The hash of a certificate's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    Sha1,
    Sha256,
}

impl Hash {
    const fn option(self) -> &'static str {
        match self {
            Self::Sha1 => "-sha1",
            Self::Sha256 => "-sha256",
        }
    }
}

fn openssl<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    tool("openssl", arguments, Vec::new())
}
