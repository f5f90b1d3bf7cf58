//! PINs: where they are typed, and which logins are needed.
#![allow(unsafe_code)]

use std::ffi::c_void;

use cryptoki_sys::{
    CK_FLAGS, CK_NOTIFY, CK_RV, CK_SESSION_HANDLE, CK_SLOT_ID, CK_ULONG, CK_USER_TYPE, CK_UTF8CHAR, CKR_ARGUMENTS_BAD,
    CKR_FUNCTION_NOT_SUPPORTED, CKR_GENERAL_ERROR, CKR_OK, CKR_PIN_INCORRECT, CKU_CONTEXT_SPECIFIC, CKU_USER,
};

use crate::forward::{self, real};
use crate::module::module;
use crate::{gate, key};

/// C_OpenSession, which logs in on a token that needs no login.
///
/// # Safety
///
/// As PKCS#11 §5.6 demands: `session` can be written, `notify` can be called.
pub unsafe extern "C" fn open_session(
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    application: *mut c_void,
    notify: CK_NOTIFY,
    session: *mut CK_SESSION_HANDLE,
) -> CK_RV {
    // SAFETY: the arguments are the caller's.
    let answer = unsafe { forward::C_OpenSession(slot, flags, application, notify, session) };
    if let (CKR_OK, Ok(module)) = (answer, module())
        && let Some(pin) = &module.faults.silent_pin
    {
        let real = module.real;
        // SAFETY: after CKR_OK the handle has been written.
        let session = unsafe { session.read() };
        // A further session finds the login done, and a token without a PIN needs none.
        real!(real.C_Login(session, CKU_USER, pin.as_ptr().cast_mut(), pin.len() as CK_ULONG));
    }
    answer
}

/// C_Login, with the PIN from the pad where there is one, and with context logins where they are wanted.
///
/// # Safety
///
/// As PKCS#11 §5.6 demands: `pin` is null or has `pin_len` octets.
pub unsafe extern "C" fn login(
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    pin: *mut CK_UTF8CHAR,
    pin_len: CK_ULONG,
) -> CK_RV {
    let Ok(module) = module() else { return CKR_GENERAL_ERROR };
    gate::session("C_Login", |real| {
        let (pin, pin_len) = match &module.faults.pad_pin {
            // A token with a pad wants NULL (§5.6); a PIN that was asked for on the host is a mistake that tests must see.
            Some(_) if !pin.is_null() => return CKR_ARGUMENTS_BAD,
            Some(typed) => {
                module.journal.note("PIN typed on the pad");
                (typed.as_ptr().cast_mut(), typed.len() as CK_ULONG)
            }
            None => (pin, pin_len),
        };
        match user {
            CKU_USER => module.journal.note("user PIN tried"),
            CKU_CONTEXT_SPECIFIC => module.journal.note("context PIN tried"),
            _ => {}
        }
        let answer = match &module.faults.context_pin {
            Some(wanted) if user == CKU_CONTEXT_SPECIFIC => {
                // SAFETY: the PIN is the caller's, with its length, or that of the pad.
                key::context_login(session, wanted, unsafe { octets(pin, pin_len) })
            }
            _ => real!(real.C_Login(session, user, pin, pin_len)),
        };
        if answer == CKR_PIN_INCORRECT {
            module.journal.note("wrong PIN");
        }
        answer
    })
}

/// # Safety
///
/// `pin` is null or has `pin_len` octets that stay.
unsafe fn octets<'a>(pin: *const CK_UTF8CHAR, pin_len: CK_ULONG) -> &'a [u8] {
    if pin.is_null() {
        return &[];
    }
    // SAFETY: by this function's own contract.
    unsafe { std::slice::from_raw_parts(pin, pin_len as usize) }
}
