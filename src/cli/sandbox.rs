//! `keyanchor sandbox`: flags, and the two lines that tell clients where the service is.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgAction::Set;

use super::values::{SWITCH, switch};
use super::words::listen_hint;
use super::{Failure, FailureKind};
use crate::sandbox::{self, Announcement, Fault, Options, SandboxError};

const LONG_ABOUT: &str = "\
Run a local Roles Anywhere service that verifies requests

Serves CreateSession and STS GetCallerIdentity over TLS until SIGINT or SIGTERM. Every request is verified as AWS documents:
signature, signed headers, serial number, scope, clock, chain, certificate rules, parameters. A refusal is as terse as AWS's;
the precise reason is in the log on stderr, one line per request. What is vended is worth nothing and says so.

When it listens, it prints where, and where the certificate of its TLS authority is (made anew at each start):

    endpoint: https://127.0.0.1:PORT
    ca: /tmp/keyanchor-sandbox-…/ca.pem

Give these to a client as --endpoint (or AWS_ENDPOINT_URL) and AWS_CA_BUNDLE.";

const FAULTS: &str = "\
Go wrong on purpose, COUNT times or always, from request FROM on; repeatable, one after the other

503:3@2 answers the second, third and fourth CreateSession with 503. Handshakes have numbers of their own.
Requests are verified and logged all the same. KIND is one of

    400…599         an error of this status, in AWS's form
    html-403        a 403 with a page of HTML
    redirect        a 302 to another host
    redirect-307    a 307 to another host
    malformed       a 201 whose JSON ends too early
    empty           a 201 without credentials
    missing-fields  a 201 with an access key id alone
    truncated       a 201 that breaks off
    endless         a 201 that does not end
    close           the connection is closed without an answer
    hang            no answer comes
    hang-tls        the TLS handshake is not answered
    close-tls       the connection is closed right after the TLS handshake
    clock:SECONDS   the service's clock and Date header are off (+600, -600)";

const EXAMPLES: &str = "\
Examples:
  A service at a fixed place that trusts your CA:
    keyanchor sandbox --trust-anchor ca.pem --listen 127.0.0.1:8443 --ca-out sandbox-ca.pem
  A credential from it, in another shell:
    keyanchor credential-process --identity web \\
        --endpoint https://127.0.0.1:8443 --ca-bundle sandbox-ca.pem
  A service that is away for the first three requests:
    keyanchor sandbox --trust-anchor ca.pem --fault 503:3";

/// Run a local Roles Anywhere service that verifies requests
#[derive(clap::Args)]
#[command(long_about = LONG_ABOUT, after_help = EXAMPLES)]
pub struct Args {
    /// Certificates (PEM) that requests must chain to; repeatable
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    trust_anchor: Vec<PathBuf>,

    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0", value_parser = address)]
    listen: SocketAddr,

    /// Write the TLS authority's certificate here [default: a private folder, removed at the end]
    #[arg(long, value_name = "FILE")]
    ca_out: Option<PathBuf>,

    /// The endpoint's region [default: whatever region a request is signed for]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,

    /// A trust anchor that exists; repeatable [default: any]
    #[arg(long, value_name = "ARN")]
    trust_anchor_arn: Vec<String>,

    /// A profile that exists; repeatable [default: any]
    #[arg(long, value_name = "ARN")]
    profile_arn: Vec<String>,

    /// A role that can be assumed; repeatable [default: any]
    #[arg(long, value_name = "ARN")]
    role_arn: Vec<String>,

    /// Let requests set roleSessionName, as a profile's acceptRoleSessionName does
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH)]
    accept_role_session_name: bool,

    /// The profile's session duration, which a request can only shorten
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(900..=43200))]
    profile_duration: u32,

    /// The role's MaxSessionDuration
    #[arg(long, value_name = "SECONDS", default_value_t = 43200, value_parser = clap::value_parser!(u32).range(3600..=43200))]
    max_session_duration: u32,

    /// Vend credentials that live this long, whatever was asked for
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=43200))]
    lifetime: Option<u32>,

    /// Go wrong on purpose, COUNT times or always, from request FROM on; repeatable, one after the other
    #[arg(long, value_name = "KIND[:COUNT][@FROM]", long_help = FAULTS)]
    fault: Vec<Fault>,

    /// Wait this long before each answer
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=3_600_000))]
    delay: u64,
}

/// Serves until a signal ends it.
pub fn run(args: Args) -> Result<(), Failure> {
    sandbox::run(Options::from(args), announce).map_err(failure)
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "wanted ADDRESS:PORT, such as 127.0.0.1:8443".to_owned())
}

/// The lines are flushed: who started the service waits for them.
fn announce(announcement: &Announcement<'_>) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "endpoint: {}\nca: {}", announcement.endpoint, announcement.ca.display())?;
    stdout.flush()
}

impl From<Args> for Options {
    fn from(args: Args) -> Self {
        Self {
            listen: args.listen,
            ca_out: args.ca_out,
            trust_anchors: args.trust_anchor,
            region: args.region.filter(|region| !region.is_empty()),
            trust_anchor_arns: non_empty(args.trust_anchor_arn),
            profile_arns: non_empty(args.profile_arn),
            role_arns: non_empty(args.role_arn),
            accept_role_session_name: args.accept_role_session_name,
            profile_duration_seconds: args.profile_duration,
            max_session_duration_seconds: args.max_session_duration,
            lifetime_seconds: args.lifetime,
            faults: args.fault,
            delay: Duration::from_millis(args.delay),
        }
    }
}

/// An empty value counts as unset, as for every flag.
fn non_empty(values: Vec<String>) -> Vec<String> {
    values.into_iter().filter(|value| !value.is_empty()).collect()
}

fn failure(error: SandboxError) -> Failure {
    let kind = match &error {
        SandboxError::TrustAnchor(..) => FailureKind::Certificate,
        SandboxError::Listen(..) => FailureKind::Network,
        SandboxError::CaFile(_) | SandboxError::Authority | SandboxError::Announce(_) => FailureKind::Other,
    };
    let failure = Failure::new(kind, error.to_string());
    let hint = match &error {
        SandboxError::Listen(address, source) => listen_hint(*address, source.kind(), "--listen"),
        _ => None,
    };
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}
