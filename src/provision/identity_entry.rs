//! The section of an identity in the configuration file: put into its text, every other byte kept. Pure; knows no files and no
//! flags. What stands in the file afterwards is read again by `config`, which is strict, before anybody writes it.
//!
//! The text is edited by the places that the TOML parser tells. Writing the parsed document anew would not do: toml_edit, which
//! keeps nearly everything, drops the carriage returns of files from Windows.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::{Config, ConfigError};

/// A value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A whole number.
    Number(u32),
}

/// `[identity.NAME]` and its keys.
#[derive(Clone, Debug)]
pub struct IdentityEntry {
    /// A name that `config::is_name` takes.
    pub name: String,
    /// Keys and values in the order in which they are written.
    pub fields: Vec<(&'static str, Value)>,
}

/// What becomes of an identity that is there already and says something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It stays as it is: an error.
    Kept,
    /// It gets the keys that it lacks; one that says something else is an error.
    Completed,
    /// It gets the keys of the entry, also in the place of others, and keeps the rest.
    Changed,
    /// It becomes the entry.
    Replaced,
}

/// Why an entry cannot be put into the file.
#[derive(Debug)]
pub enum EntryError {
    /// The file cannot be read, as it is or with the entry.
    Config(ConfigError),
    /// The file is no UTF-8, which TOML is.
    NotUtf8,
    /// There is another identity of that name, in this line.
    Exists {
        /// Counted from 1.
        line: usize,
    },
    /// The identity stands in this line in a form other than a section of its own.
    OtherForm {
        /// Counted from 1.
        line: usize,
    },
}

impl From<ConfigError> for EntryError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// The text of the file at `path` with the entry in it.
///
/// A new identity is added at the end. One that is there already with the same keys and values changes nothing. In one that is
/// changed, keys that stay keep their lines, and comments stay where they are.
pub fn put(existing: &[u8], path: &Path, entry: &IdentityEntry, becomes: Existing) -> Result<Vec<u8>, EntryError> {
    let text = std::str::from_utf8(existing).map_err(|_| EntryError::NotUtf8)?;
    Config::parse(text, path)?;
    let edited = match DeTable::parse(text).ok().and_then(|table| Found::of(table.into_inner(), entry)) {
        None => appended(text, entry),
        Some(found) if found.is(entry) => return Ok(existing.to_vec()),
        Some(found) if found.may_become(entry, becomes) => found.edited(text, entry, becomes != Existing::Replaced)?,
        Some(found) => return Err(EntryError::Exists { line: line_of(text, found.name.start) + 1 }),
    };
    Config::parse(&edited, path)?;
    Ok(edited.into_bytes())
}

/// An identity that is in the file.
struct Found {
    /// Where its name stands.
    name: Range<usize>,
    /// The place of each key with its value, and what it says; `None` for what an entry never says.
    settings: Vec<(String, Range<usize>, Option<Value>)>,
}

impl Found {
    fn of(top: DeTable<'_>, entry: &IdentityEntry) -> Option<Self> {
        let identities = table(top.into_iter().find(|(key, _)| key.get_ref() == "identity")?.1)?;
        let (name, section) = identities.into_iter().find(|(key, _)| *key.get_ref() == entry.name)?;
        let mut settings: Vec<_> = table(section)?
            .into_iter()
            .map(|(key, value)| {
                let place = key.span().start..value.span().end;
                (key.into_inner().into_owned(), place, read(value.into_inner()))
            })
            .collect();
        settings.sort_by_key(|(_, place, _)| place.start);
        Some(Self { name: name.span(), settings })
    }

    fn is(&self, entry: &IdentityEntry) -> bool {
        let says = |(key, value): &(&str, Value)| {
            self.settings.iter().any(|(known, _, found)| known == key && found.as_ref() == Some(value))
        };
        self.settings.len() == entry.fields.len() && entry.fields.iter().all(says)
    }

    fn may_become(&self, entry: &IdentityEntry, becomes: Existing) -> bool {
        let differs = |(key, value): &(&str, Value)| {
            self.settings.iter().any(|(known, _, found)| known == key && found.as_ref() != Some(value))
        };
        match becomes {
            Existing::Kept => false,
            Existing::Completed => !entry.fields.iter().any(differs),
            Existing::Changed | Existing::Replaced => true,
        }
    }

