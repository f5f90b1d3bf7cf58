//! `keyanchor ca list`: what was issued, and what has become of it.

use std::path::PathBuf;

use clap::ArgAction::Set;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::now;
use crate::cli::Failure;
use crate::cli::failure::conclude;
use crate::cli::log::LogArgs;
use crate::cli::output::print;
use crate::cli::values::{SWITCH, switch};
use crate::cli::words::authority_failure;
use crate::provision::ca::{Authority, Entry};

const EXAMPLES: &str = "\
Examples:
  What is good still:
    keyanchor ca list --ca ca | grep valid
  For a script:
    keyanchor ca list --ca ca --json";

/// List what was issued
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Directory of the authority
    #[arg(long, value_name = "DIR")]
    ca: PathBuf,
    /// Print JSON
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH)]
    json: bool,
    #[command(flatten)]
    log: LogArgs,
}

/// Reads the index; no device is asked.
pub fn run(args: &Args) -> u8 {
    args.log.start();
    conclude(list(args))
}

fn list(args: &Args) -> Result<(), Failure> {
    let failed = authority_failure(&args.ca);
    let authority = Authority::open(&args.ca).map_err(&failed)?;
    let index = authority.index().map_err(&failed)?;
    let now = now();
    if args.json {
        let entries: Vec<_> = index.entries().iter().map(|entry| object(entry, now)).collect();
        return print(format!("{:#}\n", Value::from(entries)));
    }
    let width = index.entries().iter().map(|entry| entry.issued.serial.len()).max().unwrap_or_default();
    print(index.entries().iter().map(|entry| line(entry, width, now)).collect::<String>())
}

fn state(entry: &Entry, now: Timestamp) -> &'static str {
    match entry.revoked {
        Some(_) => "revoked",
        None if entry.is_good(now) => "valid",
        None => "expired",
    }
}

fn line(entry: &Entry, width: usize, now: Timestamp) -> String {
    let issued = &entry.issued;
    let state = state(entry, now);
    // The subject is escaped already.
    format!("{:<width$}  {state:<7}  until {}  {}\n", issued.serial, issued.not_after, issued.subject)
}

fn object(entry: &Entry, now: Timestamp) -> Value {
    let issued = &entry.issued;
    let mut object = json!({
        "serial": issued.serial,
        "state": state(entry, now),
        "role": issued.role,
        "issuer": issued.issuer,
        "subject": issued.subject,
        "publicKeySha256": issued.key,
        "notBefore": issued.not_before,
        "notAfter": issued.not_after,
        "issuedAt": issued.at,
    });
    if let (Some((at, reason)), Some(fields)) = (&entry.revoked, object.as_object_mut()) {
        fields.insert("revokedAt".to_owned(), json!(at));
        fields.insert("revocationReason".to_owned(), json!(reason.to_string()));
    }
    object
}
