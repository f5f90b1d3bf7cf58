//! Logins: the flags before a try, one try, and what the token says afterwards. Nothing here tries twice.

use std::sync::Arc;

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};

use super::super::error::{Advice, KeyError, KeyErrorKind};
use super::super::secret::{Secret, SecretKind, SecretRequest, SecretSource};
use super::api::Api;
use super::error::{code, is_wrong_pin};
use super::info::{Flags, Identity};
use super::raw::User;
use super::token::Token;

/// Secrets that a token refused: never tried again by this process, even if a source gives them again.
#[derive(Default)]
pub(super) struct RefusedPins(Vec<(Identity, SecretKind, Arc<Secret>)>);

impl RefusedPins {
    pub(super) fn remember(&mut self, token: &Identity, kind: SecretKind, pin: Arc<Secret>) {
        if !self.holds(token, kind, &pin) {
            self.0.push((token.clone(), kind, pin));
        }
    }

    pub(super) fn holds(&self, token: &Identity, kind: SecretKind, pin: &Secret) -> bool {
        self.0.iter().any(|(of, of_kind, refused)| of == token && *of_kind == kind && refused.expose() == pin.expose())
    }
}

/// Logs the user in where the token wants that and nobody has yet; says whether it did. One C_Login at most.
///
/// The PIN comes from its source at this moment and is dropped after the login, unless it may be used for context logins.
pub(super) fn log_in(
    api: &Api,
    token: &mut Token,
    refused_pins: &mut RefusedPins,
    source: Option<&SecretSource>,
) -> Result<bool, KeyError> {
    let flags = token.flags(api)?;
    if token.logged_in || !flags.login_required() || api.options.pkcs11.without_login {
        return Ok(false);
    }
    check_tries(api, token, flags)?;
    log::info!("logging in to {}", token.name());
    let pin = match flags.keypad() {
        true => None,
        false => Some(obtain(api, token, refused_pins, SecretKind::UserPin, flags, source)?),
    };
    try_once(api, token, refused_pins, SecretKind::UserPin, flags, pin.as_ref())?;
    token.set_logged_in(pin.filter(|_| api.options.pkcs11.reuse_pin));
    Ok(true)
}

/// The login that an always-authenticate key wants between C_SignInit and C_Sign. Nothing else may be called between them,
/// so the flags and the PIN are the caller's, from before C_SignInit.
pub(super) fn context_log_in(
    api: &Api,
    token: &mut Token,
    refused_pins: &mut RefusedPins,
    flags: Flags,
    pin: Option<&Arc<Secret>>,
) -> Result<(), KeyError> {
    try_once(api, token, refused_pins, SecretKind::ContextPin, flags, pin)
}

/// Refuses a try that the token's flags warn of (law 2).
pub(super) fn check_tries(api: &Api, token: &Token, flags: Flags) -> Result<(), KeyError> {
    let name = token.name();
    if flags.locked() {
        return Err(KeyError::new(
            KeyErrorKind::SecretLocked,
            format!(
                "the PIN of {name} is locked; nothing was tried; its administrator unlocks it with the PUK or SO PIN"
            ),
        ));
    }
    if flags.final_try() && !api.options.pkcs11.use_final_try {
        return Err(KeyError::new(
            KeyErrorKind::SecretLocked,
            format!("{name} says that one more wrong PIN locks it; nothing was tried"),
        )
        .with_advice(Advice::Allow { flag: "--use-final-try" }));
    }
    if let Some(warning) = flags.warning() {
        log::warn!("{name}: {warning}");
    }
    Ok(())
}

/// Asks for a secret, and refuses one that the token has refused before.
pub(super) fn obtain(
    api: &Api,
    token: &Token,
    refused_pins: &RefusedPins,
    kind: SecretKind,
    flags: Flags,
    source: Option<&SecretSource>,
) -> Result<Arc<Secret>, KeyError> {
    let request = SecretRequest { kind, device: &token.name(), warning: flags.warning() };
    let pin = api.options.secrets.obtain(&request, source)?;
    match refused_pins.holds(&token.identity, kind, &pin) {
        true => Err(KeyError::new(
            KeyErrorKind::SecretWrong,
            format!("the source of the {kind} gave what {} has refused before; it was not tried again", token.name()),
        )
        .with_advice(Advice::TypeSecret { flag: api.options.secrets.names(kind).flag })
        .with_origin(pin.origin())),
        false => Ok(pin),
    }
}

fn try_once(
    api: &Api,
    token: &mut Token,
    refused_pins: &mut RefusedPins,
    kind: SecretKind,
    flags: Flags,
    pin: Option<&Arc<Secret>>,
) -> Result<(), KeyError> {
    let user = match kind {
        SecretKind::ContextPin => User::Context,
        _ => User::Normal,
    };
    let outcome = match pin {
        Some(pin) => token.call(api, "C_Login", |session| api.raw.login(session, user, Some(pin.expose()))),
        None => {
            let name = token.name();
            let request = SecretRequest { kind, device: &name, warning: flags.warning() };
            match token.session(api) {
                Ok(session) => api.activity.call_at_keypad("C_Login", &request, || api.raw.login(session, user, None)),
                Err(error) => Err(error),
            }
        }
    };
    match outcome {
        // Login state belongs to the process: another session, or the module itself, has logged in already.
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, Function::Login)) => Ok(()),
        Err(error) if is_wrong_pin(&error) => {
            if let Some(pin) = pin {
                api.options.secrets.forget(kind, pin);
                refused_pins.remember(&token.identity, kind, Arc::clone(pin));
            }
            let refusal = wrong(api, token, kind, &error);
            Err(match pin {
                Some(pin) => refusal.with_origin(pin.origin()),
                None => refusal,
            })
        }
        Err(error) => Err(token.refused(&error)),
    }
}

/// The refusal, with what the token says about the tries left: PKCS#11 has flags, no number.
fn wrong(api: &Api, token: &mut Token, kind: SecretKind, error: &Error) -> KeyError {
    let now = match token.ask_flags(api) {
        Ok(flags) => flags.warning().unwrap_or("nothing about the tries left"),
        Err(_) => "nothing, for it does not answer",
    };
    let name = token.name();
    let what = match error {
        Error::Pkcs11(RvError::PinLenRange, _) => "is too short or too long",
        _ => "is wrong",
    };
    KeyError::new(
        KeyErrorKind::SecretWrong,
        format!("the {kind} for {name} {what}; it was tried once and not again; the token now reports: {now}"),
    )
    .with_code(code(error).unwrap_or_default())
    .with_advice(Advice::TypeSecret { flag: api.options.secrets.names(kind).flag })
}
