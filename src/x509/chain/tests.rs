//! Paths through certificates that openssl issued: gaps, namesakes, renewals, circles, floods.

use super::*;
use crate::x509::test_pki::{Issued, Order, Pki};

/// Fails by a panic, so that `build` can be unwrapped.
#[derive(Debug)]
struct Failed(String);

impl From<CertificateError> for Failed {
    fn from(error: CertificateError) -> Self {
        Self(error.to_string())
    }
}

fn read(all: &[&Issued]) -> Vec<Certificate> {
    all.iter().map(|one| one.read()).collect()
}

fn build(leaf: &Issued, candidates: &[&Issued]) -> Chain {
    Chain::build::<Failed>(&leaf.read(), read(candidates), &mut |_| Ok(Vec::new())).unwrap()
}

fn names(certificates: &[Certificate]) -> Vec<String> {
    certificates.iter().map(|it| it.subject().to_string()).collect()
}

#[test]
fn the_path_is_found_in_any_order_without_leaf_and_root() {
    let pki = Pki::new();
    let root = pki.root("Root");
    let upper = root.intermediate("Upper");
    let lower = upper.intermediate("Lower");
    let (leaf, other) = (lower.leaf("host"), lower.leaf("other"));
    let [r, u, l] = [&root.certificate, &upper.certificate, &lower.certificate];
    for candidates in [[r, u, l, &other, &leaf], [&other, l, u, r, &leaf], [u, &leaf, &other, r, l]] {
        let chain = build(&leaf, &candidates);
        assert_eq!(chain.certificates, read(&[l, u]));
        assert_eq!(chain.root, Some(r.read()));
        assert_eq!(chain.left_out, read(&[&other]));
        assert!(chain.missing.is_none());
    }
}

#[test]
fn a_gap_sends_what_there_is_and_names_what_is_missing() {
    let pki = Pki::new();
    let root = pki.root("Root");
    let upper = root.intermediate("Upper");
    let middle = upper.intermediate("Middle");
    let lower = middle.intermediate("Lower");
    let leaf = lower.leaf("host");
    let chain = build(&leaf, &[&root.certificate, &upper.certificate, &lower.certificate]);
    assert_eq!(names(&chain.certificates), ["CN=Lower"]);
    assert_eq!(chain.missing.unwrap().to_string(), "CN=Middle");
    assert_eq!(names(&chain.left_out), ["CN=Root", "CN=Upper"]);
}

#[test]
fn a_namesake_with_another_key_is_not_the_issuer() {
    let pki = Pki::new();
    let root = pki.root("Root");
    let (mine, namesake) = (root.intermediate("Issuing"), root.intermediate("Issuing"));
    // Without key identifiers only the signature tells them apart.
    let plain = "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nsubjectKeyIdentifier=none\nauthorityKeyIdentifier=none\n";
    let leaf = mine.issue(&Order { extensions: plain, ..Order::leaf("/CN=host") });
    let chain = build(&leaf, &[&namesake.certificate, &mine.certificate]);
    assert_eq!(chain.certificates, read(&[&mine.certificate]));
    assert_eq!(chain.left_out, read(&[&namesake.certificate]));
}

#[test]
fn a_path_to_a_root_wins_over_one_that_expires_later() {
    let pki = Pki::new();
    let (root, absent) = (pki.root("Root"), pki.root("Absent"));
    let key = pki.ec_key();
    let order = |options| Order { key: Some(&key), options, ..Order::ca("/CN=Issuing") };
    let rooted = root.issuer(&order("-days 5"));
    let rootless = absent.issuer(&order("-days 50"));
    let leaf = rooted.leaf("host");
    let chain = build(&leaf, &[&rootless.certificate, &rooted.certificate, &root.certificate]);
    assert_eq!(chain.certificates, read(&[&rooted.certificate]));
    assert_eq!(chain.left_out, read(&[&rootless.certificate]));
}

#[test]
fn of_two_paths_to_a_root_the_one_that_expires_later_is_sent() {
    let pki = Pki::new();
    let root = pki.root("Root");
    let key = pki.ec_key();
    let renewed = |options| root.issuer(&Order { key: Some(&key), options, ..Order::ca("/CN=Issuing") });
    let (old, new) = (renewed("-days 5"), renewed("-days 50"));
    let leaf = old.leaf("host");
    for candidates in [[&old.certificate, &new.certificate], [&new.certificate, &old.certificate]] {
        let [first, second] = candidates;
        let chain = build(&leaf, &[first, &root.certificate, second]);
        assert_eq!(chain.certificates, read(&[&new.certificate]));
    }
}

#[test]
fn a_cross_signed_root_does_not_make_the_path_longer() {
    let pki = Pki::new();
    let (new, old) = (pki.root("New"), pki.root("Old"));
    let crossed = old.issue(&Order { key: Some(&new.certificate.key), ..Order::ca("/CN=New") });
    let issuing = new.intermediate("Issuing");
    let leaf = issuing.leaf("host");
    let all = [&crossed, &old.certificate, &issuing.certificate, &new.certificate];
    assert_eq!(names(&build(&leaf, &all).certificates), ["CN=Issuing"]);
    // Without the new root the cross-signed certificate leads on to the old one.
    assert_eq!(names(&build(&leaf, &all[..3]).certificates), ["CN=Issuing", "CN=New"]);
}

