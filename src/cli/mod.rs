//! The command line: the clap tree, and one small file per command. Protocol details are elsewhere.

mod cache;
mod cached;
mod credential_process;
mod csr;
mod env;
mod exec;
mod failure;
mod identity_args;
mod identity_settings;
mod log;
mod out_args;
mod output;
mod read_certificate_data;
mod sandbox;
mod serve;
mod served;
mod session_args;
mod sign_string;
mod signals;
mod subject_args;
mod terminal;
mod update;
mod usage;
mod values;
mod vending;
mod version;
mod words;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use failure::conclude;
pub use failure::{Failure, FailureKind};

/// AWS credentials from private keys that never leave the hardware
#[derive(Parser)]
#[command(name = "keyanchor", version, args_override_self = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
// One is made per process.
enum Command {
    CredentialProcess(Box<credential_process::Args>),
    Serve(Box<serve::Args>),
    Env(env::Args),
    Exec(Box<exec::Args>),
    Update(Box<update::Args>),
    Cache(cache::Args),
    Csr(Box<csr::Args>),
    SignString(Box<sign_string::Args>),
    ReadCertificateData(Box<read_certificate_data::Args>),
    Sandbox(Box<sandbox::Args>),
    Version(version::Args),
}

/// Parses the arguments, runs the command, prints a failure. The exit code says what kind it was.
pub fn main() -> u8 {
    let parsed = values::with_switches(Cli::command()).try_get_matches().and_then(|m| Cli::from_arg_matches(&m));
    match parsed {
        Ok(cli) => run(cli.command),
        Err(error) => conclude(usage::explain(&error)),
    }
}

fn run(command: Command) -> u8 {
    match command {
        Command::CredentialProcess(args) => credential_process::run(&args),
        Command::Cache(args) => conclude(cache::run(&args)),
        Command::Serve(args) => serve::run(&args),
        Command::Env(args) => conclude(env::run(&args)),
        Command::Exec(args) => exec::run(&args),
        Command::Update(args) => update::run(&args),
        Command::Csr(args) => csr::run(&args),
        Command::SignString(args) => sign_string::run(&args),
        Command::ReadCertificateData(args) => read_certificate_data::run(&args),
        Command::Sandbox(args) => conclude(sandbox::run(*args)),
        Command::Version(args) => conclude(version::run(args)),
    }
}
