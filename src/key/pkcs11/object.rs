//! Objects on a token: searching them, reading them, and references that select them again. Knows no login and no choice.

use cryptoki::object::{Attribute, ObjectClass};
use cryptoki_sys::{
    CK_ATTRIBUTE_TYPE, CK_ULONG, CKA_ALWAYS_AUTHENTICATE, CKA_CLASS, CKA_EC_PARAMS, CKA_EC_POINT, CKA_EXTRACTABLE,
    CKA_ID, CKA_KEY_TYPE, CKA_LABEL, CKA_LOCAL, CKA_MODULUS, CKA_NEVER_EXTRACTABLE, CKA_PUBLIC_EXPONENT,
    CKA_PUBLIC_KEY_INFO, CKA_SENSITIVE, CKA_SIGN, CKA_VALUE, CKK_EC, CKK_RSA, CKO_CERTIFICATE, CKO_PRIVATE_KEY,
    CKO_PUBLIC_KEY,
};

use super::super::algorithm::Curve;
use super::super::device::StoredCertificate;
use super::super::error::KeyError;
use super::super::inventory::TokenKeyAttributes;
use super::super::public::PublicKey;
use super::api::Api;
use super::raw::{Object, Room};
use super::token::Token;
use super::uri::{ObjectType, Uri};
use super::uri_syntax;

/// Objects that an error lists.
const LISTED: usize = 16;

/// Handles of the objects that have these attributes: three calls.
pub(super) fn find(api: &Api, token: &mut Token, template: &[Attribute]) -> Result<Vec<Object>, KeyError> {
    let found = token.call(api, "C_FindObjects", |session| api.raw.find(session, template));
    found.map_err(|error| token.refused(&error))
}

/// Class, and the URI's CKA_LABEL and CKA_ID.
pub(super) fn template(class: ObjectClass, uri: &Uri) -> Vec<Attribute> {
    let mut template = vec![Attribute::Class(class)];
    template.extend(uri.object.clone().map(Attribute::Label));
    template.extend(uri.id.clone().map(Attribute::Id));
    template
}

/// The certificates behind these handles: one call for each that was not read before.
pub(super) fn certificates(
    api: &Api,
    token: &mut Token,
    handles: &[Object],
    uri: &Uri,
) -> Result<Vec<StoredCertificate>, KeyError> {
    let mut certificates = Vec::new();
    for handle in handles {
        if let Some(known) = token.remembered(*handle) {
            certificates.push(known.clone());
            continue;
        }
        let Some(read) = certificate(api, token, *handle, uri)? else { continue };
        token.remember(*handle, read.stored.clone());
        certificates.push(read.stored);
    }
    Ok(certificates)
}

/// A certificate object.
pub(super) struct Certificate {
    pub(super) stored: StoredCertificate,
    pub(super) label: Option<Vec<u8>>,
}

/// Reads a certificate and its label: one call. `None` for one of which only a URL is stored, which PKCS#11 knows too.
pub(super) fn certificate(
    api: &Api,
    token: &mut Token,
    handle: Object,
    uri: &Uri,
) -> Result<Option<Certificate>, KeyError> {
    let values = read(api, token, handle, &CERTIFICATE)?;
    let der = values.octets(CKA_VALUE).unwrap_or_default();
    if der.is_empty() {
        return Ok(None);
    }
    let id = values.octets(CKA_ID);
    let label = values.octets(CKA_LABEL);
    let reference = reference(token, id.as_deref(), label.as_deref(), ObjectType::Cert, uri);
    Ok(Some(Certificate { stored: StoredCertificate { der, id, reference }, label }))
}

/// A key object, private or public, as far as the token shows it.
pub(super) struct KeyObject {
    pub(super) handle: Object,
    pub(super) class: Option<CK_ULONG>,
    pub(super) key_type: Option<CK_ULONG>,
    pub(super) id: Option<Vec<u8>>,
    pub(super) label: Option<Vec<u8>>,
    /// CKA_SIGN, where the token shows it.
    pub(super) signs: Option<bool>,
    pub(super) always_authenticate: bool,
    /// CKA_EC_PARAMS name a curve that is supported.
    pub(super) curve: Option<Curve>,
    pub(super) public_key: Option<PublicKey>,
    /// Why a public half that is shown cannot be used.
    pub(super) problem: Option<KeyError>,
}

impl KeyObject {
    pub(super) fn is_private(&self) -> bool {
        self.class == Some(CKO_PRIVATE_KEY)
    }

