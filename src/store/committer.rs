//! The committer: batches get their order at once, become durable in groups, and are visible only then.
//!
//! A batch is checked when it is ordered, against the tree and the batches ordered before it (an
//! overlay). One thread drains what waits, appends it to the journal as one record, syncs once and
//! answers. If a group fails, everything ordered behind it fails with it, because it was checked
//! against the group.
//!
//! The tree gets what is durable a moment later and many batches at once, from a second thread: a batch
//! of its own costs sled more than the rows in it. Until then readers find the rows in an overlay.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering as Memory};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::cure::{Patient, Symptom};
use super::disk::Disk;
use super::journal::Journal;
use super::kv::{
    Batch, CommitError, Key, Ordered, ReadError, Row, Scan, UnixMillis, Value, View, Write,
};
use super::line::{CHUNK_BYTES, Durable, Line, Visible, answer, merge};
use super::tree::TreeError;

/// The bytes of batches that may wait to be durable or in the tree, in units of [`PERMIT_BYTES`]; more
/// wait to be ordered. Less than the least reserve, because the tree writes them after the journal.
const WAITING_PERMITS: usize = 8 * 1024;
const PERMIT_BYTES: usize = 1024;

/// How long batches wait for others with which they are applied to the tree.
const GATHERING: Duration = Duration::from_millis(50);

/// Rows that are let go of while the line is held.
const LET_GO: usize = 64;

/// The committer and what it shares with readers and writers.
pub(super) struct Committer {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) patient: Patient,
    pub(super) journal: Mutex<Journal>,
    line: Mutex<Line>,
    wake: Condvar,
    /// Wakes the thread that applies batches to the tree.
    wake_applier: Condvar,
    /// Rows that are durable and not yet in the tree; readers look at the line only if there are.
    unapplied_rows: AtomicUsize,
    /// Moves after every group that became visible, and before its writers are answered.
    moved: AtomicU64,
    applying: Mutex<()>,
    room: Arc<Semaphore>,
    reserve_bytes: u64,
    /// Free space was below the reserve, or a write found no room.
    full: AtomicBool,
    /// The tree does not take batches that are durable; the overlay has them.
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
            wake_applier: Condvar::new(),
            unapplied_rows: AtomicUsize::new(0),
            moved: AtomicU64::new(0),
            applying: Mutex::new(()),
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
        self.line().visible
    }

    /// Up to where all is in the tree; `None` while the tree does not take what is durable.
    pub(super) fn in_tree(&self) -> Option<Visible> {
        let line = self.line();
        let applied = line.applied;
        (!self.lagging.load(Memory::Acquire)).then_some(applied)
    }

    // Reading.

    /// Stands still while nothing becomes visible.
    pub(super) fn moved(&self) -> u64 {
        self.moved.load(Memory::Acquire)
    }

    /// The value of a row.
    pub(super) fn get(&self, view: View, key: &[u8]) -> Result<Option<Value>, ReadError> {
        // The tree has a row before the overlay lets go of it, so it is looked for in this order.
        if self.overlays(view)
            && let Some(pending) = self.line().overlay(view).get(key)
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
        let changed = self.line().changed(view, scan);
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
        view == View::Ordered || self.unapplied_rows.load(Memory::Acquire) > 0
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
            let holds = match line.ordered.get(&check.key) {
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
        self.wake_applier.notify_all();
    }

    /// Commits one group of what waits; answers whether there was any.
    pub(super) fn step(&self) -> bool {
        let group = self.line().take_group();
        if group.is_empty() {
            return false;
        }
        let appended = self.journal().append(group.iter().map(|batch| &**batch));
        match appended {
            Ok(bytes) => {
                self.appended.fetch_add(bytes, Memory::Relaxed);
                self.make_visible();
            }
            Err(error) => self.fail(&error),
        }
        self.look_at_free_space();
        true
    }

    fn make_visible(&self) {
        let mut line = self.line();
        let before = line.to_apply();
        let told = line.became_durable();
        let after = line.to_apply();
        self.count(&line);
        self.moved.fetch_add(1, Memory::Release);
        drop(line);
        for done in told {
            answer(done, Ok(()));
        }
        let enough = |bytes: Option<usize>| bytes.is_some_and(|bytes| bytes >= CHUNK_BYTES);
        if before.is_none() || enough(before) != enough(after) {
            self.wake_applier.notify_one();
        }
    }

    fn count(&self, line: &Line) {
        let rows = line.overlay(View::Durable).len();
        self.unapplied_rows.store(rows, Memory::Release);
    }

    // Applying.

    /// Waits until batches are to be applied, and a moment for others; answers `false` once the store
    /// closes.
    pub(super) fn wait_to_settle(&self) -> bool {
        let mut line = self.line();
        while line.to_apply().is_none() && !line.stopping {
            let waited = self.wake_applier.wait(line);
            line = waited.unwrap_or_else(PoisonError::into_inner);
        }
        let few = line.to_apply().is_some_and(|bytes| bytes < CHUNK_BYTES);
        if few && !line.stopping {
            let waited = self.wake_applier.wait_timeout(line, GATHERING);
            (line, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        !line.stopping
    }

    /// Applies what is durable to the tree.
    pub(super) fn settle(&self) {
        let one = self.applying.lock();
        let one = one.unwrap_or_else(PoisonError::into_inner);
        while let Some((chunk, place)) = self.take_chunk() {
            let rows = newest(&chunk);
            let writes: Vec<&Write> = rows.values().copied().collect();
            match self.patient.apply(&writes, place.sequence) {
                Ok(()) => self.let_go(&writes, place),
                Err(error) => {
                    self.lag(&error);
                    drop(one);
                    return self.catch_up();
                }
            }
        }
    }

    fn take_chunk(&self) -> Option<(Vec<Durable>, Visible)> {
        self.line().take_chunk()
    }

    /// The overlay lets go of what the tree has, some at a time, so that nobody waits long.
    fn let_go(&self, writes: &[&Write], place: Visible) {
        self.line().applied(place);
        for writes in writes.chunks(LET_GO) {
            let mut line = self.line();
            line.let_go(writes.iter().map(|write| &write.key));
            self.count(&line);
        }
    }

    fn lag(&self, error: &TreeError) {
        tracing::error!(%error, "the data does not take commits that are durable");
        let mut line = self.line();
        self.lagging.store(true, Memory::Release);
        let why = "the data takes no writes; the log says why".to_owned();
        line.lag(&CommitError::Broken(why));
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
        // What becomes durable meanwhile may or may not be among what the journal has to say.
        let visible = self.visible();
        match self.patient.cure(self, self.patient.generation(), 1) {
            Ok(()) => {
                let mut line = self.line();
                line.caught_up(visible);
                self.count(&line);
                self.lagging.store(false, Memory::Release);
                drop(line);
                tracing::info!("the data takes writes again");
            }
            Err(error) => tracing::error!(error, "the data could not be opened again"),
        }
    }

    /// Answers a group that did not become durable, and all that was decided on it.
    fn fail(&self, error: &CommitError) {
        if *error == CommitError::Full {
            self.full.store(true, Memory::Release);
        }
        self.line().forget(error);
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

/// The newest write to each row.
fn newest(chunk: &[Durable]) -> BTreeMap<&Key, &Write> {
    let writes = chunk.iter().flat_map(|durable| &durable.batch.writes);
    writes.map(|write| (&write.key, write)).collect()
}
