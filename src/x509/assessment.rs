//! Whether Roles Anywhere will take a leaf with the chain that is sent, requirement by requirement (AWS user guide, on its trust
//! model), as far as that can be told without asking it: what it revoked, and which trust anchors there are, only it knows.

use jiff::Timestamp;

use super::certificate::Certificate;
use super::chain::Chain;
use super::name::Name;
use super::requirements::{Check, Doubt, doubts_of_leaf, of_authority, of_chain, of_leaf};
use super::signature::Verification;

/// The verdict on a leaf and its chain.
#[derive(Debug)]
pub struct Assessment<'a> {
    /// The leaf, then every certificate above it that decides, the trust anchor last where it is known.
    pub certificates: Vec<Assessed<'a>>,
    /// What of the leaf is not known to matter.
    pub doubts: Vec<Doubt>,
    /// Whether as many certificates are sent as AWS takes.
    pub length: Check,
    /// Where the path ends.
    pub ending: Ending<'a>,
}

/// One certificate of the path.
#[derive(Debug)]
pub struct Assessed<'a> {
    /// What it is on the path.
    pub role: Role,
    /// The certificate.
    pub certificate: &'a Certificate,
    /// Every requirement on it.
    pub checks: Vec<Check>,
}

/// What a certificate is on the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What the key belongs to.
    Leaf,
    /// A CA whose certificate is sent.
    Intermediate,
    /// The self-signed end of the chain, which must be the trust anchor if no other is.
    Root,
    /// A trust anchor that was named.
    TrustAnchor,
}

