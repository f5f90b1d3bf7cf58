//! The chain that is sent: the true issuer path from the leaf upward, found among candidates in any order.

use std::cmp::Reverse;
use std::collections::HashMap;

use jiff::Timestamp;

use super::certificate::Certificate;
use super::error::{CertificateError, CertificateErrorKind};
use super::name::Name;
use super::signature::Verification;

/// Most certificates that Roles Anywhere takes in `X-Amz-X509-Chain`.
pub const MAX_CHAIN: usize = 5;

/// Paths are followed this far, which is enough to tell that one is too long.
const MAX_DEPTH: usize = MAX_CHAIN + 3;
/// Most signatures that are verified and most certificates that are visited: CAs that certify each other under one name can span
/// more paths than anyone can walk. What is found until then is used.
const MAX_VERIFICATIONS: usize = 500;
const MAX_VISITS: usize = 5000;
/// Most candidates that are kept, whoever gives them.
const MAX_CANDIDATES: usize = 5000;

/// Gives certificates whose subject is this DER `Name`.
pub type Lookup<'a, E> = dyn FnMut(&[u8]) -> Result<Vec<Certificate>, E> + 'a;

/// The issuers of a leaf.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// The leaf's issuer, then its issuer and so on; neither leaf nor root.
    pub certificates: Vec<Certificate>,
    /// The self-signed certificate at the end, where it was among the candidates. It is not sent: the trust anchor is known.
    pub root: Option<Certificate>,
    /// The issuer that no candidate is, where the path ends without a root.
    pub missing: Option<Name>,
    /// The candidates that are not on the path.
    pub left_out: Vec<Certificate>,
}

impl Chain {
    /// Finds the path. `issuers` gives further candidates with this DER `Name` as their subject; it is asked only where no
    /// candidate so far issued a certificate, once per name, and never for the issuer of a self-signed certificate.
    ///
    /// Of several paths the one that ends in a self-signed certificate is taken, then the one that expires later, then the
    /// shorter one. Fails where every path holds more than five certificates, and where `issuers` fails.
    pub fn build<E: From<CertificateError>>(
        leaf: &Certificate,
        candidates: Vec<Certificate>,
        issuers: &mut Lookup<'_, E>,
    ) -> Result<Self, E> {
        let mut search = Search {
            pool: vec![leaf.clone()],
            links: HashMap::new(),
            self_signed: HashMap::new(),
            more: issuers,
            asked: Vec::new(),
            verifications: 0,
            visits: 0,
            best: None,
        };
        search.add(candidates);
        search.walk(&mut vec![0])?;
        Ok(search.finish()?)
    }
}

/// A path that cannot be continued: indices into the pool, the leaf first, a root last if `complete`.
struct Path {
    certificates: Vec<usize>,
    root: Option<usize>,
    rank: Rank,
}

/// Paths compare by whether they can be sent, whether they end in a root, when the first of their certificates expires, how
/// short they are, and when each of their certificates expires from the leaf upward.
type Rank = (bool, bool, Timestamp, Reverse<usize>, Vec<Timestamp>);

struct Search<'a, E> {
    /// The leaf, then every candidate once.
    pool: Vec<Certificate>,
    links: HashMap<usize, Vec<usize>>,
    self_signed: HashMap<usize, bool>,
    more: &'a mut Lookup<'a, E>,
    /// Names that `more` was asked for.
    asked: Vec<Vec<u8>>,
    verifications: usize,
    visits: usize,
    best: Option<Path>,
}

