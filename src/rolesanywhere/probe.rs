//! The way to the endpoint, step by step, with what was found at each: for who wants to know where it is broken. What is sent is
//! one HEAD request without a signature, for the answer's date; nothing is asked of the service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::client::{ClientOptions, target};
use super::clock::ahead;
use super::connection::{Target, connect_to, handshake, lookup, tunnel};
use super::error::{ConnectionError, ConnectionErrorKind as Kind, RequestError};
use super::region::Region;
use super::request::CreateSession;
use super::socket::Stream;
use super::tls::{TlsClient, Trust, issuer};
use super::transport::head;

/// A way that can be gone.
pub struct Probe {
    target: Arc<Target>,
    limit: Duration,
}

/// One step.
#[derive(Debug)]
pub struct NetworkStep {
    /// Which it is.
    pub stage: NetworkStage,
    /// What was found there, or why the way ends there.
    pub outcome: Result<NetworkLandmark, ConnectionError>,
}

/// The steps of a connection. Where no proxy or no TLS is used, there are fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetworkStage {
    /// The certificates that are trusted.
    Trust,
    /// The addresses of the name: the proxy's where there is one.
    Name,
    /// A TCP connection to one of them.
    Connection,
    /// The proxy's tunnel to the endpoint.
    Tunnel,
    /// TLS with the endpoint.
    Tls,
    /// An answer.
    Answer,
}

/// What was found at a step.
#[derive(Debug)]
pub enum NetworkLandmark {
    /// Where the trusted certificates are from.
    Trust(String),
    /// Nothing is verified, as the person wished.
    TrustsEverybody,
    /// The addresses of a host.
    Addresses {
        /// The name.
        host: String,
        /// In the order in which they are tried.
        addresses: Vec<SocketAddr>,
    },
    /// An address accepted.
    Connected {
        /// Which.
        address: SocketAddr,
        /// How long that took.
        took: Duration,
    },
    /// The proxy connected to the endpoint.
    Tunnel {
        /// The proxy, without its password.
        proxy: String,
    },
    /// TLS is spoken.
    Tls {
        /// `TLSv1_3`.
        version: String,
        /// The group of the key exchange.
        key_exchange: String,
        /// Who issued the endpoint's certificate.
        issuer: String,
    },
    /// The head of an answer.
    Answer {
        /// HTTP status; a request without a signature is refused, which is as good.
        status: u16,
        /// How many seconds this machine's clock is ahead of the `Date` in it; `None` where it has none.
        seconds_ahead: Option<i64>,
    },
}

impl Probe {
    /// Chooses endpoint, proxy and trust as a request for this session would. `None` where neither session nor options tell the
    /// region, and with it the endpoint.
    pub fn new(session: Option<&CreateSession>, options: &ClientOptions) -> Result<Option<Self>, RequestError> {
        let region = match (&options.region, session) {
            (Some(text), _) => Region::parse(text, "--region")?,
            (None, Some(session)) => session.region().clone(),
            (None, None) => return Ok(None),
        };
        Ok(Some(Self { target: Arc::new(target(&region, options)?), limit: options.timeout }))
    }

    /// The URL of CreateSession.
    pub fn url(&self) -> String {
        self.target.endpoint.url()
    }

    /// The endpoint's host.
    pub fn host(&self) -> &str {
        self.target.endpoint.host()
    }

    /// The proxy that is used, without its password.
    pub fn proxy(&self) -> Option<String> {
        self.target.proxy.as_ref().map(|proxy| proxy.name())
    }

    /// Every step that this way has, in order.
    pub fn stages(&self) -> Vec<NetworkStage> {
        use NetworkStage::{Answer, Connection, Name, Tls, Trust, Tunnel};
        let tls = self.target.endpoint.is_https();
        let secured = tls || self.target.proxy.as_ref().is_some_and(|proxy| proxy.https);
        let proxied = self.target.proxy.is_some();
        let all = [(Trust, secured), (Name, true), (Connection, true), (Tunnel, proxied), (Tls, tls), (Answer, true)];
        all.into_iter().filter(|(_, has)| *has).map(|(stage, _)| stage).collect()
    }

    /// Goes the way, as far as it goes within the limit; a step that failed is the last.
    pub fn go(&self) -> Vec<NetworkStep> {
        let (sender, receiver) = mpsc::channel();
        let (target, deadline) = (Arc::clone(&self.target), Instant::now() + self.limit);
        let walk = move || {
            let mut walk = Walk { target: &target, deadline, steps: sender };
            // The error has been sent.
            let _ = walk.go();
        };
        let spawned = thread::Builder::new().name("probe".to_owned()).spawn(walk);
        let mut steps = Vec::new();
        if let Err(source) = spawned {
            let error = ConnectionError::new(Kind::Unreachable, "no thread to connect in").with_source(source);
            return vec![NetworkStep { stage: NetworkStage::Name, outcome: Err(error) }];
        }
        loop {
            // A little later than the thread's own limits, which have the better words; a name lookup has none.
            let left = (deadline + Duration::from_millis(200)).saturating_duration_since(Instant::now());
            match receiver.recv_timeout(left) {
                Ok(step) => steps.push(step),
                Err(RecvTimeoutError::Disconnected) => return steps,
                Err(RecvTimeoutError::Timeout) => {
                    let stage = self.stages().get(steps.len()).copied().unwrap_or(NetworkStage::Answer);
                    let message = format!("{} gave nothing within {} s", self.host(), self.limit.as_secs_f64());
                    steps.push(NetworkStep { stage, outcome: Err(ConnectionError::new(Kind::Timeout, message)) });
                    return steps;
                }
            }
        }
    }
}

