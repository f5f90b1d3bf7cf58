//! Which certificates and which private key a URI means (draft-woodhouse-cert-best-practice §8), on the module's thread.

use std::sync::Arc;

use cryptoki::object::{Attribute, KeyType, ObjectClass};

use super::super::device::{CertificateOfKey, StoredCertificate, StoredKey, WantedKey};
use super::super::error::{Advice, KeyError, KeyErrorKind};
use super::super::public::PublicKey;
use super::super::secret::Secret;
use super::api::Api;
use super::login;
use super::module::Module;
use super::object::{self, KeyObject};
use super::pair::{key_type, may_be, of_certificate, other_half, pair_template, template_of_certificate, usable};
use super::record::KeyRecord;
use super::token::Token;
use super::uri::{ObjectType, Uri};

/// The certificates that the URI selects, on every token that it selects. Logs in only where nothing is found and exactly
/// one token matches, which then shows private certificates too.
pub(super) fn certificates(module: &mut Module, uri: &Uri) -> Result<Vec<StoredCertificate>, KeyError> {
    excluded(uri, ObjectType::Cert)?;
    let template = object::template(ObjectClass::CERTIFICATE, uri);
    let matching = module.matching(uri)?;
    let found = certificates_on(module, &matching, &template, uri)?;
    if !found.is_empty() {
        return Ok(found);
    }
    let [only] = matching[..] else {
        return Err(nothing(module, &matching, "certificate", uri));
    };
    match log_in(module, only, uri) {
        Ok(true) => {
            let found = certificates_on(module, &matching, &template, uri)?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(false) => {}
        // More likely than a hidden certificate is a typo, which the list shows.
        Err(error) if error.kind() == KeyErrorKind::SecretMissing => {
            let unseen = nothing(module, &matching, "certificate", uri);
            return Err(unseen.context("seen without the user PIN, which no source gave"));
        }
        Err(error) => return Err(error),
    }
    Err(nothing(module, &matching, "certificate", uri))
}

/// Certificates of this subject on the tokens that the URI selects.
pub(super) fn issuers(module: &mut Module, uri: &Uri, subject: &[u8]) -> Result<Vec<StoredCertificate>, KeyError> {
    let template = [Attribute::Class(ObjectClass::CERTIFICATE), Attribute::Subject(subject.to_vec())];
    let matching = module.matching(uri)?;
    certificates_on(module, &matching, &template, uri)
}

fn certificates_on(
    module: &mut Module,
    places: &[usize],
    template: &[Attribute],
    uri: &Uri,
) -> Result<Vec<StoredCertificate>, KeyError> {
    let mut found = Vec::new();
    for place in places {
        let (api, token, _) = module.token_at(*place)?;
        log::info!("searching {} for certificates", token.name());
        let handles = object::find(api, token, template)?;
        found.extend(object::certificates(api, token, &handles, uri)?);
    }
    Ok(found)
}

/// A key that a listing read; its handle is good as long as the session.
pub(super) struct ListedKey {
    pub(super) stored: StoredKey,
    object: KeyObject,
    session: u64,
}

/// The private keys that the URI selects. Logs in where exactly one token matches.
///
/// Where it is known what is certified, one search for each type of key returns both halves.
pub(super) fn keys(module: &mut Module, uri: &Uri, certified: &[PublicKey]) -> Result<Vec<ListedKey>, KeyError> {
    excluded(uri, ObjectType::Private)?;
    let matching = module.matching(uri)?;
    if let [only] = matching[..] {
        log_in(module, only, uri)?;
    }
    let mut listed = Vec::new();
    for place in matching {
        let (api, token, _) = module.token_at(place)?;
        for object in keys_on(api, token, uri, certified)? {
            let (public_key, id) = (object.public_key.clone(), object.id.clone());
            let stored = StoredKey { public_key, id, reference: reference(token, &object, uri) };
            listed.push(ListedKey { stored, object, session: token.session_number() });
        }
    }
    Ok(listed)
}

fn keys_on(api: &Api, token: &mut Token, uri: &Uri, certified: &[PublicKey]) -> Result<Vec<KeyObject>, KeyError> {
    log::info!("searching {} for private keys", token.name());
    let mut key_types: Vec<KeyType> = Vec::new();
    for key_type in certified.iter().map(key_type) {
        if !key_types.contains(&key_type) {
            key_types.push(key_type);
        }
    }
    let mut found = Vec::new();
    for key_type in key_types {
        found.extend(pairs(api, token, &pair_template(key_type, uri.id.clone(), uri.object.clone()))?);
    }
    match found.is_empty() {
        true => candidates(api, token, &object::template(ObjectClass::PRIVATE_KEY, uri)),
        false => Ok(found),
    }
}

/// A private key that was found.
pub(super) struct FoundKey {
    pub(super) record: KeyRecord,
    pub(super) reference: String,
    /// The PIN that the login used, where it may be used again for the context login.
    pub(super) user_pin: Option<Arc<Secret>>,
    /// The token asks for PINs itself.
    pub(super) keypad: bool,
}

/// Finds the private key: one login; no search where a listing has just read it, one search that returns both halves where
/// the certificate's CKA_ID is known, else a search by what the URI says.
pub(super) fn private_key(
    module: &mut Module,
    uri: &Uri,
    wanted: &WantedKey,
    listed: Vec<ListedKey>,
) -> Result<FoundKey, KeyError> {
    if !wanted.inferred {
        excluded(uri, ObjectType::Private)?;
    }
    let place = module.token_of_key(uri, wanted)?;
    log_in(module, place, uri)?;
    let (api, token, _) = module.token_at(place)?;
    let certificate = wanted.certificate.as_ref();
    let session = token.session_number();
    let listed = listed.into_iter().filter(|key| key.session == session).map(|key| key.object).collect();
    let key = match of_certificate(listed, certificate) {
        Ok(key) => key,
        Err(_) => search(api, token, uri, wanted)?,
    };
    let reference = reference(token, &key, uri);
    let signer = usable(&key, certificate).map_err(|error| error.context(&reference))?;
    let keypad = token.flags(api)?.keypad();
    let user_pin = token.reusable_pin.clone().filter(|_| key.always_authenticate);
    let record = KeyRecord {
        token: token.identity.clone(),
        public_key: key.public_key.or_else(|| certificate.map(|certificate| certificate.public_key.clone())),
        id: key.id,
        label: key.label,
        signer,
        always_authenticate: key.always_authenticate,
        handle: key.handle,
        session: token.session_number(),
        form: 0,
    };
    Ok(FoundKey { record, reference, user_pin, keypad })
}

fn search(api: &Api, token: &mut Token, uri: &Uri, wanted: &WantedKey) -> Result<KeyObject, KeyError> {
    log::info!("searching {} for the private key", token.name());
    let certificate = wanted.certificate.as_ref();
    let pair = match certificate.and_then(|certificate| template_of_certificate(uri, certificate, wanted.inferred)) {
        Some(template) => pairs(api, token, &template)?,
        None => Vec::new(),
    };
    of_certificate(pair, certificate).or_else(|others| {
        let found = candidates(api, token, &object::template(ObjectClass::PRIVATE_KEY, uri))?;
        // An inferred key may have another label than the URI names: then the CKA_ID's keys are what there is.
        choose(api, token, if found.is_empty() { others } else { found }, uri, certificate)
    })
}

/// Finds a key again whose session has ended: a token that was away may have come back with other handles. Costs nothing
/// while the session lasts.
pub(super) fn find_again(module: &mut Module, place: usize, record: &mut KeyRecord, uri: &Uri) -> Result<(), KeyError> {
    let (_, token, _) = module.token_at(place)?;
    if token.session_number() == record.session {
        return Ok(());
    }
    log_in(module, place, uri)?;
    let (api, token, _) = module.token_at(place)?;
    let label = record.label.clone().filter(|_| record.id.is_none()).map(Attribute::Label);
    let id = record.id.clone().map(Attribute::Id);
    let template: Vec<_> = [Attribute::Class(ObjectClass::PRIVATE_KEY)].into_iter().chain(id).chain(label).collect();
    let found = candidates(api, token, &template)?;
    let wanted = record.public_key.clone().map(|public_key| CertificateOfKey { public_key, id: record.id.clone() });
    let key = match wanted {
        Some(wanted) => of_certificate(found, Some(&wanted)).ok(),
        None => <[KeyObject; 1]>::try_from(found).ok().map(|[only]| only),
    };
    let key = key
        .ok_or_else(|| KeyError::new(KeyErrorKind::NotFound, format!("{} came back without the key", token.name())))?;
    record.handle = key.handle;
    record.session = token.session_number();
    Ok(())
}

/// The key pairs that fit; none where the module cannot search for both halves at once, so that it is asked in the usual way.
fn pairs(api: &Api, token: &mut Token, template: &[Attribute]) -> Result<Vec<KeyObject>, KeyError> {
    candidates(api, token, template).or_else(|error| if token.lost { Err(error) } else { Ok(Vec::new()) })
}

/// Private keys that fit the template, with the public halves that public objects of the same CKA_ID show.
fn candidates(api: &Api, token: &mut Token, template: &[Attribute]) -> Result<Vec<KeyObject>, KeyError> {
    let mut objects = Vec::new();
    for handle in object::find(api, token, template)? {
        objects.push(object::key(api, token, handle)?);
    }
    let (public, others): (Vec<_>, Vec<_>) = objects.into_iter().partition(KeyObject::is_public);
    let mut private: Vec<_> = others.into_iter().filter(KeyObject::is_private).collect();
    for key in &mut private {
        if key.public_key.is_some() || key.problem.is_some() {
            continue;
        }
        let Some(id) = key.id.clone() else { continue };
        key.public_key = match public.iter().any(|half| half.id.as_ref() == Some(&id)) {
            true => other_half(key, &public),
            false => other_half(key, &public_objects(api, token, id)?),
        };
    }
    Ok(private)
}

/// The public objects of this CKA_ID: three calls, and one for each.
fn public_objects(api: &Api, token: &mut Token, id: Vec<u8>) -> Result<Vec<KeyObject>, KeyError> {
    let template = [Attribute::Class(ObjectClass::PUBLIC_KEY), Attribute::Id(id)];
    let handles = object::find(api, token, &template)?;
    handles.into_iter().map(|handle| object::key(api, token, handle)).collect()
}

fn choose(
    api: &Api,
    token: &mut Token,
    mut found: Vec<KeyObject>,
    uri: &Uri,
    certificate: Option<&CertificateOfKey>,
) -> Result<KeyObject, KeyError> {
    let name = token.name();
    if found.is_empty() {
        let holds = object::inventory(api, token);
        return Err(not_found(api, format!("no private key on {name} matches {uri}; it holds {holds}")));
    }
    let Some(certificate) = certificate else {
        return match found.len() {
            1 => Ok(found.swap_remove(0)),
            _ => Err(several(token, &found.iter().collect::<Vec<_>>(), uri)),
        };
    };
    of_certificate(found, Some(certificate)).map_err(|found| {
        let possible: Vec<_> = found.iter().filter(|key| may_be(key, certificate)).collect();
        if possible.len() > 1 {
            return several(token, &possible, uri);
        }
        let found: Vec<_> = found.iter().map(|key| described(token, key, uri)).collect();
        KeyError::new(
            KeyErrorKind::Mismatch,
            format!(
                "the certificate certifies another {} key; found {}",
                certificate.public_key.algorithm(),
                found.join(", ")
            ),
        )
        .with_advice(Advice::ListToken { module: api.path.clone() })
    })
}

fn several(token: &Token, found: &[&KeyObject], uri: &Uri) -> KeyError {
    let references: Vec<_> = found.iter().map(|key| reference(token, key, uri)).collect();
    let message = format!("wanted one private key, {} on {} match {uri}", references.len(), token.name());
    KeyError::new(KeyErrorKind::Ambiguous, message).with_advice(Advice::ChooseOne { references })
}

/// Says whether a login was made.
pub(super) fn log_in(module: &mut Module, place: usize, uri: &Uri) -> Result<bool, KeyError> {
    let source = module.pin_source(uri, place);
    let (api, token, refused_pins) = module.token_at(place)?;
    login::log_in(api, token, refused_pins, source.as_ref())
}

/// A `type=` of another class than what is sought: the URI selects no such thing.
pub(super) fn excluded(uri: &Uri, sought: ObjectType) -> Result<(), KeyError> {
    match uri.class {
        Some(class) if class != sought => Err(KeyError::new(
            KeyErrorKind::NotFound,
            format!("wanted an object of type={}, {uri} selects only type={}", sought.name(), class.name()),
        )),
        _ => Ok(()),
    }
}

fn nothing(module: &mut Module, places: &[usize], what: &str, uri: &Uri) -> KeyError {
    let mut holds = Vec::new();
    for place in places {
        if let Ok((api, token, _)) = module.token_at(*place) {
            holds.push(format!("{} holds {}", token.name(), object::inventory(api, token)));
        }
    }
    not_found(&module.api, format!("no {what} matches {uri}; {}", holds.join("; ")))
}

fn not_found(api: &Api, message: String) -> KeyError {
    KeyError::new(KeyErrorKind::NotFound, message).with_advice(Advice::ListToken { module: api.path.clone() })
}

fn reference(token: &Token, key: &KeyObject, uri: &Uri) -> String {
    object::reference(token, key.id.as_deref(), key.label.as_deref(), ObjectType::Private, uri)
}

fn described(token: &Token, key: &KeyObject, uri: &Uri) -> String {
    let algorithm = key.public_key.as_ref().map_or_else(|| "unknown".to_owned(), |key| key.algorithm().to_string());
    format!("{} ({algorithm})", reference(token, key, uri))
}
