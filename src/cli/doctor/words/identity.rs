//! Certificate, key and chain.

use super::{Words, listed};
use crate::cli::{Failure, FailureKind};
use crate::doctor::certificate::{CertificateFact, Validity};
use crate::doctor::chain::ChainFact;
use crate::doctor::key::KeyFact;
use crate::identity::IdentityReference;
use crate::x509::requirements::Violation;

/// Where a certificate that AWS does not take is exchanged.
const ANOTHER: &str = "have another issued; the request for it: keyanchor csr --help";

/// Where one is exchanged that ends.
const RENEW: &str = "renew it: keyanchor renew --help";

pub(super) fn named(reference: &IdentityReference) -> Words {
    let part = |what: &str, text: Option<String>| text.map(|text| format!("{what} {text}"));
    let parts = [
        part("key", reference.key.as_ref().map(ToString::to_string)),
        part("certificate", reference.certificate.as_ref().map(ToString::to_string)),
        part("intermediates", reference.intermediates.as_ref().map(|path| path.display().to_string())),
    ];
    Words::new(listed(&parts.into_iter().flatten().collect::<Vec<_>>()))
}

pub(super) fn certificate(fact: CertificateFact) -> Words {
    match fact {
        CertificateFact::Found { subject, serial } => {
            Words::new(format!("{subject}, serial {serial}")).detail("subject", subject).detail("serial", serial)
        }
        CertificateFact::Hidden(error) => {
            Words::new(format!("{error}; the token shows more after a login")).mend("log in and look again: add --sign")
        }
        CertificateFact::Unusable(error) => Words::from(Failure::from(error)),
        CertificateFact::Meets(requirement) => Words::new(requirement.to_string()),
        CertificateFact::Valid(validity) => valid(&validity),
        CertificateFact::Violates(violation) => {
            let mend = match violation {
                Violation::Expired { .. } => RENEW,
                Violation::NotYetValid { .. } => "check this machine's clock: timedatectl status",
                _ => ANOTHER,
            };
            Words::new(violation.to_string()).kind(FailureKind::Certificate).mend(mend)
        }
    }
}

fn valid(validity: &Validity) -> Words {
    let Validity { until, days_left } = validity;
    let words = Words::new(format!("valid until {until}, {days_left} days from now"))
        .detail("until", until.to_string())
        .detail("days_left", *days_left);
    if *days_left < 14 { words.mend(RENEW) } else { words }
}

pub(super) fn key(fact: KeyFact) -> Words {
    match fact {
        KeyFact::Found { reference, algorithm } => {
            let kind = algorithm.map_or_else(|| "of a type that is not shown".to_owned(), |it| it.to_string());
            Words::new(format!("{reference}, {kind}")).detail("reference", reference)
        }
        KeyFact::NeedsLogin => {
            Words::new("needs login: the token shows private keys after one only").mend("run with --sign")
        }
        KeyFact::Unusable(error) | KeyFact::Mismatch(error) => Words::from(Failure::from(error)),
        KeyFact::Certified => Words::new("the certificate is for this key"),
        KeyFact::TakenOnTrust => {
            Words::new("the device shows no public key to compare; the identifiers agree").mend("run with --sign")
        }
        KeyFact::Signed { took } => Words::new(format!("made and verified one signature in {} ms", took.as_millis()))
            .detail("milliseconds", u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        KeyFact::DidNotSign(error) => Words::from(Failure::from(error)),
    }
}

pub(super) fn chain(fact: ChainFact) -> Words {
    let words = match fact {
        ChainFact::Path { sent, root, missing, left_out } => path(&sent, root, missing, left_out),
        ChainFact::WrongIssuer { issuer, subject } => {
            Words::new(format!("the certificate {issuer} that was found did not sign {subject}: it is of another key"))
                .mend("give the one that did: --intermediates FILE")
        }
        ChainFact::Strangers { wanted, named } => {
            Words::new(format!("wanted the issuer {wanted}, found none of {named} intermediates on the path"))
                .mend("give those between the leaf and the trust anchor: --intermediates FILE")
        }
        ChainFact::Unusable(error) => return Words::from(Failure::from(error)),
        ChainFact::Anchored { anchor } => Words::new(format!("the path ends at the trust anchor {anchor}")),
        ChainFact::NotAnchored { missing, anchors } => Words::new(format!(
            "the path ends before {missing}, and the trust anchor is {}: what is between is missing, or it is another CA's",
            listed(&anchors)
        ))
        .mend("give what is missing: --intermediates FILE"),
        ChainFact::Valid { first } => valid(&first),
        ChainFact::Doubtful { subject, violations } => {
            Words::new(format!("AWS may refuse the intermediate certificate {subject}: {}", listed(&violations)))
                .mend("have the CA's newer one: --intermediates FILE")
        }
    };
    words.kind(FailureKind::Certificate)
}

fn path(sent: &[String], root: Option<String>, missing: Option<String>, left_out: usize) -> Words {
    let sends = if sent.is_empty() {
        "the leaf alone is sent".to_owned()
    } else {
        format!("sent with the leaf: {}", listed(sent))
    };
    let rest = if left_out == 0 {
        String::new()
    } else {
        format!("; {left_out} certificates that are not on the path stay here")
    };
    let words = match (root, missing) {
        (Some(root), _) => Words::new(format!("{sends}; the path ends in the root {root}{rest}")),
        (None, Some(missing)) => {
            Words::new(format!("{sends}; the path ends before {missing}, which must be the trust anchor{rest}"))
                .mend("where it is not, give what is missing with --intermediates FILE; --trust-anchor FILE makes sure")
        }
        (None, None) => Words::new(format!("{sends}{rest}")),
    };
    words.detail("sent", sent.to_vec())
}
