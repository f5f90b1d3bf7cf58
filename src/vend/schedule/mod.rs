//! When credentials are fetched again: before consumers call them old, and not at the same moment as the rest of the fleet.
//! Pure: the clock and the random numbers are passed in. `docs/fleet.md` shows what comes of it for 20,000 machines.

use std::time::Duration;

use jiff::Timestamp;

use crate::credentials::Life;

/// What is left at the latest when credentials of an hour are renewed: boto3 calls them old at 15 minutes.
const MARGIN: Duration = Duration::from_secs(20 * 60);

/// Credentials are never renewed sooner after they came, however short their life: a wrong clock or a service that hands
/// out expired ones must not make a loop.
const SHORTEST_PAUSE: Duration = Duration::from_secs(10);

/// The longest pause after the first failure; it doubles with each further one.
const FIRST_BACKOFF: Duration = Duration::from_secs(2);

/// The longest pause after many failures. Short enough that whoever waits for its first credentials takes the service's
/// capacity as soon as there is some, long enough that a fleet of waiting machines is no attack on the service.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5 * 60);

/// Refreshes are spread over this part of a life.
const SPREAD: u32 = 20;

/// No pause is longer than this part of a life.
const PAUSE: u32 = 36;

/// First credentials are left alone so long, where their life allows: at AWS's ten requests a second the largest fleet that
/// lives on credentials of an hour is served within this time, and its first machines must not push in before its last.
const SETTLING: Duration = Duration::from_secs(35 * 60);

/// Credentials are not renewed sooner after they came, even if the fleet has settled, unless their life is short.
const FIRST_PAUSE: Duration = Duration::from_secs(10 * 60);

/// A random number from 0 up to and without 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Jitter(f64);

impl Jitter {
    /// From 64 random bits.
    pub fn new(bits: u64) -> Self {
        // The 53 bits that a double holds exactly.
        Self((bits >> 11) as f64 / (1_u64 << 53) as f64)
    }

    fn of(self, whole: Duration) -> Duration {
        whole.mul_f64(self.0)
    }
}

/// The state of one refresher: what it has, and how it has failed since.
#[derive(Clone, Copy, Debug, Default)]
pub struct Schedule {
    life: Option<Life>,
    failures: u32,
    failing_since: Option<Timestamp>,
}

impl Schedule {
    /// Nothing was fetched yet.
    pub const fn new() -> Self {
        Self { life: None, failures: 0, failing_since: None }
    }

    /// Credentials came. Gives the time to renew them: before two thirds of their life are over, while 20 minutes are left,
    /// but not before half of it; at a random point of the twentieth of their life that ends there.
    ///
    /// The first ones since the start may be renewed from 35 minutes after the first request on, so that machines that started
    /// together part. Where that leaves less than 70 minutes to choose from, those who had to wait keep the order in which the
    /// service let them in: chance would bunch what the service has spread.
    pub fn succeeded(&mut self, life: Life, jitter: Jitter) -> Timestamp {
        let length = life.length();
        let latest = length - (length / 3).max(MARGIN.min(length / 2));
        let usual = length / SPREAD;
        let first = latest.saturating_sub(SETTLING).max(usual);
        let before_latest = match (self.life, self.failing_since) {
            (Some(_), _) => jitter.of(usual),
            (None, None) => jitter.of(first),
            (None, Some(since)) if first < 2 * SETTLING => first.mul_f64(1.0 - place(since, life.issued)),
            (None, Some(since)) => {
                jitter.of(latest - SETTLING.saturating_sub(waited(since, life.issued)).max(FIRST_PAUSE))
            }
        };
        *self = Self { life: Some(life), ..Self::new() };
        after(life.issued, latest.saturating_sub(before_latest).max(SHORTEST_PAUSE))
    }

    /// Fetching failed at this time. Gives the time of the next try, by full jitter.
    ///
    /// Without good credentials the longest pause doubles with each failure. With good ones there is no hurry: the tries are
    /// spread over five minutes or a thirty-sixth of their life, since the reason may be that everybody asks at this moment.
    pub fn failed(&mut self, now: Timestamp, jitter: Jitter) -> Timestamp {
        self.failing_since.get_or_insert(now);
        let longest = match self.life.filter(|life| !life.left(now).is_zero()) {
            Some(life) => (life.length() / PAUSE).max(FIRST_BACKOFF),
            None => FIRST_BACKOFF.saturating_mul(2_u32.saturating_pow(self.failures)),
        };
        self.failures = self.failures.saturating_add(1);
        after(now, jitter.of(longest.min(LONGEST_BACKOFF)))
    }

    /// How often fetching has failed since it last succeeded.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// The life of what was fetched last, also after failures.
    pub fn life(&self) -> Option<Life> {
        self.life
    }
}

/// Where a machine stands that was let in after so long a wait: 0 for the first of a fleet, 1 for its last.
fn place(since: Timestamp, let_in: Timestamp) -> f64 {
    waited(since, let_in).div_duration_f64(SETTLING).min(1.0)
}

fn waited(since: Timestamp, let_in: Timestamp) -> Duration {
    Duration::try_from(let_in.duration_since(since)).unwrap_or_default()
}

