//! `serve`: credentials for the SDKs of a machine over IMDSv2 and the container credentials endpoint. One refresher per role, the
//! last good credentials kept, every answer from memory. Knows neither devices nor AWS: a [`Vend`](super::Vend) does.
//!
//! ```text
//! refresher (a thread for each role) ──▶ State ──▶ Snapshot ──▶ route (pure) ──▶ answer (this thread)
//! ```
//!
//! One thread answers everybody: what it answers is in memory, so that it gives more answers a second than the machine's clients
//! can read, and beside them a second thread would only take turns with it.

mod answer;
mod clients;
mod connection;
mod consumer;
mod container;
mod document;
mod endpoint;
mod error;
mod host;
mod imds;
mod listen;
mod metrics;
mod notify;
mod options;
mod probes;
mod refresher;
mod rotation;
mod route;
mod run;
mod session;
mod setup;
mod state;
mod status;
#[cfg(test)]
mod tests;

pub use container::PATH as CONTAINER_PATH;
pub use error::ServeError;
pub use options::{Consumer, DEFAULT_PORT, Limits, Options, Pace, RoleSource, Surface};
pub use run::{Event, Hooks, run, run_until};
