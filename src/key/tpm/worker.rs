//! Runs one piece of TPM work on a thread of its own and waits for it within the limit: a TPM that hangs in the kernel cannot
//! be interrupted, the program that waits for it can go on. Signals are put off meanwhile.

use std::fmt;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::super::device::DeviceOptions;
use super::super::error::{KeyError, KeyErrorKind};
use super::wire::WireLog;
use crate::process::signals::Deferral;

/// A silence after which the person is told (see [`Attendant::device_is_slow`](super::super::Attendant::device_is_slow)).
const SLOW: Duration = Duration::from_millis(500);

/// One piece of work at a time: a TPM without a resource manager has room for three objects, and one signature may need two.
#[derive(Clone, Default)]
pub(super) struct Turn(Arc<Mutex<()>>);

/// Does the work and waits for it; the error of a silent TPM names the command that it did not answer.
pub(super) fn run<T: Send + 'static>(
    options: &DeviceOptions,
    device: impl fmt::Display,
    turn: &Turn,
    work: impl FnOnce(Arc<WireLog>) -> T + Send + 'static,
) -> Result<T, KeyError> {
    // Nobody holds it longer than the limit.
    let _turn = turn.0.lock().unwrap_or_else(PoisonError::into_inner);
    let log = Arc::new(WireLog::default());
    let (sender, receiver) = mpsc::sync_channel(1);
    let _deferral = Deferral::begin();
    let spawned = thread::Builder::new().name("tpm".to_owned()).spawn({
        let log = Arc::clone(&log);
        move || {
            // Nobody listens any more where the limit has passed.
            let _ = sender.send(work(log));
        }
    });
    spawned.map_err(|source| {
        KeyError::new(KeyErrorKind::Device, "no thread could be started for the TPM").with_source(source)
    })?;
    let attendant = options.secrets.attendant();
    let outcome = receiver.recv_timeout(SLOW.min(options.limit)).or_else(|error| {
        if error == RecvTimeoutError::Disconnected {
            return Err(error);
        }
        attendant.device_is_slow(&device.to_string());
        let outcome = receiver.recv_timeout(options.limit.saturating_sub(SLOW));
        attendant.device_answered();
        outcome
    });
    outcome.map_err(|error| match error {
        RecvTimeoutError::Timeout => KeyError::new(
            KeyErrorKind::Timeout,
            format!("{device} did not answer {} within {} s", log.command(), options.limit.as_secs_f32()),
        ),
        RecvTimeoutError::Disconnected => KeyError::new(KeyErrorKind::Device, format!("the work of {device} failed")),
    })
}
