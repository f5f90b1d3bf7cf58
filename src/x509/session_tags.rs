//! What Roles Anywhere makes of a certificate's names (AWS user guide, on its trust model and on attribute mapping): session tags,
//! by the mapping that a profile has until somebody changes it, and the source identity. Pure.

use std::fmt;

use super::alternative_name::AlternativeName;
use super::certificate::Certificate;
use super::error::CertificateError;
use super::name::Name;
use super::printable::shown;

/// Types that AWS names in its documentation, and those of RFC 4514 §3. It publishes no whole list.
const DOCUMENTED: [&str; 9] = ["C", "CN", "DC", "L", "O", "OU", "ST", "STREET", "UID"];

/// What STS takes (AssumeRole, `Tag` and `SourceIdentity`).
const LONGEST_VALUE: usize = 256;
const LONGEST_SOURCE_IDENTITY: usize = 64;
/// Most session tags of one session.
pub const MOST_TAGS: usize = 50;

/// A session tag; policies know it as `aws:PrincipalTag/KEY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionTag {
    /// Such as `x509Subject/CN`.
    pub key: String,
    /// Values of one type are joined by slashes, in the certificate's order.
    pub value: String,
    /// Why it may not come to be.
    pub doubt: Option<Doubt>,
}

/// Why a session has no such tag, or another source identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// STS does not take this character: AWS drops the tag.
    Character(char),
    /// STS takes fewer characters than this: AWS drops the tag.
    Length(usize),
    /// AWS does not say whether it knows the type.
    Undocumented,
}

impl Doubt {
    /// Whether AWS drops the tag for it.
    pub fn drops(self) -> bool {
        !matches!(self, Self::Undocumented)
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Character(c) => write!(f, "STS does not take '{}' in it", shown(*c)),
            Self::Length(length) => write!(f, "STS takes at most {LONGEST_VALUE} characters, it has {length}"),
            Self::Undocumented => f.write_str("AWS does not document this type"),
        }
    }
}

/// The name that CloudTrail and `sts:SourceIdentity` show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceIdentity {
    /// `CN=web-01`, a long common name alone, or `ID=` and the serial number.
    pub value: String,
    /// A character that STS does not take there, so that what AWS does is not known.
    pub doubt: Option<Doubt>,
}

/// The session tags, in the order of the certificate: subject, issuer, names beside the subject.
pub fn session_tags(certificate: &Certificate) -> Result<Vec<SessionTag>, CertificateError> {
    let names = certificate.alternative_names()?;
    let mut tags = of_name("x509Subject", certificate.subject());
    tags.extend(of_name("x509Issuer", certificate.issuer()));
    tags.extend(of_alternative_names(&names));
    Ok(tags)
}

/// Roles Anywhere takes the first DNS name, the first URI and the first directory name, and nothing of the other kinds.
fn of_alternative_names(names: &[AlternativeName]) -> Vec<SessionTag> {
    let dns = names.iter().find_map(|name| if let AlternativeName::Dns(dns) = name { Some(dns) } else { None });
    let uri = names.iter().find_map(|name| if let AlternativeName::Uri(uri) = name { Some(uri) } else { None });
    let directory =
        names.iter().find_map(|name| if let AlternativeName::Directory(name) = name { Some(name) } else { None });
    let mut tags = Vec::new();
    tags.extend(dns.map(|value| SessionTag::new("x509SAN/DNS".to_owned(), value.clone(), false)));
    tags.extend(uri.map(|value| SessionTag::new("x509SAN/URI".to_owned(), value.clone(), false)));
    tags.extend(directory.into_iter().flat_map(|name| of_name("x509SAN/Name", name)));
    tags
}

