//! What a token says of itself.
#![allow(unsafe_code)]

use cryptoki_sys::{
    CK_RV, CK_SLOT_ID, CK_TOKEN_INFO, CKF_LOGIN_REQUIRED, CKF_PROTECTED_AUTHENTICATION_PATH, CKF_TOKEN_INITIALIZED,
    CKR_OK,
};

use crate::faults::Faults;
use crate::forward;
use crate::module::module;

/// C_GetTokenInfo, with the flags that are wanted.
///
/// # Safety
///
/// As PKCS#11 §5.5 demands: `info` can be written.
pub unsafe extern "C" fn get_token_info(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) -> CK_RV {
    // SAFETY: the arguments are the caller's.
    let answer = unsafe { forward::C_GetTokenInfo(slot, info) };
    // SAFETY: the structure is the caller's, and filled after CKR_OK.
    if let (CKR_OK, Ok(module), Some(info)) = (answer, module(), unsafe { info.as_mut() })
        && info.flags & CKF_TOKEN_INITIALIZED != 0
    {
        adjust(info, &module.faults);
    }
    answer
}

fn adjust(info: &mut CK_TOKEN_INFO, faults: &Faults) {
    if faults.pad_pin.is_some() {
        info.flags |= CKF_PROTECTED_AUTHENTICATION_PATH;
    }
    if faults.silent_pin.is_some() {
        info.flags &= !CKF_LOGIN_REQUIRED;
    }
    info.flags = (info.flags | faults.set_flags) & !faults.clear_flags;
}
