//! The signature itself, on the module's thread: mechanisms, the context login, and what some tokens want otherwise.

use std::borrow::Cow;
use std::sync::Arc;

use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;

use super::super::algorithm::{Curve, HashAlgorithm};
use super::super::error::KeyError;
use super::super::secret::{Secret, SecretKind};
use super::super::signing::{Signature, SigningInput};
use super::api::Api;
use super::info::Flags;
use super::login::{self, RefusedPins};
use super::module::Module;
use super::raw::Object;
use super::record::{KeyRecord, Signer};
use super::search;
use super::token::Token;
use super::uri::Uri;

/// What is signed, in every form that a mechanism may want.
pub(super) struct Input {
    message: Vec<u8>,
    digest: Vec<u8>,
    digest_info: Vec<u8>,
    hash: HashAlgorithm,
}

impl Input {
    pub(super) fn new(input: &SigningInput) -> Self {
        Self {
            message: input.message().to_vec(),
            digest: input.digest().to_vec(),
            digest_info: input.digest_info(),
            hash: input.hash(),
        }
    }
}

/// A mechanism with its input, and what a token answers that wants the next form instead.
struct Form<'a> {
    mechanism: Mechanism<'static>,
    data: Cow<'a, [u8]>,
    refusal: RvError,
}

/// The forms that a token may take, most common first: hashing is ours unless the token has no mechanism without it.
fn forms(signer: Signer, input: &Input) -> Vec<Form<'_>> {
    match signer {
        Signer::Rsa => {
            let hashing = match input.hash {
                HashAlgorithm::Sha256 => Mechanism::Sha256RsaPkcs,
                HashAlgorithm::Sha384 => Mechanism::Sha384RsaPkcs,
                HashAlgorithm::Sha512 => Mechanism::Sha512RsaPkcs,
            };
            vec![
                Form {
                    mechanism: Mechanism::RsaPkcs,
                    data: Cow::Borrowed(&input.digest_info),
                    refusal: RvError::MechanismInvalid,
                },
                Form { mechanism: hashing, data: Cow::Borrowed(&input.message), refusal: RvError::MechanismInvalid },
            ]
        }
        Signer::Ec(curve) => {
            let form = |data| Form { mechanism: Mechanism::Ecdsa, data, refusal: RvError::DataLenRange };
            let digest = leftmost(&input.digest, curve);
            match curve.field_len().checked_sub(digest.len()) {
                // Some cards want as many octets as the field has: zeros before the digest are the same integer.
                Some(missing) if missing > 0 => {
                    let padded = [&vec![0; missing], digest].concat();
                    vec![form(Cow::Borrowed(digest)), form(Cow::Owned(padded))]
                }
                _ => vec![form(Cow::Borrowed(digest))],
            }
        }
    }
}

/// ECDSA uses as many leading bits of a digest as the group's order has (SEC 1 §4.1.3). Some tokens do not cut it themselves
/// and refuse it or, worse, sign something else. The orders of P-256 and P-384 are whole octets, P-521's is longer than any hash.
fn leftmost(digest: &[u8], curve: Curve) -> &[u8] {
    digest.get(..curve.field_len()).unwrap_or(digest)
}

/// Asks for the secret of the context login, before anything else waits for it. No device operation but, where the token's
/// flags are old, C_GetTokenInfo.
pub(super) fn context_pin(module: &mut Module, record: &KeyRecord) -> Result<Arc<Secret>, KeyError> {
    let place = module.token(&record.token)?;
    let (api, token, refused_pins) = module.token_at(place)?;
    let flags = token.flags(api)?;
    login::check_tries(api, token, flags)?;
    login::obtain(api, token, refused_pins, SecretKind::ContextPin, flags, None)
}

/// The state of a context login, gathered before C_SignInit because nothing may come between that and C_Sign.
struct Context {
    flags: Flags,
    pin: Option<Arc<Secret>>,
}

