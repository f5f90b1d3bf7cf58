//! The way from a reference to its device, step by step, with what was found at each: for who wants to know where it is broken.
//! On this way nothing is logged in to, nothing is signed, and no secret is read.

use std::path::PathBuf;

use super::error::KeyError;
use super::inventory::{PinState, TokenInfo, TpmKeyAttributes};
use super::secret::{SecretKind, SecretSource};
use crate::files::Access;

/// How far the way goes.
#[derive(Debug, Default)]
pub struct Approach {
    /// The steps that were gone, in their order. One that failed is followed by none that stands on it.
    pub steps: Vec<Step>,
    /// The steps that were not gone, because an earlier one failed.
    pub unreached: Vec<Stage>,
    /// The secrets that a signature will want, as far as the device tells beforehand.
    pub secrets: Vec<WantedSecret>,
}

/// One step.
#[derive(Debug)]
pub struct Step {
    /// Which it is.
    pub stage: Stage,
    /// What was found there, or why it ends there.
    pub outcome: Result<Landmark, KeyError>,
}

/// What a device wants on the way to it. Each kind of device has some of these, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The file that holds the key.
    File,
    /// The library that speaks to the device.
    Library,
    /// What the library is told to load in its turn.
    Configuration,
    /// The library's own start.
    Start,
    /// The device behind it.
    Reach,
    /// The token that the reference selects.
    Token,
}

/// What was found at a step.
#[derive(Debug)]
pub enum Landmark {
    /// A file with a key for this process.
    SoftwareKey(Option<Access>),
    /// A file with a key that only a TPM can use.
    TpmKeyFile {
        /// Who may read it; knowing it is worth nothing without its TPM.
        access: Option<Access>,
        /// What its public area says.
        attributes: TpmKeyAttributes,
    },
    /// The file of a PKCS#11 module.
    Module {
        /// As it was named or found.
        path: PathBuf,
        /// Who named it.
        named_by: ModuleNamedBy,
    },
    /// The modules that p11-kit's proxy loads.
    Proxied(Vec<ProxiedModule>),
    /// A PKCS#11 module that runs, as it describes itself.
    Started {
        /// Manufacturer, description and version.
        description: String,
    },
    /// The library for TPMs.
    TpmLibrary,
    /// A TPM that answers.
    Tpm {
        /// The way to it.
        place: String,
        /// The flag or variable that named it.
        named_by: &'static str,
        /// What it says of wrong passwords.
        tries: Tries,
    },
    /// The tokens that the reference selects; at least one.
    Tokens(Vec<TokenInfo>),
}

/// Who named a PKCS#11 module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleNamedBy {
    /// A flag, or the configuration file in its place.
    Settings,
    /// The reference itself.
    Reference,
    /// The environment's default.
    Environment,
    /// Nobody: p11-kit's proxy is taken.
    Nobody,
}

/// A module as p11-kit's configuration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxiedModule {
    /// Name of its configuration file, without `.module`.
    pub name: String,
    /// The library, where it says so; relative ones are in p11-kit's module folder.
    pub path: Option<PathBuf>,
    /// Whether that library is there.
    pub exists: bool,
    /// Whether the proxy loads it: `enable-in` and `disable-in` may leave it out.
    pub enabled: bool,
}

/// What a device says about the tries that are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tries {
    /// Nothing: no try is known to have failed.
    Untroubled,
    /// A wrong secret was given since the last right one.
    Troubled,
    /// One more wrong secret locks it.
    Final,
    /// It is locked.
    Locked,
    /// So many wrong secrets are still allowed.
    Left(u32),
    /// There is no secret to give yet, as far as the device tells.
    Unset,
    /// The secret is to be changed before it can be used.
    ToBeChanged,
}

impl From<PinState> for Tries {
    /// The gravest flag speaks.
    fn from(pin: PinState) -> Self {
        match pin {
            PinState { locked: true, .. } => Self::Locked,
            PinState { final_try: true, .. } => Self::Final,
            PinState { to_be_changed: true, .. } => Self::ToBeChanged,
            PinState { initialized: false, .. } => Self::Unset,
            PinState { count_low: true, .. } => Self::Troubled,
            _ => Self::Untroubled,
        }
    }
}

/// A secret that a signature will want.
#[derive(Clone, Debug)]
pub struct WantedSecret {
    /// Which.
    pub kind: SecretKind,
    /// Whether the device will certainly ask for it; otherwise it does not tell beforehand.
    pub certain: bool,
    /// The source that the reference names.
    pub from_reference: Option<SecretSource>,
}

impl Approach {
    /// A way of these stages, none of which was gone yet.
    pub(super) fn along(stages: &[Stage]) -> Self {
        Self { unreached: stages.to_vec(), ..Self::default() }
    }

    /// Goes a step. `None` where it fails: what follows cannot be gone.
    pub(super) fn go<T>(&mut self, stage: Stage, outcome: Result<(Landmark, T), KeyError>) -> Option<T> {
        self.unreached.retain(|ahead| *ahead != stage);
        let (outcome, carried) = match outcome {
            Ok((landmark, carried)) => (Ok(landmark), Some(carried)),
            Err(error) => (Err(error), None),
        };
        self.steps.push(Step { stage, outcome });
        carried
    }
}
