//! The schedule with the machine's own random numbers: when `serve` and `update` refresh.

use aws_lc_rs::rand;
use jiff::Timestamp;

use super::schedule::{Jitter, Schedule};
use super::server::Pace;
use crate::credentials::Life;

/// The next random number.
pub fn jitter() -> Jitter {
    let mut octets = [0; 8];
    // Without random numbers there is no TLS either; the longest pauses are then right.
    Jitter::new(rand::fill(&mut octets).map_or(u64::MAX, |()| u64::from_ne_bytes(octets)))
}

impl Pace for Schedule {
    fn succeeded(&mut self, now: Timestamp, expires: Timestamp) -> Timestamp {
        Self::succeeded(self, Life { issued: now, expires }, jitter())
    }

    fn failed(&mut self, now: Timestamp) -> Timestamp {
        Self::failed(self, now, jitter())
    }
}
