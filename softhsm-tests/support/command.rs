//! Runs a program as a person or a script would, in an environment of its own, and never longer than its limit.
//! Knows nothing of tokens: they give their part of the environment.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::terminal::Terminal;
use super::{Environment, Folder};

/// No command of a test runs longer, unless the test says so: a hang is a failure, not the end of the suite.
const LIMIT: Duration = Duration::from_secs(30);

/// Who runs a command that permissions must bind.
const NOBODY: u32 = 65534;

/// The program under test with these arguments.
pub fn keyanchor<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Run {
    Run::program(env!("CARGO_BIN_EXE_keyanchor")).args(arguments)
}

/// A command that will run with nothing in its environment but PATH and a HOME of its own.
#[must_use]
pub struct Run {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Environment,
    input: Vec<u8>,
    limit: Duration,
    user: Option<u32>,
    stderr: Option<PathBuf>,
    stdin: Option<OwnedFd>,
    home: Folder,
}

impl Run {
    /// A program by its path, or by its name in PATH.
    pub fn program(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            input: Vec::new(),
            limit: LIMIT,
            user: None,
            stderr: None,
            stdin: None,
            home: Folder::new(),
        }
    }

    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The part of the environment that a token, a spy or a fault wants.
    pub fn envs(mut self, environment: Environment) -> Self {
        self.environment.extend(environment);
        self
    }

    /// What the command reads from stdin; nothing otherwise.
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// What the command finds as stdin.
    pub fn stdin(mut self, stdin: impl Into<OwnedFd>) -> Self {
        self.stdin = Some(stdin.into());
        self
    }

    /// Writes stderr to a file, which can be read while the command runs; the outcome has none.
    pub fn stderr_to(mut self, file: &Path) -> Self {
        self.stderr = Some(file.to_owned());
        self
    }

    /// Another limit than 30 s.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The folder that is the command's HOME.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs as somebody whom permissions bind: where the tests run as root, as `nobody` and without groups.
    pub fn unprivileged(mut self) -> Self {
        if rustix::process::geteuid().is_root() {
            // The checkout may lie in a folder of root's; the home is where the other user can go.
            if self.program.is_absolute() {
                let copy = self.home.join("program");
                // By cp: a child that another test forks would hold our descriptor of the copy, and the copy be too busy to run.
                tool("cp", [&self.program, &copy], Environment::new());
                self.program = copy;
            }
            std::fs::set_permissions(self.home.path(), PermissionsExt::from_mode(0o711)).unwrap();
            chown(self.home.path(), Some(NOBODY), Some(NOBODY)).unwrap();
            self.user = Some(NOBODY);
        }
        self
    }

    /// Lets signals end the command: a suite that was started in the background of a script hands on that SIGINT is ignored.
    pub fn heeding_signals(self) -> Self {
        self.under("env", &["--default-signal=INT,TERM,HUP"])
    }

    /// Has a shell run it, where this line says `"$@"`.
    pub fn in_shell(self, line: &str) -> Self {
        self.under("sh", &["-c", line, "sh"])
    }

    /// Has another program run it: its name and its own arguments stand before.
    pub fn under(mut self, program: &str, arguments: &[&str]) -> Self {
        let own = std::mem::replace(&mut self.program, program.into());
        let before = arguments.iter().map(OsString::from).chain([own.into_os_string()]);
        self.arguments.splice(..0, before.collect::<Vec<_>>());
        self
    }

    /// The same with a disk of 12 KiB at `disk` in the working directory, for who may mount one.
    pub fn on_small_disk(self, line: &str) -> Option<Self> {
        let mounted = |line| format!("mkdir -p disk && mount -t tmpfs -o size=12k none disk && {line}");
        let unshare = |run: Self| run.under("unshare", &["-m"]);
        let may_mount = unshare(Self::program("true").in_shell(&mounted("true"))).run().status.success();
        may_mount.then(|| unshare(self.in_shell(&mounted(line))))
    }

    /// Runs to the end.
    #[track_caller]
    pub fn run(self) -> Outcome {
        self.spawn().wait()
    }

    /// Starts it, for commands that a signal ends.
    #[track_caller]
    pub fn spawn(mut self) -> Running {
        let mut command = self.command(&self.program, &self.arguments);
        command.process_group(0).stdin(self.stdin.take().map_or_else(Stdio::piped, Stdio::from)).stdout(Stdio::piped());
        command.stderr(self.stderr.as_deref().map_or_else(Stdio::piped, |file| File::create(file).unwrap().into()));
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {}: {error}", self.line()));
        let input = std::mem::take(&mut self.input);
        if let Some(mut stdin) = child.stdin.take() {
            // A thread, since a child that writes before it reads would block both. One that reads nothing is no fault.
            thread::spawn(move || stdin.write_all(&input));
        }
        Running::new(self.line(), self.limit, child, self.home)
    }

    /// Starts it on a terminal: stdin, stderr and /dev/tty are the terminal, stdout is a pipe.
    #[track_caller]
    pub fn on_terminal(self) -> Terminal {
        // setsid(1) makes the terminal the controlling one, which std can only do by unsafe code between fork and exec.
        let run = self.heeding_signals();
        let mut arguments = vec!["--ctty".into(), run.program.clone().into_os_string()];
        arguments.extend(run.arguments.iter().cloned());
        let command = run.command(Path::new("setsid"), &arguments);
        Terminal::spawn(command, run.line(), run.limit, run.home)
    }

    fn command(&self, program: &Path, arguments: &[OsString]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("HOME", self.home.path()).current_dir(self.home.path());
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    fn line(&self) -> String {
        let words = self.arguments.iter().map(|argument| argument.to_string_lossy());
        [self.program.to_string_lossy()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
    }
}

/// A command at work; killed with all its children when it is dropped or its time is over.
pub struct Running {
    line: String,
    deadline: Instant,
    started: Instant,
    child: Child,
    stdout: Option<Receiver<Vec<u8>>>,
    stderr: Option<Receiver<Vec<u8>>>,
    /// What it has said on stderr while it runs.
    said: Arc<Mutex<Vec<u8>>>,
    _home: Folder,
}

impl Running {
    /// Whether it has said this on stderr.
    pub fn has_said(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.said.lock().unwrap()).contains(text)
    }

    pub(super) fn new(line: String, limit: Duration, mut child: Child, home: Folder) -> Self {
        let started = Instant::now();
        let stdout = child.stdout.take().map(|pipe| collect(pipe, Arc::default()));
        let said = Arc::new(Mutex::default());
        let stderr = child.stderr.take().map(|pipe| collect(pipe, Arc::clone(&said)));
        Self { line, deadline: started + limit, started, child, stdout, stderr, said, _home: home }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the command and its children.
    pub fn signal(&self, signal: Signal) {
        let _ = kill_process_group(Pid::from_child(&self.child), signal);
    }

    /// Waits for the end.
    #[track_caller]
    pub fn wait(mut self) -> Outcome {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > self.deadline {
                self.out_of_time();
            }
            thread::sleep(Duration::from_millis(1));
        };
        let took = self.started.elapsed();
        let (stdout, stderr) = (self.collected(true), self.collected(false));
        Outcome { line: self.line.clone(), status, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned(), took }
    }

    #[track_caller]
    fn collected(&mut self, stdout: bool) -> Vec<u8> {
        let Some(pipe) = (if stdout { self.stdout.take() } else { self.stderr.take() }) else { return Vec::new() };
        let left = self.deadline.saturating_duration_since(Instant::now());
        pipe.recv_timeout(left).unwrap_or_else(|_| panic!("{}: a child of it keeps its output open", self.line))
    }

    #[track_caller]
    fn out_of_time(&mut self) -> ! {
        self.signal(Signal::KILL);
        let said = self.stderr.take().and_then(|pipe| pipe.recv_timeout(Duration::from_secs(1)).ok());
        let said = String::from_utf8_lossy(&said.unwrap_or_default()).into_owned();
        panic!("{} did not end within {:?}; its stderr:\n{said}", self.line, self.deadline - self.started)
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Collects to the end, and shows meanwhile what has come.
fn collect(mut pipe: impl Read + Send + 'static, so_far: Arc<Mutex<Vec<u8>>>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = pipe.read(&mut piece) {
            so_far.lock().unwrap().extend(&piece[..length]);
        }
        let _ = sender.send(std::mem::take(&mut *so_far.lock().unwrap()));
    });
    receiver
}

