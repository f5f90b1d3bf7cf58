//! Reads a table key by key; what is left over at the end is an unknown key. Errors name the key and the line and never repeat a
//! value, which may be a secret that does not belong here.

use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use crate::key::{CertificateReference, KeyError, KeyReference, SecretKind, SecretSource};

/// The text of the file, for the numbers of its lines.
pub struct Document<'a> {
    text: &'a str,
    path: &'a Path,
}

/// A table of which some keys have been read.
pub struct Section<'a> {
    document: &'a Document<'a>,
    /// As it stands in the file, `[identity.web]`; empty for the whole file.
    header: String,
    /// Where the header stands.
    span: Range<usize>,
    left: Vec<(Spanned<String>, Spanned<DeValue<'a>>)>,
    /// The keys that were asked for.
    known: Vec<(&'static str, usize)>,
}

impl<'a> Document<'a> {
    /// The text of the file at `path`.
    pub fn new(text: &'a str, path: &'a Path) -> Self {
        Self { text, path }
    }

    /// The table that is the whole file.
    pub fn parse(&'a self) -> Result<Section<'a>, ConfigError> {
        match DeTable::parse(self.text) {
            Ok(table) => Ok(Section::new(self, String::new(), 0..0, table.into_inner())),
            // Only the message: the whole error would show the line, and with it what stands there.
            Err(error) => Err(self.error(error.span().unwrap_or(0..0), error.message())),
        }
    }

    fn error(&self, at: Range<usize>, message: impl Into<String>) -> ConfigError {
        let before = self.text.as_bytes().get(..at.start).unwrap_or(self.text.as_bytes());
        let line = 1 + before.iter().filter(|octet| **octet == b'\n').count();
        ConfigError::line(self.path, line, message)
    }

    /// `~/` is the home directory; what is relative, is so to the directory of the file.
    fn resolve(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
            (Some(rest), Some(home)) => Path::new(&home).join(rest),
            _ => self.path.parent().unwrap_or(Path::new("")).join(path),
        }
    }
}

impl<'a> Section<'a> {
    fn new(document: &'a Document<'a>, header: String, span: Range<usize>, table: DeTable<'a>) -> Self {
        let owned = |key: Spanned<std::borrow::Cow<'_, str>>| Spanned::new(key.span(), key.into_inner().into_owned());
        let mut left: Vec<_> = table.into_iter().map(|(key, value)| (owned(key), value)).collect();
        // In the order of the file, so that the first mistake is the one that is told.
        left.sort_by_key(|(key, _)| key.span().start);
        Self { document, header, span, left, known: Vec::new() }
    }

    /// The tables `[NAME.…]`, by what stands in place of the dots.
    pub fn named_sections(&mut self, name: &'static str) -> Result<Vec<(String, Section<'a>)>, ConfigError> {
        let Some(value) = self.take(name) else { return Ok(Vec::new()) };
        let mut sections = Vec::new();
        for (key, value) in self.table(name, value)?.left {
            let header = format!("[{name}.{}]", key.get_ref());
            if !is_name(key.get_ref()) {
                let message = format!("wanted a name of letters, digits, '-', '_' and '.' in {header}");
                return Err(self.document.error(key.span(), message));
            }
            let span = key.span();
            match value.into_inner() {
                DeValue::Table(table) => {
                    sections.push((key.into_inner(), Section::new(self.document, header, span, table)));
                }
                other => return Err(self.document.error(span, wrong_type(&header, "a table", &other))),
            }
        }
        Ok(sections)
    }

    /// The table `[NAME]`, where there is one.
    pub fn section(&mut self, name: &'static str) -> Result<Option<Section<'a>>, ConfigError> {
        match self.take(name) {
            Some(value) => self.table(name, value).map(Some),
            None => Ok(None),
        }
    }

    /// A string that says something.
    pub fn string(&mut self, key: &'static str) -> Result<Option<String>, ConfigError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let span = value.span();
        match value.into_inner() {
            DeValue::String(text) if text.trim().is_empty() => {
                Err(self.document.error(span, format!("{key} is empty: leave it out instead")))
            }
            DeValue::String(text) if text.contains("-----BEGIN") => {
                Err(self.document.error(span, format!("{key} holds a PEM block: wanted the path of a file that does")))
            }
            DeValue::String(text) => Ok(Some(text.into_owned())),
            other => Err(self.document.error(span, wrong_type(key, "a string", &other))),
        }
    }

    /// A path, made absolute if the file's own is.
    pub fn path(&mut self, key: &'static str) -> Result<Option<PathBuf>, ConfigError> {
        Ok(self.string(key)?.map(|path| self.document.resolve(&path)))
    }

    /// A whole number in the range.
    pub fn number(&mut self, key: &'static str, range: RangeInclusive<u32>) -> Result<Option<u32>, ConfigError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let span = value.span();
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        match value.into_inner() {
            DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix())
                .ok()
                .filter(|number| range.contains(number))
                .map(Some)
                .ok_or_else(|| self.document.error(span, format!("wanted {wanted} for {key}, found {number}"))),
            other => Err(self.document.error(span, wrong_type(key, &wanted, &other))),
        }
    }

    /// A reference to a key, without a PIN.
    pub fn key_reference(&mut self, key: &'static str) -> Result<Option<KeyReference>, ConfigError> {
        let Some(text) = self.reference(key)? else { return Ok(None) };
        match text.parse().map_err(|error| self.reference_error(key, error))? {
            KeyReference::File(_) => Ok(Some(KeyReference::File(self.document.resolve(&text)))),
            reference => Ok(Some(reference)),
        }
    }

    /// A reference to a certificate, without a PIN.
    pub fn certificate_reference(&mut self, key: &'static str) -> Result<Option<CertificateReference>, ConfigError> {
        let Some(text) = self.reference(key)? else { return Ok(None) };
        match text.parse().map_err(|error| self.reference_error(key, error))? {
            CertificateReference::File(_) => Ok(Some(CertificateReference::File(self.document.resolve(&text)))),
            reference => Ok(Some(reference)),
        }
    }

    /// A source of a secret.
    fn secret_source(&mut self, key: &'static str) -> Result<Option<SecretSource>, ConfigError> {
        let Some(text) = self.string(key)? else { return Ok(None) };
        match text.parse().map_err(|error| self.reference_error(key, error))? {
            SecretSource::File(path) => match path.to_str() {
                Some(path) => Ok(Some(SecretSource::File(self.document.resolve(path)))),
                None => Ok(Some(SecretSource::File(path))),
            },
            source => Ok(Some(source)),
        }
    }

    /// `pin-source` and its kin, named as an identity's flags are.
    pub fn secret_sources(&mut self) -> Result<Vec<(SecretKind, SecretSource)>, ConfigError> {
        let mut secrets = Vec::new();
        for kind in SecretKind::ALL {
            if let Some(source) = self.secret_source(kind.flag().trim_start_matches('-'))? {
                secrets.push((kind, source));
            }
        }
        Ok(secrets)
    }

    /// Something about the section as a whole.
    pub fn error(&self, message: &str) -> ConfigError {
        self.document.error(self.span.clone(), format!("{message} in {}", self.header))
    }

    /// Something about a key that was read.
    pub fn error_at(&self, key: &str, message: impl Into<String>) -> ConfigError {
        let at = self.known.iter().find(|(known, _)| *known == key).map_or(self.span.start, |(_, at)| *at);
        self.document.error(at..at, message)
    }

    /// Nothing else may stand here.
    pub fn finish(self) -> Result<(), ConfigError> {
        let Some((unknown, _)) = self.left.first() else { return Ok(()) };
        let name = unknown.get_ref();
        let place = if self.header.is_empty() { String::new() } else { format!(" in {}", self.header) };
        let alike = self.known.iter().find(|(known, _)| letters(known).eq(letters(name)));
        let wanted = match alike {
            Some((known, _)) => format!("did you mean {known}?"),
            None => format!("wanted one of {}", self.known.iter().map(|(key, _)| *key).collect::<Vec<_>>().join(", ")),
        };
        Err(self.document.error(unknown.span(), format!("unknown key {name}{place}: {wanted}")))
    }

    fn reference(&mut self, key: &'static str) -> Result<Option<String>, ConfigError> {
        let text = self.string(key)?;
        if text.as_deref().is_some_and(holds_pin) {
            let message =
                format!("{key} holds a PIN, which does not belong in this file: name its source with pin-source");
            return Err(self.error_at(key, message));
        }
        Ok(text)
    }

    fn reference_error(&self, key: &str, error: KeyError) -> ConfigError {
        self.error_at(key, format!("{key}: {error}")).with_source(error)
    }

    fn table(&self, key: &str, value: Spanned<DeValue<'a>>) -> Result<Section<'a>, ConfigError> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Ok(Section::new(self.document, format!("[{key}]"), span, table)),
            other => Err(self.document.error(span, wrong_type(key, "a table", &other))),
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'a>>> {
        let found = self.left.iter().position(|(name, _)| name.get_ref() == key);
        let at = found.and_then(|index| self.left.get(index)).map_or(self.span.start, |(name, _)| name.span().start);
        self.known.push((key, at));
        found.map(|index| self.left.remove(index).1)
    }
}

fn wrong_type(key: &str, wanted: &str, found: &DeValue<'_>) -> String {
    format!(
        "wanted {wanted} for {key}, found {}",
        match found {
            DeValue::Integer(_) => "an integer",
            DeValue::Array(_) => "an array",
            DeValue::String(_) => "a string",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Table(_) => "a table",
        }
    )
}

/// Whether an identity or a consumer can have this name: it becomes a part of file names and of variables in a unit file.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(['.', '-'])
        && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet))
}

/// Whether a `pkcs11:` URI has a `pin-value`, in whatever place.
fn holds_pin(text: &str) -> bool {
    let attributes = text.trim_start().get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("pkcs11:"));
    attributes.is_some()
        && text.split([':', ';', '?', '&']).any(|attribute| {
            attribute.split('=').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("pin-value"))
        })
}

/// What remains of a key when it is spelled another way: `roleArn`, `role_arn`.
fn letters(key: &str) -> impl Iterator<Item = char> {
    key.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase())
}
