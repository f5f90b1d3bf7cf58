//! The module's own functions, each called in one round trip: the library, its slots, and what tokens tell of themselves.
//! Knows no meaning of what it carries.
//!
//! cryptoki gives the types here and not the calls. It asks for lengths before values, has no place between C_SignInit and
//! C_Sign, and keeps its list of functions to itself: asking the module for another list is no way, since p11-kit's proxy
//! answers each time with a list that shares nothing with the others.
#![allow(unsafe_code)]

mod session;

use std::mem::ManuallyDrop;
use std::path::Path;
use std::ptr;

use cryptoki::context::Function;
use cryptoki::error::{Error, Rv, RvError};
use cryptoki_sys::{
    CK_C_GetFunctionList, CK_C_INITIALIZE_ARGS, CK_FLAGS, CK_FUNCTION_LIST, CK_INFO, CK_MECHANISM_INFO,
    CK_MECHANISM_TYPE, CK_SLOT_ID, CK_SLOT_INFO, CK_TOKEN_INFO, CK_TRUE, CK_ULONG,
};
use libloading::Library;

pub(super) use session::{Object, Room, Session, User};

/// More than any machine has; a module that claims more is not believed.
const MOST_SLOTS: usize = 4096;

/// More than any token has: PKCS#11 3.2 defines some 450.
const MOST_MECHANISMS: usize = 4096;

/// Why a file could not be used as a module.
#[derive(Debug)]
pub(super) enum LoadError {
    /// The dynamic linker refuses it.
    Linker(libloading::Error),
    /// It has no C_GetFunctionList, or one that gives nothing.
    NoModule,
    /// C_GetFunctionList failed.
    Refused(Error),
}

/// A loaded module. The library stays loaded until the process ends: modules crash when they are unloaded.
pub(super) struct Raw {
    _library: ManuallyDrop<Library>,
    functions: CK_FUNCTION_LIST,
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
        let mut list: *mut CK_FUNCTION_LIST = ptr::null_mut();
        // SAFETY: the function writes one pointer, to a variable that outlives the call.
        let outcome = unsafe { entry(&mut list) };
        Rv::from(outcome).into_result(Function::GetFunctionList).map_err(LoadError::Refused)?;
        if list.is_null() {
            return Err(LoadError::NoModule);
        }
        // SAFETY: PKCS#11 2.40 §5.4: a pointer to the module's list of functions, which lives as long as the library, that is
        // for ever. It may be unaligned, for the standard packs structures on some systems.
        let functions = unsafe { list.read_unaligned() };
        Ok(Self { _library: library, functions })
    }

    /// C_Initialize. Callbacks for locking are not given: with CKF_OS_LOCKING_OK the module uses the system's.
    pub(super) fn initialize(&self, flags: CK_FLAGS) -> Result<(), Error> {
        let function = self.functions.C_Initialize.ok_or(Error::NullFunctionPointer)?;
        let mut arguments = CK_C_INITIALIZE_ARGS { flags, ..CK_C_INITIALIZE_ARGS::default() };
        // SAFETY: the argument is a CK_C_INITIALIZE_ARGS that outlives the call (PKCS#11 2.40 §5.4).
        let outcome = unsafe { function(ptr::from_mut(&mut arguments).cast()) };
        Rv::from(outcome).into_result(Function::Initialize)
    }

    /// C_Finalize: ends all sessions and logins too.
    pub(super) fn finalize(&self) -> Result<(), Error> {
        let function = self.functions.C_Finalize.ok_or(Error::NullFunctionPointer)?;
        // SAFETY: the argument is reserved and must be NULL (PKCS#11 2.40 §5.4).
        let outcome = unsafe { function(ptr::null_mut()) };
        Rv::from(outcome).into_result(Function::Finalize)
    }

    /// What the library tells about itself.
    pub(super) fn info(&self) -> Result<CK_INFO, Error> {
        let function = self.functions.C_GetInfo.ok_or(Error::NullFunctionPointer)?;
        let mut info = CK_INFO::default();
        // SAFETY: the function fills one structure, which outlives the call.
        let outcome = unsafe { function(&mut info) };
        Rv::from(outcome).into_result(Function::GetInfo)?;
        Ok(info)
    }

    /// The slots that hold a token: one call, two where there are more than 64 of them.
    pub(super) fn slots_with_token(&self) -> Result<Vec<CK_SLOT_ID>, Error> {
        let function = self.functions.C_GetSlotList.ok_or(Error::NullFunctionPointer)?;
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

    /// What a slot tells about itself.
    pub(super) fn slot_info(&self, slot: CK_SLOT_ID) -> Result<CK_SLOT_INFO, Error> {
        let function = self.functions.C_GetSlotInfo.ok_or(Error::NullFunctionPointer)?;
        let mut info = CK_SLOT_INFO::default();
        // SAFETY: the function fills one structure, which outlives the call.
        let outcome = unsafe { function(slot, &mut info) };
        Rv::from(outcome).into_result(Function::GetSlotInfo)?;
        Ok(info)
    }

    /// What a token tells about itself.
    pub(super) fn token_info(&self, slot: CK_SLOT_ID) -> Result<CK_TOKEN_INFO, Error> {
        let function = self.functions.C_GetTokenInfo.ok_or(Error::NullFunctionPointer)?;
        let mut info = CK_TOKEN_INFO::default();
        // SAFETY: the function fills one structure, which outlives the call.
        let outcome = unsafe { function(slot, &mut info) };
        Rv::from(outcome).into_result(Function::GetTokenInfo)?;
        Ok(info)
    }

    /// The mechanisms of a token: one call, two where there are more than 512 of them.
    pub(super) fn mechanisms(&self, slot: CK_SLOT_ID) -> Result<Vec<CK_MECHANISM_TYPE>, Error> {
        let function = self.functions.C_GetMechanismList.ok_or(Error::NullFunctionPointer)?;
        let mut room = 512;
        loop {
            let mut mechanisms: Vec<CK_MECHANISM_TYPE> = vec![0; room];
            let mut count = room as CK_ULONG;
            // SAFETY: `mechanisms` has room for `count` of them, and the function writes no more than that (PKCS#11 2.40 §5.5).
            let outcome = unsafe { function(slot, mechanisms.as_mut_ptr(), &mut count) };
            let wanted = usize::try_from(count).unwrap_or(usize::MAX);
            match Rv::from(outcome) {
                Rv::Error(RvError::BufferTooSmall) if wanted > room && wanted <= MOST_MECHANISMS => room = wanted,
                other => {
                    other.into_result(Function::GetMechanismList)?;
                    mechanisms.truncate(wanted);
                    return Ok(mechanisms);
                }
            }
        }
    }

    /// What a token tells about one of its mechanisms.
    pub(super) fn mechanism_info(
        &self,
        slot: CK_SLOT_ID,
        mechanism: CK_MECHANISM_TYPE,
    ) -> Result<CK_MECHANISM_INFO, Error> {
        let function = self.functions.C_GetMechanismInfo.ok_or(Error::NullFunctionPointer)?;
        let mut info = CK_MECHANISM_INFO::default();
        // SAFETY: the function fills one structure, which outlives the call.
        let outcome = unsafe { function(slot, mechanism, &mut info) };
        Rv::from(outcome).into_result(Function::GetMechanismInfo)?;
        Ok(info)
    }
}