/// What a command did. Every judgement fails with all that the command said.
#[derive(Debug)]
pub struct Outcome {
    line: String,
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
    pub took: Duration,
}

impl Outcome {
    /// Exit code 0.
    #[track_caller]
    pub fn succeeds(&self) -> &Self {
        self.ends_with(0)
    }

    /// This exit code, nothing on stdout, and an error in the program's own form.
    #[track_caller]
    pub fn fails_with(&self, code: i32) -> &Self {
        self.ends_with(code);
        assert!(self.stdout.is_empty(), "something on stdout\n{self}");
        // On a terminal an erased note may stand before it.
        let is_error = |line: &str| line.rsplit("\u{1b}[K").next().is_some_and(|line| line.starts_with("error: "));
        assert!(self.stderr.lines().any(is_error), "no line 'error: …'\n{self}");
        self
    }

    /// This exit code, and no panic.
    #[track_caller]
    pub fn ends_with(&self, code: i32) -> &Self {
        let end = (self.status.code(), self.status.signal());
        assert_eq!(end, (Some(code), None), "exit code and signal\n{self}");
        self.stderr_lacks("panicked").stderr_lacks("RUST_BACKTRACE")
    }

    #[track_caller]
    pub fn stderr_contains(&self, text: &str) -> &Self {
        assert!(self.stderr.contains(text), "no '{text}' on stderr\n{self}");
        self
    }

