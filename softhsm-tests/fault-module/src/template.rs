//! Tokens that are particular about the templates of new objects, or do not keep to them.
#![allow(unsafe_code)]

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_BBOOL, CK_MECHANISM, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE, CK_TRUE, CK_ULONG,
    CKA_EXTRACTABLE, CKR_ATTRIBUTE_TYPE_INVALID,
};

use crate::module::module;
use crate::{forward, gate};

static TRUE: CK_BBOOL = CK_TRUE;

/// Whether an attribute stands in a template that the token does not take there.
///
/// # Safety
///
/// `template` has so many entries.
unsafe fn is_refused(template: *const CK_ATTRIBUTE, count: CK_ULONG) -> bool {
    let Ok(module) = module() else { return false };
    // SAFETY: as the caller promises.
    let entries = unsafe { std::slice::from_raw_parts(template, count as usize) };
    entries.iter().any(|entry| module.faults.taboo.contains(&entry.type_))
}

/// C_GenerateKeyPair of a token that refuses attributes, or that makes every key extractable.
///
/// # Safety
///
/// As PKCS#11 §5.13 demands.
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C" fn generate_key_pair(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    public: *mut CK_ATTRIBUTE,
    public_count: CK_ULONG,
    private: *mut CK_ATTRIBUTE,
    private_count: CK_ULONG,
    public_key: *mut CK_OBJECT_HANDLE,
    private_key: *mut CK_OBJECT_HANDLE,
) -> CK_RV {
    // SAFETY: the templates are the caller's.
    if unsafe { is_refused(public, public_count) || is_refused(private, private_count) } {
        return gate::session("C_GenerateKeyPair", |_| CKR_ATTRIBUTE_TYPE_INVALID);
    }
    // SAFETY: the template is the caller's, and is copied before a value in it is changed.
    let mut changed = unsafe { std::slice::from_raw_parts(private, private_count as usize) }.to_vec();
    if module().is_ok_and(|module| module.faults.exportable) {
        for entry in changed.iter_mut().filter(|entry| entry.type_ == CKA_EXTRACTABLE) {
            entry.pValue = (&raw const TRUE).cast_mut().cast();
        }
    }
    // SAFETY: the arguments are the caller's but for the copy, whose length is the same.
    unsafe {
        forward::C_GenerateKeyPair(
            session,
            mechanism,
            public,
            public_count,
            changed.as_mut_ptr(),
            private_count,
            public_key,
            private_key,
        )
    }
}

/// C_CreateObject of a token that refuses attributes.
///
/// # Safety
///
/// As PKCS#11 §5.7 demands.
pub unsafe extern "C" fn create_object(
    session: CK_SESSION_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
    object: *mut CK_OBJECT_HANDLE,
) -> CK_RV {
    // SAFETY: the template is the caller's.
    if unsafe { is_refused(template, count) } {
        return gate::session("C_CreateObject", |_| CKR_ATTRIBUTE_TYPE_INVALID);
    }
    // SAFETY: the arguments are the caller's.
    unsafe { forward::C_CreateObject(session, template, count, object) }
}
