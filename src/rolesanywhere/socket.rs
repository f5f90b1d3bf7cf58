//! A TCP connection with a deadline, and TLS over it: every read and write ends by the deadline, however slowly the other
//! side drips. Knows no HTTP.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::{ClientConnection, StreamOwned};

/// A TCP socket whose operations end at a point in time.
#[derive(Debug)]
pub(super) struct Socket {
    tcp: TcpStream,
    deadline: Instant,
}

impl Socket {
    pub(super) fn new(tcp: TcpStream, deadline: Instant) -> io::Result<Self> {
        // Header and body of the one request go out as they are written.
        tcp.set_nodelay(true)?;
        Ok(Self { tcp, deadline })
    }

    /// What is left; never zero, which the operating system would take for "no limit".
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.tcp.set_read_timeout(Some(self.left()?))?;
            match self.tcp.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome.map_err(timed_out),
            }
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        loop {
            self.tcp.set_write_timeout(Some(self.left()?))?;
            match self.tcp.write(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome.map_err(timed_out),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Unix says EAGAIN where a socket's timeout has passed.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

/// A connection: bare, in TLS, or in TLS through a proxy that speaks TLS itself.
pub(super) enum Stream {
    Plain(Socket),
    Tls(Box<StreamOwned<ClientConnection, Stream>>),
}

impl Stream {
    /// From now on, everything ends at this point in time.
    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        match self {
            Self::Plain(socket) => socket.deadline = deadline,
            Self::Tls(tls) => tls.sock.set_deadline(deadline),
        }
    }

    /// Asks the kernel to acknowledge what comes next at once. The server's TLS tickets cross our request; where the server
    /// leaves Nagle's algorithm on, its answer waits for our acknowledgement of them, which the kernel delays by 40 ms.
    pub(super) fn acknowledge_at_once(&self) {
        match self {
            // A wish: without it the answer comes later, and no less.
            Self::Plain(socket) => {
                #[cfg(target_os = "linux")]
                let _ = rustix::net::sockopt::set_tcp_quickack(&socket.tcp, true);
            }
            Self::Tls(tls) => tls.sock.acknowledge_at_once(),
        }
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Speaks TLS over this stream; the handshake is finished when this returns.
    pub(super) fn handshake(mut self, mut client: ClientConnection) -> io::Result<Self> {
        while client.is_handshaking() {
            client.complete_io(&mut self)?;
        }
        Ok(Self::Tls(Box::new(StreamOwned::new(client, self))))
    }

    /// Tells the other side that the end was meant. Nothing is left to be done where that fails.
    pub(super) fn close(&mut self) {
        if let Self::Tls(tls) = self {
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(buffer),
            Self::Tls(tls) => tls.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}
