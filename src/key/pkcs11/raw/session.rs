//! Calls within a session: login, objects, key pairs, signature. Handles are numbers that the module checks.
#![allow(unsafe_code)]

use std::ptr;

use cryptoki::context::Function;
use cryptoki::error::{Error, Rv, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki_sys::{
    CK_ATTRIBUTE, CK_ATTRIBUTE_TYPE, CK_FLAGS, CK_MECHANISM, CK_OBJECT_HANDLE, CK_SESSION_HANDLE, CK_SLOT_ID, CK_ULONG,
    CKF_SERIAL_SESSION, CKU_CONTEXT_SPECIFIC, CKU_USER,
};

use super::Raw;

/// Handles that one C_FindObjects may return: more than nearly every token holds, so that one call is enough.
const AT_ONCE: usize = 1024;
/// Objects that a search may find; a module that finds more is not believed.
const MOST_OBJECTS: usize = 100 * AT_ONCE;
/// Room for an attribute at the second try, when the first room was too small.
const LARGEST_ATTRIBUTE: usize = 128 * 1024;
/// Room for any signature there is: RSA-8192 has 1,024 octets, ML-DSA-87 4,627.
const LONGEST_SIGNATURE: usize = 8 * 1024;
/// What buffers are filled with, so that one is known that a module left untouched although it reports success for it: some
/// stop at the first attribute that they do not know.
const UNTOUCHED: u8 = 0xa5;

/// An open session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Session(CK_SESSION_HANDLE);

/// An object in the session that it was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Object(CK_OBJECT_HANDLE);

/// Who logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum User {
    /// CKU_USER.
    Normal,
    /// CKU_CONTEXT_SPECIFIC: for the operation that was just begun.
    Context,
}

/// An attribute to be read, and the room that its value is given at first.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Room {
    pub(in super::super) attribute: CK_ATTRIBUTE_TYPE,
    pub(in super::super) octets: usize,
}

impl Raw {
    /// C_OpenSession, read-only where the flags have no CKF_RW_SESSION.
    pub(in super::super) fn open_session(&self, slot: CK_SLOT_ID, flags: CK_FLAGS) -> Result<Session, Error> {
        let function = self.functions.C_OpenSession.ok_or(Error::NullFunctionPointer)?;
        let mut session = 0;
        // SAFETY: no callback and no data for it are given; the function writes one handle, which outlives the call.
        let outcome = unsafe { function(slot, flags | CKF_SERIAL_SESSION, ptr::null_mut(), None, &mut session) };
        Rv::from(outcome).into_result(Function::OpenSession)?;
        Ok(Session(session))
    }

    /// C_CloseSession.
    pub(in super::super) fn close_session(&self, session: Session) -> Result<(), Error> {
        let function = self.functions.C_CloseSession.ok_or(Error::NullFunctionPointer)?;
        // SAFETY: takes a handle only.
        let outcome = unsafe { function(session.0) };
        Rv::from(outcome).into_result(Function::CloseSession)
    }

    /// C_Login; `None` is the NULL PIN of a protected authentication path, which an empty PIN is not.
    pub(in super::super) fn login(&self, session: Session, user: User, pin: Option<&[u8]>) -> Result<(), Error> {
        let function = self.functions.C_Login.ok_or(Error::NullFunctionPointer)?;
        let user = match user {
            User::Normal => CKU_USER,
            User::Context => CKU_CONTEXT_SPECIFIC,
        };
        let (start, length) = pin.map_or((ptr::null(), 0), |pin| (pin.as_ptr(), pin.len()));
        // SAFETY: the module reads `length` octets of the PIN, in spite of the pointer's type, or takes NULL and 0.
        let outcome = unsafe { function(session.0, user, start.cast_mut(), length as CK_ULONG) };
        Rv::from(outcome).into_result(Function::Login)
    }

