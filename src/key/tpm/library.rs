//! libtss2 at run time: loads its libraries when a TPM is first used, so that the program starts on machines without them,
//! and opens the transports that it brings. An FFI edge; the functions that tss-esapi calls are in `symbols`.
#![allow(unsafe_code)]

use std::env;
use std::ffi::{CString, c_char};
use std::fs;
use std::io;
use std::ptr;
use std::sync::OnceLock;
use std::thread;

use libloading::Library;
use tss_esapi::tss2_esys::*;

use super::super::error::{Advice, KeyError, KeyErrorKind};
use super::line::Line;

const ESYS: &str = "libtss2-esys.so.0";
const MARSHAL: &str = "libtss2-mu.so.0";
const TCTI_LOADER: &str = "libtss2-tctildr.so.0";

/// Debian's name; tpm2-tools brings every library of tpm2-tss that is used here, by this name on every distribution.
const PACKAGE: &str = "tpm2-tools";

/// TSS2_RC_SUCCESS.
const SUCCESS: TSS2_RC = 0;
// The header has these as expressions, which the bindings leave out (TSS 2.0 Overview and Common Structures, "Response Codes").
const TCTI_NOT_SUPPORTED: TSS2_RC = 0x000a_0015;
const TCTI_IO_ERROR: TSS2_RC = 0x000a_000a;

static LIBRARIES: OnceLock<Result<Libraries, String>> = OnceLock::new();
static LOADER: OnceLock<Result<Library, String>> = OnceLock::new();

/// The libraries whose functions tss-esapi calls.
pub(super) struct Libraries {
    /// The commands.
    pub(super) esys: Library,
    /// The encoding of their parameters.
    pub(super) marshal: Library,
}

impl Libraries {
    /// What [`load`] has loaded.
    pub(super) fn loaded() -> Option<&'static Self> {
        LIBRARIES.get()?.as_ref().ok()
    }
}

/// Loads libtss2, once per process.
pub(super) fn load() -> Result<(), KeyError> {
    let loaded = LIBRARIES.get_or_init(|| Ok(Libraries { esys: open(ESYS)?, marshal: open(MARSHAL)? }));
    loaded.as_ref().map(|_| ()).map_err(|why| missing(why))
}

/// Begins to load libtss2 on a thread of its own, while the program reads the certificate: the libraries take milliseconds,
/// longer than any of the program's own work. An error is told by [`load`], which everybody calls.
pub(super) fn load_ahead() {
    // Without a thread it is loaded when it is needed.
    let _ = thread::Builder::new().name("libtss2".to_owned()).spawn(load);
}

fn open(name: &str) -> Result<Library, String> {
    // SAFETY: the initialisers of tpm2-tss and of the libraries it needs set up their own state only.
    unsafe { Library::new(name) }.map_err(|error| error.to_string())
}

fn missing(why: &str) -> KeyError {
    KeyError::new(
        KeyErrorKind::Unreachable,
        format!("TPM keys need the library tpm2-tss, which cannot be loaded: {why}"),
    )
    .with_advice(Advice::Install { package: PACKAGE })
}

/// Keeps libtss2 from writing to stderr, unless the person chose its log level. To be called before there are threads; with
/// more than one thread it does nothing.
pub fn silence() {
    const VARIABLE: &str = "TSS2_LOG";
    let alone = || fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1);
    if env::var_os(VARIABLE).is_none() && alone() {
        // SAFETY: nobody else reads or writes the environment at the same time: the kernel says that this is the only
        // thread, and only this thread could start another.
        unsafe { env::set_var(VARIABLE, "all+none") };
    }
}

/// A transport of tpm2-tss, opened by the TCTI string that names it.
pub(super) struct TctiLine(*mut TSS2_TCTI_CONTEXT);

// SAFETY: tpm2-tss's transports keep no thread-local state, and a line is used by the thread that holds it.
unsafe impl Send for TctiLine {}

