//! CreateSession from an identity to credentials: connects while the device signs, sends, sends again. Knows no outputs.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::connection::{Connecting, Target, timed};
use super::endpoint::{Endpoint, EndpointChoice};
use super::environment::Environment;
use super::error::{Cause, ClientError, ConnectionError, ConnectionErrorKind, RequestError};
use super::proxy::Proxy;
use super::region::Region;
use super::request::CreateSession;
use super::response::interpret;
use super::retry::{Next, Retries, Situation, Urgency};
use super::tls::Trust;
use super::transport::{HttpRequest, post};
use crate::credentials::Credentials;
use crate::identity::Identity;
use crate::key::KeyError;
use crate::sigv4x509::{Request, Signer, prepare};

/// The longest limit that is kept: a day, with which no clock's arithmetic overflows.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// How the service is reached.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// `--region`; without it the trust anchor's.
    pub region: Option<String>,
    /// `--endpoint`: a base URL that replaces the region's host.
    pub endpoint: Option<String>,
    /// `--fips`; without it what the environment says.
    pub fips: Option<bool>,
    /// `--dualstack`; without it what the environment says.
    pub dual_stack: Option<bool>,
    /// `--ca-bundle`: PEM certificates that replace all roots.
    pub ca_bundle: Option<PathBuf>,
    /// `--no-verify-ssl`.
    pub no_verify_ssl: bool,
    /// `--timeout`: connecting, sending, waiting and pauses together; the time that the key takes is not counted.
    pub timeout: Duration,
    /// What the environment says where flags do not.
    pub environment: Environment,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            region: None,
            endpoint: None,
            fips: None,
            dual_stack: None,
            ca_bundle: None,
            no_verify_ssl: false,
            timeout: Duration::from_secs(20),
            environment: Environment::default(),
        }
    }
}

/// Knows what is asked for and how the service is reached; holds nothing open.
pub struct Client {
    body: Vec<u8>,
    region: Region,
    target: Arc<Target>,
    timeout: Duration,
    /// Gives numbers in [0, 1).
    chance: fn() -> f64,
}

/// A session that was created, and what it took.
#[derive(Debug)]
pub struct Created {
    /// Its credentials.
    pub credentials: Credentials,
    /// How long the key took for the signature that was accepted.
    pub signing: Duration,
    /// How long the service took to answer it.
    pub answer: Duration,
}

/// A request that may be sent, as often as needed, while it is young.
struct Signed {
    request: HttpRequest,
    /// What X-Amz-Date says.
    time: Timestamp,
    at: Instant,
    /// How long the key took.
    signing: Duration,
}

impl Client {
    /// Checks everything that can be checked without key and network, so that nobody types a PIN for a request that cannot be
    /// sent.
    pub fn new(session: &CreateSession, options: &ClientOptions) -> Result<Self, RequestError> {
        let region = match &options.region {
            Some(text) => Region::parse(text, "--region")?,
            None => session.region().clone(),
        };
        let target = target(&region, options)?;
        if options.no_verify_ssl {
            log::warn!("--no-verify-ssl: anybody between here and {} can read the credentials", target.endpoint.host());
        }
        Ok(Self {
            body: session.body(),
            region,
            target: Arc::new(target),
            timeout: options.timeout.min(LONGEST_TIMEOUT),
            chance,
        })
    }