    /// With the entry's keys; of the others, those stay that are to be kept.
    fn edited(&self, text: &str, entry: &IdentityEntry, keeps_others: bool) -> Result<String, EntryError> {
        let eol = eol(text);
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let header = line_of(text, self.name.start);
        if !lines.get(header).is_some_and(|line| line.trim_start().starts_with('[')) {
            return Err(EntryError::OtherForm { line: header + 1 });
        }
        let mut left: Vec<_> = entry.fields.iter().collect();
        let mut output: String = lines.get(..=header).unwrap_or_default().concat();
        let mut done = header + 1;
        for (key, place, value) in &self.settings {
            let (first, last) = (line_of(text, place.start), line_of(text, place.end.saturating_sub(1)));
            output.extend(lines.get(done..first).unwrap_or_default().iter().copied());
            done = last + 1;
            let wanted = left.iter().position(|(wanted, _)| wanted == key).map(|at| left.remove(at));
            match wanted {
                Some((key, wanted)) if value.as_ref() != Some(wanted) => output.push_str(&setting(key, wanted, eol)),
                None if !keeps_others => {}
                _ => output.extend(lines.get(first..done).unwrap_or_default().iter().copied()),
            }
        }
        if !output.ends_with('\n') {
            output.push_str(eol);
        }
        output.extend(left.into_iter().map(|(key, value)| setting(key, value, eol)));
        output.extend(lines.get(done..).unwrap_or_default().iter().copied());
        Ok(output)
    }
}

fn table(value: Spanned<DeValue<'_>>) -> Option<DeTable<'_>> {
    match value.into_inner() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

fn read(value: DeValue<'_>) -> Option<Value> {
    match value {
        DeValue::String(text) => Some(Value::Text(text.into_owned())),
        DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok().map(Value::Number),
        _ => None,
    }
}

/// The number of the line, from 0, that holds this octet.
fn line_of(text: &str, octet: usize) -> usize {
    text.as_bytes().iter().take(octet).filter(|octet| **octet == b'\n').count()
}

/// How lines end here: as the first one does.
fn eol(text: &str) -> &'static str {
    match text.split_inclusive('\n').next().is_some_and(|line| line.ends_with("\r\n")) {
        true => "\r\n",
        false => "\n",
    }
}

fn appended(text: &str, entry: &IdentityEntry) -> String {
    let eol = eol(text);
    let mut output = text.to_owned();
    if !output.is_empty() && !output.ends_with('\n') {
        output.push_str(eol);
    }
    if text.lines().next_back().is_some_and(|line| !line.trim().is_empty()) {
        output.push_str(eol);
    }
    output.push_str(&format!("[identity.{}]{eol}", Key(&entry.name)));
    output.extend(entry.fields.iter().map(|(key, value)| setting(key, value, eol)));
    output
}

fn setting(key: &str, value: &Value, eol: &str) -> String {
    match value {
        Value::Text(text) => format!("{key} = {}{eol}", Quoted(text)),
        Value::Number(number) => format!("{key} = {number}{eol}"),
    }
}

/// A key in a header: bare where TOML lets it be.
struct Key<'a>(&'a str);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet)) {
            true => f.write_str(self.0),
            false => Quoted(self.0).fmt(f),
        }
    }
}

