//! The chain that is sent: the true issuer path from the leaf upward, found among candidates in any order.

use std::cmp::Reverse;
use std::collections::HashMap;

use jiff::Timestamp;

use super::certificate::Certificate;
use super::error::CertificateError;
use super::name::Name;
use super::requirements::{MAX_CHAIN, require_length};
use super::signature::Verification;

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
        let chain = Self::follow(leaf, candidates, issuers)?;
        require_length(&chain.certificates)?;
        Ok(chain)
    }

    /// The same for one who judges: a path that is too long is given as far as it was followed.
    pub fn follow<E>(leaf: &Certificate, candidates: Vec<Certificate>, issuers: &mut Lookup<'_, E>) -> Result<Self, E> {
        let mut search = Search {
            pool: Vec::new(),
            keys: Vec::new(),
            links: HashMap::new(),
            self_signed: HashMap::new(),
            more: issuers,
            asked: Vec::new(),
            verifications: 0,
            visits: 0,
            best: None,
        };
        search.add(vec![leaf.clone()]);
        search.add(candidates);
        search.walk(&mut vec![0])?;
        Ok(search.finish())
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
    /// For each of them, the place of the first that has the same key under the same name.
    keys: Vec<usize>,
    links: HashMap<usize, Vec<usize>>,
    self_signed: HashMap<usize, bool>,
    more: &'a mut Lookup<'a, E>,
    /// Names that `more` was asked for.
    asked: Vec<Vec<u8>>,
    verifications: usize,
    visits: usize,
    best: Option<Path>,
}

impl<E> Search<'_, E> {
    fn add(&mut self, candidates: Vec<Certificate>) {
        for candidate in candidates {
            if self.pool.len() <= MAX_CANDIDATES && !self.pool.contains(&candidate) {
                let same = |it: &Certificate| {
                    it.subject().matches(candidate.subject()) && it.public_key_der() == candidate.public_key_der()
                };
                self.keys.push(self.pool.iter().position(same).unwrap_or(self.pool.len()));
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
        path.iter().any(|index| self.keys.get(*index) == self.keys.get(next))
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
        candidates.sort_by_cached_key(|(_, candidate)| match certificate.names_key_of(candidate) {
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

    fn finish(self) -> Chain {
        if self.verifications >= MAX_VERIFICATIONS || self.visits >= MAX_VISITS {
            log::info!("chain: too many candidates of the same names; using the best path found so far");
        }
        let Some(best) = self.best else { return Chain::default() };
        let at = |index: &usize| self.pool.get(*index).cloned();
        let certificates: Vec<Certificate> = best.certificates.iter().filter_map(at).collect();
        let (_, complete, ..) = best.rank;
        let last = certificates.last().or(self.pool.first());
        let missing = last.filter(|_| !complete).map(|it| it.issuer().clone());
        let on_path = |index: &usize| *index == 0 || best.certificates.contains(index) || best.root == Some(*index);
        let left_out = (0..self.pool.len()).filter(|index| !on_path(index)).filter_map(|index| at(&index)).collect();
        Chain { certificates, root: best.root.as_ref().and_then(at), missing, left_out }
    }
}

#[cfg(test)]
mod tests;
