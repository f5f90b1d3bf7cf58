//! `--verbose` and `--debug`: what the library logs, as lines on stderr. stdout is never touched.

use std::io::Write;

use clap::ArgAction::Set;
use log::{Level, LevelFilter, Metadata, Record};

use super::values::{SWITCH, switch};

/// Flags that decide how much is said
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Output")]
pub struct LogArgs {
    /// Say each step in a line on stderr
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH)]
    verbose: bool,
    /// Show canonical request, string to sign, timings and the answer without its secrets on stderr
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH)]
    debug: bool,
}

impl LogArgs {
    /// Starts logging for the process.
    pub fn start(&self) {
        let level = match (self.debug, self.verbose) {
            (true, _) => LevelFilter::Debug,
            (false, true) => LevelFilter::Info,
            (false, false) => LevelFilter::Warn,
        };
        // Fails only where a logger is set already, which is then as good.
        let _ = log::set_logger(&Lines);
        log::set_max_level(level);
    }
}

struct Lines;

impl log::Log for Lines {
    /// Only what this program says itself: the libraries below have their errors turned into ours.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("keyanchor")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mark = match record.level() {
            Level::Error => "error",
            Level::Warn => "warning",
            Level::Info => "step",
            Level::Debug | Level::Trace => "debug",
        };
        // One write per line, so that lines of several threads do not mix; a closed stderr is nobody's loss.
        let _ = std::io::stderr().write_all(format!("{mark}: {}\n", record.args()).as_bytes());
    }

    fn flush(&self) {}
}
