//! `keyanchor version`: the version and a line end, as the peer prints it.

use std::io::Write;

use super::Failure;

/// Print the version
#[derive(clap::Args)]
pub struct Args {}

/// Writes the version to stdout.
pub fn run(_args: Args) -> Result<(), Failure> {
    writeln!(std::io::stdout(), env!("CARGO_PKG_VERSION")).map_err(Failure::output)
}
