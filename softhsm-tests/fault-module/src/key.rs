//! Private keys: the attributes they show, and what they want before and of a signature.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ptr;
use std::sync::Mutex;

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_BYTE, CK_FUNCTION_LIST, CK_MECHANISM, CK_MECHANISM_TYPE, CK_OBJECT_HANDLE, CK_RV,
    CK_SESSION_HANDLE, CK_TRUE, CK_ULONG, CKA_ALWAYS_AUTHENTICATE, CKM_ECDSA, CKR_ATTRIBUTE_TYPE_INVALID,
    CKR_BUFFER_TOO_SMALL, CKR_DATA_LEN_RANGE, CKR_FUNCTION_NOT_SUPPORTED, CKR_GENERAL_ERROR, CKR_MECHANISM_INVALID,
    CKR_OK, CKR_OPERATION_NOT_INITIALIZED, CKR_PIN_INCORRECT, CKR_USER_NOT_LOGGED_IN,
};

use crate::forward::{self, real};
use crate::gate;
use crate::mechanism::is_refused;
use crate::module::{Module, lock, module};

/// CK_UNAVAILABLE_INFORMATION: the length of an attribute that cannot be shown.
const UNAVAILABLE: CK_ULONG = CK_ULONG::MAX;

/// Longer than any signature of a real token.
const LONGEST_SIGNATURE: usize = 16 * 1024;

/// The signature that is under way in each session.
#[derive(Default)]
pub struct Operations(Mutex<BTreeMap<CK_SESSION_HANDLE, Operation>>);

#[derive(Clone, Copy)]
struct Operation {
    mechanism: CK_MECHANISM_TYPE,
    /// The context login has been made.
    authenticated: bool,
}

/// C_GetAttributeValue, without hidden attributes and with CKA_ALWAYS_AUTHENTICATE where it is wanted.
///
/// # Safety
///
/// As PKCS#11 §5.7 demands: `template` has `count` attributes, and each the room that it says.
pub unsafe extern "C" fn get_attribute_value(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    // SAFETY: the arguments are the caller's.
    let answer = unsafe { forward::C_GetAttributeValue(session, object, template, count) };
    let (Ok(module), false) = (module(), template.is_null()) else { return answer };
    // These answers leave every attribute with its length (§5.7).
    if !matches!(answer, CKR_OK | CKR_ATTRIBUTE_TYPE_INVALID | CKR_BUFFER_TOO_SMALL) {
        return answer;
    }
    // SAFETY: the template has so many attributes.
    let attributes = unsafe { std::slice::from_raw_parts_mut(template, count as usize) };
    let mut hidden = false;
    for attribute in attributes.iter_mut().filter(|attribute| attribute.ulValueLen != UNAVAILABLE) {
        if module.faults.hidden.contains(&attribute.type_) {
            // SAFETY: the length is that of the value, for which there was room.
            unsafe { fill(attribute, 0) };
            attribute.ulValueLen = UNAVAILABLE;
            hidden = true;
        } else if attribute.type_ == CKA_ALWAYS_AUTHENTICATE && module.faults.context_pin.is_some() {
            // SAFETY: as above; only private keys have this attribute.
            unsafe { fill(attribute, CK_TRUE) };
        }
    }
    if hidden { CKR_ATTRIBUTE_TYPE_INVALID } else { answer }
}

/// # Safety
///
/// The value is null or has `ulValueLen` octets.
unsafe fn fill(attribute: &mut CK_ATTRIBUTE, octet: u8) {
    if !attribute.pValue.is_null() {
        // SAFETY: by this function's own contract.
        unsafe { ptr::write_bytes(attribute.pValue.cast::<u8>(), octet, attribute.ulValueLen as usize) };
    }
}

/// C_SignInit, which refuses mechanisms and begins to want a context login.
///
/// # Safety
///
/// As PKCS#11 §5.11 demands: `mechanism` points to a mechanism.
pub unsafe extern "C" fn sign_init(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    // SAFETY: the caller's mechanism.
    let kind = unsafe { mechanism.as_ref() }.map(|mechanism| mechanism.mechanism);
    if kind.is_some_and(is_refused) {
        return gate::session("C_SignInit", |_| CKR_MECHANISM_INVALID);
    }
    // SAFETY: the arguments are the caller's.
    let answer = unsafe { forward::C_SignInit(session, mechanism, key) };
    if let (CKR_OK, Ok(module), Some(mechanism)) = (answer, module(), kind) {
        lock(&module.operations.0).insert(session, Operation { mechanism, authenticated: false });
    }
    answer
}

