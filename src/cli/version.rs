//! `keyanchor version`: the version and a line end, as the peer prints it.

use super::Failure;
use super::output::print;

const EXAMPLES: &str = "\
Examples:
    keyanchor version";

/// Print the version
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {}

/// Writes the version to stdout.
pub fn run(_args: &Args) -> Result<(), Failure> {
    print(concat!(env!("CARGO_PKG_VERSION"), "\n"))
}
