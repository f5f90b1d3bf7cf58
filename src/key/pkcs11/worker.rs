//! The thread that a module lives on, and the work that is sent to it. Knows nothing of what the work is.
//!
//! Login state belongs to the process and the token, sessions must not be shared between threads, and some modules crash in
//! parallel use: so each module has one thread, and everything else sends it work.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use super::super::device::DeviceOptions;
use super::super::error::{KeyError, KeyErrorKind};
use super::activity::Activity;
use super::module::Module;

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
        if self.activity.is_overdue() || sent && ended.recv_timeout(FAREWELL) == Err(RecvTimeoutError::Timeout) {
            log::debug!("{} was not finalised: it is still at work", self.activity.module());
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