    /// Objects that have all these attributes: C_FindObjectsInit, C_FindObjects, C_FindObjectsFinal.
    pub(in super::super) fn find(&self, session: Session, template: &[Attribute]) -> Result<Vec<Object>, Error> {
        let begin = self.functions.C_FindObjectsInit.ok_or(Error::NullFunctionPointer)?;
        let end = self.functions.C_FindObjectsFinal.ok_or(Error::NullFunctionPointer)?;
        let mut entries: Vec<CK_ATTRIBUTE> = template.iter().map(CK_ATTRIBUTE::from).collect();
        // SAFETY: each entry points to a value in `template`, which outlives the call; the module only reads them
        // (PKCS#11 2.40 §5.7).
        let outcome = unsafe { begin(session.0, entries.as_mut_ptr(), entries.len() as CK_ULONG) };
        Rv::from(outcome).into_result(Function::FindObjectsInit)?;
        let found = self.found(session);
        // SAFETY: takes a handle only.
        let outcome = unsafe { end(session.0) };
        let found = found?;
        Rv::from(outcome).into_result(Function::FindObjectsFinal)?;
        Ok(found)
    }

    fn found(&self, session: Session) -> Result<Vec<Object>, Error> {
        let function = self.functions.C_FindObjects.ok_or(Error::NullFunctionPointer)?;
        let mut found = Vec::new();
        let mut handles: Vec<CK_OBJECT_HANDLE> = vec![0; AT_ONCE];
        loop {
            let mut count = 0;
            // SAFETY: `handles` has room for as many handles as it is said to have.
            let outcome = unsafe { function(session.0, handles.as_mut_ptr(), handles.len() as CK_ULONG, &mut count) };
            Rv::from(outcome).into_result(Function::FindObjects)?;
            let count = usize::try_from(count).unwrap_or(usize::MAX).min(AT_ONCE);
            found.extend(handles.iter().take(count).copied().map(Object));
            if count < AT_ONCE || found.len() >= MOST_OBJECTS {
                return Ok(found);
            }
        }
    }

    /// Values of an object's attributes, in the order of `wanted`; `None` for what the object has not or does not show.
    ///
    /// One C_GetAttributeValue, two where a value is longer than the room it was given.
    pub(in super::super) fn attributes(
        &self,
        session: Session,
        object: Object,
        wanted: &[Room],
    ) -> Result<Vec<Option<Vec<u8>>>, Error> {
        match self.read(session, object, wanted) {
            Err(Error::Pkcs11(RvError::BufferTooSmall, _)) => {
                let roomier: Vec<_> = wanted.iter().map(|room| Room { octets: LARGEST_ATTRIBUTE, ..*room }).collect();
                self.read(session, object, &roomier)
            }
            other => other,
        }
    }

    fn read(&self, session: Session, object: Object, wanted: &[Room]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let function = self.functions.C_GetAttributeValue.ok_or(Error::NullFunctionPointer)?;
        let mut values: Vec<Vec<u8>> = wanted.iter().map(|room| vec![UNTOUCHED; room.octets]).collect();
        let mut template: Vec<CK_ATTRIBUTE> = wanted
            .iter()
            .zip(&mut values)
            .map(|(room, value)| CK_ATTRIBUTE {
                type_: room.attribute,
                pValue: value.as_mut_ptr().cast(),
                ulValueLen: value.len() as CK_ULONG,
            })
            .collect();
        // SAFETY: each entry of the template points to a vector of `values` with its true length, and the vectors are
        // neither moved nor resized before the call is over.
        let outcome = unsafe { function(session.0, object.0, template.as_mut_ptr(), template.len() as CK_ULONG) };
        match Rv::from(outcome) {
            // Every attribute was processed; those that are not to be had say so by their length (PKCS#11 2.40 §5.7).
            Rv::Ok | Rv::Error(RvError::AttributeSensitive | RvError::AttributeTypeInvalid) => {}
            refused => refused.into_result(Function::GetAttributeValue)?,
        }
        Ok(template.iter().zip(values).map(|(entry, value)| shown(entry.ulValueLen, value)).collect())
    }

    /// C_GenerateKeyPair: the public object and the private one.
    pub(in super::super) fn generate_pair(
        &self,
        session: Session,
        mechanism: &Mechanism<'_>,
        public: &[Attribute],
        private: &[Attribute],
    ) -> Result<(Object, Object), Error> {
        let function = self.functions.C_GenerateKeyPair.ok_or(Error::NullFunctionPointer)?;
        let mut mechanism = CK_MECHANISM::from(mechanism);
        let mut public: Vec<CK_ATTRIBUTE> = public.iter().map(CK_ATTRIBUTE::from).collect();
        let mut private: Vec<CK_ATTRIBUTE> = private.iter().map(CK_ATTRIBUTE::from).collect();
        let (mut public_key, mut private_key) = (0, 0);
        // SAFETY: the mechanism and the values that the entries point to outlive the call, which only reads them
        // (PKCS#11 2.40 §5.13); it writes two handles.
        let outcome = unsafe {
            function(
                session.0,
                &mut mechanism,
                public.as_mut_ptr(),
                public.len() as CK_ULONG,
                private.as_mut_ptr(),
                private.len() as CK_ULONG,
                &mut public_key,
                &mut private_key,
            )
        };
        Rv::from(outcome).into_result(Function::GenerateKeyPair)?;
        Ok((Object(public_key), Object(private_key)))
    }

