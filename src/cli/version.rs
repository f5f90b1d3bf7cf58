//! `keyanchor version`: the version and a line end, as the peer prints it.

use super::Failure;
use super::output::print;

/// Print the version
#[derive(clap::Args)]
pub struct Args {}

/// Writes the version to stdout.
pub fn run(_args: Args) -> Result<(), Failure> {
    print(concat!(env!("CARGO_PKG_VERSION"), "\n"))
}
