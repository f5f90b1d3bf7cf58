//! The edit of a credentials file: puts one profile's three keys into it and leaves every other byte. Pure; knows no files.
//!
//! No expiration is written: no SDK reads one from this file, and the names that other tools use for it
//! (`x_security_token_expires`, `aws_expiration`, `expiration`) mean something only to the tool that wrote them.

use std::fmt;

use zeroize::Zeroizing;

use crate::credentials::Credentials;
use crate::files::profiles::{Kind, Line, ProfileName, eol, split, without_mark};

/// The keys that are ours, in the order in which missing ones are added.
const KEYS: [&str; 3] = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"];

/// A credential, named by its key, that is empty or would not be read back from a line as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwritable(pub(super) &'static str);

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wanted visible ASCII for {}, found something that the file cannot hold", self.0)
    }
}

impl std::error::Error for Unwritable {}

/// A profile and its credentials, known to fit into lines.
pub struct Entry {
    profile: ProfileName,
    /// In the order of `KEYS`.
    values: [Zeroizing<String>; 3],
}

impl Entry {
    /// Refuses credentials with line breaks, white space or nothing in them: what the network says adds no lines to a file.
    pub fn new(profile: ProfileName, credentials: &Credentials) -> Result<Self, Unwritable> {
        let values = [
            Zeroizing::new(credentials.access_key_id.clone()),
            credentials.secret_access_key.clone(),
            credentials.session_token.clone(),
        ];
        for (key, value) in KEYS.into_iter().zip(&values) {
            if value.is_empty() || !value.bytes().all(|octet| octet.is_ascii_graphic()) {
                return Err(Unwritable(key));
            }
        }
        Ok(Self { profile, values })
    }

    /// The profile that it is for.
    pub fn profile(&self) -> &ProfileName {
        &self.profile
    }

    fn lines(&self) -> impl Iterator<Item = (&'static str, &str)> {
        KEYS.into_iter().zip(self.values.iter().map(|value| value.as_str()))
    }

    /// At least what the edited file needs, so that its buffer never moves and leaves a copy of the secrets behind. Each
    /// added key may take over an indentation, which is a part of the file.
    fn room(&self, file: usize) -> usize {
        let lines: usize = self.lines().map(|(key, value)| file + key.len() + value.len()).sum();
        file + lines + self.profile.as_str().len() + 64
    }
}

/// The file with the entry's keys in its profile, and no other byte changed.
///
/// A key that is there keeps its place, its indentation and its line end; a missing one follows the section's last setting.
/// Keys that stand twice, or in another section of the same name, are left once, since parsers differ in which one they take.
/// A profile that is not there is added at the end. What stands behind a value on its line goes with the value: botocore
/// knows no comments there.
pub fn edit(existing: &[u8], entry: &Entry) -> Zeroizing<Vec<u8>> {
    let lines = split(existing);
    let sections = sections(&lines, &entry.profile);
    let mut output =
        Output { octets: Zeroizing::new(Vec::with_capacity(entry.room(existing.len()))), eol: eol(&lines) };
    let Some(target) = sections.iter().position(|section| section.is_exact).or((!sections.is_empty()).then_some(0))
    else {
        output.keep(existing);
        output.append(entry, lines.last().is_some_and(|line| !line.text.trim_ascii().is_empty()));
        return output.octets;
    };
    let mut done = 0;
    for (number, section) in sections.iter().enumerate() {
        output.keep_lines(lines.get(done..section.start).unwrap_or_default());
        let body = lines.get(section.start..section.end).unwrap_or_default();
        output.section(&read(body), (number == target).then_some(entry));
        done = section.end;
    }
    output.keep_lines(lines.get(done..).unwrap_or_default());
    output.octets
}

/// The lines below a header, up to the next one.
pub(super) struct Section {
    pub start: usize,
    pub end: usize,
    /// Written as every SDK reads it: neither indented nor with white space inside the brackets.
    pub is_exact: bool,
}

pub(super) fn sections(lines: &[Line<'_>], profile: &ProfileName) -> Vec<Section> {
    let mut found: Vec<Section> = Vec::new();
    let mut inside = false;
    for (number, line) in lines.iter().enumerate() {
        let line = if number == 0 { without_mark(*line) } else { *line };
        if let Kind::Header(name) = line.kind() {
            inside = name.trim_ascii() == profile.as_str().as_bytes();
            if inside {
                let is_exact = name == profile.as_str().as_bytes() && line.indentation().is_empty();
                found.push(Section { start: number + 1, end: number + 1, is_exact });
            }
        } else if inside && let Some(section) = found.last_mut() {
            section.end = number + 1;
        }
    }
    found
}

/// What becomes of a line in a section of the profile.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role<'a> {
    /// Blank or a comment.
    Silent,
    /// Somebody else's setting, the rest of its value, or what nobody can read.
    Theirs,
    /// The setting of one of our keys, by its number.
    Ours(usize),
    /// The rest of our value, or one of our keys indented into another value: gone when the keys are written.
    Stale,
    /// Somebody's setting that slipped into our value; it stays, under the indentation that makes it one again.
    Slipped(&'a [u8]),
}

/// A section, as the edit sees it.
struct Reading<'a> {
    body: Vec<(Line<'a>, Role<'a>)>,
    /// The indentation under which an added key is a setting of its own.
    indentation: &'a [u8],
}

