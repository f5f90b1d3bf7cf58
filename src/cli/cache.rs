//! `keyanchor cache`: what `credential-process --cache` keeps.

use super::cached;
use super::output::print;
use super::{Failure, FailureKind};
use crate::files::SharedFileError;
use crate::vend::cache::{Cache, Listed};

const EXAMPLES: &str = "\
Examples:
  What is kept, and until when it is good:
    keyanchor cache list
  Forget it all:
    keyanchor cache clear";

/// List or remove the credentials that credential-process --cache keeps
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand, Debug)]
enum Action {
    /// List them: until when they are good and what they are for
    List,
    /// Remove them all
    Clear,
}

/// Prints no secret. An empty cache lists nothing.
pub fn run(args: &Args) -> Result<(), Failure> {
    let directory = cached::directory().ok_or_else(|| {
        Failure::new(
            FailureKind::Usage,
            "wanted XDG_RUNTIME_DIR, XDG_STATE_HOME or HOME in the environment, found none",
        )
    })?;
    let cache = Cache::open(directory).map_err(failed)?;
    match args.action {
        Action::List => print(cache.list().map_err(failed)?.iter().map(line).collect::<String>()),
        Action::Clear => cache.clear().map(|_| ()).map_err(failed),
    }
}

fn line(listed: &Listed) -> String {
    // The beginning of the hash tells entries apart.
    let name: String = listed.name.as_str().chars().take(12).collect();
    match &listed.kept {
        Some((label, life)) => format!("{name}  until {}  {}\n", life.expires, label.escape_debug()),
        None => format!("{name}  damaged, or not to be trusted\n"),
    }
}

fn failed(error: SharedFileError) -> Failure {
    Failure::new(FailureKind::Other, error.to_string())
}
