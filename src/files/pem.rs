//! PEM as people have it (RFC 7468 and older): text between blocks, any line length, CRLF, RFC 1421 headers.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// One block, its content still in Base64.
#[derive(Clone, Copy)]
pub struct Block<'a> {
    /// What stands after `BEGIN`, such as `CERTIFICATE`.
    pub label: &'a str,
    /// The line of the `BEGIN`, counted from one.
    pub line: usize,
    /// Whether a header says that the content is encrypted (`Proc-Type: 4,ENCRYPTED`, RFC 1421 §4.6.1.1).
    pub encrypted: bool,
    /// From the `BEGIN` line to the `END` line.
    pub text: &'a [u8],
    body: &'a [u8],
}

/// A block that does not end or is not Base64.
#[derive(Debug, PartialEq, Eq)]
pub struct PemError(String);

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PemError {}

impl Block<'_> {
    /// The octets, in a buffer that is wiped.
    pub fn decode(&self) -> Result<Zeroizing<Vec<u8>>, PemError> {
        let mut digits = Zeroizing::new(Vec::with_capacity(self.body.len()));
        digits.extend(self.body.iter().filter(|octet| !octet.is_ascii_whitespace()));
        let mut octets = Zeroizing::new(vec![0; digits.len().div_ceil(4) * 3]);
        let length = STANDARD.decode_slice(&*digits, &mut octets).map_err(|_| {
            PemError(format!("wanted Base64 in the {} block at line {}, found something else", self.label, self.line))
        })?;
        octets.truncate(length);
        Ok(octets)
    }
}

impl fmt::Debug for Block<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {}", self.label, self.line)
    }
}

/// One block of these octets, in lines of 64 characters (RFC 7468 §3). For what is no secret: the text is not wiped.
pub fn pem(label: &str, octets: &[u8]) -> String {
    let mut digits = STANDARD.encode(octets);
    let mut text = format!("-----BEGIN {label}-----\n");
    while !digits.is_empty() {
        // Base64 is ASCII: every place is one between characters.
        let rest = digits.split_off(digits.len().min(64));
        text.push_str(&digits);
        text.push('\n');
        digits = rest;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// The blocks of a text, in its order. Text outside of blocks is skipped.
pub fn blocks(text: &[u8]) -> Result<Vec<Block<'_>>, PemError> {
    let mut lines = Lines { rest: text, offset: 0, number: 0 };
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(label) = label(line.text, BEGIN) {
            found.push(block(text, label, &line, &mut lines)?);
        }
    }
    Ok(found)
}

/// The block that this `BEGIN` line opens; takes its lines.
fn block<'a>(
    text: &'a [u8],
    label_text: &'a str,
    begin: &Line<'a>,
    lines: &mut Lines<'a>,
) -> Result<Block<'a>, PemError> {
    let mut encrypted = false;
    let mut body_start = begin.end;
    for line in lines {
        if line.text.contains(&b':') && body_start == line.start {
            // A header (RFC 1421 §4.6); no Base64 line has a colon.
            encrypted |= line.text.starts_with(b"Proc-Type:") && line.text.ends_with(b"ENCRYPTED");
            body_start = line.end;
        } else if line.text.starts_with(DASHES) {
            if label(line.text, END) != Some(label_text) {
                break;
            }
            return Ok(Block {
                label: label_text,
                line: begin.number,
                encrypted,
                text: text.get(begin.start..line.end).unwrap_or_default(),
                body: text.get(body_start..line.start).unwrap_or_default(),
            });
        }
    }
    Err(PemError(format!(
        "wanted a line '-----END {label_text}-----' after line {}, found none: the block is cut off",
        begin.number
    )))
}

/// The label of a boundary line.
fn label<'a>(line: &'a [u8], boundary: &[u8]) -> Option<&'a str> {
    let label = line.strip_prefix(boundary)?.strip_suffix(DASHES)?;
    let printable = label.iter().all(|octet| octet.is_ascii_graphic() || *octet == b' ');
    std::str::from_utf8(label).ok().filter(|_| printable)
}

/// A line without its end and surrounding blanks, and where it stands in the text.
struct Line<'a> {
    text: &'a [u8],
    number: usize,
    start: usize,
    end: usize,
}

struct Lines<'a> {
    rest: &'a [u8],
    offset: usize,
    number: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let length = self.rest.iter().position(|octet| *octet == b'\n').map_or(self.rest.len(), |at| at + 1);
        let (line, rest) = self.rest.split_at(length);
        let start = self.offset;
        self.rest = rest;
        self.offset += length;
        self.number += 1;
        // Editors of another system put a byte order mark before the first line.
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        Some(Line { text: line.trim_ascii(), number: self.number, start, end: self.offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_between_blocks_and_foreign_line_ends_do_no_harm() {
        let text = b"\xef\xbb\xbf-----BEGIN A-----\r\nAQID\r\n-----END A-----\r\nsubject=caf\xe9\n\n  -----BEGIN B B-----\nBA\nU=\n-----END B B-----";
        let found = blocks(text).unwrap();
        let seen: Vec<_> = found.iter().map(|block| (block.label, block.line)).collect();
        assert_eq!(seen, [("A", 1), ("B B", 6)]);
        assert_eq!(found[0].decode().unwrap().as_slice(), [1, 2, 3]);
        assert_eq!(found[1].decode().unwrap().as_slice(), [4, 5]);
    }

    #[test]
    fn headers_are_not_content() {
        let text = b"-----BEGIN K-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAQID\n-----END K-----\n";
        let found = blocks(text).unwrap();
        assert!(found[0].encrypted);
        assert_eq!(found[0].decode().unwrap().as_slice(), [1, 2, 3]);
        assert_eq!(found[0].text, text);
    }

    #[test]
    fn a_block_that_is_cut_off_names_its_line() {
        for text in ["x\n-----BEGIN A-----\nAQID\n", "x\n-----BEGIN A-----\n-----END B-----\n-----END A-----\n"] {
            let error = blocks(text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("'-----END A-----' after line 2"), "{error}");
        }
    }

    #[test]
    fn what_is_not_base64_names_its_line_and_not_its_content() {
        let found = blocks(b"-----BEGIN A-----\ns3cret!\n-----END A-----\n").unwrap();
        let error = found[0].decode().unwrap_err();
        assert_eq!(error.to_string(), "wanted Base64 in the A block at line 1, found something else");
    }
}
