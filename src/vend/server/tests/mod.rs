//! The server as clients and service managers meet it. `routes.rs` asks the pure routes; the others run a whole server on a port
//! of its own, with a source of credentials that a test scripts, and talk to it over sockets.

mod life;
mod limits;
mod process;
mod routes;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use zeroize::Zeroizing;

use super::*;
use crate::credentials::Credentials;
use crate::vend::{Vend, VendError, VendErrorKind, Vended};

const ROLE: &str = "arn:aws:iam::123456789012:role/team/web";
const LISTING: &str = "/latest/meta-data/iam/security-credentials/";
const DOCUMENT: &str = "/latest/meta-data/iam/security-credentials/web";

/// Nothing that a test waits for takes longer, unless it is broken.
const LIMIT: Duration = Duration::from_secs(20);

/// Credentials that are told apart by their number.
fn credentials(number: u32, life: SignedDuration) -> Credentials {
    Credentials {
        access_key_id: format!("ASIATEST{number}"),
        secret_access_key: Zeroizing::new("test-secret".into()),
        session_token: Zeroizing::new("test-token".into()),
        expiration: (Timestamp::now() + life).to_string(),
    }
}

fn vended(credentials: Credentials) -> Vended {
    let certificate_expires = Some(Timestamp::now() + SignedDuration::from_hours(24));
    Vended { credentials, certificate_expires, device: Some(Duration::from_millis(3)), service: None }
}

fn good(number: u32) -> Result<Vended, VendError> {
    Ok(vended(credentials(number, SignedDuration::from_hours(1))))
}

fn refused() -> Result<Vended, VendError> {
    Err(VendError::new(VendErrorKind::Refused, "AccessDeniedException from CreateSession"))
}

/// Gives what the script says to each call, which are counted from 1.
struct Script<F>(F, u32);

impl<F: FnMut(u32) -> Result<Vended, VendError> + Send> Vend for Script<F> {
    fn vend(&mut self) -> Result<Vended, VendError> {
        self.1 += 1;
        (self.0)(self.1)
    }
}

/// The same wait after every refresh, however it went.
struct Every(Duration);

impl Pace for Every {
    fn succeeded(&mut self, now: Timestamp, _: Timestamp) -> Timestamp {
        now + self.0
    }

    fn failed(&mut self, now: Timestamp) -> Timestamp {
        now + self.0
    }
}

/// A role that is refreshed when a test says so.
fn role(arn: &str, script: impl FnMut(u32) -> Result<Vended, VendError> + Send + 'static) -> RoleSource {
    role_every(arn, Duration::from_secs(3600), script)
}

fn role_every(
    arn: &str,
    wait: Duration,
    script: impl FnMut(u32) -> Result<Vended, VendError> + Send + 'static,
) -> RoleSource {
    RoleSource {
        role_arn: arn.into(),
        region: "eu-west-1".into(),
        vend: Box::new(Script(script, 0)),
        pace: Box::new(Every(wait)),
    }
}

/// Options for a server on ports that the system chooses.
fn options() -> Options {
    Options {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        status_listen: Some("127.0.0.1:0".parse().unwrap()),
        ..Options::default()
    }
}

struct Heard(Sender<(SocketAddr, SocketAddr)>);

impl Hooks for Heard {
    fn listening(&mut self, addresses: &[SocketAddr], status: Option<SocketAddr>) {
        self.0.send((addresses[0], status.unwrap())).unwrap();
    }

    fn reload(&mut self) {}
}

/// A server that runs, or will once its first refresh is done.
struct Server {
    addresses: Receiver<(SocketAddr, SocketAddr)>,
    events: Option<UnboundedSender<Event>>,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Server {
    fn start(options: Options, roles: Vec<RoleSource>, consumers: Vec<Consumer>) -> Self {
        let (heard, addresses) = channel();
        let (events, receiver) = unbounded_channel();
        let thread = thread::spawn(move || run_until(options, roles, consumers, &mut Heard(heard), receiver));
        Self { addresses, events: Some(events), thread: Some(thread) }
    }

    /// Waits until requests are answered; gives the addresses of credentials and of status.
    fn listening(&self) -> (SocketAddr, SocketAddr) {
        self.addresses.recv_timeout(LIMIT).unwrap()
    }

    fn reload(&self) {
        self.events.as_ref().unwrap().send(Event::Reload).unwrap();
    }

    /// Ends the server, and gives how it ended.
    fn end(mut self) -> Result<(), ServeError> {
        drop(self.events.take());
        self.thread.take().unwrap().join().unwrap()
    }

    /// Waits for the server to end by itself.
    fn ended(mut self) -> Result<(), ServeError> {
        self.thread.take().unwrap().join().unwrap()
    }
}

/// Starts a server with one role, and gives its address.
fn serving(script: impl FnMut(u32) -> Result<Vended, VendError> + Send + 'static) -> (Server, SocketAddr) {
    let server = Server::start(options(), vec![role(ROLE, script)], Vec::new());
    let (address, _) = server.listening();
    (server, address)
}

/// A client's connection.
struct Client(TcpStream);

#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }
}

impl Client {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Self(stream)
    }

    fn send(&mut self, octets: &[u8]) {
        self.0.write_all(octets).unwrap();
    }

    /// Sends a request with the Host of this connection, and reads the answer.
    fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.0.peer_addr().unwrap());
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        self.send(request.as_bytes());
        self.reply()
    }

    fn reply(&mut self) -> Reply {
        let mut head = Vec::new();
        // Octet by octet: what follows belongs to the next answer.
        while !head.ends_with(b"\r\n\r\n") {
            let mut octet = [0];
            self.0
                .read_exact(&mut octet)
                .unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&head)));
            head.push(octet[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let mut reply = Reply { status: head[9..12].parse().unwrap(), head, body: String::new() };
        let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        reply.body = String::from_utf8(body).unwrap();
        reply
    }

    fn token(&mut self) -> String {
        let reply = self.ask("PUT", "/latest/api/token", &[("X-aws-ec2-metadata-token-ttl-seconds", "21600")]);
        assert_eq!(reply.status, 200);
        reply.body
    }

    fn document(&mut self, token: &str) -> Reply {
        self.ask("GET", DOCUMENT, &[("X-aws-ec2-metadata-token", token)])
    }

    /// What comes until the server closes the connection, and how long that took.
    fn rest(&mut self) -> (String, Duration) {
        let began = Instant::now();
        let mut rest = Vec::new();
        // A reset is a close too.
        match self.0.read_to_end(&mut rest) {
            Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => panic!("not closed: {error}"),
            _ => {}
        }
        (String::from_utf8_lossy(&rest).into_owned(), began.elapsed())
    }
}

/// Asks again until the answer is as wanted.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
