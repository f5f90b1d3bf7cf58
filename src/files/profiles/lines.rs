//! The lines of such a file, as the AWS SDKs read them. Pure; knows no keys and changes nothing.
//!
//! No two SDKs have the same parser. Where they differ, what is read here is the union: a line that one of them takes for a
//! header or a setting is one. botocore (the AWS CLI, boto3) is the only one that defines what an indented line is: a setting
//! after a header, and part of the value above it where it stands deeper than that value's own line.

/// One line, split so that both parts together are the file's own bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// What stands before its end.
    pub text: &'a [u8],
    /// `\n`, `\r\n`, or nothing where the file ends without.
    pub ending: &'a [u8],
}

impl<'a> Line<'a> {
    fn new(line: &'a [u8]) -> Self {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").filter(|_| text.len() < line.len()).unwrap_or(text);
        let (text, ending) = line.split_at_checked(text.len()).unwrap_or((line, b""));
        Self { text, ending }
    }

    /// The white space before the first character.
    pub fn indentation(self) -> &'a [u8] {
        let width = self.text.len() - self.text.trim_ascii_start().len();
        self.text.get(..width).unwrap_or_default()
    }

    /// What the line is by itself. Whether it goes on with the value above is for the caller to see.
    pub fn kind(self) -> Kind<'a> {
        let text = self.text.trim_ascii();
        match text.first() {
            None | Some(b'#' | b';') => Kind::Silent,
            Some(b'[') => header(text).map_or(Kind::Unknown, Kind::Header),
            Some(_) => setting(text).unwrap_or(Kind::Unknown),
        }
    }
}

/// What a line is by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// Blank or a comment.
    Silent,
    /// `[NAME]`, whatever follows; the name with the white space around it.
    Header(&'a [u8]),
    /// `KEY = VALUE` or `KEY: VALUE`, without the white space around both.
    Setting {
        /// What stands before the delimiter.
        key: &'a [u8],
        /// What stands behind it.
        value: &'a [u8],
    },
    /// Nothing that an SDK knows by itself; it may go on with a value.
    Unknown,
}

/// The byte order mark that editors on Windows put before the first line; no part of a header.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Splits a file after each `\n`; together the lines are the file.
pub fn split(file: &[u8]) -> Vec<Line<'_>> {
    file.split_inclusive(|octet| *octet == b'\n').map(Line::new).collect()
}

/// The first line without its byte order mark, to be looked at.
pub fn without_mark(line: Line<'_>) -> Line<'_> {
    Line { text: line.text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line.text), ..line }
}

/// How lines end here: as the first one does.
pub fn eol<'a>(lines: &[Line<'a>]) -> &'a [u8] {
    lines.first().map(|line| line.ending).filter(|ending| !ending.is_empty()).unwrap_or(b"\n")
}

fn header(text: &[u8]) -> Option<&[u8]> {
    // The first bracket closes: `[default] # see [other]`.
    let inside = text.strip_prefix(b"[")?;
    let end = inside.iter().position(|octet| *octet == b']')?;
    inside.get(..end)
}

fn setting(text: &[u8]) -> Option<Kind<'_>> {
    // botocore takes a colon for a delimiter too, and refuses the file where it makes a key stand twice.
    let delimiter = text.iter().position(|octet| matches!(octet, b'=' | b':'))?;
    let (key, value) = text.split_at_checked(delimiter)?;
    Some(Kind::Setting { key: key.trim_ascii(), value: value.get(1..)?.trim_ascii() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Kind<'_> {
        split(text.as_bytes()).first().map_or(Kind::Silent, |line| line.kind())
    }

    #[test]
    fn the_lines_are_the_file() {
        let file = b"a\r\nb\n\n\rc\r";
        let lines = split(file);
        let endings: Vec<_> = lines.iter().map(|line| line.ending).collect();
        assert_eq!(endings, [&b"\r\n"[..], b"\n", b"\n", b""]);
        assert_eq!(lines.iter().map(|line| [line.text, line.ending].concat()).collect::<Vec<_>>().concat(), file);
        assert!(split(b"").is_empty());
    }

    #[test]
    fn headers_as_people_write_them() {
        for text in ["[default]", "  [default]\r\n", "[default] # mine", "[default];x", "[default] # see [other]"] {
            assert_eq!(kind(text), Kind::Header(b"default"), "{text}");
        }
        assert_eq!(kind("[ default ]"), Kind::Header(b" default "));
        assert_eq!(kind("[profile x]"), Kind::Header(b"profile x"));
        assert_eq!(kind("[default"), Kind::Unknown);
        assert_eq!(kind("# [default]"), Kind::Silent);
    }

    #[test]
    fn settings_have_either_delimiter() {
        for text in ["a = b = c", "a=b = c", "\ta : b = c \r\n"] {
            assert_eq!(kind(text), Kind::Setting { key: b"a", value: b"b = c" }, "{text}");
        }
        assert_eq!(kind("a ="), Kind::Setting { key: b"a", value: b"" });
        assert_eq!(kind("a"), Kind::Unknown);
    }
}
