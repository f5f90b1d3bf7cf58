//! The `credential_process` of a profile in `~/.aws/config`: read, and put there with every other byte kept. Pure; knows no files
//! and nothing of the command but that it is one line.

use std::fmt;

use crate::files::profiles::{Kind, Line, ProfileName, eol, split, without_mark};

/// The setting that is ours.
const PROCESS: &str = "credential_process";

/// Settings of a profile that give it credentials in another way, most of which SDKs take before a `credential_process`.
const OTHER_WAYS: [&str; 12] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "role_arn",
    "source_profile",
    "credential_source",
    "web_identity_token_file",
    "login_session",
    "sso_session",
    "sso_start_url",
    "sso_account_id",
    "sso_role_name",
];

/// What a profile is to say.
#[derive(Clone, Copy, Debug)]
pub struct ProfileEntry<'a> {
    /// Which profile.
    pub profile: &'a ProfileName,
    /// The command of its `credential_process`: one line.
    pub command: &'a str,
    /// Its region, where it has none yet.
    pub region: Option<&'a str>,
}

/// What may be replaced in a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Nothing.
    Nothing,
    /// Another `credential_process`.
    Process,
    /// That, and every other way to credentials.
    AllWays,
}

/// Why a profile cannot be written or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileError {
    /// The header in this line means the profile, but not to every SDK: indented, with white space inside, or unquoted.
    Header {
        /// Counted from 1.
        line: usize,
        /// As every SDK reads it.
        wanted: String,
    },
    /// The profile stands in several sections, with headers in these lines.
    Twice {
        /// Counted from 1.
        lines: Vec<usize>,
    },
    /// The profile has credentials already: the settings and their lines.
    Taken {
        /// Name of the setting, and its line counted from 1.
        settings: Vec<(String, usize)>,
    },
    /// The setting in this line is indented, so that it reads as a part of the `credential_process` that would be replaced.
    Slipped {
        /// Counted from 1.
        line: usize,
    },
}

/// The header of a profile, as every SDK reads it.
pub fn header(profile: &ProfileName) -> String {
    match profile.as_str() {
        "default" => "[default]".to_owned(),
        name if name.contains([' ', '\'', '"', '\\']) => {
            format!("[profile \"{}\"]", name.replace('\\', "\\\\").replace('"', "\\\""))
        }
        name => format!("[profile {name}]"),
    }
}

/// The `credential_process` that the profile has in `~/.aws/config`, with its continuation lines.
pub fn credential_process(config: &[u8], profile: &ProfileName) -> Result<Option<String>, ProfileError> {
    let lines = split(config);
    let Some(section) = only_section(&lines, profile)? else { return Ok(None) };
    let settings = section.settings(&lines);
    Ok(settings.iter().find(|setting| setting.is(PROCESS)).map(|setting| setting.value(&lines)))
}

/// The settings of the profile in `~/.aws/credentials` that SDKs take before a `credential_process` of `~/.aws/config`, with
/// their lines counted from 1.
pub fn before_process(credentials: &[u8], profile: &ProfileName) -> Vec<(String, usize)> {
    let lines = split(credentials);
    let sections = sections(&lines, |name| (name.trim_ascii() == profile.as_str().as_bytes()).then_some(true));
    let settings = sections.iter().flat_map(|section| section.settings(&lines));
    settings.filter(|setting| setting.is(PROCESS) || setting.is_other_way()).map(|setting| setting.named()).collect()
}

