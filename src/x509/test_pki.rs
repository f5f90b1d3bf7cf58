//! Certificates for unit tests, made by the openssl command line: an implementation that shares nothing with this one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::certificate::Certificate;
use crate::files;

/// Extensions of an end-entity certificate that Roles Anywhere takes.
pub const LEAF: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n\
    subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
/// Extensions of a CA certificate.
pub const CA: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n\
    authorityKeyIdentifier=keyid\n";

/// A folder of keys and certificates.
pub struct Pki {
    folder: tempfile::TempDir,
    made: AtomicUsize,
}

/// A certificate with its private key, both in files.
#[derive(Clone)]
pub struct Issued {
    pub path: PathBuf,
    pub key: PathBuf,
}

/// An issuer.
pub struct Issuer<'a> {
    pki: &'a Pki,
    pub certificate: Issued,
}

/// What is to be issued.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// As `openssl req -subj` takes it.
    pub subject: &'a str,
    /// An extension section.
    pub extensions: &'a str,
    /// Further words of `openssl x509 -req`, such as `-days 5`.
    pub options: &'a str,
    /// A key to be certified again.
    pub key: Option<&'a Path>,
}

impl Order<'_> {
    /// A leaf that Roles Anywhere takes.
    pub fn leaf(subject: &str) -> Order<'_> {
        Order { subject, extensions: LEAF, options: "", key: None }
    }

    /// A CA.
    pub fn ca(subject: &str) -> Order<'_> {
        Order { subject, extensions: CA, options: "", key: None }
    }
}

impl Pki {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), made: AtomicUsize::new(0) }
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A P-256 key.
    pub fn ec_key(&self) -> PathBuf {
        self.new_key("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $OUT")
    }

    /// A key that this command writes to `$OUT`.
    pub fn new_key(&self, command: &str) -> PathBuf {
        let path = self.next("key");
        self.run(command, &[("OUT", &path)]);
        path
    }

    /// A root whose common name is this.
    pub fn root(&self, name: &str) -> Issuer<'_> {
        self.root_with(&Order::ca(&format!("/CN={name}")))
    }

    /// A self-signed certificate.
    pub fn root_with(&self, order: &Order<'_>) -> Issuer<'_> {
        let key = order.key.map_or_else(|| self.ec_key(), Path::to_path_buf);
        Issuer { pki: self, certificate: self.sign(order, &key, &format!("-signkey {}", key.display())) }
    }

    fn sign(&self, order: &Order<'_>, key: &Path, signer: &str) -> Issued {
        let (request, extensions, path) = (self.next("csr"), self.next("ext"), self.next("crt"));
        fs::write(&extensions, order.extensions).unwrap();
        let files: [(&str, &Path); 4] = [("KEY", key), ("CSR", &request), ("EXT", &extensions), ("OUT", &path)];
        self.run(&format!("openssl req -new -utf8 -key $KEY -subj '{}' -out $CSR", order.subject), &files);
        let options = if order.options.contains("-days") {
            order.options.to_owned()
        } else {
            format!("-days 30 {}", order.options)
        };
        self.run(&format!("openssl x509 -req -in $CSR {signer} -extfile $EXT -out $OUT {options}"), &files);
        Issued { path, key: key.to_path_buf() }
    }

    /// Runs a command of the shell with these paths in its environment.
    pub fn run(&self, command: &str, paths: &[(&str, &Path)]) {
        let output = Command::new("sh").args(["-c", command]).envs(paths.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The PEM of a certificate's key.
    pub fn key_pem(&self, of: &Issued) -> String {
        fs::read_to_string(&of.key).unwrap()
    }

    fn next(&self, extension: &str) -> PathBuf {
        self.path(&format!("{}.{extension}", self.made.fetch_add(1, Ordering::Relaxed)))
    }
}

impl<'a> Issuer<'a> {
    /// A leaf whose common name is this.
    pub fn leaf(&self, name: &str) -> Issued {
        self.issue(&Order::leaf(&format!("/CN={name}")))
    }

    /// An intermediate whose common name is this.
    pub fn intermediate(&self, name: &str) -> Issuer<'a> {
        self.issuer(&Order::ca(&format!("/CN={name}")))
    }

    /// An intermediate.
    pub fn issuer(&self, order: &Order<'_>) -> Issuer<'a> {
        Issuer { pki: self.pki, certificate: self.issue(order) }
    }

    /// Any certificate.
    pub fn issue(&self, order: &Order<'_>) -> Issued {
        let key = order.key.map_or_else(|| self.pki.ec_key(), Path::to_path_buf);
        let Issued { path, key: issuer_key } = &self.certificate;
        let serial = self.pki.made.fetch_add(1, Ordering::Relaxed) + 1000;
        let serial =
            if order.options.contains("-set_serial") { String::new() } else { format!("-set_serial {serial}") };
        self.pki.sign(order, &key, &format!("-CA {} -CAkey {} {serial}", path.display(), issuer_key.display()))
    }
}

impl Issued {
    pub fn pem(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    pub fn der(&self) -> Vec<u8> {
        files::blocks(self.pem().as_bytes()).unwrap()[0].decode().unwrap().to_vec()
    }

    pub fn read(&self) -> Certificate {
        Certificate::from_der(&self.der()).unwrap()
    }
}
