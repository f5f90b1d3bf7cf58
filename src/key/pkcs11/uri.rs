//! `pkcs11:` URIs (RFC 7512) as a value: what they select, the PIN they name, the module they name. Pure: no module, no
//! file and no token is touched, and nothing here prints a PIN.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::super::error::{KeyError, KeyErrorKind};
use super::super::secret::{Secret, SecretSource};
use super::uri_syntax::{self, Part};

/// A `pkcs11:` URI. Printing it gives a canonical form that can be pasted back, without the PIN.
#[derive(Clone, Debug, Default)]
pub struct Uri {
    /// Boxed, for it is most of a URI and references are moved about.
    pub(super) token: Box<TokenSelector>,
    /// CKA_LABEL.
    pub(super) object: Option<Vec<u8>>,
    /// CKA_ID.
    pub(super) id: Option<Vec<u8>>,
    pub(super) class: Option<ObjectType>,
    pub(super) module: ModuleName,
    pub(super) pin: Option<SecretSource>,
    /// Names of path attributes that RFC 7512 does not define: with one of them the URI matches nothing. Their values are
    /// dropped, for a mistyped `pin-value` would be one.
    pub(super) unknown: Vec<String>,
}

/// The attributes that select tokens. Absent ones match everything, empty ones match only an empty field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TokenSelector {
    pub(super) token: Option<Vec<u8>>,
    pub(super) manufacturer: Option<Vec<u8>>,
    pub(super) model: Option<Vec<u8>>,
    pub(super) serial: Option<Vec<u8>>,
    pub(super) slot_id: Option<u64>,
    pub(super) slot_description: Option<Vec<u8>>,
    pub(super) slot_manufacturer: Option<Vec<u8>>,
    pub(super) library_description: Option<Vec<u8>>,
    pub(super) library_manufacturer: Option<Vec<u8>>,
    pub(super) library_version: Option<(u8, u8)>,
}

/// The query attributes that name a library.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ModuleName {
    /// A library, or a directory to search.
    pub(super) path: Option<std::path::PathBuf>,
    /// A library without directory, prefix and suffix.
    pub(super) name: Option<String>,
}

/// `type=`: CKA_CLASS in RFC 7512's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ObjectType {
    Public,
    Private,
    Cert,
    SecretKey,
    Data,
}

impl ObjectType {
    const ALL: [Self; 5] = [Self::Public, Self::Private, Self::Cert, Self::SecretKey, Self::Data];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Cert => "cert",
            Self::SecretKey => "secret-key",
            Self::Data => "data",
        }
    }
}