type Initialize = unsafe extern "C" fn(*const c_char, *mut *mut TSS2_TCTI_CONTEXT) -> TSS2_RC;
type Finalize = unsafe extern "C" fn(*mut *mut TSS2_TCTI_CONTEXT);

impl TctiLine {
    /// Has tpm2-tss's loader find and open the transport.
    pub(super) fn open(tcti: &str) -> Result<Self, KeyError> {
        let loader = LOADER.get_or_init(|| open(TCTI_LOADER)).as_ref().map_err(|why| missing(why))?;
        let malformed = || KeyError::new(KeyErrorKind::Reference, "wanted a TCTI string, found one with a zero octet");
        let string = CString::new(tcti).map_err(|_| malformed())?;
        // SAFETY: the loader exports the symbol with this shape.
        let initialize = unsafe { loader.get::<Initialize>(b"Tss2_TctiLdr_Initialize\0") }
            .map_err(|error| missing(&error.to_string()))?;
        let mut context = ptr::null_mut();
        // SAFETY: the string ends in zero and outlives the call; the out pointer is valid.
        let code = unsafe { initialize(string.as_ptr(), &mut context) };
        if code != SUCCESS || context.is_null() {
            return Err(refused(code).with_code(format!("0x{code:08x} from Tss2_TctiLdr_Initialize")));
        }
        Ok(Self(context))
    }

    fn functions(&self) -> TSS2_TCTI_CONTEXT_COMMON_V1 {
        // SAFETY: the loader's contexts are aligned and begin with this table, which lives as long as the context.
        unsafe { ptr::read(self.0.cast()) }
    }
}

/// What the loader's code means to who wrote the TCTI string.
fn refused(code: TSS2_RC) -> KeyError {
    match code {
        TCTI_NOT_SUPPORTED => KeyError::new(
            KeyErrorKind::Unreachable,
            "tpm2-tss has no transport of this name, or its library is not installed",
        )
        .with_advice(Advice::Run { command: "ls /usr/lib/*/libtss2-tcti-*.so*".to_owned() }),
        TCTI_IO_ERROR => {
            KeyError::new(KeyErrorKind::Unreachable, "no TPM answers there, or this account may not reach it")
        }
        _ => KeyError::new(KeyErrorKind::Unreachable, "tpm2-tss cannot open the transport"),
    }
}

impl Line for TctiLine {
    fn transmit(&mut self, command: &[u8]) -> io::Result<()> {
        let transmit = self.functions().transmit.ok_or(io::ErrorKind::Unsupported)?;
        // SAFETY: the context is open; the command is valid for reading over its length.
        tcti_result(unsafe { transmit(self.0, command.len() as size_t, command.as_ptr()) })
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let receive = self.functions().receive.ok_or(io::ErrorKind::Unsupported)?;
        let mut response = vec![0; TPM2_MAX_RESPONSE_SIZE as usize];
        let mut size = response.len() as size_t;
        // SAFETY: the context is open; the buffer is valid for writing over `size` octets.
        tcti_result(unsafe { receive(self.0, &mut size, response.as_mut_ptr(), TSS2_TCTI_TIMEOUT_BLOCK) })?;
        response.truncate(size as usize);
        Ok(response)
    }
}

impl Drop for TctiLine {
    fn drop(&mut self) {
        let Some(Ok(loader)) = LOADER.get() else { return };
        // SAFETY: the loader exports the symbol with this shape; the context came from its Initialize and is not used again.
        unsafe {
            if let Ok(finalize) = loader.get::<Finalize>(b"Tss2_TctiLdr_Finalize\0") {
                finalize(&mut self.0);
            }
        }
    }
}

fn tcti_result(code: TSS2_RC) -> io::Result<()> {
    match code {
        SUCCESS => Ok(()),
        code => Err(io::Error::other(format!("the TCTI failed with 0x{code:08x}"))),
    }
}
