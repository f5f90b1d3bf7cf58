//! The threads that answer. Each has a runtime of its own, so that they share nothing but the state: a client stays with the
//! thread that it was handed to.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::connection;
use super::error::ServeError;
use super::listen::Client;
use super::metrics::Metrics;
use super::options::Limits;
use super::route::route;
use super::state::State;

/// What every thread answers from.
#[derive(Clone)]
pub struct Shared {
    /// What is served.
    pub state: Arc<State>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Bounds.
    pub limits: Arc<Limits>,
    /// Free connections.
    pub places: Arc<Semaphore>,
}

/// The threads that answer.
pub struct Workers {
    threads: Vec<JoinHandle<()>>,
    queues: Vec<UnboundedSender<Client>>,
}

impl Workers {
    /// Starts as many threads as the limits say.
    pub fn start(shared: &Shared) -> Result<Self, ServeError> {
        let mut workers = Self { threads: Vec::new(), queues: Vec::new() };
        for number in 0..shared.limits.workers.max(1) {
            let runtime = runtime().map_err(ServeError::System)?;
            // Bounded by the number of connections: each client in it holds its place.
            let (queue, clients) = unbounded_channel();
            let shared = shared.clone();
            let thread = thread::Builder::new()
                .name(format!("answer-{number}"))
                .spawn(move || runtime.block_on(answer_clients(clients, shared)))
                .map_err(ServeError::System)?;
            workers.threads.push(thread);
            workers.queues.push(queue);
        }
        Ok(workers)
    }

    /// Hands each client to the next thread: under `SO_REUSEPORT` the kernel would share them out by chance, and another
    /// process of the same account could take some.
    pub fn hand_over(&self) -> impl FnMut(Client) + use<> {
        let queues = self.queues.clone();
        let mut next = 0usize;
        move |client| {
            next = next.wrapping_add(1);
            if let Some(queue) = next.checked_rem(queues.len()).and_then(|turn| queues.get(turn)) {
                // A thread that has ended has no use for clients.
                let _ = queue.send(client);
            }
        }
    }

    /// Ends the threads and with them the connections. An answer that was begun is in the socket by then, since it comes from
    /// memory. Every [`hand_over`](Self::hand_over) must be gone.
    pub fn stop(self) {
        drop(self.queues);
        for thread in self.threads {
            // A panic was printed when it happened.
            let _ = thread.join();
        }
    }
}

/// A runtime on the calling thread alone.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

async fn answer_clients(mut clients: UnboundedReceiver<Client>, shared: Shared) {
    while let Some(client) = clients.recv().await {
        let shared = shared.clone();
        tokio::spawn(answer_client(client, shared));
    }
}

async fn answer_client(client: Client, shared: Shared) {
    let Client { stream, local, surface, permit } = client;
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    let Shared { state, metrics, limits, places } = shared;
    let crowded = || places.available_permits() == 0;
    connection::serve(stream, limits, crowded, |request| {
        let (endpoint, answer) = route(request, &state.snapshot(), local, surface, Timestamp::now());
        metrics.answered(endpoint, answer.status());
        if !answer.status().is_success() {
            // Neither path nor headers: a client that errs may have put its token anywhere.
            log::debug!("{} of {} answered with {}", request.method, endpoint.label(), answer.status());
        }
        answer
    })
    .await;
    drop(permit);
}
