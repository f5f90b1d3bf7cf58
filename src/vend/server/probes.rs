//! The status listener: a few connections on the main thread, so that probes are answered however busy the others are.

use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::listen::{self, Client};
use super::options::{Limits, Surface};
use super::worker::Shared;
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
    // The surface plays no part in the answers of a probe.
    listen::accept(listener, Surface::Loopback, HOPS, own, hand_over).await;
}

async fn answer(client: Client, limits: Arc<Limits>, places: Arc<Semaphore>, shared: Shared) {
    let Ok(stream) = TcpStream::from_std(client.stream) else { return };
    let crowded = || places.available_permits() == 0;
    connection::serve(stream, limits, crowded, |request| {
        status::route(request, &shared.state.snapshot(), &shared.metrics, Timestamp::now())
    })
    .await;
    drop(client.permit);
}
