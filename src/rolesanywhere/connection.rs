//! Opening the connection: name, TCP, proxy, TLS, each with its limit, in a thread of its own, so that the device can sign
//! meanwhile and a lookup that hangs holds nobody up. Knows no HTTP but CONNECT.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use dns_lookup::{AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};
use rustls::ClientConnection;
use rustls_pki_types::ServerName;

use super::endpoint::Endpoint;
use super::error::{ConnectionError, ConnectionErrorKind as Kind};
use super::proxy::Proxy;
use super::socket::{Socket, Stream};
use super::tls::{TlsClient, Trust};

/// Limit for a name and a TCP connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Limit for the proxy and the TLS handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// The longest answer to CONNECT that is read.
const LONGEST_CONNECT_ANSWER: usize = 16 * 1024;

/// Where to connect to, and how.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) endpoint: Endpoint,
    pub(super) proxy: Option<Proxy>,
    pub(super) trust: Trust,
}

/// A connection that another thread is opening, or has opened.
pub(super) struct Connecting {
    opened: mpsc::Receiver<Result<Stream, ConnectionError>>,
    /// Where to, in words.
    place: String,
}

impl Connecting {
    /// Begins to connect; no part of it may take longer than `limit`.
    pub(super) fn start(target: &Arc<Target>, limit: Duration) -> Result<Self, ConnectionError> {
        let (sender, receiver) = mpsc::channel();
        let place = match &target.proxy {
            Some(proxy) => format!("{} through {}", target.endpoint.host(), proxy.name()),
            None => target.endpoint.host().to_owned(),
        };
        let target = Arc::clone(target);
        thread::Builder::new()
            .name("connect".to_owned())
            // The receiver is gone where nobody waits any more; then nobody wants the connection either.
            .spawn(move || drop(sender.send(open(&target, limit))))
            .map_err(|source| ConnectionError::new(Kind::Unreachable, "no thread to connect in").with_source(source))?;
        Ok(Self { opened: receiver, place })
    }

    /// Waits for it. A thread that is late is left alone: nothing can stop a name lookup.
    pub(super) fn wait(self, deadline: Instant) -> Result<Stream, ConnectionError> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.opened.recv_timeout(left).unwrap_or_else(|error| {
            let (kind, message) = match error {
                mpsc::RecvTimeoutError::Timeout => {
                    (Kind::Timeout, format!("the connection to {} could not be opened in time", self.place))
                }
                mpsc::RecvTimeoutError::Disconnected => {
                    (Kind::Unreachable, "the thread that connects has failed".to_owned())
                }
            };
            Err(ConnectionError::new(kind, message))
        })
    }
}

fn open(target: &Target, limit: Duration) -> Result<Stream, ConnectionError> {
    let through_tls = target.endpoint.is_https() || target.proxy.as_ref().is_some_and(|proxy| proxy.https);
    let tls = if through_tls { Some(timed("trust roots", || target.trust.client_config())?) } else { None };
    let (host, port) = match &target.proxy {
        Some(proxy) => (proxy.host.as_str(), proxy.port),
        None => (target.endpoint.host(), target.endpoint.port()),
    };

    let connected = timed("connect", || connect(host, port, Instant::now() + limit.min(CONNECT_LIMIT)));
    let socket = match &target.proxy {
        Some(_) => connected.map_err(|error| error.context("proxy"))?,
        None => connected?,
    };
    let mut stream = Stream::Plain(socket);
    stream.set_deadline(Instant::now() + limit.min(HANDSHAKE_LIMIT));
    if let Some(proxy) = &target.proxy {
        if let (true, Some(tls)) = (proxy.https, &tls) {
            stream = timed("tls to the proxy", || handshake(stream, tls, &proxy.host))?;
        }
        timed("proxy", || tunnel(&mut stream, proxy, &target.endpoint))?;
    }
    match &tls {
        Some(tls) if target.endpoint.is_https() => timed("tls", || handshake(stream, tls, target.endpoint.host())),
        _ => Ok(stream),
    }
}

