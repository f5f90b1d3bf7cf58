//! Every function of PKCS#11 2.40, forwarded through the gate. One line per function: its name, and its arguments after
//! the slot or the session.
#![allow(unsafe_code, non_snake_case)]

use std::ffi::c_void;

use cryptoki_sys::*;

use crate::gate;

/// Calls a function of the real module; older modules leave out what they do not have.
macro_rules! real {
    ($list:ident.$name:ident($($argument:expr),* $(,)?)) => {
        match $list.$name {
            // SAFETY: the function is the real module's, and gets the arguments of a caller who keeps to PKCS#11.
            Some(function) => unsafe { function($($argument),*) },
            None => CKR_FUNCTION_NOT_SUPPORTED,
        }
    };
}
pub(crate) use real;

/// Defines the forwarding functions and the list of them.
///
/// The functions are unsafe as those they stand for: pointers must be as PKCS#11 demands of its caller.
macro_rules! forward {
    (
        library { $($library:ident($($la:ident: $lt:ty),*);)* }
        slot { $($slot:ident($($sa:ident: $st:ty),*);)* }
        session { $($session:ident($($ea:ident: $et:ty),*);)* }
    ) => {
        $(pub unsafe extern "C" fn $library($($la: $lt),*) -> CK_RV {
            gate::library(stringify!($library), |list| real!(list.$library($($la),*)))
        })*
        $(pub unsafe extern "C" fn $slot(slot: CK_SLOT_ID, $($sa: $st),*) -> CK_RV {
            gate::slot(stringify!($slot), slot, |list, slot| real!(list.$slot(slot, $($sa),*)))
        })*
        $(pub unsafe extern "C" fn $session(session: CK_SESSION_HANDLE, $($ea: $et),*) -> CK_RV {
            gate::session(stringify!($session), |list| real!(list.$session(session, $($ea),*)))
        })*

        /// All of them.
        pub fn functions() -> CK_FUNCTION_LIST {
            CK_FUNCTION_LIST {
                version: CK_VERSION { major: 2, minor: 40 },
                C_GetFunctionList: Some(crate::C_GetFunctionList),
                $($library: Some($library),)*
                $($slot: Some($slot),)*
                $($session: Some($session),)*
            }
        }
    };
}

