//! The start of the process: what must be seen or set before std and the first thread come into play.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the process was started without a stdout.
static STDOUT_CLOSED: AtomicBool = AtomicBool::new(false);

/// The standard library opens /dev/null in the place of a closed descriptor before `main`, so that every write would succeed and
/// the output be gone. What runs in this section runs earlier.
#[cfg(target_os = "linux")]
#[used]
// SAFETY: the section holds pointers to functions that the C library calls once, before `main`, on the one thread there is.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

#[cfg(target_os = "linux")]
extern "C" fn look() {
    let closed = rustix::io::fcntl_getfd(rustix::stdio::stdout()) == Err(rustix::io::Errno::BADF);
    STDOUT_CLOSED.store(closed, Ordering::Relaxed);
}

/// Whether there was no stdout when the process started: what is written to it is lost.
pub fn stdout_is_closed() -> bool {
    STDOUT_CLOSED.load(Ordering::Relaxed)
}

/// Lets all threads allocate from one arena. The thread that drives a PKCS#11 module would otherwise have one of its own, which
/// grows a page at a time, a system call each: 0.3 ms and 0.4 MiB of a command that lives for ten milliseconds.
pub fn share_one_arena() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt(3) takes any parameter and value, and is called before there is a second thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
