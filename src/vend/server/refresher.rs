//! Gets new credentials before the old ones are old: one thread for each role, so that there is one refresh of a role at a time
//! and never one in a request. What failed is said and tried again; what is still valid is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::super::source::{Vend, VendError};
use super::clients::Shared;
use super::document;
use super::error::ServeError;
use super::metrics::Metrics;
use super::options::{Pace, RoleSource};
use super::setup::role_name;
use super::state::{State, Unavailable};

/// Whatever a pace says, there are no more refreshes than these.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// A machine that slept has slept through its timers: the time of day is looked at this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(20);

/// How long a refresh that is under way at the end may take: a signature may have to put its device in order again. With the
/// rest this is under the two seconds in which a service is to end.
const LAST_REFRESH: Duration = Duration::from_millis(1500);

/// The threads that refresh, one for each role. They end after what they do when this is dropped, which waits for that within a
/// limit.
#[derive(Default)]
pub struct Refreshers {
    refreshers: Vec<Refresher>,
    /// No refresh begins once this is set, though somebody asked for one.
    stopping: Arc<AtomicBool>,
}

struct Refresher {
    nudges: Sender<oneshot::Sender<()>>,
    thread: JoinHandle<()>,
}

/// How the first refresh of a role will have gone.
pub struct FirstOutcome {
    /// Name of the role.
    pub role: String,
    /// Its first outcome.
    pub outcome: oneshot::Receiver<Result<(), VendError>>,
}

impl Refreshers {
    /// Starts a thread for each role, which refreshes at once; and ends if that fails, unless it is to keep trying.
    pub fn start(
        &mut self,
        roles: Vec<RoleSource>,
        keep_trying: bool,
        shared: &Shared,
    ) -> Result<Vec<FirstOutcome>, ServeError> {
        let mut outcomes = Vec::new();
        for (index, role) in roles.into_iter().enumerate() {
            let name = role_name(&role.role_arn)?.to_owned();
            let (first, outcome) = oneshot::channel();
            let (nudges, nudged) = mpsc::channel();
            outcomes.push(FirstOutcome { role: name.clone(), outcome });
            let work = Work {
                index,
                name,
                arn: role.role_arn,
                vend: role.vend,
                pace: role.pace,
                keep_trying,
                expires: None,
                stopping: Arc::clone(&self.stopping),
                state: Arc::clone(&shared.state),
                metrics: Arc::clone(&shared.metrics),
            };
            let thread = thread::Builder::new()
                .name(format!("refresh-{index}"))
                .spawn(move || work.run(first, &nudged))
                .map_err(ServeError::System)?;
            self.refreshers.push(Refresher { nudges, thread });
        }
        Ok(outcomes)
    }

    /// Has every role refreshed now, or once more after a refresh that is under way. Ends when that is done.
    pub fn nudge(&self) -> impl Future<Output = ()> + Send + 'static {
        let nudge = |refresher: &Refresher| {
            let (done, receiver) = oneshot::channel();
            // A thread that has ended drops the other end, which ends the receiver.
            let _ = refresher.nudges.send(done);
            receiver
        };
        let all: Vec<_> = self.refreshers.iter().map(nudge).collect();
        async move {
            for one in all {
                let _ = one.await;
            }
        }
    }
}

