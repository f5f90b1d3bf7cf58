//! What a module's thread is doing, and the watch over it: the limit, the silence after which a device may want a touch, the
//! person at a keypad. Knows no call.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::super::device::DeviceOptions;
use super::super::error::{KeyError, KeyErrorKind};
use super::super::secret::{SecretRequest, Secrets};

/// After this long inside one call the person is told that the device may want a touch.
const SILENCE: Duration = Duration::from_millis(500);
/// How long a person may take at a device's own keypad: its timeouts are shorter.
const AT_THE_KEYPAD: Duration = Duration::from_secs(300);
/// How often a waiter looks while no call is running: the worker is at a prompt, or between two calls.
const BETWEEN_CALLS: Duration = Duration::from_millis(50);

/// What the module's thread is doing: written by that thread around each call, read by those who wait.
pub(super) struct Activity {
    secrets: Arc<Secrets>,
    module: String,
    limit: Duration,
    state: Mutex<State>,
}

struct State {
    call: Option<Call>,
    /// Time that the finished calls of this piece of work have taken.
    spent: Duration,
    /// What the person knows the device as.
    device: String,
    /// The person has been told that the device is slow.
    announced: bool,
}

#[derive(Clone, Copy)]
struct Call {
    name: &'static str,
    since: Instant,
    /// The call waits for a person at the device's keypad.
    at_keypad: bool,
}

impl Activity {
    pub(super) fn new(options: &DeviceOptions, module: String) -> Self {
        let state = State { call: None, spent: Duration::ZERO, device: module.clone(), announced: false };
        Self { secrets: Arc::clone(&options.secrets), module, limit: options.limit, state: Mutex::new(state) }
    }

    /// Names the device that the next calls concern.
    pub(super) fn about(&self, device: &str) {
        device.clone_into(&mut self.state().device);
    }

    /// Makes a call of the module that may take time.
    pub(super) fn call<T>(&self, name: &'static str, call: impl FnOnce() -> T) -> T {
        self.state().call = Some(Call { name, since: Instant::now(), at_keypad: false });
        let outcome = call();
        self.leave();
        outcome
    }

    /// Makes a call during which a person enters the secret at the device's own keypad.
    pub(super) fn call_at_keypad<T>(
        &self,
        name: &'static str,
        request: &SecretRequest<'_>,
        call: impl FnOnce() -> T,
    ) -> T {
        self.secrets.attendant().enter_on_device(request);
        let mut state = self.state();
        state.call = Some(Call { name, since: Instant::now(), at_keypad: true });
        state.announced = true;
        drop(state);
        let outcome = call();
        self.leave();
        outcome
    }

    fn leave(&self) {
        let mut state = self.state();
        if let Some(call) = state.call.take() {
            let took = call.since.elapsed();
            log::debug!("{} took {:.1} ms", call.name, took.as_secs_f64() * 1e3);
            if !call.at_keypad {
                state.spent += took;
            }
        }
        // Under the lock, so that it cannot overtake the announcement that it takes back.
        if std::mem::take(&mut state.announced) {
            self.secrets.attendant().device_answered();
        }
    }

    /// A new piece of work begins, with the whole limit before it.
    pub(super) fn begin(&self) {
        self.state().spent = Duration::ZERO;
    }

    /// Waits for what the module's thread gives, as long as its calls are within the limit.
    pub(super) fn wait<T>(&self, result: &Receiver<Result<T, KeyError>>) -> Result<T, KeyError> {
        loop {
            match result.recv_timeout(self.look()?) {
                Ok(outcome) => return outcome,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
            }
        }
    }

    /// Whether a call has taken longer than it may.
    pub(super) fn is_overdue(&self) -> bool {
        self.look().is_err()
    }

    /// The module as people know it.
    pub(super) fn module(&self) -> &str {
        &self.module
    }

    /// Tells the person of a slow device, fails when the time is over, and says when to look again.
    fn look(&self) -> Result<Duration, KeyError> {
        let mut state = self.state();
        let Some(call) = state.call else { return Ok(BETWEEN_CALLS) };
        let running = call.since.elapsed();
        let left = match call.at_keypad {
            true => AT_THE_KEYPAD.checked_sub(running),
            false => self.limit.checked_sub(state.spent + running),
        };
        let Some(left) = left.filter(|left| !left.is_zero()) else {
            let error = self.overdue(&state.device, call);
            if std::mem::take(&mut state.announced) {
                self.secrets.attendant().device_answered();
            }
            return Err(error);
        };
        if state.announced {
            return Ok(left);
        }
        match SILENCE.checked_sub(running) {
            Some(silent) if !silent.is_zero() => Ok(left.min(silent)),
            _ => {
                self.secrets.attendant().device_is_slow(&state.device);
                state.announced = true;
                Ok(left)
            }
        }
    }

    fn overdue(&self, device: &str, call: Call) -> KeyError {
        let limit = if call.at_keypad { AT_THE_KEYPAD } else { self.limit };
        let of_module = if device == self.module { String::new() } else { format!(" of {}", self.module) };
        KeyError::new(
            KeyErrorKind::Timeout,
            format!(
                "wanted an answer from {device} within {} s, {}{of_module} has not returned",
                limit.as_secs_f64(),
                call.name
            ),
        )
    }

    /// The module's thread is gone.
    pub(super) fn ended(&self) -> KeyError {
        KeyError::new(KeyErrorKind::Device, format!("the thread of {} has ended", self.module))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole at every moment: a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
