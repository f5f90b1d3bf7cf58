//! A running `keyanchor sandbox`, on a port and in a folder of its own, and credentials that are asked of it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::command::{Outcome, Run, keyanchor};
use super::pki::Ca;

/// What a request names; the service has every trust anchor, profile and role.
pub const ARNS: [&str; 6] = [
    "--trust-anchor-arn",
    "arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/11111111-2222-4333-8444-555555555555",
    "--profile-arn",
    "arn:aws:rolesanywhere:eu-central-1:111122223333:profile/0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f1",
    "--role-arn",
    "arn:aws:iam::111122223333:role/ExampleRole",
];

/// Ends on drop. Its log is kept until then.
pub struct Sandbox {
    child: Child,
    folder: TempDir,
    endpoint: String,
    ca: PathBuf,
}

impl Sandbox {
    /// Starts the service with these arguments and waits until it says that it listens. Panics with its log if it does not.
    pub fn start<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_keyanchor"))
            .arg("sandbox")
            .args(arguments)
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut sandbox = Self { child, folder, endpoint: String::new(), ca: PathBuf::new() };
        sandbox.endpoint = sandbox.announced(&mut stdout, "endpoint: ");
        sandbox.ca = sandbox.announced(&mut stdout, "ca: ").into();
        sandbox
    }

    /// A service that trusts this CA.
    pub fn trusting(ca: &Ca) -> Self {
        Self::trusting_with(ca, &[])
    }

    /// The same with more arguments, such as faults.
    pub fn trusting_with(ca: &Ca, more: &[&str]) -> Self {
        let anchor = ca.certificate.pem_path();
        Self::start(["--trust-anchor", anchor.to_str().unwrap()].iter().chain(more))
    }

    /// `keyanchor credential-process` with all that it needs to ask here, and with these arguments.
    pub fn credential_process<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        self.command("credential-process", arguments)
    }

    /// The same for another command that asks for credentials.
    pub fn command<A: AsRef<OsStr>>(&self, name: &str, arguments: impl IntoIterator<Item = A>) -> Run {
        let here = ["--endpoint", &self.endpoint, "--ca-bundle", self.ca.to_str().unwrap()];
        keyanchor([name]).args(ARNS).args(here).args(arguments)
    }

    /// The line of stdout that begins so.
    fn announced(&self, stdout: &mut BufReader<ChildStdout>, prefix: &str) -> String {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let value =
            line.strip_prefix(prefix).unwrap_or_else(|| panic!("wanted {prefix:?}, found {line:?}\n{}", self.log()));
        value.trim_end().to_owned()
    }

    /// `https://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The PEM file that makes clients trust the endpoint.
    pub fn ca(&self) -> &Path {
        &self.ca
    }

    /// What it has logged. A request's line is written before its answer.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// The log's lines of requests for this path, in order.
    pub fn requests(&self, path: &str) -> Vec<String> {
        let field = format!(" path={path:?} ");
        self.log().lines().filter(|line| line.contains(&field)).map(str::to_owned).collect()
    }

    /// The folder that it was told to use for temporary files; holds the log beside them.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it, and says how many connections were opened in all: a client that was accepted late is counted too.
    pub fn connections(mut self) -> usize {
        self.end_by(Signal::TERM);
        let log = self.log();
        let summary = log.lines().last().unwrap();
        let count = summary.split(' ').find_map(|field| field.strip_prefix("connections="));
        count.unwrap_or_else(|| panic!("no count of connections in {summary:?}")).parse().unwrap()
    }

    /// Sends a signal and waits for the end.
    pub fn end_by(&mut self, signal: Signal) -> ExitStatus {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The credential that a `credential-process` printed.
#[derive(Debug)]
pub struct Printed {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
    pub expiration: String,
}

impl Printed {
    /// Reads stdout, which must hold the document as SDKs want it and nothing else: these members in this order, the version a
    /// number, no line end.
    #[track_caller]
    pub fn by(outcome: &Outcome) -> Self {
        let json = outcome.succeeds().json();
        let text = |name: &str| json[name].as_str().unwrap_or_else(|| panic!("no {name}\n{outcome}")).to_owned();
        let printed = Self {
            access_key_id: text("AccessKeyId"),
            secret_access_key: text("SecretAccessKey"),
            session_token: text("SessionToken"),
            expiration: text("Expiration"),
        };
        let Self { access_key_id, secret_access_key, session_token, expiration } = &printed;
        let document = format!(
            r#"{{"Version":1,"AccessKeyId":"{access_key_id}","SecretAccessKey":"{secret_access_key}","SessionToken":"{session_token}","Expiration":"{expiration}"}}"#
        );
        assert_eq!(outcome.text(), document, "{outcome}");
        assert!(access_key_id.starts_with("ASIASANDBOX"), "{outcome}");
        assert!(secret_access_key.starts_with("sandbox-not-a-secret-"), "{outcome}");
        assert!(session_token.len() > 20 && expiration.ends_with('Z'), "{outcome}");
        printed
    }
}
