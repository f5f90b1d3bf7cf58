//! Stores certificates on a token beside their keys, and removes them, on the module's thread.

use cryptoki::object::{Attribute, ObjectClass};

use super::super::certificate_store::{CertificateStore, NewCertificate, Others};
use super::super::device::{CertificateOfKey, StoredCertificate, WantedKey};
use super::super::error::{Advice, KeyError, KeyErrorKind};
use super::super::public::PublicKey;
use super::TokenDevice;
use super::api::Api;
use super::dialect::{self, Names};
use super::module::Module;
use super::object::{self, Certificate};
use super::raw::Object;
use super::search::{self, excluded};
use super::token::Token;
use super::uri::{ObjectType, Uri};
use super::write;
use crate::process::signals::Deferral;

impl CertificateStore for TokenDevice {
    fn admit(&self, public_key: &PublicKey, label: Option<&[u8]>, others: &Others) -> Result<(), KeyError> {
        let uri = self.uri.clone().without_type();
        let (public_key, label, others) = (public_key.clone(), label.map(<[u8]>::to_vec), others.clone());
        self.worker.run(move |module| {
            let place = write::prepare(module, &uri)?;
            let names = names(module, &uri, &public_key, label)?;
            let (api, token, _) = module.token_at(place)?;
            token.forget_objects();
            let old = of_key(api, token, &names, &uri)?;
            require_room(api, token, &uri, &names, &old, &others)
        })
    }

    fn import(&self, new: &NewCertificate, others: Others) -> Result<StoredCertificate, KeyError> {
        let (uri, new) = (self.uri.clone().without_type(), new.clone());
        let (place, names) = self.worker.run({
            let (uri, new) = (uri.clone(), new.clone());
            move |module| {
                let place = write::prepare(module, &uri)?;
                Ok((place, names(module, &uri, &new.public_key, new.label)?))
            }
        })?;
        let _deferral = Deferral::begin();
        self.worker.run(move |module| {
            let (api, token, _) = module.token_at(place)?;
            import(api, token, &uri, &new, &names, &others)
        })
    }

    fn remove(&self) -> Result<StoredCertificate, KeyError> {
        excluded(&self.uri, ObjectType::Cert)?;
        let uri = self.uri.clone();
        self.worker.run(move |module| remove(module, &uri))
    }
}

/// The names that the certificate gets: the CKA_ID of its key, which must be the one that the URI selects.
fn names(module: &mut Module, uri: &Uri, public_key: &PublicKey, label: Option<Vec<u8>>) -> Result<Names, KeyError> {
    let certificate = CertificateOfKey { public_key: public_key.clone(), id: None };
    let wanted = WantedKey { certificate: Some(certificate), inferred: true };
    let key = search::private_key(module, uri, &wanted, Vec::new())?.record;
    Ok(Names { label: label.or_else(|| uri.object.clone()).or(key.label), id: key.id })
}

fn import(
    api: &Api,
    token: &mut Token,
    uri: &Uri,
    new: &NewCertificate,
    names: &Names,
    others: &Others,
) -> Result<StoredCertificate, KeyError> {
    token.forget_objects();
    let old = of_key(api, token, names, uri)?;
    if let Some((_, same)) = old.iter().find(|(_, stored)| stored.der == new.der) {
        log::info!("{} is there already", same.reference);
        return Ok(same.clone());
    }
    require_room(api, token, uri, names, &old, others)?;
    log::info!("storing a certificate on {}", token.name());
    let stored = write_and_compare(api, token, uri, new, names)?;
    for (handle, old) in old.into_iter().filter(|(_, old)| others.removes(&old.der)) {
        remove_old(api, token, handle, &old, new, uri)?;
    }
    Ok(stored)
}

/// Nothing may stand in the way but what may be replaced: the certificates that the key has.
fn require_room(
    api: &Api,
    token: &mut Token,
    uri: &Uri,
    names: &Names,
    old: &[(Object, StoredCertificate)],
    others: &Others,
) -> Result<(), KeyError> {
    if let Some((_, there)) = old.first()
        && *others == Others::Refuse
    {
        return Err(taken(token, "its key has another certificate", &there.reference)
            .with_advice(Advice::Allow { flag: "--force" }));
    }
    if let Some(label) = &names.label {
        let labelled = certificates(api, token, &[Attribute::Label(label.clone())], uri)?;
        let of_other_key = |stored: &StoredCertificate| !old.iter().any(|(_, old)| old.reference == stored.reference);
        if let Some((_, there)) = labelled.iter().find(|(_, stored)| of_other_key(stored)) {
            return Err(taken(token, "another key's certificate has its label", &there.reference));
        }
    }
    Ok(())
}