impl<E: From<CertificateError>> Search<'_, E> {
    fn add(&mut self, candidates: Vec<Certificate>) {
        for candidate in candidates {
            if self.pool.len() <= MAX_CANDIDATES && !self.pool.contains(&candidate) {
                self.pool.push(candidate);
            }
        }
    }

    /// Follows every path on from the last certificate of `path`.
    fn walk(&mut self, path: &mut Vec<usize>) -> Result<(), E> {
        self.visits += 1;
        let Some(&last) = path.last() else { return Ok(()) };
        if self.is_self_signed(last) {
            // A leaf that signed itself has no issuers, and is not its own root.
            let root = (path.len() > 1).then_some(last);
            self.consider(path, root);
            return Ok(());
        }
        let issuers: Vec<usize> =
            self.issuers_of(last)?.into_iter().filter(|issuer| !self.turns_back(path, *issuer)).collect();
        if issuers.is_empty() || path.len() > MAX_DEPTH {
            self.consider(path, None);
        }
        if path.len() <= MAX_DEPTH {
            for issuer in issuers {
                if self.visits < MAX_VISITS {
                    path.push(issuer);
                    self.walk(path)?;
                    path.pop();
                }
            }
        }
        Ok(())
    }

    /// Whether this key under this name is on the path already: CAs that certify each other lead in circles.
    fn turns_back(&self, path: &[usize], next: usize) -> bool {
        let identity = |index: usize| self.pool.get(index).map(|it| (it.subject().to_string(), it.public_key_der()));
        path.iter().any(|index| *index == next || identity(*index) == identity(next))
    }

    fn consider(&mut self, path: &[usize], root: Option<usize>) {
        let certificates: Vec<usize> = path.iter().skip(1).copied().filter(|index| Some(*index) != root).collect();
        let expiries: Vec<Timestamp> =
            certificates.iter().filter_map(|index| self.pool.get(*index)).map(Certificate::not_after).collect();
        let complete = root.is_some() || path.len() == 1 && self.is_self_signed(0);
        let first = expiries.iter().min().copied().unwrap_or(Timestamp::MAX);
        let rank = (certificates.len() <= MAX_CHAIN, complete, first, Reverse(certificates.len()), expiries);
        if self.best.as_ref().is_none_or(|best| best.rank < rank) {
            self.best = Some(Path { certificates, root, rank });
        }
    }

    /// The candidates that issued a certificate: name and signature agree.
    fn issuers_of(&mut self, index: usize) -> Result<Vec<usize>, E> {
        if let Some(known) = self.links.get(&index) {
            return Ok(known.clone());
        }
        let Some(certificate) = self.pool.get(index).cloned() else { return Ok(Vec::new()) };
        let mut issuers = self.verified(&certificate, 0);
        let name = certificate.issuer_der().to_vec();
        if issuers.is_empty() && !self.asked.contains(&name) && self.asked.len() <= MAX_DEPTH {
            let known = self.pool.len();
            let found = (self.more)(&name)?;
            self.asked.push(name);
            self.add(found);
            issuers = self.verified(&certificate, known);
        }
        self.links.insert(index, issuers.clone());
        Ok(issuers)
    }

    /// The issuers of a certificate among the candidates from this index on. Where no signature can be verified, because its
    /// algorithm is not known here, a candidate counts whose key identifier is the one that the certificate names.
    fn verified(&mut self, certificate: &Certificate, from: usize) -> Vec<usize> {
        let named = |(_, candidate): &(usize, &Certificate)| candidate.subject().matches(certificate.issuer());
        let mut candidates: Vec<_> = self.pool.iter().enumerate().skip(from).filter(named).collect();
        // Those whose identifiers agree first, those whose identifiers differ last: a flood of namesakes must not use up the
        // verifications.
        candidates.sort_by_key(|(_, candidate)| match certificate.names_key_of(candidate) {
            Some(true) => 0,
            None => 1,
            Some(false) => 2,
        });
        let (mut verified, mut likely) = (Vec::new(), Vec::new());
        for (index, candidate) in candidates {
            if candidate == certificate || self.verifications >= MAX_VERIFICATIONS {
                continue;
            }
            self.verifications += 1;
            match certificate.is_signed_by(candidate) {
                Verification::Verified => verified.push(index),
                Verification::Unknown if certificate.names_key_of(candidate) == Some(true) => likely.push(index),
                Verification::Unknown | Verification::Refuted => {}
            }
        }
        if verified.is_empty() { likely } else { verified }
    }

    fn is_self_signed(&mut self, index: usize) -> bool {
        let pool = &self.pool;
        let judge = || {
            pool.get(index).is_some_and(|it| {
                it.is_self_issued()
                    && match it.is_signed_by(it) {
                        Verification::Verified => true,
                        // Of an algorithm that is not known here: its own key identifier, or none at all, tells a root.
                        Verification::Unknown => it.names_key_of(it) != Some(false),
                        Verification::Refuted => false,
                    }
            })
        };
        *self.self_signed.entry(index).or_insert_with(judge)
    }

    fn finish(self) -> Result<Chain, CertificateError> {
        let Some(best) = self.best else { return Ok(Chain::default()) };
        if best.certificates.len() > MAX_CHAIN {
            return Err(CertificateError::new(
                CertificateErrorKind::Chain,
                format!(
                    "wanted at most {MAX_CHAIN} certificates between leaf and root, found at least {}",
                    best.certificates.len()
                ),
            ));
        }
        let at = |index: &usize| self.pool.get(*index).cloned();
        let certificates: Vec<Certificate> = best.certificates.iter().filter_map(at).collect();
        let (_, complete, ..) = best.rank;
        let last = certificates.last().or(self.pool.first());
        let missing = last.filter(|_| !complete).map(|it| it.issuer().clone());
        let on_path = |index: &usize| *index == 0 || best.certificates.contains(index) || best.root == Some(*index);
        let left_out = (0..self.pool.len()).filter(|index| !on_path(index)).filter_map(|index| at(&index)).collect();
        Ok(Chain { certificates, root: best.root.as_ref().and_then(at), missing, left_out })
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_pki::{Issued, Order, Pki};
    use super::*;

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
        // Six CAs, each of which has certified every other: paths without number.
        let roots: Vec<_> = (0..6).map(|number| pki.root(&format!("R{number}"))).collect();
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
}
