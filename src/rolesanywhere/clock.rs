//! How far this machine's clock is from the server's. Pure: both times are passed in.

use std::fmt;

use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};

/// Less than this is the time on the way and a `Date` of whole seconds; signatures of AWS allow about five minutes.
const NAMED_FROM: SignedDuration = SignedDuration::from_secs(60);

/// A difference between two clocks that is worth naming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSkew(SignedDuration);

impl ClockSkew {
    /// Compares a `Date` header with the local time at which it came. `None` where they agree, or it is no date.
    pub(super) fn measure(date: &str, local: Timestamp) -> Option<Self> {
        let ahead = ahead(date, local)?;
        (ahead.abs() >= NAMED_FROM).then_some(Self(ahead))
    }

    /// How many seconds the local clock is ahead of the server's; negative where it is behind.
    pub fn seconds_ahead(self) -> i64 {
        self.0.as_secs()
    }

    /// What the server's clock shows when the local one shows `local`.
    pub(super) fn correct(self, local: Timestamp) -> Timestamp {
        local.checked_sub(self.0).unwrap_or(local)
    }
}

/// How far the local clock is ahead of a `Date` header, to the second. `None` where that is no date.
pub(super) fn ahead(date: &str, local: Timestamp) -> Option<SignedDuration> {
    let server = DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(local.duration_since(server))
}

impl fmt::Display for ClockSkew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.0.is_negative() { "behind" } else { "ahead of" };
        write!(f, "this machine's clock is {} s {direction} the server's", self.0.as_secs().unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Fri, 02 Jan 2026 03:04:05 GMT";

    fn skew(local: &str) -> Option<ClockSkew> {
        ClockSkew::measure(DATE, local.parse().unwrap())
    }

    #[test]
    fn a_difference_is_named_with_its_direction() {
        assert_eq!(
            skew("2026-01-02T03:14:15Z").unwrap().to_string(),
            "this machine's clock is 610 s ahead of the server's"
        );
        assert_eq!(
            skew("2026-01-02T02:54:05Z").unwrap().to_string(),
            "this machine's clock is 600 s behind the server's"
        );
    }

    #[test]
    fn small_differences_and_no_dates_are_no_skew() {
        assert_eq!(skew("2026-01-02T03:05:04Z"), None);
        assert_eq!(ClockSkew::measure("yesterday", Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn a_corrected_time_is_the_servers() {
        let local = "2026-01-02T03:14:15Z".parse().unwrap();
        let corrected = skew("2026-01-02T03:14:15Z").unwrap().correct(local);
        assert_eq!(corrected, "2026-01-02T03:04:05Z".parse::<Timestamp>().unwrap());
    }
}
