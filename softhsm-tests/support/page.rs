//! A page of the documentation as what can be tested of it: its fenced blocks, and the commands of a console with what they print.
//!
//! A block's first word says what it is (`console`, `sh`, `ini`, `yaml`); `file=NAME` behind it, that it is the content of a file;
//! any other word, what running it would need that a test does not have (`console aws`, `console yubikey`). In a console `$ ` begins
//! a command, and the lines after it are what it prints; `…` stands for any text, on a line of its own for any lines.

use std::path::{Path, PathBuf};

/// A page by its path in the checkout.
pub struct Page {
    pub path: PathBuf,
    pub blocks: Vec<Block>,
}

/// A fenced block.
pub struct Block {
    /// Number of its first line of content.
    pub line: usize,
    /// Its first word; empty for a bare fence.
    pub kind: String,
    /// The name behind `file=`.
    pub file: Option<String>,
    /// What it needs that is not here.
    pub needs: Option<String>,
    pub text: String,
}

/// A command of a console, and what it prints.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    pub line: usize,
    pub command: String,
    pub printed: Vec<String>,
}

impl Page {
    #[track_caller]
    pub fn read(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path: path.to_owned(), blocks: blocks(&text) }
    }

    /// `PATH:LINE`, for failures.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.trim_start().strip_prefix("```") else { continue };
        let mut words = info.split_whitespace();
        let kind = words.next().unwrap_or_default().to_owned();
        let (mut file, mut needs) = (None, None);
        for word in words {
            match word.strip_prefix("file=") {
                Some(name) => file = Some(name.to_owned()),
                None => needs = Some(word.to_owned()),
            }
        }
        let content = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim_start() != "```");
        let text = content.map(|line| format!("{line}\n")).collect();
        blocks.push(Block { line: number + 2, kind, file, needs, text });
    }
    blocks
}

impl Block {
    /// The commands of a console.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        let mut lines = self.text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            match line.strip_prefix("$ ") {
                Some(first) => {
                    let mut command = first.to_owned();
                    while let Some((_, next)) = goes_on(&command).then(|| lines.next()).flatten() {
                        command = format!("{command}\n{next}");
                    }
                    steps.push(Step { line: self.line + number, command, printed: Vec::new() });
                }
                None => match steps.last_mut() {
                    Some(step) => step.printed.push(line.to_owned()),
                    None => panic!("line {}: wanted a command, found {line:?}", self.line + number),
                },
            }
        }
        steps
    }

    /// The shell text of the block: a console without what it prints.
    pub fn shell(&self) -> String {
        match self.kind.as_str() {
            "console" => self.steps().iter().map(|step| format!("{}\n", step.command)).collect(),
            _ => self.text.clone(),
        }
    }
}

/// Whether a command has further lines: behind a backslash, or in a here-document.
fn goes_on(command: &str) -> bool {
    let here = command.split_once("<<").and_then(|(_, rest)| rest.split_whitespace().next());
    match here {
        Some(end) => command.lines().next_back() != Some(end.trim_matches('\'')),
        None => command.ends_with('\\'),
    }
}

/// Whether lines are what a page says that is printed.
pub fn matches(wanted: &[String], found: &[&str]) -> bool {
    match (wanted.split_first(), found.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first.trim() == "…" => {
            matches(rest, found) || found.split_first().is_some_and(|(_, found)| matches(wanted, found))
        }
        (Some((first, rest)), Some((line, found))) => {
            line_matches(first.trim_end(), line.trim_end()) && matches(rest, found)
        }
        _ => false,
    }
}

fn line_matches(wanted: &str, line: &str) -> bool {
    match wanted.split_once('…') {
        None => wanted == line,
        Some((before, after)) => line.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| line_matches(after, &rest[at..]))
        }),
    }
}
