//! Crashes, such as those of modules that free their own state twice when they are finalised or when the process exits.
#![allow(unsafe_code)]

use std::sync::OnceLock;

use crate::faults::HowToCrash;
use crate::module::{Module, module};

unsafe extern "C" {
    fn atexit(handler: extern "C" fn()) -> i32;
}

/// In the first page of memory, which nobody has.
const NOWHERE: usize = 8;

/// Crashes where this function is the place for it.
pub fn at(function: &str, module: &Module) {
    if module.faults.crash.as_ref().is_some_and(|crash| crash.place == function) {
        module.journal.note("crash");
        end(module);
    }
}

/// Has exit(3) crash, where that is the place for it. As a handler in C would be, it is registered when the module is used.
pub fn prepare(module: &Module) {
    static REGISTERED: OnceLock<()> = OnceLock::new();
    if module.faults.crash.as_ref().is_some_and(|crash| crash.place == "exit") {
        REGISTERED.get_or_init(|| {
            // SAFETY: the handler is a function that stays, since the module is never unloaded.
            unsafe { atexit(at_exit) };
        });
    }
}

extern "C" fn at_exit() {
    if let Ok(module) = module() {
        end(module);
    }
}

fn end(module: &Module) {
    match module.faults.crash.as_ref().map(|crash| crash.how) {
        Some(HowToCrash::Abort) => std::process::abort(),
        Some(HowToCrash::Segv) => {
            // SAFETY: none: the access is bad on purpose, and volatile so that it is really made.
            unsafe { std::ptr::without_provenance_mut::<u8>(NOWHERE).write_volatile(0) };
        }
        Some(HowToCrash::Hang) => loop {
            std::thread::park();
        },
        None => {}
    }
}
