//! What happens to a request: read whole, judged, logged, answered. Knows neither sockets nor TLS.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, StatusCode};
use jiff::Timestamp;

use super::answer::{self, Answer, Protocol};
use super::arrived::Arrived;
use super::create_session::{Grant, Policy, Presented};
use super::fault::{FaultKind, FaultPlan};
use super::journal::Line;
use super::refusal::{Flaw, Refusal};
use super::sts;
use super::vended::{Ledger, Vended, random_uuid};

/// Far more than the parameters of any request need.
const LARGEST_BODY: usize = 64 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The endpoint's state.
pub struct Service {
    /// What it trusts, has and allows.
    pub policy: Policy,
    /// What it does wrong on purpose.
    pub faults: FaultPlan,
    /// How long it waits before each answer.
    pub delay: Duration,
    /// What it gave out.
    pub ledger: Ledger,
    /// How many requests came.
    pub requests: AtomicU64,
    /// How many credentials it gave out.
    pub vended: AtomicU64,
}

/// The connection ends without an answer; what hyper does when a service fails.
#[derive(Debug)]
pub struct NoAnswer;

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed without an answer")
    }
}

impl std::error::Error for NoAnswer {}

/// What becomes of a request.
enum Outcome {
    Answer(Answer),
    Close,
    Hang,
}

impl Service {
    /// Answers one request. The line in the log is written before the answer is sent.
    pub async fn answer(&self, connection: u64, request: Request<Incoming>) -> Result<Answer, NoAnswer> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let request_id = random_uuid().map_err(|_| NoAnswer)?;
        let (parts, body) = request.into_parts();
        let line = Line::new()
            .plain("connection", connection)
            .plain("request", &request_id)
            .quoted("method", parts.method.as_str())
            .quoted("path", parts.uri.path());
        let answer = match read_body(body).await {
            Ok(body) => self.route(&Arrived::new(Request::from_parts(parts, body)), &request_id, line),
            Err(refusal) => Outcome::Answer(refuse(&refusal, Protocol::Json, &request_id, line)),
        };
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        match answer {
            Outcome::Answer(answer) => Ok(answer::finish(answer, &request_id, self.now())),
            Outcome::Close => Err(NoAnswer),
            Outcome::Hang => std::future::pending().await,
        }
    }

    /// The service's clock, which a fault may put wrong.
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        Timestamp::from_second(now.as_second() + self.faults.clock_offset_seconds()).unwrap_or(now)
    }

    fn route(&self, arrived: &Arrived, request_id: &str, line: Line) -> Outcome {
        let unserved = |status, code, line| {
            let wanted = "wanted POST /sessions, or GET or POST /";
            refuse(&Refusal::new(status, code, wanted, wanted), Protocol::Json, request_id, line)
        };
        match (arrived.path(), arrived.method()) {
            ("/sessions", "POST") => self.create_session(arrived, request_id, line),
            ("/", "GET" | "POST") => Outcome::Answer(self.caller_identity(arrived, request_id, line)),
            ("/sessions" | "/", _) => {
                Outcome::Answer(unserved(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowedException", line))
            }
            _ => Outcome::Answer(unserved(StatusCode::NOT_FOUND, "UnknownOperationException", line)),
        }
    }

    /// Judges the request even where a fault replaces the answer, so that the log tells both.
    fn create_session(&self, arrived: &Arrived, request_id: &str, line: Line) -> Outcome {
        let presented = Presented::read(arrived);
        let line = match &presented {
            Ok(presented) => line.leaf(&presented.leaf),
            Err(_) => line,
        };
        let verdict = presented.and_then(|presented| presented.judge(&self.policy, arrived, self.now()));
        if let Some(fault) = self.faults.next_answer() {
            return inject(fault, &verdict, request_id, line);
        }
        let vended = verdict.and_then(|grant| Ok((self.vend(&grant)?, grant)));
        Outcome::Answer(match vended {
            Ok((vended, grant)) => {
                line.plain("status", 201)
                    .quoted("vended", &vended.access_key_id)
                    .plain("expiration", vended.expiration)
                    .quoted("session", &vended.identity.arn)
                    .write();
                answer::created(&grant.answer(&vended))
            }
            Err(refusal) => refuse(&refusal, Protocol::Json, request_id, line),
        })
    }

    fn vend(&self, grant: &Grant) -> Result<Vended, Refusal> {
        let vended = self.ledger.vend(grant.identity.clone(), grant.expiration).map_err(Refusal::internal)?;
        self.vended.fetch_add(1, Ordering::Relaxed);
        Ok(vended)
    }

    fn caller_identity(&self, arrived: &Arrived, request_id: &str, line: Line) -> Answer {
        match sts::caller_identity(&self.ledger, arrived, self.now()) {
            Ok(identity) => {
                line.plain("status", 200).quoted("caller", &identity.arn).write();
                answer::caller_identity(&identity, request_id)
            }
            Err(refusal) => refuse(&refusal, Protocol::Xml, request_id, line),
        }
    }
}

/// Replaces the true answer by a fault.
fn inject(fault: FaultKind, verdict: &Result<Grant, Refusal>, request_id: &str, line: Line) -> Outcome {
    let line = line.plain("fault", fault);
    match verdict {
        Ok(_) => line.quoted("instead-of", "201"),
        Err(refusal) => line.quoted("instead-of", refusal.status.as_str()).quoted("reason", &refusal.reason),
    }
    .write();
    match answer::faulty(fault, request_id) {
        Some(answer) => Outcome::Answer(answer),
        None if fault == FaultKind::Hang => Outcome::Hang,
        None => Outcome::Close,
    }
}

/// Logs the precise reason, answers with the general message.
fn refuse(refusal: &Refusal, protocol: Protocol, request_id: &str, line: Line) -> Answer {
    line.plain("status", refusal.status.as_u16())
        .plain("code", refusal.code)
        .quoted("message", &refusal.message)
        .quoted("reason", &refusal.reason)
        .write();
    answer::refused(refusal, protocol, request_id)
}

async fn read_body(body: Incoming) -> Result<Bytes, Refusal> {
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, LARGEST_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            let flaw = format!("wanted a body of at most {LARGEST_BODY} octets, found more");
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLargeException", flaw.clone(), flaw))
        }
        Ok(Err(error)) => Err(Refusal::validation(Flaw::new(format!("wanted a whole body, found {error}")))),
        Err(_) => {
            let flaw = "wanted the whole body within 30 s, found it unfinished";
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "RequestTimeoutException", flaw, flaw))
        }
    }
}
