//! The person at the terminal: prompts without echo and passing notes, on /dev/tty, so that stdin and stdout stay the data's.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::sync::Mutex;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::key::{Attendant, Secret, SecretKind, SecretRequest};
use crate::process::signals::{self, Deferral};

/// Longest secret that can be typed.
const LONGEST_LINE: usize = 1024;

/// How long a signal may wait for the next look.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Erases the line that the cursor is in.
const ERASE_LINE: &[u8] = b"\r\x1b[K";

/// The controlling terminal of this process, opened when there is something to say.
pub struct Terminal {
    /// The terminal while a passing note stands on it.
    note: Mutex<Option<File>>,
}

impl Terminal {
    /// Nothing is opened yet.
    pub fn new() -> Self {
        Self { note: Mutex::new(None) }
    }

    fn show_note(&self, text: &str) {
        let Ok(mut note) = self.note.lock() else { return };
        let Ok(mut terminal) = open() else { return };
        if terminal.write_all(text.as_bytes()).is_ok() {
            *note = Some(terminal);
        }
    }
}

impl Attendant for Terminal {
    fn ask(&self, request: &SecretRequest<'_>) -> io::Result<Option<Secret>> {
        let Ok(terminal) = open() else { return Ok(None) };
        let warning = request.warning.map(|warning| format!(" ({warning})")).unwrap_or_default();
        // A signal that ends the process waits until the terminal is as it was.
        let _deferral = Deferral::at_prompt();
        // Quiet before the prompt: whoever sees it may type at once.
        let quiet = Quiet::start(&terminal)?;
        write!(&terminal, "{} for {}{warning}: ", capitalised(request.kind), request.device)?;
        let line = read_line(&mut Keys(&terminal));
        drop(quiet);
        (&terminal).write_all(b"\n")?;
        line.map(Some)
    }

    fn enter_on_device(&self, request: &SecretRequest<'_>) {
        self.show_note(&format!("Type the {} on the keypad of {} …", request.kind, request.device));
    }

    fn device_is_slow(&self, device: &str) {
        self.show_note(&format!("Waiting for {device}: it may want a touch …"));
    }

    fn device_answered(&self) {
        let Ok(mut note) = self.note.lock() else { return };
        if let Some(mut terminal) = note.take() {
            // A terminal that went away needs no erasing.
            let _ = terminal.write_all(ERASE_LINE);
        }
    }
}

/// A process without a controlling terminal gets ENXIO here.
fn open() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/tty")
}

fn capitalised(kind: SecretKind) -> String {
    let words = kind.to_string();
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The terminal without echo, until dropped. Signals from keys are off too, so that [`read_line`] sees the interrupt key and the
/// failure says what was asked for.
struct Quiet<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Quiet<'a> {
    fn start(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(terminal, OptionalActions::Now, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        // Nothing can be done for a terminal that refuses its own settings.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

/// The keys as they are pressed, until a signal wants the process to end.
struct Keys<'a>(&'a File);

impl Read for Keys<'_> {
    fn read(&mut self, keys: &mut [u8]) -> io::Result<usize> {
        while !signals::is_pending() {
            let mut terminal = [PollFd::new(self.0, PollFlags::IN)];
            match poll(&mut terminal, Some(&GLANCE)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return (&mut &*self.0).read(keys),
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }
}

/// Reads keys until the line ends, with the line editing that people expect of a password prompt.
fn read_line(terminal: &mut impl Read) -> io::Result<Secret> {
    const INTERRUPT: u8 = 0x03;
    const END: u8 = 0x04;
    const KILL_LINE: u8 = 0x15;
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST_LINE));
    let mut key = Zeroizing::new([0u8; 1]);
    loop {
        if terminal.read(key.as_mut_slice())? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match *key {
            [b'\r' | b'\n'] => break,
            [INTERRUPT] => return Err(io::ErrorKind::Interrupted.into()),
            [END] if line.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            [0x08 | 0x7f] => {
                line.pop();
            }
            [KILL_LINE] => line.clear(),
            [_] if line.len() == LONGEST_LINE => return Err(io::ErrorKind::InvalidData.into()),
            [octet] => line.push(octet),
        }
    }
    Ok(Secret::new(std::mem::take(&mut *line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &str) -> io::Result<Vec<u8>> {
        read_line(&mut keys.as_bytes()).map(|secret| secret.expose().to_vec())
    }

    #[test]
    fn a_line_can_be_corrected_before_it_is_entered() {
        assert_eq!(typed("12x\u{7f}3\r").unwrap(), b"123");
        assert_eq!(typed("wrong\u{15}123\n").unwrap(), b"123");
        assert_eq!(typed("\r").unwrap(), b"");
    }

    #[test]
    fn interrupt_and_end_of_file_enter_nothing() {
        assert_eq!(typed("12\u{3}").unwrap_err().kind(), io::ErrorKind::Interrupted);
        assert_eq!(typed("\u{4}").unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(typed("12").unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn an_endless_line_ends() {
        assert!(typed(&"1".repeat(LONGEST_LINE + 1)).is_err());
    }
}
