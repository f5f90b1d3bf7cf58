//! The PKCS#11 calls that cryptoki makes in several round trips or with losses: C_GetSlotList and C_GetAttributeValue with
//! buffers given at once, C_Sign apart from C_SignInit, and the token's texts as octets. Knows no meaning of any attribute.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::path::Path;

use cryptoki::context::Function;
use cryptoki::error::{Error, Rv, RvError};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki_sys::{
    CK_ATTRIBUTE, CK_ATTRIBUTE_TYPE, CK_C_GetAttributeValue, CK_C_GetFunctionList, CK_C_GetSlotList, CK_C_GetTokenInfo,
    CK_C_Sign, CK_FUNCTION_LIST, CK_SLOT_ID, CK_TOKEN_INFO, CK_TRUE, CK_ULONG, CK_UNAVAILABLE_INFORMATION,
};
use libloading::Library;

/// More than any machine has; a module that claims more is not believed.
const MOST_SLOTS: usize = 4096;
/// Room for an attribute at the second try, when the first room was too small.
const LARGEST_ATTRIBUTE: usize = 128 * 1024;
/// Room for any signature there is: RSA-8192 has 1,024 octets, ML-DSA-87 4,627.
const LONGEST_SIGNATURE: usize = 8 * 1024;
/// What buffers are filled with, so that one is known that a module left untouched although it reports success for it: some
/// stop at the first attribute that they do not know.
const UNTOUCHED: u8 = 0xa5;

/// Why a file could not be used as a module.
#[derive(Debug)]
pub(super) enum LoadError {
    /// The dynamic linker refuses it.
    Linker(libloading::Error),
    /// It has no C_GetFunctionList, or one that gives nothing.
    NoModule,
    /// C_GetFunctionList failed, or a function is missing from the list.
    Refused(Error),
}

/// A loaded module's own functions. The library stays loaded until the process ends: modules crash when they are unloaded.
pub(super) struct Raw {
    _library: ManuallyDrop<Library>,
    get_slot_list: CK_C_GetSlotList,
    get_token_info: CK_C_GetTokenInfo,
    get_attribute_value: CK_C_GetAttributeValue,
    sign: CK_C_Sign,
}

/// An attribute to be read, and the room that its value is given at first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) attribute: CK_ATTRIBUTE_TYPE,
    pub(super) octets: usize,
}

impl Raw {
    /// Loads the library and asks it for its functions: one call of the module.
    pub(super) fn load(path: &Path) -> Result<Self, LoadError> {
        // SAFETY: loading runs the library's initialisers. A module that the person (or the system's configuration) named is
        // code that is trusted with the PIN and the key; nothing else is loaded here.
        let library = unsafe { Library::new(path) }.map_err(LoadError::Linker)?;
        let library = ManuallyDrop::new(library);
        // SAFETY: PKCS#11 2.40 §5.4 fixes the symbol's type.
        let entry = unsafe { library.get::<CK_C_GetFunctionList>(b"C_GetFunctionList\0") };
        let entry = entry.ok().and_then(|symbol| *symbol).ok_or(LoadError::NoModule)?;
        let mut list: *mut CK_FUNCTION_LIST = std::ptr::null_mut();
        // SAFETY: the function writes one pointer, to a variable that outlives the call.
        let outcome = unsafe { entry(&mut list) };
        Rv::from(outcome).into_result(Function::GetFunctionList).map_err(LoadError::Refused)?;
        if list.is_null() {
            return Err(LoadError::NoModule);
        }
        // SAFETY: PKCS#11 2.40 §5.4: a pointer to the module's list of functions, which lives as long as the library, that is
        // for ever. It may be unaligned, for the standard packs structures on some systems.
        let list = unsafe { list.read_unaligned() };
        Ok(Self {
            _library: library,
            get_slot_list: list.C_GetSlotList,
            get_token_info: list.C_GetTokenInfo,
            get_attribute_value: list.C_GetAttributeValue,
            sign: list.C_Sign,
        })
    }

