//! The transport that libtss2 is given: a TCTI (TCG TSS 2.0 TCTI specification) whose commands go through our [`Wire`]. An
//! FFI edge.
//!
//! tss-esapi opens its transport by `Tss2_TctiLdr_Initialize` and takes only the few kinds of names that it knows. That
//! symbol is defined here instead: it takes the wire which the calling thread has laid ready, whatever name is asked for.
#![allow(unsafe_code)]
#![allow(non_snake_case)]

use std::cell::RefCell;
use std::ffi::c_char;

use tss_esapi::tss2_esys::*;

use super::wire::Wire;

thread_local! {
    static READY: RefCell<Option<Wire>> = const { RefCell::new(None) };
}

/// Any number will do; it tells the transports of a process apart in a debugger.
const MAGIC: u64 = u64::from_be_bytes(*b"keyancho");

/// TSS2_RC_SUCCESS.
const SUCCESS: TSS2_RC = 0;

/// TSS2_TCTI_RC_LAYER.
const LAYER: TSS2_RC = 10 << 16;

/// The table that libtss2 calls through, and behind it what the calls need.
#[repr(C)]
struct WireTcti {
    table: TSS2_TCTI_CONTEXT_COMMON_V1,
    wire: Wire,
}

/// Lays the wire ready for the next context that this thread opens.
pub(super) fn lay_ready(wire: Wire) {
    READY.with_borrow_mut(|ready| *ready = Some(wire));
}

// SAFETY: the symbol has the shape that tss-esapi calls; no other definition is linked.
#[unsafe(no_mangle)]
unsafe extern "C" fn Tss2_TctiLdr_Initialize(_name: *const c_char, context: *mut *mut TSS2_TCTI_CONTEXT) -> TSS2_RC {
    let Some(wire) = READY.with_borrow_mut(Option::take) else { return LAYER | TSS2_BASE_RC_BAD_SEQUENCE };
    let table = TSS2_TCTI_CONTEXT_COMMON_V1 {
        magic: MAGIC,
        version: 1,
        transmit: Some(transmit),
        receive: Some(receive),
        finalize: Some(finalize),
        cancel: None,
        getPollHandles: None,
        setLocality: None,
    };
    let tcti = Box::into_raw(Box::new(WireTcti { table, wire }));
    // SAFETY: the caller gives a pointer that is valid for writing, as the function's specification demands.
    unsafe { *context = tcti.cast() };
    SUCCESS
}

// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "C" fn Tss2_TctiLdr_Finalize(context: *mut *mut TSS2_TCTI_CONTEXT) {
    // SAFETY: the caller gives a valid pointer to what Initialize returned, or to null.
    let tcti = unsafe { std::mem::replace(&mut *context, std::ptr::null_mut()) };
    if !tcti.is_null() {
        // SAFETY: it came from Box::into_raw in Initialize, and the pointer to it is gone now.
        drop(unsafe { Box::from_raw(tcti.cast::<WireTcti>()) });
    }
}

unsafe extern "C" fn transmit(context: *mut TSS2_TCTI_CONTEXT, size: size_t, command: *const u8) -> TSS2_RC {
    // SAFETY: libtss2 passes the context of Initialize, from one thread at a time, and a command of `size` octets.
    let (tcti, command) =
        unsafe { (&mut *context.cast::<WireTcti>(), std::slice::from_raw_parts(command, size as usize)) };
    match tcti.wire.transmit(command) {
        Ok(()) => SUCCESS,
        Err(()) => LAYER | TSS2_BASE_RC_IO_ERROR,
    }
}

unsafe extern "C" fn receive(
    context: *mut TSS2_TCTI_CONTEXT,
    size: *mut size_t,
    response: *mut u8,
    _timeout: i32,
) -> TSS2_RC {
    // SAFETY: libtss2 passes the context of Initialize, from one thread at a time, and a valid size.
    let (tcti, size) = unsafe { (&mut *context.cast::<WireTcti>(), &mut *size) };
    let Ok(received) = tcti.wire.receive() else { return LAYER | TSS2_BASE_RC_IO_ERROR };
    let room = *size as usize;
    *size = received.len() as size_t;
    // A null buffer asks for the size.
    if response.is_null() {
        return SUCCESS;
    }
    if received.len() > room {
        return LAYER | TSS2_BASE_RC_INSUFFICIENT_BUFFER;
    }
    // SAFETY: the buffer has room for `room` octets, which are not fewer; ours is not theirs.
    unsafe { std::ptr::copy_nonoverlapping(received.as_ptr(), response, received.len()) };
    tcti.wire.collected();
    SUCCESS
}

/// The wire is closed by `Tss2_TctiLdr_Finalize`, which owns it.
unsafe extern "C" fn finalize(_context: *mut TSS2_TCTI_CONTEXT) {}