/// The way under the feet.
struct Walk<'a> {
    target: &'a Target,
    deadline: Instant,
    steps: Sender<NetworkStep>,
}

/// The step failed, and was told.
struct Ended;

impl Walk<'_> {
    fn go(&mut self) -> Result<(), Ended> {
        let (endpoint, proxy) = (&self.target.endpoint, &self.target.proxy);
        let secured = endpoint.is_https() || proxy.as_ref().is_some_and(|proxy| proxy.https);
        let tls = if secured { Some(self.trust()?) } else { None };
        let (host, port) = match proxy {
            Some(proxy) => (proxy.host.as_str(), proxy.port),
            None => (endpoint.host(), endpoint.port()),
        };
        let found = lookup(host, port).map(|addresses| {
            (NetworkLandmark::Addresses { host: host.to_owned(), addresses: addresses.clone() }, addresses)
        });
        let addresses = self.step(NetworkStage::Name, found)?;
        let start = Instant::now();
        let connected = connect_to(&addresses, host, port, self.deadline)
            .map(|(socket, address)| (NetworkLandmark::Connected { address, took: start.elapsed() }, socket));
        let mut stream = Stream::Plain(self.step(NetworkStage::Connection, connected)?);
        stream.set_deadline(self.deadline);
        if let Some(proxy) = proxy {
            let secure = |stream| match (&tls, proxy.https) {
                (Some(tls), true) => handshake(stream, tls, &proxy.host),
                _ => Ok(stream),
            };
            let opened = secure(stream).and_then(|mut stream| {
                tunnel(&mut stream, proxy, endpoint)?;
                Ok((NetworkLandmark::Tunnel { proxy: proxy.name() }, stream))
            });
            stream = self.step(NetworkStage::Tunnel, opened)?;
        }
        if let (Some(tls), true) = (&tls, endpoint.is_https()) {
            let spoken = handshake(stream, tls, endpoint.host()).map(|stream| (spoken(&stream), stream));
            stream = self.step(NetworkStage::Tls, spoken)?;
        }
        let answered = head(stream, endpoint.host(), &endpoint.url(), self.deadline).map(|answer| {
            let date = answer.headers.get("date").and_then(|date| date.to_str().ok());
            let ahead = date.and_then(|date| ahead(date, Timestamp::now()));
            let landmark =
                NetworkLandmark::Answer { status: answer.status, seconds_ahead: ahead.map(|ahead| ahead.as_secs()) };
            (landmark, ())
        });
        self.step(NetworkStage::Answer, answered)
    }

    fn trust(&mut self) -> Result<TlsClient, Ended> {
        let trust = &self.target.trust;
        let read = trust.client_config().map(|client| {
            let landmark = match trust {
                Trust::Everybody => NetworkLandmark::TrustsEverybody,
                _ => NetworkLandmark::Trust(client.roots().to_owned()),
            };
            (landmark, client)
        });
        self.step(NetworkStage::Trust, read)
    }

    fn step<T>(
        &mut self,
        stage: NetworkStage,
        outcome: Result<(NetworkLandmark, T), ConnectionError>,
    ) -> Result<T, Ended> {
        let (outcome, carried) = match outcome {
            Ok((landmark, carried)) => (Ok(landmark), Ok(carried)),
            Err(error) => (Err(error), Err(Ended)),
        };
        // Nobody listens any more where the limit has passed.
        let _ = self.steps.send(NetworkStep { stage, outcome });
        carried
    }
}

fn spoken(stream: &Stream) -> NetworkLandmark {
    let unknown = || "unknown".to_owned();
    let Stream::Tls(tls) = stream else {
        return NetworkLandmark::Tls { version: unknown(), key_exchange: unknown(), issuer: unknown() };
    };
    let version = tls.conn.protocol_version().and_then(|version| version.as_str()).map(str::to_owned);
    let group = tls.conn.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name()));
    let leaf = tls.conn.peer_certificates().and_then(|chain| chain.first());
    NetworkLandmark::Tls {
        version: version.unwrap_or_else(unknown),
        key_exchange: group.unwrap_or_else(unknown),
        issuer: leaf.and_then(|leaf| issuer(leaf)).unwrap_or_else(unknown),
    }
}
