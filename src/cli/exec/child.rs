//! A command that runs beside this process: signals that come here are meant for it.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getpgrp, kill_process, waitid};
use rustix::termios::tcgetpgrp;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What is passed on.
const SIGNALS: [Signal; 6] = [Signal::TERM, Signal::INT, Signal::QUIT, Signal::HUP, Signal::USR1, Signal::USR2];

/// Runs the command to its end. Its signals are heard before it is started: none is lost.
pub fn run(command: &mut Command) -> io::Result<ExitStatus> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let signals = hear(&runtime)?;
    let mut child = command.spawn()?;
    // Known to be there as long as this is locked and not empty: its number cannot be another's.
    let running = Arc::new(Mutex::new(Some(Pid::from_child(&child))));
    let told = Arc::clone(&running);
    thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(pass_on(signals, &told)))?;
    wait(&mut child, &running)
}

fn hear(runtime: &Runtime) -> io::Result<UnboundedReceiver<Signal>> {
    let (sender, signals) = unbounded_channel();
    let _inside = runtime.enter();
    for kind in SIGNALS {
        runtime.spawn(forward(kind, signal(SignalKind::from_raw(kind.as_raw()))?, sender.clone()));
    }
    Ok(signals)
}

async fn forward(kind: Signal, mut heard: tokio::signal::unix::Signal, signals: UnboundedSender<Signal>) {
    while heard.recv().await.is_some() && signals.send(kind).is_ok() {}
}

async fn pass_on(mut signals: UnboundedReceiver<Signal>, running: &Mutex<Option<Pid>>) {
    while let Some(signal) = signals.recv().await {
        // What was typed on a terminal has reached the command already: it is in the same group.
        if matches!(signal, Signal::INT | Signal::QUIT) && is_in_foreground() {
            continue;
        }
        if let Some(pid) = *running.lock().unwrap_or_else(PoisonError::into_inner) {
            // One that has just ended needs no signal.
            let _ = kill_process(pid, signal);
        }
    }
}

fn is_in_foreground() -> bool {
    std::fs::File::open("/dev/tty").is_ok_and(|terminal| tcgetpgrp(terminal).is_ok_and(|group| group == getpgrp()))
}

/// Its number is free for others once it was waited for; until then nobody sends it anything more.
fn wait(child: &mut Child, running: &Mutex<Option<Pid>>) -> io::Result<ExitStatus> {
    let pid = Pid::from_child(child);
    while let Err(error) = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
        if error != rustix::io::Errno::INTR {
            return Err(error.into());
        }
    }
    *running.lock().unwrap_or_else(PoisonError::into_inner) = None;
    child.wait()
}
