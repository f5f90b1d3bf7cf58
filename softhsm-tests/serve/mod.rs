//! `serve` and `env` through the binary. Here is the scene: a service that vends, a key, a running server and who asks it.

mod activation;
mod commands;
mod documents;
mod flood;
mod life;
mod link_local;
mod long_life;
mod sdks;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::command::{Run, Running, keyanchor};
use crate::support::key::{Key, KeyFile};
use crate::support::pki::{Ca, Certificate};
use crate::support::sandbox::{ARNS, Sandbox};
use crate::support::{Folder, text, until};

pub const LISTING: &str = "/latest/meta-data/iam/security-credentials/";

pub struct Scene {
    pub ca: Ca,
    pub leaf: Certificate,
    pub key: KeyFile,
    pub sandbox: Sandbox,
    pub folder: Folder,
}

impl Scene {
    pub fn new() -> Self {
        Self::with(&[])
    }

    pub fn with(more: &[&str]) -> Self {
        let ca = Ca::root("Root");
        let (leaf, key) = ca.leaf_with_key("host", Key::Ec256);
        let sandbox = Sandbox::trusting_with(&ca, more);
        Self { ca, leaf, key, sandbox, folder: Folder::new() }
    }

    pub fn command(&self) -> Run {
        self.command_without_port().args(["--port", "0"])
    }

    pub fn command_without_port(&self) -> Run {
        let certificate = self.leaf.pem_path();
        let files = ["--certificate", text(&certificate), "--private-key", text(self.key.path())];
        self.sandbox.command("serve", files)
    }

    pub fn serve(&self, arguments: &[&str]) -> Server {
        Server::start(self.command().args(arguments))
    }

    pub fn sessions(&self) -> usize {
        self.sandbox.requests("/sessions").len()
    }

    /// A configuration file with this identity, whose values the flags would otherwise give, and with what follows.
    pub fn configuration(&self, names: &[&str], more: &str) -> PathBuf {
        let (certificate, key) = (self.leaf.pem_path(), self.key.path());
        let identity = |name: &&str| {
            format!(
                "[identity.{name}]\ncertificate = '{}'\nkey = '{}'\ntrust-anchor-arn = '{}'\nprofile-arn = '{}'\n\
                 role-arn = 'arn:aws:iam::111122223333:role/{name}'\nendpoint = '{}'\n",
                certificate.display(),
                key.display(),
                ARNS[1],
                ARNS[3],
                self.sandbox.endpoint()
            )
        };
        let identities: String = names.iter().map(identity).collect();
        self.folder.write("config.toml", identities + more)
    }

    pub fn serve_configured(&self, configuration: &Path, arguments: &[&str]) -> Run {
        keyanchor(["serve", "--port", "0", "--ca-bundle", text(self.sandbox.ca()), "--config", text(configuration)])
            .args(arguments)
    }
}

/// A running `serve` that has said where it listens.
pub struct Server {
    pub running: Running,
    said: PathBuf,
    pub client: Client,
    _folder: Folder,
}

impl Server {
    /// Its stderr goes to a file, so that it can be read while it runs.
    pub fn start(run: Run) -> Self {
        let folder = Folder::new();
        let said = folder.join("stderr");
        let running = run.stderr_to(&said).spawn();
        let mut address = None;
        until("the server's endpoint", || {
            let line = fs::read_to_string(&said).unwrap_or_default();
            let line = line.lines().find_map(|line| line.split("AWS_EC2_METADATA_SERVICE_ENDPOINT=http://").nth(1));
            address = line.and_then(|line| line.split('"').next()?.parse().ok());
            address.is_some()
        });
        Self { running, said, client: Client(address.unwrap()), _folder: folder }
    }

    pub fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }

    pub fn reload(&self) {
        self.running.signal(Signal::HUP);
    }

    /// KiB in memory.
    pub fn memory(&self) -> i64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.running.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// How many files and connections are open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.running.id())).unwrap().count()
    }

    /// SIGTERM: 0 within two seconds.
    #[track_caller]
    pub fn end(self) -> String {
        let started = Instant::now();
        self.running.signal(Signal::TERM);
        self.running.wait().ends_with(0);
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        let said = fs::read_to_string(&self.said).unwrap();
        assert!(!said.contains("panicked") && !said.contains("sandbox-not-a-secret"), "{said}");
        said
    }
}

/// Asks a server as SDKs do.
#[derive(Clone, Copy)]
pub struct Client(pub SocketAddr);

impl Client {
    pub fn url(self, path: &str) -> String {
        format!("http://{}{path}", self.0)
    }

    pub fn ask(self, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        ask(self.0, method, path, headers)
    }

    pub fn token(self) -> String {
        let (status, token) =
            self.ask("PUT", "/latest/api/token", &[("X-aws-ec2-metadata-token-ttl-seconds", "21600")]);
        assert_eq!(status, 200, "{token}");
        token
    }

    pub fn document(self, role: &str) -> (u16, String) {
        self.ask("GET", &format!("{LISTING}{role}"), &[("X-aws-ec2-metadata-token", &self.token())])
    }

    /// The access key id that IMDS has for a role.
    #[track_caller]
    pub fn key_id(self, role: &str) -> String {
        let (status, document) = self.document(role);
        assert_eq!(status, 200, "{document}");
        key_id(&document)
    }

    pub fn container(self, token: &str) -> (u16, String) {
        self.ask("GET", "/v1/credentials", &[("Authorization", token)])
    }
}

impl Deref for Server {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

pub fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[track_caller]
pub fn key_id(document: &str) -> String {
    let document: serde_json::Value = serde_json::from_str(document).unwrap();
    document["AccessKeyId"].as_str().unwrap_or_else(|| panic!("{document}")).to_owned()
}
