//! `keyanchor sandbox`: skeleton.

use super::Failure;

/// Run a local Roles Anywhere service that verifies requests
#[derive(clap::Args)]
pub struct Args {}

/// Serves until a signal ends it.
pub fn run(_args: Args) -> Result<(), Failure> {
    Ok(())
}
