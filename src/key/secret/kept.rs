//! Secrets that a process keeps because their source can be read only once, in memory that is not swapped; and those that a
//! device refused. An edge to mlock(2).
#![allow(unsafe_code)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::mm::{mlock, munlock};

use super::{Secret, SecretKind};

/// What is remembered of a secret: which one it is, for what device.
type Place = (SecretKind, String);

/// The secrets of a process that lives long.
#[derive(Default)]
pub(super) struct Kept {
    once: Mutex<Vec<(Place, Locked)>>,
    refused: Mutex<Vec<(Place, Arc<Secret>)>>,
}

impl Kept {
    pub(super) fn find(&self, kind: SecretKind, device: &str) -> Option<Arc<Secret>> {
        let once = locked(&self.once);
        once.iter().find(|(place, _)| is(place, kind, device)).map(|(_, secret)| Arc::clone(&secret.0))
    }

    pub(super) fn keep(&self, kind: SecretKind, device: &str, secret: &Arc<Secret>) {
        locked(&self.once).push(((kind, device.to_owned()), Locked::new(Arc::clone(secret))));
    }

    pub(super) fn forget(&self, kind: SecretKind, secret: &Secret) {
        locked(&self.once).retain(|(place, kept)| place.0 != kind || kept.0.expose() != secret.expose());
    }

    pub(super) fn refuse(&self, kind: SecretKind, device: &str, secret: &Arc<Secret>) {
        if !self.is_refused(kind, device, secret) {
            locked(&self.refused).push(((kind, device.to_owned()), Arc::clone(secret)));
        }
    }

    pub(super) fn is_refused(&self, kind: SecretKind, device: &str, secret: &Secret) -> bool {
        let refused = locked(&self.refused);
        refused.iter().any(|(place, other)| is(place, kind, device) && other.expose() == secret.expose())
    }
}

fn is(place: &Place, kind: SecretKind, device: &str) -> bool {
    place.0 == kind && place.1 == device
}

/// A panic elsewhere leaves nothing half-changed in what is locked here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A secret whose octets stay out of the swap as long as this lives.
struct Locked(Arc<Secret>);

impl Locked {
    fn new(secret: Arc<Secret>) -> Self {
        let octets = secret.expose();
        // SAFETY: the range is that of a live slice, which mlock(2) neither reads nor changes; the slice stays where it is as long
        // as the Arc lives, for a Secret is never changed.
        if let Err(error) = unsafe { mlock(octets.as_ptr().cast_mut().cast(), octets.len()) } {
            log::debug!("a kept secret may be swapped: {error}");
        }
        Self(secret)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let octets = self.0.expose();
        // SAFETY: the range that was given to mlock(2), whose octets live until after this. Where it was not locked, or shares its
        // page with another, the worst is a page that may be swapped.
        let _ = unsafe { munlock(octets.as_ptr().cast_mut().cast(), octets.len()) };
    }
}