/// One tag for each type of attribute. Types without a name, and values that are no strings, make none.
fn of_name(field: &str, name: &Name) -> Vec<SessionTag> {
    let mut types: Vec<(&'static str, Vec<&str>)> = Vec::new();
    for attribute in name.attributes() {
        let (Some(short), Some(value)) = (attribute.short_name(), attribute.value.as_deref()) else { continue };
        match types.iter_mut().find(|(known, _)| *known == short) {
            Some((_, values)) => values.push(value),
            None => types.push((short, vec![value])),
        }
    }
    let tag = |(short, values): (&'static str, Vec<&str>)| {
        SessionTag::new(format!("{field}/{short}"), values.join("/"), !DOCUMENTED.contains(&short))
    };
    types.into_iter().map(tag).collect()
}

impl SessionTag {
    /// A tag with this value; `undocumented` where AWS does not name its type.
    pub fn new(key: String, value: String, undocumented: bool) -> Self {
        let length = value.chars().count();
        let doubt = match value.chars().find(|c| !is_taken_in_tag(*c)) {
            Some(c) => Some(Doubt::Character(c)),
            None if length > LONGEST_VALUE => Some(Doubt::Length(length)),
            None => undocumented.then_some(Doubt::Undocumented),
        };
        Self { key, value, doubt }
    }
}

/// `[\p{L}\p{Z}\p{N}_.:/=+\-@]*`. Rust's alphabetic characters are the letters and a few marks of Indic scripts.
fn is_taken_in_tag(c: char) -> bool {
    c.is_alphabetic() || c.is_numeric() || c.is_whitespace() && !c.is_control() || "_.:/=+-@".contains(c)
}

/// The source identity: `CN=` and the common name where both fit into 64 characters, the bare common name where only that does, and
/// the serial number where there is no common name.
pub fn source_identity(certificate: &Certificate) -> SourceIdentity {
    let value = match certificate.subject().common_name() {
        Some(name) if name.chars().count() + "CN=".len() <= LONGEST_SOURCE_IDENTITY => format!("CN={name}"),
        Some(name) => name.to_owned(),
        None => format!("ID={}", certificate.serial_hex().to_lowercase()),
    };
    // `[\w+=,.@-]*`, where \w is ASCII.
    let is_taken = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    let doubt = value.chars().find(|c| !is_taken(*c)).map(Doubt::Character);
    SourceIdentity { value, doubt }
}

#[cfg(test)]
mod tests {
    use super::super::test_pki::{LEAF, Order, Pki};
    use super::*;

    fn leaf(pki: &Pki, subject: &str, names: &str) -> Certificate {
        let extensions = format!("{LEAF}{names}");
        let issuer = pki.root_with(&Order::ca("/C=DE/O=Example/CN=Root CA"));
        issuer.issue(&Order { extensions: &extensions, ..Order::leaf(subject) }).read()
    }

    fn tags(certificate: &Certificate) -> Vec<String> {
        let line = |tag: SessionTag| match tag.doubt {
            Some(doubt) => format!("{}={} ({doubt})", tag.key, tag.value),
            None => format!("{}={}", tag.key, tag.value),
        };
        session_tags(certificate).unwrap().into_iter().map(line).collect()
    }

    #[test]
    fn repeated_attributes_are_joined_in_the_order_of_the_certificate() {
        let leaf = leaf(&Pki::new(), "/O=Example/OU=Security/CN=web-01/OU=Engineering", "");
        assert_eq!(
            tags(&leaf),
            [
                "x509Subject/O=Example",
                "x509Subject/OU=Security/Engineering",
                "x509Subject/CN=web-01",
                "x509Issuer/C=DE",
                "x509Issuer/O=Example",
                "x509Issuer/CN=Root CA",
            ]
        );
        assert_eq!(source_identity(&leaf), SourceIdentity { value: "CN=web-01".to_owned(), doubt: None });
    }

    #[test]
    fn of_each_kind_of_alternative_name_the_first_counts() {
        let names = "subjectAltName=email:a@b.c,URI:spiffe://x/1,DNS:first.example,dirName:dn,URI:spiffe://x/2,DNS:second,\
                     IP:10.0.0.1\n[dn]\n0.OU=a\n1.OU=b\nCN=dir\n";
        let found = tags(&leaf(&Pki::new(), "/CN=web", names));
        assert_eq!(
            found[found.len() - 4..],
            ["x509SAN/DNS=first.example", "x509SAN/URI=spiffe://x/1", "x509SAN/Name/OU=a/b", "x509SAN/Name/CN=dir",]
        );
    }

    #[test]
    fn what_sts_does_not_take_is_said() {
        let pki = Pki::new();
        let found = leaf(&pki, "/CN=web (01)/O=M\u{fc}ller \u{65e5}\u{672c}/emailAddress=a@b.c", "");
        assert_eq!(
            tags(&found)[..3],
            [
                "x509Subject/CN=web (01) (STS does not take '(' in it)",
                "x509Subject/O=M\u{fc}ller \u{65e5}\u{672c}",
                "x509Subject/emailAddress=a@b.c (AWS does not document this type)",
            ]
        );
        assert_eq!(source_identity(&found).doubt, Some(Doubt::Character(' ')));
        let many: String = ["a", "b", "c", "d", "e"].map(|c| format!("/OU={}", c.repeat(60))).concat();
        let long = session_tags(&leaf(&pki, &format!("{many}/CN=a"), "")).unwrap();
        assert_eq!(long[0].doubt, Some(Doubt::Length(304)));
    }

    #[test]
    fn the_source_identity_follows_the_length_of_the_common_name() {
        let pki = Pki::new();
        let identity = |subject: &str| source_identity(&leaf(&pki, subject, "")).value;
        let name = |length| "a".repeat(length);
        assert_eq!(identity(&format!("/CN={}", name(61))), format!("CN={}", name(61)));
        assert_eq!(identity(&format!("/CN={}", name(62))), name(62));
        assert_eq!(identity(&format!("/CN={}", name(64))), name(64));
        let issuer = pki.root("Root");
        let nameless = issuer.issue(&Order { options: "-set_serial 0xabc", ..Order::leaf("/O=Example") }).read();
        assert_eq!(source_identity(&nameless).value, "ID=0abc");
        assert_eq!(identity("/CN=first/CN=second"), "CN=first");
    }
}
