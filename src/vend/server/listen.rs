//! Sockets: bound early, so that an address in use is said before a signature is spent; listening late, so that nobody waits for
//! an answer that may never come; accepted within a number.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ServeError;

/// Clients that come faster than they are accepted wait here; SDKs give up after a second.
const BACKLOG: u32 = 1024;

/// Descriptors that are not clients': listeners, devices, the network, files.
const OWN_DESCRIPTORS: u64 = 64;

/// An address that is ours but not yet answered on.
pub struct Bound {
    socket: Socket,
    address: SocketAddr,
}

enum Socket {
    /// Nobody can connect yet.
    Own(TcpSocket),
    /// Whoever has opened it lets clients come; they wait.
    Given(StdListener),
}

impl Bound {
    /// Binds the address.
    pub fn new(address: SocketAddr) -> Result<Self, ServeError> {
        let bind = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // Connections of a run before this one linger; its listener does not, and another's is still refused.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            let address = socket.local_addr()?;
            Ok(Self { socket: Socket::Own(socket), address })
        };
        bind().map_err(|source| ServeError::Listen { address, source })
    }

    /// The address of a socket that listens already.
    pub fn given(listener: &StdListener) -> Result<Self, ServeError> {
        let address = listener.local_addr().map_err(ServeError::System)?;
        let socket = listener.try_clone().map(Socket::Given).map_err(ServeError::System)?;
        Ok(Self { socket, address })
    }

    /// The address, with the port that the system chose where it was 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets clients come.
    pub fn listen(self) -> Result<TcpListener, ServeError> {
        let address = self.address;
        let listening = match self.socket {
            Socket::Own(socket) => socket.listen(BACKLOG),
            Socket::Given(listener) => listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener)),
        };
        listening.map_err(|source| ServeError::Listen { address, source })
    }
}

/// A client that has come.
pub struct Client {
    /// Its connection.
    pub stream: TcpStream,
    /// The address it came to.
    pub local: IpAddr,
    /// Its share of the connections, given back on drop.
    pub permit: OwnedSemaphorePermit,
}

/// Accepts clients, for ever.
pub async fn accept(
    listener: TcpListener,
    hop_limit: NonZeroU8,
    places: Arc<Semaphore>,
    mut hand_over: impl FnMut(Client),
) {
    loop {
        match accept_one(&listener, hop_limit).await {
            Ok((stream, local)) => {
                // Whoever comes while there is no place waits here, and those behind in the backlog.
                let Ok(permit) = Arc::clone(&places).acquire_owned().await else { return };
                hand_over(Client { stream, local, permit });
            }
            Err(error) => pause_after(&error).await,
        }
    }
}

/// Accepts one client, ready for its first request.
async fn accept_one(listener: &TcpListener, hop_limit: NonZeroU8) -> io::Result<(TcpStream, IpAddr)> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    limit_hops(&stream, hop_limit)?;
    let local = stream.local_addr()?.ip();
    Ok((stream, local.to_canonical()))
}

fn limit_hops(stream: &TcpStream, hop_limit: NonZeroU8) -> io::Result<()> {
    if stream.local_addr()?.is_ipv6() {
        sockopt::set_ipv6_unicast_hops(stream, Some(hop_limit.get()))?;
    } else {
        sockopt::set_ip_ttl(stream, u32::from(hop_limit.get()))?;
    }
    Ok(())
}

/// A client that has gone before it was accepted is nothing; where descriptors or memory are short, a moment may help and
/// trying at once would only burn the processor.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, NotConnected};
    if !matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | NotConnected) {
        log::warn!("cannot accept a connection: {error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// How many connections there can be: as many as wanted if the limit on open files allows it or can be raised that far,
/// otherwise fewer, so that a device or AWS can always be reached.
pub fn affordable_connections(wanted: usize) -> usize {
    let wanted = wanted.clamp(1, Semaphore::MAX_PERMITS);
    let limit = getrlimit(Resource::Nofile);
    let needed = u64::try_from(wanted).unwrap_or(u64::MAX).saturating_add(OWN_DESCRIPTORS);
    let Some(mut current) = limit.current.filter(|current| *current < needed) else { return wanted };
    let raised = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    if setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum }).is_ok() {
        current = raised;
    }
    usize::try_from(current.saturating_sub(OWN_DESCRIPTORS)).unwrap_or(wanted).clamp(1, wanted)
}

#[cfg(test)]
mod tests {
    use super::super::run::runtime;
    use super::*;

    #[test]
    fn every_client_gets_the_hop_limit() {
        runtime().unwrap().block_on(async {
            for address in ["127.0.0.1:0", "[::1]:0"] {
                let bound = Bound::new(address.parse().unwrap()).unwrap();
                let address = bound.address();
                let listener = bound.listen().unwrap();
                let _client = TcpStream::connect(address).await.unwrap();
                let (stream, local) = accept_one(&listener, NonZeroU8::MIN).await.unwrap();
                assert_eq!(local, address.ip());
                let hops = match local {
                    IpAddr::V4(_) => sockopt::ip_ttl(&stream).unwrap(),
                    IpAddr::V6(_) => sockopt::ipv6_unicast_hops(&stream).unwrap().into(),
                };
                assert_eq!(hops, 1, "{local}");
            }
        });
    }

    #[test]
    fn an_address_is_bound_by_one_and_listens_when_told() {
        runtime().unwrap().block_on(async {
            let bound = Bound::new("127.0.0.1:0".parse().unwrap()).unwrap();
            let address = bound.address();
            assert!(TcpStream::connect(address).await.is_err());
            let _listener = bound.listen().unwrap();
            assert!(TcpStream::connect(address).await.is_ok());
            assert!(Bound::new(address).is_err());
        });
    }

    #[test]
    fn there_are_connections_whatever_the_limit_on_files() {
        assert_eq!(affordable_connections(1), 1);
        let most = affordable_connections(usize::MAX);
        assert!(most >= 1);
        assert!(
            getrlimit(Resource::Nofile)
                .current
                .is_none_or(|limit| usize::try_from(limit).unwrap() > most || most == usize::MAX)
        );
    }
}
