//! What is served at a moment. Requests read an immutable snapshot; refreshes and rotations put the next one in its place.

use std::sync::{Arc, PoisonError, RwLock};

use hyper::body::Bytes;
use jiff::Timestamp;

use super::consumer::ConsumerTokens;
use super::document::{self, Rendered};
use super::session::SessionTokens;

/// Everything that an answer depends on, but the request and the time.
#[derive(Clone)]
pub struct Snapshot {
    /// The roles, in the order in which they were given.
    pub roles: Vec<Arc<RoleState>>,
    /// The role that IMDS shows: an index into `roles`.
    pub imds_role: usize,
    /// Who may have which role.
    pub consumers: Vec<ConsumerState>,
    /// Issues and checks session tokens.
    pub sessions: Arc<SessionTokens>,
}

/// One role and what is known of its credentials.
#[derive(Clone)]
pub struct RoleState {
    /// What follows the last `/` of its ARN.
    pub name: Bytes,
    /// Its ARN.
    pub arn: String,
    /// Its region.
    pub region: Bytes,
    /// The last good credentials; kept however many refreshes fail, and served while they are valid.
    pub credentials: Option<Rendered>,
    /// When the certificate ends, where it is known.
    pub certificate_expires: Option<Timestamp>,
    /// What is said when there are no valid credentials.
    pub unavailable: Unavailable,
}

/// The bodies of a 503.
#[derive(Clone)]
pub struct Unavailable {
    /// In the form of IMDS.
    pub imds: Bytes,
    /// In the form of the container credentials endpoint.
    pub container: Bytes,
}

impl Unavailable {
    /// Says why.
    pub fn because(reason: &str) -> Self {
        const CODE: &str = "CredentialsUnavailable";
        let message = format!("there are no valid credentials: {reason}");
        Self { imds: document::imds_failure(CODE, &message), container: document::container_failure(CODE, &message) }
    }
}

impl RoleState {
    /// The credentials, unless they have expired.
    pub fn valid(&self, now: Timestamp) -> Option<&Rendered> {
        self.credentials.as_ref().filter(|credentials| now < credentials.expires)
    }
}

/// One consumer.
#[derive(Clone)]
pub struct ConsumerState {
    /// Its role: an index into [`Snapshot::roles`].
    pub role: usize,
    /// What it proves itself with.
    pub tokens: ConsumerTokens,
}

/// The current snapshot.
pub struct State {
    current: RwLock<Arc<Snapshot>>,
}

impl State {
    /// Begins with this snapshot.
    pub fn new(snapshot: Snapshot) -> Self {
        Self { current: RwLock::new(Arc::new(snapshot)) }
    }

    /// The current snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes a role.
    pub fn update_role(&self, index: usize, change: impl FnOnce(&mut RoleState)) {
        self.update(|snapshot| {
            if let Some(role) = snapshot.roles.get_mut(index) {
                change(Arc::make_mut(role));
            }
        });
    }

    /// Changes a consumer's tokens.
    pub fn update_tokens(&self, index: usize, change: impl FnOnce(&mut ConsumerTokens)) {
        self.update(|snapshot| {
            if let Some(consumer) = snapshot.consumers.get_mut(index) {
                change(&mut consumer.tokens);
            }
        });
    }

    fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut current));
    }
}
