//! Turns the library's errors into what a person reads: the kind and so the exit code, the message, the hint.

mod advice;
mod authority;
mod renew;
mod setup;

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};

pub use advice::remedy;
pub use authority::authority_failure;
pub use setup::{entry, process_line, profile};

use super::{Failure, FailureKind};
use crate::config::{ConfigError, ConfigErrorKind};
use crate::identity::IdentityError;
use crate::key::{KeyError, KeyErrorKind};
use crate::rolesanywhere::{Cause, ClientError, ConnectionErrorKind, Meaning, RequestError, ServiceError};
use crate::session::SessionError;
use crate::vend::server::ServeError;
use crate::x509::{CertificateError, CertificateErrorKind, SyntaxError};

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        let kind = match error.kind() {
            KeyErrorKind::Reference => FailureKind::Usage,
            KeyErrorKind::SecretMissing | KeyErrorKind::SecretWrong | KeyErrorKind::SecretLocked => FailureKind::Secret,
            _ => FailureKind::Key,
        };
        let failure = Self::new(kind, with_sources(&error));
        match (error.advice(), error.kind()) {
            (Some(advice), _) => failure.with_hint(remedy(advice)),
            (None, KeyErrorKind::Timeout) => {
                failure.with_hint("allow the device more time with --token-timeout SECONDS")
            }
            (None, _) => failure,
        }
    }
}

impl From<CertificateError> for Failure {
    fn from(error: CertificateError) -> Self {
        if error.kind() == CertificateErrorKind::Unnamed {
            let hint = "name it: --certificate FILE, or 'pkcs11:token=NAME;object=LABEL' where it is on a token";
            return Self::new(FailureKind::Usage, with_sources(&error)).with_hint(hint);
        }
        let failure = Self::new(FailureKind::Certificate, with_sources(&error));
        match error.advice() {
            Some(advice) => failure.with_hint(remedy(advice)),
            None => failure,
        }
    }
}

/// The text stands below the message, with a mark under the character in question.
impl From<SyntaxError> for Failure {
    fn from(error: SyntaxError) -> Self {
        // One character for each, whatever they would do to a terminal.
        let text: String = error.text().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let message = match error.text() {
            "" => error.to_string(),
            _ => format!("{error}\n  {text}\n  {}^", " ".repeat(error.column())),
        };
        Self::new(FailureKind::Usage, message)
    }
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Key(error) => error.into(),
            IdentityError::Certificate(error) => error.into(),
        }
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Identity(error) => error.into(),
            SessionError::Client(error) => error.into(),
        }
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        let failure = Self::new(FailureKind::Usage, with_sources(&error));
        match error.flag() {
            Some(flag) => failure.with_hint(choose(flag)),
            None => failure,
        }
    }
}

/// Where the right value of a flag is found.
fn choose(flag: &str) -> String {
    match flag {
        "--trust-anchor-arn" => "see which there are: aws rolesanywhere list-trust-anchors".to_owned(),
        "--profile-arn" => "see which there are: aws rolesanywhere list-profiles".to_owned(),
        "--role-arn" => "see which there are: aws iam list-roles".to_owned(),
        _ => format!("see {flag} in keyanchor credential-process --help"),
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let failure = Self::new(FailureKind::Usage, error.to_string());
        match error.kind() {
            ConfigErrorKind::Absent => failure.with_hint(
                "name another file with --config, or have one written: keyanchor configure --identity NAME ...",
            ),
            ConfigErrorKind::Unknown { what, known } if !known.is_empty() => {
                failure.with_hint(format!("name one of these: --{what} {}", known.join(&format!(", --{what} "))))
            }
            ConfigErrorKind::Unknown { .. } => {
                failure.with_hint("have one written: keyanchor configure --identity NAME ...")
            }
            ConfigErrorKind::Content => failure,
        }
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let message = error.to_string();
        match error {
            ServeError::Usage(_) => Self::new(FailureKind::Usage, message),
            ServeError::FirstRefresh { role, source } => Self::from(source).in_flag(&format!("role {role}")),
            ServeError::Listen { address, source } => {
                let failure = Self::new(FailureKind::Network, message);
                match listen_hint(address, source.kind(), "--port") {
                    Some(hint) => failure.with_hint(hint),
                    None => failure,
                }
            }
            _ => Self::new(FailureKind::Other, message),
        }
    }
}

/// What is in the way of listening there; `flag` takes another port.
pub fn listen_hint(address: SocketAddr, kind: io::ErrorKind, flag: &str) -> Option<String> {
    let port = address.port();
    match (kind, address.ip()) {
        (io::ErrorKind::AddrInUse, _) => {
            Some(format!("see who listens there: ss -ltnp 'sport = :{port}'; or take another with {flag}"))
        }
        (io::ErrorKind::AddrNotAvailable, IpAddr::V4(ip)) if ip.is_link_local() => {
            Some(format!("sudo ip address add {ip}/32 dev lo"))
        }
        (io::ErrorKind::PermissionDenied, _) => {
            Some("take a port above 1023, or give the service the capability CAP_NET_BIND_SERVICE".to_owned())
        }
        _ => None,
    }
}

