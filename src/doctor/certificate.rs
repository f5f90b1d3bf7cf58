//! The certificate against what Roles Anywhere demands, requirement by requirement, and how long it lasts.

use jiff::{SignedDuration, Timestamp};

use super::check::Check;
use super::fact::{CertificateFact, Validity};
use super::finding::{Finding, Standing};
use crate::identity::IdentityError;
use crate::x509::{Certificate, requirements};
use requirements::Requirement;

/// The moment of the check, and what counts as lasting.
#[derive(Clone, Copy, Debug)]
pub struct Lasting {
    /// The moment.
    pub now: Timestamp,
    /// From so many days before its end, a certificate is to be renewed.
    pub renew_from: u32,
}

impl Lasting {
    /// Notes a certificate that does not last.
    pub(super) fn judge(&self, validity: &Validity) -> Standing {
        let wanted = SignedDuration::from_hours(24 * i64::from(self.renew_from));
        if validity.until.duration_since(self.now) < wanted { Standing::Note } else { Standing::Good }
    }
}

impl Validity {
    /// At this moment.
    pub fn at(certificate: &Certificate, now: Timestamp) -> Self {
        let until = certificate.not_after();
        Self { until, days_left: until.duration_since(now).as_hours().div_euclid(24) }
    }
}

/// The checks of a leaf's requirements, in the order of the road.
const REQUIREMENTS: [Check; 7] = [
    Check::CertificateValidity,
    Check::CertificateVersion,
    Check::CertificateSubject,
    Check::CertificateEndEntity,
    Check::CertificateKeyUsage,
    Check::CertificateSignatureHash,
    Check::CertificateKeyType,
];

/// Every requirement at this moment.
pub fn check(leaf: &Certificate, lasting: Lasting) -> Vec<Finding> {
    let found = CertificateFact::Found { subject: leaf.subject().to_string(), serial: leaf.serial_hex() };
    let mut findings = vec![Finding::new(Check::CertificateFound, Standing::Good, found)];
    let checks = requirements::of_leaf(leaf, lasting.now).into_iter();
    findings.extend(checks.filter_map(|checked| {
        let check = of(checked.requirement)?;
        Some(match (checked.violation, check) {
            (Some(violation), _) => Finding::new(check, Standing::Bad, CertificateFact::Violates(violation)),
            (None, Check::CertificateValidity) => {
                let validity = Validity::at(leaf, lasting.now);
                Finding::new(check, lasting.judge(&validity), CertificateFact::Valid(validity))
            }
            (None, _) => Finding::new(check, Standing::Good, CertificateFact::Meets(checked.requirement)),
        })
    }));
    findings
}

/// The check that a leaf's requirement is; `None` for those of CAs.
fn of(requirement: Requirement) -> Option<Check> {
    Some(match requirement {
        Requirement::Validity => Check::CertificateValidity,
        Requirement::Version => Check::CertificateVersion,
        Requirement::Subject => Check::CertificateSubject,
        Requirement::EndEntity => Check::CertificateEndEntity,
        Requirement::DigitalSignature => Check::CertificateKeyUsage,
        Requirement::Hash => Check::CertificateSignatureHash,
        Requirement::Key => Check::CertificateKeyType,
        Requirement::Authority | Requirement::KeyCertSign | Requirement::PathLength | Requirement::ChainLength => {
            return None;
        }
    })
}

/// Why there is no certificate. `hidden`: the token may show more after a login.
pub fn missing(error: IdentityError, hidden: bool) -> Vec<Finding> {
    let found = match hidden {
        true => Finding::new(Check::CertificateFound, Standing::Note, CertificateFact::Hidden(error)),
        false => Finding::new(Check::CertificateFound, Standing::Bad, CertificateFact::Unusable(error)),
    };
    [found].into_iter().chain(await_all(Check::CertificateFound)).collect()
}

/// Nothing could be looked at, because of an earlier check.
pub fn skipped(earlier: Check) -> Vec<Finding> {
    [Finding::awaits(Check::CertificateFound, earlier)].into_iter().chain(await_all(earlier)).collect()
}

fn await_all(earlier: Check) -> impl Iterator<Item = Finding> {
    REQUIREMENTS.into_iter().map(move |check| Finding::awaits(check, earlier))
}