#[test]
fn cas_that_certify_each_other_end() {
    let pki = Pki::new();
    let (a, b) = (pki.root("A"), pki.root("B"));
    let a_by_b = b.issue(&Order { key: Some(&a.certificate.key), ..Order::ca("/CN=A") });
    let b_by_a = a.issue(&Order { key: Some(&b.certificate.key), ..Order::ca("/CN=B") });
    let leaf = a.leaf("host");
    let chain = build(&leaf, &[&a_by_b, &b_by_a]);
    assert_eq!(names(&chain.certificates), ["CN=A", "CN=B"]);
    assert_eq!(chain.missing.unwrap().to_string(), "CN=A");
}

#[test]
fn five_intermediates_are_sent_and_six_are_an_error() {
    let pki = Pki::new();
    let root = pki.root("Root");
    let mut issuers = vec![root];
    for number in 1..=6 {
        let next = issuers[number - 1].intermediate(&format!("I{number}"));
        issuers.push(next);
    }
    let all: Vec<_> = issuers.iter().map(|issuer| &issuer.certificate).collect();
    assert_eq!(build(&issuers[5].leaf("host"), &all).certificates.len(), 5);
    let leaf = issuers[6].leaf("host").read();
    let error = Chain::build::<Failed>(&leaf, read(&all), &mut |_| Ok(Vec::new())).unwrap_err();
    assert_eq!(error.0, "wanted at most 5 certificates between leaf and root, found at least 6");
}

#[test]
fn a_self_signed_leaf_has_no_chain_and_asks_nobody() {
    let pki = Pki::new();
    let leaf = pki.root_with(&Order::leaf("/CN=host")).certificate.read();
    let chain = Chain::build::<Failed>(&leaf, Vec::new(), &mut |_| panic!("asked")).unwrap();
    assert!(chain.certificates.is_empty() && chain.root.is_none() && chain.missing.is_none());
}

#[test]
fn further_issuers_are_asked_for_only_where_one_is_missing() {
    let pki = Pki::new();
    let root = pki.root("Root");
    let upper = root.intermediate("Upper");
    let lower = upper.intermediate("Lower");
    let leaf = lower.leaf("host").read();
    let mut asked = Vec::new();
    let mut lookup = |subject: &[u8]| {
        asked.push(Name::from_der(subject).unwrap().to_string());
        Ok::<_, Failed>(if asked.len() == 1 { read(&[&upper.certificate]) } else { Vec::new() })
    };
    let chain = Chain::build(&leaf, read(&[&lower.certificate]), &mut lookup).unwrap();
    assert_eq!(names(&chain.certificates), ["CN=Lower", "CN=Upper"]);
    assert_eq!(asked, ["CN=Upper", "CN=Root"]);
}

#[test]
fn an_issuer_of_an_unknown_algorithm_counts_by_its_key_identifier() {
    let pki = Pki::new();
    let curve = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:brainpoolP256r1 -out $OUT";
    let (key, other) = (pki.new_key(curve), pki.new_key(curve));
    let root = pki.root_with(&Order { key: Some(&key), ..Order::ca("/CN=Root") });
    let namesake = pki.root_with(&Order { key: Some(&other), ..Order::ca("/CN=Root") });
    let leaf = root.leaf("host");
    let chain = build(&leaf, &[&namesake.certificate, &root.certificate]);
    assert_eq!(chain.root, Some(root.certificate.read()));
}

#[test]
fn a_web_of_cross_certificates_is_walked_within_bounds() {
    let pki = Pki::new();
    // Five CAs, each of which has certified every other: paths without number.
    let roots: Vec<_> = (0..5).map(|number| pki.root(&format!("R{number}"))).collect();
    let mut web = Vec::new();
    for (a, issuer) in roots.iter().enumerate() {
        for (b, subject) in roots.iter().enumerate().filter(|(b, _)| *b != a) {
            let name = format!("/CN=R{b}");
            web.push(issuer.issue(&Order { key: Some(&subject.certificate.key), ..Order::ca(&name) }));
        }
    }
    let leaf = roots[0].leaf("host");
    let chain = build(&leaf, &web.iter().collect::<Vec<_>>());
    assert!((1..=MAX_CHAIN).contains(&chain.certificates.len()));
}

#[test]
fn a_lookup_that_fails_ends_the_search() {
    let leaf = Pki::new().root("Root").leaf("host").read();
    let error = Chain::build(&leaf, Vec::new(), &mut |_| Err(Failed("token gone".into()))).unwrap_err();
    assert_eq!(error.0, "token gone");
}

#[test]
fn a_flood_of_namesakes_does_not_hide_the_issuer() {
    let pki = Pki::new();
    let root = pki.root("Root");
    let (issuer, namesake) = (root.intermediate("Issuing"), root.intermediate("Issuing"));
    let leaf = issuer.leaf("host").read();
    let der = namesake.certificate.der();
    // Only name and key of a candidate count, so that others can be made of one by its serial number.
    let serial: Vec<u8> = namesake.certificate.read().serial_hex().as_bytes().to_vec();
    let serial = u16::from_str_radix(std::str::from_utf8(&serial).unwrap(), 16).unwrap().to_be_bytes();
    let at = der.windows(4).position(|window| window == [0x02, 0x02, serial[0], serial[1]]).unwrap() + 2;
    let mut candidates: Vec<_> = (0x1000u16..0x1000 + 2000)
        .map(|number| {
            let mut der = der.clone();
            der[at..at + 2].copy_from_slice(&number.to_be_bytes());
            Certificate::from_der(&der).unwrap()
        })
        .collect();
    candidates.push(issuer.certificate.read());
    let chain = Chain::build::<Failed>(&leaf, candidates, &mut |_| Ok(Vec::new())).unwrap();
    assert_eq!(chain.certificates, read(&[&issuer.certificate]));
    assert_eq!(chain.left_out.len(), 2000);
}
