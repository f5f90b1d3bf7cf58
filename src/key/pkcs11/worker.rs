//! The thread that a module lives on, and those who wait for it with a limit. Knows nothing of what the work is.
//!
//! Login state belongs to the process and the token, sessions must not be shared between threads, and some modules crash in
//! parallel use: so each module has one thread, and everything else sends it work.

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::super::device::DeviceOptions;
use super::super::error::{KeyError, KeyErrorKind};
use super::super::secret::{SecretRequest, Secrets};
use super::module::Module;

/// After this long inside one call the person is told that the device may want a touch.
const SILENCE: Duration = Duration::from_millis(500);
/// How long a person may take at a device's own keypad: its timeouts are shorter.
const AT_THE_KEYPAD: Duration = Duration::from_secs(300);
/// How often a waiter looks while no call is running: the worker is at a prompt, or between two calls.
const BETWEEN_CALLS: Duration = Duration::from_millis(50);
/// How long C_Finalize may take before the program ends without it.
const FAREWELL: Duration = Duration::from_secs(3);

type Job = Box<dyn FnOnce(&mut Module) + Send>;

enum Message {
    Work(Job),
    End(Sender<()>),
}

/// A handle on a module's thread. Dropping it leaves the thread waiting; [`end`](Self::end) finalises the module.
pub(super) struct Worker {
    messages: Sender<Message>,
    activity: Arc<Activity>,
}

impl Worker {
    /// Starts the thread, loads the module on it and initialises it.
    pub(super) fn start(path: PathBuf, options: DeviceOptions) -> Result<Self, KeyError> {
        let (messages, inbox) = mpsc::channel();
        let (answer, loaded) = mpsc::sync_channel(1);
        let activity = Arc::new(Activity::new(&options, path.display().to_string()));
        let watched = Arc::clone(&activity);
        let body = move || match Module::load(path, options, watched) {
            Ok(mut module) => {
                // Whoever waited may have given up.
                let _ = answer.send(Ok(()));
                serve(&mut module, &inbox);
            }
            Err(error) => {
                let _ = answer.send(Err(error));
            }
        };
        thread::Builder::new().name("pkcs11".to_owned()).spawn(body).map_err(|error| {
            KeyError::new(KeyErrorKind::Unreachable, "cannot start a thread for the PKCS#11 module").with_source(error)
        })?;
        activity.wait(&loaded)?;
        Ok(Self { messages, activity })
    }

    /// Runs this on the module's thread and waits for what it gives.
    ///
    /// Fails with [`KeyErrorKind::Timeout`] when the module's calls have taken longer than the limit together; the work is
    /// then left to itself.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Module) -> Result<T, KeyError> + Send + 'static,
    ) -> Result<T, KeyError> {
        let (answer, result) = mpsc::sync_channel(1);
        let job: Job = Box::new(move |module| {
            let _ = answer.send(work(module));
        });
        self.messages.send(Message::Work(job)).map_err(|_| self.activity.ended())?;
        self.activity.wait(&result)
    }

    /// Has the module finalised, and waits for that a little while; not at all where a call is overdue already.
    pub(super) fn end(&self) {
        let (answer, ended) = mpsc::channel();
        let sent = self.messages.send(Message::End(answer)).is_ok();
        if self.activity.look().is_err() || sent && ended.recv_timeout(FAREWELL) == Err(RecvTimeoutError::Timeout) {
            log::debug!("{} was not finalised: it is still at work", self.activity.module);
        }
    }
}

fn serve(module: &mut Module, inbox: &Receiver<Message>) {
    while let Ok(message) = inbox.recv() {
        match message {
            Message::Work(job) => {
                module.activity().begin();
                job(module);
            }
            Message::End(answer) => {
                module.finalize();
                let _ = answer.send(());
                return;
            }
        }
    }
}

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
    fn new(options: &DeviceOptions, module: String) -> Self {
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

    fn begin(&self) {
        self.state().spent = Duration::ZERO;
    }

    fn wait<T>(&self, result: &Receiver<Result<T, KeyError>>) -> Result<T, KeyError> {
        loop {
            match result.recv_timeout(self.look()?) {
                Ok(outcome) => return outcome,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
            }
        }
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

    fn ended(&self) -> KeyError {
        KeyError::new(KeyErrorKind::Device, format!("the thread of {} has ended", self.module))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole at every moment: a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
