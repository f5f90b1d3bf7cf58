//! The configuration file: whether it can be used, and who may change and read it.

use super::check::Check;
use super::fact::ConfigurationFact;
use super::finding::{Finding, Standing};
use crate::config::{Config, Location};
use crate::files::Access;

/// Reads the file where there is one. `counts`: what is looked at is, or may be, told by it; a file that does not count can be
/// unusable without harm.
pub fn check(location: Option<&Location>, counts: bool) -> Vec<Finding> {
    let Some(location) = location else {
        return vec![Finding::new(Check::ConfigurationFile, Standing::Good, ConfigurationFact::NoPlace)];
    };
    let access = Access::of(&location.path).ok().map(|access| {
        let standing = standing(&access);
        Finding::new(Check::ConfigurationAccess, standing, ConfigurationFact::Access(access))
    });
    [Some(content(location, access.is_some(), counts)), access].into_iter().flatten().collect()
}

fn content(location: &Location, exists: bool, counts: bool) -> Finding {
    let (standing, fact) = match Config::load(location) {
        Err(error) if !counts => (Standing::Note, ConfigurationFact::Unusable(location.clone(), error)),
        Err(error) => (Standing::Bad, ConfigurationFact::Unusable(location.clone(), error)),
        Ok(_) if !exists => (Standing::Good, ConfigurationFact::Absent(location.clone())),
        Ok(config) => {
            let identities = config.identities.into_keys().collect();
            let consumers = config.consumers.len();
            (Standing::Good, ConfigurationFact::Read { location: location.clone(), identities, consumers })
        }
    };
    Finding::new(Check::ConfigurationFile, standing, fact)
}

/// Who can change it, can send requests elsewhere. Who can read it learns names alone: it holds no secret.
fn standing(access: &Access) -> Standing {
    match access {
        Access { changed_by: Some(_), .. } => Standing::Bad,
        Access { read_by_all: true, .. } => Standing::Note,
        _ => Standing::Good,
    }
}
