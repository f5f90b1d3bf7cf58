//! The loop of `update`: keeps profiles of a credentials file fresh. Knows no devices and no network (a [`Vend`] does), no words
//! for people (a [`Report`] has them) and no clock of its own (a [`Clock`] is one), so that a test lives through days in
//! milliseconds.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;

use super::credentials_file::{self, Entry, ProfileName, Unwritable};
use super::pace;
use super::schedule::{Jitter, Schedule};
use super::source::{Vend, VendError};
use crate::credentials::Life;
use crate::files::SharedFileError;

/// The time, and the random numbers that spread machines over it.
pub trait Clock {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Returns at this time or later, at once when it has passed; or earlier, when something comes between.
    fn wait_until(&mut self, time: Timestamp) -> Wake;

    /// The next random number.
    fn jitter(&mut self) -> Jitter;
}

/// Why a wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The time has come.
    Due,
    /// Every profile is to be refreshed now, as on SIGHUP.
    Reload,
    /// It is over, as on SIGTERM.
    End,
}

/// The machine's own clock and random numbers.
#[derive(Debug)]
pub struct SystemClock {
    wakes: Receiver<Wake>,
}

impl SystemClock {
    /// What is sent here ends a wait.
    pub fn new(wakes: Receiver<Wake>) -> Self {
        Self { wakes }
    }
}

/// Longest sleep between two looks at the clock, which a person may set, and which goes on while the machine is suspended.
const LONGEST_SLEEP: Duration = Duration::from_secs(20);

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn wait_until(&mut self, time: Timestamp) -> Wake {
        loop {
            let left = Duration::try_from(time.duration_since(self.now())).unwrap_or_default();
            match self.wakes.recv_timeout(left.min(LONGEST_SLEEP)) {
                Ok(wake) => return wake,
                Err(_) if left.is_zero() => return Wake::Due,
                Err(RecvTimeoutError::Timeout) => {}
                // Nobody is left to send anything.
                Err(RecvTimeoutError::Disconnected) => thread::sleep(left.min(LONGEST_SLEEP)),
            }
        }
    }

    fn jitter(&mut self) -> Jitter {
        pace::jitter()
    }
}

/// Told of each refresh, to tell the person.
pub trait Report {
    /// The profile is in the file.
    fn refreshed(&mut self, profile: &ProfileName, next: Timestamp);

    /// The profile could not be refreshed; what the file holds was not touched. `failures` counts those since the last success.
    fn failed(&mut self, profile: &ProfileName, error: &UpdateError, failures: u32, next: Timestamp);
}

/// Why a profile was not brought up to date.
#[derive(Debug)]
pub enum UpdateError {
    /// There were no new credentials.
    Vend(VendError),
    /// They cannot stand in the file, or are none that live.
    Unusable(Unusable),
    /// They could not be written.
    File(SharedFileError),
}

/// Credentials that no file can use.
#[derive(Debug)]
pub enum Unusable {
    /// They cannot stand in the file.
    Unwritable(Unwritable),
    /// The service's expiration, which is no time.
    Expiration(String),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwritable(error) => error.fmt(f),
            Self::Expiration(text) => write!(f, "wanted an expiration by RFC 3339, found {text:?}"),
        }
    }
}

impl fmt::Display for UpdateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vend(error) => error.fmt(f),
            Self::Unusable(error) => error.fmt(f),
            Self::File(error) => error.fmt(f),
        }
    }
}

/// A profile, and what makes its credentials.
pub struct Profile {
    name: ProfileName,
    vend: Box<dyn Vend>,
    schedule: Schedule,
    due: Timestamp,
    /// Credentials that the file did not take: a full disk costs no second signature.
    unwritten: Option<(Entry, Life)>,
}

impl Profile {
    /// Due at once.
    pub fn new(name: ProfileName, vend: Box<dyn Vend>) -> Self {
        Self { name, vend, schedule: Schedule::new(), due: Timestamp::MIN, unwritten: None }
    }

    fn fetch(&mut self, clock: &impl Clock) -> Result<(Entry, Life), UpdateError> {
        if let Some(unwritten) = self.unwritten.take().filter(|(_, life)| life.is_reusable(clock.now())) {
            return Ok(unwritten);
        }
        let credentials = self.vend.vend().map_err(UpdateError::Vend)?.credentials;
        let life = credentials
            .life(clock.now())
            .ok_or_else(|| UpdateError::Unusable(Unusable::Expiration(credentials.expiration.clone())))?;
        let entry = Entry::new(self.name.clone(), &credentials)
            .map_err(|error| UpdateError::Unusable(Unusable::Unwritable(error)))?;
        Ok((entry, life))
    }

    fn refresh(&mut self, file: &Path, clock: &mut impl Clock) -> Result<(), UpdateError> {
        let (entry, life) = self.fetch(clock)?;
        if let Err(error) = credentials_file::update(file, std::slice::from_ref(&entry)) {
            self.unwritten = Some((entry, life));
            return Err(UpdateError::File(error));
        }
        self.due = self.schedule.succeeded(life, clock.jitter());
        Ok(())
    }
}

