//! What every change of a token needs: may it be written to, the login, the read-write session, the two dialects, and taking out.

use cryptoki::error::Error;

use super::super::error::{KeyError, KeyErrorKind};
use super::api::Api;
use super::dialect::Dialect;
use super::error::{WRITE_PROTECTED, is_other_dialect};
use super::inventory::only_token;
use super::module::Module;
use super::raw::Object;
use super::search::log_in;
use super::token::Token;
use super::uri::Uri;

/// The one token that the URI selects, ready to be written to: its flags allow it, the user is logged in.
pub(super) fn prepare(module: &mut Module, uri: &Uri) -> Result<usize, KeyError> {
    let place = only_token(module, uri)?;
    let (api, token, _) = module.token_at(place)?;
    // Before the login: no PIN is spent on a token that takes nothing.
    if token.flags(api)?.write_protected() {
        return Err(KeyError::new(KeyErrorKind::Permission, format!("{}: {WRITE_PROTECTED}", token.name())));
    }
    log_in(module, place, uri)?;
    let (api, token, _) = module.token_at(place)?;
    token.begin_writing(api).map_err(|error| token.refused(&error))?;
    Ok(place)
}

/// Makes an object in the first dialect, and in the other one where the token refuses that.
pub(super) fn in_dialects<T>(mut make: impl FnMut(Dialect) -> Result<T, Error>) -> Result<T, Error> {
    match make(Dialect::Explicit) {
        Err(error) if is_other_dialect(&error) => {
            log::debug!("the token refuses this template, trying one that says less");
            // What the token said first is about the whole template.
            make(Dialect::Terse).map_err(|again| if is_other_dialect(&again) { error } else { again })
        }
        outcome => outcome,
    }
}

/// C_DestroyObject; says whether the object is gone.
pub(super) fn take_out(api: &Api, token: &mut Token, object: Object) -> bool {
    token.forget_objects();
    token.call(api, "C_DestroyObject", |session| api.raw.destroy(session, object)).is_ok()
}