    pub(super) fn is_public(&self) -> bool {
        self.class == Some(CKO_PUBLIC_KEY)
    }
}

/// Reads a key object: one call.
pub(super) fn key(api: &Api, token: &mut Token, handle: Object) -> Result<KeyObject, KeyError> {
    Ok(key_of(handle, &read(api, token, handle, &KEY)?))
}

/// Reads a key object and what protects it: one call.
pub(super) fn protected_key(
    api: &Api,
    token: &mut Token,
    handle: Object,
) -> Result<(KeyObject, TokenKeyAttributes), KeyError> {
    let values = read(api, token, handle, &[&KEY[..], &PROTECTION[..]].concat())?;
    let attributes = TokenKeyAttributes {
        sensitive: values.flag(CKA_SENSITIVE),
        extractable: values.flag(CKA_EXTRACTABLE),
        never_extractable: values.flag(CKA_NEVER_EXTRACTABLE),
        local: values.flag(CKA_LOCAL),
        always_authenticate: values.flag(CKA_ALWAYS_AUTHENTICATE),
        sign: values.flag(CKA_SIGN),
    };
    Ok((key_of(handle, &values), attributes))
}

fn key_of(handle: Object, values: &Values) -> KeyObject {
    let key_type = values.number(CKA_KEY_TYPE);
    let curve =
        values.octets(CKA_EC_PARAMS).filter(|parameters| !parameters.is_empty()).map(|it| PublicKey::curve(&it));
    let (public_key, problem) = match public_half(values, key_type, curve.as_ref()) {
        Ok(public_key) => (public_key, None),
        Err(problem) => (None, Some(problem)),
    };
    let (curve, curve_problem) = match curve {
        Some(Ok(curve)) => (Some(curve), None),
        Some(Err(problem)) => (None, Some(problem)),
        None => (None, None),
    };
    KeyObject {
        handle,
        class: values.number(CKA_CLASS),
        key_type,
        id: values.octets(CKA_ID).filter(|id| !id.is_empty()),
        label: values.octets(CKA_LABEL).filter(|label| !label.is_empty()),
        signs: values.flag(CKA_SIGN),
        always_authenticate: values.flag(CKA_ALWAYS_AUTHENTICATE).unwrap_or(false),
        curve,
        public_key,
        problem: problem.or(curve_problem),
    }
}

/// The public half out of whatever the object shows of it: tokens differ in which attributes a private key has.
fn public_half(
    values: &Values,
    key_type: Option<CK_ULONG>,
    curve: Option<&Result<Curve, KeyError>>,
) -> Result<Option<PublicKey>, KeyError> {
    let shown = |attribute| values.octets(attribute).filter(|value| !value.is_empty());
    match (key_type, curve) {
        (Some(CKK_RSA), _) => {
            if let Some((modulus, exponent)) = shown(CKA_MODULUS).zip(shown(CKA_PUBLIC_EXPONENT)) {
                return PublicKey::from_rsa(&modulus, &exponent).map(Some);
            }
        }
        (Some(CKK_EC), Some(Ok(curve))) => {
            if let Some(point) = shown(CKA_EC_POINT) {
                return PublicKey::from_ec(*curve, &point).map(Some);
            }
        }
        _ => {}
    }
    shown(CKA_PUBLIC_KEY_INFO).map(|info| PublicKey::from_spki_der(&info)).transpose()
}

/// A reference without secrets that selects this object again: token, CKA_ID, CKA_LABEL, and the module where a URI named it.
pub(super) fn reference(
    token: &Token,
    id: Option<&[u8]>,
    label: Option<&[u8]>,
    class: ObjectType,
    uri: &Uri,
) -> String {
    let present = |value: Option<&[u8]>| value.filter(|value| !value.is_empty()).map(<[u8]>::to_vec);
    Uri {
        id: present(id),
        object: present(label),
        class: Some(class),
        module: uri.module.clone(),
        ..token.identity.uri()
    }
    .to_string()
}

/// What a key or a certificate is called, with its class; `None` for objects of other classes. One call.
pub(super) fn name(api: &Api, token: &mut Token, handle: Object, uri: &Uri) -> Result<Option<String>, KeyError> {
    let values = read(api, token, handle, &[&NAMES[..], &[room(CKA_CLASS, NUMBER)]].concat())?;
    let class = match values.number(CKA_CLASS) {
        Some(CKO_PRIVATE_KEY) => ObjectType::Private,
        Some(CKO_PUBLIC_KEY) => ObjectType::Public,
        Some(CKO_CERTIFICATE) => ObjectType::Cert,
        _ => return Ok(None),
    };
    let (id, label) = (values.octets(CKA_ID), values.octets(CKA_LABEL));
    Ok(Some(reference(token, id.as_deref(), label.as_deref(), class, uri)))
}