/// A credentials file and the profiles to keep fresh in it.
pub struct Updater<C> {
    file: PathBuf,
    profiles: Vec<Profile>,
    clock: C,
}

impl<C: Clock> Updater<C> {
    /// At least one profile; each name once.
    pub fn new(file: PathBuf, profiles: Vec<Profile>, clock: C) -> Self {
        Self { file, profiles, clock }
    }

    /// Refreshes every profile once, also those after one that fails. Gives the failures; none is success.
    pub fn once(&mut self, report: &mut impl Report) -> Vec<(ProfileName, UpdateError)> {
        let mut failures = Vec::new();
        for profile in &mut self.profiles {
            match profile.refresh(&self.file, &mut self.clock) {
                Ok(()) => report.refreshed(&profile.name, profile.due),
                Err(error) => {
                    profile.due = profile.schedule.failed(self.clock.now(), self.clock.jitter());
                    failures.push((profile.name.clone(), error));
                }
            }
        }
        failures
    }

    /// Waits for the profile that is due first, and refreshes it. A failure is reported and tried again later: what the file
    /// holds stays good for as long as it lives. Says what ended the wait; nothing was done where that is the end.
    pub fn next(&mut self, report: &mut impl Report) -> Wake {
        let due = self.profiles.iter().map(|profile| profile.due).min().unwrap_or(Timestamp::MAX);
        let wake = self.clock.wait_until(due);
        match wake {
            Wake::Due => {}
            Wake::Reload => self.profiles.iter_mut().for_each(|profile| profile.due = Timestamp::MIN),
            Wake::End => return wake,
        }
        let Some(profile) = self.profiles.iter_mut().min_by_key(|profile| profile.due) else { return wake };
        match profile.refresh(&self.file, &mut self.clock) {
            Ok(()) => report.refreshed(&profile.name, profile.due),
            Err(error) => {
                profile.due = profile.schedule.failed(self.clock.now(), self.clock.jitter());
                report.failed(&profile.name, &error, profile.schedule.failures(), profile.due);
            }
        }
        wake
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, AtomicU32, Ordering::Relaxed};
    use std::sync::mpsc::channel;

    use super::super::source::{VendErrorKind, Vended};
    use super::*;
    use crate::credentials::Credentials;

    const START: i64 = 1_800_000_000;
    const LIFE: i64 = 3_600;

    /// A clock that stands still until somebody waits.
    #[derive(Clone)]
    struct TestClock(Arc<AtomicI64>);

    impl TestClock {
        fn new() -> Self {
            Self(Arc::new(AtomicI64::new(START)))
        }
    }

