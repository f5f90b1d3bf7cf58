//! `--verbose` and `--debug`: what the library logs, as lines on stderr. stdout is never touched.

use std::io::Write;

use clap::ArgAction::Set;
use jiff::Timestamp;
use log::{Level, LevelFilter, Metadata, Record};

use super::values::{SWITCH, set, switch};
use super::{Failure, FailureKind};

/// Flags that decide how much is said
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Output")]
pub struct LogArgs {
    /// Say each step in a line on stderr
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH)]
    pub(super) verbose: bool,
    /// Show canonical request, string to sign, timings and the answer without its secrets on stderr
    #[arg(long, value_parser = switch, action = Set, value_name = SWITCH)]
    pub(super) debug: bool,
}

impl LogArgs {
    /// Starts logging for the process.
    pub fn start(&self) {
        self.start_in(LogFormat::Text);
    }

    /// The same in another form of lines.
    pub fn start_in(&self, format: LogFormat) {
        let level = match (self.debug, self.verbose) {
            (true, _) => LevelFilter::Debug,
            (false, true) => LevelFilter::Info,
            (false, false) => LevelFilter::Warn,
        };
        // Fails only where a logger is set already, which is then as good.
        let _ = log::set_logger(match format {
            LogFormat::Text => &Lines(LogFormat::Text),
            LogFormat::Json => &Lines(LogFormat::Json),
        });
        log::set_max_level(level);
    }
}

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `MARK: MESSAGE`; without the mark what a person at a terminal is told.
    Text,
    /// An object with time, level and message, for programs that collect logs.
    Json,
}

impl LogFormat {
    /// The flag's value; text where it is absent.
    pub fn parse(flag: &str, value: Option<&str>) -> Result<Self, Failure> {
        match set(value) {
            None | Some("text") => Ok(Self::Text),
            Some("json") => Ok(Self::Json),
            Some(other) => {
                let message = format!("{flag}: wanted text or json, found '{other}'");
                Err(Failure::new(FailureKind::Usage, message))
            }
        }
    }

    /// A line for what is said at a level, with its end.
    pub fn line(self, level: &str, message: &str) -> String {
        match self {
            Self::Text => format!("{message}\n"),
            Self::Json => {
                let time = format!("{:.3}", Timestamp::now());
                format!("{}\n", serde_json::json!({ "time": time, "level": level, "message": message }))
            }
        }
    }
}

struct Lines(LogFormat);

impl log::Log for Lines {
    /// Only what this program says itself: the libraries below have their errors turned into ours.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("keyanchor")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = match self.0 {
            LogFormat::Text => format!("{}: {}\n", mark(record.level()), record.args()),
            LogFormat::Json => self.0.line(&record.level().as_str().to_ascii_lowercase(), &record.args().to_string()),
        };
        // One write per line, so that lines of several threads do not mix; a closed stderr is nobody's loss.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

fn mark(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "step",
        Level::Debug | Level::Trace => "debug",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_said_is_one_line_of_json() {
        let message = "a \"quoted\" C:\\path\nand \u{1b}[31m ünïcode";
        let line = LogFormat::Json.line("warn", message);
        let (text, end) = line.split_at(line.len() - 1);
        assert_eq!((end, text.contains('\n')), ("\n", false));
        let object: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!((object["level"].as_str(), object["message"].as_str()), (Some("warn"), Some(message)));
        assert!(object["time"].as_str().unwrap().parse::<Timestamp>().is_ok(), "{line}");
    }
}