/// Certificates that the key has: those of its CKA_ID; where it has none, those of the label.
fn of_key(
    api: &Api,
    token: &mut Token,
    names: &Names,
    uri: &Uri,
) -> Result<Vec<(Object, StoredCertificate)>, KeyError> {
    match (names.id.clone(), names.label.clone()) {
        (Some(id), _) => certificates(api, token, &[Attribute::Id(id)], uri),
        (None, Some(label)) => certificates(api, token, &[Attribute::Label(label)], uri),
        (None, None) => Ok(Vec::new()),
    }
}

fn certificates(
    api: &Api,
    token: &mut Token,
    names: &[Attribute],
    uri: &Uri,
) -> Result<Vec<(Object, StoredCertificate)>, KeyError> {
    let template: Vec<_> = [Attribute::Class(ObjectClass::CERTIFICATE)].iter().chain(names).cloned().collect();
    let mut found = Vec::new();
    for handle in object::find(api, token, &template)? {
        found.extend(object::certificate(api, token, handle, uri)?.map(|found| (handle, found.stored)));
    }
    Ok(found)
}

/// C_CreateObject, and what the token then shows must be what it was given; else it is taken out again.
fn write_and_compare(
    api: &Api,
    token: &mut Token,
    uri: &Uri,
    new: &NewCertificate,
    names: &Names,
) -> Result<StoredCertificate, KeyError> {
    let made = write::in_dialects(|dialect| {
        let template = dialect::certificate(dialect, new, names);
        token.call(api, "C_CreateObject", |session| api.raw.create(session, &template))
    });
    let handle = made.map_err(|error| token.refused(&error))?;
    let stored = object::certificate(api, token, handle, uri).and_then(|found| match found {
        Some(Certificate { stored, .. }) if stored.der == new.der && (names.id.is_none() || stored.id == names.id) => {
            Ok(stored)
        }
        _ => Err(KeyError::new(
            KeyErrorKind::Device,
            format!("{} shows another certificate than the one that was stored", token.name()),
        )),
    });
    stored.map_err(|error| match write::take_out(api, token, handle) {
        true => error.context("the new certificate was taken out again"),
        false => error.context("the new certificate could not be taken out again"),
    })
}

/// Removes a certificate that was replaced. A token with one place for each key has overwritten it, and shows the new one at the
/// old handle or nothing.
fn remove_old(
    api: &Api,
    token: &mut Token,
    handle: Object,
    old: &StoredCertificate,
    new: &NewCertificate,
    uri: &Uri,
) -> Result<(), KeyError> {
    match object::certificate(api, token, handle, uri) {
        Ok(Some(there)) if there.stored.der == new.der => return Ok(()),
        Ok(Some(_)) => {}
        Ok(None) | Err(_) => return Ok(()),
    }
    token.call(api, "C_DestroyObject", |session| api.raw.destroy(session, handle)).map_err(|error| {
        token
            .refused(&error)
            .context(format_args!("the new certificate is stored; the old one, {}, stays", old.reference))
    })
}

fn remove(module: &mut Module, uri: &Uri) -> Result<StoredCertificate, KeyError> {
    let place = write::prepare(module, uri)?;
    let (api, token, _) = module.token_at(place)?;
    token.forget_objects();
    let names: Vec<_> =
        uri.object.clone().map(Attribute::Label).into_iter().chain(uri.id.clone().map(Attribute::Id)).collect();
    let found = certificates(api, token, &names, uri)?;
    let [(handle, stored)] = &found[..] else {
        let references: Vec<_> = found.into_iter().map(|(_, stored)| stored.reference).collect();
        let message = format!("wanted one certificate to remove, {} on {} match {uri}", references.len(), token.name());
        return Err(match references.is_empty() {
            true => KeyError::new(KeyErrorKind::NotFound, message),
            false => KeyError::new(KeyErrorKind::Ambiguous, message).with_advice(Advice::ChooseOne { references }),
        });
    };
    let destroyed = token.call(api, "C_DestroyObject", |session| api.raw.destroy(session, *handle));
    destroyed.map_err(|error| token.refused(&error))?;
    Ok(stored.clone())
}

fn taken(token: &Token, why: &str, there: &str) -> KeyError {
    KeyError::new(KeyErrorKind::Taken, format!("cannot store the certificate on {}: {why}, {there}", token.name()))
}