/// The setting that a deeper indented line goes on with.
#[derive(Clone, Copy)]
struct Above<'a> {
    indentation: &'a [u8],
    is_ours: bool,
    /// Settings below a setting without a value are settings of a group, such as `s3 =`.
    is_group: bool,
    /// How deep the last one stands that slipped into it; what is deeper belongs to that one.
    slipped: Option<usize>,
}

fn read<'a>(body: &[Line<'a>]) -> Reading<'a> {
    let mut above: Option<Above<'a>> = None;
    let body = body.iter().map(|line| (*line, role(*line, &mut above))).collect();
    Reading { body, indentation: above.map_or(b"", |above| above.indentation) }
}

fn role<'a>(line: Line<'a>, above: &mut Option<Above<'a>>) -> Role<'a> {
    let indentation = line.indentation();
    let (key, is_group) = match line.kind() {
        Kind::Silent | Kind::Header(_) => return Role::Silent,
        Kind::Setting { key, value } => (key, value.is_empty()),
        Kind::Unknown => (&b""[..], false),
    };
    let ours = KEYS.iter().position(|own| key.eq_ignore_ascii_case(own.as_bytes()));
    let Some(above) = above.as_mut().filter(|above| indentation.len() > above.indentation.len()) else {
        if key.is_empty() {
            return Role::Theirs;
        }
        *above = Some(Above { indentation, is_ours: ours.is_some(), is_group, slipped: None });
        return ours.map_or(Role::Theirs, Role::Ours);
    };
    match (ours, above.slipped) {
        (Some(_), _) if above.is_ours || !above.is_group => Role::Stale,
        _ if !above.is_ours => Role::Theirs,
        (None, Some(slipped)) if indentation.len() > slipped => Role::Theirs,
        _ if !reads_as_setting(line) => Role::Stale,
        _ => {
            above.slipped = Some(indentation.len());
            Role::Slipped(above.indentation)
        }
    }
}

/// Whether a person would read the line as a setting. The padding of a folded Base64 value is none.
fn reads_as_setting(line: Line<'_>) -> bool {
    let Kind::Setting { key, value } = line.kind() else { return false };
    let is_name = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-' | b'.');
    let has_space = line.text.trim_ascii().iter().any(u8::is_ascii_whitespace);
    !key.is_empty() && key.iter().all(is_name) && (has_space || value.iter().any(|octet| *octet != b'='))
}

struct Output<'a> {
    octets: Zeroizing<Vec<u8>>,
    eol: &'a [u8],
}

impl Output<'_> {
    fn keep(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    fn keep_line(&mut self, line: Line<'_>) {
        self.keep(line.text);
        self.keep(line.ending);
    }

    fn keep_lines(&mut self, lines: &[Line<'_>]) {
        lines.iter().for_each(|line| self.keep_line(*line));
    }

    fn setting(&mut self, indentation: &[u8], key: &str, value: &str, ending: &[u8]) {
        for part in [indentation, key.as_bytes(), b" = ", value.as_bytes(), ending] {
            self.keep(part);
        }
    }

    fn end_line(&mut self) {
        if !self.octets.is_empty() && !self.octets.ends_with(b"\n") {
            self.keep(self.eol);
        }
    }

    /// Writes a section without our keys, or with the entry's.
    fn section(&mut self, section: &Reading<'_>, entry: Option<&Entry>) {
        let end = section.body.iter().rposition(|(_, role)| *role != Role::Silent).map_or(0, |last| last + 1);
        let mut missing = [true; KEYS.len()];
        for (number, (line, role)) in section.body.iter().enumerate() {
            if let (true, Some(entry)) = (number == end, entry) {
                self.missing(entry, section.indentation, &missing);
                missing = [false; KEYS.len()];
            }
            match role {
                Role::Silent | Role::Theirs => self.keep_line(*line),
                Role::Stale => {}
                Role::Slipped(indentation) => {
                    self.keep(indentation);
                    self.keep_line(Line { text: line.text.trim_ascii_start(), ..*line });
                }
                Role::Ours(key) => {
                    let missing = missing.get_mut(*key).filter(|missing| **missing);
                    let setting = entry.and_then(|entry| entry.lines().nth(*key));
                    if let (Some(missing), Some((key, value))) = (missing, setting) {
                        *missing = false;
                        self.setting(line.indentation(), key, value, line.ending);
                    }
                }
            }
        }
        if let Some(entry) = entry {
            self.missing(entry, section.indentation, &missing);
        }
    }

    fn missing(&mut self, entry: &Entry, indentation: &[u8], missing: &[bool]) {
        for ((key, value), _) in entry.lines().zip(missing).filter(|(_, missing)| **missing) {
            self.end_line();
            self.setting(indentation, key, value, self.eol);
        }
    }

    /// A new profile at the end, after a blank line where there is something before it.
    fn append(&mut self, entry: &Entry, wants_blank: bool) {
        self.end_line();
        if wants_blank {
            self.keep(self.eol);
        }
        for part in ["[".as_bytes(), entry.profile.as_str().as_bytes(), b"]", self.eol] {
            self.keep(part);
        }
        self.missing(entry, b"", &[true; KEYS.len()]);
    }
}
