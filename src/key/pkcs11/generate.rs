//! Makes a key pair on a token, on the module's thread. Nothing is overwritten, and what was made is taken out again where
//! something fails later (law 7).

use aws_lc_rs::rand;
use cryptoki::error::Error;
use cryptoki::object::{Attribute, ObjectClass};

use super::super::algorithm::KeyAlgorithm;
use super::super::error::{Advice, KeyError, KeyErrorKind};
use super::super::generation::{GeneratedKey, KeyGeneration, NewKey};
use super::super::inventory::KeyAttributes;
use super::super::public::PublicKey;
use super::TokenDevice;
use super::api::Api;
use super::dialect::{self, Names};
use super::module::Module;
use super::object;
use super::raw::Object;
use super::search::excluded;
use super::token::Token;
use super::uri::{ObjectType, Uri};
use super::write;
use crate::process::signals::Deferral;

/// Octets of a CKA_ID that nobody chose.
const ID_OCTETS: usize = 8;

impl KeyGeneration for TokenDevice {
    fn generate(&self, new: &NewKey) -> Result<GeneratedKey, KeyError> {
        let (uri, algorithm) = (self.uri.clone(), new.algorithm);
        excluded(&uri, ObjectType::Private)?;
        if !KeyAlgorithm::NEW.contains(&algorithm) {
            let message = format!("wanted a key of a common kind, such as P-256 or RSA-3072, found {algorithm}");
            return Err(KeyError::new(KeyErrorKind::Unsupported, message));
        }
        let place = self.worker.run({
            let uri = uri.clone();
            move |module| write::prepare(module, &uri)
        })?;
        // A person may interrupt the prompt for the PIN, not what is half made.
        let _deferral = Deferral::begin();
        self.worker.run(move |module| generate(module, place, &uri, algorithm))
    }
}

fn generate(module: &mut Module, place: usize, uri: &Uri, algorithm: KeyAlgorithm) -> Result<GeneratedKey, KeyError> {
    let (api, token, _) = module.token_at(place)?;
    let id = match &uri.id {
        Some(id) => id.clone(),
        None => random_id()?,
    };
    let names = Names { label: uri.object.clone(), id: Some(id) };
    check_free(api, token, &names, uri)?;
    log::info!("making a {algorithm} key on {}", token.name());
    let (public, private) = make(api, token, algorithm, &names).map_err(|error| {
        // A token may fail when one half is made already; before, nothing had both names.
        take_out_halves(api, token, &names);
        token.refused(&error)
    })?;
    let reference = object::reference(token, names.id.as_deref(), names.label.as_deref(), ObjectType::Private, uri);
    match check(api, token, public, private, algorithm) {
        Ok(public_key) => Ok(GeneratedKey { reference, public_key }),
        Err(error) => {
            let left = [private, public].into_iter().filter(|half| !write::take_out(api, token, *half)).count();
            match left {
                0 => Err(error.context("the new key was taken out again")),
                _ => Err(error.context(format_args!("the new key {reference} could not be taken out again"))),
            }
        }
    }
}

/// C_GenerateKeyPair, in the other dialect where the token refuses the first.
fn make(api: &Api, token: &mut Token, algorithm: KeyAlgorithm, names: &Names) -> Result<(Object, Object), Error> {
    write::in_dialects(|dialect| {
        let (mechanism, public, private) = dialect::key_pair(dialect, algorithm, names);
        token.call(api, "C_GenerateKeyPair", |session| api.raw.generate_pair(session, &mechanism, &public, &private))
    })
}

/// Whether the pair is what was wanted; what a token was not told it may have set otherwise.
fn check(
    api: &Api,
    token: &mut Token,
    public: Object,
    private: Object,
    algorithm: KeyAlgorithm,
) -> Result<PublicKey, KeyError> {
    let (private, attributes) = object::protected_key(api, token, private)?;
    let public = object::key(api, token, public)?;
    if let Some(problem) = public.problem {
        return Err(problem.context(token.name()));
    }
    let public_key = public.public_key.or(private.public_key).ok_or_else(|| {
        KeyError::new(KeyErrorKind::Unsupported, format!("{} does not show the new public key", token.name()))
    })?;
    if public_key.algorithm() != algorithm {
        let found = public_key.algorithm();
        let message = format!("wanted a {algorithm} key, {} made a {found} key", token.name());
        return Err(KeyError::new(KeyErrorKind::Device, message));
    }
    match KeyAttributes::Token(attributes).is_exportable() {
        Some(true) => Err(KeyError::new(
            KeyErrorKind::Unsupported,
            format!("wanted a key that cannot be exported, {} makes only such as can", token.name()),
        )),
        _ => Ok(public_key),
    }
}

fn random_id() -> Result<Vec<u8>, KeyError> {
    let mut id = vec![0; ID_OCTETS];
    rand::fill(&mut id)
        .map_err(|_| KeyError::new(KeyErrorKind::Device, "the system gave no random numbers for a CKA_ID"))?;
    Ok(id)
}

/// Refuses a name that a key or a certificate on the token has.
fn check_free(api: &Api, token: &mut Token, names: &Names, uri: &Uri) -> Result<(), KeyError> {
    let label = names.label.clone().map(|label| (Attribute::Label(label), "label"));
    let id = names.id.clone().map(|id| (Attribute::Id(id), "id"));
    for (name, what) in label.into_iter().chain(id) {
        for handle in object::find(api, token, &[name])? {
            let Some(there) = object::name(api, token, handle, uri)? else { continue };
            let message =
                format!("the {what} is taken on {} by {there}, and nothing is overwritten: name another", token.name());
            return Err(
                KeyError::new(KeyErrorKind::Taken, message).with_advice(Advice::ListToken { module: api.path.clone() })
            );
        }
    }
    Ok(())
}

fn take_out_halves(api: &Api, token: &mut Token, names: &Names) {
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        let label = names.label.clone().map(Attribute::Label);
        let id = names.id.clone().map(Attribute::Id);
        let template: Vec<_> = [Attribute::Class(class)].into_iter().chain(label).chain(id).collect();
        for handle in object::find(api, token, &template).unwrap_or_default() {
            write::take_out(api, token, handle);
        }
    }
}
