//! A tap on the line between a program and its TPM: sees each command and its response, and can hold one back, answer in the
//! TPM's place, or cut the line.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::Folder;

/// Command codes by which tests name commands.
pub const CREATE_PRIMARY: u32 = 0x131;
pub const LOAD: u32 = 0x157;
pub const SIGN: u32 = 0x15d;
pub const FLUSH_CONTEXT: u32 = 0x165;
pub const READ_PUBLIC: u32 = 0x173;
pub const START_AUTH_SESSION: u32 = 0x176;
pub const GET_CAPABILITY: u32 = 0x17a;

/// Response codes that ask for the command again.
const RESUBMIT: [u32; 3] = [0x908, 0x90a, 0x922];

/// What to do when a command of a kind comes by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Trick {
    /// Hold the response back until [`Tap::release`].
    Hold,
    /// Cut the line instead of sending the command.
    Cut,
    /// Answer with this code instead of asking the TPM, this many times.
    Answer { code: u32, times: u32 },
}

/// A command that went by.
#[derive(Clone, Debug)]
pub struct Seen {
    pub command: Vec<u8>,
    pub code: u32,
    pub response_code: u32,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    trick: Option<(u32, Trick)>,
    is_holding: bool,
    released: bool,
}

/// A tap that listens at a socket of its own.
pub struct Tap {
    folder: Folder,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Tap {
    /// A tap before the TPM at this socket.
    pub fn on(socket: &Path) -> Self {
        Self::with(socket, None)
    }

    /// A tap that plays a trick on the first command with this code.
    pub fn with_trick(socket: &Path, code: u32, trick: Trick) -> Self {
        Self::with(socket, Some((code, trick)))
    }

    fn with(socket: &Path, trick: Option<(u32, Trick)>) -> Self {
        let folder = Folder::new();
        let shared = Arc::new((Mutex::new(State { trick, ..State::default() }), Condvar::new()));
        let listener = UnixListener::bind(folder.join("tap")).unwrap();
        let (target, state) = (socket.to_owned(), Arc::clone(&shared));
        thread::spawn(move || {
            for program in listener.incoming() {
                let (Ok(program), Ok(tpm)) = (program, UnixStream::connect(&target)) else { continue };
                let _ = carry(program, tpm, &state);
            }
        });
        Self { folder, shared }
    }

    /// The socket to give to the program.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("tap")
    }

    pub fn tcti(&self) -> String {
        format!("device:{}", self.socket().display())
    }

    /// Every command so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.0.lock().unwrap().seen.clone()
    }

    /// The codes of the commands so far, without those that the TPM asked to send again; forgets them.
    pub fn take_codes(&self) -> Vec<u32> {
        let seen = std::mem::take(&mut self.shared.0.lock().unwrap().seen);
        seen.iter().filter(|seen| !RESUBMIT.contains(&seen.response_code)).map(|seen| seen.code).collect()
    }

    /// Waits until a response is being held back.
    pub fn wait_for_hold(&self) {
        let (state, changed) = &*self.shared;
        let _held = changed.wait_while(state.lock().unwrap(), |state| !state.is_holding).unwrap();
    }

    /// Lets the held response go.
    pub fn release(&self) {
        self.shared.0.lock().unwrap().released = true;
        self.shared.1.notify_all();
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.release();
    }
}

fn carry(mut program: UnixStream, mut tpm: UnixStream, shared: &(Mutex<State>, Condvar)) -> io::Result<()> {
    loop {
        let command = read_message(&mut program)?;
        let code = word_at(&command, 6);
        let trick = shared.0.lock().unwrap().trick.filter(|(of, _)| *of == code).map(|(_, trick)| trick);
        let response = match trick {
            Some(Trick::Cut) => return Ok(()),
            Some(Trick::Answer { code: answer, times }) => {
                let left = times - 1;
                shared.0.lock().unwrap().trick =
                    (left > 0).then_some((code, Trick::Answer { code: answer, times: left }));
                [&[0x80, 0x01, 0, 0, 0, 10], answer.to_be_bytes().as_slice()].concat()
            }
            Some(Trick::Hold) | None => {
                tpm.write_all(&command)?;
                read_message(&mut tpm)?
            }
        };
        let seen = Seen { command, code, response_code: word_at(&response, 6) };
        let mut state = shared.0.lock().unwrap();
        state.seen.push(seen);
        if trick == Some(Trick::Hold) {
            state.trick = None;
            state.is_holding = true;
            shared.1.notify_all();
            state = shared.1.wait_while(state, |state| !state.released).unwrap();
        }
        drop(state);
        program.write_all(&response)?;
    }
}

fn read_message(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; 10];
    stream.read_exact(&mut message)?;
    let size = word_at(&message, 2) as usize;
    message.resize(size, 0);
    stream.read_exact(&mut message[10..])?;
    Ok(message)
}

fn word_at(message: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(message[at..at + 4].try_into().unwrap())
}
