//! The worker that empties the mail queue: what is due leaves, what is not taken is tried again for days,
//! what nobody takes is told to its sender.
//!
//! A row is removed when its mail was taken. A process that dies in between sends the mail once more,
//! byte by byte the same and under the same Message-ID, by which mail programs know it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::compose::Organizer;
use super::queue::{Bundle, Waiting, bundles};
use super::send::{Outcome, send};
use super::token::Pattern;
use super::transport::Transport;
use crate::dav::Shared;
use crate::ical::Timestamp;
use crate::store::{Error, Id, MailMessage};

/// Rows that are looked at in one round.
const ROWS: usize = 10_000;

/// How often it looks without being told.
const EVERY: i64 = 60;

/// The longest pause when nobody takes mail.
const LONGEST_PAUSE: i64 = 300;

/// How mails are sent.
#[derive(Clone, Debug)]
pub struct Sending {
    /// The server's own address, which all mails are from.
    pub from: String,
    /// What the server is called beside a person's name.
    pub name: String,
    /// The addresses that take answers; none: answers go to the people themselves.
    pub reply: Option<Pattern>,
    /// Whose address ORGANIZER is.
    pub organizer: Organizer,
    /// The language of people who have none.
    pub language: String,
    /// The URL below which answer pages are, without a slash at its end.
    pub pages: Option<String>,
    /// Seconds for which links to pages are good.
    pub link_seconds: i64,
    /// Seconds without another edit before a mail leaves.
    pub settle_seconds: i64,
    /// Seconds before the second attempt; each further one waits twice as long.
    pub retry_seconds: i64,
    /// Seconds after which a mail that nobody takes has failed.
    pub keep_trying_seconds: i64,
    /// Mails that one person may cause in a day.
    pub per_user_day: u32,
    /// Mails to one domain at a time.
    pub per_domain: usize,
    /// Mails to one domain in a minute.
    pub per_domain_minute: usize,
    /// Mails at a time.
    pub at_once: usize,
}

/// What was done since the start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Mails that were taken.
    pub sent: AtomicU64,
    /// Attempts after which a mail waits.
    pub postponed: AtomicU64,
    /// Mails that failed for good.
    pub failed: AtomicU64,
    /// Rows that waited when the worker last looked.
    pub waiting: AtomicU64,
}

/// Sends what is queued.
pub struct Mailer {
    pub(super) shared: Arc<Shared>,
    pub(super) sending: Sending,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) counts: Arc<Counts>,
    /// Held while the rows of a mail that was sent are taken away: all of them change one count, and whoever reads it
    /// before another's change is durable meets a conflict however often it tries.
    pub(super) settling: tokio::sync::Mutex<()>,
    /// Rows that cannot be read, which is said once.
    damaged: Mutex<BTreeSet<Id>>,
    /// When mails left for each domain in the last minute.
    pace: Mutex<BTreeMap<String, VecDeque<Timestamp>>>,
}

impl std::fmt::Debug for Mailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mailer from {}", self.sending.from)
    }
}

/// What a round came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// When there is something to do again.
    pub next: Option<Timestamp>,
    /// Whether anybody takes mail.
    pub reachable: bool,
}

impl Counts {
    /// The counts for Prometheus.
    #[must_use]
    pub fn text(&self) -> String {
        let lines = [
            ("kalends_mails_sent_total", "counter", &self.sent),
            ("kalends_mails_postponed_total", "counter", &self.postponed),
            ("kalends_mails_failed_total", "counter", &self.failed),
            ("kalends_mails_waiting", "gauge", &self.waiting),
        ];
        let line = |(name, kind, value): &(&str, &str, &AtomicU64)| {
            let value = value.load(Ordering::Relaxed);
            format!("# TYPE {name} {kind}\n{name} {value}\n")
        };
        lines.iter().map(line).collect()
    }
}

impl Mailer {
    /// A mailer over what lives as long as the server.
    pub fn new(
        shared: Arc<Shared>,
        sending: Sending,
        transport: Arc<dyn Transport>,
        counts: Arc<Counts>,
    ) -> Arc<Mailer> {
        Arc::new(Mailer {
            shared,
            sending,
            transport,
            counts,
            settling: tokio::sync::Mutex::default(),
            damaged: Mutex::default(),
            pace: Mutex::default(),
        })
    }

