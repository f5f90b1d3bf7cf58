//! Whether the token is there: it can be taken away after a call, and comes back in another slot.
//!
//! While it is away there are no slots, calls to its slot answer CKR_TOKEN_NOT_PRESENT and calls to its sessions
//! CKR_DEVICE_REMOVED. When it is back, every slot has another number and the old sessions are unknown.
#![allow(unsafe_code)]

use std::ptr;
use std::sync::Mutex;

use cryptoki_sys::{
    CK_BBOOL, CK_FUNCTION_LIST, CK_RV, CK_SESSION_HANDLE, CK_SESSION_INFO, CK_SLOT_ID, CK_ULONG, CKR_DEVICE_REMOVED,
    CKR_FUNCTION_NOT_SUPPORTED, CKR_OK, CKR_TOKEN_NOT_PRESENT,
};

use crate::faults::Away;
use crate::forward::{self, real};
use crate::gate;
use crate::module::{lock, module};

/// By how much the numbers of slots grow when the token comes back.
const SHIFT: CK_SLOT_ID = 1000;

/// Where the token is.
pub struct Presence {
    plan: Option<Away>,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
enum State {
    /// In the slots of the real module, their numbers this much greater.
    There { shift: CK_SLOT_ID },
    /// Nowhere; C_GetSlotList has said so this many times.
    Away { lists: usize },
}

impl Presence {
    pub fn new(plan: Option<Away>) -> Self {
        Self { plan, state: Mutex::new(State::There { shift: 0 }) }
    }

    /// The real number of a slot.
    pub fn slot(&self, shown: CK_SLOT_ID) -> Result<CK_SLOT_ID, CK_RV> {
        match *lock(&self.state) {
            State::There { shift } => Ok(shown.wrapping_sub(shift)),
            State::Away { .. } => Err(CKR_TOKEN_NOT_PRESENT),
        }
    }

    /// Whether sessions can be used.
    pub fn session(&self) -> Result<(), CK_RV> {
        match *lock(&self.state) {
            State::There { .. } => Ok(()),
            State::Away { .. } => Err(CKR_DEVICE_REMOVED),
        }
    }

    /// Takes the token away if this was the call to do so after. Its sessions end, and with them the login.
    pub fn after(&self, function: &str, number: usize, real: &CK_FUNCTION_LIST) {
        if self.plan.as_ref().is_some_and(|plan| plan.function == function && plan.call == number) {
            *lock(&self.state) = State::Away { lists: 0 };
            for slot in real_slots(real) {
                real!(real.C_CloseAllSessions(slot));
            }
        }
    }

    /// Counts a look at the slots; gives what their numbers have grown by, or that there is none.
    fn look(&self) -> Option<CK_SLOT_ID> {
        let mut state = lock(&self.state);
        if let State::Away { lists } = *state {
            let back = self.plan.as_ref().and_then(|plan| plan.lists).is_some_and(|wanted| lists >= wanted);
            *state = if back { State::There { shift: SHIFT } } else { State::Away { lists: lists + 1 } };
        }
        match *state {
            State::There { shift } => Some(shift),
            State::Away { .. } => None,
        }
    }

    fn shift(&self) -> CK_SLOT_ID {
        match *lock(&self.state) {
            State::There { shift } => shift,
            State::Away { .. } => 0,
        }
    }
}

/// C_GetSlotList, with the slots where they are shown.
///
/// # Safety
///
/// As PKCS#11 §5.5 demands: `count` can be read and written, `slots` is null or has room for so many.
pub unsafe extern "C" fn get_slot_list(present: CK_BBOOL, slots: *mut CK_SLOT_ID, count: *mut CK_ULONG) -> CK_RV {
    let Some(shift) = module().ok().and_then(|module| module.presence.look()) else {
        return gate::library("C_GetSlotList", |_| {
            // SAFETY: the caller lets the count be written.
            unsafe { count.write(0) };
            CKR_OK
        });
    };
    // SAFETY: the arguments are the caller's.
    let answer = unsafe { forward::C_GetSlotList(present, slots, count) };
    if answer == CKR_OK && !slots.is_null() {
        // SAFETY: after CKR_OK the count says how many slots were written there.
        for slot in unsafe { std::slice::from_raw_parts_mut(slots, count.read() as usize) } {
            *slot = slot.wrapping_add(shift);
        }
    }
    answer
}

/// C_GetSessionInfo, with the slot where it is shown.
///
/// # Safety
///
/// As PKCS#11 §5.6 demands: `info` can be written.
pub unsafe extern "C" fn get_session_info(session: CK_SESSION_HANDLE, info: *mut CK_SESSION_INFO) -> CK_RV {
    // SAFETY: the arguments are the caller's.
    let answer = unsafe { forward::C_GetSessionInfo(session, info) };
    // SAFETY: the structure is the caller's, and filled after CKR_OK.
    if let (CKR_OK, Ok(module), Some(info)) = (answer, module(), unsafe { info.as_mut() }) {
        info.slotID = info.slotID.wrapping_add(module.presence.shift());
    }
    answer
}

fn real_slots(real: &CK_FUNCTION_LIST) -> Vec<CK_SLOT_ID> {
    let mut count = 0;
    if real!(real.C_GetSlotList(1, ptr::null_mut(), &raw mut count)) != CKR_OK {
        return Vec::new();
    }
    let mut slots = vec![0; count as usize];
    if real!(real.C_GetSlotList(1, slots.as_mut_ptr(), &raw mut count)) != CKR_OK {
        return Vec::new();
    }
    slots.truncate(count as usize);
    slots
}