    impl Clock for TestClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(self.0.load(Relaxed)).unwrap()
        }

        fn wait_until(&mut self, time: Timestamp) -> Wake {
            self.0.fetch_max(time.as_second(), Relaxed);
            Wake::Due
        }

        fn jitter(&mut self) -> Jitter {
            Jitter::new(1 << 63)
        }
    }

    /// Numbers the credentials it makes, and fails while it is told to.
    #[derive(Clone)]
    struct TestVend {
        clock: TestClock,
        made: Arc<AtomicU32>,
        fails: Arc<AtomicU32>,
        expiration: Option<&'static str>,
    }

    impl Vend for TestVend {
        fn vend(&mut self) -> Result<Vended, VendError> {
            if self.fails.load(Relaxed) > 0 {
                self.fails.fetch_sub(1, Relaxed);
                return Err(VendError::new(VendErrorKind::Network, "the service is away"));
            }
            let made = self.made.fetch_add(1, Relaxed) + 1;
            let expires = Timestamp::from_second(self.clock.0.load(Relaxed) + LIFE).unwrap();
            let credentials = Credentials {
                access_key_id: format!("AKID{made}"),
                secret_access_key: "test-secret".to_owned().into(),
                session_token: "test-token".to_owned().into(),
                expiration: self.expiration.map_or_else(|| expires.to_string(), str::to_owned),
            };
            Ok(Vended { credentials, certificate_expires: None, device: None, service: None })
        }
    }

    #[derive(Default)]
    struct Lines(Vec<String>);

    impl Report for Lines {
        fn refreshed(&mut self, profile: &ProfileName, next: Timestamp) {
            self.0.push(format!("{profile} ok, next at {}", next.as_second() - START));
        }

        fn failed(&mut self, profile: &ProfileName, error: &UpdateError, failures: u32, next: Timestamp) {
            self.0.push(format!("{profile} failed {failures}: {error}, next at {}", next.as_second() - START));
        }
    }

    struct Bench {
        folder: tempfile::TempDir,
        clock: TestClock,
        vend: TestVend,
        report: Lines,
    }

    impl Bench {
        fn new() -> Self {
            let clock = TestClock::new();
            let vend = TestVend { clock: clock.clone(), made: Arc::default(), fails: Arc::default(), expiration: None };
            Self { folder: tempfile::tempdir().unwrap(), clock, vend, report: Lines::default() }
        }

        fn file(&self) -> PathBuf {
            self.folder.path().join("aws/credentials")
        }

        fn content(&self) -> String {
            std::fs::read_to_string(self.file()).unwrap_or_default()
        }

        fn updater(&self, names: &[&str]) -> Updater<TestClock> {
            let profiles =
                names.iter().map(|name| Profile::new(name.parse().unwrap(), Box::new(self.vend.clone()))).collect();
            Updater::new(self.file(), profiles, self.clock.clone())
        }
    }

    #[test]
    fn profiles_are_refreshed_in_turn_for_days() {
        let mut bench = Bench::new();
        let mut updater = bench.updater(&["a", "b"]);
        assert!(updater.once(&mut bench.report).is_empty());
        for _ in 0..100 {
            updater.next(&mut bench.report);
        }
        let hours = (bench.clock.0.load(Relaxed) - START) / LIFE;
        assert!((30..=33).contains(&hours), "{hours} hours");
        assert_eq!(bench.vend.made.load(Relaxed), 102);
        assert!(bench.content().contains("[a]\naws_access_key_id = AKID101\n"), "{}", bench.content());
        assert!(bench.content().contains("[b]\naws_access_key_id = AKID102\n"), "{}", bench.content());
        assert_eq!(bench.report.0[..3], ["a ok, next at 2250", "b ok, next at 2250", "a ok, next at 4560"]);
    }

    #[test]
    fn a_failed_refresh_leaves_the_file_and_is_tried_again() {
        let mut bench = Bench::new();
        let mut updater = bench.updater(&["default"]);
        updater.once(&mut bench.report);
        let before = bench.content();
        bench.vend.fails.store(2, Relaxed);
        updater.next(&mut bench.report);
        updater.next(&mut bench.report);
        assert_eq!(bench.content(), before);
        updater.next(&mut bench.report);
        assert_ne!(bench.content(), before);
        let failed = "the service is away, next at";
        assert_eq!(bench.report.0[1], format!("default failed 1: {failed} 2300"));
        assert_eq!(bench.report.0[2], format!("default failed 2: {failed} 2350"));
        assert!(bench.report.0[3].starts_with("default ok"));
    }

    #[test]
    fn a_start_refreshes_the_profiles_after_one_that_fails() {
        let mut bench = Bench::new();
        bench.vend.fails.store(1, Relaxed);
        let failures = bench.updater(&["a", "b"]).once(&mut bench.report);
        assert!(matches!(failures.as_slice(), [(name, UpdateError::Vend(error))]
                if name.as_str() == "a" && error.kind() == VendErrorKind::Network));
        assert!(!bench.content().contains("[a]") && bench.content().contains("[b]"), "{}", bench.content());
    }

    #[test]
    fn credentials_that_the_file_did_not_take_are_written_later_without_another_signature() {
        let mut bench = Bench::new();
        let mut updater = bench.updater(&["default"]);
        std::fs::write(bench.folder.path().join("aws"), "in the way of the directory").unwrap();
        let failures = updater.once(&mut bench.report);
        assert!(matches!(failures.as_slice(), [(_, UpdateError::File(_))]));
        std::fs::remove_file(bench.folder.path().join("aws")).unwrap();
        updater.next(&mut bench.report);
        assert!(bench.content().contains("AKID1\n"), "{}", bench.content());
        assert_eq!(bench.vend.made.load(Relaxed), 1);
    }

    #[test]
    fn credentials_that_no_file_can_hold_are_refused() {
        let mut bench = Bench::new();
        bench.vend.expiration = Some("soon");
        let failures = bench.updater(&["default"]).once(&mut bench.report);
        let [(_, error)] = failures.as_slice() else { panic!("{failures:?}") };
        assert_eq!(error.to_string(), "wanted an expiration by RFC 3339, found \"soon\"");
        assert!(!bench.file().exists());
    }

    #[test]
    fn the_system_clock_waits_and_does_not_wait_for_the_past() {
        let (sender, wakes) = channel();
        let mut clock = SystemClock::new(wakes);
        let soon = clock.now() + Duration::from_millis(5);
        assert_eq!(clock.wait_until(soon), Wake::Due);
        assert!(clock.now() >= soon);
        assert_eq!(clock.wait_until(Timestamp::MIN), Wake::Due);
        sender.send(Wake::Reload).unwrap();
        sender.send(Wake::End).unwrap();
        assert_eq!(clock.wait_until(Timestamp::MAX), Wake::Reload);
        assert_eq!(clock.wait_until(Timestamp::MIN), Wake::End);
        assert_ne!(clock.jitter(), clock.jitter());
    }
}