impl Uri {
    /// Whether the text has the scheme `pkcs11:`, in any case.
    pub fn is_one(text: &str) -> bool {
        text.trim_start().get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(uri_syntax::SCHEME))
    }

    /// The same URI without `type=`, for where one URI names a key and its certificate.
    #[must_use]
    pub fn without_type(mut self) -> Self {
        self.class = None;
        self
    }

    /// The same URI, with the PIN source of the other where it has none.
    #[must_use]
    pub fn or_pin_of(mut self, other: &Self) -> Self {
        self.pin = self.pin.or_else(|| other.pin.clone());
        self
    }

    /// Where the URI says that the PIN comes from.
    pub fn pin_source(&self) -> Option<&SecretSource> {
        self.pin.as_ref()
    }

    /// The label (CKA_LABEL) that the URI names.
    pub fn label(&self) -> Option<&[u8]> {
        self.object.as_deref()
    }

    /// Whether the URI names an object, by its label or its CKA_ID.
    pub fn names_object(&self) -> bool {
        self.object.is_some() || self.id.is_some()
    }

    /// The same tokens, and the object that the other URI selects, with its PIN source where this one has none.
    #[must_use]
    pub fn with_object_of(mut self, other: &Self) -> Self {
        self.object.clone_from(&other.object);
        self.id.clone_from(&other.id);
        self.or_pin_of(other)
    }

    /// Whether the URI selects whole tokens, and with them every object on them.
    pub(super) fn selects_every_object(&self) -> bool {
        self.object.is_none() && self.id.is_none()
    }

    /// Whether the PIN itself stands in the URI, so that it is visible in the process list when the URI is an argument.
    pub fn holds_pin(&self) -> bool {
        matches!(self.pin, Some(SecretSource::Given(_)))
    }

    fn set(&mut self, part: Part, name: &str, value: &[u8]) -> Result<(), String> {
        let octets = || Some(value.to_vec());
        match (part, name) {
            (Part::Path, "token") => self.token.token = octets(),
            (Part::Path, "manufacturer") => self.token.manufacturer = octets(),
            (Part::Path, "model") => self.token.model = octets(),
            (Part::Path, "serial") => self.token.serial = octets(),
            (Part::Path, "slot-id") => self.token.slot_id = Some(decimal(value)?),
            (Part::Path, "slot-description") => self.token.slot_description = octets(),
            (Part::Path, "slot-manufacturer") => self.token.slot_manufacturer = octets(),
            (Part::Path, "library-description") => self.token.library_description = octets(),
            (Part::Path, "library-manufacturer") => self.token.library_manufacturer = octets(),
            (Part::Path, "library-version") => self.token.library_version = Some(version(value)?),
            (Part::Path, "object") => self.object = octets(),
            (Part::Path, "id") => self.id = octets(),
            (Part::Path, "type") => self.class = Some(object_type(value)?),
            // RFC 7512 has the PIN behind the '?'; p11-kit takes it in the path too, and people write it there.
            (_, "pin-value") => self.set_pin(SecretSource::Given(Arc::new(
                Secret::new(value.to_vec()).with_origin("the URI's pin-value"),
            )))?,
            (_, "pin-source" | "pinfile") => self.set_pin(pin_source(value)?)?,
            (Part::Query, "module-path") => self.module.path = Some(utf8(value)?.into()),
            (Part::Query, "module-name") => self.module.name = Some(module_name(value)?),
            (Part::Query, known) if is_path_attribute(known) => return Err("belongs before the '?'".to_owned()),
            (Part::Path, "module-path" | "module-name") => return Err("belongs behind the '?'".to_owned()),
            (Part::Path, unknown) => self.unknown.push(unknown.to_owned()),
            // RFC 7512 §2.4: a query attribute that is not known is ignored.
            (Part::Query, _) => {}
        }
        Ok(())
    }

    fn set_pin(&mut self, source: SecretSource) -> Result<(), String> {
        if self.pin.is_some() {
            return Err("is a second source of the PIN: wanted one of pin-value and pin-source".to_owned());
        }
        self.pin = Some(source);
        Ok(())
    }
}

impl FromStr for Uri {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut uri = Self::default();
        for attribute in uri_syntax::attributes(text)? {
            let set = uri.set(attribute.part, &attribute.name, &attribute.value);
            set.map_err(|wrong| {
                KeyError::new(
                    KeyErrorKind::Reference,
                    format!(
                        "cannot read the pkcs11 URI: {} at character {} {wrong}",
                        attribute.name, attribute.position
                    ),
                )
            })?;
        }
        Ok(uri)
    }
}

/// The attributes of the path, and after them those of a PIN, which people write there too.
const ATTRIBUTES: [&str; 15] = [
    "token",
    "manufacturer",
    "model",
    "serial",
    "slot-id",
    "slot-description",
    "slot-manufacturer",
    "library-description",
    "library-manufacturer",
    "library-version",
    "object",
    "id",
    "type",
    "pin-value",
    "pin-source",
];

fn is_path_attribute(name: &str) -> bool {
    !name.starts_with("pin-") && ATTRIBUTES.contains(&name)
}

/// The attribute that was meant, where a name is nearly one. A vendor's own name begins with `x-`.
pub(super) fn attribute_like(name: &str) -> Option<&'static str> {
    let near = |known: &&&str| strsim::osa_distance(known, &name.to_ascii_lowercase()) <= known.len() / 3;
    ATTRIBUTES.iter().filter(|_| !name.starts_with("x-")).find(near).copied()
}

fn utf8(value: &[u8]) -> Result<String, String> {
    match std::str::from_utf8(value) {
        Ok("") => Err("is empty".to_owned()),
        Ok(text) if text.contains('\0') => Err("holds a NUL character".to_owned()),
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err("is not UTF-8".to_owned()),
    }
}

