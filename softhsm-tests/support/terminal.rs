//! A command on a pseudo-terminal that a test looks at and types into, so that prompts can be tested without a person.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::Folder;
use super::command::{Outcome, Running};

/// What the terminal has received, and the news that more has come.
type Screen = Arc<(Mutex<Shown>, Condvar)>;

#[derive(Default)]
struct Shown {
    octets: Vec<u8>,
    /// The last process has left the terminal.
    closed: bool,
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.octets))
    }
}

/// A command that runs on a terminal of its own.
pub struct Terminal {
    running: Running,
    keyboard: File,
    screen: Screen,
    /// Up to here the screen has been looked at.
    seen: usize,
}

impl Terminal {
    #[track_caller]
    pub(super) fn spawn(mut command: Command, line: String, limit: Duration, home: Folder) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        command.stdin(slave.try_clone().unwrap()).stderr(slave).stdout(Stdio::piped());
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot run {line}: {error}"));
        let keyboard = File::from(master);
        let screen = watch(keyboard.try_clone().unwrap());
        Self { running: Running::new(line, limit, child, home), keyboard, screen, seen: 0 }
    }

    /// Waits until the text has appeared after what was seen before.
    #[track_caller]
    pub fn sees(&mut self, wanted: &str) -> &mut Self {
        let text = wanted.as_bytes();
        let seen = self.seen;
        let position = |octets: &[u8]| octets[seen..].windows(text.len()).position(|window| window == text);
        let shown = wait_until(&self.screen, self.running.deadline(), |shown| {
            shown.closed || position(&shown.octets).is_some()
        });
        let Some(at) = position(&shown.octets) else { panic!("the terminal never showed '{wanted}':\n{shown}") };
        drop(shown);
        self.seen += at + text.len();
        self
    }

    /// Types a line and the return key.
    pub fn types(&mut self, line: &str) -> &mut Self {
        self.keyboard.write_all(format!("{line}\n").as_bytes()).unwrap();
        self
    }

    /// Types something that is no line, such as `\x03` for Ctrl-C.
    pub fn presses(&mut self, keys: &str) -> &mut Self {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self
    }

    /// Sends a signal to all that run on the terminal.
    pub fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    /// Waits for the end; what the terminal showed becomes the outcome's stderr.
    #[track_caller]
    pub fn wait(self) -> Outcome {
        let Self { running, keyboard, screen, .. } = self;
        let deadline = running.deadline();
        let mut outcome = running.wait();
        let shown = wait_until(&screen, deadline, |shown| shown.closed);
        outcome.stderr = shown.to_string();
        drop(keyboard);
        outcome
    }
}

/// The screen as soon as it is as wanted, or when the time is over.
fn wait_until(screen: &Screen, deadline: Instant, wanted: impl Fn(&Shown) -> bool) -> MutexGuard<'_, Shown> {
    let left = deadline.saturating_duration_since(Instant::now());
    let (shown, more) = &**screen;
    more.wait_timeout_while(shown.lock().unwrap(), left, |shown| !wanted(shown)).unwrap().0
}

/// Collects what appears, until the last process has left the terminal.
fn watch(mut master: File) -> Screen {
    let screen = Screen::default();
    let filled = Arc::clone(&screen);
    thread::spawn(move || {
        let mut piece = [0; 4096];
        // Reading fails with EIO once nobody has the other side open.
        while let Ok(count @ 1..) = master.read(&mut piece) {
            filled.0.lock().unwrap().octets.extend_from_slice(&piece[..count]);
            filled.1.notify_all();
        }
        filled.0.lock().unwrap().closed = true;
        filled.1.notify_all();
    });
    screen
}
