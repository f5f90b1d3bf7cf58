//! The path from a leaf to a trust anchor (RFC 5280 §6.1), over the certificates that were sent with it, in whatever order.

use jiff::Timestamp;

use super::certificate::Certificate;
use super::refusal::Flaw;

/// The most certificates that `X-Amz-X509-Chain` may hold; also what bounds the search.
pub const MAX_INTERMEDIATES: usize = 5;

/// Finds a path whose every certificate is in order. The error names each dead end.
pub fn require_path(
    leaf: &Certificate,
    intermediates: &[Certificate],
    anchors: &[Certificate],
    now: Timestamp,
) -> Result<(), Flaw> {
    let mut search = Search { intermediates, anchors, now, dead_ends: Vec::new() };
    if search.reaches_anchor(&mut vec![leaf]) {
        return Ok(());
    }
    search.dead_ends.dedup();
    Err(Flaw::new(search.dead_ends.join("; ")))
}

struct Search<'a> {
    intermediates: &'a [Certificate],
    anchors: &'a [Certificate],
    now: Timestamp,
    dead_ends: Vec<String>,
}

impl<'a> Search<'a> {
    /// Whether the path, which grows from the leaf upward, can be continued to an anchor.
    fn reaches_anchor(&mut self, path: &mut Vec<&'a Certificate>) -> bool {
        let Some(child) = path.last().copied() else { return false };
        let mut nobody = true;
        for anchor in self.anchors.iter().filter(|anchor| child.names_issuer(anchor)) {
            nobody = false;
            if self.accepts(path, child, anchor) {
                return true;
            }
        }
        let intermediates = self.intermediates;
        for issuer in intermediates.iter().filter(|issuer| child.names_issuer(issuer)) {
            if path.iter().any(|taken| taken.der() == issuer.der()) {
                continue;
            }
            nobody = false;
            if !self.accepts(path, child, issuer) {
                continue;
            }
            path.push(issuer);
            if self.reaches_anchor(path) {
                return true;
            }
            path.pop();
        }
        if nobody {
            self.dead_ends.push(format!(
                "wanted {:?}, the issuer of {:?}, found it neither among {} sent nor {} trusted certificates",
                child.issuer(),
                child.subject(),
                self.intermediates.len(),
                self.anchors.len(),
            ));
        }
        false
    }

    fn accepts(&mut self, path: &[&Certificate], child: &Certificate, issuer: &Certificate) -> bool {
        let below = path.iter().skip(1).filter(|certificate| !certificate.is_self_issued()).count();
        let outcome = issuer.require_authority(self.now, below).and_then(|()| child.require_signed_by(issuer));
        outcome.map_err(|flaw| self.dead_ends.push(flaw.to_string())).is_ok()
    }
}
