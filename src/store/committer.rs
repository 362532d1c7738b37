//! The committer: batches get their order at once, become durable in groups, and are visible only then.
//!
//! A batch is checked when it is ordered, against the tree and the batches ordered before it (the
//! overlay). One thread drains what waits, appends it to the journal as one record, syncs once,
//! applies it to the tree and answers. If a group fails, everything ordered behind it fails with it,
//! because it was checked against the group.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering as Memory};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};

use tokio::sync::Semaphore;

use super::cure::{Patient, Symptom};
use super::disk::Disk;
use super::journal::Journal;
use super::kv::{
    Batch, CommitError, Ordered, ReadError, Row, Scan, UnixMillis, Value, View, Write,
};
use super::line::{Line, Visible, Waiting, merge};
use super::tree::TreeError;

/// The bytes of batches that may wait, in units of [`PERMIT_BYTES`]; more wait to be ordered.
const WAITING_PERMITS: usize = 32 * 1024;
const PERMIT_BYTES: usize = 1024;

/// The bytes of writes applied to the tree at once; a larger batch is applied alone.
const APPLY_BYTES: usize = 256 * 1024;

/// The committer and what it shares with readers and writers.
pub(super) struct Committer {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) patient: Patient,
    pub(super) journal: Mutex<Journal>,
    line: Mutex<Line>,
    wake: Condvar,
    room: Arc<Semaphore>,
    reserve_bytes: u64,
    /// Free space was below the reserve, or a write found no room.
    full: AtomicBool,
    /// The tree lacks batches that are durable; the overlay has them.
    lagging: AtomicBool,
    /// Bytes appended to the journal since the store was opened.
    pub(super) appended: AtomicU64,
    catching_up: Mutex<()>,
}

