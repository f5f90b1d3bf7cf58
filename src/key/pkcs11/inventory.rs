//! Everything that a token shows, and what it can do, on the module's thread.

use std::collections::HashMap;

use cryptoki::mechanism::MechanismType;
use cryptoki::object::ObjectClass;
use cryptoki_sys::{CK_MECHANISM_INFO, CK_MECHANISM_TYPE, CKF_GENERATE_KEY_PAIR, CKF_HW, CKF_SIGN, CKK_EC, CKK_RSA};

use super::super::algorithm::KeyAlgorithm;
use super::super::error::{Advice, KeyError, KeyErrorKind};
use super::super::inventory::{
    Abilities, CertificateEntry, Contents, DeviceInfo, Inventory, KeyAttributes, KeyEntry, KeyKind, Mechanism,
    TokenInfo, TokenKeyAttributes,
};
use super::super::public::PublicKey;
use super::TokenDevice;
use super::api::Api;
use super::info::wide;
use super::module::Module;
use super::object::{self, Certificate, KeyObject};
use super::pair;
use super::search::log_in;
use super::token::Token;
use super::uri::{ObjectType, Uri};

impl Inventory for TokenDevice {
    fn contents(&self, wants_login: bool) -> Result<Vec<Contents>, KeyError> {
        let uri = self.uri.clone();
        self.worker.run(move |module| contents(module, &uri, wants_login))
    }
}

impl Abilities for TokenDevice {
    fn mechanisms(&self) -> Result<Vec<(TokenInfo, Vec<Mechanism>)>, KeyError> {
        let uri = self.uri.clone();
        self.worker.run(move |module| mechanisms(module, &uri))
    }
}

fn contents(module: &mut Module, uri: &Uri, wants_login: bool) -> Result<Vec<Contents>, KeyError> {
    let matching = module.matching(uri)?;
    if wants_login {
        let only = only_token(module, uri)?;
        log_in(module, only, uri)?;
    }
    let mut listed = Vec::new();
    for place in matching {
        let (api, token, _) = module.token_at(place)?;
        log::info!("listing {}", token.name());
        let device = DeviceInfo::Token(token.describe(api, uri)?);
        let keys = keys(api, token, uri)?;
        let certificates = certificates(api, token, uri)?;
        listed.push(Contents { device, keys, certificates });
    }
    Ok(listed)
}

/// The one token that the URI selects.
pub(super) fn only_token(module: &mut Module, uri: &Uri) -> Result<usize, KeyError> {
    let matching = module.matching(uri)?;
    if let [only] = matching[..] {
        return Ok(only);
    }
    let (_, tokens) = module.parts();
    let references: Vec<_> = matching
        .iter()
        .filter_map(|place| tokens.get(*place))
        .map(|token| Uri { token: token.identity.uri().token, pin: None, ..uri.clone() }.to_string())
        .collect();
    Err(KeyError::new(KeyErrorKind::Ambiguous, format!("wanted one token, {uri} selects {}", references.len()))
        .with_advice(Advice::ChooseOne { references }))
}

/// Private keys with their public halves, then public keys whose private half does not show.
fn keys(api: &Api, token: &mut Token, uri: &Uri) -> Result<Vec<KeyEntry>, KeyError> {
    if !matches!(uri.class, None | Some(ObjectType::Private | ObjectType::Public)) {
        return Ok(Vec::new());
    }
    let mut public: HashMap<Option<Vec<u8>>, Vec<KeyObject>> = HashMap::new();
    for handle in object::find(api, token, &object::template(ObjectClass::PUBLIC_KEY, uri))? {
        let key = object::key(api, token, handle)?;
        public.entry(key.id.clone()).or_default().push(key);
    }
    let mut entries = Vec::new();
    for handle in object::find(api, token, &object::template(ObjectClass::PRIVATE_KEY, uri))? {
        let (mut key, attributes) = object::protected_key(api, token, handle)?;
        let halves = public.get(&key.id).map_or(&[][..], Vec::as_slice);
        if key.public_key.is_none() && key.problem.is_none() {
            key.public_key = pair::other_half(&key, halves);
        }
        if let Some(halves) = public.get_mut(&key.id) {
            halves.retain(|half| !is_half_of(half, &key));
        }
        entries.push(entry(token, key, attributes, false, uri));
    }
    let alone = public.into_values().flatten();
    entries.extend(alone.map(|key| entry(token, key, TokenKeyAttributes::default(), true, uri)));
    // Tokens list in an order that changes.
    entries.sort_by(|one, other| (&one.label, &one.id).cmp(&(&other.label, &other.id)));
    let times = times(entries.iter().map(|key| &key.reference));
    entries.iter_mut().for_each(|key| key.ambiguous = times.get(&key.reference).is_some_and(|times| *times > 1));
    Ok(entries)
}

