//! HTTP over a connection that is open already: ureq writes and reads, and opens nothing itself.

use std::fmt;
use std::io::{Read, Write};
use std::sync::Mutex;
use std::time::Instant;

use ureq::config::Config;
use ureq::http::{HeaderMap, Request, Uri};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport};
use ureq::{Agent, Error};
use zeroize::Zeroizing;

use super::connection::lost;
use super::error::{ConnectionError, ConnectionErrorKind as Kind};
use super::socket::Stream;

/// Credentials are a few thousand octets; anything larger is something else.
const LONGEST_BODY: usize = 64 * 1024;

/// Must hold the longest header line, which a chain of five large certificates makes.
const OUTPUT_BUFFER: usize = 128 * 1024;

/// Must hold the answer's whole header.
const INPUT_BUFFER: usize = 32 * 1024;

/// What came back.
pub(super) struct HttpAnswer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// A signed request, ready to be sent as often as needed: the octets are the same each time.
pub(super) struct HttpRequest {
    pub(super) host: String,
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

/// Sends the request over this connection and reads the whole answer, whatever its status, before the deadline.
pub(super) fn post(
    mut stream: Stream,
    request: &HttpRequest,
    deadline: Instant,
) -> Result<HttpAnswer, ConnectionError> {
    stream.set_deadline(deadline);
    let agent = agent(stream);
    let fail = |error| explain(error, &request.host);

    let mut builder = Request::post(&request.url);
    for (name, value) in &request.headers {
        builder = builder.header(*name, value);
    }
    let http = builder.body(request.body.as_slice()).map_err(|error| fail(Error::Http(error)))?;
    let (head, mut body) = agent.run(http).map_err(fail)?.into_parts();

    // Full capacity at once: a growing vector would leave pieces of the credentials behind.
    let mut octets = Zeroizing::new(Vec::with_capacity(LONGEST_BODY + 1));
    body.as_reader()
        .take(LONGEST_BODY as u64 + 1)
        .read_to_end(&mut octets)
        .map_err(|error| lost(error, &request.host, "before the answer was complete"))?;
    if octets.len() > LONGEST_BODY {
        return Err(ConnectionError::new(
            Kind::Protocol,
            format!("wanted an answer of at most {LONGEST_BODY} octets from {}, found more", request.host),
        ));
    }
    Ok(HttpAnswer { status: head.status.as_u16(), headers: head.headers, body: octets })
}

/// Asks for the head of what is at this URL, whatever the status, before the deadline. Nothing is signed.
pub(super) fn head(
    mut stream: Stream,
    host: &str,
    url: &str,
    deadline: Instant,
) -> Result<HttpAnswer, ConnectionError> {
    stream.set_deadline(deadline);
    let fail = |error| explain(error, host);
    let http = Request::head(url).body(()).map_err(|error| fail(Error::Http(error)))?;
    let (head, _) = agent(stream).run(http).map_err(fail)?.into_parts();
    Ok(HttpAnswer { status: head.status.as_u16(), headers: head.headers, body: Zeroizing::default() })
}

fn agent(stream: Stream) -> Agent {
    Agent::with_parts(config(), OneConnection(Mutex::new(Some(stream))), NoResolver)
}

fn config() -> Config {
    Agent::config_builder()
        .http_status_as_error(false)
        // A signed request is for one host: a redirect is an answer like others.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(format!(
            "keyanchor/{} ({}; {})",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::OS,
            std::env::consts::ARCH
        ))
        .accept("application/json")
        .max_response_header_size(INPUT_BUFFER)
        .max_idle_connections(0)
        .build()
}

fn explain(error: Error, host: &str) -> ConnectionError {
    match error {
        Error::Io(error) => lost(error, host, "before the answer was complete"),
        Error::Rustls(error) => {
            ConnectionError::new(Kind::Tls, format!("TLS with {host} failed: {error}")).with_source(error)
        }
        other => {
            ConnectionError::new(Kind::Protocol, format!("wanted HTTP/1.1 from {host}, found something else: {other}"))
                .with_source(other)
        }
    }
}

/// Gives out the one connection that there is.
struct OneConnection(Mutex<Option<Stream>>);

impl fmt::Debug for OneConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneConnection")
    }
}

impl Connector for OneConnection {
    type Out = OpenTransport;

    fn connect(&self, _: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<OpenTransport>, Error> {
        let stream = self.0.lock().ok().and_then(|mut slot| slot.take()).ok_or(Error::ConnectionFailed)?;
        Ok(Some(OpenTransport { stream, buffers: LazyBuffers::new(INPUT_BUFFER, OUTPUT_BUFFER) }))
    }
}

/// Names were looked up when the connection was opened.
#[derive(Debug)]
struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}

/// The stream as ureq wants it. Its own deadline holds; ureq's timeouts are not used.
struct OpenTransport {
    stream: Stream,
    buffers: LazyBuffers,
}

impl fmt::Debug for OpenTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenTransport")
    }
}

impl Transport for OpenTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        let output = self.buffers.output().get(..amount).ok_or(Error::ConnectionFailed)?;
        self.stream.write_all(output)?;
        Ok(self.stream.flush()?)
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        self.stream.acknowledge_at_once();
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        // Asked only before a connection is used again, which does not happen.
        false
    }

    fn is_tls(&self) -> bool {
        self.stream.is_tls()
    }
}

impl Drop for OpenTransport {
    fn drop(&mut self) {
        self.stream.close();
    }
}