    /// What decides which credentials come, but for the identity: what is asked for, of whom. No secrets.
    pub fn parameters(&self) -> [(&'static str, String); 3] {
        let body = String::from_utf8_lossy(&self.body).into_owned();
        [("request", body), ("region", self.region.as_str().to_owned()), ("endpoint", self.target.endpoint.url())]
    }

    /// The region that a request is signed for.
    pub fn region(&self) -> &str {
        self.region.as_str()
    }

    /// Fails where a request could not even be sent: no name, no connection, no TLS. Sends nothing, and costs no signature.
    pub fn reach(&self) -> Result<(), ClientError> {
        let limit = Instant::now() + self.timeout;
        let connected = self.connect(limit).and_then(|connecting| connecting.wait(limit));
        connected.map(|_| ()).map_err(|error| ClientError::new(self.name_timeout(error.into()), 1))
    }

    /// Asks for a session. Costs one device signature, and a second one only where a retry finds the first too old, or the
    /// service blames the time in it.
    ///
    /// The key's secrets are gathered first; then TCP and TLS are opened by another thread while the key signs. The signature
    /// is verified in software before it is sent.
    pub fn create_session(&self, identity: &Identity, urgency: Urgency) -> Result<Created, ClientError> {
        // Nothing may wait for a person once the connection is open: the server would close it.
        identity.key.gather_secrets()?;
        log::info!("connecting to {}", self.target.endpoint.url());
        let mut early = Some(Connecting::start(&self.target, self.timeout)?);
        let mut signed = self.sign(identity, Timestamp::now())?;
        let mut deadline = Instant::now() + self.timeout;
        let mut retries = Retries::new(urgency);
        loop {
            retries.begin();
            let start = Instant::now();
            let cause = match self.attempt(&signed, early.take(), deadline) {
                Ok(credentials) => {
                    log::info!("credentials {} until {}", credentials.access_key_id, credentials.expiration);
                    return Ok(Created { credentials, signing: signed.signing, answer: start.elapsed() });
                }
                Err(cause) => cause,
            };
            let time = server_time(&cause);
            let situation = Situation {
                age: signed.at.elapsed(),
                time_shift: time.duration_since(signed.time).unsigned_abs(),
                left: deadline.saturating_duration_since(Instant::now()),
                chance: (self.chance)(),
            };
            let Next::Resend { after, sign_afresh } = retries.next(&cause, &situation) else {
                return Err(ClientError::new(self.name_timeout(cause), retries.attempts()));
            };
            let error = ClientError::new(cause, 1);
            log::info!("attempt {}: {error}; trying again in {} ms", retries.attempts(), after.as_millis());
            thread::sleep(after);
            if sign_afresh {
                log::info!("signing the request afresh");
                let start = Instant::now();
                signed = self.sign(identity, server_time(error.cause()))?;
                deadline += start.elapsed();
            }
        }
    }

    /// Asks the key for one signature, and checks it in software.
    fn sign(&self, identity: &Identity, time: Timestamp) -> Result<Signed, KeyError> {
        let public_key = identity.leaf.public_key()?;
        let endpoint = &self.target.endpoint;
        let (host, path) = (endpoint.authority(), endpoint.path());
        let headers = [("content-type", "application/json"), ("host", host.as_str())];
        let chain: Vec<&[u8]> = identity.chain.iter().map(|certificate| certificate.der()).collect();
        let signer = Signer {
            algorithm: public_key.algorithm(),
            serial: &identity.leaf.serial_decimal(),
            leaf: identity.leaf.der(),
            chain: &chain,
        };
        let request = Request { method: "POST", path: &path, query: &[], headers: &headers, body: &self.body };
        let prepared = prepare(&request, time, self.region.as_str(), &signer);
        log::debug!("canonical request:\n{}", prepared.canonical_request());
        log::debug!("string to sign:\n{}", prepared.string_to_sign());

        let at = Instant::now();
        let signature = timed("sign", || identity.key.sign(prepared.signing_input()))?;
        let signing = at.elapsed();
        public_key.verify(prepared.signing_input(), &signature)?;
        log::info!("signed with {}", identity.key.reference());

        let mut all: Vec<(&'static str, String)> =
            headers.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        all.extend(prepared.finish(&signature));
        let request = HttpRequest {
            host: self.target.endpoint.host().to_owned(),
            url: endpoint.url(),
            headers: all,
            body: self.body.clone(),
        };
        Ok(Signed { request, time, at, signing })
    }

    /// Sends once, over the connection that was opened early or over a new one. An early connection that the server has closed
    /// meanwhile is replaced at once: that is nobody's failure.
    fn attempt(&self, signed: &Signed, early: Option<Connecting>, deadline: Instant) -> Result<Credentials, Cause> {
        // Half of the time for each attempt: a packet that got lost must not use up all of it.
        let limit = deadline.min(Instant::now() + self.timeout / 2);
        let is_early = early.is_some();
        let connecting = match early {
            Some(connecting) => connecting,
            None => self.connect(limit)?,
        };
        let stream = timed("wait for the connection", || connecting.wait(limit))?;
        let answer = match timed("post", || post(stream, &signed.request, limit)) {
            Err(error) if is_early && error.kind() == ConnectionErrorKind::Closed => {
                log::info!("{error}; opening another connection");
                let stream = self.connect(limit)?.wait(limit)?;
                timed("post", || post(stream, &signed.request, limit))
            }
            outcome => outcome,
        }?;
        interpret(&answer, &signed.request.host, Timestamp::now())
    }

    fn connect(&self, limit: Instant) -> Result<Connecting, ConnectionError> {
        Connecting::start(&self.target, limit.saturating_duration_since(Instant::now()))
    }

    /// Says what the limit of each wait comes from. It need not be over: no further try is begun that would not fit in.
    fn name_timeout(&self, cause: Cause) -> Cause {
        match cause {
            Cause::Connection(error) if error.kind() == ConnectionErrorKind::Timeout => {
                let message = format!("{error}; --timeout allows {} s in all", self.timeout.as_secs_f64());
                ConnectionError::new(ConnectionErrorKind::Timeout, message).with_source(error).into()
            }
            other => other,
        }
    }
}

/// Where to connect to, and how, for a region.
pub(super) fn target(region: &Region, options: &ClientOptions) -> Result<Target, RequestError> {
    let choice = EndpointChoice {
        endpoint: options.endpoint.as_deref(),
        fips: options.fips,
        dual_stack: options.dual_stack,
        no_verify_ssl: options.no_verify_ssl,
    };
    let endpoint = Endpoint::choose(&choice, &options.environment, region)?;
    let proxy = Proxy::choose(&endpoint, &options.environment)?;
    let trust = Trust::choose(options.no_verify_ssl, options.ca_bundle.as_deref(), &options.environment);
    Ok(Target { endpoint, proxy, trust })
}

/// The server's time as far as its answer tells it, else this machine's.
fn server_time(cause: &Cause) -> Timestamp {
    let now = Timestamp::now();
    match cause {
        Cause::Service(error) => error.clock.map_or(now, |clock| clock.correct(now)),
        _ => now,
    }
}

/// A number in [0, 1), from the system's randomness. Where that fails, pauses have their mean length.
fn chance() -> f64 {
    let mut octets = [0; 4];
    match aws_lc_rs::rand::fill(&mut octets) {
        Ok(()) => f64::from(u32::from_ne_bytes(octets)) / (f64::from(u32::MAX) + 1.0),
        Err(_) => 0.5,
    }
}

#[cfg(test)]
mod tests;
