//! What every command passes on its way to the TPM: the one place that sees them all. It names the command for messages,
//! paces resubmission, keeps public areas that were read, lets nothing but clean-up pass after a signal, and at the end takes
//! out what was put into the TPM and is still there.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::error::ResponseCode;
use super::handle::Handle;
use super::line::Line;
use super::marshal::Reader;
use crate::process::signals;

const ST_NO_SESSIONS: u16 = 0x8001;
const CC_CREATE_PRIMARY: u32 = 0x131;
const CC_LOAD: u32 = 0x157;
const CC_FLUSH_CONTEXT: u32 = 0x165;
const CC_READ_PUBLIC: u32 = 0x173;
const CC_START_AUTH_SESSION: u32 = 0x176;

/// First pause before a command that was answered RETRY, YIELDED or TESTING comes again; it doubles each time. ESYS sends a
/// command five times at most, at once; with these pauses a TPM has most of a second to get ready.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// What is known of the work on the other side of libtss2; shared with whoever waits for it.
#[derive(Debug, Default)]
pub(super) struct WireLog {
    command: AtomicU32,
    code: AtomicU32,
    failure: Mutex<Option<io::Error>>,
    /// Responses to ReadPublic by handle.
    public_areas: Mutex<HashMap<u32, Vec<u8>>>,
}

impl WireLog {
    /// The command that was sent last.
    pub(super) fn command(&self) -> &'static str {
        command_name(self.command.load(Ordering::Relaxed))
    }

    /// The code of the last response; `None` for success.
    pub(super) fn code(&self) -> Option<ResponseCode> {
        ResponseCode::new(self.code.load(Ordering::Relaxed))
    }

    /// Why the line broke, once.
    pub(super) fn take_failure(&self) -> Option<io::Error> {
        locked(&self.failure).take()
    }

    /// The TPM's response to ReadPublic of this handle, which ESYS asked for and keeps to itself.
    pub(super) fn read_public_response(&self, handle: u32) -> Option<Vec<u8>> {
        locked(&self.public_areas).get(&handle).cloned()
    }

    /// Lets this response answer ReadPublic of the handle, so that a later context need not ask the TPM again.
    pub(super) fn remember(&self, handle: u32, response: Vec<u8>) {
        locked(&self.public_areas).insert(handle, response);
    }

    /// Forgets the outcome of the command before.
    pub(super) fn reset(&self) {
        self.code.store(0, Ordering::Relaxed);
        locked(&self.failure).take();
    }
}

/// The line to one TPM, as libtss2 sees it.
pub(super) struct Wire {
    line: Box<dyn Line>,
    log: Arc<WireLog>,
    /// A response that ESYS has not collected yet.
    response: Option<Vec<u8>>,
    /// The command that was transmitted last.
    current: Command,
    /// Handles of ours that are loaded or started.
    present: Vec<u32>,
    is_broken: bool,
    sent: Instant,
    pause: Duration,
}

impl Wire {
    pub(super) fn new(line: Box<dyn Line>, log: Arc<WireLog>) -> Self {
        Self {
            line,
            log,
            response: None,
            current: Command::default(),
            present: Vec::new(),
            is_broken: false,
            sent: Instant::now(),
            pause: FIRST_PAUSE,
        }
    }

    /// Sends a command, or answers it from memory where it asks for a public area that is known.
    pub(super) fn transmit(&mut self, command: &[u8]) -> Result<(), ()> {
        self.current = Command::parse(command).unwrap_or_default();
        self.log.command.store(self.current.code, Ordering::Relaxed);
        self.log.code.store(0, Ordering::Relaxed);
        if signals::is_pending() && self.current.code != CC_FLUSH_CONTEXT {
            // As a response, since ESYS can do nothing more after a line that failed, and is to clean up.
            self.log.code.store(ResponseCode::CANCELED, Ordering::Relaxed);
            self.response = Some(refusal(ResponseCode::CANCELED));
            return Ok(());
        }
        self.response = self.current.public_of().and_then(|handle| self.log.read_public_response(handle));
        if self.response.is_some() {
            return Ok(());
        }
        self.sent = Instant::now();
        self.line.transmit(command).or_else(|error| self.fail(error))
    }

