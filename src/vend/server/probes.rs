//! The status listener: with connections of its own, so that probes are answered however many clients there are.

use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::clients::Shared;
use super::listen::{self, Client};
use super::options::Limits;
use super::{connection, status};

const CONNECTIONS: usize = 32;

/// Probes may come from another machine, whatever the hop limit of credentials is.
const HOPS: NonZeroU8 = NonZeroU8::MIN.saturating_add(63);

/// Answers probes, for ever.
pub async fn serve(listener: TcpListener, shared: Shared) {
    let limits = Arc::new(Limits {
        head_time: Duration::from_secs(5),
        idle_time: Duration::from_secs(30),
        ..Limits::clone(&shared.limits)
    });
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let own = Arc::clone(&places);
    let hand_over = move |client: Client| {
        tokio::spawn(answer(client, Arc::clone(&limits), Arc::clone(&places), shared.clone()));
    };
    listen::accept(listener, HOPS, own, hand_over).await;
}

async fn answer(client: Client, limits: Arc<Limits>, places: Arc<Semaphore>, shared: Shared) {
    let crowded = || places.available_permits() == 0;
    connection::serve(client.stream, limits, crowded, |request| {
        status::route(request, &shared.state.snapshot(), &shared.metrics, Timestamp::now())
    })
    .await;
    drop(client.permit);
}
