//! The credentials that CreateSession vends, and how long they live. Pure: the clock is passed in. Knows no output format.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use zeroize::Zeroizing;

/// Temporary AWS credentials. The secret parts are wiped on drop and do not show in Debug.
#[derive(Clone)]
pub struct Credentials {
    /// Names the credentials; not secret.
    pub access_key_id: String,
    /// Secret.
    pub secret_access_key: Zeroizing<String>,
    /// Secret.
    pub session_token: Zeroizing<String>,
    /// RFC 3339, exactly as the service wrote it.
    pub expiration: String,
}

impl Credentials {
    /// The first field that is empty, by the name that the service gives it. Credentials with one are not credentials.
    pub fn empty_field(&self) -> Option<&'static str> {
        let fields = [
            ("accessKeyId", self.access_key_id.as_str()),
            ("secretAccessKey", self.secret_access_key.as_str()),
            ("sessionToken", self.session_token.as_str()),
            ("expiration", self.expiration.as_str()),
        ];
        fields.into_iter().find(|(_, value)| value.is_empty()).map(|(name, _)| name)
    }

    /// From when to when they are good, or `None` where the service's expiration is no RFC 3339 time.
    ///
    /// `issued` is the local time at which they came: the service does not say when it made them.
    pub fn life(&self, issued: Timestamp) -> Option<Life> {
        self.expiration.parse().ok().map(|expires| Life { issued, expires })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("expiration", &self.expiration)
            .finish_non_exhaustive()
    }
}

/// From when to when credentials are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// When they came, by the local clock.
    pub issued: Timestamp,
    /// When the service stops to take them.
    pub expires: Timestamp,
}

/// What a consumer of kept credentials can count on at least, where their life is long enough: five minutes more than boto3
/// wants before it calls them old.
const REUSE_MARGIN: Duration = Duration::from_secs(20 * 60);

impl Life {
    /// The whole length; zero where a wrong clock makes them expire before they came.
    pub fn length(self) -> Duration {
        between(self.issued, self.expires)
    }

    /// What is left of it.
    pub fn left(self, now: Timestamp) -> Duration {
        between(now, self.expires)
    }

    /// Whether kept credentials may be handed out again: more than the smaller of 20 minutes and a third of their life is
    /// left. Credentials from the future are not reused: a clock that was set back says nothing about what is left.
    pub fn is_reusable(self, now: Timestamp) -> bool {
        self.issued <= now && self.left(now) > REUSE_MARGIN.min(self.length() / 3)
    }
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    to.duration_since(from).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(issued: &str, expires: &str) -> Life {
        Life { issued: issued.parse().unwrap(), expires: expires.parse().unwrap() }
    }

    fn reusable(life: Life, now: &str) -> bool {
        life.is_reusable(now.parse().unwrap())
    }

    #[test]
    fn credentials_of_an_hour_are_reused_until_twenty_minutes_are_left() {
        let hour = life("2026-01-01T12:00:00Z", "2026-01-01T13:00:00Z");
        assert!(reusable(hour, "2026-01-01T12:00:00Z"));
        assert!(reusable(hour, "2026-01-01T12:39:59Z"));
        assert!(!reusable(hour, "2026-01-01T12:40:00Z"));
        assert!(!reusable(hour, "2026-01-01T14:00:00Z"));
    }

    #[test]
    fn short_ones_are_reused_until_a_third_is_left() {
        let quarter = life("2026-01-01T12:00:00Z", "2026-01-01T12:15:00Z");
        assert!(reusable(quarter, "2026-01-01T12:09:59Z"));
        assert!(!reusable(quarter, "2026-01-01T12:10:00Z"));
    }

    #[test]
    fn a_wrong_clock_makes_no_life_longer() {
        let backwards = life("2026-01-01T13:00:00Z", "2026-01-01T12:00:00Z");
        assert_eq!(backwards.length(), Duration::ZERO);
        assert!(!reusable(backwards, "2026-01-01T13:00:00Z"));
        let future = life("2026-01-01T12:00:00Z", "2026-01-01T13:00:00Z");
        assert!(!reusable(future, "2026-01-01T11:00:00Z"));
    }

    #[test]
    fn an_expiration_that_is_no_time_gives_no_life() {
        let mut credentials = Credentials {
            access_key_id: String::new(),
            secret_access_key: String::new().into(),
            session_token: String::new().into(),
            expiration: "2026-01-01T13:00:00Z".into(),
        };
        let now = "2026-01-01T12:00:00Z".parse().unwrap();
        assert_eq!(credentials.life(now), Some(life("2026-01-01T12:00:00Z", "2026-01-01T13:00:00Z")));
        credentials.expiration = "soon".into();
        assert_eq!(credentials.life(now), None);
    }
}
