//! The life of the server: bind, first refresh, listen, answer until a signal, end within two seconds.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use super::clients::{self, Shared};
use super::error::ServeError;
use super::listen::{self, Bound};
use super::metrics::Metrics;
use super::notify::Notifier;
use super::options::{Consumer, Options, RoleSource, Surface};
use super::refresher::{FirstOutcome, Refreshers};
use super::state::State;
use super::{probes, rotation, setup};

/// How long a reload may take before the service manager hears that the service goes on.
const RELOAD: Duration = Duration::from_secs(30);

/// What the caller hears.
pub trait Hooks {
    /// Requests are answered now: on these addresses (ports chosen), in the order of [`Options::listen`] and
    /// [`Options::given`], and probes on that of the status listener.
    fn listening(&mut self, addresses: &[SocketAddr], status: Option<SocketAddr>);
    /// [`Event::Reload`] came; every role is refreshed after this. Nobody is answered meanwhile.
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
    run_with(options, roles, consumers, hooks, signals)
}

/// Serves until the event that ends it, or until nobody is left to send one. Blocks, and leaves signals alone.
pub fn run_until(
    options: Options,
    roles: Vec<RoleSource>,
    consumers: Vec<Consumer>,
    hooks: &mut dyn Hooks,
    events: UnboundedReceiver<Event>,
) -> Result<(), ServeError> {
    run_with(options, roles, consumers, hooks, || Ok(events))
}

fn run_with(
    options: Options,
    roles: Vec<RoleSource>,
    consumers: Vec<Consumer>,
    hooks: &mut dyn Hooks,
    events: impl FnOnce() -> io::Result<UnboundedReceiver<Event>>,
) -> Result<(), ServeError> {
    // Dropped in the opposite order: first every task and connection ends with the runtime, then the refreshers.
    let mut refreshers = Refreshers::default();
    let runtime = runtime().map_err(ServeError::System)?;
    runtime.block_on(async {
        let events = events().map_err(ServeError::System)?;
        let server = Server::bind(options, &roles, &consumers)?;
        server.serve(roles, consumers, &mut refreshers, hooks, events).await
    })
}

/// A runtime on the calling thread alone.
pub(super) fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// The signals that a service manager sends.
fn signals() -> io::Result<UnboundedReceiver<Event>> {
    let (sender, events) = unbounded_channel();
    tokio::spawn(forward(signal(SignalKind::terminate())?, Event::End, sender.clone()));
    tokio::spawn(forward(signal(SignalKind::interrupt())?, Event::End, sender.clone()));
    tokio::spawn(forward(signal(SignalKind::hangup())?, Event::Reload, sender));
    Ok(events)
}

async fn forward(mut signal: Signal, event: Event, events: UnboundedSender<Event>) {
    while signal.recv().await.is_some() && events.send(event).is_ok() {}
}

/// A server whose addresses are its own.
struct Server {
    options: Options,
    shared: Shared,
    bound: Vec<(Bound, Surface)>,
    status: Option<Bound>,
}

impl Server {
    fn bind(mut options: Options, roles: &[RoleSource], consumers: &[Consumer]) -> Result<Self, ServeError> {
        let surfaces = setup::surfaces(&options, consumers)?;
        let snapshot = setup::first_snapshot(&options, roles, consumers)?;
        let bind = |(address, surface)| Ok((Bound::new(address)?, surface));
        let mut bound = surfaces.into_iter().map(bind).collect::<Result<Vec<_>, ServeError>>()?;
        for listener in &options.given {
            let given = Bound::given(listener)?;
            let surface = setup::surface(&options, consumers, given.address())?;
            bound.push((given, surface));
        }
        let status = options.status_listen.map(Bound::new).transpose()?;
        options.limits.connections = listen::affordable_connections(options.limits.connections);
        let shared = Shared {
            state: Arc::new(State::new(snapshot)),
            metrics: Arc::new(Metrics::new(roles.len())),
            places: Arc::new(Semaphore::new(options.limits.connections)),
            limits: Arc::new(options.limits.clone()),
        };
        Ok(Self { options, shared, bound, status })
    }

    async fn serve(
        mut self,
        roles: Vec<RoleSource>,
        consumers: Vec<Consumer>,
        refreshers: &mut Refreshers,
        hooks: &mut dyn Hooks,
        mut events: UnboundedReceiver<Event>,
    ) -> Result<(), ServeError> {
        let status = self.status.as_ref().map(Bound::address);
        if let Some(status) = self.status.take() {
            tokio::spawn(probes::serve(status.listen()?, self.shared.clone()));
        }
        let first = refreshers.start(roles, self.options.keep_trying, &self.shared)?;
        if !self.options.keep_trying && !first_refreshes(first, &mut events).await? {
            return Ok(());
        }
        let addresses = self.answer(consumers)?;
        hooks.listening(&addresses, status);

        let notifier = Arc::new(Notifier::from_environment());
        let addresses: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
        let serving = format!("serving on {}", addresses.join(", "));
        notifier.ready(&serving);
        while let Some(Event::Reload) = events.recv().await {
            notifier.reloading();
            hooks.reload();
            tokio::spawn(reloaded(refreshers.nudge(), Arc::clone(&notifier), serving.clone()));
        }
        notifier.stopping();
        Ok(())
    }

    /// Hands out the consumers' tokens and lets clients come; gives the addresses.
    fn answer(self, consumers: Vec<Consumer>) -> Result<Vec<SocketAddr>, ServeError> {
        let Self { options, shared, bound, .. } = self;
        rotation::write_all(&shared.state, &consumers)?;
        let state = Arc::clone(&shared.state);
        tokio::spawn(rotation::rotate(state, consumers, options.token_lifetime, options.token_overlap));
        let mut addresses = Vec::new();
        for (bound, surface) in bound {
            addresses.push(bound.address());
            tokio::spawn(clients::serve(bound.listen()?, surface, options.hop_limit, shared.clone()));
        }
        Ok(addresses)
    }
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

/// Tells the service manager when every refresh is done, however it went.
async fn reloaded(refreshes: impl Future<Output = ()>, notifier: Arc<Notifier>, serving: String) {
    if timeout(RELOAD, refreshes).await.is_err() {
        log::warn!("the reload takes longer than {} s and goes on beside the service", RELOAD.as_secs());
    }
    notifier.ready(&serving);
}
