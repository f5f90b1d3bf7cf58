//! SoftHSM tokens in a folder of their own, made with other people's tools: softhsm2-util and pkcs11-tool.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::command::tool;
use super::der::{bit_string, oid, sequence};
use super::key::Key;
use super::pki::Certificate;
use super::{Environment, Folder, find_file, variable};

/// The user PIN of every token.
pub const TEST_USER_PIN: &str = "test-pin-4711";
/// The security officer's PIN of every token.
pub const TEST_SO_PIN: &str = "test-so-pin-0815";

/// A PIN that no token has.
pub const WRONG_TEST_PIN: &str = "wrong-pin-0000";

/// SoftHSM with its own configuration and tokens; beside them it always shows one uninitialised slot.
///
/// A folder belongs to one test: SoftHSM rewrites a token at each login, so that tests would disturb each other.
#[derive(Clone, Debug)]
pub struct SoftHsm {
    folder: Folder,
}

impl SoftHsm {
    /// No token yet.
    pub fn new() -> Self {
        let folder = Folder::new();
        std::fs::create_dir(folder.join("tokens")).unwrap();
        let tokens = folder.join("tokens").display().to_string();
        folder.write("softhsm2.conf", format!("directories.tokendir = {tokens}\nlog.level = ERROR\n"));
        Self { folder }
    }

    /// The PKCS#11 module.
    pub fn module() -> PathBuf {
        find_file(
            "libsofthsm2.so",
            "softhsm2",
            &[
                "/usr/lib/softhsm/libsofthsm2.so",
                "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
                "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
                "/usr/lib64/pkcs11/libsofthsm2.so",
                "/usr/local/lib/softhsm/libsofthsm2.so",
            ],
        )
    }

    /// The configuration file, which names the folder of the tokens.
    pub fn configuration(&self) -> PathBuf {
        self.folder.join("softhsm2.conf")
    }

    /// The folder that holds configuration and tokens.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What a program needs to find these tokens.
    pub fn env(&self) -> Environment {
        vec![variable("SOFTHSM2_CONF", self.configuration())]
    }

    /// A new token. Several may have the same label.
    pub fn token(&self, label: &str) -> Token {
        let pins = ["--pin", TEST_USER_PIN, "--so-pin", TEST_SO_PIN];
        let said = tool("softhsm2-util", ["--init-token", "--free", "--label", label].iter().chain(&pins), self.env());
        let said = String::from_utf8(said).unwrap();
        let slot = said.split_whitespace().next_back().and_then(|word| word.parse().ok());
        let slot = slot.unwrap_or_else(|| panic!("softhsm2-util named no slot: {said}"));
        Token { hsm: self.clone(), label: label.to_owned(), slot }
    }
}

/// A token with user PIN [`TEST_USER_PIN`]. Object IDs are given in hexadecimal.
#[derive(Clone, Debug)]
pub struct Token {
    hsm: SoftHsm,
    pub label: String,
    /// The slot where SoftHSM shows it, as long as the token exists.
    pub slot: u64,
}

impl Token {
    /// The SoftHSM that it is of.
    pub fn hsm(&self) -> &SoftHsm {
        &self.hsm
    }

    /// See [`SoftHsm::env`].
    pub fn env(&self) -> Environment {
        self.hsm.env()
    }

    /// Makes a key pair that can never be extracted.
    pub fn generate(&self, kind: Key, id: &str, label: &str) {
        self.generate_with(kind, id, label, &[]);
    }

    /// As [`generate`](Self::generate), and each signature wants a context login (CKA_ALWAYS_AUTHENTICATE).
    pub fn generate_always_authenticate(&self, kind: Key, id: &str, label: &str) {
        self.generate_with(kind, id, label, &["--always-auth"]);
    }

    /// As [`generate`](Self::generate), and the key may be wrapped and leave the token.
    pub fn generate_extractable(&self, kind: Key, id: &str, label: &str) {
        self.generate_with(kind, id, label, &["--extractable"]);
    }

    fn generate_with(&self, kind: Key, id: &str, label: &str, more: &[&str]) {
        let key_type = match kind {
            Key::Ec256 => "EC:prime256v1",
            Key::Ec384 => "EC:secp384r1",
            Key::Ec521 => "EC:secp521r1",
            Key::Rsa2048 => "RSA:2048",
            Key::Rsa1024 => "RSA:1024",
            Key::Ed25519 => "EC:edwards25519",
            Key::Secp256k1 => "EC:secp256k1",
        };
        let make = ["--keypairgen", "--key-type", key_type, "--id", id, "--label", label, "--usage-sign"];
        self.tool(make.iter().chain(more));
    }

    /// A key pair, and a leaf for it under the CA on the same token, with the same ID and label. Gives the leaf.
    pub fn identity(&self, kind: Key, id: &str, label: &str, ca: &super::pki::Ca) -> Certificate {
        self.generate(kind, id, label);
        let leaf = ca.leaf(label, &self.public_key(id));
        self.import_certificate(&leaf, id, label);
        leaf
    }