/// One device signature: C_SignInit, the context login where the key wants one, C_Sign. A second try in another form follows
/// only where the token refuses the first, and is the first from then on.
///
/// A key whose token was away is found again by its public key first, which may cost a login.
pub(super) fn sign(
    module: &mut Module,
    record: &mut KeyRecord,
    uri: &Uri,
    input: &Input,
    pin: Option<Arc<Secret>>,
) -> Result<Signature, KeyError> {
    let place = module.token(&record.token)?;
    search::find_again(module, place, record, uri)?;
    let (api, token, refused_pins) = module.token_at(place)?;
    let context = match record.always_authenticate {
        true => {
            let flags = token.flags(api)?;
            login::check_tries(api, token, flags)?;
            Some(Context { flags, pin })
        }
        false => None,
    };
    log::info!("signing with {}", token.name());
    let forms = forms(record.signer, input);
    let last = forms.len().saturating_sub(1);
    for (number, form) in forms.iter().enumerate().skip(record.form.min(last)) {
        match operation(api, token, refused_pins, record.handle, form, context.as_ref()) {
            Ok(octets) => {
                record.form = number;
                return finished(record.signer, octets).map_err(|error| error.context(token.name()));
            }
            Err(Failed::Token(Error::Pkcs11(rv, _))) if rv == form.refusal && number < last => {
                log::debug!("{} refuses this form of the input, trying the next", token.name());
            }
            Err(Failed::Token(error)) => return Err(token.refused(&error)),
            Err(Failed::Login(error)) => return Err(error),
        }
    }
    Err(token.refused(&Error::NotSupported))
}

enum Failed {
    Token(Error),
    Login(KeyError),
}

fn operation(
    api: &Api,
    token: &mut Token,
    refused_pins: &mut RefusedPins,
    key: Object,
    form: &Form<'_>,
    context: Option<&Context>,
) -> Result<Vec<u8>, Failed> {
    token
        .call(api, "C_SignInit", |session| api.raw.begin_signing(session, &form.mechanism, key))
        .map_err(Failed::Token)?;
    if let Some(Context { flags, pin }) = context {
        login::context_log_in(api, token, refused_pins, *flags, pin.as_ref()).map_err(|error| {
            // The operation would stay open and stand in the way of every other one.
            token.close(api);
            Failed::Login(error)
        })?;
    }
    token.call(api, "C_Sign", |session| api.raw.sign(session, &form.data)).map_err(Failed::Token)
}

fn finished(signer: Signer, octets: Vec<u8>) -> Result<Signature, KeyError> {
    match signer {
        Signer::Rsa => Ok(Signature::from_rsa(octets)),
        Signer::Ec(curve) => Signature::from_ecdsa_fixed(curve, &octets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(hash: HashAlgorithm) -> Input {
        Input::new(&SigningInput::new(b"test message".to_vec(), hash))
    }

    #[test]
    fn rsa_signs_a_digest_info_and_hands_over_the_message_only_where_it_must() {
        let input = input(HashAlgorithm::Sha384);
        let forms = forms(Signer::Rsa, &input);
        assert!(matches!(forms[0].mechanism, Mechanism::RsaPkcs));
        assert_eq!(forms[0].data, [&HashAlgorithm::Sha384.digest_info_prefix(), &input.digest[..]].concat());
        assert!(matches!(forms[1].mechanism, Mechanism::Sha384RsaPkcs));
        assert_eq!(&*forms[1].data, b"test message");
    }

    #[test]
    fn a_short_digest_goes_bare_first_and_then_behind_zeros() {
        for (curve, zeros) in [(Curve::P384, 16), (Curve::P521, 34)] {
            let input = input(HashAlgorithm::Sha256);
            let forms = forms(Signer::Ec(curve), &input);
            assert_eq!(*forms[0].data, input.digest);
            assert_eq!(*forms[1].data, [&vec![0; zeros], &input.digest[..]].concat());
        }
    }

    #[test]
    fn a_digest_longer_than_the_field_is_cut_on_the_right() {
        let input = input(HashAlgorithm::Sha512);
        let forms = forms(Signer::Ec(Curve::P256), &input);
        assert_eq!(forms.len(), 1);
        assert_eq!(*forms[0].data, input.digest[..32]);
        assert_eq!(super::forms(Signer::Ec(Curve::P384), &input)[0].data.len(), 48);
    }

    #[test]
    fn a_digest_of_the_field_s_length_has_one_form() {
        let input = input(HashAlgorithm::Sha256);
        assert_eq!(forms(Signer::Ec(Curve::P256), &input).len(), 1);
    }
}