impl From<std::convert::Infallible> for Failure {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

/// The message and those of the errors underneath, outermost first.
fn with_sources(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let text = inner.to_string();
        // Libraries often repeat what lies underneath them.
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        source = inner.source();
    }
    message
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let message = with_sources(&error);
        let (kind, hint) = match error.into_cause() {
            Cause::Request(error) => return error.into(),
            Cause::Key(error) => return error.into(),
            Cause::Connection(error) => (FailureKind::Network, reach(error.kind())),
            Cause::Service(error) => (refusal_kind(error.meaning()), understand(&error)),
            Cause::Answer(_) => (FailureKind::Refused, Some(SOMETHING_ELSE)),
        };
        let failure = Self::new(kind, message);
        match hint {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}

/// Where an answer is not the service's.
const SOMETHING_ELSE: &str =
    "something else than AWS may have answered: check --endpoint and the proxy (env | grep -i _proxy)";

/// A service that could not decide is the network's failure; a decision is a refusal.
fn refusal_kind(meaning: Meaning) -> FailureKind {
    match meaning {
        Meaning::ServiceFailure | Meaning::Throttled => FailureKind::Network,
        _ => FailureKind::Refused,
    }
}

fn reach(kind: ConnectionErrorKind) -> Option<&'static str> {
    Some(match kind {
        ConnectionErrorKind::NoSuchName => "check --region and --endpoint; the name must resolve: getent hosts NAME",
        ConnectionErrorKind::NameLookup => "check the machine's name service: resolvectl status",
        ConnectionErrorKind::Unreachable => "check network and proxy: env | grep -i _proxy",
        ConnectionErrorKind::Timeout => {
            "check network and proxy (env | grep -i _proxy), or allow more with --timeout SECONDS"
        }
        ConnectionErrorKind::Proxy => "check HTTPS_PROXY and NO_PROXY: env | grep -i _proxy",
        ConnectionErrorKind::UntrustedIssuer => {
            "trust the issuer, such as that of a TLS proxy, with --ca-bundle FILE or AWS_CA_BUNDLE"
        }
        ConnectionErrorKind::OtherHost => "name the host that the certificate is for with --endpoint",
        ConnectionErrorKind::CertificateTime => "check this machine's clock: timedatectl status",
        ConnectionErrorKind::Protocol => SOMETHING_ELSE,
        ConnectionErrorKind::TrustRoots => {
            "name a PEM file of certificates with --ca-bundle or AWS_CA_BUNDLE; with neither, those of the system are used: \
             sudo apt-get install ca-certificates"
        }
        _ => return None,
    })
}

/// AWS says little; each known message has causes that its users found (IAM Roles Anywhere User Guide, "Troubleshooting").
fn understand(error: &ServiceError) -> Option<&'static str> {
    if error.clock().is_some() {
        return Some("set this machine's clock: timedatectl set-ntp true");
    }
    Some(match error.meaning() {
        Meaning::UntrustedCertificate => {
            "the chain from the leaf must end at the trust anchor: give what is missing with --intermediates FILE, \
             and see what is sent with --verbose"
        }
        Meaning::InsufficientCertificate => {
            "the leaf must be an end-entity certificate with digitalSignature, and valid now: openssl x509 -in FILE -noout \
             -dates -ext keyUsage,basicConstraints"
        }
        Meaning::InvalidSignature => "see what was signed with --debug; a proxy that changes headers breaks signatures",
        Meaning::RequestTime => "check this machine's clock: timedatectl status",
        Meaning::RoleSessionNameNotAllowed => {
            "leave --role-session-name out, or allow it: aws rolesanywhere update-profile --profile-id ID \
             --accept-role-session-name"
        }
        Meaning::DurationTooLong => {
            "ask for less with --session-duration, or raise it: aws iam update-role --role-name NAME \
             --max-session-duration SECONDS"
        }
        Meaning::SessionTags => {
            "values that are not allowed in session tags (such as brackets in a common name) are left out by AWS: change the \
             certificate, or the role's conditions"
        }
        Meaning::RoleNotAssumable => {
            "the role must be in the profile, and its trust policy must allow rolesanywhere.amazonaws.com sts:AssumeRole, \
             sts:TagSession and sts:SetSourceIdentity: aws iam get-role --role-name NAME"
        }
        Meaning::UnknownResource => {
            "trust anchor and profile must exist in this region and account: aws rolesanywhere list-profiles, \
             aws rolesanywhere list-trust-anchors"
        }
        Meaning::Throttled => {
            "CreateSession is limited per certificate and address: ask for longer sessions, less often"
        }
        Meaning::Redirect => "a redirect is not followed with a signed request: give the right --endpoint",
        Meaning::NotTheService => SOMETHING_ELSE,
        Meaning::ServiceFailure => "try again later; AWS tells of its failures at https://health.aws.amazon.com",
        Meaning::InvalidParameter | Meaning::Other => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::x509::Name;

    #[test]
    fn a_fault_in_a_name_is_pointed_at() {
        let error = "CN=M\u{fc}ll\u{1b}er, O=x".parse::<Name>().unwrap_err();
        assert_eq!(
            Failure::from(error).in_flag("--subject").to_string(),
            "--subject: wanted an attribute type as in CN=web-01,O=Example, found a space\n  \
             CN=M\u{fc}ll\u{fffd}er, O=x\n             ^"
        );
    }

    #[test]
    fn an_address_that_cannot_be_had_comes_with_the_command_that_mends_it() {
        let hint = |address: &str, kind| listen_hint(address.parse().unwrap(), kind, "--port");
        let added = hint("169.254.170.2:80", io::ErrorKind::AddrNotAvailable);
        assert_eq!(added.as_deref(), Some("sudo ip address add 169.254.170.2/32 dev lo"));
        assert!(hint("127.0.0.1:9911", io::ErrorKind::AddrInUse).unwrap().contains("'sport = :9911'"));
        assert!(hint("127.0.0.1:80", io::ErrorKind::PermissionDenied).unwrap().contains("CAP_NET_BIND_SERVICE"));
        assert_eq!(hint("127.0.0.1:80", io::ErrorKind::OutOfMemory), None);
    }
}
