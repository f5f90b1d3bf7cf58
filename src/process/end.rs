//! The end of the process: an edge to the C library, because std has no way past other people's exit handlers and crashes.
#![allow(unsafe_code)]

use std::io::Write;
use std::sync::atomic::{AtomicU8, Ordering};

use libc::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, c_int};

/// What the process ends with when something crashes.
static DECIDED: AtomicU8 = AtomicU8::new(0);

/// From now on a crash ends the process with this code, as if nothing had happened: the output is written, and modules are known
/// to crash in C_Finalize. The signal's own exit code would turn a success into a failure.
pub fn despite_crashes(code: u8) {
    DECIDED.store(code, Ordering::Relaxed);
    let handler: extern "C" fn(c_int) = crashed;
    for signal in [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV] {
        // SAFETY: the handler is of the type that signal(2) wants, and calls nothing but what a handler may call.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

extern "C" fn crashed(_signal: c_int) {
    // SAFETY: as in `process`, and _exit(2) may be called in a signal handler.
    unsafe { libc::_exit(i32::from(DECIDED.load(Ordering::Relaxed))) }
}

/// Ends the process at once, without exit handlers and destructors of loaded libraries: PKCS#11 modules crash in theirs (as
/// SoftHSM does when OpenSSL is gone before it), and a crash after the output would turn a success into a failure.
///
/// Output that std still holds is written before; what needs an orderly end (a module's C_Finalize) must have had it.
pub fn process(code: u8) -> ! {
    // A failure was reported where the command wrote; there is nobody left to tell.
    let _ = std::io::stdout().flush();
    // SAFETY: _exit(2) takes any value, touches no memory of ours and does not return.
    unsafe { libc::_exit(i32::from(code)) }
}

/// Ends the process by this signal, so that whoever waits for it sees what ended its command. Without a core file: it would hold
/// credentials.
pub fn by_signal(signal: i32) -> ! {
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    // SAFETY: neither call has a precondition; the signal's default action ends the process.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
    // The signal does not end a process, or is blocked: what a shell would say.
    process(u8::try_from(128 + signal).unwrap_or(u8::MAX))
}
