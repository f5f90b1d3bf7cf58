//! Facts in words, with the commands that mend them: a file for each part of the road.

mod device;
mod identity;
mod machine;
mod service;

use serde_json::{Map, Value};

use crate::cli::{Failure, FailureKind};
use crate::doctor::{Check, Fact};
use crate::files::shell_word;

/// What is said of a fact.
pub struct Words {
    pub(super) found: String,
    pub(super) mend: Option<String>,
    /// What kind of failure it is, where it is one.
    pub(super) kind: FailureKind,
    pub(super) details: Map<String, Value>,
}

/// Commands that name the same identity again.
#[derive(Default)]
pub struct Remedies {
    /// Renews its certificate.
    pub(super) renew: Option<String>,
}

/// A fact in words.
pub fn of(fact: Fact, remedies: &Remedies) -> Words {
    match fact {
        Fact::Configuration(fact) => machine::configuration(fact),
        Fact::Environment(fact) => machine::environment(fact),
        Fact::Identity(reference) => identity::named(&reference),
        Fact::Device(fact) => device::device(fact),
        Fact::Secret(fact) => device::secret(fact),
        Fact::Certificate(fact) => identity::certificate(fact, remedies),
        Fact::Key(fact) => identity::key(fact),
        Fact::Chain(fact) => identity::chain(fact, remedies),
        Fact::Session(fact) => service::session(fact),
        Fact::Network(fact) => service::network(fact),
        Fact::Clock(fact) => service::clock(fact),
        Fact::Awaits(earlier) => awaits(earlier),
        Fact::Misread => Words::new("flags or configuration file cannot be understood"),
    }
}

/// Where to look when the fact itself tells no remedy.
pub fn look(check: Check) -> Option<&'static str> {
    Some(match check {
        Check::Identity => "see the flags that name them: keyanchor doctor --help",
        Check::DeviceFile => "name the file that holds the key: --private-key FILE",
        Check::DeviceLibrary => "name it with --pkcs11-lib; see what is configured: p11-kit list-modules",
        Check::DeviceStart | Check::DeviceToken => "see what is configured: p11-kit list-modules",
        Check::DeviceReach => "see which there are: ls -l /dev/tpm*",
        Check::CertificateFound => "name what holds it: --certificate FILE, or --certificate 'pkcs11:token=NAME'",
        Check::KeyFound | Check::KeyCertificate => "see which there are: keyanchor list",
        Check::KeySignature => "see what the device is asked: add --verbose",
        Check::ChainPath => "give those between the leaf and the trust anchor: --intermediates FILE",
        Check::SessionArns => {
            "see which there are: aws rolesanywhere list-trust-anchors, aws rolesanywhere list-profiles"
        }
        Check::NetworkEndpoint => "see the flags that choose it: keyanchor doctor --help",
        Check::NetworkConnection | Check::NetworkTls | Check::NetworkAnswer => {
            "see what answers there: curl -v ENDPOINT"
        }
        _ => return None,
    })
}

/// Not looked at.
pub fn awaits(earlier: Check) -> Words {
    Words::new(format!("waits for {}", earlier.name()))
}

impl Words {
    fn new(found: impl Into<String>) -> Self {
        Self { found: found.into(), mend: None, kind: FailureKind::Other, details: Map::new() }
    }

    /// The command that mends it.
    fn mend(self, command: impl Into<String>) -> Self {
        Self { mend: Some(command.into()), ..self }
    }

    fn kind(self, kind: FailureKind) -> Self {
        Self { kind, ..self }
    }

    fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}

impl From<Failure> for Words {
    fn from(failure: Failure) -> Self {
        let words = Self::new(failure.to_string()).kind(failure.kind());
        match failure.hint() {
            Some(hint) => words.mend(hint),
            None => words,
        }
    }
}

/// A path as a word of a command.
fn word(path: &std::path::Path) -> String {
    shell_word(&path.display().to_string())
}

fn listed<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
