//! Gets new credentials before the old ones are old: one thread for each role, so that there is one refresh of a role at a time
//! and never one in a request. What failed is said and tried again; what is still valid is kept.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::document;
use super::error::{ServeError, VendError};
use super::metrics::Metrics;
use super::state::{State, Unavailable};
use crate::credentials::Credentials;

/// Gets credentials: one device signature, one CreateSession.
pub trait Vend: Send {
    /// Blocks until there are credentials or there is a failure; has limits of its own for device and network.
    ///
    /// Re-reads certificate, chain and key files where they have changed. Never sends a PIN again that was wrong.
    fn vend(&mut self) -> Result<Vended, VendError>;
}

/// Credentials and what it took to get them.
#[derive(Debug)]
pub struct Vended {
    /// The credentials.
    pub credentials: Credentials,
    /// When the certificate ends that they were got with.
    pub certificate_expires: Option<Timestamp>,
    /// How long the device took to sign.
    pub device: Option<Duration>,
    /// How long AWS took to answer.
    pub service: Option<Duration>,
}

/// Says when to refresh. Pure but for its jitter: the clock is passed in.
pub trait Pace: Send {
    /// When to refresh after credentials were got at `now` that are good until `expires`.
    fn succeeded(&mut self, now: Timestamp, expires: Timestamp) -> Timestamp;
    /// When to try again after a failure at `now`.
    fn failed(&mut self, now: Timestamp) -> Timestamp;
}

/// Whatever a pace says, there are no more refreshes than these.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// A machine that slept has slept through its timers: the time of day is looked at this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(20);

/// The thread that refreshes a role.
pub struct Refresher {
    nudges: Sender<oneshot::Sender<()>>,
    thread: JoinHandle<()>,
}

impl Refresher {
    /// Starts the thread, which refreshes at once. The receiver tells how that went.
    pub fn start(work: Work) -> Result<(Self, oneshot::Receiver<Result<(), VendError>>), ServeError> {
        let (nudges, nudged) = mpsc::channel();
        let (first, first_outcome) = oneshot::channel();
        let thread = thread::Builder::new()
            .name(format!("refresh-{}", work.index))
            .spawn(move || work.run(first, &nudged))
            .map_err(ServeError::System)?;
        Ok((Self { nudges, thread }, first_outcome))
    }

    /// Has the role refreshed now, or once more after a refresh that is under way. The receiver ends when that is done.
    pub fn nudge(&self) -> oneshot::Receiver<()> {
        let (done, receiver) = oneshot::channel();
        // A thread that has ended drops the other end, which ends the receiver.
        let _ = self.nudges.send(done);
        receiver
    }

    /// Lets the threads end after what they do now, and waits for that up to a limit: a signature that is under way may have to
    /// put a device in order again.
    pub fn stop_all(refreshers: Vec<Self>, limit: Duration) {
        let deadline = Instant::now() + limit;
        let threads: Vec<_> = refreshers.into_iter().map(|refresher| refresher.thread).collect();
        while !threads.iter().all(JoinHandle::is_finished) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What a refresher works on.
pub struct Work {
    /// Index of the role in the state and the metrics.
    pub index: usize,
    /// Name of the role, for the log.
    pub name: String,
    /// ARN of the role.
    pub arn: String,
    /// Gets the credentials.
    pub vend: Box<dyn Vend>,
    /// Says when.
    pub pace: Box<dyn Pace>,
    /// Where the credentials go.
    pub state: Arc<State>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
}

impl Work {
    fn run(mut self, first: oneshot::Sender<Result<(), VendError>>, nudged: &Receiver<oneshot::Sender<()>>) {
        let mut first = Some(first);
        let mut expires = None;
        let mut waiting: Vec<oneshot::Sender<()>> = Vec::new();
        loop {
            let outcome = self.refresh();
            let now = Timestamp::now();
            let next = match &outcome {
                Ok(end) => {
                    expires = Some(*end);
                    self.pace.succeeded(now, *end)
                }
                Err(_) => self.pace.failed(now),
            };
            let wait = Duration::try_from(next.duration_since(now)).unwrap_or_default().max(SHORTEST_WAIT);
            self.tell(&outcome, wait, expires.is_some_and(|end| now < end));
            if let Some(first) = first.take() {
                let _ = first.send(outcome.map(|_| ()));
            }
            for done in waiting.drain(..) {
                let _ = done.send(());
            }
            match sleep(nudged, now, wait) {
                Wake::Due => {}
                Wake::Nudged(done) => waiting.push(done),
                Wake::Stopped => return,
            }
            // Those who asked meanwhile are served by the same refresh.
            waiting.extend(nudged.try_iter());
        }
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

    fn tell(&self, outcome: &Result<Timestamp, VendError>, wait: Duration, still_valid: bool) {
        let (role, wait) = (&self.name, wait.as_secs());
        match outcome {
            Ok(end) => log::info!("role {role}: credentials until {end}, next refresh in {wait} s"),
            Err(error) if still_valid => {
                log::warn!("role {role}: the refresh failed, the old credentials go on, next try in {wait} s: {error}");
            }
            Err(error) => log::error!("role {role}: no valid credentials, next try in {wait} s: {error}"),
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
fn sleep(nudged: &Receiver<oneshot::Sender<()>>, from: Timestamp, wait: Duration) -> Wake {
    let deadline = Instant::now() + wait;
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