/// Runs one phase and says under `--debug` how long it took.
pub(super) fn timed<T>(phase: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let outcome = work();
    log::debug!("phase {phase}: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    outcome
}

fn connect(host: &str, port: u16, deadline: Instant) -> Result<Socket, ConnectionError> {
    connect_to(&lookup(host, port)?, host, port, deadline).map(|(socket, _)| socket)
}

/// A TCP connection to the first address that accepts; each gets its share of the time.
pub(super) fn connect_to(
    addresses: &[SocketAddr],
    host: &str,
    port: u16,
    deadline: Instant,
) -> Result<(Socket, SocketAddr), ConnectionError> {
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    for (at, address) in addresses.iter().enumerate() {
        let untried = u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
        let share = deadline.saturating_duration_since(Instant::now()) / untried;
        if share.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(address, share).and_then(|tcp| Socket::new(tcp, deadline)) {
            Ok(socket) => return Ok((socket, *address)),
            Err(error) => {
                log::debug!("cannot connect to {address}: {error}");
                last = error;
            }
        }
    }
    let kind = if last.kind() == io::ErrorKind::TimedOut { Kind::Timeout } else { Kind::Unreachable };
    Err(ConnectionError::new(kind, format!("cannot connect to {host} port {port}: {last}")).with_source(last))
}

/// The addresses of a host, in the order that the system prefers (RFC 6724).
pub(super) fn lookup(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectionError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    // The standard library does not tell a name that does not exist from a name server that does not answer.
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    let found = getaddrinfo(Some(host), None, Some(hints)).map_err(|error| {
        let kind = match error.kind() {
            LookupErrorKind::NoName | LookupErrorKind::NoData => Kind::NoSuchName,
            _ => Kind::NameLookup,
        };
        let source = io::Error::from(error);
        ConnectionError::new(kind, format!("cannot look up {host}: {source}")).with_source(source)
    })?;
    let mut addresses: Vec<SocketAddr> = found.filter_map(Result::ok).map(|found| found.sockaddr).collect();
    addresses.iter_mut().for_each(|address| address.set_port(port));
    if addresses.is_empty() {
        return Err(ConnectionError::new(Kind::NoSuchName, format!("{host} has no address")));
    }
    Ok(addresses)
}

pub(super) fn handshake(stream: Stream, tls: &TlsClient, host: &str) -> Result<Stream, ConnectionError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|source| {
        ConnectionError::new(Kind::Tls, format!("{host} is no name that TLS can check")).with_source(source)
    })?;
    let client = ClientConnection::new(Arc::clone(&tls.config), name).map_err(|error| tls.explain(error, host))?;
    let stream = stream.handshake(client).map_err(|error| match take_tls_error(error) {
        Ok(error) => tls.explain(error, host),
        Err(error) => lost(error, host, "during the TLS handshake"),
    })?;
    if let Stream::Tls(tls) = &stream
        && let (Some(version), Some(group)) = (tls.conn.protocol_version(), tls.conn.negotiated_key_exchange_group())
    {
        log::debug!("{version:?} with {host}, key exchange {:?}", group.name());
    }
    Ok(stream)
}

/// The TLS library's error, which it hides in an I/O error; else the I/O error.
fn take_tls_error(error: io::Error) -> Result<rustls::Error, io::Error> {
    error.downcast::<rustls::Error>()
}

/// A connection that broke.
pub(super) fn lost(error: io::Error, host: &str, when: &str) -> ConnectionError {
    match error.kind() {
        io::ErrorKind::TimedOut => {
            ConnectionError::new(Kind::Timeout, format!("{when}, nothing more came from {host} in time"))
        }
        io::ErrorKind::InvalidData => {
            ConnectionError::new(Kind::Tls, format!("the connection to {host} broke {when}: {error}"))
        }
        // The error underneath says no more, in more words.
        io::ErrorKind::UnexpectedEof => {
            return ConnectionError::new(Kind::Closed, format!("{host} closed the connection {when}"));
        }
        _ => ConnectionError::new(Kind::Closed, format!("the connection to {host} broke {when}: {error}")),
    }
    .with_source(error)
}

/// Asks the proxy for a tunnel (RFC 9110 §9.3.6).
pub(super) fn tunnel(stream: &mut Stream, proxy: &Proxy, endpoint: &Endpoint) -> Result<(), ConnectionError> {
    let place = proxy.name();
    let broken = |error| lost(error, &place, "before the tunnel was open");
    let host =
        if endpoint.host().contains(':') { format!("[{}]", endpoint.host()) } else { endpoint.host().to_owned() };
    let port = endpoint.port();
    let mut request = zeroize::Zeroizing::new(format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n"));
    if let Some(authorization) = &proxy.authorization {
        request.push_str("Proxy-Authorization: ");
        request.push_str(authorization);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).and_then(|()| stream.flush()).map_err(broken)?;

    // One octet at a time, so that nothing of what follows the answer is taken from the tunnel.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        stream.read_exact(&mut octet).map_err(broken)?;
        answer.extend(octet);
        if answer.len() > LONGEST_CONNECT_ANSWER {
            return Err(ConnectionError::new(
                Kind::Proxy,
                format!("wanted an answer to CONNECT from {place}, found no end of it"),
            ));
        }
    }
    let line = answer.split(|octet| *octet == b'\r').next().unwrap_or_default();
    let status = line.split(|octet| *octet == b' ').nth(1).unwrap_or_default();
    match status {
        _ if !line.starts_with(b"HTTP/1.") => Err(ConnectionError::new(
            Kind::Proxy,
            format!("wanted an answer to CONNECT from {place}, found something else than HTTP"),
        )),
        [b'2', _, _] => Ok(()),
        b"407" => Err(ConnectionError::new(
            Kind::Proxy,
            format!("{place} wants a user name and password, or other ones (HTTP 407)"),
        )),
        other => Err(ConnectionError::new(
            Kind::Proxy,
            format!("{place} does not connect to {host}:{port} (HTTP {})", other.escape_ascii()),
        )),
    }
}