/// The context login of a key that wants one by this module's own doing.
pub fn context_login(session: CK_SESSION_HANDLE, wanted: &str, pin: &[u8]) -> CK_RV {
    let Ok(module) = module() else { return CKR_GENERAL_ERROR };
    let mut operations = lock(&module.operations.0);
    let Some(operation) = operations.get_mut(&session) else { return CKR_OPERATION_NOT_INITIALIZED };
    operation.authenticated = pin == wanted.as_bytes();
    if operation.authenticated { CKR_OK } else { CKR_PIN_INCORRECT }
}

/// C_Sign, which wants what the key wants.
///
/// # Safety
///
/// As PKCS#11 §5.11 demands: `data` has `data_len` octets, `output_len` can be written, `output` is null or has that room.
pub unsafe extern "C" fn sign(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_len: CK_ULONG,
    output: *mut CK_BYTE,
    output_len: *mut CK_ULONG,
) -> CK_RV {
    if let Some(reason) = refusal(session, Some(data_len)) {
        let answer = gate::session("C_Sign", |_| reason);
        end(session);
        return answer;
    }
    // SAFETY: the arguments are the caller's.
    let answer = unsafe { forward::C_Sign(session, data, data_len, output, output_len) };
    match answer {
        // Asking for the length, and a buffer that is too small, leave the operation as it is (§5.2).
        CKR_BUFFER_TOO_SMALL => {}
        CKR_OK if output.is_null() => {}
        CKR_OK => forget(session),
        // The real module may not have been asked.
        _ => end(session),
    }
    answer
}

/// C_SignUpdate, which wants a context login.
///
/// # Safety
///
/// As PKCS#11 §5.11 demands: `data` has `data_len` octets.
pub unsafe extern "C" fn sign_update(session: CK_SESSION_HANDLE, data: *mut CK_BYTE, data_len: CK_ULONG) -> CK_RV {
    if let Some(reason) = refusal(session, None) {
        let answer = gate::session("C_SignUpdate", |_| reason);
        end(session);
        return answer;
    }
    // SAFETY: the arguments are the caller's.
    unsafe { forward::C_SignUpdate(session, data, data_len) }
}

/// Why the key does not sign. The length is that of the whole input, where it comes at once.
fn refusal(session: CK_SESSION_HANDLE, data_len: Option<CK_ULONG>) -> Option<CK_RV> {
    let module = module().ok()?;
    let operation = *lock(&module.operations.0).get(&session)?;
    if module.faults.context_pin.is_some() && !operation.authenticated {
        return Some(CKR_USER_NOT_LOGGED_IN);
    }
    let short = data_len? < field_len(module.real, session)?;
    (module.faults.long_digest && operation.mechanism == CKM_ECDSA && short).then_some(CKR_DATA_LEN_RANGE)
}

/// Half of an ECDSA signature has the length of a field element.
fn field_len(real: &CK_FUNCTION_LIST, session: CK_SESSION_HANDLE) -> Option<CK_ULONG> {
    let (mut octet, mut length) = (0, 0);
    let answer = real!(real.C_Sign(session, &raw mut octet, 1, ptr::null_mut(), &raw mut length));
    (answer == CKR_OK).then_some(length / 2)
}

/// Ends the operation as a failed one ends (§5.2): the real module signs once more, for nobody, if it has not failed itself.
fn end(session: CK_SESSION_HANDLE) {
    forget(session);
    let Ok(Module { real, .. }) = module() else { return };
    let mut nothing = [0; 32];
    let mut signature = vec![0; LONGEST_SIGNATURE];
    let mut length = signature.len() as CK_ULONG;
    real!(real.C_Sign(session, nothing.as_mut_ptr(), 32, signature.as_mut_ptr(), &raw mut length));
}

fn forget(session: CK_SESSION_HANDLE) {
    if let Ok(module) = module() {
        lock(&module.operations.0).remove(&session);
    }
}
