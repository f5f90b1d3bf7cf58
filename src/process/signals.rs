//! Puts SIGINT, SIGTERM, SIGHUP and SIGQUIT off while something must be put back first: keys out of a TPM, the echo of a terminal. An FFI
//! edge.
//!
//! Their default action would end the process between a Load and its FlushContext, or leave a person's shell without echo. While
//! a [`Deferral`] lives, a handler only notes the signal; whoever works under it sees that it [`is_pending`] and comes to an end,
//! and when the last deferral ends the default action is put back and the signal raised again, so that the parent sees the process
//! die of it. At a prompt SIGTSTP is put off likewise: it stops the process once the terminal echoes again. A signal that somebody else handles or ignores (a server, nohup) is left alone; a server calls [`finish`] when it ends.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libc::c_int;

const DEFERRED: [c_int; 4] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];

/// The signal that came, 0 for none.
static PENDING: AtomicI32 = AtomicI32::new(0);

/// The process ends without a signal of ours.
static FINISHING: AtomicBool = AtomicBool::new(false);

/// Told when the last deferral ends.
static IDLE: Condvar = Condvar::new();

static STATE: Mutex<State> = Mutex::new(State { depth: 0, replaced: Vec::new() });

struct State {
    /// How many deferrals live: several threads may be at work.
    depth: usize,
    /// The signals whose default action is replaced.
    replaced: Vec<c_int>,
}

/// Signals are put off until this is dropped.
pub struct Deferral(());

impl Deferral {
    /// From now on.
    pub fn begin() -> Self {
        let mut state = state();
        state.depth += 1;
        state.put_off(&DEFERRED);
        Self(())
    }

    /// The same at a prompt, where the signal that stops a process must wait too: the shell that then goes on has the terminal.
    pub fn at_prompt() -> Self {
        let deferral = Self::begin();
        state().put_off(&[libc::SIGTSTP]);
        deferral
    }
}

impl State {
    /// Replaces the default action of these signals, where they have it.
    fn put_off(&mut self, signals: &[c_int]) {
        let replaced = signals.iter().copied().filter(|signal| replace(*signal, libc::SIG_DFL, note_address()));
        self.replaced.extend(replaced);
    }
}

impl Drop for Deferral {
    fn drop(&mut self) {
        let mut state = state();
        state.depth -= 1;
        if state.depth > 0 {
            return;
        }
        IDLE.notify_all();
        // Whoever installed a handler meanwhile keeps it, and has had the signal.
        let restored: Vec<c_int> =
            state.replaced.drain(..).filter(|signal| replace(*signal, note_address(), libc::SIG_DFL)).collect();
        let pending = PENDING.swap(0, Ordering::Relaxed);
        if restored.contains(&pending) {
            // SAFETY: raise has no precondition; the signal's default action ends or stops the process.
            unsafe { libc::raise(pending) };
        }
    }
}

/// Whether the process is about to end and waits for the deferrals to end.
pub fn is_pending() -> bool {
    PENDING.load(Ordering::Relaxed) != 0 || FINISHING.load(Ordering::Relaxed)
}

/// Has what other threads do under a [`Deferral`] come to an end (TPM work after its present command, a prompt at once), and waits
/// until all is put back, at most for the limit. To be called before the process ends while such threads may be at work; no TPM
/// can be used and nobody asked after it.
pub fn finish(limit: Duration) {
    FINISHING.store(true, Ordering::Relaxed);
    // That the limit has passed changes nothing: the process ends.
    let _ = IDLE.wait_timeout_while(state(), limit, |state| state.depth > 0);
}

extern "C" fn note(signal: c_int) {
    // An atomic store is all that a handler may safely do here.
    PENDING.store(signal, Ordering::Relaxed);
}

fn note_address() -> libc::sighandler_t {
    note as extern "C" fn(c_int) as libc::sighandler_t
}

/// Gives the signal the new action if its present one is the expected; says whether it did.
fn replace(signal: c_int, expected: libc::sighandler_t, new: libc::sighandler_t) -> bool {
    let mut present = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null new action only asks; the out pointer is valid for writing one sigaction.
    if unsafe { libc::sigaction(signal, ptr::null(), present.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: zeroed is a valid sigaction (plain integers, an empty mask), and the call above filled it in.
    let present = unsafe { present.assume_init() };
    if present.sa_sigaction != expected {
        return false;
    }
    let mut action = present;
    action.sa_sigaction = new;
    // Without SA_SIGINFO the handler takes one argument; with SA_RESTART a read that it interrupts goes on.
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the action is whole; its handler is `note`, which is async-signal-safe, or the default.
    unsafe { libc::sigaction(signal, &action, ptr::null_mut()) == 0 }
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
