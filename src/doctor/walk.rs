//! The whole road in its order: this machine, the identity, what is asked for, the way to the service. Knows no words.

use std::env;
use std::path::PathBuf;

use jiff::Timestamp;

use super::certificate::Lasting;
use super::finding::{Check, Fact, Finding, Standing};
use super::identity::Walk;
use super::{configuration, environment, network, session};
use crate::config::Location;
use crate::identity::IdentityReference;
use crate::key::{DeviceOptions, Devices};
use crate::rolesanywhere::{ClientOptions, CreateSession, Probe};
use crate::x509::{CertificateError, read_intermediates};

/// What the person named: the road that is walked.
pub struct Road {
    /// Where the configuration file is.
    pub configuration: Option<Location>,
    /// Key and certificate.
    pub identity: Named<IdentityReference>,
    /// How devices are opened.
    pub devices: DeviceOptions,
    /// A file with the trust anchor's certificates, where it is at hand.
    pub trust_anchor: Option<PathBuf>,
    /// What is asked for.
    pub session: Named<CreateSession>,
    /// How the service is reached.
    pub client: Named<ClientOptions>,
    /// Make one signature.
    pub sign: bool,
    /// From so many days before its end, a certificate is to be renewed.
    pub renew_from: u32,
}

/// What flags and configuration file say of something.
pub enum Named<T> {
    /// It is this.
    This(T),
    /// They say nothing.
    Nothing,
    /// They cannot be understood; why not is for who read them to say.
    Misread,
}

impl<T> Named<T> {
    fn this(&self) -> Option<&T> {
        match self {
            Self::This(this) => Some(this),
            Self::Nothing | Self::Misread => None,
        }
    }
}

/// Walks it. Nothing is changed; without `sign` nobody logs in, and no secret is asked for. The devices are the caller's to
/// close, after the findings are told.
pub fn walk(road: Road, devices: &mut Devices, now: Timestamp) -> Result<Vec<Finding>, CertificateError> {
    let lasting = Lasting { now, renew_from: road.renew_from };
    let anchors = road.trust_anchor.as_deref().map(read_intermediates).transpose()?;
    let mut findings = configuration::check(road.configuration.as_ref(), road.identity.this().is_none());
    findings.extend(environment::check(|name| env::var_os(name)));
    match road.identity.this() {
        Some(identity) => {
            let walk = Walk { identity, options: &road.devices, sign: road.sign, anchors: anchors.as_deref(), lasting };
            findings.push(Finding::new(Check::Identity, Standing::Good, Fact::Identity(Box::new(identity.clone()))));
            findings.extend(walk.go(devices));
        }
        None => findings.extend(nobody(unusable(&findings))),
    }
    let region = road.client.this().and_then(|options| options.region.as_deref());
    findings.extend(session::check(&road.session, region));
    match road.client.this() {
        Some(options) => findings.extend(network::check(Probe::new(road.session.this(), options))),
        None => findings.push(Finding::new(Check::NetworkEndpoint, Standing::Bad, Fact::Misread)),
    }
    Ok(findings)
}

/// The configuration file, where that is why nothing is named.
fn unusable(findings: &[Finding]) -> Option<Check> {
    let is_it = |finding: &&Finding| finding.check == Check::ConfigurationFile && finding.standing == Standing::Bad;
    findings.iter().find(is_it).map(|finding| finding.check)
}

/// What cannot be looked at where nobody says which key is meant.
fn nobody(earlier: Option<Check>) -> impl Iterator<Item = Finding> {
    let misread = match earlier {
        Some(earlier) => Finding::awaits(Check::Identity, earlier),
        None => Finding::new(Check::Identity, Standing::Bad, Fact::Misread),
    };
    let waiting = [Check::DeviceLibrary, Check::CertificateFound, Check::KeyFound, Check::KeySignature]
        .map(|check| Finding::awaits(check, Check::Identity));
    [misread].into_iter().chain(waiting)
}
