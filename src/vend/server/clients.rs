//! Answers the clients of the listeners that have credentials.

use std::num::NonZeroU8;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::connection;
use super::listen::{self, Client};
use super::metrics::Metrics;
use super::options::{Limits, Surface};
use super::route::route;
use super::state::State;

/// What every client is answered from.
#[derive(Clone)]
pub struct Shared {
    /// What is served.
    pub state: Arc<State>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Bounds.
    pub limits: Arc<Limits>,
    /// Free connections, of all listeners together.
    pub places: Arc<Semaphore>,
}

/// Answers who comes to a listener, for ever.
pub async fn serve(listener: TcpListener, surface: Surface, hop_limit: NonZeroU8, shared: Shared) {
    let places = Arc::clone(&shared.places);
    listen::accept(listener, hop_limit, places, |client| {
        tokio::spawn(answer(client, surface, shared.clone()));
    })
    .await;
}

async fn answer(client: Client, surface: Surface, shared: Shared) {
    let Client { stream, local, permit } = client;
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