fn is_half_of(public: &KeyObject, private: &KeyObject) -> bool {
    match (&public.public_key, &private.public_key) {
        (Some(one), Some(other)) => one == other,
        _ => public.key_type == private.key_type && public.label == private.label,
    }
}

fn entry(token: &Token, key: KeyObject, attributes: TokenKeyAttributes, public_only: bool, uri: &Uri) -> KeyEntry {
    KeyEntry {
        reference: object::reference(token, key.id.as_deref(), key.label.as_deref(), ObjectType::Private, uri),
        ambiguous: false,
        label: key.label.as_deref().map(text),
        kind: kind(&key),
        id: key.id,
        public_key: key.public_key,
        public_only,
        attributes: KeyAttributes::Token(attributes),
    }
}

fn kind(key: &KeyObject) -> KeyKind {
    match (&key.public_key, key.key_type, key.curve) {
        (Some(public_key), _, _) => KeyKind::Supported(PublicKey::algorithm(public_key)),
        (None, Some(CKK_EC), Some(curve)) => KeyKind::Supported(KeyAlgorithm::Ec(curve)),
        (None, Some(CKK_EC), None) => KeyKind::Other("EC".to_owned()),
        (None, Some(CKK_RSA), _) => KeyKind::Other("RSA".to_owned()),
        (None, Some(other), _) => KeyKind::Other(pair::name_of(other)),
        (None, None, _) => KeyKind::Unknown,
    }
}

fn certificates(api: &Api, token: &mut Token, uri: &Uri) -> Result<Vec<CertificateEntry>, KeyError> {
    if !matches!(uri.class, None | Some(ObjectType::Cert)) {
        return Ok(Vec::new());
    }
    let mut entries = Vec::new();
    for handle in object::find(api, token, &object::template(ObjectClass::CERTIFICATE, uri))? {
        let Some(Certificate { stored, label }) = object::certificate(api, token, handle, uri)? else { continue };
        let label = label.filter(|label| !label.is_empty()).as_deref().map(text);
        let id = stored.id.filter(|id| !id.is_empty());
        entries.push(CertificateEntry { reference: stored.reference, ambiguous: false, label, id, der: stored.der });
    }
    entries.sort_by(|one, other| (&one.label, &one.id, &one.der).cmp(&(&other.label, &other.id, &other.der)));
    let times = times(entries.iter().map(|entry| &entry.reference));
    entries.iter_mut().for_each(|entry| entry.ambiguous = times.get(&entry.reference).is_some_and(|times| *times > 1));
    Ok(entries)
}

/// How often each reference occurs.
fn times<'a>(references: impl Iterator<Item = &'a String>) -> HashMap<String, usize> {
    let mut times = HashMap::new();
    references.for_each(|reference| *times.entry(reference.clone()).or_default() += 1);
    times
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn mechanisms(module: &mut Module, uri: &Uri) -> Result<Vec<(TokenInfo, Vec<Mechanism>)>, KeyError> {
    let mut listed = Vec::new();
    for place in module.matching(uri)? {
        let (api, token, _) = module.token_at(place)?;
        let slot = token.slot;
        let numbers = api.activity.call("C_GetMechanismList", || api.raw.mechanisms(slot));
        let numbers = numbers.map_err(|error| token.refused(&error))?;
        let mut found = Vec::new();
        for number in numbers {
            let info = api.activity.call("C_GetMechanismInfo", || api.raw.mechanism_info(slot, number));
            // Some modules list what they then do not know.
            if let Ok(info) = info {
                found.push(mechanism(number, &info));
            }
        }
        listed.push((token.describe(api, uri)?, found));
    }
    Ok(listed)
}

fn mechanism(number: CK_MECHANISM_TYPE, info: &CK_MECHANISM_INFO) -> Mechanism {
    Mechanism {
        number: wide(number),
        name: MechanismType::try_from(number).ok().map(|known| known.to_string()),
        smallest_key: wide(info.ulMinKeySize),
        largest_key: wide(info.ulMaxKeySize),
        signs: info.flags & CKF_SIGN != 0,
        generates_pairs: info.flags & CKF_GENERATE_KEY_PAIR != 0,
        in_hardware: info.flags & CKF_HW != 0,
    }
}
