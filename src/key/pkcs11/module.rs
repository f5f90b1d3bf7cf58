//! A module on its thread: loading, starting, the tokens in its slots, and finalising. Knows no objects.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;

use cryptoki::error::{Error, RvError};
use cryptoki_sys::CKF_OS_LOCKING_OK;

use super::super::device::{DeviceOptions, WantedKey};
use super::super::error::{Advice, KeyError, KeyErrorKind};
use super::super::secret::SecretSource;
use super::activity::Activity;
use super::api::Api;
use super::error::{code, failed_to_start, refused};
use super::info::{self, Identity, LibraryTexts};
use super::login::RefusedPins;
use super::raw::{LoadError, Raw};
use super::token::Token;
use super::uri::Uri;

/// A loaded module with its tokens. Lives on one thread and is never dropped before [`finalize`](Self::finalize).
pub(super) struct Module {
    pub(super) api: Api,
    tokens: Vec<Token>,
    /// The slots are to be asked (again): nobody has yet, or what was sought was not there.
    outdated: bool,
    library: Option<LibraryTexts>,
    /// URIs that brought a PIN: a certificate's URI may bring the PIN for its key's.
    with_pin: Vec<Uri>,
    refused_pins: RefusedPins,
    /// Another part of this process had started the module; whoever started it ends it.
    foreign: bool,
}

impl Module {
    /// Loads the library and starts it: two calls.
    pub(super) fn load(path: PathBuf, options: DeviceOptions, activity: Arc<Activity>) -> Result<Self, KeyError> {
        let name = path.display().to_string();
        log::info!("loading the PKCS#11 module {name}");
        let raw = activity.call("C_GetFunctionList", || Raw::load(&path)).map_err(|error| unusable(&error, &name))?;
        let foreign = start(&raw, &activity).map_err(|error| failed_to_start(&error, &path))?;
        let api = Api { raw, activity, options, path: name, sessions: Cell::new(0) };
        Ok(Self {
            api,
            tokens: Vec::new(),
            outdated: true,
            library: None,
            with_pin: Vec::new(),
            refused_pins: RefusedPins::default(),
            foreign,
        })
    }

    pub(super) fn activity(&self) -> &Activity {
        &self.api.activity
    }

    /// C_Finalize, which also ends sessions and logins. The library itself stays loaded: unloading crashes some modules.
    pub(super) fn finalize(&mut self) {
        if self.foreign {
            return;
        }
        let api = &self.api;
        if let Err(error) = api.activity.call("C_Finalize", || api.raw.finalize()) {
            log::debug!("{}: {}", self.api.path, code(&error).unwrap_or_default());
        }
    }

    /// Checks that the URI selects a token, and remembers its PIN source for the token's login.
    pub(super) fn admit(&mut self, uri: &Uri) -> Result<(), KeyError> {
        if uri.pin.is_some() {
            self.with_pin.retain(|other| other.token != uri.token);
            self.with_pin.push(uri.clone());
        }
        self.matching(uri).map(|_| ())
    }

    /// Where a token's PIN comes from, according to the URI, else to another URI that selects the same token.
    pub(super) fn pin_source(&self, uri: &Uri, place: usize) -> Option<SecretSource> {
        let token = self.tokens.get(place)?;
        let selects = |other: &&Uri| other.token.selects_token(token.slot, &token.identity);
        uri.pin.clone().or_else(|| self.with_pin.iter().find(selects)?.pin.clone())
    }

    /// The tokens that the URI selects, as places in [`parts`](Self::parts); at least one. Enumerates the slots the first
    /// time, and again after a token was lost.
    pub(super) fn matching(&mut self, uri: &Uri) -> Result<Vec<usize>, KeyError> {
        self.enumerate().map_err(|error| refused(&error, &format!("the PKCS#11 module {}", self.api.path)))?;
        let selector = &uri.token;
        if selector.asks_for_library() {
            self.ask_library()?;
        }
        let library = self.library.clone().unwrap_or_default();
        let (api, tokens) = self.parts();
        let mut matching = Vec::new();
        for (place, token) in tokens.iter_mut().enumerate() {
            if !selector.selects_token(token.slot, &token.identity) {
                continue;
            }
            if selector.asks_for_slot() && !selector.selects_slot(&token.slot_texts(api)?) {
                continue;
            }
            if selector.asks_for_library() && !selector.selects_library(&library) {
                continue;
            }
            matching.push(place);
        }
        match matching.is_empty() {
            true => {
                self.outdated = true;
                Err(self.no_token(uri))
            }
            false => Ok(matching),
        }
    }

    /// The token with this identity, wherever it is plugged in now.
    pub(super) fn token(&mut self, identity: &Identity) -> Result<usize, KeyError> {
        let uri = identity.uri();
        let matching = self.matching(&uri)?;
        let (_, tokens) = self.parts();
        let mut places = matching.into_iter();
        places.find(|place| tokens.get(*place).is_some_and(|token| token.identity == *identity)).ok_or_else(|| {
            KeyError::new(KeyErrorKind::Unreachable, format!("{} is not there any more", identity.name()))
        })
    }

    /// The functions and the tokens, to be borrowed apart from each other.
    pub(super) fn parts(&mut self) -> (&Api, &mut [Token]) {
        (&self.api, &mut self.tokens)
    }

    /// One token, with what a login needs.
    pub(super) fn token_at(&mut self, place: usize) -> Result<(&Api, &mut Token, &mut RefusedPins), KeyError> {
        match self.tokens.get_mut(place) {
            Some(token) => Ok((&self.api, token, &mut self.refused_pins)),
            None => Err(KeyError::new(KeyErrorKind::Unreachable, "the token is not there any more")),
        }
    }