    /// The response, waited for if it has not come yet. It stays until [`collected`](Self::collected).
    pub(super) fn receive(&mut self) -> Result<&[u8], ()> {
        if self.response.is_none() {
            match self.line.receive() {
                Ok(response) => self.take_in(response),
                Err(error) => return self.fail(error),
            }
        }
        self.response.as_deref().ok_or(())
    }

    /// ESYS has copied the response.
    pub(super) fn collected(&mut self) {
        self.response = None;
    }

    fn take_in(&mut self, response: Vec<u8>) {
        let code = response_code(&response).unwrap_or_default();
        self.log.code.store(code, Ordering::Relaxed);
        log::debug!("{}: 0x{code:03x} after {:.1} ms", self.log.command(), self.sent.elapsed().as_secs_f64() * 1000.0);
        let base = ResponseCode::new(code).map_or(0, ResponseCode::base);
        if matches!(base, ResponseCode::RETRY | ResponseCode::YIELDED | ResponseCode::TESTING) {
            thread::sleep(self.pause);
            self.pause *= 2;
        } else {
            self.pause = FIRST_PAUSE;
        }
        if code == 0 {
            self.note_success(&response);
        }
        self.response = Some(response);
    }

    fn note_success(&mut self, response: &[u8]) {
        match self.current.code {
            CC_CREATE_PRIMARY | CC_LOAD | CC_START_AUTH_SESSION => self.present.extend(response_handle(response)),
            CC_FLUSH_CONTEXT => self.present.retain(|handle| Some(*handle) != self.current.handle),
            _ => {}
        }
        if let Some(handle) = self.current.public_of() {
            self.log.remember(handle, response.to_vec());
        }
    }

    fn fail<T>(&mut self, error: io::Error) -> Result<T, ()> {
        self.is_broken = true;
        log::debug!("{}: {error}", self.log.command());
        *locked(&self.log.failure) = Some(error);
        Err(())
    }
}

impl Drop for Wire {
    /// libtss2 flushes what it knows before this; after some failures it knows nothing any more.
    fn drop(&mut self) {
        if self.is_broken {
            return;
        }
        for handle in std::mem::take(&mut self.present) {
            let command = flush_context(handle);
            if self.line.transmit(&command).and_then(|()| self.line.receive()).is_err() {
                return;
            }
        }
    }
}

/// What matters here of a command.
#[derive(Clone, Copy, Default)]
struct Command {
    tag: u16,
    code: u32,
    /// The first handle, or for FlushContext the parameter that is one.
    handle: Option<u32>,
}

impl Command {
    fn parse(command: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(command);
        let tag = reader.u16()?;
        let _size = reader.u32()?;
        Some(Self { tag, code: reader.u32()?, handle: reader.u32() })
    }

    /// The persistent handle whose public area it asks for, without a session. Transient handles are given out again, so that
    /// what was read there is not to be kept.
    fn public_of(self) -> Option<u32> {
        self.handle.filter(|handle| {
            self.code == CC_READ_PUBLIC && self.tag == ST_NO_SESSIONS && Handle::from_number(*handle).is_some()
        })
    }
}

/// A response of nothing but this code.
fn refusal(code: u32) -> Vec<u8> {
    [&ST_NO_SESSIONS.to_be_bytes()[..], &10u32.to_be_bytes(), &code.to_be_bytes()].concat()
}

fn flush_context(handle: u32) -> Vec<u8> {
    [&ST_NO_SESSIONS.to_be_bytes()[..], &14u32.to_be_bytes(), &CC_FLUSH_CONTEXT.to_be_bytes(), &handle.to_be_bytes()]
        .concat()
}

