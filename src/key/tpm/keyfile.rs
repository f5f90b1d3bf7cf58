//! The key-file codec: `TSS2 PRIVATE KEY` PEM, read tolerantly and written strictly (draft-bottomley-tpm2-keys §3). Pure:
//! knows no TPM.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use der::asn1::{AnyRef, ContextSpecific, ObjectIdentifier, OctetStringRef, Utf8StringRef};
use der::{Decode, Encode, Reader as _, Sequence, SliceReader, Tag, TagNumber, Tagged};

use super::super::error::{KeyError, KeyErrorKind};
use super::handle::Handle;
use super::marshal;
use super::policy::{self, Step};
use super::public::{self, PublicArea, Template};

const BEGIN: &str = "-----BEGIN TSS2 PRIVATE KEY-----";
const END: &str = "-----END TSS2 PRIVATE KEY-----";

/// The largest key file a TPM's own limits allow (an RSA-4096 key with its seed) is a few KiB.
const LONGEST_DER: usize = 16 * 1024;

/// id-loadablekey, id-importablekey and id-sealedkey under the TCG's arc.
const LOADABLE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.10.1.3");
const IMPORTABLE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.10.1.4");
const SEALED: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.10.1.5");
/// What early writers used for a loadable key.
const OLD_LOADABLE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.10.2");

/// The hierarchies that a key file may name as a parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hierarchy {
    /// TPM_RH_OWNER, 0x40000001.
    Owner,
    /// TPM_RH_NULL, 0x40000007: its keys live until the TPM's next reset.
    Null,
    /// TPM_RH_ENDORSEMENT, 0x4000000B.
    Endorsement,
    /// TPM_RH_PLATFORM, 0x4000000C: the firmware's.
    Platform,
}

impl Hierarchy {
    const fn number(self) -> u32 {
        match self {
            Self::Owner => 0x4000_0001,
            Self::Null => 0x4000_0007,
            Self::Endorsement => 0x4000_000b,
            Self::Platform => 0x4000_000c,
        }
    }

    /// As people call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Null => "null",
            Self::Endorsement => "endorsement",
            Self::Platform => "platform",
        }
    }
}

/// The key under which a key file's key is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parent {
    /// A persistent key.
    Persistent(Handle),
    /// The primary key that this template makes in this hierarchy.
    Primary(Hierarchy, Template),
}

impl Parent {
    fn from_number(number: u32, template: Template) -> Option<Self> {
        if let Some(handle) = Handle::from_number(number) {
            return Some(Self::Persistent(handle));
        }
        let hierarchy = match number {
            // tpm2-openssl writes and reads 0 for the owner hierarchy.
            0 | 0x4000_0001 => Hierarchy::Owner,
            0x4000_0007 => Hierarchy::Null,
            0x4000_000b => Hierarchy::Endorsement,
            0x4000_000c => Hierarchy::Platform,
            _ => return None,
        };
        Some(Self::Primary(hierarchy, template))
    }

    const fn number(self) -> u32 {
        match self {
            Self::Persistent(handle) => handle.number(),
            Self::Primary(hierarchy, _) => hierarchy.number(),
        }
    }
}

/// A key that only a TPM can use: its public half in clear, its private half encrypted under its parent.
#[derive(Clone, Debug)]
pub(super) struct TpmKeyFile {
    /// Whether the file says that the key has no password; otherwise one is asked for.
    pub(super) without_password: bool,
    /// What authorises the key beside or instead of its password; empty where that suffices.
    pub(super) policy: Vec<Step>,
    /// The encrypted seed of an importable key (contents of a TPM2B_ENCRYPTED_SECRET); `None` for a loadable one.
    pub(super) seed: Option<Vec<u8>>,
    /// What the key is for, in its maker's words.
    pub(super) description: Option<String>,
    /// The key under which it is loaded.
    pub(super) parent: Parent,
    /// The public area.
    pub(super) public: PublicArea,
    /// Contents of the TPM2B_PRIVATE.
    pub(super) private: Vec<u8>,
}

