//! What every call passes on its way to the real module: it is recorded, delayed, failed, or finds the token away.

use std::thread;

use cryptoki_sys::{CK_FUNCTION_LIST, CK_RV, CK_SLOT_ID, CKR_GENERAL_ERROR, CKR_OK};

use crate::crash;
use crate::module::{Module, module};

/// A call that is about the module.
pub fn library(function: &'static str, call: impl FnOnce(&CK_FUNCTION_LIST) -> CK_RV) -> CK_RV {
    pass(function, |module| call(module.real))
}

/// A call that is about a slot; the real module knows it by another number once the token has come back.
pub fn slot(
    function: &'static str,
    shown: CK_SLOT_ID,
    call: impl FnOnce(&CK_FUNCTION_LIST, CK_SLOT_ID) -> CK_RV,
) -> CK_RV {
    pass(function, |module| match module.presence.slot(shown) {
        Ok(slot) => call(module.real, slot),
        Err(answer) => answer,
    })
}

/// A call that is about a session.
pub fn session(function: &'static str, call: impl FnOnce(&CK_FUNCTION_LIST) -> CK_RV) -> CK_RV {
    pass(function, |module| match module.presence.session() {
        Ok(()) => call(module.real),
        Err(answer) => answer,
    })
}

fn pass(function: &'static str, call: impl FnOnce(&Module) -> CK_RV) -> CK_RV {
    let Ok(module) = module() else { return CKR_GENERAL_ERROR };
    let number = module.count(function);
    module.journal.note(function);
    thread::sleep(module.faults.delay(function));
    crash::at(function, module);
    let answer = match module.faults.error(function, number) {
        Some(answer) => answer,
        None => call(module),
    };
    if answer != CKR_OK {
        module.journal.note(&format!("{function} answered {answer:#x}"));
    }
    module.presence.after(function, number, module.real);
    answer
}
