//! Servers that answer badly, each on a port of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::net::{AddressFamily, SocketType};

/// Takes connections (the kernel does) and never says a word.
pub struct Listener(TcpListener);

impl Listener {
    pub fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub fn https(&self) -> String {
        format!("https://{}", self.address())
    }

    pub fn http(&self) -> String {
        format!("http://{}", self.address())
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.0.set_nonblocking(true).unwrap();
        std::iter::from_fn(|| self.0.accept().ok()).count()
    }
}

/// A port that is taken, so that nobody else gets it, and on which nobody listens.
pub struct ClosedPort {
    _socket: OwnedFd,
    pub address: SocketAddr,
}

impl ClosedPort {
    pub fn new() -> Self {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = rustix::net::getsockname(&socket).unwrap().try_into().unwrap();
        Self { _socket: socket, address }
    }
}

/// Reads one request from each connection, writes the same octets back and closes.
pub struct Scripted {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Scripted {
    pub fn new(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, requests, answer) = (listener.local_addr().unwrap(), Arc::default(), answer.into());
        let counted: Arc<AtomicUsize> = Arc::clone(&requests);
        // Ends with the test process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (counted, answer) = (Arc::clone(&counted), answer.clone());
                thread::spawn(move || serve(stream.unwrap(), &counted, &answer));
            }
        });
        Self { address, requests }
    }

    /// An answer in AWS's form.
    pub fn aws_error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "message": message }).to_string();
        let headers = format!("x-amzn-errortype: {code}\r\nx-amzn-requestid: 0000-test\r\n");
        Self::http_answer(status, &headers, &body)
    }

    pub fn http_answer(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::new(format!("HTTP/1.1 {status} Scripted\r\n{headers}content-length: {length}\r\n\r\n{body}"))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Plain HTTP, which is allowed on this machine.
    pub fn http(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, counted: &AtomicUsize, answer: &[u8]) {
    let mut reader = BufReader::new(&stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        // A connection that was opened and not used is no request.
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    counted.fetch_add(1, Ordering::SeqCst);
    let _ = (&stream).write_all(answer);
}
