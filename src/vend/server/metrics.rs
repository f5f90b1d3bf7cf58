//! What is counted, and how it is written as OpenMetrics 1.0 text. Knows no sockets.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::StatusCode;
use jiff::Timestamp;

use super::super::source::VendErrorKind;
use super::endpoint::Endpoint;
use super::state::{RoleState, Snapshot};

/// Answers are counted by these; what is none of them counts as the last.
const STATUSES: [StatusCode; 7] = [
    StatusCode::OK,
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::INTERNAL_SERVER_ERROR,
];

/// Upper bounds of the latency buckets in milliseconds: from a key file to a smart card that waits for a touch.
const BOUNDS: [u32; 12] = [1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000, 30_000];

/// All counters of a server.
pub struct Metrics {
    requests: [[AtomicU64; STATUSES.len()]; Endpoint::ALL.len()],
    /// One for each role, in the order of the snapshot's.
    roles: Vec<RoleMetrics>,
}

/// The counters of a role's refreshes.
#[derive(Default)]
pub struct RoleMetrics {
    refreshes: AtomicU64,
    failures: [AtomicU64; VendErrorKind::ALL.len()],
    device: Histogram,
    service: Histogram,
}

#[derive(Default)]
struct Histogram {
    /// How many fell into each bucket (not cumulated); the last has no bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    microseconds: AtomicU64,
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new(roles: usize) -> Self {
        Self { requests: Default::default(), roles: (0..roles).map(|_| RoleMetrics::default()).collect() }
    }

