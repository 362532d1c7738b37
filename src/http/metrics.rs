//! What the server counts, in the text format that Prometheus reads.
//!
//! Answered to this machine only, and to nobody whose request was forwarded.

use std::fmt::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::address::is_loopback;
use crate::dav::{Headers, Response};
use crate::mail;

/// Upper ends of the classes of durations, in microseconds.
const BUCKETS: [u64; 12] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000,
    30_000_000,
];

/// The counts since the server started.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Answers by the hundreds of their status.
    statuses: [AtomicU64; 6],
    durations: [AtomicU64; BUCKETS.len()],
    duration_micros: AtomicU64,
    in_work: AtomicI64,
    connections: AtomicI64,
    accepted: AtomicU64,
}

impl Metrics {
    /// A request begins; it is in work until what this answers is gone.
    pub(super) fn began(self: &Arc<Metrics>) -> Work {
        self.in_work.fetch_add(1, Ordering::Relaxed);
        Work {
            metrics: self.clone(),
            start: Instant::now(),
        }
    }

    fn answered(&self, status: u16, took: Duration) {
        if let Some(count) = self.statuses.get(usize::from(status / 100)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.duration_micros.fetch_add(micros, Ordering::Relaxed);
        let class = BUCKETS.iter().position(|end| micros <= *end);
        if let Some(count) = class.and_then(|class| self.durations.get(class)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A connection is accepted.
    pub(super) fn opened(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// It is closed.
    pub(super) fn closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// The counts as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "# TYPE kalends_answers_total counter")?;
        for (class, count) in self.statuses.iter().enumerate().skip(1) {
            let count = count.load(Ordering::Relaxed);
            writeln!(out, "kalends_answers_total{{status=\"{class}xx\"}} {count}")?;
        }
        writeln!(out, "# TYPE kalends_answer_seconds histogram")?;
        let mut sum = 0;
        for (end, count) in BUCKETS.iter().zip(&self.durations) {
            sum += count.load(Ordering::Relaxed);
            let end = seconds(*end);
            writeln!(out, "kalends_answer_seconds_bucket{{le=\"{end}\"}} {sum}")?;
        }
        let all: u64 = self
            .statuses
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum();
        writeln!(out, "kalends_answer_seconds_bucket{{le=\"+Inf\"}} {all}")?;
        let sum = seconds(self.duration_micros.load(Ordering::Relaxed));
        writeln!(out, "kalends_answer_seconds_sum {sum}")?;
        writeln!(out, "kalends_answer_seconds_count {all}")?;
        for (name, kind, value) in [
            (
                "kalends_requests_in_work",
                "gauge",
                self.in_work.load(Ordering::Relaxed),
            ),
            (
                "kalends_connections",
                "gauge",
                self.connections.load(Ordering::Relaxed),
            ),
        ] {
            writeln!(out, "# TYPE {name} {kind}\n{name} {value}")?;
        }
        let accepted = self.accepted.load(Ordering::Relaxed);
        writeln!(
            out,
            "# TYPE kalends_connections_total counter\nkalends_connections_total {accepted}"
        )
    }
}

/// Microseconds as a decimal number of seconds.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A request in work.
#[derive(Debug)]
pub(super) struct Work {
    metrics: Arc<Metrics>,
    start: Instant,
}

impl Work {
    /// It is answered with this status.
    pub(super) fn answered(&self, status: u16) {
        self.metrics.answered(status, self.start.elapsed());
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.metrics.in_work.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether a request asks for the counts and may have them.
pub(super) fn is_asked(path: &str, address: Option<IpAddr>, headers: &Headers) -> bool {
    let forwarded = ["x-forwarded-for", "forwarded", "via"]
        .iter()
        .any(|name| headers.get(name).is_some());
    path == "/metrics" && address.is_some_and(is_loopback) && !forwarded
}

/// The counts as an answer.
pub(super) fn answer(metrics: &Metrics, mails: Option<&mail::Counts>) -> Response {
    let mut text = metrics.text();
    text.push_str(&mails.map(mail::Counts::text).unwrap_or_default());
    Response::status(200).body("text/plain; version=0.0.4; charset=utf-8", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_told() {
        let metrics = Arc::new(Metrics::default());
        for (status, millis) in [(207, 3), (207, 30), (404, 1), (500, 60_000)] {
            metrics.answered(status, Duration::from_millis(millis));
        }
        drop(metrics.began());
        let _work = metrics.began();
        metrics.opened();
        metrics.opened();
        metrics.closed();
        let text = metrics.text();
        for line in [
            "kalends_answers_total{status=\"2xx\"} 2",
            "kalends_answers_total{status=\"4xx\"} 1",
            "kalends_answer_seconds_bucket{le=\"0.001\"} 1",
            "kalends_answer_seconds_bucket{le=\"0.005\"} 2",
            "kalends_answer_seconds_bucket{le=\"30\"} 3",
            "kalends_answer_seconds_bucket{le=\"+Inf\"} 4",
            "kalends_answer_seconds_count 4",
            "kalends_answer_seconds_sum 60.034",
            "kalends_requests_in_work 1",
            "kalends_connections 1",
            "kalends_connections_total 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn only_this_machine_is_told() {
        let local = Some(IpAddr::from([127, 0, 0, 1]));
        let mut headers = Headers::default();
        assert!(is_asked("/metrics", local, &headers));
        assert!(!is_asked("/metrics/", local, &headers));
        assert!(!is_asked("/metrics", Some([192, 0, 2, 1].into()), &headers));
        assert!(!is_asked("/metrics", None, &headers));
        headers.push("X-Forwarded-For", "127.0.0.1");
        assert!(!is_asked("/metrics", local, &headers));
    }
}