/// A basic string of TOML.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                _ if c.is_control() => write!(f, "\\u{:04X}", u32::from(c))?,
                _ => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, fields: &[(&'static str, &str)]) -> IdentityEntry {
        let fields = fields.iter().map(|(key, value)| (*key, Value::Text((*value).to_owned()))).collect();
        IdentityEntry { name: name.to_owned(), fields }
    }

    fn edited(text: &str, entry: &IdentityEntry, replace: bool) -> Result<String, EntryError> {
        let becomes = if replace { Existing::Replaced } else { Existing::Kept };
        put_as(text, entry, becomes)
    }

    fn put_as(text: &str, entry: &IdentityEntry, becomes: Existing) -> Result<String, EntryError> {
        put(text.as_bytes(), Path::new("/etc/c.toml"), entry, becomes).map(|edited| String::from_utf8(edited).unwrap())
    }

    #[track_caller]
    fn becomes(before: &str, entry: &IdentityEntry, after: &str) {
        assert_eq!(edited(before, entry, true).unwrap(), after);
        assert_eq!(edited(after, entry, false).unwrap(), after, "a second time changes something");
    }

    #[test]
    fn a_new_identity_is_added_at_the_end_whatever_stands_before() {
        let web = entry("web", &[("key", "/k.pem"), ("region", "eu-west-1")]);
        let section = "[identity.web]\nkey = \"/k.pem\"\nregion = \"eu-west-1\"\n";
        becomes("", &web, section);
        for before in
            ["# mine\n", "\n# mine\n\n", "[identity.a]\nkey='x' # why\n", "[identity]\na.key = 'x'\n", "[identity.a] "]
        {
            let gap = if before.ends_with("\n\n") {
                ""
            } else if before.ends_with('\n') {
                "\n"
            } else {
                "\n\n"
            };
            becomes(before, &web, &format!("{before}{gap}{section}"));
        }
        becomes(
            "# a\r\n[identity.a]\r\n",
            &web,
            &format!("# a\r\n[identity.a]\r\n\r\n{}", section.replace('\n', "\r\n")),
        );
    }

    #[test]
    fn names_and_values_are_read_back_as_they_were() {
        for value in ["a\"b\\c", "tab\there", "ünï'code", "'''", "\u{7f}\u{1}"] {
            let after = edited("", &entry("a.b-c", &[("role-session-name", value)]), false).unwrap();
            let config = Config::parse(&after, Path::new("/c.toml")).unwrap();
            assert_eq!(config.identities["a.b-c"].role_session_name.as_deref(), Some(value), "{after}");
        }
    }

    #[test]
    fn another_identity_of_that_name_is_refused_with_its_line() {
        let before = "# mine\n[identity.b]\n[identity.web]\nkey = '/other.pem'\n";
        let error = edited(before, &entry("web", &[("key", "/k.pem")]), false).unwrap_err();
        assert!(matches!(error, EntryError::Exists { line: 3 }), "{error:?}");
    }

    #[test]
    fn what_replaces_an_identity_leaves_comments_and_lines_that_still_hold() {
        let before = "[identity.web] # ours\n# the key\nkey = '/old.pem' # on disk\nregion   =   'eu-west-1' # near\n\
                      endpoint = \"\"\"\\\n  https://x\"\"\"\n\n# next\n\
                      [identity.z]\nkey = 'z'\n";
        let web = entry("web", &[("key", "/k.pem"), ("role-arn", "r"), ("region", "eu-west-1")]);
        let after = "[identity.web] # ours\n# the key\nkey = \"/k.pem\"\nregion   =   'eu-west-1' # near\n\
                     role-arn = \"r\"\n\n# next\n\
                     [identity.z]\nkey = 'z'\n";
        becomes(before, &web, after);
        becomes("[identity.web]", &web, "[identity.web]\nkey = \"/k.pem\"\nrole-arn = \"r\"\nregion = \"eu-west-1\"\n");
        let crlf = |text: &str| text.replace('\n', "\r\n");
        becomes(&crlf(before), &web, &crlf(after));
    }

    #[test]
    fn what_an_identity_lacks_is_added_and_the_rest_stays() {
        let before = "[identity.web]\nkey = 'k' # mine\nca = 'ca'\n\n[identity.z]\n";
        let arns = entry("web", &[("role-arn", "r"), ("key", "k")]);
        let after = "[identity.web]\nkey = 'k' # mine\nca = 'ca'\nrole-arn = \"r\"\n\n[identity.z]\n";
        assert_eq!(put_as(before, &arns, Existing::Completed).unwrap(), after);
        assert_eq!(put_as(after, &arns, Existing::Completed).unwrap(), after, "a second time changes something");
        let another = entry("web", &[("role-arn", "s")]);
        let error = put_as(after, &another, Existing::Completed).unwrap_err();
        assert!(matches!(error, EntryError::Exists { line: 1 }), "{error:?}");
        let changed = put_as(after, &another, Existing::Changed).unwrap();
        assert_eq!(changed, after.replace("\"r\"", "\"s\""));
    }

    #[test]
    fn an_identity_in_another_form_is_left_to_its_owner() {
        for (before, at) in [("[identity]\nweb.key = '/x'\n", 2), ("identity.web = { key = '/x' }\n", 1)] {
            let error = edited(before, &entry("web", &[("key", "/k.pem")]), true).unwrap_err();
            assert!(matches!(error, EntryError::OtherForm { line } if line == at), "{error:?}");
        }
        // Nothing can be added to an inline table; the strict reader says so.
        let error = edited("identity = { a = { key = '/x' } }\n", &entry("web", &[("key", "/k")]), true).unwrap_err();
        assert!(matches!(error, EntryError::Config(_)), "{error:?}");
    }

    #[test]
    fn a_file_that_is_wrong_already_is_not_touched() {
        let error = edited("[identity.a]\nroll-arn = 'x'\n", &entry("web", &[]), true).unwrap_err();
        assert!(matches!(&error, EntryError::Config(error) if error.to_string().contains("c.toml:2: unknown key")));
        assert!(matches!(
            put(b"\xff", Path::new("c"), &entry("web", &[]), Existing::Replaced),
            Err(EntryError::NotUtf8)
        ));
    }
}
