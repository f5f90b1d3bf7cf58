//! What Roles Anywhere demands of a leaf, of a CA and of the chain between them (AWS user guide, on its trust model), checked before
//! a request is sent: AWS answers each of these with the same refusal.

use std::fmt;

use const_oid::db::rfc5280::{ANY_EXTENDED_KEY_USAGE, ID_KP_CLIENT_AUTH};
use jiff::Timestamp;
use x509_cert::ext::pkix::ExtendedKeyUsage;

use super::certificate::Certificate;
use super::error::{CertificateError, CertificateErrorKind};
use super::signature::SignatureHash;
use crate::key::{Advice, KeyError};

/// Most certificates that Roles Anywhere takes in `X-Amz-X509-Chain`.
pub const MAX_CHAIN: usize = 5;

/// One demand on a certificate. Prints as what is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// It is valid at the moment.
    Validity,
    /// It is of version 3.
    Version,
    /// Its subject is not empty.
    Subject,
    /// It is no CA's.
    EndEntity,
    /// It is a CA's.
    Authority,
    /// keyUsage has digitalSignature.
    DigitalSignature,
    /// keyUsage has keyCertSign.
    KeyCertSign,
    /// No more CAs stand below it than its pathLenConstraint allows.
    PathLength,
    /// No more certificates are sent above the leaf than AWS takes.
    ChainLength,
    /// It was signed over a strong hash.
    Hash,
    /// Its key can sign a request.
    Key,
}

impl Requirement {
    /// A name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Validity => "validity",
            Self::Version => "version",
            Self::Subject => "subject",
            Self::EndEntity => "endEntity",
            Self::Authority => "authority",
            Self::DigitalSignature => "digitalSignature",
            Self::KeyCertSign => "keyCertSign",
            Self::PathLength => "pathLength",
            Self::ChainLength => "chainLength",
            Self::Hash => "hash",
            Self::Key => "key",
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Validity => "valid now",
            Self::Version => "X.509 version 3",
            Self::Subject => "a subject that names something",
            Self::EndEntity => "an end-entity certificate",
            Self::Authority => "a CA certificate (basicConstraints CA:TRUE)",
            Self::DigitalSignature => "keyUsage with digitalSignature",
            Self::KeyCertSign => "keyUsage with keyCertSign",
            Self::PathLength => "as few CAs below it as its pathLenConstraint allows",
            Self::ChainLength => return write!(f, "at most {MAX_CHAIN} certificates between leaf and root"),
            Self::Hash => "signed with SHA-256 or stronger",
            Self::Key => "an RSA key, or an EC key on P-256, P-384 or P-521",
        })
    }
}

/// A requirement, and what the certificate has against it.
#[derive(Debug)]
pub struct Check {
    /// What was looked at.
    pub requirement: Requirement,
    /// `None` where it is met.
    pub violation: Option<Violation>,
}

/// A requirement that a certificate does not meet. Prints as what was wanted and what was found.
#[derive(Debug)]
#[non_exhaustive]
pub enum Violation {
    /// Its validity is over.
    Expired {
        /// The last moment of its validity.
        since: Timestamp,
        /// The moment of the check.
        now: Timestamp,
    },
    /// Its validity has not begun.
    NotYetValid {
        /// The first moment of its validity.
        until: Timestamp,
        /// The moment of the check.
        now: Timestamp,
    },
    /// It is not of version 3.
    Version {
        /// The version, counted from one.
        found: u8,
    },
    /// It is a CA's.
    CertificateAuthority,
    /// It is not a CA's.
    NoAuthority,
    /// keyUsage is missing.
    NoKeyUsage {
        /// What it should have allowed.
        wanted: &'static str,
    },
    /// keyUsage does not allow signatures.
    NoDigitalSignature,
    /// keyUsage does not allow issuing certificates.
    NoKeyCertSign,
    /// More CAs stand below it than it allows.
    PathTooLong {
        /// pathLenConstraint.
        allowed: u8,
        /// How many there are.
        found: usize,
    },
    /// More certificates stand between leaf and root than are taken.
    ChainTooLong {
        /// How many were found; there may be more.
        found: usize,
    },
    /// It was signed over a weak hash.
    WeakSignature {
        /// The hash.
        found: SignatureHash,
    },
    /// It names nobody.
    EmptySubject,
    /// Its key is of a type or size that cannot sign a request.
    Key(KeyError),
    /// An extension that decides cannot be read.
    Unreadable(CertificateError),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { since, now } => {
                write!(f, "it expired at {since}, {} ago by this machine's clock ({now:.0})", Span(*since, *now))
            }
            Self::NotYetValid { until, now } => {
                write!(
                    f,
                    "it is not valid until {until}, {} from now by this machine's clock ({now:.0})",
                    Span(*now, *until)
                )
            }
            Self::Version { found } => write!(f, "wanted X.509 version 3, found version {found}"),
            Self::CertificateAuthority => {
                f.write_str("wanted an end-entity certificate, found one of a CA (basicConstraints CA:TRUE)")
            }
            Self::NoKeyUsage { wanted } => write!(f, "wanted keyUsage with {wanted}, found no keyUsage"),
            Self::NoDigitalSignature => f.write_str("wanted keyUsage with digitalSignature, found keyUsage without it"),
            Self::NoAuthority => f.write_str("wanted a CA certificate (basicConstraints CA:TRUE), found another"),
            Self::NoKeyCertSign => f.write_str("wanted keyUsage with keyCertSign, found keyUsage without it"),
            Self::PathTooLong { allowed, found } => {
                write!(f, "wanted at most {allowed} CAs below it (pathLenConstraint), found {found}")
            }
            Self::ChainTooLong { found } => {
                write!(f, "wanted at most {MAX_CHAIN} certificates between leaf and root, found at least {found}")
            }
            Self::WeakSignature { found } => {
                write!(f, "wanted a certificate signed with SHA-256 or stronger, found {found}")
            }
            Self::EmptySubject => f.write_str("wanted a subject that names something, found an empty one"),
            Self::Key(error) => error.fmt(f),
            Self::Unreadable(error) => error.fmt(f),
        }
    }
}

