//! Certificate, key and chain.

use super::{Remedies, Words, listed};
use crate::cli::{Failure, FailureKind};
use crate::doctor::fact::ChainFact;
use crate::doctor::fact::KeyFact;
use crate::doctor::fact::{CertificateFact, Validity};
use crate::identity::IdentityReference;
use crate::key::KeyAttributes;
use crate::x509::requirements::Violation;

/// Where a certificate that AWS does not take is exchanged.
const ANOTHER: &str = "have another issued; the request for it: keyanchor csr --help";

/// The command that exchanges one that ends.
fn renewal(remedies: &Remedies) -> String {
    format!("renew it: {}", remedies.renew.as_deref().unwrap_or("keyanchor renew"))
}

pub(super) fn named(reference: &IdentityReference) -> Words {
    let part = |what: &str, text: Option<String>| text.map(|text| format!("{what} {text}"));
    let parts = [
        part("key", reference.key.as_ref().map(ToString::to_string)),
        part("certificate", reference.certificate.as_ref().map(ToString::to_string)),
        part("intermediates", reference.intermediates.as_ref().map(|path| path.display().to_string())),
    ];
    Words::new(listed(&parts.into_iter().flatten().collect::<Vec<_>>()))
}

pub(super) fn certificate(fact: CertificateFact, remedies: &Remedies) -> Words {
    match fact {
        CertificateFact::Found { subject, serial } => {
            Words::new(format!("{subject}, serial {serial}")).detail("subject", subject).detail("serial", serial)
        }
        CertificateFact::Hidden(error) => {
            Words::new(format!("{error}; the token shows more after a login")).mend("log in and look again: add --sign")
        }
        CertificateFact::Unusable(error) => Words::from(Failure::from(error)),
        CertificateFact::Meets(requirement) => Words::new(requirement.to_string()),
        CertificateFact::Valid(validity) => valid(&validity, remedies),
        CertificateFact::Violates(violation) => {
            let mend = match violation {
                Violation::Expired { .. } => renewal(remedies),
                Violation::NotYetValid { .. } => "check this machine's clock: timedatectl status".to_owned(),
                _ => ANOTHER.to_owned(),
            };
            Words::new(violation.to_string()).kind(FailureKind::Certificate).mend(mend)
        }
    }
}

fn valid(validity: &Validity, remedies: &Remedies) -> Words {
    let Validity { until, days_left } = validity;
    let words = match *days_left {
        0.. => Words::new(format!("valid until {until}, {days_left} days from now")),
        _ => Words::new(format!("it ended at {until}")),
    };
    words.detail("until", until.to_string()).detail("days_left", *days_left).mend(renewal(remedies))
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
        KeyFact::PublicHalf { reference, algorithm } => {
            let kind = algorithm.map_or_else(|| "key".to_owned(), |it| it.to_string());
            Words::new(format!("needs login: the public half of {reference} ({kind}) shows, the private one after a login"))
                .mend("run with --sign")
                .detail("reference", reference)
        }
        KeyFact::OtherPublicHalf { reference, fingerprints: [certified, found] } => Words::new(format!(
            "wanted the key of the certificate (SHA-256 fingerprint {certified}), the public key with its CKA_ID is another \
             ({found}), of {reference}"
        ))
        .kind(FailureKind::Key)
        .mend("see what is there: keyanchor list"),
        KeyFact::Attributes(attributes) => protection(&attributes),
        KeyFact::NoAttributes => Words::new("the device does not say whether the key can leave it"),
        KeyFact::Mechanism { name, in_hardware } => {
            let place = if in_hardware { "in hardware" } else { "in the module's software" };
            Words::new(format!("{name}, {place} by its own account")).detail("mechanism", name)
        }
        KeyFact::NoMechanism { algorithm, wanted } => {
            Words::new(format!("wanted {} to sign with a {algorithm} key, the token has none of them", wanted.join(" or ")))
                .kind(FailureKind::Key)
                .mend("make a key of another type: keyanchor generate --algorithm P-256")
        }
        KeyFact::Untold(error) => Words::from(Failure::from(error)),
        KeyFact::Unusable(error) | KeyFact::Mismatch(error) => Words::from(Failure::from(error)),
        KeyFact::Certified => Words::new("the certificate is for this key"),
        KeyFact::TakenOnTrust => {
            Words::new("the device shows no public key to compare; the identifiers agree").mend("run with --sign")
        }
        KeyFact::NotAsked { login: true } => {
            Words::new("not tried: a signature takes a login, and perhaps a touch").mend("add --sign")
        }
        KeyFact::NotAsked { login: false } => {
            Words::new("not tried: a signature may take a password or a touch").mend("add --sign")
        }
        KeyFact::Signed { took } => Words::new(format!("made and verified one signature in {} ms", took.as_millis()))
            .detail("milliseconds", u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        KeyFact::DidNotSign(error) => Words::from(Failure::from(error)),
    }
}

fn protection(attributes: &KeyAttributes) -> Words {
    let words = match (attributes.signs(), attributes.is_exportable(), attributes.never_left()) {
        (Some(false), ..) => Words::new("it may not sign").mend("make one that may: keyanchor generate"),
        (_, Some(true), _) => Words::new("it can leave the device: whoever may use it may copy it")
            .mend("make one that cannot: keyanchor generate"),
        (_, Some(false), Some(true)) => Words::new("it was made on the device and cannot leave it"),
        (_, Some(false), _) => Words::new("it cannot leave the device; whether it was made there is not told"),
        (_, None, _) => Words::new("the device does not say whether it can leave it"),
    };
    let words = words.kind(FailureKind::Key).detail("exportable", attributes.is_exportable());
    words.detail("pin_per_signature", attributes.wants_pin_per_signature())
}

pub(super) fn chain(fact: ChainFact, remedies: &Remedies) -> Words {
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
        ChainFact::Anchored => Words::new("the path ends at the trust anchor"),
        ChainFact::NotAnchored { missing, anchors } => Words::new(format!(
            "the path ends before {missing}, and the trust anchor is {}: what is between is missing, or it is another CA's",
            listed(&anchors)
        ))
        .mend("give what is missing: --intermediates FILE"),
        ChainFact::SelfSigned => {
            Words::new("the certificate signed itself, so that no trust anchor can have issued it").mend(ANOTHER)
        }
        ChainFact::Authorities(1) => Words::new("the issuer that was found is a CA as it must be"),
        ChainFact::Authorities(count) => Words::new(format!("the {count} issuers that were found are CAs as they must be")),
        ChainFact::Unfit { subject, violations } => {
            Words::new(format!("Roles Anywhere does not take the issuer {subject}: {}", listed(&violations)))
                .mend("have the CA's other one: --intermediates FILE")
        }
        ChainFact::Valid { first } => valid(&first, remedies),
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
