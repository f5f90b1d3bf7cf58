//! What a check says: which it is, whether that is good, and the fact.

use super::check::Check;
use super::fact::Fact;

/// The outcome of one check.
#[derive(Debug)]
pub struct Finding {
    /// Which check.
    pub check: Check,
    /// Whether it is good.
    pub standing: Standing,
    /// What was found.
    pub fact: Fact,
}

/// How good a fact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// As it should be.
    Good,
    /// Worth knowing; nothing fails for it.
    Note,
    /// Credentials will not come, or come from elsewhere.
    Bad,
    /// Not looked at.
    Skipped,
}

impl Finding {
    /// A finding of this family's fact.
    pub(super) fn new(check: Check, standing: Standing, fact: impl Into<Fact>) -> Self {
        Self { check, standing, fact: fact.into() }
    }

    /// Not looked at, because of an earlier check.
    pub fn awaits(check: Check, earlier: Check) -> Self {
        Self::new(check, Standing::Skipped, Fact::Awaits(earlier))
    }
}
