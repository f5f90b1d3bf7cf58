//! What a file without PEM is, told by its content, and the command that makes PEM of it.

use std::fmt;
use std::path::Path;

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Reader, SliceReader, Tag, Tagged};

/// 1.2.840.113549.1.7, the arc of PKCS#7 content types.
const PKCS7_ARC: &str = "1.2.840.113549.1.7.";

/// A format that this program knows by sight and does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Nothing at all.
    Empty,
    /// Text in sixteen-bit characters, as some editors and shells write.
    Utf16,
    /// A certificate in DER.
    Certificate,
    /// A certificate request in DER.
    Request,
    /// A PKCS#8, PKCS#1 or SEC1 private key in DER.
    PrivateKey,
    /// An encrypted PKCS#8 private key in DER.
    EncryptedPrivateKey,
    /// A public key in DER.
    PublicKey,
    /// PKCS#7 in DER, `.p7b`.
    Pkcs7,
    /// PKCS#12, `.p12` or `.pfx`.
    Pkcs12,
    /// A Java key store.
    JavaKeyStore,
    /// Text without PEM in it.
    Text,
    /// Something else.
    Unknown,
}

impl Format {
    /// Looks at the content; takes the outermost fields of what seems to be ASN.1 and decodes nothing else.
    pub fn of(octets: &[u8]) -> Self {
        match octets {
            [] => Self::Empty,
            [0xfe, 0xff, ..] | [0xff, 0xfe, ..] => Self::Utf16,
            [0xfe, 0xed, 0xfe, 0xed, ..] | [0xce, 0xce, 0xce, 0xce, ..] => Self::JavaKeyStore,
            // Indefinite lengths are BER, which the reader below does not take; some programs write PKCS#12 and #7 so.
            [0x30, 0x80, 0x02, 0x01, 0x03, ..] => Self::Pkcs12,
            [0x30, 0x80, 0x06, 0x09, ..] => Self::Pkcs7,
            [0x30, ..] => asn1(octets).unwrap_or(Self::Unknown),
            _ if octets.iter().all(|octet| octet.is_ascii_graphic() || octet.is_ascii_whitespace()) => Self::Text,
            _ => Self::Unknown,
        }
    }

    /// The whole command that makes PEM of it, where there is one.
    pub fn conversion(self, path: &Path) -> Option<String> {
        let from = shell_word(&path.display().to_string());
        let to = unused_name(path, "pem");
        match self {
            Self::Certificate => Some(format!("openssl x509 -inform DER -in {from} -out {to}")),
            Self::PrivateKey => Some(format!("openssl pkey -inform DER -in {from} -out {to}")),
            Self::EncryptedPrivateKey => Some(format!("openssl pkcs8 -inform DER -in {from} -out {to}")),
            Self::Pkcs7 => Some(format!("openssl pkcs7 -inform DER -in {from} -print_certs -out {to}")),
            Self::Pkcs12 => Some(format!("openssl pkcs12 -in {from} -nodes -out {to}")),
            Self::JavaKeyStore => Some(format!(
                "keytool -importkeystore -srckeystore {from} -deststoretype PKCS12 -destkeystore {}",
                unused_name(path, "p12")
            )),
            Self::Utf16 => Some(format!("iconv -f UTF-16 -t UTF-8 -o {to} {from}")),
            Self::Empty | Self::Request | Self::PublicKey | Self::Text | Self::Unknown => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "an empty file",
            Self::Utf16 => "text in UTF-16",
            Self::Certificate => "a certificate in DER",
            Self::Request => "a certificate request in DER",
            Self::PrivateKey => "a private key in DER",
            Self::EncryptedPrivateKey => "an encrypted private key in DER",
            Self::PublicKey => "a public key in DER",
            Self::Pkcs7 => "PKCS#7 in DER",
            Self::Pkcs12 => "PKCS#12",
            Self::JavaKeyStore => "a Java key store",
            Self::Text => "text without PEM in it",
            Self::Unknown => "a format that is not known here",
        })
    }
}

