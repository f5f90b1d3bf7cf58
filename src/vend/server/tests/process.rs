//! A server in a process of its own: signals, what the service manager hears, and memory. The process is this test binary again,
//! which runs the one test that serves.

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

use super::*;

const SERVE: &str = "KEYANCHOR_TEST_SERVE";

struct Quiet;

impl Hooks for Quiet {
    fn listening(&mut self, _: &[SocketAddr], _: Option<SocketAddr>) {}
    fn reload(&mut self) {}
}

/// Is a server where [`Process`] runs it, and nothing otherwise.
#[test]
fn serves_until_a_signal() {
    if std::env::var_os(SERVE).is_some() {
        run(options(), vec![role(ROLE, good)], Vec::new(), &mut Quiet).unwrap();
        std::process::exit(0);
    }
}

struct Process {
    child: Child,
    manager: UnixDatagram,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Process {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("notify");
        let manager = UnixDatagram::bind(&socket).unwrap();
        manager.set_read_timeout(Some(LIMIT)).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "vend::server::tests::process::serves_until_a_signal"])
            .env(SERVE, "1")
            .env("NOTIFY_SOCKET", &socket)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut process = Self { child, manager, address: "127.0.0.1:0".parse().unwrap(), _folder: folder };
        let ready = process.heard();
        process.address = ready.strip_prefix("READY=1\nSTATUS=serving on ").unwrap().parse().unwrap();
        process
    }

    /// The next message to the service manager.
    fn heard(&self) -> String {
        let mut buffer = [0; 256];
        let length = self.manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(&mut self) -> ExitStatus {
        let mut status = None;
        until("the process has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// KiB in memory.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn sigterm_and_sigint_end_it_with_success_within_two_seconds() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut process = Process::start();
        let mut idle = Client::new(process.address);
        idle.token();
        let began = Instant::now();
        process.signal(signal);
        assert_eq!(process.heard(), "STOPPING=1");
        assert!(process.end().success());
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
}

#[test]
fn sighup_refreshes_and_the_service_manager_hears_when_that_is_done() {
    let process = Process::start();
    let mut client = Client::new(process.address);
    let token = client.token();
    assert!(client.document(&token).body.contains("ASIATEST1\""));
    process.signal(Signal::HUP);
    assert!(process.heard().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert!(process.heard().starts_with("READY=1\n"));
    assert!(client.document(&token).body.contains("ASIATEST2\""));
}

#[test]
fn a_hundred_thousand_tokens_take_no_memory() {
    let process = Process::start();
    let mut client = Client::new(process.address);
    let first = client.ask("PUT", "/latest/api/token", &[]);
    let mut answers = vec![0; 100 * (first.head.len() + first.body.len())];
    let before = process.memory();
    let requests = "PUT /latest/api/token HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(100);
    for _ in 0..1000 {
        client.send(requests.as_bytes());
        client.0.read_exact(&mut answers).unwrap();
        assert!(answers.starts_with(b"HTTP/1.1 200 OK"));
    }
    let grown = process.memory().saturating_sub(before);
    assert!(grown <= 4096, "{grown} KiB");
}

#[test]
fn a_thousand_idle_connections_take_little_memory() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let process = Process::start();
    Client::new(process.address).token();
    let before = process.memory();
    let mut clients: Vec<_> = (0..1000).map(|_| Client::new(process.address)).collect();
    for client in &mut clients {
        assert_eq!(client.token().len(), 64);
    }
    let grown = process.memory().saturating_sub(before);
    assert!(grown <= 20 * 1024, "{grown} KiB");
}