    /// Manufacturer, description and version, as the module tells them: one C_GetInfo.
    pub(super) fn description(&mut self) -> Result<String, KeyError> {
        self.ask_library()?;
        Ok(self.library.as_ref().map(LibraryTexts::description).unwrap_or_default())
    }

    /// Which of several tokens holds the key: the one whose certificate was found, for nobody logs in to several tokens to
    /// look (draft-woodhouse-cert-best-practice §8.2).
    pub(super) fn token_of_key(&mut self, uri: &Uri, wanted: &WantedKey) -> Result<usize, KeyError> {
        let matching = self.matching(uri)?;
        if let [only] = matching[..] {
            return Ok(only);
        }
        let (_, tokens) = self.parts();
        let certificate = wanted.certificate.as_ref();
        let holds = |place: &usize| {
            certificate.zip(tokens.get(*place)).is_some_and(|(certificate, token)| token.has_shown(certificate))
        };
        let holders: Vec<usize> = matching.iter().copied().filter(holds).collect();
        if let [only] = holders[..] {
            return Ok(only);
        }
        let references = matching.iter().filter_map(|place| tokens.get(*place)).map(|token| {
            let of_token = token.identity.uri();
            Uri { token: of_token.token, pin: None, ..uri.clone() }.to_string()
        });
        let references: Vec<_> = references.collect();
        Err(KeyError::new(
            KeyErrorKind::Ambiguous,
            format!("wanted one token with the key, {uri} selects {}", references.len()),
        )
        .with_advice(Advice::ChooseOne { references }))
    }

    fn enumerate(&mut self) -> Result<(), Error> {
        if self.outdated || self.tokens.iter().any(|token| token.lost) {
            let old = std::mem::take(&mut self.tokens);
            self.outdated = true;
            self.tokens = self.slots(old)?;
            self.outdated = false;
        }
        Ok(())
    }

    /// Asks each slot for its token. Sessions of tokens that were not lost are kept.
    fn slots(&self, mut old: Vec<Token>) -> Result<Vec<Token>, Error> {
        let api = &self.api;
        let mut tokens = Vec::new();
        for id in api.activity.call("C_GetSlotList", || api.raw.slots_with_token())? {
            let info = match api.activity.call("C_GetTokenInfo", || api.raw.token_info(id)) {
                Ok(info) => info,
                // A reader with something unknown in it must not hide the other slots.
                Err(error) => {
                    log::debug!("slot {id}: {}", code(&error).unwrap_or_default());
                    continue;
                }
            };
            let (identity, flags) = info::read(&info);
            if !flags.initialized() {
                continue;
            }
            let kept = old.iter().position(|token| !token.lost && token.slot == id && token.identity == identity);
            match kept {
                Some(kept) => tokens.push(old.swap_remove(kept)),
                None => tokens.push(Token::new(id, identity, flags)),
            }
        }
        Ok(tokens)
    }

    fn ask_library(&mut self) -> Result<(), KeyError> {
        if self.library.is_some() {
            return Ok(());
        }
        let api = &self.api;
        let info = api.activity.call("C_GetInfo", || api.raw.info());
        let info = info.map_err(|error| refused(&error, &format!("the PKCS#11 module {}", api.path)))?;
        self.library = Some(LibraryTexts::from(&info));
        Ok(())
    }

    fn no_token(&self, uri: &Uri) -> KeyError {
        let present: Vec<_> = self.tokens.iter().map(|token| token.identity.uri().to_string()).collect();
        let present = if present.is_empty() { "no initialised token".to_owned() } else { present.join(", ") };
        // SoftHSM passes over the folders of tokens that it may not read.
        let readable = if self.tokens.is_empty() && self.api.path.contains("softhsm") {
            "; SoftHSM shows the tokens whose files this account may read"
        } else {
            ""
        };
        let error = KeyError::new(
            KeyErrorKind::NotFound,
            format!("wanted a token that matches {uri}, {} shows {present}{readable}", self.api.path),
        );
        error.with_advice(Advice::ListToken { module: self.api.path.clone() })
    }
}

/// C_Initialize. True where the module had been started in this process before.
fn start(raw: &Raw, activity: &Activity) -> Result<bool, Error> {
    let initialize = |flags| activity.call("C_Initialize", || raw.initialize(flags));
    let outcome = match initialize(CKF_OS_LOCKING_OK) {
        // A module that cannot lock does not need to: it is called by one thread.
        Err(Error::Pkcs11(RvError::CantLock, _)) => initialize(0),
        other => other,
    };
    match outcome {
        Ok(()) => Ok(false),
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(true),
        Err(error) => Err(error),
    }
}

fn unusable(error: &LoadError, module: &str) -> KeyError {
    let choose = Advice::ChooseModule { similar: None };
    let unreachable = |message| KeyError::new(KeyErrorKind::Unreachable, message).with_advice(choose);
    match error {
        LoadError::Linker(error) => {
            // The linker mostly begins with the path, which has been said.
            let reason = error.to_string();
            let reason = reason.strip_prefix(&format!("{module}: ")).unwrap_or(&reason);
            unreachable(format!("cannot load {module} as a PKCS#11 module: {reason}"))
        }
        LoadError::NoModule => {
            unreachable(format!("wanted a PKCS#11 module, {module} is a library without C_GetFunctionList"))
        }
        LoadError::Refused(error) => refused(error, &format!("the PKCS#11 module {module}")),
    }
}
