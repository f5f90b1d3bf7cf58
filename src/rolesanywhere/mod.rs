//! The Roles Anywhere client: ARNs, regions, endpoints, CreateSession, its errors, its connection. Knows no outputs.
//!
//! [`CreateSession`] says what is asked for, [`ClientOptions`] how the service is reached; a [`Client`] does it. A [`Probe`]
//! goes the way to it alone.

mod arn;
mod client;
mod clock;
mod connection;
mod endpoint;
mod environment;
mod error;
mod meaning;
mod probe;
mod proxy;
mod region;
mod request;
mod response;
mod retry;
mod socket;
mod tls;
mod transport;

pub use client::{Client, ClientOptions, Created};
pub use clock::ClockSkew;
pub use environment::Environment;
pub use error::{AnswerError, Cause, ClientError, ConnectionError, ConnectionErrorKind, RequestError, ServiceError};
pub use meaning::Meaning;
pub use probe::{NetworkLandmark, NetworkStage, NetworkStep, Probe};
pub use request::CreateSession;
pub use retry::Urgency;
