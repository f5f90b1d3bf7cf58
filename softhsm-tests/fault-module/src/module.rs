//! The real module behind this one, and the state of this process: loaded once, at the first call.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ptr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use cryptoki_sys::{CK_C_GetFunctionList, CK_FUNCTION_LIST, CK_FUNCTION_LIST_PTR, CKR_OK};
use libloading::Library;

use crate::faults::Faults;
use crate::journal::Journal;
use crate::key::Operations;
use crate::presence::Presence;

/// Everything that the functions share.
pub struct Module {
    pub real: &'static CK_FUNCTION_LIST,
    pub faults: Faults,
    pub journal: Journal,
    pub presence: Presence,
    pub operations: Operations,
    calls: Mutex<BTreeMap<&'static str, usize>>,
}

impl Module {
    fn load() -> Result<Self, String> {
        let faults = Faults::from_environment()?;
        let real = load_real(&faults.module)?;
        let journal = Journal::open(faults.journal.as_deref())?;
        let presence = Presence::new(faults.away.clone());
        Ok(Self { real, faults, journal, presence, operations: Operations::default(), calls: Mutex::default() })
    }

    /// Counts a call in this process; the first is number 1.
    pub fn count(&self, function: &'static str) -> usize {
        let mut calls = lock(&self.calls);
        let count = calls.entry(function).or_default();
        *count += 1;
        *count
    }
}

/// The module, or why there is none.
pub fn module() -> Result<&'static Module, &'static str> {
    static MODULE: OnceLock<Result<Module, String>> = OnceLock::new();
    MODULE.get_or_init(Module::load).as_ref().map_err(String::as_str)
}

/// Locks without regard to a panic elsewhere: the process would have been aborted by it.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn load_real(path: &str) -> Result<&'static CK_FUNCTION_LIST, String> {
    // SAFETY: the initialisers of a PKCS#11 module run here, as in every program that loads it.
    let library = unsafe { Library::new(path) }.map_err(|error| format!("cannot load {path}: {error}"))?;
    // SAFETY: the symbol has this type in every PKCS#11 module (§5.4).
    let entry = unsafe { library.get::<CK_C_GetFunctionList>(b"C_GetFunctionList\0") };
    let entry = *entry.map_err(|error| format!("{path} is no PKCS#11 module: {error}"))?;
    // The functions live as long as the library, and both are used until the process ends.
    std::mem::forget(library);
    let mut list: CK_FUNCTION_LIST_PTR = ptr::null_mut();
    // SAFETY: the pointer is that of the loaded library, its argument a variable of ours.
    let answer = entry.map(|entry| unsafe { entry(&raw mut list) });
    if answer != Some(CKR_OK) {
        return Err(format!("C_GetFunctionList of {path} answered {answer:?}"));
    }
    // SAFETY: after CKR_OK it points to the module's own list, which is constant and stays.
    unsafe { list.as_ref() }.ok_or_else(|| format!("C_GetFunctionList of {path} gave no list"))
}
