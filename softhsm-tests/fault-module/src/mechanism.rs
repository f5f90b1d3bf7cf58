//! Mechanisms that the token is to lack.
#![allow(unsafe_code)]

use cryptoki_sys::{CK_MECHANISM_INFO, CK_MECHANISM_TYPE, CK_RV, CK_SLOT_ID, CK_ULONG, CKR_MECHANISM_INVALID, CKR_OK};

use crate::module::module;
use crate::{forward, gate};

/// Whether the token is to lack it.
pub fn is_refused(mechanism: CK_MECHANISM_TYPE) -> bool {
    module().is_ok_and(|module| module.faults.refused.contains(&mechanism))
}

/// C_GetMechanismList without them. The count that is asked for first may exceed the list (PKCS#11 §5.2).
///
/// # Safety
///
/// As PKCS#11 §5.5 demands: `count` can be read and written, `mechanisms` is null or has room for so many.
pub unsafe extern "C" fn get_mechanism_list(
    slot: CK_SLOT_ID,
    mechanisms: *mut CK_MECHANISM_TYPE,
    count: *mut CK_ULONG,
) -> CK_RV {
    // SAFETY: the arguments are the caller's.
    let answer = unsafe { forward::C_GetMechanismList(slot, mechanisms, count) };
    if answer == CKR_OK && !mechanisms.is_null() {
        // SAFETY: after CKR_OK the count says how many mechanisms were written there.
        let listed = unsafe { std::slice::from_raw_parts_mut(mechanisms, count.read() as usize) };
        let kept: Vec<_> = listed.iter().copied().filter(|mechanism| !is_refused(*mechanism)).collect();
        for (place, mechanism) in listed.iter_mut().zip(&kept) {
            *place = *mechanism;
        }
        // SAFETY: the count is the caller's.
        unsafe { count.write(kept.len() as CK_ULONG) };
    }
    answer
}

/// C_GetMechanismInfo, which does not know them.
///
/// # Safety
///
/// As PKCS#11 §5.5 demands: `info` can be written.
pub unsafe extern "C" fn get_mechanism_info(
    slot: CK_SLOT_ID,
    mechanism: CK_MECHANISM_TYPE,
    info: *mut CK_MECHANISM_INFO,
) -> CK_RV {
    if is_refused(mechanism) {
        return gate::slot("C_GetMechanismInfo", slot, |_, _| CKR_MECHANISM_INVALID);
    }
    // SAFETY: the arguments are the caller's.
    unsafe { forward::C_GetMechanismInfo(slot, mechanism, info) }
}
