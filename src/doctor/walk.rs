//! The whole road in its order: this machine, the identity, what is asked for, the way to the service. Knows no words.

use std::env;

use jiff::Timestamp;

use super::certificate::Lasting;
use super::check::Check;
use super::fact::Fact;
use super::finding::{Finding, Standing};
use super::identity::Walk;
use super::road::Road;
use super::{configuration, environment, network, session};
use crate::key::Devices;
use crate::rolesanywhere::Probe;
use crate::x509::{CertificateError, read_intermediates};

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