fn decimal<T: FromStr>(value: &[u8]) -> Result<T, String> {
    std::str::from_utf8(value)
        .ok()
        // `parse` takes a leading '+' too.
        .filter(|text| text.bytes().all(|octet| octet.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("wants a decimal number, found '{}'", String::from_utf8_lossy(value)))
}

/// `N` or `N.N`: CK_VERSION.
fn version(value: &[u8]) -> Result<(u8, u8), String> {
    let mut parts = value.splitn(2, |octet| *octet == b'.');
    let major = decimal(parts.next().unwrap_or_default())?;
    let minor = parts.next().map_or(Ok(0), decimal)?;
    Ok((major, minor))
}

fn object_type(value: &[u8]) -> Result<ObjectType, String> {
    ObjectType::ALL.into_iter().find(|class| class.name().as_bytes() == value).ok_or_else(|| {
        format!("wants public, private, cert, secret-key or data, found '{}'", String::from_utf8_lossy(value))
    })
}

fn module_name(value: &[u8]) -> Result<String, String> {
    let name = utf8(value)?;
    match name.contains('/') {
        true => Err(format!("wants a library's name without a directory, found '{name}'; a path is module-path's")),
        false => Ok(name),
    }
}

/// A `file:` URI (RFC 8089) or an absolute path. RFC 7512 §2.4 also foresees `|command`, which is refused: a URI that came
/// from elsewhere must not start programs.
fn pin_source(value: &[u8]) -> Result<SecretSource, String> {
    if value.first() == Some(&b'|') {
        return Err("names a command, which is not run: wanted a file: URI or an absolute path".to_owned());
    }
    let text = utf8(value)?;
    let path = match text.get(..5) {
        Some(scheme) if scheme.eq_ignore_ascii_case("file:") => text.get(5..).unwrap_or_default(),
        _ => &text,
    };
    let path = match path.strip_prefix("//") {
        Some(with_host) if path.len() < text.len() => with_host.strip_prefix("localhost").unwrap_or(with_host),
        _ => path,
    };
    match path.starts_with('/') {
        true => Ok(SecretSource::File(path.into())),
        false => Err("wants a file: URI on this host or an absolute path".to_owned()),
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut path = Writer::new(Part::Path);
        let TokenSelector { token, manufacturer, model, serial, .. } = &*self.token;
        path.text("token", token);
        path.text("manufacturer", manufacturer);
        path.text("model", model);
        path.text("serial", serial);
        path.plain("slot-id", self.token.slot_id);
        path.text("slot-description", &self.token.slot_description);
        path.text("slot-manufacturer", &self.token.slot_manufacturer);
        path.text("library-description", &self.token.library_description);
        path.text("library-manufacturer", &self.token.library_manufacturer);
        path.plain("library-version", self.token.library_version.map(|(major, minor)| format!("{major}.{minor}")));
        path.id(&self.id);
        path.text("object", &self.object);
        path.plain("type", self.class.map(ObjectType::name));
        write!(f, "{}{}", uri_syntax::SCHEME, path.attributes.join(";"))?;

        let mut query = Writer::new(Part::Query);
        query.text("module-name", &self.module.name.as_ref().map(|name| name.as_bytes().to_vec()));
        query.text("module-path", &self.module.path.as_ref().map(|path| path.as_os_str().as_encoded_bytes().to_vec()));
        match query.attributes.is_empty() {
            true => Ok(()),
            false => write!(f, "?{}", query.attributes.join("&")),
        }
    }
}

struct Writer {
    part: Part,
    attributes: Vec<String>,
}

impl Writer {
    fn new(part: Part) -> Self {
        Self { part, attributes: Vec::new() }
    }

    fn text(&mut self, name: &str, value: &Option<Vec<u8>>) {
        let encoded = value.as_ref().map(|value| uri_syntax::encode(self.part, value));
        self.plain(name, encoded);
    }

    /// RFC 7512 §2.3: writers should percent-encode every octet of an id.
    fn id(&mut self, value: &Option<Vec<u8>>) {
        self.plain("id", value.as_ref().map(|value| uri_syntax::encode_all(value)));
    }

    fn plain(&mut self, name: &str, value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            self.attributes.push(format!("{name}={value}"));
        }
    }
}

#[cfg(test)]
#[path = "uri_tests.rs"]
mod tests;