    /// The slots that hold a token: one call, two where there are more than 64 of them.
    pub(super) fn slots_with_token(&self) -> Result<Vec<CK_SLOT_ID>, Error> {
        let function = self.get_slot_list.ok_or(Error::NullFunctionPointer)?;
        let mut room = 64;
        loop {
            let mut slots: Vec<CK_SLOT_ID> = vec![0; room];
            let mut count = room as CK_ULONG;
            // SAFETY: `slots` has room for `count` slots, and the function writes no more than that (PKCS#11 2.40 §5.5).
            let outcome = unsafe { function(CK_TRUE, slots.as_mut_ptr(), &mut count) };
            let wanted = usize::try_from(count).unwrap_or(usize::MAX);
            match Rv::from(outcome) {
                Rv::Error(RvError::BufferTooSmall) if wanted > room && wanted <= MOST_SLOTS => room = wanted,
                other => {
                    other.into_result(Function::GetSlotList)?;
                    slots.truncate(wanted);
                    return Ok(slots);
                }
            }
        }
    }

    /// What a token tells about itself, with its texts as octets.
    pub(super) fn token_info(&self, slot: CK_SLOT_ID) -> Result<CK_TOKEN_INFO, Error> {
        let function = self.get_token_info.ok_or(Error::NullFunctionPointer)?;
        let mut info = CK_TOKEN_INFO::default();
        // SAFETY: the function fills one structure, which outlives the call.
        let outcome = unsafe { function(slot, &mut info) };
        Rv::from(outcome).into_result(Function::GetTokenInfo)?;
        Ok(info)
    }

    /// Values of an object's attributes, in the order of `wanted`; `None` for what the object has not or does not show.
    ///
    /// One call of the module, two where a value is longer than the room it was given.
    pub(super) fn attributes(
        &self,
        session: &Session,
        object: ObjectHandle,
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

    fn read(&self, session: &Session, object: ObjectHandle, wanted: &[Room]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let function = self.get_attribute_value.ok_or(Error::NullFunctionPointer)?;
        let mut values: Vec<Vec<u8>> = wanted.iter().map(|room| vec![UNTOUCHED; room.octets]).collect();
        let mut template: Vec<CK_ATTRIBUTE> = wanted
            .iter()
            .zip(&mut values)
            .map(|(room, value)| CK_ATTRIBUTE {
                type_: room.attribute,
                pValue: value.as_mut_ptr().cast::<c_void>(),
                ulValueLen: value.len() as CK_ULONG,
            })
            .collect();
        // SAFETY: each entry of the template points to a vector of `values` with its true length, and the vectors are
        // neither moved nor resized before the call is over.
        let outcome =
            unsafe { function(session.handle(), object.handle(), template.as_mut_ptr(), template.len() as CK_ULONG) };
        match Rv::from(outcome) {
            // Every attribute was processed; those that are not to be had say so by their length (PKCS#11 2.40 §5.7).
            Rv::Ok | Rv::Error(RvError::AttributeSensitive | RvError::AttributeTypeInvalid) => {}
            refused => refused.into_result(Function::GetAttributeValue)?,
        }
        let shown = template.iter().zip(values).map(|(entry, mut value)| {
            let length = entry.ulValueLen;
            let length = (length != CK_UNAVAILABLE_INFORMATION).then(|| usize::try_from(length).ok()).flatten();
            // A length beyond the room is a lie of the module.
            let length = length.filter(|length| *length <= value.len())?;
            if length == value.len() && value.iter().all(|octet| *octet == UNTOUCHED) {
                return None;
            }
            value.truncate(length);
            Some(value)
        });
        Ok(shown.collect())
    }

    /// The operation that C_SignInit began, in one call: cryptoki asks for the length first, and has no place for the
    /// context login between the two.
    pub(super) fn sign(&self, session: &Session, data: &[u8]) -> Result<Vec<u8>, Error> {
        let function = self.sign.ok_or(Error::NullFunctionPointer)?;
        let mut signature = vec![0; LONGEST_SIGNATURE];
        let mut length = signature.len() as CK_ULONG;
        // SAFETY: the module reads `data.len()` octets, in spite of the pointer's type, and writes at most `length` octets.
        let outcome = unsafe {
            function(
                session.handle(),
                data.as_ptr().cast_mut(),
                data.len() as CK_ULONG,
                signature.as_mut_ptr(),
                &mut length,
            )
        };
        Rv::from(outcome).into_result(Function::Sign)?;
        signature.truncate(usize::try_from(length).unwrap_or(0));
        Ok(signature)
    }
}