/// What is on the token, for a person whose URI selects nothing: `object=…;id=…`, so that a typo is seen.
pub(super) fn inventory(api: &Api, token: &mut Token) -> String {
    let mut listed = Vec::new();
    for (class, name) in [(ObjectClass::CERTIFICATE, "certificate"), (ObjectClass::PRIVATE_KEY, "private key")] {
        for handle in find(api, token, &[Attribute::Class(class)]).unwrap_or_default() {
            if listed.len() == LISTED {
                listed.push("and more".to_owned());
                return listed.join(", ");
            }
            let Ok(values) = read(api, token, handle, &NAMES) else { continue };
            let part = |name, text: Option<String>| text.map(|text| format!("{name}={text}"));
            let filled = |attribute| values.octets(attribute).filter(|value| !value.is_empty());
            let label = filled(CKA_LABEL).map(|label| uri_syntax::encode(uri_syntax::Part::Path, &label));
            let id = filled(CKA_ID).map(|id| uri_syntax::encode_all(&id));
            let names: Vec<_> = part("object", label).into_iter().chain(part("id", id)).collect();
            let names = if names.is_empty() { "without label and id".to_owned() } else { names.join(";") };
            listed.push(format!("{name} {names}"));
        }
    }
    match (listed.is_empty(), token.logged_in) {
        (true, false) => "no certificate and no key that it shows without a login".to_owned(),
        (true, true) => "no certificate and no private key".to_owned(),
        (false, _) => listed.join(", "),
    }
}

const fn room(attribute: CK_ATTRIBUTE_TYPE, octets: usize) -> Room {
    Room { attribute, octets }
}

const NUMBER: usize = size_of::<CK_ULONG>();
const NAME: usize = 512;

const NAMES: [Room; 2] = [room(CKA_LABEL, NAME), room(CKA_ID, NAME)];

/// What a private key object says of its protection, beside [`KEY`].
const PROTECTION: [Room; 4] =
    [room(CKA_SENSITIVE, 1), room(CKA_EXTRACTABLE, 1), room(CKA_NEVER_EXTRACTABLE, 1), room(CKA_LOCAL, 1)];

const CERTIFICATE: [Room; 3] = [room(CKA_ID, NAME), room(CKA_LABEL, NAME), room(CKA_VALUE, 8 * 1024)];

const KEY: [Room; 11] = [
    room(CKA_CLASS, NUMBER),
    room(CKA_KEY_TYPE, NUMBER),
    room(CKA_ID, NAME),
    room(CKA_LABEL, NAME),
    room(CKA_SIGN, 1),
    room(CKA_ALWAYS_AUTHENTICATE, 1),
    room(CKA_MODULUS, 1024),
    room(CKA_PUBLIC_EXPONENT, 64),
    room(CKA_EC_PARAMS, NAME),
    room(CKA_EC_POINT, NAME),
    room(CKA_PUBLIC_KEY_INFO, 2048),
];

/// Values that were read, by their attributes.
struct Values(Vec<(CK_ATTRIBUTE_TYPE, Option<Vec<u8>>)>);

impl Values {
    fn octets(&self, attribute: CK_ATTRIBUTE_TYPE) -> Option<Vec<u8>> {
        self.0.iter().find(|(read, _)| *read == attribute).and_then(|(_, value)| value.clone())
    }

    fn number(&self, attribute: CK_ATTRIBUTE_TYPE) -> Option<CK_ULONG> {
        self.octets(attribute)?.try_into().ok().map(CK_ULONG::from_ne_bytes)
    }

    fn flag(&self, attribute: CK_ATTRIBUTE_TYPE) -> Option<bool> {
        self.octets(attribute)?.first().map(|octet| *octet != 0)
    }
}

fn read(api: &Api, token: &mut Token, object: Object, wanted: &[Room]) -> Result<Values, KeyError> {
    let values = token.call(api, "C_GetAttributeValue", |session| api.raw.attributes(session, object, wanted));
    let values = values.map_err(|error| token.refused(&error))?;
    Ok(Values(wanted.iter().map(|room| room.attribute).zip(values).collect()))
}
