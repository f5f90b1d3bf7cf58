//! The command line: the clap tree, and one small file per command. Protocol details are elsewhere.

mod aws_template;
mod ca;
mod cache;
mod cached;
mod certificate;
mod completions;
mod configure;
mod credential_process;
mod csr;
mod doctor;
mod env;
mod exec;
mod expiry;
mod failure;
mod generate;
mod identity_args;
mod identity_draft;
mod identity_settings;
mod list;
mod log;
mod man;
mod out_args;
mod output;
mod read_certificate_data;
mod renew;
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

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use failure::conclude;
pub use failure::{Failure, FailureKind};

const EXAMPLES: &str = "\
Examples:
  A credential, for the AWS SDKs' credential_process:
    keyanchor credential-process --identity web
  Flags and examples of a command:
    keyanchor credential-process --help";

/// AWS credentials from private keys that never leave the hardware
#[derive(Parser)]
#[command(name = "keyanchor", version, args_override_self = true, after_help = EXAMPLES)]
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
    List(Box<list::Args>),
    Generate(Box<generate::Args>),
    Csr(Box<csr::Args>),
    Certificate(certificate::Args),
    Ca(Box<ca::Args>),
    Renew(Box<renew::Args>),
    SignString(Box<sign_string::Args>),
    ReadCertificateData(Box<read_certificate_data::Args>),
    AwsTemplate(Box<aws_template::Args>),
    Configure(Box<configure::Args>),
    Doctor(Box<doctor::Args>),
    Sandbox(Box<sandbox::Args>),
    Completions(completions::Args),
    Man(man::Args),
    Version(version::Args),
}

/// Parses the arguments, runs the command, prints a failure. The exit code says what kind it was.
pub fn main() -> u8 {
    match parse(std::env::args_os()) {
        Ok(cli) => run(cli.command),
        Err(error) => conclude(usage::explain(&error)),
    }
}

/// Whether these words, the program's name first, are a command line: all that can be told before the command runs.
pub fn check(words: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<(), Failure> {
    parse(words).err().and_then(|error| usage::failure(&error)).map_or(Ok(()), Err)
}

fn parse(words: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Cli, clap::Error> {
    tree().try_get_matches_from(words).and_then(|matches| Cli::from_arg_matches(&matches))
}

/// The command definitions.
fn tree() -> clap::Command {
    values::with_switches(Cli::command())
}

fn run(command: Command) -> u8 {
    match command {
        Command::CredentialProcess(args) => credential_process::run(&args),
        Command::Cache(args) => conclude(cache::run(&args)),
        Command::Serve(args) => serve::run(&args),
        Command::Env(args) => conclude(env::run(&args)),
        Command::Exec(args) => exec::run(&args),
        Command::Update(args) => update::run(&args),
        Command::List(args) => list::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Csr(args) => csr::run(&args),
        Command::Certificate(args) => certificate::run(&args),
        Command::Ca(args) => ca::run(&args),
        Command::Renew(args) => renew::run(&args),
        Command::SignString(args) => sign_string::run(&args),
        Command::ReadCertificateData(args) => read_certificate_data::run(&args),
        Command::AwsTemplate(args) => aws_template::run(&args),
        Command::Configure(args) => conclude(configure::run(&args)),
        Command::Doctor(args) => doctor::run(&args),
        Command::Sandbox(args) => conclude(sandbox::run(*args)),
        Command::Completions(args) => conclude(completions::run(&args, &Cli::command())),
        Command::Man(args) => conclude(man::run(&args, tree())),
        Command::Version(args) => conclude(version::run(args)),
    }
}
