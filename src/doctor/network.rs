//! The way to the endpoint: trust, name, connection, tunnel, TLS, answer.

use super::check::Check;
use super::clock;
use super::fact::NetworkFact;
use super::finding::{Finding, Standing};
use crate::rolesanywhere::{NetworkLandmark, NetworkStage, NetworkStep, Probe, RequestError};

/// Domains of AWS's endpoints, whose certificates come from Amazon's own CAs.
const AWS_DOMAINS: [&str; 7] = [
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".api.aws",
    ".api.amazonwebservices.com.cn",
    ".amazonaws.eu",
    ".api.amazonwebservices.eu",
    ".c2s.ic.gov",
];

/// Goes the way. The answer's date is the clock's check.
pub fn check(probe: Result<Option<Probe>, RequestError>) -> Vec<Finding> {
    let endpoint = |standing, fact| Finding::new(Check::NetworkEndpoint, standing, fact);
    let probe = match probe {
        Ok(Some(probe)) => probe,
        Ok(None) => return vec![endpoint(Standing::Skipped, NetworkFact::NoRegion)],
        Err(error) => return vec![endpoint(Standing::Bad, NetworkFact::Refused(error))],
    };
    let whither = NetworkFact::Endpoint { url: probe.url(), proxy: probe.proxy() };
    let mut findings = vec![endpoint(Standing::Good, whither)];
    let (steps, stages) = (probe.go(), probe.stages());
    let unreached = stages.get(steps.len()..).unwrap_or_default();
    findings.extend(steps.into_iter().flat_map(|step| judged(step, probe.host())));
    if let Some(failed) = findings.last().map(|finding| finding.check)
        && !findings.iter().any(|finding| finding.check == Check::Clock)
    {
        findings.extend(unreached.iter().map(|stage| Finding::awaits(of(*stage), failed)));
        findings.push(Finding::awaits(Check::Clock, failed));
    }
    findings
}

fn of(stage: NetworkStage) -> Check {
    match stage {
        NetworkStage::Trust => Check::NetworkTrust,
        NetworkStage::Name => Check::NetworkName,
        NetworkStage::Connection => Check::NetworkConnection,
        NetworkStage::Tunnel => Check::NetworkTunnel,
        NetworkStage::Tls => Check::NetworkTls,
        NetworkStage::Answer => Check::NetworkAnswer,
    }
}

fn judged(step: NetworkStep, host: &str) -> Vec<Finding> {
    let check = of(step.stage);
    let found = |standing, landmark| vec![Finding::new(check, standing, NetworkFact::Found(landmark))];
    match step.outcome {
        Err(error) => vec![Finding::new(check, Standing::Bad, NetworkFact::Failed(error))],
        Ok(landmark @ NetworkLandmark::TrustsEverybody) => found(Standing::Note, landmark),
        Ok(NetworkLandmark::Tls { issuer, .. }) if is_intercepted(host, &issuer) => {
            vec![Finding::new(check, Standing::Note, NetworkFact::Intercepted { issuer })]
        }
        Ok(NetworkLandmark::Answer { status, seconds_ahead }) => {
            let mut findings = found(Standing::Good, NetworkLandmark::Answer { status, seconds_ahead });
            findings.push(clock::check(seconds_ahead));
            findings
        }
        Ok(landmark) => found(Standing::Good, landmark),
    }
}

/// Who breaks TLS open between here and AWS issues certificates for AWS's hosts.
fn is_intercepted(host: &str, issuer: &str) -> bool {
    AWS_DOMAINS.iter().any(|domain| host.ends_with(domain)) && !issuer.contains("O=Amazon")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amazons_hosts_have_amazons_certificates() {
        let host = "rolesanywhere.eu-central-1.amazonaws.com";
        assert!(!is_intercepted(host, "CN=Amazon RSA 2048 M01,O=Amazon,C=US"));
        assert!(is_intercepted(host, "CN=Example Corp Web Gateway,O=Example Corp"));
        assert!(!is_intercepted("sandbox.example", "CN=keyanchor sandbox"));
    }
}
