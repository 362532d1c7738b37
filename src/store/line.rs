//! The line of commits: what is ordered and not yet durable, and what rows it will make.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound as Edge;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::kv::{Batch, CommitError, Key, Order, Row, Scan, UnixMillis, Value, Write};

/// The bytes of batches in one record.
const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// The order of commits.
pub(super) struct Line {
    /// The newest value of each row that is ordered and not yet in the tree.
    pub(super) overlay: BTreeMap<Key, Pending>,
    waiting: VecDeque<Waiting>,
    /// The sequence of the next batch.
    next: u64,
    /// The sequence up to which all is durable and visible.
    pub(super) visible: u64,
    /// The newest time of a visible batch.
    pub(super) at: UnixMillis,
    /// Whether the store closes.
    pub(super) stopping: bool,
}

/// A row that is ordered and not yet in the tree.
pub(super) struct Pending {
    sequence: u64,
    /// Its value; `None` if it is removed.
    pub(super) value: Option<Value>,
}

/// A batch that is ordered and not yet durable.
pub(super) struct Waiting {
    /// The batch.
    pub(super) batch: Batch,
    done: oneshot::Sender<Result<(), CommitError>>,
    _room: OwnedSemaphorePermit,
}

impl Waiting {
    /// Tells the writer how it went; if nobody waits for that any more, it stands all the same.
    pub(super) fn answer(self, outcome: Result<(), CommitError>) {
        let _ = self.done.send(outcome);
    }
}

/// What the writer of a batch waits for.
pub(super) type Outcome = oneshot::Receiver<Result<(), CommitError>>;

/// A place in the order of commits up to which all is durable and visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Visible {
    /// Its sequence.
    pub(super) sequence: u64,
    /// The newest time up to it.
    pub(super) at: UnixMillis,
}

impl Line {
    /// An empty line whose first batch will have the sequence `next`.
    pub(super) fn new(next: u64, at: UnixMillis) -> Self {
        Self {
            overlay: BTreeMap::new(),
            waiting: VecDeque::new(),
            next,
            visible: next - 1,
            at,
            stopping: false,
        }
    }

    /// Whether no batch waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Puts a batch behind everything ordered before.
    pub(super) fn order(&mut self, batch: Batch, room: OwnedSemaphorePermit) -> Outcome {
        let sequence = self.next;
        self.next += 1;
        self.overlay_writes(&batch.writes, sequence);
        let (done, outcome) = oneshot::channel();
        self.waiting.push_back(Waiting {
            batch,
            done,
            _room: room,
        });
        outcome
    }

    fn overlay_writes(&mut self, writes: &[Write], sequence: u64) {
        for write in writes {
            let value = write.value.clone();
            let pending = Pending { sequence, value };
            self.overlay.insert(write.key.clone(), pending);
        }
    }

    /// Takes the batches of the next record.
    pub(super) fn take_group(&mut self) -> Vec<Waiting> {
        let mut bytes = 0;
        let mut count = 0;
        for waiting in &self.waiting {
            bytes += waiting.batch.size_bytes();
            if count > 0 && bytes > GROUP_BYTES {
                break;
            }
            count += 1;
        }
        self.waiting.drain(..count).collect()
    }

    /// The tree has this group: the overlay keeps only what is newer.
    pub(super) fn applied(&mut self, group: &[Waiting], last: u64) {
        if self.waiting.is_empty() && self.next == last + 1 {
            self.overlay.clear();
            return;
        }
        for write in group.iter().flat_map(|waiting| &waiting.batch.writes) {
            if self
                .overlay
                .get(&write.key)
                .is_some_and(|p| p.sequence <= last)
            {
                self.overlay.remove(&write.key);
            }
        }
    }

    /// The tree does not take a durable group: readers find it here, and what was ordered behind it
    /// fails.
    pub(super) fn lag(&mut self, group: &[Waiting], last: u64, error: &CommitError) {
        self.overlay.retain(|_, pending| pending.sequence <= last);
        for waiting in group {
            self.overlay_writes(&waiting.batch.writes, last);
        }
        self.fail_waiting(last + 1, error);
    }

    /// A group did not become durable: nothing behind it stands.
    pub(super) fn forget(&mut self, error: &CommitError) {
        self.overlay.clear();
        self.fail_waiting(self.visible + 1, error);
    }

    fn fail_waiting(&mut self, next: u64, error: &CommitError) {
        self.next = next;
        for waiting in self.waiting.drain(..) {
            waiting.answer(Err(error.clone()));
        }
    }

    /// The rows of a range that the overlay changes.
    pub(super) fn changed(&self, scan: &Scan) -> BTreeMap<Key, Option<Value>> {
        if scan.end.as_ref().is_some_and(|end| *end <= scan.start) {
            return BTreeMap::new();
        }
        let end = scan.end.clone().map_or(Edge::Unbounded, Edge::Excluded);
        let range = self
            .overlay
            .range((Edge::Included(scan.start.clone()), end));
        let change = |(key, pending): (&Key, &Pending)| (key.clone(), pending.value.clone());
        range.map(change).collect()
    }
}

/// Rows of the tree with changes laid over them, in the order and up to the limit of the scan.
pub(super) fn merge(
    found: Vec<Row>,
    changed: BTreeMap<Key, Option<Value>>,
    scan: &Scan,
) -> Vec<Row> {
    let mut rows: BTreeMap<Key, Option<Value>> = found
        .into_iter()
        .map(|row| (row.key, Some(row.value)))
        .collect();
    rows.extend(changed);
    let rows = rows.into_iter();
    let rows = rows.filter_map(|(key, value)| Some(Row { key, value: value? }));
    match scan.order {
        Order::Forward => rows.take(scan.limit).collect(),
        Order::Reverse => rows.rev().take(scan.limit).collect(),
    }
}
