//! A local Roles Anywhere service that verifies what the real one documents. Shares no canonicalising or verifying code with
//! the signer, so that a mistake cannot cancel itself out.
//!
//! ```text
//! server ─▶ service ─▶ create_session ─▶ authorization, canonical, signature   who asks
//!   TLS      routes,        │            parameters                            for what
//!            faults,        │            certificate, chain                    may they
//!            log            └─▶ vended ◀─ sts                                  what was given, and to whom
//! ```

mod answer;
mod arrived;
mod authority;
mod authorization;
mod ca_file;
mod canonical;
mod certificate;
mod chain;
mod create_session;
mod fault;
mod journal;
mod parameters;
mod refusal;
mod server;
mod service;
mod signature;
mod sts;
#[cfg(test)]
mod tests;
mod vended;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use authority::ServerIdentity;
use ca_file::CaFile;
use certificate::Certificate;
use create_session::Policy;
pub use fault::{Fault, FaultError, FaultKind};
use server::Server;
use service::Service;

use crate::files;

/// Longest bundle of trust anchors: AWS takes a fifth of it.
const LONGEST_BUNDLE: usize = 1 << 20;

/// How the service shall be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the CA certificate of the TLS server is written; else into a private folder that is removed at the end.
    pub ca_out: Option<PathBuf>,
    /// PEM files of the trust anchors' certificates.
    pub trust_anchors: Vec<PathBuf>,
    /// The region of the endpoint; without one it stands in for every region.
    pub region: Option<String>,
    /// The trust anchors that exist; empty: any.
    pub trust_anchor_arns: Vec<String>,
    /// The profiles that exist; empty: any.
    pub profile_arns: Vec<String>,
    /// The roles that can be assumed; empty: any.
    pub role_arns: Vec<String>,
    /// The profiles' `acceptRoleSessionName`.
    pub accept_role_session_name: bool,
    /// The profiles' `durationSeconds`.
    pub profile_duration_seconds: u32,
    /// The roles' `MaxSessionDuration`.
    pub max_session_duration_seconds: u32,
    /// How long credentials are valid whatever was asked for.
    pub lifetime_seconds: Option<u32>,
    /// What goes wrong on purpose.
    pub faults: Vec<Fault>,
    /// How long to wait before each answer.
    pub delay: Duration,
}

/// What clients need to know, once the service listens.
#[derive(Debug)]
pub struct Announcement<'a> {
    /// The URL for `--endpoint`.
    pub endpoint: &'a str,
    /// The file for AWS_CA_BUNDLE.
    pub ca: &'a Path,
}

/// Why the service cannot run.
#[derive(Debug)]
pub enum SandboxError {
    /// A trust anchor file cannot be read or holds none: which, and what was wanted and found.
    TrustAnchor(PathBuf, String),
    /// The address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// The CA certificate cannot be written.
    CaFile(io::Error),
    /// Keys for TLS could not be made.
    Authority,
    /// The readiness cannot be told.
    Announce(io::Error),
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrustAnchor(path, reason) => write!(f, "trust anchor {}: {reason}", path.display()),
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::CaFile(error) => write!(f, "cannot write the CA certificate (--ca-out names its place): {error}"),
            Self::Authority => f.write_str("cannot make a key and certificates for TLS"),
            Self::Announce(error) => write!(f, "cannot write to stdout: {error}"),
        }
    }
}

impl std::error::Error for SandboxError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen(_, error) | Self::CaFile(error) | Self::Announce(error) => Some(error),
            Self::TrustAnchor(..) | Self::Authority => None,
        }
    }
}

/// Serves until SIGINT or SIGTERM. Calls `announce` once, when connections are taken.
pub fn run(options: Options, announce: impl FnOnce(&Announcement<'_>) -> io::Result<()>) -> Result<(), SandboxError> {
    let mut trust_anchors = Vec::new();
    for path in &options.trust_anchors {
        let certificates =
            read_trust_anchors(path).map_err(|reason| SandboxError::TrustAnchor(path.clone(), reason))?;
        trust_anchors.extend(certificates);
    }
    let listen = options.listen;
    let service = Arc::new(service(options.clone(), trust_anchors));
    let identity = ServerIdentity::generate(listen.ip()).map_err(|_| SandboxError::Authority)?;
    let ca = CaFile::write(options.ca_out.as_deref(), &identity.ca_pem).map_err(SandboxError::CaFile)?;
    let listening = |error| SandboxError::Listen(listen, error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(listening)?;
    runtime.block_on(async {
        let server = Server::bind(listen, identity).await.map_err(listening)?;
        let endpoint = endpoint(server.address().map_err(listening)?);
        announce(&Announcement { endpoint: &endpoint, ca: ca.path() }).map_err(SandboxError::Announce)?;
        server.serve(service).await;
        Ok(())
    })
}

/// The URL for clients on this machine.
fn endpoint(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("https://localhost:{}", address.port())
    } else {
        format!("https://{address}")
    }
}

fn service(options: Options, trust_anchors: Vec<Certificate>) -> Service {
    Service {
        policy: Policy {
            trust_anchors,
            region: options.region,
            trust_anchor_arns: options.trust_anchor_arns,
            profile_arns: options.profile_arns,
            role_arns: options.role_arns,
            accept_role_session_name: options.accept_role_session_name,
            profile_duration_seconds: options.profile_duration_seconds,
            max_session_duration_seconds: options.max_session_duration_seconds,
            lifetime_seconds: options.lifetime_seconds,
        },
        faults: fault::FaultPlan::new(options.faults),
        delay: options.delay,
        ledger: vended::Ledger::default(),
        requests: Default::default(),
        vended: Default::default(),
    }
}

/// The certificates of a bundle; each must be one that Roles Anywhere accepts as a trust anchor's.
fn read_trust_anchors(path: &Path) -> Result<Vec<Certificate>, String> {
    let pem = files::read_octets(path, LONGEST_BUNDLE).map_err(|error| error.to_string())?;
    let mut anchors = Vec::new();
    for der in CertificateDer::pem_slice_iter(&pem) {
        let der = der.map_err(|error| format!("wanted certificates in PEM, found {error}"))?;
        let anchor = Certificate::from_der(&der).map_err(|flaw| flaw.to_string())?;
        anchor.require_authority_form().map_err(|flaw| flaw.to_string())?;
        anchors.push(anchor);
    }
    if anchors.is_empty() {
        return Err("wanted certificates in PEM, found none".to_owned());
    }
    Ok(anchors)
}
