//! What `serve` is told: addresses, limits, roles, consumers; and which addresses it may listen on. Pure.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::super::source::Vend;

/// The port that the peer listens on, so that an existing configuration goes on working.
pub const DEFAULT_PORT: u16 = 9911;

/// The addresses beside loopback to which SDKs send container credentials requests over plain HTTP: those of the ECS
/// agent and of the EKS Pod Identity agent.
const LINK_LOCAL: [Ipv4Addr; 2] = [Ipv4Addr::new(169, 254, 170, 2), Ipv4Addr::new(169, 254, 170, 23)];

/// How to serve.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 lets the system choose. Only what [`Surface::of`] allows.
    pub listen: Vec<SocketAddr>,
    /// Sockets that somebody else has opened, whose clients are answered too; the same addresses are allowed.
    pub given: Vec<Arc<TcpListener>>,
    /// Where to answer `/healthz`, `/readyz` and `/metrics`; any address, since these hold no credentials.
    pub status_listen: Option<SocketAddr>,
    /// IP time to live (IPv6: hop limit) of the answers; 1 keeps them on this machine and one bridge away from it.
    pub hop_limit: NonZeroU8,
    /// Whether there is no IMDS, so that nobody gets anything without a consumer's token.
    pub containers_only: bool,
    /// Name of the role that IMDS shows; the first role where it is absent.
    pub imds_role: Option<String>,
    /// Whether to serve even though the first refresh failed.
    pub keep_trying: bool,
    /// How long a consumer's token is handed out before it is replaced.
    pub token_lifetime: Duration,
    /// How long a replaced token is still taken.
    pub token_overlap: Duration,
    /// Bounds on what clients may take.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT))],
            given: Vec::new(),
            status_listen: None,
            hop_limit: NonZeroU8::MIN.saturating_add(63),
            containers_only: false,
            imds_role: None,
            keep_trying: false,
            token_lifetime: Duration::from_secs(12 * 3600),
            token_overlap: Duration::from_secs(300),
            limits: Limits::default(),
        }
    }
}

/// Bounds on what clients may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time, those of the status listener not counted; more wait to be accepted.
    pub connections: usize,
    /// From the first octet of a request to the end of its head.
    pub head_time: Duration,
    /// From one request to the next; shortened to `head_time` while all connections are taken.
    pub idle_time: Duration,
    /// Octets of a request's head; at least 8192.
    pub head_octets: usize,
    /// Header fields of a request.
    pub headers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2048,
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            head_octets: 16 * 1024,
            headers: 64,
        }
    }
}

/// Says when to refresh. Pure but for its jitter: the clock is passed in.
pub trait Pace: Send {
    /// When to refresh after credentials were got at `now` that are good until `expires`.
    fn succeeded(&mut self, now: Timestamp, expires: Timestamp) -> Timestamp;
    /// When to try again after a failure at `now`.
    fn failed(&mut self, now: Timestamp) -> Timestamp;
}

/// A role to serve.
pub struct RoleSource {
    /// Its ARN; what follows the last `/` is its name.
    pub role_arn: String,
    /// The region that `placement/region` tells.
    pub region: String,
    /// Gets its credentials.
    pub vend: Box<dyn Vend>,
    /// Says when to get them again.
    pub pace: Box<dyn Pace>,
}

/// A workload that gets the credentials of one role by a token of its own.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Its name in the configuration.
    pub name: String,
    /// Name or ARN of its role.
    pub role: String,
    /// Where its token is put, in a directory that is made 0700 where it does not exist.
    pub token_file: PathBuf,
}

/// What an address may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// IMDSv2 and container credentials.
    Everything,
    /// Container credentials only, for which a consumer's token is needed.
    Containers,
}

impl Surface {
    /// What may be served on the address, or why nothing may: on a link-local one, whoever can route to it could otherwise take
    /// the IMDS role's credentials.
    pub fn of(address: IpAddr, has_consumers: bool) -> Result<Self, String> {
        if address.is_loopback() {
            return Ok(Self::Everything);
        }
        if !LINK_LOCAL.iter().any(|allowed| IpAddr::V4(*allowed) == address) {
            return Err(format!(
                "wanted a loopback address, 169.254.170.2 or 169.254.170.23 to listen on, found {address}: others on the \
                 network could ask for credentials there"
            ));
        }
        if !has_consumers {
            return Err(format!(
                "wanted at least one consumer to listen on {address}: what is served there needs a consumer's token"
            ));
        }
        Ok(Self::Containers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_served_and_link_local_only_to_consumers() {
        for loopback in ["127.0.0.1", "127.9.9.9", "::1"] {
            assert_eq!(Surface::of(loopback.parse().unwrap(), false), Ok(Surface::Everything), "{loopback}");
        }
        for link_local in ["169.254.170.2", "169.254.170.23"] {
            assert_eq!(Surface::of(link_local.parse().unwrap(), true), Ok(Surface::Containers), "{link_local}");
            let refusal = Surface::of(link_local.parse().unwrap(), false).unwrap_err();
            assert!(refusal.contains("consumer"), "{refusal}");
        }
    }

    #[test]
    fn any_other_address_is_refused_with_the_reason() {
        for other in ["0.0.0.0", "::", "192.168.1.2", "169.254.169.254", "169.254.170.3", "fd00:ec2::23", "8.8.8.8"] {
            let refusal = Surface::of(other.parse().unwrap(), true).unwrap_err();
            assert!(refusal.contains(other) && refusal.contains("network"), "{refusal}");
        }
    }

    #[test]
    fn defaults_are_those_of_the_peer() {
        let options = Options::default();
        assert_eq!(options.listen, ["127.0.0.1:9911".parse().unwrap()]);
        assert_eq!(options.hop_limit.get(), 64);
    }
}