/// Where the path from the leaf ends.
#[derive(Debug)]
pub enum Ending<'a> {
    /// At one of the trust anchors that were named.
    Anchored,
    /// No trust anchor was named; it ends in a root.
    Root,
    /// No trust anchor was named; it ends before this issuer, which must be the trust anchor.
    Before(&'a Name),
    /// At none of the trust anchors that were named: the last certificate is by this issuer.
    Elsewhere(&'a Name),
    /// The leaf signed itself: no trust anchor can have issued it.
    SelfSigned,
}

impl<'a> Assessment<'a> {
    /// Judges at this moment. With `anchors` the path must end at one of them.
    pub fn new(leaf: &'a Certificate, chain: &'a Chain, anchors: Option<&'a [Certificate]>, now: Timestamp) -> Self {
        let (authorities, ending) = path(leaf, chain, anchors);
        let mut certificates = vec![Assessed { role: Role::Leaf, certificate: leaf, checks: of_leaf(leaf, now) }];
        let mut below = 0;
        for (role, certificate) in authorities {
            certificates.push(Assessed { role, certificate, checks: of_authority(certificate, below, now) });
            below += usize::from(!certificate.is_self_issued());
        }
        Self { certificates, doubts: doubts_of_leaf(leaf), length: of_chain(&chain.certificates), ending }
    }

    /// Whether nothing speaks against it.
    pub fn is_taken(&self) -> bool {
        let mut checks = self.certificates.iter().flat_map(|it| &it.checks).chain([&self.length]);
        let met = checks.all(|check| check.violation.is_none());
        met && !matches!(self.ending, Ending::Elsewhere(_) | Ending::SelfSigned)
    }
}

/// The CAs that decide, and the end. What is sent beyond the trust anchor does not matter.
fn path<'a>(
    leaf: &'a Certificate,
    chain: &'a Chain,
    anchors: Option<&'a [Certificate]>,
) -> (Vec<(Role, &'a Certificate)>, Ending<'a>) {
    let mut authorities = Vec::new();
    if chain.certificates.is_empty() && chain.root.is_none() && chain.missing.is_none() {
        return (authorities, Ending::SelfSigned);
    }
    let anchored = |certificate: &'a Certificate| anchors?.iter().find(|anchor| issued(anchor, certificate));
    let mut last = leaf;
    for certificate in &chain.certificates {
        if let Some(anchor) = anchored(last) {
            authorities.push((Role::TrustAnchor, anchor));
            return (authorities, Ending::Anchored);
        }
        authorities.push((Role::Intermediate, certificate));
        last = certificate;
    }
    match (anchored(last), anchors, &chain.root) {
        (Some(anchor), ..) => {
            authorities.push((Role::TrustAnchor, anchor));
            (authorities, Ending::Anchored)
        }
        (None, Some(_), _) => (authorities, Ending::Elsewhere(last.issuer())),
        (None, None, Some(root)) => {
            authorities.push((Role::Root, root));
            (authorities, Ending::Root)
        }
        (None, None, None) => (authorities, Ending::Before(last.issuer())),
    }
}

/// Whether this trust anchor issued the certificate. Where the signature cannot be verified here, the key identifiers tell.
fn issued(anchor: &Certificate, certificate: &Certificate) -> bool {
    certificate.issuer().matches(anchor.subject())
        && match certificate.is_signed_by(anchor) {
            Verification::Verified => true,
            Verification::Refuted => false,
            Verification::Unknown => certificate.names_key_of(anchor) == Some(true),
        }
}

#[cfg(test)]
mod tests {
    use super::super::CertificateError;
    use super::super::test_pki::{Issuer, Order, Pki};
    use super::*;

    fn chain(leaf: &Certificate, candidates: Vec<Certificate>) -> Chain {
        Chain::build::<CertificateError>(leaf, candidates, &mut |_| Ok(Vec::new())).unwrap()
    }

    fn read(issuer: &Issuer<'_>) -> Certificate {
        issuer.certificate.read()
    }

    fn roles(assessment: &Assessment<'_>) -> Vec<(Role, String)> {
        assessment.certificates.iter().map(|it| (it.role, it.certificate.subject().to_string())).collect()
    }

    /// Every violation with the subject of its certificate.
    fn flaws(assessment: &Assessment<'_>) -> Vec<String> {
        let of = |it: &Assessed<'_>| {
            let subject = it.certificate.subject().to_string();
            let violations = it.checks.iter().filter_map(|check| check.violation.as_ref());
            violations.map(|violation| format!("{subject}: {violation}")).collect::<Vec<_>>()
        };
        assessment.certificates.iter().flat_map(of).collect()
    }

    #[test]
    fn a_path_ends_at_the_first_trust_anchor_on_it() {
        let pki = Pki::new();
        let root = pki.root("Root");
        let middle = root.intermediate("Middle");
        let leaf = middle.leaf("web").read();
        let whole = chain(&leaf, vec![read(&middle), read(&root)]);
        let now = Timestamp::now();
        for (anchor, wanted) in [
            (&root, [(Role::Intermediate, "CN=Middle"), (Role::TrustAnchor, "CN=Root")].as_slice()),
            (&middle, &[(Role::TrustAnchor, "CN=Middle")]),
        ] {
            let anchors = [read(anchor)];
            let assessment = Assessment::new(&leaf, &whole, Some(&anchors), now);
            let found = roles(&assessment);
            let found: Vec<_> = found.iter().skip(1).map(|(role, subject)| (*role, subject.as_str())).collect();
            assert_eq!(found, wanted);
            assert!(matches!(assessment.ending, Ending::Anchored) && assessment.is_taken(), "{assessment:?}");
        }
        let others = [read(&pki.root("Root"))];
        let assessment = Assessment::new(&leaf, &whole, Some(&others), now);
        assert!(!assessment.is_taken(), "the same name, another key");
        assert!(matches!(assessment.ending, Ending::Elsewhere(name) if name.to_string() == "CN=Root"));
    }

    #[test]
    fn without_a_trust_anchor_it_is_said_what_must_be_one() {
        let pki = Pki::new();
        let root = pki.root("Root");
        let leaf = root.leaf("web").read();
        let (whole, bare) = (chain(&leaf, vec![read(&root)]), chain(&leaf, Vec::new()));
        let assessment = Assessment::new(&leaf, &whole, None, Timestamp::now());
        assert_eq!(roles(&assessment)[1].0, Role::Root);
        assert!(matches!(assessment.ending, Ending::Root) && assessment.is_taken());
        let assessment = Assessment::new(&leaf, &bare, None, Timestamp::now());
        assert!(matches!(assessment.ending, Ending::Before(name) if name.to_string() == "CN=Root"));
        assert!(assessment.is_taken());
        let alone = pki.root_with(&Order::leaf("/CN=alone")).certificate.read();
        let none = chain(&alone, Vec::new());
        let assessment = Assessment::new(&alone, &none, None, Timestamp::now());
        assert!(matches!(assessment.ending, Ending::SelfSigned) && !assessment.is_taken());
    }

    #[test]
    fn every_authority_on_the_way_is_judged() {
        let pki = Pki::new();
        let root = pki.root_with(&Order {
            extensions: "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=keyCertSign\n",
            ..Order::ca("/CN=Root")
        });
        let middle = root
            .issuer(&Order { extensions: "basicConstraints=CA:TRUE\nkeyUsage=cRLSign\n", ..Order::ca("/CN=Middle") });
        let below = middle.issuer(&Order { options: "-sha1", extensions: "", ..Order::ca("/CN=Below") });
        let leaf = below.issue(&Order { extensions: "keyUsage=digitalSignature\n", ..Order::leaf("/CN=web") }).read();
        let whole = chain(&leaf, vec![read(&below), read(&middle)]);
        let anchors = [read(&root)];
        let found = flaws(&Assessment::new(&leaf, &whole, Some(&anchors), Timestamp::now()));
        assert_eq!(
            found,
            [
                "CN=Below: wanted X.509 version 3, found version 1",
                "CN=Below: wanted a CA certificate (basicConstraints CA:TRUE), found another",
                "CN=Below: wanted keyUsage with keyCertSign, found no keyUsage",
                "CN=Below: wanted a certificate signed with SHA-256 or stronger, found SHA-1",
                "CN=Middle: wanted keyUsage with keyCertSign, found keyUsage without it",
                "CN=Root: wanted at most 0 CAs below it (pathLenConstraint), found 2",
            ]
        );
    }
}
