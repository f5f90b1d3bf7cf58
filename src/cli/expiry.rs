//! What is said of a certificate that ends soon: a line on stderr with the command that renews it. A line alone, since some SDKs
//! read stderr only after the end, and show it only where the command failed.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::identity::Identity;
use crate::x509::Certificate;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// When each certificate was spoken of last, by its DER: several roles may have the same one.
static TOLD: LazyLock<Mutex<HashMap<Vec<u8>, Timestamp>>> = LazyLock::new(Mutex::default);

/// Whether and how it is said for an identity.
pub struct ExpiryNotice {
    within: SignedDuration,
    renewal: String,
}

impl ExpiryNotice {
    /// So many days before the end; never for 0.
    pub fn new(days: u32, renewal: String) -> Self {
        Self { within: DAY * i32::try_from(days).unwrap_or(i32::MAX), renewal }
    }

    /// Says of leaf and chain what ends first, of each certificate once a day.
    pub fn tell(&self, identity: &Identity, now: Timestamp) {
        let until = now.checked_add(self.within).unwrap_or(Timestamp::MAX);
        let Some(ending) = identity.first_to_end(now, until) else { return };
        if is_due(ending.der(), now) {
            log::warn!("{}", self.line(ending, *ending == identity.leaf, now));
        }
    }

    fn line(&self, ending: &Certificate, is_leaf: bool, now: Timestamp) -> String {
        let end = ending.not_after();
        let (subject, left, renewal) = (ending.subject(), left(end.duration_since(now)), &self.renewal);
        match is_leaf {
            true => format!("the certificate {subject} ends in {left}, at {end}; renew it: {renewal}"),
            false => format!(
                "the intermediate certificate {subject} ends in {left}, at {end}; when its CA has a new one, renew yours: {renewal}"
            ),
        }
    }
}

/// In the unit in which people would say it.
fn left(time: SignedDuration) -> String {
    let (number, unit) = match (time.as_hours() / 24, time.as_hours()) {
        (0, 0) => (time.as_mins(), "minute"),
        (0, hours) => (hours, "hour"),
        (days, _) => (days, "day"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// Whether nothing was said of this certificate for a day; from now on something was.
fn is_due(der: &[u8], now: Timestamp) -> bool {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    told.retain(|_, at| now.duration_since(*at) < DAY);
    let is_due = !told.contains_key(der);
    if is_due {
        told.insert(der.to_owned(), now);
    }
    is_due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_said_in_the_largest_unit() {
        let said = |minutes| left(SignedDuration::from_mins(minutes));
        assert_eq!([said(0), said(1), said(59)], ["0 minutes", "1 minute", "59 minutes"]);
        assert_eq!([said(60), said(24 * 60 - 1)], ["1 hour", "23 hours"]);
        assert_eq!([said(24 * 60), said(10 * 24 * 60 - 1)], ["1 day", "9 days"]);
    }

    #[test]
    fn a_certificate_is_spoken_of_once_a_day() {
        let now = Timestamp::UNIX_EPOCH;
        let at = |hours| now + SignedDuration::from_hours(hours);
        assert!(is_due(b"one", at(0)) && is_due(b"two", at(1)));
        assert!(!is_due(b"one", at(23)) && is_due(b"one", at(24)));
        assert!(!is_due(b"one", at(25)) && is_due(b"two", at(25)));
    }
}
