//! A running `keyanchor sandbox`, on a port and in a folder of its own.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

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