    #[track_caller]
    pub fn stderr_lacks(&self, text: &str) -> &Self {
        assert!(!self.stderr.contains(text), "'{text}' on stderr\n{self}");
        self
    }

    #[track_caller]
    pub fn stdout_contains(&self, text: &str) -> &Self {
        assert!(self.text().contains(text), "no '{text}' on stdout\n{self}");
        self
    }

    /// stdout as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap_or_else(|_| panic!("stdout is no UTF-8\n{self}"))
    }

    /// stdout as one JSON document.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("stdout is no JSON: {error}\n{self}"))
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}: {}, {:?}", self.line, self.status, self.took)?;
        writeln!(f, "stdout:\n{}", String::from_utf8_lossy(&self.stdout))?;
        write!(f, "stderr:\n{}", self.stderr)
    }
}

/// Whether the AWS CLI is there and runs, see [`is_there`].
pub fn has_aws_cli(test: &str) -> bool {
    runs("aws", test, |status| status.success())
}

/// Whether there is this program, of those that not every machine can have. Where it is not, says which test is skipped: past the
/// capture of test output, so that a person sees it.
pub fn is_there(program: &str, test: &str) -> bool {
    runs(program, test, |_| true)
}

fn runs(program: &str, test: &str, is_good: impl FnOnce(ExitStatus) -> bool) -> bool {
    let mut asked = Command::new(program);
    let asked = asked.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let there = asked.is_ok_and(is_good);
    if !there {
        let _ = writeln!(std::io::stderr(), "skipped {test}: {program} is not installed");
    }
    there
}

/// A client of the pinned versions that `scripts/setup` puts into `target/clients`. Where it is not there, says so likewise.
pub fn pinned_client(path: &str, test: &str) -> Option<PathBuf> {
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clients").join(path);
    if client.exists() {
        return Some(client);
    }
    let _ = writeln!(std::io::stderr(), "skipped {test}: {path} is not in target/clients, see scripts/setup");
    None
}

/// Runs one of other people's tools that must succeed, and gives its stdout.
#[track_caller]
pub fn tool<A: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = A>, environment: Environment) -> Vec<u8> {
    let outcome = Run::program(name).args(arguments).envs(environment).run();
    assert!(outcome.status.success(), "{outcome}");
    outcome.stdout
}
