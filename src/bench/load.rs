//! Many clients at once: how many answers a second, how long the slow ones take.

#![allow(
    clippy::disallowed_methods,
    reason = "measuring is reading the clock; nothing here decides by it what a server answers"
)]

use super::connection::Connection;
use std::time::{Duration, Instant};

/// When a client stops asking.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After this many answers.
    Count(usize),
    /// At the first answer after this time.
    Time(Duration),
}

/// What a load came to.
#[derive(Debug, Clone, Default)]
pub struct Load {
    /// Answers.
    pub count: usize,
    /// Wall time from the first question to the last answer, in seconds.
    pub seconds: f64,
    /// Each answer's time in seconds, sorted.
    pub times: Vec<f64>,
}

impl Load {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.count as f64 / self.seconds.max(1e-9)
    }

    /// The time in seconds that this share of the answers stayed below: `quantile(0.99)`.
    pub fn quantile(&self, share: f64) -> f64 {
        let at = (self.times.len() as f64 * share) as usize;
        self.times
            .get(at.min(self.times.len().saturating_sub(1)))
            .copied()
            .unwrap_or_default()
    }
}

/// A client: answers one question on its connection; the second parameter counts its questions.
pub type Client<'a> = Box<dyn FnMut(&mut Connection, usize) -> Result<(), String> + Send + 'a>;

/// Lets every client ask at once until it is done; the first failure ends the measure.
pub fn drive(authority: &str, clients: Vec<Client<'_>>, until: Until) -> Result<Load, String> {
    let start = Instant::now();
    let results: Vec<Result<Vec<f64>, String>> = std::thread::scope(|scope| {
        let threads: Vec<_> = clients
            .into_iter()
            .map(|client| scope.spawn(move || one(authority, client, until)))
            .collect();
        threads
            .into_iter()
            .map(|t| t.join().unwrap_or_else(|_| Err("a client panicked".into())))
            .collect()
    });
    let seconds = start.elapsed().as_secs_f64();
    let mut times = Vec::new();
    for result in results {
        times.extend(result?);
    }
    times.sort_by(f64::total_cmp);
    Ok(Load {
        count: times.len(),
        seconds,
        times,
    })
}

fn one(authority: &str, mut client: Client<'_>, until: Until) -> Result<Vec<f64>, String> {
    let mut connection = Connection::open(authority).map_err(|e| format!("{authority}: {e}"))?;
    let start = Instant::now();
    let mut times = Vec::new();
    loop {
        let asked = Instant::now();
        client(&mut connection, times.len())?;
        times.push(asked.elapsed().as_secs_f64());
        let done = match until {
            Until::Count(count) => times.len() >= count,
            Until::Time(time) => start.elapsed() >= time,
        };
        if done {
            return Ok(times);
        }
    }
}

/// How long `work` takes, in seconds, and what it gives.
pub fn time<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let value = work();
    (start.elapsed().as_secs_f64(), value)
}