impl TpmKeyFile {
    /// From the one `TSS2 PRIVATE KEY` block of a PEM text, whatever else the text holds.
    pub(super) fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        Self::from_der(&unarmour(text)?)
    }

    /// From a DER TPMKey. Encodings that are wrong but in use are taken: a BOOLEAN that is TRUE by another value than FF, an
    /// implicitly tagged `emptyAuth`, a negative `parent`, and a `parent` of 0 for the owner.
    pub(super) fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let fields =
            Fields::read(der).map_err(|source| damaged("it is not the DER of a TPMKey").with_source(source))?;
        let importable = match fields.kind {
            LOADABLE | OLD_LOADABLE => false,
            IMPORTABLE => true,
            SEALED => {
                return Err(unsupported("wanted a key, found sealed data, which cannot sign"));
            }
            other => return Err(unsupported(format!("wanted a loadable or importable TPM key, found type {other}"))),
        };
        let seed = match (importable, fields.secret) {
            (false, None) => None,
            (true, Some(secret)) => Some(
                marshal::only_sized(secret).ok_or_else(|| damaged("its secret is no TPM2B_ENCRYPTED_SECRET"))?.to_vec(),
            ),
            (false, Some(_)) => {
                return Err(damaged("it is loadable and has a secret, which only importable keys have"));
            }
            (true, None) => return Err(damaged("it is importable and lacks the secret that its import needs")),
        };
        let template = if fields.rsa_parent { Template::Rsa } else { Template::Ecc };
        let public = public::parse_sized(fields.public).ok_or_else(|| damaged("its pubkey is no TPM2B_PUBLIC"))?;
        let policy = policy::read(&fields.policy)?;
        if policy.is_empty() && fields.has_auth_policy {
            return Err(unsupported(
                "the key file holds only authPolicy alternatives for PolicyAuthorize, which is not supported",
            ));
        }
        policy::check(&policy, &public)?;
        Ok(Self {
            without_password: fields.empty_auth,
            policy,
            seed,
            description: fields.description.map(str::to_owned),
            parent: Parent::from_number(fields.parent, template).ok_or_else(|| {
                unsupported(format!(
                    "wanted a persistent or hierarchy handle as the key's parent, found 0x{:08x}",
                    fields.parent
                ))
            })?,
            public,
            private: marshal::only_sized(fields.private)
                .ok_or_else(|| damaged("its privkey is no TPM2B_PRIVATE"))?
                .to_vec(),
        })
    }

    /// The PEM of a loadable key without policy, by the letter of the draft.
    pub(super) fn to_pem(&self) -> Result<String, KeyError> {
        let der = self.to_der().map_err(|source| {
            KeyError::new(KeyErrorKind::Device, "the TPM made a key that fits no key file").with_source(source)
        })?;
        let mut pem = format!("{BEGIN}\n");
        let armour = BASE64.encode(der);
        let mut rest = armour.as_str();
        while !rest.is_empty() {
            let (line, further) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = further;
        }
        pem.push_str(END);
        pem.push('\n');
        Ok(pem)
    }

    fn to_der(&self) -> der::Result<Vec<u8>> {
        let sized = |octets: &[u8]| marshal::sized(octets).ok_or(der::ErrorKind::Overflow);
        let public = sized(self.public.octets())?;
        let private = sized(&self.private)?;
        StrictKey {
            kind: LOADABLE,
            // Written in either case: tpm2-openssl 1.1 takes its absence for TRUE.
            empty_auth: Some(self.without_password),
            description: self.description.as_deref().map(Utf8StringRef::new).transpose()?,
            rsa_parent: matches!(self.parent, Parent::Primary(_, Template::Rsa)).then_some(true),
            parent: self.parent.number(),
            public: OctetStringRef::new(&public)?,
            private: OctetStringRef::new(&private)?,
        }
        .to_der()
    }
}

/// TPMKey as it is written.
#[derive(Sequence)]
struct StrictKey<'a> {
    kind: ObjectIdentifier,
    #[asn1(context_specific = "0", optional = "true")]
    empty_auth: Option<bool>,
    #[asn1(context_specific = "4", optional = "true")]
    description: Option<Utf8StringRef<'a>>,
    #[asn1(context_specific = "5", optional = "true")]
    rsa_parent: Option<bool>,
    parent: u32,
    public: &'a OctetStringRef,
    private: &'a OctetStringRef,
}

/// TPMKey as it is read: fields in place, their contents not yet understood.
struct Fields<'a> {
    kind: ObjectIdentifier,
    empty_auth: bool,
    policy: Vec<(u32, &'a [u8])>,
    secret: Option<&'a [u8]>,
    has_auth_policy: bool,
    description: Option<&'a str>,
    rsa_parent: bool,
    parent: u32,
    public: &'a [u8],
    private: &'a [u8],
}

impl<'a> Fields<'a> {
    fn read(der: &'a [u8]) -> der::Result<Self> {
        let whole = AnyRef::from_der(der)?;
        whole.tag().assert_eq(Tag::Sequence)?;
        let mut reader = SliceReader::new(whole.value())?;
        let mut fields = Self {
            kind: ObjectIdentifier::decode(&mut reader)?,
            empty_auth: false,
            policy: Vec::new(),
            secret: None,
            has_auth_policy: false,
            description: None,
            rsa_parent: false,
            parent: 0,
            public: &[],
            private: &[],
        };
        let parent = loop {
            let field = AnyRef::decode(&mut reader)?;
            let Tag::ContextSpecific { number, constructed } = field.tag() else { break field };
            fields.take_optional(number, constructed, field.value())?;
        };
        fields.parent = lenient_handle(parent)?;
        fields.public = <&OctetStringRef>::decode(&mut reader)?.as_bytes();
        fields.private = <&OctetStringRef>::decode(&mut reader)?.as_bytes();
        // Later drafts add tagged fields at the end, which change nothing here.
        while !reader.is_finished() {
            let further = AnyRef::decode(&mut reader)?;
            if !further.tag().is_context_specific() {
                return Err(further.tag().unexpected_error(None).into());
            }
        }
        Ok(fields)
    }

