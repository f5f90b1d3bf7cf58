//! The devices of a command that works with two keys, each with secrets of its own: closed after the output.

use crate::cli::Failure;
use crate::cli::failure::conclude;
use crate::key::Devices;
use crate::process::end;

/// Devices that stay open until the command has said what it has to say: modules crash when they are finalised.
#[derive(Default)]
pub struct Held {
    /// For the key that is certified.
    pub certified: Option<Devices>,
    /// For the keys of the authority.
    pub authority: Option<Devices>,
}

/// Runs a command, prints its failure and gives its exit code.
pub fn with_held(command: impl FnOnce(&mut Held) -> Result<(), Failure>) -> u8 {
    let mut held = Held::default();
    let code = conclude(command(&mut held));
    end::despite_crashes(code);
    // Where both have one module, whoever was opened first has started it, and ends it last.
    [held.authority, held.certified].into_iter().flatten().for_each(Devices::close);
    code
}