/// `~/.aws/config` with the entry in it.
///
/// A profile that says the same already is left as it is. A `credential_process` keeps its place and its indentation; a new one
/// follows the profile's last setting; a new profile is added at the end.
pub fn put(config: &[u8], entry: ProfileEntry<'_>, replace: Replace) -> Result<Vec<u8>, ProfileError> {
    let lines = split(config);
    let Some(section) = only_section(&lines, entry.profile)? else { return Ok(appended(config, &lines, entry)) };
    let settings = section.settings(&lines);
    let is_ours = |setting: &Setting<'_>| setting.is(PROCESS) && setting.value(&lines) == entry.command;
    let in_way: Vec<&Setting<'_>> =
        settings.iter().filter(|setting| setting.is_other_way() || setting.is(PROCESS) && !is_ours(setting)).collect();
    let forbidden = in_way.iter().filter(|setting| match replace {
        Replace::Nothing => true,
        Replace::Process => !setting.is(PROCESS),
        Replace::AllWays => false,
    });
    let forbidden: Vec<_> = forbidden.map(|setting| setting.named()).collect();
    if !forbidden.is_empty() {
        return Err(ProfileError::Taken { settings: forbidden });
    }
    if let Some(line) = in_way.iter().find_map(|setting| setting.slipped(&lines)) {
        return Err(ProfileError::Slipped { line });
    }
    let place = match settings.iter().any(&is_ours) {
        true => None,
        false => in_way.iter().find(|setting| setting.is(PROCESS)).map(|setting| setting.first),
    };
    let process = (!settings.iter().any(is_ours)).then_some((PROCESS, entry.command));
    let region =
        entry.region.filter(|_| !settings.iter().any(|setting| setting.is("region"))).map(|text| ("region", text));
    let added: Vec<_> = process.filter(|_| place.is_none()).into_iter().chain(region).collect();
    let gone = |number: usize| in_way.iter().any(|setting| setting.first == number || setting.rest.contains(&number));
    let end = settings.iter().map(Setting::last).max().map_or(section.start, |last| last + 1);
    let indentation = settings.last().map_or(&b""[..], |setting| setting.indentation);

    let mut output = Output { octets: Vec::with_capacity(config.len() + entry.command.len() + 64), eol: eol(&lines) };
    for (number, line) in lines.iter().enumerate() {
        if number == end {
            added.iter().for_each(|(key, value)| output.setting(indentation, key, value));
        }
        match gone(number) {
            false => output.keep(*line),
            true if place == Some(number) => {
                output.setting_with(line.indentation(), PROCESS, entry.command, line.ending);
            }
            true => {}
        }
    }
    if end >= lines.len() {
        added.iter().for_each(|(key, value)| output.setting(indentation, key, value));
    }
    Ok(output.octets)
}

/// The section of the profile, which must be one that every SDK finds.
fn only_section(lines: &[Line<'_>], profile: &ProfileName) -> Result<Option<Section>, ProfileError> {
    let mut sections = sections(lines, |name| names(name, profile));
    if let Some(section) = sections.iter().find(|section| !section.is_exact) {
        return Err(ProfileError::Header { line: section.start, wanted: header(profile) });
    }
    match sections.len() {
        0 | 1 => Ok(sections.pop()),
        _ => Err(ProfileError::Twice { lines: sections.iter().map(|section| section.start).collect() }),
    }
}

/// Whether what stands in the brackets means the profile: `Some(true)` as every SDK reads it, `Some(false)` where some do not.
///
/// botocore wants `profile` to be the first octets and one word behind it, which may be quoted; others trim and take the rest as
/// it is.
fn names(inside: &[u8], profile: &ProfileName) -> Option<bool> {
    let inside = std::str::from_utf8(inside).ok()?;
    let trimmed = inside.trim();
    let is_exact = trimmed.len() == inside.len();
    if trimmed == "default" {
        return (profile.as_str() == "default").then_some(is_exact);
    }
    let name = trimmed.strip_prefix("profile").filter(|rest| rest.starts_with([' ', '\t']))?.trim();
    match shlex::split(name).as_deref() {
        Some([word]) if word == profile.as_str() => Some(is_exact),
        _ => (name == profile.as_str()).then_some(false),
    }
}

/// The lines below a header, up to the next one.
struct Section {
    start: usize,
    end: usize,
    /// Written as every SDK reads it.
    is_exact: bool,
}

/// A setting of a section, by the numbers of its lines from 0.
struct Setting<'a> {
    key: &'a [u8],
    first_value: &'a [u8],
    indentation: &'a [u8],
    first: usize,
    /// Deeper indented lines, which botocore takes for the rest of the value. Comments among them are no part of it.
    rest: Vec<usize>,
}

fn sections(lines: &[Line<'_>], meant: impl Fn(&[u8]) -> Option<bool>) -> Vec<Section> {
    let mut found: Vec<Section> = Vec::new();
    let mut inside = false;
    for (number, line) in lines.iter().enumerate() {
        let line = if number == 0 { without_mark(*line) } else { *line };
        if let Kind::Header(name) = line.kind() {
            let meant = meant(name);
            inside = meant.is_some();
            if let Some(is_exact) = meant {
                let is_exact = is_exact && line.indentation().is_empty();
                found.push(Section { start: number + 1, end: number + 1, is_exact });
            }
        } else if inside && let Some(section) = found.last_mut() {
            section.end = number + 1;
        }
    }
    found
}

impl Section {
    fn settings<'a>(&self, lines: &[Line<'a>]) -> Vec<Setting<'a>> {
        let mut settings: Vec<Setting<'a>> = Vec::new();
        for (number, line) in lines.iter().enumerate().take(self.end).skip(self.start) {
            let indentation = line.indentation();
            let kind = line.kind();
            if matches!(kind, Kind::Silent | Kind::Header(_)) {
                continue;
            }
            match (settings.last_mut(), kind) {
                (Some(above), _) if indentation.len() > above.indentation.len() => above.rest.push(number),
                (_, Kind::Setting { key, value }) => {
                    settings.push(Setting { key, first_value: value, indentation, first: number, rest: Vec::new() });
                }
                _ => {}
            }
        }
        settings
    }
}

