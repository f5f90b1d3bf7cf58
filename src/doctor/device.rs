//! The way to the device: file, library, start, reach, token, as the device's own kind has them.

use std::path::PathBuf;

use super::check::Check;
use super::fact::DeviceFact;
use super::finding::{Finding, Standing};
use crate::files::Access;
use crate::key::{Landmark, ProxiedModule, Stage, Step, TokenInfo, TpmKeyAttributes};

/// One finding for each step, and for each that was not reached.
pub fn check(steps: Vec<Step>, unreached: &[Stage]) -> Vec<Finding> {
    let library = library(&steps);
    let mut findings: Vec<_> = steps.into_iter().map(|step| finding(step, library.clone())).collect();
    let failed = findings.iter().rev().find(|finding| finding.standing == Standing::Bad).map(|finding| finding.check);
    if let Some(failed) = failed {
        findings.extend(unreached.iter().map(|stage| Finding::awaits(of(*stage), failed)));
    }
    findings
}

/// The check that what needs the device waits for; `None` where the way to it is free.
pub fn obstacle(steps: &[Step]) -> Option<Check> {
    steps.iter().find(|step| step.outcome.is_err()).map(|step| of(step.stage))
}

fn of(stage: Stage) -> Check {
    match stage {
        Stage::File => Check::DeviceFile,
        Stage::Library => Check::DeviceLibrary,
        Stage::Configuration => Check::DeviceConfiguration,
        Stage::Start => Check::DeviceStart,
        Stage::Reach => Check::DeviceReach,
        Stage::Token => Check::DeviceToken,
    }
}

/// The tokens that the reference selects.
pub fn tokens(steps: &[Step]) -> Vec<TokenInfo> {
    let tokens = found(steps).find_map(|landmark| match landmark {
        Landmark::Tokens(tokens) => Some(tokens.clone()),
        _ => None,
    });
    tokens.unwrap_or_default()
}

/// What a key file says of its key.
pub fn attributes(steps: &[Step]) -> Option<TpmKeyAttributes> {
    found(steps).find_map(|landmark| match landmark {
        Landmark::TpmKeyFile { attributes, .. } => Some(*attributes),
        _ => None,
    })
}

fn found(steps: &[Step]) -> impl Iterator<Item = &Landmark> {
    steps.iter().filter_map(|step| step.outcome.as_ref().ok())
}

/// The file of the module, as far as it was found.
pub fn library(steps: &[Step]) -> Option<PathBuf> {
    found(steps).find_map(|landmark| match landmark {
        Landmark::Module { path, .. } => Some(path.clone()),
        _ => None,
    })
}

fn finding(step: Step, library: Option<PathBuf>) -> Finding {
    let check = of(step.stage);
    match step.outcome {
        Ok(landmark) => Finding::new(check, standing(&landmark), DeviceFact::Found(landmark)),
        Err(error) => Finding::new(check, Standing::Bad, DeviceFact::Failed { error, library }),
    }
}

fn standing(landmark: &Landmark) -> Standing {
    match landmark {
        Landmark::Proxied(modules) => proxied(modules),
        // A key that can be copied is what a device is for to prevent.
        Landmark::SoftwareKey(access) => {
            access.as_ref().map_or(Standing::Note, |access| file(access).max(Standing::Note))
        }
        Landmark::Tokens(tokens) if tokens.len() > 1 => Standing::Note,
        _ => Standing::Good,
    }
}

fn proxied(modules: &[ProxiedModule]) -> Standing {
    let mut loaded = modules.iter().filter(|module| module.enabled);
    match () {
        () if !modules.iter().any(|module| module.enabled && module.exists) => Standing::Bad,
        () if loaded.any(|module| !module.exists) => Standing::Note,
        () => Standing::Good,
    }
}

fn file(access: &Access) -> Standing {
    match access {
        Access { read_by_all: true, .. } | Access { changed_by: Some(_), .. } => Standing::Bad,
        _ => Standing::Good,
    }
}