fn asn1(octets: &[u8]) -> der::Result<Format> {
    let outer = children(AnyRef::from_der(octets)?)?;
    let format = match outer.as_slice() {
        // ContentInfo (RFC 2315 §7); PFX (RFC 7292 §4) holds one after its version 3.
        [content, ..] if is_pkcs7(*content) => Format::Pkcs7,
        [version, content, ..] if version.tag() == Tag::Integer && version.value() == [3] => {
            match children(*content)?.first() {
                Some(kind) if is_pkcs7(*kind) => Format::Pkcs12,
                _ => Format::Unknown,
            }
        }
        // PrivateKeyInfo (RFC 5958 §2), RSAPrivateKey (RFC 8017 §A.1.2), ECPrivateKey (RFC 5915 §3).
        [version, next, ..]
            if version.tag() == Tag::Integer
                && matches!(next.tag(), Tag::Sequence | Tag::Integer | Tag::OctetString) =>
        {
            Format::PrivateKey
        }
        [algorithm, key] if algorithm.tag() == Tag::Sequence && key.tag() == Tag::OctetString => {
            Format::EncryptedPrivateKey
        }
        [algorithm, key] if algorithm.tag() == Tag::Sequence && key.tag() == Tag::BitString => Format::PublicKey,
        [signed, algorithm, signature] if algorithm.tag() == Tag::Sequence && signature.tag() == Tag::BitString => {
            certificate_or_request(*signed)?
        }
        _ => Format::Unknown,
    };
    Ok(format)
}

/// Both are something signed: a request has a name after its version (RFC 2986 §4.1), a certificate of version 1 an
/// algorithm after its serial number, and later ones begin with a tagged version (RFC 5280 §4.1).
fn certificate_or_request(signed: AnyRef<'_>) -> der::Result<Format> {
    let fields = children(signed)?;
    Ok(match fields.as_slice() {
        [first, ..] if first.tag().is_context_specific() => Format::Certificate,
        [_, second, ..] if children(*second)?.first().is_some_and(|field| field.tag() == Tag::ObjectIdentifier) => {
            Format::Certificate
        }
        _ => Format::Request,
    })
}

fn is_pkcs7(field: AnyRef<'_>) -> bool {
    field.decode_as::<ObjectIdentifier>().is_ok_and(|oid| oid.to_string().starts_with(PKCS7_ARC))
}

/// The fields of a SEQUENCE; at most the first few, which is all that tells formats apart.
fn children(sequence: AnyRef<'_>) -> der::Result<Vec<AnyRef<'_>>> {
    if sequence.tag() != Tag::Sequence {
        return Ok(Vec::new());
    }
    let mut reader = SliceReader::new(sequence.value())?;
    let mut fields = Vec::new();
    while !reader.is_finished() && fields.len() < 4 {
        fields.push(AnyRef::decode(&mut reader)?);
    }
    Ok(fields)
}

/// A name beside the file for what a command makes of it, as a word for a shell: never one that is taken, for the commands
/// overwrite what is there without a question.
pub fn unused_name(path: &Path, extension: &str) -> String {
    let converted = |number: u32| match number {
        0 => path.with_extension(extension),
        1 => path.with_extension(format!("converted.{extension}")),
        _ => path.with_extension(format!("converted-{number}.{extension}")),
    };
    // Where a hundred are taken, nobody pastes the command without a look.
    let name = (0..100).map(converted).find(|name| !name.exists()).unwrap_or_else(|| converted(100));
    shell_word(&name.display().to_string())
}

/// A word that a POSIX shell takes as it is.
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_quotes_the_file_s_name() {
        let command = |name: &str| Format::Certificate.conversion(Path::new(name)).unwrap();
        assert_eq!(command("a.der"), "openssl x509 -inform DER -in a.der -out a.pem");
        assert_eq!(
            command("my 'key'.der"),
            r"openssl x509 -inform DER -in 'my '\''key'\''.der' -out 'my '\''key'\''.pem'"
        );
    }

    #[test]
    fn a_file_that_is_there_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("key.pem");
        for wanted in ["key.pem", "key.converted.pem", "key.converted-2.pem", "key.converted-3.pem"] {
            let wanted = folder.path().join(wanted);
            assert_eq!(unused_name(&from, "pem"), wanted.to_str().unwrap());
            std::fs::write(wanted, "").unwrap();
        }
    }

    #[test]
    fn octets_that_look_like_asn1_never_panic() {
        let mut state = 1u32;
        for length in 0..300 {
            let mut octets = vec![0x30, 0x82];
            octets.extend((0..length).map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            }));
            let _ = Format::of(&octets);
        }
        assert_eq!(Format::of(&[0x30, 0x80, 0x02, 0x01, 0x03, 0x30]), Format::Pkcs12);
        assert_eq!(Format::of(b"hello"), Format::Text);
        assert_eq!(Format::of(&[0, 1, 2]), Format::Unknown);
    }
}
