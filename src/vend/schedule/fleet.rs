//! A fleet on one account: machines that use the schedule of this program against a service that takes ten requests a second.
//!
//! Each machine is a [`Schedule`]. A try is what the client makes of it where the service answers 429: one request while good
//! credentials go on, otherwise up to three, with a random pause of up to two and four seconds before the second and third. The
//! service refills one request in a tenth of a second and saves up ten. All random numbers of a run come from one seed.

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
/// Requests of one try of a client that has nothing.
const REQUESTS: u32 = 3;
/// Runs with different random numbers; the figures are the worst of each.
const RUNS: u64 = 3;

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

    fn mean(&self) -> f64 {
        self.steady().iter().sum::<u64>() as f64 / self.steady().len() as f64
    }

    /// The requests a minute of the busiest stretch of so many minutes in the steady state.
    fn busiest(&self, minutes: usize) -> f64 {
        let stretches = self.steady().windows(minutes).map(|stretch| stretch.iter().sum::<u64>());
        stretches.max().unwrap() as f64 / minutes as f64
    }

    /// The busiest stretch as a multiple of the mean.
    fn peak(&self, minutes: usize) -> f64 {
        self.busiest(minutes) / self.mean()
    }

    /// What the busiest minute may be by chance alone, if requests came independently of each other and as many as in the
    /// busiest hour.
    fn chance(&self) -> f64 {
        poisson_bound(self.busiest(60), self.steady().len())
    }
}

/// The count that a Poisson distribution of this mean exceeds in any of so many minutes in one of a hundred cases.
fn poisson_bound(mean: f64, minutes: usize) -> f64 {
    let (mut count, mut probability, mut below) = (0.0, (-mean).exp(), 0.0);
    while (1.0 - below) * minutes as f64 > 0.01 {
        below += probability;
        count += 1.0;
        probability *= mean / count;
    }
    count - 1.0
}

/// Several runs, and the worst that came of them.
struct Runs(Vec<Course>);

impl Runs {
    fn worst(&self, figure: impl Fn(&Course) -> f64) -> f64 {
        self.0.iter().map(figure).fold(0.0, f64::max)
    }

    fn all_served(&self) -> f64 {
        self.worst(|course| course.all_served as f64)
    }

    fn least_left(&self) -> Duration {
        self.0.iter().map(|course| course.least_left).min().unwrap()
    }

    /// The figures as a row of the table in `docs/fleet.md`.
    fn row(&self, name: &str) -> String {
        let mean = self.worst(Course::mean);
        format!(
            "| {name} | {:.0} s | {:.2} | {mean:.0} | {:.0} | {:.2} | {:.2} | {:.2} | {} min |",
            self.all_served(),
            self.all_served() / IDEAL as f64,
            self.worst(|course| course.busiest(1)),
            self.worst(|course| course.peak(1)),
            poisson_bound(mean, self.0[0].steady().len()) / mean,
            self.worst(|course| course.peak(60)),
            self.least_left().as_secs() / 60,
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
            let spares = machine.life().is_some_and(|life| !life.left(time(now)).is_zero());
            if request < REQUESTS && !spares {
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

/// Each run on a thread of its own.
fn runs(restart: u64, life: u64, hours: u64) -> Runs {
    std::thread::scope(|scope| {
        let runs: Vec<_> = (1..=RUNS).map(|seed| scope.spawn(move || simulate(seed, restart, life, hours))).collect();
        Runs(runs.into_iter().map(|run| run.join().unwrap()).collect())
    })
}

/// Everybody is served in time, renews in time, and the table of `docs/fleet.md` has the figures: whoever changes the schedule
/// looks at what it does to a fleet.
#[track_caller]
fn fares_well(name: &str, runs: &Runs) {
    let row = runs.row(name);
    assert!(runs.all_served() <= 1.3 * IDEAL as f64, "{row}");
    assert!(runs.least_left() >= Duration::from_secs(15 * 60), "{row}");
    let page = include_str!("../../../docs/fleet.md");
    assert!(page.contains(&row), "docs/fleet.md lacks the row\n{row}");
}

#[test]
fn a_fleet_that_restarts_within_a_minute_is_served_and_makes_no_waves() {
    for (name, restart) in [("1 h, restarted within a minute", 60), ("1 h, restarted within a second", 1)] {
        let runs = runs(restart, 3_600, 24);
        fares_well(name, &runs);
        assert!(runs.worst(|course| course.peak(1)) <= 1.3, "{}", runs.row(name));
    }
}

#[test]
fn longer_lives_make_no_waves_either() {
    for (name, life) in [("2 h", 7_200), ("4 h", 14_400)] {
        let runs = runs(60, life, 48);
        fares_well(name, &runs);
        assert!(runs.worst(|course| course.peak(1)) <= 1.5, "{}", runs.row(name));
    }
}

#[test]
fn the_longest_life_makes_no_waves_but_those_of_chance() {
    // So few requests come in a minute that chance alone makes minutes of more than 1.5 times the mean.
    let (name, runs) = ("12 h", runs(60, 43_200, 48));
    fares_well(name, &runs);
    assert!(runs.worst(|course| course.peak(60)) <= 1.2, "{}", runs.row(name));
    assert!(runs.0.iter().all(|course| course.busiest(1) <= course.chance()), "{}", runs.row(name));
}

#[test]
fn the_bound_of_chance_is_that_of_the_tables() {
    // P(X > 18) is 0.0072 and P(X > 17) is 0.0143 for a mean of 10.
    assert_eq!(poisson_bound(10.0, 1), 18.0);
}
