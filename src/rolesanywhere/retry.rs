//! When a request is sent again, after which pause, and when it is signed again. Pure: chance and times are passed in.

use std::time::Duration;

use super::error::{Cause, ServiceError};
use super::meaning::{self, Meaning};

/// How often a request is sent, as in the SDKs' standard mode.
const ATTEMPTS: u32 = 3;

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// A signed request is sent again while it is younger than this, well inside the five minutes that SigV4 allows.
const FRESH: Duration = Duration::from_secs(120);

/// A new signature can only fare better than a refused one if its time differs by more than a clock's jitter.
const WORTH_SIGNING: Duration = Duration::from_secs(30);

/// What waits for the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Urgency {
    /// There are no credentials until it comes.
    #[default]
    Needed,
    /// Good credentials go on meanwhile. Where the service asks for fewer requests it gets fewer: whoever asked will ask again
    /// later, and in a fleet near its quota two more requests for each refused one are what keeps the others out.
    CanWait,
}

/// What to do after a failure.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    GiveUp,
    /// Send again after the pause.
    Resend {
        after: Duration,
        sign_afresh: bool,
    },
}

/// What is known when an attempt has failed.
pub(super) struct Situation {
    /// Since the request was signed.
    pub(super) age: Duration,
    /// How far the time in a fresh signature would be from the one in this.
    pub(super) time_shift: Duration,
    /// Until the overall limit.
    pub(super) left: Duration,
    /// From the whole of [0, 1).
    pub(super) chance: f64,
}

/// The attempts made so far.
#[derive(Debug, Default)]
pub(super) struct Retries {
    urgency: Urgency,
    attempts: u32,
    signed_afresh: bool,
}

impl Retries {
    pub(super) fn new(urgency: Urgency) -> Self {
        Self { urgency, ..Self::default() }
    }

    /// Counts an attempt that begins.
    pub(super) fn begin(&mut self) {
        self.attempts += 1;
    }

    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Decides after a failure. At most one further signature is asked for, however many attempts there are.
    pub(super) fn next(&mut self, cause: &Cause, situation: &Situation) -> Next {
        if self.attempts >= ATTEMPTS {
            return Next::GiveUp;
        }
        let (wanted_pause, blamed) = match cause {
            Cause::Connection(error) if error.is_transient() => (None, false),
            Cause::Service(error) if self.is_spared(error) => return Next::GiveUp,
            Cause::Service(error) if meaning::is_transient(error.status, error.code.as_deref()) => {
                (error.retry_after, false)
            }
            Cause::Service(error) if error.meaning.blames_signature() => (Some(Duration::ZERO), true),
            _ => return Next::GiveUp,
        };
        if blamed && (self.signed_afresh || situation.time_shift < WORTH_SIGNING) {
            return Next::GiveUp;
        }
        let sign_afresh = !self.signed_afresh && (blamed || situation.age >= FRESH);
        let after = wanted_pause.unwrap_or_else(|| self.pause(situation.chance));
        if after >= situation.left {
            return Next::GiveUp;
        }
        self.signed_afresh |= sign_afresh;
        Next::Resend { after, sign_afresh }
    }

    /// Whether the service is spared another request. Where it names a pause itself, it wants one.
    fn is_spared(&self, error: &ServiceError) -> bool {
        self.urgency == Urgency::CanWait && error.retry_after.is_none() && error.meaning == Meaning::Throttled
    }