    /// SubjectPublicKeyInfo, DER, of the public key object.
    pub fn public_key(&self, id: &str) -> Vec<u8> {
        let listing = String::from_utf8(self.tool(["--list-objects", "--type", "pubkey", "--id", id])).unwrap();
        // OpenSC 0.23 lists every public key, whatever the ID.
        let is_it =
            |object: &&str| object.lines().any(|line| line.trim().strip_prefix("ID:").map(str::trim) == Some(id));
        let listing = listing.split("Public Key Object;").find(is_it).unwrap_or_default();
        // OpenSC 0.23 cannot export keys on P-384 and P-521, but shows their attributes.
        match (listed(listing, "EC_PARAMS:"), listed(listing, "EC_POINT:")) {
            (Some(parameters), Some(point)) => ec_public_key(&parameters, &point),
            _ => {
                let file = self.hsm.folder.join(format!("public-{}-{id}.der", self.slot));
                let read = ["--read-object", "--type", "pubkey", "--id", id, "--output-file", file.to_str().unwrap()];
                self.tool(read);
                std::fs::read(file).unwrap()
            }
        }
    }

    /// Stores a certificate. An empty ID or label is left out.
    pub fn import_certificate(&self, certificate: &Certificate, id: &str, label: &str) {
        self.write(&certificate.der_path(), "cert", id, label, &[]);
    }

    /// Stores both halves of a key from a PKCS#8 DER file; the private one cannot be read again.
    pub fn import_key(&self, pkcs8_der: &Path, id: &str, label: &str) {
        self.import_private_key(pkcs8_der, id, label);
        let public = self.hsm.folder.join(format!("import-{}-{id}.der", self.slot));
        let convert = ["pkey", "-inform", "DER", "-in", pkcs8_der.to_str().unwrap(), "-pubout", "-outform", "DER"];
        tool("openssl", convert.iter().chain(&["-out", public.to_str().unwrap()]), Vec::new());
        self.write(&public, "pubkey", id, label, &[]);
    }

    /// As [`import_key`](Self::import_key), without the public half.
    pub fn import_private_key(&self, pkcs8_der: &Path, id: &str, label: &str) {
        self.write(pkcs8_der, "privkey", id, label, &["--sensitive", "--usage-sign"]);
    }

    /// Takes the public key object away, as tokens do that show private keys only.
    pub fn delete_public(&self, id: &str) {
        self.delete("pubkey", id);
    }

    pub fn delete_private(&self, id: &str) {
        self.delete("privkey", id);
    }

    pub fn delete_certificate(&self, id: &str) {
        self.delete("cert", id);
    }

    /// What pkcs11-tool says of the token's objects after login.
    pub fn listing(&self) -> String {
        String::from_utf8(self.tool(["--list-objects"])).unwrap()
    }

    fn write(&self, file: &Path, object: &str, id: &str, label: &str, more: &[&str]) {
        let mut arguments = vec!["--write-object", file.to_str().unwrap(), "--type", object];
        for (option, value) in [("--id", id), ("--label", label)] {
            if !value.is_empty() {
                arguments.extend([option, value]);
            }
        }
        self.tool(arguments.iter().chain(more));
    }

    fn delete(&self, object: &str, id: &str) {
        self.tool(["--delete-object", "--type", object, "--id", id]);
    }

    /// pkcs11-tool on this token, logged in as the user.
    fn tool<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Vec<u8> {
        let module = SoftHsm::module();
        let slot = self.slot.to_string();
        let here = ["--module", module.to_str().unwrap(), "--slot", &slot, "--login", "--pin", TEST_USER_PIN];
        let all = here.iter().map(|word| word.into()).chain(arguments.into_iter().map(|word| word.as_ref().to_owned()));
        tool("pkcs11-tool", all, self.env())
    }
}

/// The octets of an attribute that pkcs11-tool lists in hexadecimal.
fn listed(listing: &str, attribute: &str) -> Option<Vec<u8>> {
    let hex = listing.lines().find_map(|line| line.trim().strip_prefix(attribute))?.trim();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect()
}

/// SubjectPublicKeyInfo (RFC 5480 §2) from CKA_EC_PARAMS and CKA_EC_POINT, which is an OCTET STRING around the point.
fn ec_public_key(parameters: &[u8], wrapped_point: &[u8]) -> Vec<u8> {
    const EC_PUBLIC_KEY: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    // The one length octet, or 81 and the length of a P-521 point.
    let header = if wrapped_point[1] == 0x81 { 3 } else { 2 };
    let algorithm = sequence(&[&oid(&EC_PUBLIC_KEY), parameters]);
    sequence(&[&algorithm, &bit_string(&wrapped_point[header..])])
}
