//! The faults that can be asked for: how they are written, and which is due.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use hyper::StatusCode;

/// A fault, how often it happens and from when on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What happens.
    pub kind: FaultKind,
    /// How often; `None`: always.
    pub count: Option<u32>,
    /// The number of the answer, or of the handshake, that it can happen to first; the first is number 1.
    pub from: u64,
}

/// What happens in place of the true answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// An error of this status with the name and message that the service gives with it.
    Status(StatusCode),
    /// A 403 with a page of HTML, as proxies and captive portals give.
    Html403,
    /// A redirection to another host, 302 or 307.
    Redirect(StatusCode),
    /// A 201 whose JSON ends too early.
    Malformed,
    /// A 201 with no credentials in its credentialSet.
    Empty,
    /// A 201 with credentials that have no secretAccessKey, sessionToken and expiration.
    MissingFields,
    /// A 201 that announces more octets than come before the connection closes.
    Truncated,
    /// A 201 whose body does not end.
    Endless,
    /// The connection is closed without an answer.
    Close,
    /// No answer comes; the connection stays open.
    Hang,
    /// The TLS handshake of a connection is not answered.
    HangTls,
    /// A connection is closed as soon as its TLS handshake is done, as an idle one may be.
    CloseTls,
    /// The service's clock is off by seconds. Not counted: it is off all the time.
    Clock(i64),
}

/// A fault that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct FaultError(String);

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FaultError {}

impl FaultKind {
    /// Every kind that has a fixed name, for reading and for the log.
    const NAMED: [(&'static str, Self); 12] = [
        ("html-403", Self::Html403),
        ("redirect", Self::Redirect(StatusCode::FOUND)),
        ("redirect-307", Self::Redirect(StatusCode::TEMPORARY_REDIRECT)),
        ("malformed", Self::Malformed),
        ("empty", Self::Empty),
        ("missing-fields", Self::MissingFields),
        ("truncated", Self::Truncated),
        ("endless", Self::Endless),
        ("close", Self::Close),
        ("hang", Self::Hang),
        ("hang-tls", Self::HangTls),
        ("close-tls", Self::CloseTls),
    ];
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, Self::NAMED.iter().find(|(_, kind)| kind == self)) {
            (Self::Status(status), _) => f.write_str(status.as_str()),
            (Self::Clock(seconds), _) => write!(f, "clock:{seconds:+}"),
            (_, Some((name, _))) => f.write_str(name),
            (_, None) => f.write_str("unnamed"),
        }
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    /// Reads `KIND[:COUNT][@FROM]`, or `clock:SECONDS` with a sign.
    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (what, from) = match text.split_once('@') {
            Some((what, from)) => (what, Some(from)),
            None => (text, None),
        };
        let (name, number) = match what.split_once(':') {
            Some((name, number)) => (name, Some(number)),
            None => (what, None),
        };
        if name == "clock" {
            let seconds =
                number.and_then(|number| number.parse().ok()).filter(|seconds: &i64| seconds.abs() <= 315_360_000);
            let kind = FaultKind::Clock(seconds.ok_or_else(|| {
                FaultError(format!("wanted clock:SECONDS, at most ten years either way, found {text:?}"))
            })?);
            if from.is_some() {
                return Err(FaultError(format!(
                    "wanted clock:SECONDS without @, for it is off all the time, found {text:?}"
                )));
            }
            return Ok(Self { kind, count: None, from: 1 });
        }
        let count = number.map(|number| at_least_one(number, &format!("a count after {name}:"), text)).transpose()?;
        let from = from.map_or(Ok(1), |from| at_least_one(from, "the number of a request after @", text))?;
        let kind = error_status(name)
            .map(FaultKind::Status)
            .or_else(|| FaultKind::NAMED.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind))
            .ok_or_else(|| {
                let known = FaultKind::NAMED.map(|(name, _)| name).join(", ");
                FaultError(format!("wanted a status from 400 to 599, clock:SECONDS, or one of {known}, found {name:?}"))
            })?;
        Ok(Self { kind, count, from })
    }
}

fn at_least_one<N: FromStr + PartialOrd + From<u8>>(number: &str, what: &str, text: &str) -> Result<N, FaultError> {
    let number = number.parse().ok().filter(|number| *number >= N::from(1));
    number.ok_or_else(|| FaultError(format!("wanted {what}, at least 1, found {text:?}")))
}

fn error_status(name: &str) -> Option<StatusCode> {
    let status = StatusCode::from_bytes(name.as_bytes()).ok()?;
    (status.is_client_error() || status.is_server_error()).then_some(status)
}

/// The faults that are still to happen, in the order they were asked for.
pub struct FaultPlan {
    answers: Mutex<Queue>,
    handshakes: Mutex<Queue>,
    clock_offset_seconds: i64,
}

