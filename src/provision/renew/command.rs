//! A command that has a person's own CA certify a key: it reads the request and writes the certificate, both PEM.

use std::error::Error;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::files::{blocks, pem};
use crate::x509::{Certificate, CertificateError};

/// Most that is read of its output: a leaf and its issuers have a few kilobytes.
const LONGEST_OUTPUT: u64 = 1 << 20;

/// How often it is looked whether it has ended, after it closed its output.
const POLL: Duration = Duration::from_millis(5);

/// A line for `sh -c`: what people write in such a place has pipes and variables.
#[derive(Clone, Debug)]
pub struct CaCommand {
    /// The line.
    pub line: String,
    /// Variables that it gets.
    pub variables: Vec<(&'static str, String)>,
    /// Variables that it does not get: they hold secrets of this program.
    pub hidden: Vec<String>,
    /// How long it may take.
    pub limit: Duration,
}

/// Why a command gave no certificate.
#[derive(Debug)]
#[non_exhaustive]
pub enum CommandError {
    /// It could not be started, fed or read.
    Io(io::Error),
    /// It failed.
    Ended(ExitStatus),
    /// It was ended when its time was over.
    Timeout(Duration),
    /// It wrote more than anybody can use.
    TooMuch,
    /// What it wrote holds no certificate that can be read.
    NoCertificate(String),
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_) => f.write_str("cannot run the CA's command"),
            Self::Ended(status) => write!(f, "wanted a certificate from the CA's command, it ended with {status}"),
            Self::Timeout(limit) => write!(
                f,
                "wanted a certificate from the CA's command within {} s, it was still at work and was ended",
                limit.as_secs_f32()
            ),
            Self::TooMuch => {
                write!(f, "wanted at most {LONGEST_OUTPUT} octets from the CA's command, it wrote more")
            }
            Self::NoCertificate(found) => {
                write!(f, "wanted a certificate in PEM on the stdout of the CA's command, found {found}")
            }
        }
    }
}

impl Error for CommandError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl CaCommand {
    /// Gives the request to the command's stdin and reads every certificate from its stdout. Its stderr is ours.
    pub fn run(&self, request: &[u8]) -> Result<Vec<Certificate>, CommandError> {
        let deadline = Instant::now() + self.limit;
        let mut running = Running::start(self)?;
        let output = running.exchange(pem("CERTIFICATE REQUEST", request), deadline, self.limit)?;
        let status = running.wait(deadline, self.limit)?;
        if !status.success() {
            return Err(CommandError::Ended(status));
        }
        certificates(&output)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(&self.line).stdin(Stdio::piped()).stdout(Stdio::piped());
        for name in &self.hidden {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A command at work; ended where it is dropped before.
struct Running {
    child: Child,
    /// Whether it leads a process group of its own.
    is_leader: bool,
    has_ended: bool,
}

impl Running {
    /// On a terminal it stays in our group: it may ask there, and an interrupt reaches it. Elsewhere a group of its own can be ended
    /// with everything that it started.
    fn start(command: &CaCommand) -> io::Result<Self> {
        let is_leader = std::fs::File::open("/dev/tty").is_err();
        let mut start = command.command();
        if is_leader {
            start.process_group(0);
        }
        Ok(Self { child: start.spawn()?, is_leader, has_ended: false })
    }

    /// Writes and reads in threads: one that reads nothing, or writes without end, must not hold us up.
    fn exchange(&mut self, request: String, deadline: Instant, limit: Duration) -> Result<Vec<u8>, CommandError> {
        let (stdin, stdout) = (self.child.stdin.take(), self.child.stdout.take());
        let (sender, output) = mpsc::channel();
        thread::Builder::new().name("CA command".to_owned()).spawn(move || {
            if let Some(mut stdin) = stdin {
                // A command that does not want the request is no failure.
                let _ = stdin.write_all(request.as_bytes());
            }
        })?;
        thread::Builder::new().name("CA output".to_owned()).spawn(move || {
            let mut octets = Vec::new();
            let read = stdout.map_or(Ok(0), |stdout| stdout.take(LONGEST_OUTPUT + 1).read_to_end(&mut octets));
            // Nobody listens any more after the limit.
            let _ = sender.send(read.map(|_| octets));
        })?;
        let left = deadline.saturating_duration_since(Instant::now());
        let octets = output.recv_timeout(left).map_err(|_| CommandError::Timeout(limit))??;
        if octets.len() as u64 > LONGEST_OUTPUT { Err(CommandError::TooMuch) } else { Ok(octets) }
    }

    fn wait(&mut self, deadline: Instant, limit: Duration) -> Result<ExitStatus, CommandError> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.has_ended = true;
                return Ok(status);
            }
            if Instant::now() >= deadline {
                return Err(CommandError::Timeout(limit));
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        // Its number is still its own: nobody has waited for it.
        let pid = Pid::from_child(&self.child);
        let _ = if self.is_leader { kill_process_group(pid, Signal::KILL) } else { kill_process(pid, Signal::KILL) };
        let _ = self.child.wait();
    }
}

fn certificates(output: &[u8]) -> Result<Vec<Certificate>, CommandError> {
    let nothing = |found: String| CommandError::NoCertificate(found);
    let blocks = blocks(output).map_err(|error| nothing(error.to_string()))?;
    let mut certificates = Vec::new();
    for block in blocks.iter().filter(|block| matches!(block.label, "CERTIFICATE" | "X509 CERTIFICATE")) {
        let der = block.decode().map_err(|error| nothing(error.to_string()))?;
        certificates.push(Certificate::from_der(&der).map_err(|error: CertificateError| nothing(error.to_string()))?);
    }
    match (certificates.is_empty(), output.is_empty(), blocks.first()) {
        (false, ..) => Ok(certificates),
        (true, true, _) => Err(nothing("nothing".to_owned())),
        (true, false, Some(block)) => Err(nothing(format!("a {} block", block.label))),
        (true, false, None) => Err(nothing("text without PEM in it".to_owned())),
    }
}
