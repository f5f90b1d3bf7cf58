//! A finding in words, and the exit code of several.

use serde_json::{Map, Value};

use super::words::{self, Remedies, Words};
use crate::cli::{Failure, FailureKind};
use crate::doctor::{Check, Fact, Finding, Standing};

/// A finding as it is printed.
pub struct Told {
    pub(super) check: Check,
    pub(super) standing: Standing,
    pub(super) found: String,
    /// The command that mends it.
    pub(super) mend: Option<String>,
    /// What kind of failure it is, where it is one.
    pub(super) kind: Option<FailureKind>,
    /// Numbers and names for programs.
    pub(super) details: Map<String, Value>,
}

impl Told {
    /// Puts a finding into words. `misread`: why flags or file could not be understood, where that is the finding.
    pub(super) fn new(finding: Finding, misread: Option<Failure>, remedies: &Remedies) -> Self {
        let Finding { check, standing, fact } = finding;
        let (standing, words) = match (fact, misread) {
            (Fact::Misread, Some(failure)) => (standing, Words::from(failure)),
            (Fact::Misread, None) => (Standing::Skipped, words::awaits(Check::Identity)),
            (fact, _) => (standing, words::of(fact, remedies)),
        };
        let Words { found, mend, kind, details } = words;
        let is_bad = standing == Standing::Bad;
        let mend = match standing {
            Standing::Good => None,
            Standing::Bad => mend.or_else(|| words::look(check).map(str::to_owned)),
            Standing::Note | Standing::Skipped => mend,
        };
        Self { check, standing, found, mend, kind: is_bad.then_some(kind), details }
    }
}

/// What must be mended first is the worst: without a command line that can be understood there is no road, without a key nothing
/// to certify, without a certificate nothing to send.
const WORST_FIRST: [FailureKind; 6] = [
    FailureKind::Usage,
    FailureKind::Key,
    FailureKind::Secret,
    FailureKind::Certificate,
    FailureKind::Network,
    FailureKind::Other,
];

/// The exit code of the worst.
pub fn exit_code(told: &[Told]) -> u8 {
    let kinds: Vec<_> = told.iter().filter_map(|told| told.kind).collect();
    let worst = WORST_FIRST.into_iter().find(|kind| kinds.contains(kind)).or(kinds.first().copied());
    worst.map_or(0, |kind| kind as u8)
}