    /// Counts an answer.
    pub fn answered(&self, endpoint: Endpoint, status: StatusCode) {
        let column = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len() - 1);
        if let Some(counter) = self.requests.get(endpoint as usize).and_then(|row| row.get(column)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counters of a role.
    pub fn role(&self, index: usize) -> Option<&RoleMetrics> {
        self.roles.get(index)
    }

    /// The text of `/metrics`.
    pub fn render(&self, snapshot: &Snapshot, now: Timestamp) -> String {
        let mut text = String::with_capacity(8 * 1024);
        // Writing to a String cannot fail.
        let _ = self.write(&mut text, snapshot, now);
        text
    }

    fn write(&self, out: &mut String, snapshot: &Snapshot, now: Timestamp) -> fmt::Result {
        family(out, "keyanchor_build", "info", "Version of the program.")?;
        writeln!(out, "keyanchor_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))?;
        self.write_requests(out)?;
        let roles = || {
            self.roles
                .iter()
                .zip(&snapshot.roles)
                .map(|(metrics, role)| (metrics, String::from_utf8_lossy(&role.name), &**role))
        };

        family(out, "keyanchor_refreshes", "counter", "Refreshes that gave credentials.")?;
        for (metrics, name, _) in roles() {
            let count = metrics.refreshes.load(Ordering::Relaxed);
            writeln!(out, "keyanchor_refreshes_total{{role=\"{name}\"}} {count}")?;
        }
        family(out, "keyanchor_refresh_failures", "counter", "Refreshes that failed, by what failed.")?;
        for (metrics, name, _) in roles() {
            for (kind, count) in VendErrorKind::ALL.iter().zip(&metrics.failures) {
                let (kind, count) = (kind.label(), count.load(Ordering::Relaxed));
                writeln!(out, "keyanchor_refresh_failures_total{{role=\"{name}\",kind=\"{kind}\"}} {count}")?;
            }
        }
        histogram(out, "keyanchor_device_seconds", "Time the device took to sign.")?;
        for (metrics, name, _) in roles() {
            metrics.device.write(out, "keyanchor_device_seconds", &name)?;
        }
        histogram(out, "keyanchor_aws_seconds", "Time AWS took to answer.")?;
        for (metrics, name, _) in roles() {
            metrics.service.write(out, "keyanchor_aws_seconds", &name)?;
        }
        remaining(out, "credentials", "Time the credentials have left; 0 where there are no valid ones.")?;
        for (_, name, role) in roles() {
            let left = role.valid(now).map_or(0.0, |credentials| seconds_between(now, credentials.expires).max(0.0));
            writeln!(out, "keyanchor_credentials_remaining_seconds{{role=\"{name}\"}} {left}")?;
        }
        remaining(out, "certificate", "Time the certificate has left; negative once it has ended.")?;
        for (_, name, role) in roles() {
            if let Some(left) = certificate_left(role, now) {
                writeln!(out, "keyanchor_certificate_remaining_seconds{{role=\"{name}\"}} {left}")?;
            }
        }
        out.write_str("# EOF\n")
    }

    fn write_requests(&self, out: &mut String) -> fmt::Result {
        family(out, "keyanchor_requests", "counter", "Answers given, by what was asked for.")?;
        for (endpoint, row) in Endpoint::ALL.iter().zip(&self.requests) {
            for (status, counter) in STATUSES.iter().zip(row) {
                let count = counter.load(Ordering::Relaxed);
                if count > 0 {
                    let (endpoint, status) = (endpoint.label(), status.as_u16());
                    writeln!(out, "keyanchor_requests_total{{endpoint=\"{endpoint}\",status=\"{status}\"}} {count}")?;
                }
            }
        }
        Ok(())
    }
}

impl RoleMetrics {
    /// Counts a refresh that gave credentials.
    pub fn succeeded(&self) {
        self.refreshes.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a refresh that failed.
    pub fn failed(&self, kind: VendErrorKind) {
        if let Some(counter) = self.failures.get(kind as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts the time of a signature.
    pub fn device_took(&self, time: Duration) {
        self.device.observe(time);
    }

    /// Counts the time of a CreateSession request.
    pub fn service_took(&self, time: Duration) {
        self.service.observe(time);
    }
}

impl Histogram {
    fn observe(&self, time: Duration) {
        let bucket =
            BOUNDS.iter().position(|bound| time <= Duration::from_millis(u64::from(*bound))).unwrap_or(BOUNDS.len());
        if let Some(counter) = self.buckets.get(bucket) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }

    fn write(&self, out: &mut String, name: &str, role: &str) -> fmt::Result {
        let bounds = BOUNDS.iter().map(|bound| f64::from(*bound) / 1000.0).chain([f64::INFINITY]);
        let mut count = 0;
        for (bound, bucket) in bounds.zip(&self.buckets) {
            count += bucket.load(Ordering::Relaxed);
            let bound = if bound.is_finite() { format!("{bound:?}") } else { "+Inf".to_owned() };
            writeln!(out, "{name}_bucket{{role=\"{role}\",le=\"{bound}\"}} {count}")?;
        }
        let sum = Duration::from_micros(self.microseconds.load(Ordering::Relaxed)).as_secs_f64();
        writeln!(out, "{name}_count{{role=\"{role}\"}} {count}")?;
        writeln!(out, "{name}_sum{{role=\"{role}\"}} {sum}")
    }
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(out, "# TYPE {name} {kind}\n# HELP {name} {help}")
}

fn histogram(out: &mut String, name: &str, help: &str) -> fmt::Result {
    writeln!(out, "# TYPE {name} histogram\n# UNIT {name} seconds\n# HELP {name} {help}")
}

fn remaining(out: &mut String, of: &str, help: &str) -> fmt::Result {
    let name = format!("keyanchor_{of}_remaining_seconds");
    writeln!(out, "# TYPE {name} gauge\n# UNIT {name} seconds\n# HELP {name} {help}")
}

fn certificate_left(role: &RoleState, now: Timestamp) -> Option<f64> {
    role.certificate_expires.map(|end| seconds_between(now, end))
}

fn seconds_between(now: Timestamp, end: Timestamp) -> f64 {
    end.duration_since(now).as_secs_f64().round()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_has_the_counter_of_its_place() {
        for (place, endpoint) in Endpoint::ALL.iter().enumerate() {
            assert_eq!(*endpoint as usize, place);
        }
        for (place, kind) in VendErrorKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, place);
        }
    }

    #[test]
    fn a_histogram_is_cumulated_and_ends_with_its_count() {
        let histogram = Histogram::default();
        for milliseconds in [1, 2, 7, 60_000] {
            histogram.observe(Duration::from_millis(milliseconds));
        }
        let mut text = String::new();
        histogram.write(&mut text, "h", "web").unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "h_bucket{role=\"web\",le=\"0.001\"} 1");
        assert_eq!(lines[1], "h_bucket{role=\"web\",le=\"0.005\"} 2");
        assert_eq!(lines[2], "h_bucket{role=\"web\",le=\"0.01\"} 3");
        assert_eq!(lines[11], "h_bucket{role=\"web\",le=\"30.0\"} 3");
        assert_eq!(
            lines[12..],
            ["h_bucket{role=\"web\",le=\"+Inf\"} 4", "h_count{role=\"web\"} 4", "h_sum{role=\"web\"} 60.01"]
        );
    }
}