impl Setting<'_> {
    fn is(&self, key: &str) -> bool {
        self.key.eq_ignore_ascii_case(key.as_bytes())
    }

    fn is_other_way(&self) -> bool {
        OTHER_WAYS.iter().any(|key| self.is(key))
    }

    fn named(&self) -> (String, usize) {
        (String::from_utf8_lossy(self.key).to_ascii_lowercase(), self.first + 1)
    }

    fn last(&self) -> usize {
        self.rest.last().copied().unwrap_or(self.first)
    }

    fn value(&self, lines: &[Line<'_>]) -> String {
        let rest = self.rest.iter().filter_map(|number| lines.get(*number)).map(|line| line.text.trim_ascii());
        let all: Vec<_> = std::iter::once(self.first_value).chain(rest).map(String::from_utf8_lossy).collect();
        all.join("\n")
    }

    /// The first line of the rest that a person would read as a setting of its own.
    fn slipped(&self, lines: &[Line<'_>]) -> Option<usize> {
        let is_name = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-' | b'.');
        let reads_as_setting = |number: &usize| match lines.get(*number).map(|line| line.kind()) {
            Some(Kind::Setting { key, .. }) => {
                key.first().is_some_and(|first| *first != b'-') && key.iter().all(is_name)
            }
            _ => false,
        };
        self.rest.iter().copied().find(reads_as_setting).map(|number| number + 1)
    }
}

struct Output<'a> {
    octets: Vec<u8>,
    eol: &'a [u8],
}

impl Output<'_> {
    fn keep(&mut self, line: Line<'_>) {
        self.octets.extend_from_slice(line.text);
        self.octets.extend_from_slice(line.ending);
    }

    fn end_line(&mut self) {
        if !self.octets.is_empty() && !self.octets.ends_with(b"\n") {
            self.octets.extend_from_slice(self.eol);
        }
    }

    /// A setting on a line of its own.
    fn setting(&mut self, indentation: &[u8], key: &str, value: &str) {
        self.end_line();
        self.setting_with(indentation, key, value, self.eol);
    }

    fn setting_with(&mut self, indentation: &[u8], key: &str, value: &str, ending: &[u8]) {
        for part in [indentation, key.as_bytes(), b" = ", value.as_bytes(), ending] {
            self.octets.extend_from_slice(part);
        }
    }
}

/// A new profile at the end, after a blank line where there is something before it.
fn appended(config: &[u8], lines: &[Line<'_>], entry: ProfileEntry<'_>) -> Vec<u8> {
    let mut output = Output { octets: config.to_vec(), eol: eol(lines) };
    output.end_line();
    if lines.last().is_some_and(|line| !line.text.trim_ascii().is_empty()) {
        output.octets.extend_from_slice(output.eol);
    }
    output.octets.extend_from_slice(header(entry.profile).as_bytes());
    output.octets.extend_from_slice(output.eol);
    for (key, value) in [(PROCESS, Some(entry.command)), ("region", entry.region)] {
        if let Some(value) = value {
            output.setting(b"", key, value);
        }
    }
    output.octets
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header { line, wanted } => {
                write!(f, "wanted the header {wanted}, found in line {line} one that only some SDKs read so")
            }
            Self::Twice { lines } => {
                let lines: Vec<_> = lines.iter().map(usize::to_string).collect();
                write!(f, "wanted one section of the profile, found its headers in lines {}", lines.join(" and "))
            }
            Self::Taken { settings } => {
                let settings: Vec<_> = settings.iter().map(|(key, line)| format!("{key} in line {line}")).collect();
                write!(f, "wanted a profile without credentials of its own, found {}", settings.join(", "))
            }
            Self::Slipped { line } => {
                write!(f, "found a setting in line {line} that is indented and so a part of {PROCESS}")
            }
        }
    }
}

impl std::error::Error for ProfileError {}

#[cfg(test)]
#[path = "aws_config_tests.rs"]
mod tests;