    /// C_CreateObject.
    pub(in super::super) fn create(&self, session: Session, template: &[Attribute]) -> Result<Object, Error> {
        let function = self.functions.C_CreateObject.ok_or(Error::NullFunctionPointer)?;
        let mut entries: Vec<CK_ATTRIBUTE> = template.iter().map(CK_ATTRIBUTE::from).collect();
        let mut object = 0;
        // SAFETY: each entry points to a value in `template`, which outlives the call; the module only reads them
        // (PKCS#11 2.40 §5.7) and writes one handle.
        let outcome = unsafe { function(session.0, entries.as_mut_ptr(), entries.len() as CK_ULONG, &mut object) };
        Rv::from(outcome).into_result(Function::CreateObject)?;
        Ok(Object(object))
    }

    /// C_DestroyObject.
    pub(in super::super) fn destroy(&self, session: Session, object: Object) -> Result<(), Error> {
        let function = self.functions.C_DestroyObject.ok_or(Error::NullFunctionPointer)?;
        // SAFETY: takes handles only.
        let outcome = unsafe { function(session.0, object.0) };
        Rv::from(outcome).into_result(Function::DestroyObject)
    }

    /// C_SignInit.
    pub(in super::super) fn begin_signing(
        &self,
        session: Session,
        mechanism: &Mechanism<'_>,
        key: Object,
    ) -> Result<(), Error> {
        let function = self.functions.C_SignInit.ok_or(Error::NullFunctionPointer)?;
        let mut mechanism = CK_MECHANISM::from(mechanism);
        // SAFETY: the mechanism and what it points to outlive the call, which only reads them.
        let outcome = unsafe { function(session.0, &mut mechanism, key.0) };
        Rv::from(outcome).into_result(Function::SignInit)
    }

    /// C_Sign, the operation that C_SignInit began, in one call and with room for any signature.
    pub(in super::super) fn sign(&self, session: Session, data: &[u8]) -> Result<Vec<u8>, Error> {
        let function = self.functions.C_Sign.ok_or(Error::NullFunctionPointer)?;
        let mut signature = vec![0; LONGEST_SIGNATURE];
        let mut length = signature.len() as CK_ULONG;
        let (start, octets) = (data.as_ptr().cast_mut(), data.len() as CK_ULONG);
        // SAFETY: the module reads `octets` octets of the data, in spite of the pointer's type, and writes at most `length`.
        let outcome = unsafe { function(session.0, start, octets, signature.as_mut_ptr(), &mut length) };
        Rv::from(outcome).into_result(Function::Sign)?;
        signature.truncate(usize::try_from(length).unwrap_or(0));
        Ok(signature)
    }
}

/// The value that C_GetAttributeValue left in a buffer, if it left one.
fn shown(length: CK_ULONG, mut buffer: Vec<u8>) -> Option<Vec<u8>> {
    // A length beyond the room is a lie of the module.
    let length = usize::try_from(length).ok().filter(|length| *length <= buffer.len())?;
    if length == buffer.len() && length > 0 && buffer.iter().all(|octet| *octet == UNTOUCHED) {
        return None;
    }
    buffer.truncate(length);
    Some(buffer)
}

#[cfg(test)]
mod tests {
    use cryptoki_sys::CK_UNAVAILABLE_INFORMATION;

    use super::*;

    #[test]
    fn only_what_a_module_wrote_is_a_value() {
        assert_eq!(shown(2, vec![1, 2, UNTOUCHED]), Some(vec![1, 2]));
        assert_eq!(shown(0, vec![UNTOUCHED]), Some(Vec::new()));
        assert_eq!(shown(CK_UNAVAILABLE_INFORMATION, vec![UNTOUCHED]), None);
        assert_eq!(shown(4, vec![1, 2, 3]), None);
        assert_eq!(shown(3, vec![UNTOUCHED; 3]), None);
    }
}