impl Drop for Refreshers {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + LAST_REFRESH;
        let threads: Vec<_> = self.refreshers.drain(..).map(|refresher| refresher.thread).collect();
        while !threads.iter().all(JoinHandle::is_finished) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What a thread works on.
struct Work {
    /// Index of the role in the state and the metrics.
    index: usize,
    name: String,
    arn: String,
    vend: Box<dyn Vend>,
    pace: Box<dyn Pace>,
    keep_trying: bool,
    /// End of the last good credentials.
    expires: Option<Timestamp>,
    stopping: Arc<AtomicBool>,
    state: Arc<State>,
    metrics: Arc<Metrics>,
}

impl Work {
    fn run(mut self, first: oneshot::Sender<Result<(), VendError>>, nudged: &Receiver<oneshot::Sender<()>>) {
        let outcome = self.refresh();
        if outcome.is_err() && !self.keep_trying {
            // Whoever started this says so; there is no next try.
            let _ = first.send(outcome.map(|_| ()));
            return;
        }
        let mut wait = self.plan(&outcome);
        let _ = first.send(outcome.map(|_| ()));
        loop {
            let mut waiting = match sleep(nudged, wait) {
                Wake::Due => Vec::new(),
                Wake::Nudged(done) => vec![done],
                Wake::Stopped => return,
            };
            // Those who asked meanwhile are served by the same refresh.
            waiting.extend(nudged.try_iter());
            if self.stopping.load(Ordering::Relaxed) {
                return;
            }
            let outcome = self.refresh();
            wait = self.plan(&outcome);
            for done in waiting {
                // Who does not wait any more need not hear it.
                let _ = done.send(());
            }
        }
    }

    /// Says how the refresh went, and how long to wait for the next one.
    fn plan(&mut self, outcome: &Result<Timestamp, VendError>) -> Duration {
        let now = Timestamp::now();
        let next = match outcome {
            Ok(end) => {
                self.expires = Some(*end);
                self.pace.succeeded(now, *end)
            }
            Err(_) => self.pace.failed(now),
        };
        let wait = Duration::try_from(next.duration_since(now)).unwrap_or_default().max(SHORTEST_WAIT);
        let (role, seconds) = (&self.name, wait.as_secs());
        match outcome {
            Ok(end) => log::info!("role {role}: credentials until {end}, next refresh in {seconds} s"),
            Err(error) if self.expires.is_some_and(|end| now < end) => {
                log::warn!(
                    "role {role}: the refresh failed, the old credentials go on, next try in {seconds} s: {error}"
                );
            }
            Err(error) => log::error!("role {role}: no valid credentials, next try in {seconds} s: {error}"),
        }
        wait
    }

    /// One refresh; gives the end of the new credentials.
    fn refresh(&mut self) -> Result<Timestamp, VendError> {
        let metrics = self.metrics.role(self.index);
        let rendered = self.vend.vend().and_then(|vended| {
            let rendered = document::render(&vended.credentials, &self.arn, Timestamp::now())?;
            Ok((rendered, vended))
        });
        match rendered {
            Ok((rendered, vended)) => {
                if let Some(metrics) = metrics {
                    metrics.succeeded();
                    vended.device.inspect(|time| metrics.device_took(*time));
                    vended.service.inspect(|time| metrics.service_took(*time));
                }
                let expires = rendered.expires;
                self.state.update_role(self.index, |role| {
                    role.credentials = Some(rendered);
                    role.certificate_expires = vended.certificate_expires;
                    role.unavailable = Unavailable::because("they have expired, and the refresh is not done yet");
                });
                Ok(expires)
            }
            Err(error) => {
                if let Some(metrics) = metrics {
                    metrics.failed(error.kind());
                }
                let unavailable = Unavailable::because(&format!("the last refresh failed: {error}"));
                self.state.update_role(self.index, |role| role.unavailable = unavailable);
                Err(error)
            }
        }
    }
}

enum Wake {
    Due,
    Nudged(oneshot::Sender<()>),
    Stopped,
}

/// Waits for the time or a nudge. Due is what either clock calls due: the steady one does not count a machine's sleep, the
/// time of day may be set back.
fn sleep(nudged: &Receiver<oneshot::Sender<()>>, wait: Duration) -> Wake {
    let (from, deadline) = (Timestamp::now(), Instant::now() + wait);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let passed = Timestamp::now().duration_since(from);
        if left.is_zero() || Duration::try_from(passed).is_ok_and(|passed| passed >= wait) {
            return Wake::Due;
        }
        match nudged.recv_timeout(left.min(LONGEST_SLEEP)) {
            Ok(done) => return Wake::Nudged(done),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Wake::Stopped,
        }
    }
}