forward! {
    library {
        C_Initialize(arguments: *mut c_void);
        C_Finalize(reserved: *mut c_void);
        C_GetInfo(info: *mut CK_INFO);
        C_GetSlotList(present: CK_BBOOL, slots: *mut CK_SLOT_ID, count: *mut CK_ULONG);
        C_WaitForSlotEvent(flags: CK_FLAGS, slot: *mut CK_SLOT_ID, reserved: *mut c_void);
    }
    slot {
        C_GetSlotInfo(info: *mut CK_SLOT_INFO);
        C_GetTokenInfo(info: *mut CK_TOKEN_INFO);
        C_GetMechanismList(mechanisms: *mut CK_MECHANISM_TYPE, count: *mut CK_ULONG);
        C_GetMechanismInfo(mechanism: CK_MECHANISM_TYPE, info: *mut CK_MECHANISM_INFO);
        C_InitToken(pin: *mut CK_UTF8CHAR, pin_len: CK_ULONG, label: *mut CK_UTF8CHAR);
        C_OpenSession(flags: CK_FLAGS, application: *mut c_void, notify: CK_NOTIFY, session: *mut CK_SESSION_HANDLE);
        C_CloseAllSessions();
    }
    session {
        C_InitPIN(pin: *mut CK_UTF8CHAR, pin_len: CK_ULONG);
        C_SetPIN(old: *mut CK_UTF8CHAR, old_len: CK_ULONG, new: *mut CK_UTF8CHAR, new_len: CK_ULONG);
        C_CloseSession();
        C_GetSessionInfo(info: *mut CK_SESSION_INFO);
        C_GetOperationState(state: *mut CK_BYTE, state_len: *mut CK_ULONG);
        C_SetOperationState(state: *mut CK_BYTE, state_len: CK_ULONG, encryption_key: CK_OBJECT_HANDLE, authentication_key: CK_OBJECT_HANDLE);
        C_Login(user: CK_USER_TYPE, pin: *mut CK_UTF8CHAR, pin_len: CK_ULONG);
        C_Logout();
        C_CreateObject(template: *mut CK_ATTRIBUTE, count: CK_ULONG, object: *mut CK_OBJECT_HANDLE);
        C_CopyObject(object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG, copy: *mut CK_OBJECT_HANDLE);
        C_DestroyObject(object: CK_OBJECT_HANDLE);
        C_GetObjectSize(object: CK_OBJECT_HANDLE, size: *mut CK_ULONG);
        C_GetAttributeValue(object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG);
        C_SetAttributeValue(object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG);
        C_FindObjectsInit(template: *mut CK_ATTRIBUTE, count: CK_ULONG);
        C_FindObjects(objects: *mut CK_OBJECT_HANDLE, most: CK_ULONG, count: *mut CK_ULONG);
        C_FindObjectsFinal();
        C_EncryptInit(mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
        C_Encrypt(data: *mut CK_BYTE, data_len: CK_ULONG, output: *mut CK_BYTE, output_len: *mut CK_ULONG);
        C_EncryptUpdate(data: *mut CK_BYTE, data_len: CK_ULONG, output: *mut CK_BYTE, output_len: *mut CK_ULONG);
        C_EncryptFinal(output: *mut CK_BYTE, output_len: *mut CK_ULONG);
        C_DecryptInit(mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
        C_Decrypt(data: *mut CK_BYTE, data_len: CK_ULONG, output: *mut CK_BYTE, output_len: *mut CK_ULONG);
        C_DecryptUpdate(data: *mut CK_BYTE, data_len: CK_ULONG, output: *mut CK_BYTE, output_len: *mut CK_ULONG);
        C_DecryptFinal(output: *mut CK_BYTE, output_len: *mut CK_ULONG);
        C_DigestInit(mechanism: *mut CK_MECHANISM);
        C_Digest(data: *mut CK_BYTE, data_len: CK_ULONG, output: *mut CK_BYTE, output_len: *mut CK_ULONG);
        C_DigestUpdate(data: *mut CK_BYTE, data_len: CK_ULONG);
        C_DigestKey(key: CK_OBJECT_HANDLE);
        C_DigestFinal(output: *mut CK_BYTE, output_len: *mut CK_ULONG);
        C_SignInit(mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
        C_Sign(data: *mut CK_BYTE, data_len: CK_ULONG, output: *mut CK_BYTE, output_len: *mut CK_ULONG);
        C_SignUpdate(data: *mut CK_BYTE, data_len: CK_ULONG);
        C_SignFinal(output: *mut CK_BYTE, output_len: *mut CK_ULONG);
        C_SignRecoverInit(mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
        C_SignRecover(data: *mut CK_BYTE, data_len: CK_ULONG, output: *mut CK_BYTE, output_len: *mut CK_ULONG);
        C_VerifyInit(mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
        C_Verify(data: *mut CK_BYTE, data_len: CK_ULONG, signature: *mut CK_BYTE, signature_len: CK_ULONG);
        C_VerifyUpdate(data: *mut CK_BYTE, data_len: CK_ULONG);
        C_VerifyFinal(signature: *mut CK_BYTE, signature_len: CK_ULONG);
        C_VerifyRecoverInit(mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
        C_VerifyRecover(data: *mut CK_BYTE, data_len: CK_ULONG, output: *mut CK_BYTE, output_len: *mut CK_ULONG);
        C_DigestEncryptUpdate(data: *mut CK_BYTE, data_len: CK_ULONG, output: *mut CK_BYTE, output_len: *mut CK_ULONG);
        C_DecryptDigestUpdate(data: *mut CK_BYTE, data_len: CK_ULONG, output: *mut CK_BYTE, output_len: *mut CK_ULONG);
        C_SignEncryptUpdate(data: *mut CK_BYTE, data_len: CK_ULONG, output: *mut CK_BYTE, output_len: *mut CK_ULONG);
        C_DecryptVerifyUpdate(data: *mut CK_BYTE, data_len: CK_ULONG, output: *mut CK_BYTE, output_len: *mut CK_ULONG);
        C_GenerateKey(mechanism: *mut CK_MECHANISM, template: *mut CK_ATTRIBUTE, count: CK_ULONG, key: *mut CK_OBJECT_HANDLE);
        C_GenerateKeyPair(mechanism: *mut CK_MECHANISM, public: *mut CK_ATTRIBUTE, public_count: CK_ULONG, private: *mut CK_ATTRIBUTE, private_count: CK_ULONG, public_key: *mut CK_OBJECT_HANDLE, private_key: *mut CK_OBJECT_HANDLE);
        C_WrapKey(mechanism: *mut CK_MECHANISM, wrapping: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE, wrapped: *mut CK_BYTE, wrapped_len: *mut CK_ULONG);
        C_UnwrapKey(mechanism: *mut CK_MECHANISM, unwrapping: CK_OBJECT_HANDLE, wrapped: *mut CK_BYTE, wrapped_len: CK_ULONG, template: *mut CK_ATTRIBUTE, count: CK_ULONG, key: *mut CK_OBJECT_HANDLE);
        C_DeriveKey(mechanism: *mut CK_MECHANISM, base: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG, key: *mut CK_OBJECT_HANDLE);
        C_SeedRandom(seed: *mut CK_BYTE, seed_len: CK_ULONG);
        C_GenerateRandom(random: *mut CK_BYTE, random_len: CK_ULONG);
        C_GetFunctionStatus();
        C_CancelFunction();
    }
}