/// How far apart two moments are, in the two largest units.
struct Span(Timestamp, Timestamp);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.1.duration_since(self.0).as_secs();
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
        match (days, hours) {
            (0, 0) if minutes == 0 => write!(f, "{seconds} s"),
            (0, 0) => write!(f, "{minutes} min"),
            (0, _) => write!(f, "{hours} h {minutes} min"),
            (1, _) => write!(f, "1 day {hours} h"),
            _ => write!(f, "{days} days"),
        }
    }
}

/// What Roles Anywhere demands of a leaf, one by one.
pub fn of_leaf(certificate: &Certificate, now: Timestamp) -> Vec<Check> {
    let end_entity = || match certificate.basic_constraints().map_err(Violation::Unreadable)? {
        Some(constraints) if constraints.ca => Err(Violation::CertificateAuthority),
        _ => Ok(()),
    };
    let usage = || match certificate.key_usage().map_err(Violation::Unreadable)? {
        Some(usage) if usage.digital_signature() => Ok(()),
        Some(_) => Err(Violation::NoDigitalSignature),
        None => Err(Violation::NoKeyUsage { wanted: "digitalSignature" }),
    };
    let subject = if certificate.subject().is_empty() { Err(Violation::EmptySubject) } else { Ok(()) };
    checks([
        (Requirement::Validity, validity(certificate, now)),
        (Requirement::Version, version(certificate)),
        (Requirement::Subject, subject),
        (Requirement::EndEntity, end_entity()),
        (Requirement::DigitalSignature, usage()),
        (Requirement::Hash, strong_hash(certificate)),
        (Requirement::Key, certificate.public_key().map(|_| ()).map_err(Violation::Key)),
    ])
}

/// What it demands of a CA above the leaf, the trust anchor among them. `below` counts the CAs between it and the leaf that are not
/// self-issued (RFC 5280 §4.2.1.9).
pub fn of_authority(certificate: &Certificate, below: usize, now: Timestamp) -> Vec<Check> {
    let constraints = certificate.basic_constraints();
    let path_length = match &constraints {
        Ok(Some(constraints)) => constraints.path_len_constraint.filter(|allowed| usize::from(*allowed) < below),
        _ => None,
    };
    let authority = match constraints {
        Ok(Some(constraints)) if constraints.ca => Ok(()),
        Ok(_) => Err(Violation::NoAuthority),
        Err(error) => Err(Violation::Unreadable(error)),
    };
    let usage = || match certificate.key_usage().map_err(Violation::Unreadable)? {
        Some(usage) if usage.key_cert_sign() => Ok(()),
        Some(_) => Err(Violation::NoKeyCertSign),
        None => Err(Violation::NoKeyUsage { wanted: "keyCertSign" }),
    };
    let path_length = path_length.map_or(Ok(()), |allowed| Err(Violation::PathTooLong { allowed, found: below }));
    checks([
        (Requirement::Validity, validity(certificate, now)),
        (Requirement::Version, version(certificate)),
        (Requirement::Authority, authority),
        (Requirement::KeyCertSign, usage()),
        (Requirement::PathLength, path_length),
        (Requirement::Hash, strong_hash(certificate)),
    ])
}