fn after(time: Timestamp, pause: Duration) -> Timestamp {
    time.checked_add(pause).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod fleet;

#[cfg(test)]
mod tests {
    use super::*;

    const LOWEST: Jitter = Jitter(0.0);
    const MIDDLE: Jitter = Jitter(0.5);

    fn highest() -> Jitter {
        Jitter::new(u64::MAX)
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn life(length: u64) -> Life {
        Life { issued: Timestamp::UNIX_EPOCH, expires: after(Timestamp::UNIX_EPOCH, seconds(length)) }
    }

    fn renewed(mut schedule: Schedule, length: u64, jitter: Jitter) -> u64 {
        schedule.succeeded(life(length), jitter).as_second().cast_unsigned()
    }

    /// The first and the last second, after they came, at which credentials of this life are renewed.
    fn window(length: u64) -> (u64, u64) {
        let schedule = Schedule { life: Some(life(length)), ..Schedule::new() };
        (renewed(schedule, length, highest()), renewed(schedule, length, LOWEST))
    }

    /// The same for the first credentials after a start.
    fn first_window(length: u64) -> (u64, u64) {
        (renewed(Schedule::new(), length, highest()), renewed(Schedule::new(), length, LOWEST))
    }

    #[test]
    fn jitter_is_below_one() {
        assert!(highest() < Jitter(1.0));
        assert_eq!(Jitter::new(1 << 63), MIDDLE);
        assert_eq!(Jitter::new(0), LOWEST);
    }

    #[test]
    fn long_lives_are_renewed_at_two_thirds() {
        assert_eq!(window(43_200), (26_640, 28_800));
    }

    #[test]
    fn an_hour_is_renewed_before_twenty_minutes_are_left() {
        assert_eq!(window(3_600), (2_220, 2_400));
        assert_eq!(window(2_700), (1_365, 1_500));
    }

    #[test]
    fn short_lives_are_renewed_at_half() {
        assert_eq!(window(1_800), (810, 900));
        assert_eq!(window(900), (405, 450));
        assert_eq!(window(60), (27, 30));
    }

    #[test]
    fn machines_that_started_together_part() {
        assert_eq!(first_window(43_200), (2_100, 28_800));
        assert_eq!(first_window(3_600), (2_100, 2_400));
        assert_eq!(first_window(900), (405, 450));
    }

    #[test]
    fn machines_that_had_to_wait_keep_their_order() {
        let waited = |seconds, length, jitter| {
            let start = Timestamp::UNIX_EPOCH.saturating_sub(Duration::from_secs(seconds)).unwrap();
            renewed(Schedule { failing_since: Some(start), ..Schedule::new() }, length, jitter)
        };
        for jitter in [LOWEST, MIDDLE, highest()] {
            assert_eq!(waited(0, 3_600, jitter), 2_100);
            assert_eq!(waited(1_050, 3_600, jitter), 2_250);
            assert_eq!(waited(2_100, 3_600, jitter), 2_400);
            assert_eq!(waited(1_000_000, 3_600, jitter), 2_400);
        }
        // There is room for chance, which parts small fleets too: from 35 minutes after the first request on.
        for (wait, earliest) in [(0, 2_100), (600, 1_500), (2_000, 600), (1_000_000, 600)] {
            assert_eq!((waited(wait, 43_200, highest()), waited(wait, 43_200, LOWEST)), (earliest, 28_800));
        }
    }

    #[test]
    fn nothing_makes_a_loop() {
        assert_eq!(window(15), (10, 10));
        assert_eq!(window(0), (10, 10));
        let expired = Life { issued: after(Timestamp::UNIX_EPOCH, seconds(9)), expires: Timestamp::UNIX_EPOCH };
        assert_eq!(Schedule::new().succeeded(expired, LOWEST), after(expired.issued, seconds(10)));
    }

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let mut schedule = Schedule::new();
        let pauses: Vec<_> = (0..100).map(|_| schedule.failed(Timestamp::UNIX_EPOCH, MIDDLE).as_second()).collect();
        assert_eq!(pauses[..9], [1, 2, 4, 8, 16, 32, 64, 128, 150]);
        assert!(pauses[9..].iter().all(|pause| *pause == 150));
        assert_eq!(schedule.failures(), 100);
    }

    #[test]
    fn with_good_credentials_the_tries_are_spread_over_a_thirty_sixth_of_their_life() {
        for (length, longest) in [(36, 2), (60, 2), (2_160, 60), (3_600, 100), (43_200, 300)] {
            let mut schedule = Schedule::new();
            schedule.succeeded(life(length), LOWEST);
            for _ in 0..20 {
                assert_eq!(schedule.failed(Timestamp::UNIX_EPOCH, MIDDLE).as_second(), longest / 2);
            }
            assert_eq!(schedule.life(), Some(life(length)));
        }
    }

    #[test]
    fn once_they_have_expired_the_pauses_double() {
        let mut schedule = Schedule::new();
        schedule.succeeded(life(60), LOWEST);
        let now = after(Timestamp::UNIX_EPOCH, seconds(60));
        assert_eq!(schedule.failed(now, MIDDLE), after(now, seconds(1)));
        assert_eq!(schedule.failed(now, MIDDLE), after(now, seconds(2)));
    }

    #[test]
    fn a_success_forgets_the_failures() {
        let mut schedule = Schedule::new();
        for _ in 0..10 {
            schedule.failed(Timestamp::UNIX_EPOCH, MIDDLE);
        }
        schedule.succeeded(life(3_600), MIDDLE);
        assert_eq!((schedule.failures(), schedule.failing_since), (0, None));
    }
}
