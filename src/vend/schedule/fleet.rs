//! A fleet on one account: machines that use the schedule of this program against a service that takes ten requests a second.
//!
//! Each machine is a [`Schedule`]. A try is what the client makes of it: up to three requests, with a random pause of up to
//! two and four seconds before the second and third where the service answers 429. The service refills one request in a tenth
//! of a second and saves up ten. All random numbers come from one seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use jiff::Timestamp;

use super::{Jitter, Schedule, after};
use crate::credentials::Life;

const MACHINES: u32 = 20_000;
/// CreateSession's default quota of an account and region.
const PER_SECOND: u64 = 10;
/// Nobody can serve all of them sooner.
const IDEAL: u64 = MACHINES as u64 / PER_SECOND;
/// Requests of one try of the client.
const REQUESTS: u32 = 3;

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn jitter(&mut self) -> Jitter {
        Jitter::new(self.bits())
    }
}

/// A token bucket, in microseconds of service time that have been saved up.
struct Service {
    saved: u64,
    last: u64,
}

impl Service {
    const COST: u64 = 1_000_000 / PER_SECOND;
    const MOST: u64 = 1_000_000;

    fn takes(&mut self, now: u64) -> bool {
        self.saved = (self.saved + now - self.last).min(Self::MOST);
        self.last = now;
        let taken = self.saved >= Self::COST;
        if taken {
            self.saved -= Self::COST;
        }
        taken
    }
}

/// What came of a run. Times are seconds after the restart.
struct Course {
    /// When the last machine had its first credentials.
    all_served: u64,
    /// Requests of each minute, refused ones too.
    requests: Vec<u64>,
    /// The least that was left of any machine's credentials when they were renewed.
    least_left: Duration,
}

impl Course {
    /// What everybody does once the last machine has been served, by the minute.
    fn steady(&self) -> &[u64] {
        &self.requests[self.all_served as usize / 60 + 1..]
    }

    /// The busiest stretch of so many minutes in the steady state, as a multiple of the mean.
    fn peak(&self, minutes: usize) -> f64 {
        let steady = self.steady();
        let mean = steady.iter().sum::<u64>() as f64 / steady.len() as f64;
        let busiest = steady.windows(minutes).map(|stretch| stretch.iter().sum::<u64>()).max().unwrap();
        busiest as f64 / (mean * minutes as f64)
    }

    /// The figures as a row of the table in `docs/fleet.md`.
    fn row(&self, name: &str) -> String {
        let mean = self.steady().iter().sum::<u64>() / self.steady().len() as u64;
        format!(
            "| {name} | {} s | {:.2} | {mean} | {} | {:.2} | {:.2} | {} min |",
            self.all_served,
            self.all_served as f64 / IDEAL as f64,
            self.steady().iter().max().unwrap(),
            self.peak(1),
            self.peak(10),
            self.least_left.as_secs() / 60,
        )
    }
}

fn time(micros: u64) -> Timestamp {
    Timestamp::from_microsecond(micros.cast_signed()).unwrap()
}

/// Restarts the fleet within `restart` seconds and follows it for some hours.
fn simulate(seed: u64, restart: u64, life: u64, hours: u64) -> Course {
    let life = Duration::from_secs(life);
    let end = hours * 3_600 * 1_000_000;
    let mut random = Random(seed);
    let mut service = Service { saved: Service::MOST, last: 0 };
    let mut machines = vec![Schedule::new(); MACHINES as usize];
    let mut waiting = MACHINES;
    let mut course = Course { all_served: 0, requests: vec![0; (hours * 60) as usize], least_left: life };
    // Who asks when, and the how manieth request of a try it is.
    let mut events: BinaryHeap<Reverse<(u64, u32, u32)>> =
        (0..MACHINES).map(|machine| Reverse((random.bits() % (restart * 1_000_000), machine, 1))).collect();
    while let Some(Reverse((now, number, request))) = events.pop() {
        if now >= end {
            break;
        }
        let machine = &mut machines[number as usize];
        course.requests[(now / 60_000_000) as usize] += 1;
        let next = if service.takes(now) {
            match machine.life() {
                Some(old) => course.least_left = course.least_left.min(old.left(time(now))),
                None => {
                    waiting -= 1;
                    course.all_served = if waiting == 0 { now / 1_000_000 } else { 0 };
                }
            }
            let life = Life { issued: time(now), expires: after(time(now), life) };
            (machine.succeeded(life, random.jitter()), 1)
        } else {
            if request < REQUESTS {
                let pause = random.jitter().of(Duration::from_secs(1 << request));
                (after(time(now), pause), request + 1)
            } else {
                (machine.failed(time(now), random.jitter()), 1)
            }
        };
        events.push(Reverse((next.0.as_microsecond().cast_unsigned(), number, next.1)));
    }
    assert_eq!(waiting, 0, "machines without credentials at the end");
    course
}

/// The table of `docs/fleet.md` has this row: whoever changes the schedule looks at what it does to a fleet.
#[track_caller]
fn stands_in_the_docs(row: &str) {
    let page = include_str!("../../../docs/fleet.md");
    assert!(page.contains(row), "docs/fleet.md lacks the row\n{row}");
}

#[test]
fn a_fleet_that_restarts_within_a_minute_is_served_and_makes_no_waves() {
    for (name, seed, restart) in [
        ("1 h, restarted within a minute", 1, 60),
        ("1 h, other random numbers", 2, 60),
        ("1 h, restarted within a second", 3, 1),
    ] {
        let course = simulate(seed, restart, 3_600, 24);
        assert!(course.all_served * 10 <= IDEAL * 13, "{}", course.row(name));
        assert!(course.peak(1) <= 1.5, "{}", course.row(name));
        assert!(course.least_left >= Duration::from_secs(14 * 60), "{}", course.row(name));
        stands_in_the_docs(&course.row(name));
    }
}

#[test]
fn longer_lives_make_no_waves_either() {
    // So few requests come in a minute that chance alone makes peaks of one minute.
    for (name, life) in [("2 h", 7_200), ("4 h", 14_400), ("12 h", 43_200)] {
        let course = simulate(1, 60, life, 48);
        assert!(course.all_served * 10 <= IDEAL * 13, "{}", course.row(name));
        assert!(course.peak(10) <= 1.5, "{}", course.row(name));
        stands_in_the_docs(&course.row(name));
    }
}