/// What it demands of the certificates that are sent above the leaf.
pub fn of_chain(certificates: &[Certificate]) -> Check {
    let found = certificates.len();
    let violation = (found > MAX_CHAIN).then_some(Violation::ChainTooLong { found });
    Check { requirement: Requirement::ChainLength, violation }
}

/// Refuses a chain that is longer than AWS takes.
pub fn require_length(certificates: &[Certificate]) -> Result<(), CertificateError> {
    match of_chain(certificates).violation {
        Some(too_long) => Err(CertificateError::new(CertificateErrorKind::Chain, too_long.to_string())),
        None => Ok(()),
    }
}

/// Something in a leaf that AWS documents nothing of: it may be taken or not. Prints as what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// extendedKeyUsage is there and does not name clients.
    NoClientAuth,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoClientAuth => "extendedKeyUsage without clientAuth (AWS documents no requirement on it)",
        })
    }
}

/// What nobody can tell of a leaf without asking AWS.
pub fn doubts_of_leaf(certificate: &Certificate) -> Vec<Doubt> {
    let for_clients = |usage: &ExtendedKeyUsage| {
        usage.0.iter().any(|purpose| [ID_KP_CLIENT_AUTH, ANY_EXTENDED_KEY_USAGE].contains(purpose))
    };
    match certificate.extended_key_usage() {
        Ok(Some(usage)) if !for_clients(&usage) => vec![Doubt::NoClientAuth],
        _ => Vec::new(),
    }
}

fn checks<const N: usize>(outcomes: [(Requirement, Result<(), Violation>); N]) -> Vec<Check> {
    outcomes.into_iter().map(|(requirement, outcome)| Check { requirement, violation: outcome.err() }).collect()
}

/// Every requirement that the certificate does not meet at this moment; empty where it meets all.
pub fn violations(certificate: &Certificate, now: Timestamp) -> Vec<Violation> {
    of_leaf(certificate, now).into_iter().filter_map(|check| check.violation).collect()
}

/// What would make AWS refuse a certificate of the chain. It may know the issuer in a newer certificate, so that these do not
/// forbid a request.
pub fn issuer_violations(certificate: &Certificate, now: Timestamp) -> Vec<Violation> {
    [validity(certificate, now), strong_hash(certificate)].into_iter().filter_map(Result::err).collect()
}

/// Refuses a certificate that does not meet every requirement, naming all that it does not meet.
pub fn check(certificate: &Certificate, now: Timestamp) -> Result<(), CertificateError> {
    let violations = violations(certificate, now);
    if violations.is_empty() {
        return Ok(());
    }
    let all: Vec<_> = violations.iter().map(Violation::to_string).collect();
    Err(CertificateError::new(
        CertificateErrorKind::Requirement,
        format!("Roles Anywhere does not take the certificate {}: {}", described(certificate), all.join("; ")),
    )
    .with_advice(Advice::Allow { flag: "--no-preflight" }))
}

fn described(certificate: &Certificate) -> String {
    match certificate.subject() {
        empty if empty.is_empty() => format!("with serial {}", certificate.serial_hex()),
        subject => subject.to_string(),
    }
}

fn validity(certificate: &Certificate, now: Timestamp) -> Result<(), Violation> {
    let (not_before, not_after) = (certificate.not_before(), certificate.not_after());
    // Validity ends with the last moment, which is a whole second long (RFC 5280 §4.1.2.5).
    if now.as_second() > not_after.as_second() {
        return Err(Violation::Expired { since: not_after, now });
    }
    if now < not_before { Err(Violation::NotYetValid { until: not_before, now }) } else { Ok(()) }
}

fn version(certificate: &Certificate) -> Result<(), Violation> {
    match certificate.version() {
        3 => Ok(()),
        found => Err(Violation::Version { found }),
    }
}

