//! The issuers: what is sent, whether the path ends at the trust anchor, and how long they last.

use super::certificate::Lasting;
use super::check::Check;
use super::fact::ChainFact;
use super::fact::Validity;
use super::finding::{Finding, Standing};
use crate::identity::IdentityError;
use crate::x509::assessment::{Assessment, Ending, Role};
use crate::x509::requirements::Requirement;
use crate::x509::{Certificate, Chain};

/// Judges a path. `intermediates`: how many certificates were named as such; `anchors`: the trust anchor, where it is known.
pub fn check(
    leaf: &Certificate,
    chain: &Chain,
    intermediates: usize,
    anchors: Option<&[Certificate]>,
    lasting: Lasting,
) -> Vec<Finding> {
    let assessment = Assessment::new(leaf, chain, anchors, lasting.now);
    let mut findings = vec![path(leaf, chain, intermediates)];
    findings.extend(anchored(&assessment.ending, anchors));
    findings.extend(authorities(assessment));
    findings.extend(validity(chain, lasting));
    findings
}

/// No path was found.
pub fn unusable(error: IdentityError) -> Vec<Finding> {
    vec![Finding::new(Check::ChainPath, Standing::Bad, ChainFact::Unusable(error))]
}

/// The last certificate on the path whose issuer is wanted.
fn top<'a>(leaf: &'a Certificate, chain: &'a Chain) -> &'a Certificate {
    chain.certificates.last().unwrap_or(leaf)
}

fn path(leaf: &Certificate, chain: &Chain, intermediates: usize) -> Finding {
    let top = top(leaf, chain);
    let impostor = chain
        .missing
        .as_ref()
        .and_then(|missing| chain.left_out.iter().find(|candidate| candidate.subject().matches(missing)));
    let (standing, fact) = match (impostor, &chain.missing) {
        (Some(impostor), _) => {
            let (issuer, subject) = (impostor.subject().to_string(), top.subject().to_string());
            (Standing::Bad, ChainFact::WrongIssuer { issuer, subject })
        }
        (None, Some(missing)) if intermediates > 0 && chain.certificates.is_empty() => {
            (Standing::Bad, ChainFact::Strangers { wanted: missing.to_string(), named: intermediates })
        }
        (None, missing) => {
            let standing = if missing.is_some() { Standing::Note } else { Standing::Good };
            let path = ChainFact::Path {
                sent: subjects(&chain.certificates),
                root: chain.root.as_ref().map(|root| root.subject().to_string()),
                missing: missing.as_ref().map(ToString::to_string),
                left_out: chain.left_out.len(),
            };
            (standing, path)
        }
    };
    Finding::new(Check::ChainPath, standing, fact)
}

fn anchored(ending: &Ending<'_>, anchors: Option<&[Certificate]>) -> Option<Finding> {
    let (standing, fact) = match ending {
        Ending::Anchored => (Standing::Good, ChainFact::Anchored),
        Ending::Elsewhere(missing) => {
            let anchors = subjects(anchors.unwrap_or_default());
            (Standing::Bad, ChainFact::NotAnchored { missing: missing.to_string(), anchors })
        }
        Ending::SelfSigned => (Standing::Bad, ChainFact::SelfSigned),
        Ending::Root | Ending::Before(_) => return None,
    };
    Some(Finding::new(Check::ChainAnchor, standing, fact))
}

/// Validity is told apart: AWS may know an issuer in a newer certificate.
fn authorities(assessment: Assessment<'_>) -> Option<Finding> {
    let issuers: Vec<_> = assessment.certificates.into_iter().filter(|it| it.role != Role::Leaf).collect();
    let count = issuers.len();
    for issuer in issuers {
        let lasting = issuer.checks.into_iter().filter(|check| check.requirement != Requirement::Validity);
        let violations: Vec<_> = lasting.filter_map(|check| check.violation).collect();
        if !violations.is_empty() {
            let fact = ChainFact::Unfit { subject: issuer.certificate.subject().to_string(), violations };
            return Some(Finding::new(Check::ChainIssuers, Standing::Bad, fact));
        }
    }
    (count > 0).then(|| Finding::new(Check::ChainIssuers, Standing::Good, ChainFact::Authorities(count)))
}

/// The one that ends first, or has ended.
fn validity(chain: &Chain, lasting: Lasting) -> Option<Finding> {
    let first = chain
        .certificates
        .iter()
        .map(|certificate| Validity::at(certificate, lasting.now))
        .min_by_key(|it| it.until)?;
    Some(Finding::new(Check::ChainValidity, lasting.judge(&first), ChainFact::Valid { first }))
}

fn subjects(certificates: &[Certificate]) -> Vec<String> {
    certificates.iter().map(|certificate| certificate.subject().to_string()).collect()
}
