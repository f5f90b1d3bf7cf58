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
mod lazy;
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
use lazy::Lazy;

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
enum Command {
    CredentialProcess(Lazy<credential_process::Args>),
    Serve(Lazy<serve::Args>),
    Env(Lazy<env::Args>),
    Exec(Lazy<exec::Args>),
    Update(Lazy<update::Args>),
    Cache(Lazy<cache::Args>),
    List(Lazy<list::Args>),
    Generate(Lazy<generate::Args>),
    Csr(Lazy<csr::Args>),
    Certificate(Lazy<certificate::Args>),
    Ca(Lazy<ca::Args>),
    Renew(Lazy<renew::Args>),
    SignString(Lazy<sign_string::Args>),
    ReadCertificateData(Lazy<read_certificate_data::Args>),
    AwsTemplate(Lazy<aws_template::Args>),
    Configure(Lazy<configure::Args>),
    Doctor(Lazy<doctor::Args>),
    Sandbox(Lazy<sandbox::Args>),
    Completions(Lazy<completions::Args>),
    Man(Lazy<man::Args>),
    Version(Lazy<version::Args>),
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
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    let matches = Cli::command().try_get_matches_from(&words);
    // What is said of commands in a help or beside an error is known once all of them are defined.
    let matches = matches.or_else(|_| definitions().try_get_matches_from(&words));
    matches.and_then(|matches| Cli::from_arg_matches(&matches))
}

/// All commands with all their flags.
fn definitions() -> clap::Command {
    let mut commands = Cli::command();
    commands.build();
    commands
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
        Command::Sandbox(args) => conclude(sandbox::run(args.into_inner())),
        Command::Completions(args) => conclude(completions::run(&args, &definitions())),
        Command::Man(args) => conclude(man::run(&args, Cli::command())),
        Command::Version(args) => conclude(version::run(&args)),
    }
}
