//! The command line: the clap tree, and one small file per command. Protocol details are elsewhere.

mod failure;
mod sandbox;
mod version;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use failure::{Failure, FailureKind};

#[derive(Parser)]
#[command(name = "keyanchor", version, about, args_override_self = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
// One is made per process.
#[allow(clippy::large_enum_variant)]
enum Command {
    Sandbox(sandbox::Args),
    Version(version::Args),
}

/// Parses the arguments, runs the command, prints a failure. The exit code says what kind it was.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Sandbox(args) => sandbox::run(args),
        Command::Version(args) => version::run(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
