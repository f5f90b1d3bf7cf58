//! The end of the process: an edge to the C library, because std has no way past other people's exit handlers.
#![allow(unsafe_code)]

use std::io::Write;

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
