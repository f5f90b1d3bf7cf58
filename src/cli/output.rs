//! stdout: data only, written whole before the command counts as done, and never to nowhere.
#![allow(unsafe_code)]

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Failure, FailureKind};

/// Whether the process was started without a stdout.
static CLOSED: AtomicBool = AtomicBool::new(false);

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
    CLOSED.store(closed, Ordering::Relaxed);
}

/// Writes everything and flushes it, so that a full disk is a failure and not a silent success.
pub fn print(data: impl AsRef<[u8]>) -> Result<(), Failure> {
    print_with(|stdout| stdout.write_all(data.as_ref()))
}

/// The same for data that is written by who has it.
pub fn print_with(write: impl FnOnce(&mut io::StdoutLock<'_>) -> io::Result<()>) -> Result<(), Failure> {
    let failed = |found: String| Failure::new(FailureKind::Other, format!("cannot write to stdout: {found}"));
    if CLOSED.load(Ordering::Relaxed) {
        return Err(failed("it is closed".to_owned()));
    }
    let mut stdout = io::stdout().lock();
    write(&mut stdout).and_then(|()| stdout.flush()).map_err(|error| failed(error.to_string()))
}