impl Committer {
    /// A committer that goes on behind the journal.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        journal: Journal,
        patient: Patient,
        at: UnixMillis,
        reserve_bytes: u64,
    ) -> Self {
        let line = Line::new(journal.next(), at);
        Self {
            disk,
            patient,
            journal: Mutex::new(journal),
            line: Mutex::new(line),
            wake: Condvar::new(),
            room: Arc::new(Semaphore::new(WAITING_PERMITS)),
            reserve_bytes,
            full: AtomicBool::new(false),
            lagging: AtomicBool::new(false),
            appended: AtomicU64::new(0),
            catching_up: Mutex::new(()),
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The journal; whoever holds it keeps commits from becoming durable.
    pub(super) fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Up to where all is durable and visible.
    pub(super) fn visible(&self) -> Visible {
        let line = self.line();
        Visible {
            sequence: line.visible,
            at: line.at,
        }
    }

    /// Up to where all is durable, visible and in the tree; `None` while the tree lags behind.
    pub(super) fn in_tree(&self) -> Option<Visible> {
        let line = self.line();
        let at = line.at;
        let sequence = line.visible;
        (!self.lagging.load(Memory::Acquire)).then_some(Visible { sequence, at })
    }

    // Reading.

    /// The value of a row.
    pub(super) fn get(&self, view: View, key: &[u8]) -> Result<Option<Value>, ReadError> {
        if self.overlays(view)
            && let Some(pending) = self.line().overlay.get(key)
        {
            return Ok(pending.value.clone());
        }
        self.patient.read(self, |tree| tree.get(key))
    }

    /// The rows of a range.
    pub(super) fn scan(&self, view: View, scan: &Scan) -> Result<Vec<Row>, ReadError> {
        if !self.overlays(view) {
            return self.patient.read(self, |tree| tree.scan(scan));
        }
        let changed = self.line().changed(scan);
        if changed.is_empty() {
            return self.patient.read(self, |tree| tree.scan(scan));
        }
        // Each removed row may take the place of one that is wanted.
        let removed = changed.values().filter(|value| value.is_none()).count();
        let mut wider = scan.clone();
        wider.limit = scan.limit.saturating_add(removed);
        let found = self.patient.read(self, |tree| tree.scan(&wider))?;
        Ok(merge(found, changed, scan))
    }

    fn overlays(&self, view: View) -> bool {
        view == View::Ordered || self.lagging.load(Memory::Acquire)
    }

    // Ordering.

    /// Gives a batch its place in the order of commits.
    pub(super) async fn submit(&self, batch: Batch) -> Result<Ordered, CommitError> {
        if let Some(bound) = batch.exceeded() {
            return Err(CommitError::TooLarge(bound));
        }
        let permits = u32::try_from(batch.size_bytes() / PERMIT_BYTES + 1).unwrap_or(u32::MAX);
        let room = self.room.clone().acquire_many_owned(permits).await;
        let room = room.map_err(|_| CommitError::Broken("the store is closed".to_owned()))?;
        self.accepts()?;
        let mut attempts = 0;
        let mut line = loop {
            let line = self.line();
            match self.holds(&line, &batch) {
                Ok(true) => break line,
                Ok(false) => return Err(CommitError::Conflict),
                Err(seen) => {
                    drop(line);
                    attempts += 1;
                    let cured = self.patient.cure(self, seen.generation, attempts);
                    cured.map_err(CommitError::Broken)?;
                }
            }
        };
        if line.stopping || self.lagging.load(Memory::Acquire) {
            return Err(CommitError::Broken(
                "the store is closing or ailing".to_owned(),
            ));
        }
        let outcome = line.order(batch, room);
        drop(line);
        self.wake.notify_one();
        Ok(Ordered {
            done: Box::pin(async move {
                let lost = CommitError::Broken("the committer stopped".to_owned());
                outcome.await.unwrap_or(Err(lost))
            }),
        })
    }

    /// Whether writes are taken at all now.
    fn accepts(&self) -> Result<(), CommitError> {
        if self.full.load(Memory::Acquire) || self.lagging.load(Memory::Acquire) {
            self.look_at_free_space();
            if self.full.load(Memory::Acquire) {
                return Err(CommitError::Full);
            }
        }
        if self.lagging.load(Memory::Acquire) {
            self.catch_up();
        }
        if self.lagging.load(Memory::Acquire) {
            let why = "the data takes no writes; the log says why".to_owned();
            return Err(CommitError::Broken(why));
        }
        Ok(())
    }

    /// Whether every check of the batch holds, after everything ordered before.
    fn holds(&self, line: &Line, batch: &Batch) -> Result<bool, Symptom> {
        for check in &batch.checks {
            let holds = match line.overlay.get(&check.key) {
                Some(pending) => pending.value == check.expected,
                None => self.patient.peek(|tree| tree.get(&check.key))? == check.expected,
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    // Committing.

    /// Waits until batches wait; answers `false` once the store closes and none is left.
    pub(super) fn wait(&self) -> bool {
        let mut line = self.line();
        while line.is_empty() && !line.stopping {
            line = self.wake.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
        !line.is_empty()
    }

    /// Refuses batches from now on; those ordered are still committed.
    pub(super) fn stop(&self) {
        self.line().stopping = true;
        self.wake.notify_all();
    }

    /// Commits one group of what waits; answers whether there was any.
    pub(super) fn step(&self) -> bool {
        let group = self.line().take_group();
        if group.is_empty() {
            return false;
        }
        let appended = self.journal().append(group.iter().map(|w| &w.batch));
        match appended {
            Ok(bytes) => {
                self.appended.fetch_add(bytes, Memory::Relaxed);
                self.make_visible(group);
            }
            Err(error) => self.fail(group, &error),
        }
        self.look_at_free_space();
        true
    }

    fn make_visible(&self, group: Vec<Waiting>) {
        let first = self.line().visible + 1;
        let applied = self.apply(&group, first);
        let last = first + group.len() as u64 - 1;
        let mut line = self.line();
        if let Err(error) = applied {
            tracing::error!(%error, "the data does not take commits that are durable");
            self.lagging.store(true, Memory::Release);
            let why = "the data takes no writes; the log says why".to_owned();
            line.lag(&group, last, &CommitError::Broken(why));
        } else {
            line.applied(&group, last);
        }
        line.visible = last;
        line.at = group
            .iter()
            .map(|w| w.batch.at)
            .fold(line.at, std::cmp::max);
        let lagging = self.lagging.load(Memory::Acquire);
        drop(line);
        if lagging {
            self.catch_up();
        }
        for waiting in group {
            waiting.answer(Ok(()));
        }
    }

    /// Applies a group to the tree, several small batches at once.
    fn apply(&self, group: &[Waiting], first: u64) -> Result<(), TreeError> {
        let mut writes: Vec<&Write> = Vec::new();
        let (mut bytes, mut sequence) = (0, first);
        for (index, waiting) in group.iter().enumerate() {
            writes.extend(&waiting.batch.writes);
            bytes += waiting.batch.size_bytes();
            sequence = first + index as u64;
            if bytes >= APPLY_BYTES {
                self.patient.apply(&writes, sequence)?;
                writes.clear();
                bytes = 0;
            }
        }
        if writes.is_empty() {
            return Ok(());
        }
        self.patient.apply(&writes, sequence)
    }

    /// Brings the tree up to date again, if there is room for it to be written.
    pub(super) fn catch_up(&self) {
        // Who comes meanwhile does not wait for it.
        let _one = match self.catching_up.try_lock() {
            Ok(one) => one,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if !self.lagging.load(Memory::Acquire) || !self.has_room() {
            return;
        }
        match self.patient.cure(self, self.patient.generation(), 1) {
            Ok(()) => {
                self.line().overlay.clear();
                self.lagging.store(false, Memory::Release);
                tracing::info!("the data takes writes again");
            }
            Err(error) => tracing::error!(error, "the data could not be opened again"),
        }
    }

    /// Answers a group that did not become durable, and all that was decided on it.
    fn fail(&self, group: Vec<Waiting>, error: &CommitError) {
        if *error == CommitError::Full {
            self.full.store(true, Memory::Release);
        }
        self.line().forget(error);
        for waiting in group {
            waiting.answer(Err(error.clone()));
        }
    }

    /// Whether free space is above the reserve.
    pub(super) fn has_room(&self) -> bool {
        let free = self.disk.free_bytes();
        free.is_ok_and(|free| free > self.reserve_bytes)
    }

    fn look_at_free_space(&self) {
        match self.disk.free_bytes() {
            Ok(free) => {
                let full = free <= self.reserve_bytes;
                if full != self.full.swap(full, Memory::AcqRel) {
                    tracing::warn!(free, full, "free space crossed the reserve");
                }
            }
            Err(error) => tracing::warn!(%error, "free space is unknown"),
        }
    }
}