    /// What was done since the start.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        self.counts.clone()
    }

    /// Sends until the server stops.
    pub async fn run(
        self: Arc<Mailer>,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut pause = 0;
        loop {
            let now = clock();
            let round = match self.round(now).await {
                Ok(round) => round,
                Err(error) => {
                    tracing::warn!(%error, "mails wait");
                    Round {
                        next: None,
                        reachable: false,
                    }
                }
            };
            pause = match round.reachable {
                true => 0,
                false => (pause * 2).clamp(2, LONGEST_PAUSE),
            };
            let next = round.next.map_or(EVERY, |next| next.0 - clock().0);
            let wait = next.clamp(1, EVERY).max(pause);
            let wait = Duration::from_secs(wait.unsigned_abs());
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(wait) => {}
                // What is new waits until nothing is added anyway; and while nobody takes mail, being told
                // of more of it changes nothing.
                () = self.shared.to_mail.notified(), if pause == 0 => {}
                () = self.shared.mail_now.notified() => pause = 0,
            }
        }
    }

    /// Sends what is due now.
    ///
    /// # Errors
    /// The store's; what was not sent stays.
    pub async fn round(self: &Arc<Mailer>, now: Timestamp) -> Result<Round, Error> {
        let rows = self
            .shared
            .store
            .mail_due(Timestamp(i64::MAX), ROWS)
            .await?;
        let waiting = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        self.counts.waiting.store(waiting, Ordering::Relaxed);
        let (mut ready, later): (Vec<Bundle>, Vec<Bundle>) = bundles(self.readable(rows))
            .into_iter()
            .partition(|bundle| bundle.due(self.sending.settle_seconds) <= now);
        ready.sort_by_key(|bundle| bundle.due(self.sending.settle_seconds));
        let next = later.iter().map(|b| b.due(self.sending.settle_seconds));
        let mut round = Round {
            next: next.min(),
            reachable: true,
        };
        let soon = |round: &mut Round, at: Timestamp| {
            round.next = Some(round.next.map_or(at, |next| next.min(at)));
        };
        let mut ready: VecDeque<Bundle> = ready.into();
        let mut running = JoinSet::new();
        let mut busy: BTreeMap<String, usize> = BTreeMap::new();
        loop {
            while running.len() < self.sending.at_once.max(1) && round.reachable {
                let free = |bundle: &Bundle| {
                    let domain = bundle.domain();
                    busy.get(&domain).copied().unwrap_or(0) < self.sending.per_domain.max(1)
                        && self.may_send(&domain, now)
                };
                let Some(bundle) = ready.iter().position(free).and_then(|at| ready.remove(at))
                else {
                    break;
                };
                let domain = bundle.domain();
                *busy.entry(domain.clone()).or_default() += 1;
                let mailer = self.clone();
                running.spawn(async move { (domain, mailer.bundle(&bundle, now).await) });
            }
            let Some(done) = running.join_next().await else {
                break;
            };
            let Ok((domain, outcome)) = done else {
                tracing::error!("sending a mail ended in a panic; it is tried again");
                continue;
            };
            if let Some(count) = busy.get_mut(&domain) {
                *count = count.saturating_sub(1);
            }
            match outcome {
                Ok(Outcome::Done) => {}
                Ok(Outcome::Later(at)) => soon(&mut round, at),
                Ok(Outcome::Unreachable) => round.reachable = false,
                Err(error) => {
                    tracing::warn!(%error, domain, "a mail waits");
                    soon(&mut round, now.add_seconds(5));
                }
            }
        }
        if !ready.is_empty() {
            soon(&mut round, now.add_seconds(5));
        }
        Ok(round)
    }

    /// The rows that can be read; of the others the log tells once.
    fn readable(&self, rows: Vec<MailMessage>) -> Vec<Waiting> {
        let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        let mut read = Vec::new();
        for row in rows {
            let id = row.id;
            match Waiting::read(row) {
                Ok(waiting) => read.push(waiting),
                Err(error) if damaged.insert(id) => {
                    tracing::error!(%error, %id, "a queued mail is damaged; `mail drop` removes it");
                }
                Err(_) => {}
            }
        }
        read
    }

    /// Sends what waits for one guest, in order; what follows something that was not taken waits too.
    async fn bundle(&self, bundle: &Bundle, now: Timestamp) -> Result<Outcome, Error> {
        for errand in bundle.errands() {
            match send(self, &errand, now).await? {
                Outcome::Done => {}
                other => return Ok(other),
            }
        }
        Ok(Outcome::Done)
    }

    /// Whether a mail may leave for a domain, which is noted if so.
    fn may_send(&self, domain: &str, now: Timestamp) -> bool {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.retain(|_, times| {
            times.retain(|at| at.0 > now.0 - 60);
            !times.is_empty()
        });
        let times = pace.entry(domain.to_owned()).or_default();
        if times.len() >= self.sending.per_domain_minute.max(1) {
            return false;
        }
        times.push_back(now);
        true
    }
}