/// The faults of one kind of event, and how many of these there were.
struct Queue {
    faults: VecDeque<Fault>,
    events: u64,
}

impl FaultPlan {
    /// Sorts the faults by what they happen to.
    pub fn new(faults: Vec<Fault>) -> Self {
        let clock_offset_seconds = faults
            .iter()
            .filter_map(|fault| if let FaultKind::Clock(seconds) = fault.kind { Some(seconds) } else { None })
            .sum();
        let (handshakes, answers): (Vec<Fault>, Vec<Fault>) = faults
            .into_iter()
            .filter(|fault| !matches!(fault.kind, FaultKind::Clock(_)))
            .partition(|fault| matches!(fault.kind, FaultKind::HangTls | FaultKind::CloseTls));
        let queue = |faults: Vec<Fault>| Mutex::new(Queue { faults: faults.into(), events: 0 });
        Self { answers: queue(answers), handshakes: queue(handshakes), clock_offset_seconds }
    }

    /// The fault of this CreateSession answer.
    pub fn next_answer(&self) -> Option<FaultKind> {
        take(&self.answers)
    }

    /// The fault of this connection's TLS handshake.
    pub fn next_handshake(&self) -> Option<FaultKind> {
        take(&self.handshakes)
    }

    /// How far the service's clock is off.
    pub fn clock_offset_seconds(&self) -> i64 {
        self.clock_offset_seconds
    }
}

/// The fault of the next event. One that is not due yet holds back those behind it.
fn take(queue: &Mutex<Queue>) -> Option<FaultKind> {
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    queue.events += 1;
    let event = queue.events;
    let fault = queue.faults.front_mut().filter(|fault| fault.from <= event)?;
    let kind = fault.kind;
    if let Some(count) = &mut fault.count {
        *count -= 1;
        if *count == 0 {
            queue.faults.pop_front();
        }
    }
    Some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Fault {
        text.parse().unwrap()
    }

    #[test]
    fn every_kind_reads_back_from_its_name() {
        for (name, kind) in FaultKind::NAMED {
            assert_eq!(fault(name), Fault { kind, count: None, from: 1 });
            assert_eq!(kind.to_string(), name);
        }
        let kind = FaultKind::Status(StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(fault("503:3"), Fault { kind, count: Some(3), from: 1 });
        assert_eq!(fault("503:3@7"), Fault { kind, count: Some(3), from: 7 });
        assert_eq!(fault("503@7"), Fault { kind, count: None, from: 7 });
        for text in ["clock:+600", "clock:-600"] {
            assert_eq!(fault(text).kind.to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "200",
            "302",
            "600",
            "nope",
            "503:",
            "503:0",
            "503:-1",
            "503:x",
            "clock",
            "clock:",
            "clock:9999999999999",
            "hang:1:2",
            "503@",
            "503@0",
            "503@1:2",
            "503@1@2",
            "@2",
            "clock:+600@2",
        ] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }

    #[test]
    fn faults_happen_in_order_each_as_often_as_asked() {
        let plan = FaultPlan::new(["503:2", "clock:+600", "hang-tls:1", "close:1", "close-tls:1"].map(fault).to_vec());
        assert_eq!(plan.clock_offset_seconds(), 600);
        let handshakes: Vec<_> = (0..3).map(|_| plan.next_handshake()).collect();
        assert_eq!(handshakes, [Some(FaultKind::HangTls), Some(FaultKind::CloseTls), None]);
        let unavailable = Some(FaultKind::Status(StatusCode::SERVICE_UNAVAILABLE));
        let answers: Vec<_> = (0..4).map(|_| plan.next_answer()).collect();
        assert_eq!(answers, [unavailable, unavailable, Some(FaultKind::Close), None]);
    }

    #[test]
    fn a_fault_waits_for_its_request_and_the_next_one_for_it() {
        let plan = FaultPlan::new(["close:2@3", "429:1", "empty@7", "close-tls:1@2"].map(fault).to_vec());
        let throttled = Some(FaultKind::Status(StatusCode::TOO_MANY_REQUESTS));
        let (close, empty) = (Some(FaultKind::Close), Some(FaultKind::Empty));
        let answers: Vec<_> = (0..8).map(|_| plan.next_answer()).collect();
        assert_eq!(answers, [None, None, close, close, throttled, None, empty, empty]);
        let handshakes: Vec<_> = (0..3).map(|_| plan.next_handshake()).collect();
        assert_eq!(handshakes, [None, Some(FaultKind::CloseTls), None]);
    }

    #[test]
    fn a_fault_without_a_count_happens_always() {
        let plan = FaultPlan::new(vec![fault("hang")]);
        assert!((0..100).all(|_| plan.next_answer() == Some(FaultKind::Hang)));
    }
}