fn strong_hash(certificate: &Certificate) -> Result<(), Violation> {
    match certificate.signature_algorithm().hash().filter(|hash| *hash < SignatureHash::Sha256) {
        Some(found) => Err(Violation::WeakSignature { found }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_pki::{CA, Order, Pki};
    use super::*;

    fn now() -> Timestamp {
        Timestamp::now()
    }

    fn found(order: &Order<'_>) -> Vec<String> {
        violations(&Pki::new().root("Root").issue(order).read(), now()).iter().map(Violation::to_string).collect()
    }

    #[test]
    fn a_good_certificate_passes() {
        let leaf = Pki::new().root("Root").leaf("host").read();
        check(&leaf, now()).unwrap();
    }

    #[test]
    fn every_requirement_has_its_own_message() {
        let with = |extensions| found(&Order { extensions, ..Order::leaf("/CN=host") });
        let end_entity = "wanted an end-entity certificate, found one of a CA (basicConstraints CA:TRUE)";
        let without = "wanted keyUsage with digitalSignature, found keyUsage without it";
        assert_eq!(with(CA), [end_entity, without]);
        assert_eq!(with("basicConstraints=CA:FALSE\nkeyUsage=keyEncipherment\n"), [without]);
        assert_eq!(with("basicConstraints=CA:FALSE\n"), ["wanted keyUsage with digitalSignature, found no keyUsage"]);
        assert_eq!(with("keyUsage=digitalSignature\n"), [""; 0], "no basicConstraints at all");
        let weak = found(&Order { options: "-sha1", ..Order::leaf("/CN=host") });
        assert_eq!(weak, ["wanted a certificate signed with SHA-256 or stronger, found SHA-1"]);
        let empty = found(&Order::leaf("/"));
        assert_eq!(empty, ["wanted a subject that names something, found an empty one"]);
        let broken = with("keyUsage=digitalSignature\nbasicConstraints=DER:0102\n");
        assert!(broken[0].starts_with("wanted basicConstraints in DER"), "{broken:?}");
    }

    #[test]
    fn a_certificate_of_version_1_is_refused() {
        let pki = Pki::new();
        let (key, out) = (pki.ec_key(), pki.path("v1.crt"));
        let files: [(&str, &std::path::Path); 3] = [("KEY", &key), ("OUT", &out), ("CSR", &pki.path("csr"))];
        pki.run("openssl req -new -key $KEY -subj /CN=old -out $CSR", &files);
        pki.run("openssl x509 -req -in $CSR -signkey $KEY -out $OUT", &files);
        let certificate = super::super::pem::read_certificates(&out).unwrap().leaf;
        let found: Vec<_> = violations(&certificate, now()).iter().map(Violation::to_string).collect();
        assert_eq!(found[0], "wanted X.509 version 3, found version 1");
    }

    #[test]
    fn keys_that_cannot_sign_a_request_are_named() {
        let pki = Pki::new();
        let ca = pki.root("Root");
        for (algorithm, wanted) in [
            ("ED25519", "Ed25519"),
            ("EC -pkeyopt ec_paramgen_curve:secp256k1", "secp256k1"),
            ("RSA -pkeyopt rsa_keygen_bits:1024", "wanted an RSA key of 2048 to 8192 bits, found 1024"),
        ] {
            let key = pki.new_key(&format!("openssl genpkey -algorithm {algorithm} -out $OUT"));
            let leaf = ca.issue(&Order { key: Some(&key), ..Order::leaf("/CN=host") }).read();
            let found: Vec<_> = violations(&leaf, now()).iter().map(Violation::to_string).collect();
            assert!(found[0].to_lowercase().contains(&wanted.to_lowercase()), "{found:?}");
        }
    }

    #[test]
    fn validity_includes_its_first_and_its_last_moment() {
        let leaf = Pki::new().root("Root").leaf("host").read();
        let at = |moment: Timestamp, milliseconds: i64| {
            let now = moment + jiff::SignedDuration::from_millis(milliseconds);
            violations(&leaf, now).iter().map(Violation::to_string).collect::<Vec<_>>()
        };
        assert!(at(leaf.not_before(), 0).is_empty() && at(leaf.not_after(), 999).is_empty());
        let early = at(leaf.not_before(), -90_000);
        assert!(
            early[0].starts_with(&format!("it is not valid until {}, 1 min from now", leaf.not_before())),
            "{early:?}"
        );
        let late = at(leaf.not_after(), 86_400_000 * 3);
        assert!(late[0].starts_with(&format!("it expired at {}, 3 days ago", leaf.not_after())), "{late:?}");
    }

    #[test]
    fn the_error_names_the_certificate_and_everything_against_it() {
        let pki = Pki::new();
        let leaf = pki.root("Root").issue(&Order { options: "-sha1", extensions: CA, ..Order::leaf("/CN=host") });
        let error = check(&leaf.read(), now()).unwrap_err();
        assert_eq!(error.kind(), CertificateErrorKind::Requirement);
        let message = error.to_string();
        assert!(message.starts_with("Roles Anywhere does not take the certificate CN=host: wanted"), "{message}");
        assert_eq!(message.matches("; ").count(), 2, "{message}");
    }
}
