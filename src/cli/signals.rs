//! The signals of a command that lives until it is told to end: SIGTERM and SIGINT end it, SIGHUP has it refresh.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, FailureKind};
use crate::process::{end, signals};
use crate::vend::update::Wake;

/// How long what is under way may take once the process is to end: a service manager is to see it ended within two seconds.
const FAREWELL: Duration = Duration::from_millis(1500);

/// Signals, from now on.
pub struct Signals {
    /// What they ask for.
    pub wakes: Receiver<Wake>,
    ending: Arc<AtomicBool>,
}

impl Signals {
    /// Starts a thread that hears them. It ends the process with 0 where that has not ended by itself soon after it was told to.
    pub fn watch() -> Result<Self, Failure> {
        let (sender, wakes) = channel();
        let (ready, is_ready) = sync_channel(1);
        let ending = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ending);
        let failed = |error: io::Error| Failure::new(FailureKind::Other, format!("cannot watch for signals: {error}"));
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                let outcome = hear(&sender, &told, || ready.send(Ok(())).is_ok());
                // Whoever has heard that all is ready does not wait for more.
                let _ = ready.send(outcome);
            })
            .map_err(failed)?;
        is_ready.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into())).map_err(failed)?;
        Ok(Self { wakes, ending })
    }

    /// A handle that tells whether the process is to end.
    pub fn ending(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.ending)
    }
}

fn hear(wakes: &Sender<Wake>, ending: &AtomicBool, ready: impl FnOnce() -> bool) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut hang_up = signal(SignalKind::hangup())?;
        ready();
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hang_up.recv() => {
                    // Nobody listens any more while the process ends.
                    let _ = wakes.send(Wake::Reload);
                }
            }
        }
        io::Result::Ok(())
    })?;
    let deadline = Instant::now() + FAREWELL;
    ending.store(true, Ordering::Relaxed);
    let _ = wakes.send(Wake::End);
    signals::finish(FAREWELL);
    thread::sleep(deadline.saturating_duration_since(Instant::now()));
    end::process(0)
}