    fn take_optional(&mut self, number: TagNumber, constructed: bool, content: &'a [u8]) -> der::Result<()> {
        match number.value() {
            0 if constructed => self.empty_auth = lenient_boolean(AnyRef::from_der(content)?)?,
            0 => self.empty_auth = is_true(content)?,
            1 => self.policy = policies(content)?,
            2 => self.secret = Some(<&OctetStringRef>::from_der(content)?.as_bytes()),
            3 => self.has_auth_policy = !AnyRef::from_der(content)?.value().is_empty(),
            4 => self.description = Some(Utf8StringRef::from_der(content)?.as_str()),
            5 if constructed => self.rsa_parent = lenient_boolean(AnyRef::from_der(content)?)?,
            5 => self.rsa_parent = is_true(content)?,
            // parentName and what may follow: hints that loading does not need.
            _ => {}
        }
        Ok(())
    }
}

/// SEQUENCE OF SEQUENCE { `[0]` INTEGER commandCode, `[1]` OCTET STRING commandPolicy }.
fn policies(content: &[u8]) -> der::Result<Vec<(u32, &[u8])>> {
    let list = AnyRef::from_der(content)?;
    list.tag().assert_eq(Tag::Sequence)?;
    let mut reader = SliceReader::new(list.value())?;
    let mut policies = Vec::new();
    while !reader.is_finished() {
        let entry = AnyRef::decode(&mut reader)?;
        entry.tag().assert_eq(Tag::Sequence)?;
        let mut entry = SliceReader::new(entry.value())?;
        let code = ContextSpecific::<u32>::decode(&mut entry)?;
        let body = ContextSpecific::<&OctetStringRef>::decode(&mut entry)?;
        entry.finish()?;
        policies.push((code.value, body.value.as_bytes()));
    }
    Ok(policies)
}

fn lenient_boolean(value: AnyRef<'_>) -> der::Result<bool> {
    value.tag().assert_eq(Tag::Boolean)?;
    is_true(value.value())
}

/// DER wants FF for TRUE; OpenSSL-based writers have written 01.
fn is_true(content: &[u8]) -> der::Result<bool> {
    match content {
        [octet] => Ok(*octet != 0),
        _ => Err(Tag::Boolean.length_error().into()),
    }
}

/// A handle as an INTEGER of up to four octets, the sign bit being part of the number where a writer forgot the zero octet.
fn lenient_handle(value: AnyRef<'_>) -> der::Result<u32> {
    value.tag().assert_eq(Tag::Integer)?;
    let octets = match value.value() {
        [0, rest @ ..] if rest.len() == 4 => rest,
        octets if (1..=4).contains(&octets.len()) => octets,
        _ => return Err(Tag::Integer.length_error().into()),
    };
    Ok(octets.iter().fold(0, |number, octet| number << 8 | u32::from(*octet)))
}

/// The DER inside the one block; line lengths, line ends and blanks do not matter.
fn unarmour(text: &[u8]) -> Result<Vec<u8>, KeyError> {
    let text = String::from_utf8_lossy(text);
    let (_, after) = text.split_once(BEGIN).ok_or_else(|| damaged("it has no TSS2 PRIVATE KEY block"))?;
    let (body, rest) = after.split_once(END).ok_or_else(|| damaged("its TSS2 PRIVATE KEY block has no end"))?;
    if rest.contains(BEGIN) {
        return Err(KeyError::new(
            KeyErrorKind::Ambiguous,
            "wanted one TSS2 PRIVATE KEY block, found several: keep one per file",
        ));
    }
    let body: String = body.chars().filter(|character| !character.is_whitespace()).collect();
    if body.len() > LONGEST_DER / 3 * 4 {
        return Err(damaged(&format!("it is longer than the {LONGEST_DER} octets a TPM key can have")));
    }
    BASE64.decode(body).map_err(|source| damaged("its TSS2 PRIVATE KEY block is not base64").with_source(source))
}

fn damaged(why: &str) -> KeyError {
    unsupported(format!("wanted a TPM key file, found one that is damaged: {why}"))
}

fn unsupported(message: impl Into<String>) -> KeyError {
    KeyError::new(KeyErrorKind::Unsupported, message)
}

#[cfg(test)]
mod tests;