    /// Full jitter: anything from nothing to two seconds, doubled each time.
    fn pause(&self, chance: f64) -> Duration {
        let most = Duration::from_secs(1 << self.attempts.min(10));
        most.min(LONGEST_PAUSE).mul_f64(chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::{AnswerError, ConnectionError, ConnectionErrorKind};
    use super::super::meaning::Meaning;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn service(status: u16, code: &str, message: &str) -> Cause {
        Cause::from(ServiceError {
            host: String::new(),
            status,
            code: Some(code.to_owned()),
            message: None,
            request_id: None,
            meaning: Meaning::of(status, Some(code), Some(message)),
            clock: None,
            retry_after: None,
        })
    }

    fn connection(kind: ConnectionErrorKind) -> Cause {
        Cause::Connection(ConnectionError::new(kind, ""))
    }

    fn young() -> Situation {
        Situation { age: SECOND, time_shift: SECOND, left: 20 * SECOND, chance: 0.5 }
    }

    fn after_first(cause: &Cause, situation: &Situation) -> Next {
        let mut retries = Retries::default();
        retries.begin();
        retries.next(cause, situation)
    }

    fn resend(after: Duration) -> Next {
        Next::Resend { after, sign_afresh: false }
    }

    #[test]
    fn what_may_pass_is_sent_again_and_what_will_not_is_not() {
        use ConnectionErrorKind as Kind;
        for kind in [Kind::Unreachable, Kind::Closed, Kind::Timeout, Kind::NameLookup] {
            assert_eq!(after_first(&connection(kind), &young()), resend(SECOND), "{kind:?}");
        }
        for kind in [
            Kind::NoSuchName,
            Kind::UntrustedIssuer,
            Kind::OtherHost,
            Kind::CertificateTime,
            Kind::Tls,
            Kind::TrustRoots,
            Kind::Proxy,
            Kind::Protocol,
        ] {
            assert_eq!(after_first(&connection(kind), &young()), Next::GiveUp, "{kind:?}");
        }
        for (status, code) in [(500, "X"), (503, "X"), (429, "X"), (400, "ThrottlingException")] {
            assert_eq!(after_first(&service(status, code, ""), &young()), resend(SECOND), "{status}");
        }
        for (status, code) in
            [(400, "ValidationException"), (403, "AccessDeniedException"), (404, "ResourceNotFoundException")]
        {
            assert_eq!(after_first(&service(status, code, ""), &young()), Next::GiveUp, "{status}");
        }
        let empty =
            AnswerError { host: String::new(), status: 201, message: String::new(), request_id: None, clock: None };
        assert_eq!(after_first(&Cause::from(empty), &young()), Next::GiveUp);
    }

    #[test]
    fn there_are_three_attempts_with_growing_pauses() {
        let mut retries = Retries::default();
        let cause = service(503, "X", "");
        retries.begin();
        assert_eq!(retries.next(&cause, &young()), resend(SECOND));
        retries.begin();
        assert_eq!(retries.next(&cause, &young()), resend(2 * SECOND));
        retries.begin();
        assert_eq!(retries.next(&cause, &young()), Next::GiveUp);
        assert_eq!(retries.attempts(), 3);
    }

    #[test]
    fn a_throttled_request_is_not_repeated_where_good_credentials_go_on() {
        let after_first = |cause: &Cause| {
            let mut retries = Retries::new(Urgency::CanWait);
            retries.begin();
            retries.next(cause, &young())
        };
        for (status, code) in [(429, "X"), (400, "ThrottlingException")] {
            assert_eq!(after_first(&service(status, code, "")), Next::GiveUp, "{status}");
        }
        assert_eq!(after_first(&service(503, "X", "")), resend(SECOND));
        assert_eq!(after_first(&connection(ConnectionErrorKind::Closed)), resend(SECOND));
        let Cause::Service(mut error) = service(429, "X", "") else { panic!() };
        error.retry_after = Some(SECOND);
        assert_eq!(after_first(&Cause::Service(error)), resend(SECOND));
    }

    #[test]
    fn the_services_own_pause_is_kept() {
        let Cause::Service(mut error) = service(503, "X", "") else { panic!() };
        error.retry_after = Some(Duration::from_millis(70));
        assert_eq!(after_first(&Cause::Service(error), &young()), resend(Duration::from_millis(70)));
    }

    #[test]
    fn a_pause_that_does_not_fit_into_the_limit_is_not_begun() {
        let situation = Situation { left: SECOND / 2, ..young() };
        assert_eq!(after_first(&service(503, "X", ""), &situation), Next::GiveUp);
    }

    #[test]
    fn an_old_request_is_signed_afresh_once() {
        let mut retries = Retries::default();
        let old = Situation { age: FRESH, ..young() };
        let cause = service(503, "X", "");
        retries.begin();
        assert_eq!(retries.next(&cause, &old), Next::Resend { after: SECOND, sign_afresh: true });
        retries.begin();
        assert_eq!(retries.next(&cause, &old), resend(2 * SECOND));
    }

    #[test]
    fn a_refused_time_is_signed_afresh_once_where_another_time_would_be_sent() {
        let cause = service(403, "AccessDeniedException", "Invalid signature");
        assert_eq!(after_first(&cause, &young()), Next::GiveUp);
        let shifted = Situation { time_shift: Duration::from_secs(600), ..young() };
        let mut retries = Retries::default();
        retries.begin();
        assert_eq!(retries.next(&cause, &shifted), Next::Resend { after: Duration::ZERO, sign_afresh: true });
        retries.begin();
        assert_eq!(retries.next(&cause, &shifted), Next::GiveUp);
    }
}