fn response_code(response: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(response);
    reader.take(6)?;
    reader.u32()
}

/// The handle that a response gives, which follows its code.
fn response_handle(response: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(response);
    reader.take(10)?;
    reader.u32()
}

/// The TPMT_PUBLIC in a response to ReadPublic.
pub(super) fn public_area(response: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(response);
    // Tag, size, code.
    reader.take(10)?;
    reader.sized()
}

/// What was stored before a thread failed is still whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn command_name(code: u32) -> &'static str {
    match code {
        0 => "opening the TPM",
        0x120 => "TPM2_EvictControl",
        0x131 => "TPM2_CreatePrimary",
        0x153 => "TPM2_Create",
        0x156 => "TPM2_Import",
        0x157 => "TPM2_Load",
        0x15d => "TPM2_Sign",
        0x165 => "TPM2_FlushContext",
        0x16b => "TPM2_PolicyAuthValue",
        0x16c => "TPM2_PolicyCommandCode",
        0x173 => "TPM2_ReadPublic",
        0x176 => "TPM2_StartAuthSession",
        0x17a => "TPM2_GetCapability",
        0x17e => "TPM2_PCR_Read",
        0x17f => "TPM2_PolicyPCR",
        _ => "a TPM command",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every command with the same response and counts them.
    struct Parrot(Vec<u8>, Arc<AtomicU32>);

    impl Line for Parrot {
        fn transmit(&mut self, _: &[u8]) -> io::Result<()> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
        fn receive(&mut self) -> io::Result<Vec<u8>> {
            Ok(self.0.clone())
        }
    }

    fn read_public(handle: u32) -> Vec<u8> {
        [&[0x80, 0x01, 0, 0, 0, 14, 0, 0, 0x01, 0x73], handle.to_be_bytes().as_slice()].concat()
    }

    /// How many of two ReadPublic of this handle reach the TPM, which answers with this code.
    fn commands_sent(handle: u32, code: u32) -> u32 {
        let response = [&[0x80, 0x01, 0, 0, 0, 12], code.to_be_bytes().as_slice(), &[0, 0]].concat();
        let count = Arc::new(AtomicU32::new(0));
        let mut wire = Wire::new(Box::new(Parrot(response.clone(), Arc::clone(&count))), Arc::default());
        for _ in 0..2 {
            wire.transmit(&read_public(handle)).unwrap();
            assert_eq!(wire.receive().unwrap(), response);
            wire.collected();
        }
        count.load(Ordering::Relaxed)
    }

    #[test]
    fn a_persistent_public_area_is_read_once() {
        assert_eq!(commands_sent(0x8100_0001, 0), 1);
    }

    #[test]
    fn what_is_loaded_and_not_flushed_is_flushed_at_the_end() {
        let response = [&[0x80, 0x01, 0, 0, 0, 14, 0, 0, 0, 0], 0x8000_0001u32.to_be_bytes().as_slice()].concat();
        let load = [&[0x80, 0x02, 0, 0, 0, 10], CC_LOAD.to_be_bytes().as_slice()].concat();
        for (flushed_by_esys, wanted) in [(false, 2), (true, 2)] {
            let count = Arc::new(AtomicU32::new(0));
            let mut wire = Wire::new(Box::new(Parrot(response.clone(), Arc::clone(&count))), Arc::default());
            let mut commands = vec![load.clone()];
            commands.extend(flushed_by_esys.then(|| flush_context(0x8000_0001)));
            for command in commands {
                wire.transmit(&command).unwrap();
                wire.receive().unwrap();
                wire.collected();
            }
            drop(wire);
            assert_eq!(count.load(Ordering::Relaxed), wanted);
        }
    }

    #[test]
    fn a_transient_area_or_a_refusal_is_not_kept() {
        assert_eq!(commands_sent(0x8000_0001, 0), 2);
        assert_eq!(commands_sent(0x8100_0001, 0x18b), 2);
    }
}
