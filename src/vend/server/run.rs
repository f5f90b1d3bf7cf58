//! The life of the server: bind, first refresh, listen, answer until a signal, end within two seconds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::error::{ServeError, VendError};
use super::listen::{self, Bound};
use super::metrics::Metrics;
use super::notify::Notifier;
use super::options::{Consumer, Options, RoleSource, Surface};
use super::refresher::{Refresher, Work};
use super::state::State;
use super::worker::{Shared, Workers, runtime};
use super::{probes, rotation, setup};

/// How long a refresh that is under way may take to put its device in order; with the rest this is under two seconds.
const LAST_REFRESH: Duration = Duration::from_millis(1500);

/// How long a reload may take before the service manager hears that the service goes on.
const RELOAD: Duration = Duration::from_secs(30);

/// What the caller hears.
pub trait Hooks {
    /// Requests are answered now: on these addresses (ports chosen), in the order of [`Options::listen`], and probes on that
    /// of the status listener.
    fn listening(&mut self, addresses: &[SocketAddr], status: Option<SocketAddr>);
    /// [`Event::Reload`] came; every role is refreshed after this.
    fn reload(&mut self);
}

/// What ends or reloads a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// End, as on SIGTERM and SIGINT.
    End,
    /// Refresh every role now, as on SIGHUP.
    Reload,
}

/// Serves until SIGTERM or SIGINT; SIGHUP reloads. Blocks.
pub fn run(
    options: Options,
    roles: Vec<RoleSource>,
    consumers: Vec<Consumer>,
    hooks: &mut dyn Hooks,
) -> Result<(), ServeError> {
    let runtime = runtime().map_err(ServeError::System)?;
    let (sender, events) = unbounded_channel();
    runtime.block_on(async {
        let mut signals = JoinSet::new();
        for (kind, event) in [
            (SignalKind::terminate(), Event::End),
            (SignalKind::interrupt(), Event::End),
            (SignalKind::hangup(), Event::Reload),
        ] {
            signals.spawn(forward(signal(kind).map_err(ServeError::System)?, event, sender.clone()));
        }
        serve(options, roles, consumers, hooks, events).await
    })
}

/// Serves until the event that ends it, or until nobody is left to send one. Blocks, and leaves signals alone.
pub fn run_until(
    options: Options,
    roles: Vec<RoleSource>,
    consumers: Vec<Consumer>,
    hooks: &mut dyn Hooks,
    events: UnboundedReceiver<Event>,
) -> Result<(), ServeError> {
    runtime().map_err(ServeError::System)?.block_on(serve(options, roles, consumers, hooks, events))
}

async fn forward(mut signal: tokio::signal::unix::Signal, event: Event, events: UnboundedSender<Event>) {
    while signal.recv().await.is_some() && events.send(event).is_ok() {}
}

async fn serve(
    mut options: Options,
    roles: Vec<RoleSource>,
    consumers: Vec<Consumer>,
    hooks: &mut dyn Hooks,
    mut events: UnboundedReceiver<Event>,
) -> Result<(), ServeError> {
    let surfaces = setup::surfaces(&options, &consumers)?;
    let snapshot = setup::first_snapshot(&options, &roles, &consumers)?;
    let bound = surfaces
        .into_iter()
        .map(|(address, surface)| Ok((Bound::new(address)?, surface)))
        .collect::<Result<Vec<_>, ServeError>>()?;
    let status = options.status_listen.map(Bound::new).transpose()?;
    options.limits.connections = listen::affordable_connections(options.limits.connections);
    let shared = Shared {
        state: Arc::new(State::new(snapshot)),
        metrics: Arc::new(Metrics::new(roles.len())),
        places: Arc::new(Semaphore::new(options.limits.connections)),
        limits: Arc::new(options.limits.clone()),
    };

    // Tasks end when this is dropped.
    let mut tasks = JoinSet::new();
    let status_address = status.as_ref().map(Bound::address);
    if let Some(status) = status {
        tasks.spawn(probes::serve(status.listen()?, shared.clone()));
    }
    let mut refreshers = Refreshers::default();
    let first = refreshers.start(roles, &shared)?;
    if !options.keep_trying && !first_refreshes(first, &mut events).await? {
        return Ok(());
    }
    rotation::write_all(&shared.state, &consumers)?;
    let server = Server { shared, refreshers, tasks, notifier: Arc::new(Notifier::from_environment()) };
    server.answer(&options, bound, status_address, consumers, hooks, events).await
}

