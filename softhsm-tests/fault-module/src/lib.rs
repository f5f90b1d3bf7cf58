//! A PKCS#11 module for tests: forwards to a real one and injects the faults a real one cannot make.
//!
//! `forward.rs` passes every function of PKCS#11 2.40 on to the real module, through `gate.rs`, which records, delays, fails
//! and takes the token away. A fault that must look into the arguments is a function in a file of its own that wraps the
//! forwarding one and takes its place in the list below. What to do is read from the environment, see `faults.rs`.
#![allow(unsafe_code)]

mod crash;
mod faults;
mod forward;
mod gate;
mod journal;
mod key;
mod login;
mod mechanism;
mod module;
mod presence;
mod template;
mod token;

use std::sync::OnceLock;

use cryptoki_sys::{CK_FUNCTION_LIST, CK_FUNCTION_LIST_PTR, CK_RV, CKR_ARGUMENTS_BAD, CKR_GENERAL_ERROR, CKR_OK};

/// Every function, those with faults of their own in the places of the forwarding ones.
fn functions() -> CK_FUNCTION_LIST {
    CK_FUNCTION_LIST {
        C_GetSlotList: Some(presence::get_slot_list),
        C_GetSessionInfo: Some(presence::get_session_info),
        C_GetTokenInfo: Some(token::get_token_info),
        C_OpenSession: Some(login::open_session),
        C_Login: Some(login::login),
        C_GetMechanismList: Some(mechanism::get_mechanism_list),
        C_GetMechanismInfo: Some(mechanism::get_mechanism_info),
        C_GetAttributeValue: Some(key::get_attribute_value),
        C_GenerateKeyPair: Some(template::generate_key_pair),
        C_CreateObject: Some(template::create_object),
        C_SignInit: Some(key::sign_init),
        C_Sign: Some(key::sign),
        C_SignUpdate: Some(key::sign_update),
        ..forward::functions()
    }
}

/// The entry point of a PKCS#11 module. Fails, and says why on stderr, where the environment cannot be followed.
///
/// # Safety
///
/// `list` is null or can be written, as PKCS#11 §5.4 demands of the caller.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: *mut CK_FUNCTION_LIST_PTR) -> CK_RV {
    static FUNCTIONS: OnceLock<CK_FUNCTION_LIST> = OnceLock::new();
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    if let Err(reason) = module::module() {
        eprintln!("fault module: {reason}");
        return CKR_GENERAL_ERROR;
    }
    if let Ok(module) = module::module() {
        crash::prepare(module);
    }
    let functions: *const CK_FUNCTION_LIST = FUNCTIONS.get_or_init(functions);
    // SAFETY: not null, and writable by the caller's promise. The list is never written through the pointer: PKCS#11 gives
    // it out for reading, its C type only lacks the const.
    unsafe { list.write(functions.cast_mut()) };
    CKR_OK
}
