//! `keyanchor ca`: what it issues, judged by the openssl command and by the sandbox; what it refuses; what it survives.

mod issuing;
mod keys;
mod refusals;
mod revoking;
mod survival;

use std::path::PathBuf;

use serde_json::Value;

use crate::support::command::{Outcome, Run, keyanchor};
use crate::support::key::{Key, KeyFile};
use crate::support::{Folder, text};

/// A folder with an authority in it, by the name `ca`.
struct Scene {
    folder: Folder,
}

impl Scene {
    /// No authority yet.
    fn empty() -> Self {
        Self { folder: Folder::new() }
    }

    /// One with its key in a file.
    fn new() -> Self {
        Self::with(&[])
    }

    /// The same with more arguments of `init`.
    fn with(more: &[&str]) -> Self {
        let scene = Self::empty();
        scene.run("init", &["--subject", "CN=Test Root,O=Example"]).args(more).run().succeeds();
        scene
    }

    /// One with an intermediate.
    fn with_intermediate() -> Self {
        Self::with(&["--intermediate-subject", "CN=Test Clients,O=Example"])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A file of the authority.
    fn file(&self, name: &str) -> PathBuf {
        self.folder.join("ca").join(name)
    }

    fn run(&self, verb: &str, arguments: &[&str]) -> Run {
        keyanchor(["ca", verb, "--ca", text(&self.path("ca"))]).args(arguments)
    }

    /// A certificate for a fresh key in a file; gives the file of the certificate.
    #[track_caller]
    fn issue(&self, name: &str, more: &[&str]) -> PathBuf {
        self.issue_for(&KeyFile::generate(Key::Ec256), name, more)
    }

    /// The same for this key.
    #[track_caller]
    fn issue_for(&self, key: &KeyFile, name: &str, more: &[&str]) -> PathBuf {
        let subject = format!("CN={name},O=Example");
        let outcome = self.run("issue", &["--subject", &subject, "--private-key", text(key.path())]).args(more).run();
        let to = self.folder.write(format!("{name}.pem"), outcome.succeeds().text());
        assert!(outcome.stderr.contains(&format!("issued {subject}")), "{outcome}");
        to
    }

    /// Signs the CRL of the root.
    #[track_caller]
    fn crls_of_root(&self) {
        self.run("crl", &["--issuer", "root"]).run().succeeds();
    }

    /// Signs CRLs of every issuer.
    #[track_caller]
    fn crls(&self) {
        self.crls_of_root();
        if self.file("intermediate.pem").exists() {
            self.run("crl", &[]).run().succeeds();
        }
    }

    /// What `openssl verify` says of a certificate with every CRL there is: the whole chain is checked, strictly.
    fn verified(&self, certificate: &std::path::Path) -> Outcome {
        let mut run =
            Run::program("openssl").args(["verify", "-x509_strict", "-crl_check_all", "-purpose", "sslclient"]);
        for (flag, file) in [
            ("-CAfile", "root.pem"),
            ("-CRLfile", "root.crl"),
            ("-untrusted", "intermediate.pem"),
            ("-CRLfile", "intermediate.crl"),
        ] {
            if self.file(file).exists() {
                run = run.arg(flag).arg(self.file(file));
            }
        }
        run.arg(certificate).run()
    }

    /// What was issued, as `list --json` says.
    #[track_caller]
    fn listed(&self) -> Vec<Value> {
        let listed = self.run("list", &["--json"]).run();
        listed.succeeds().json().as_array().unwrap().clone()
    }
}

/// The serial number as openssl says it.
#[track_caller]
fn serial_of(certificate: &std::path::Path) -> String {
    let said = crate::support::openssl(&["x509", "-in", text(certificate), "-noout", "-serial"]);
    said.trim().strip_prefix("serial=").unwrap().to_owned()
}