/// How the first refresh of a role will have gone.
struct FirstOutcome {
    role: String,
    outcome: oneshot::Receiver<Result<(), VendError>>,
}

/// Waits for the first refresh of every role; `false` where the server is to end instead.
async fn first_refreshes(first: Vec<FirstOutcome>, events: &mut UnboundedReceiver<Event>) -> Result<bool, ServeError> {
    for FirstOutcome { role, mut outcome } in first {
        loop {
            tokio::select! {
                outcome = &mut outcome => match outcome {
                    Ok(Err(source)) => return Err(ServeError::FirstRefresh { role, source }),
                    _ => break,
                },
                event = events.recv() => match event {
                    // What would be reloaded is being loaded.
                    Some(Event::Reload) => {}
                    Some(Event::End) | None => return Ok(false),
                },
            }
        }
    }
    Ok(true)
}

/// The refreshers, which are let end in order on every way out.
#[derive(Default)]
struct Refreshers(Vec<Refresher>);

impl Refreshers {
    fn start(&mut self, roles: Vec<RoleSource>, shared: &Shared) -> Result<Vec<FirstOutcome>, ServeError> {
        let mut outcomes = Vec::new();
        for (index, role) in roles.into_iter().enumerate() {
            let name = setup::role_name(&role.role_arn)?.to_owned();
            let (refresher, outcome) = Refresher::start(Work {
                index,
                name: name.clone(),
                arn: role.role_arn,
                vend: role.vend,
                pace: role.pace,
                state: Arc::clone(&shared.state),
                metrics: Arc::clone(&shared.metrics),
            })?;
            self.0.push(refresher);
            outcomes.push(FirstOutcome { role: name, outcome });
        }
        Ok(outcomes)
    }
}

impl Drop for Refreshers {
    fn drop(&mut self) {
        Refresher::stop_all(std::mem::take(&mut self.0), LAST_REFRESH);
    }
}

/// A server that has what it needs to answer.
struct Server {
    shared: Shared,
    tasks: JoinSet<()>,
    notifier: Arc<Notifier>,
    refreshers: Refreshers,
}

impl Server {
    async fn answer(
        mut self,
        options: &Options,
        bound: Vec<(Bound, Surface)>,
        status: Option<SocketAddr>,
        consumers: Vec<Consumer>,
        hooks: &mut dyn Hooks,
        mut events: UnboundedReceiver<Event>,
    ) -> Result<(), ServeError> {
        let workers = Workers::start(&self.shared)?;
        let mut addresses = Vec::new();
        for (bound, surface) in bound {
            addresses.push(bound.address());
            let places = Arc::clone(&self.shared.places);
            let listener = bound.listen()?;
            self.tasks.spawn(listen::accept(listener, surface, options.hop_limit, places, workers.hand_over()));
        }
        let rotation =
            rotation::rotate(Arc::clone(&self.shared.state), consumers, options.token_lifetime, options.token_overlap);
        self.tasks.spawn(rotation);
        hooks.listening(&addresses, status);
        let serving =
            format!("serving on {}", addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", "));
        self.notifier.ready(&serving);

        while let Some(Event::Reload) = events.recv().await {
            self.notifier.reloading();
            hooks.reload();
            self.refresh_all(serving.clone());
        }
        self.notifier.stopping();
        self.tasks.shutdown().await;
        workers.stop();
        Ok(())
    }

    /// Has every role refreshed, and tells the service manager when that is done, however it went.
    fn refresh_all(&mut self, serving: String) {
        // Earlier reloads are done with.
        while self.tasks.try_join_next().is_some() {}
        let done: Vec<_> = self.refreshers.0.iter().map(Refresher::nudge).collect();
        let notifier = Arc::clone(&self.notifier);
        self.tasks.spawn(async move {
            let all = async {
                for one in done {
                    // Ends with an error where the refresher has ended.
                    let _ = one.await;
                }
            };
            let _ = timeout(RELOAD, all).await;
            notifier.ready(&serving);
        });
    }
}
