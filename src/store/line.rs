//! The line of commits: what is ordered and not yet durable, what is durable and not yet in the tree,
//! and the rows that both make.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound as Edge;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::kv::{Batch, CommitError, Key, Order, Row, Scan, UnixMillis, Value, View, Write};

/// The bytes of batches in one record.
const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// The bytes of batches applied to the tree at once; a larger batch is applied alone.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;

/// Rows laid over the tree.
pub(super) type Rows = BTreeMap<Key, Pending>;

/// The order of commits.
pub(super) struct Line {
    /// The newest value of each row that is ordered and not yet in the tree.
    pub(super) ordered: Rows,
    /// The newest value of each row that is durable and not yet in the tree.
    pub(super) durable: Rows,
    waiting: VecDeque<Waiting>,
    /// Batches that were taken to be made durable.
    in_flight: Vec<Waiting>,
    unapplied: VecDeque<Durable>,
    unapplied_bytes: usize,
    /// The sequence of the next batch.
    next: u64,
    /// Up to where all is durable and visible.
    pub(super) visible: Visible,
    /// Up to where all is in the tree.
    pub(super) applied: Visible,
    /// Whether the store closes.
    pub(super) stopping: bool,
}

/// A row that is not yet in the tree.
#[derive(Clone)]
pub(super) struct Pending {
    sequence: u64,
    /// Its value; `None` if it is removed.
    pub(super) value: Option<Value>,
}

/// A batch that is ordered and not yet durable.
struct Waiting {
    batch: Arc<Batch>,
    done: Told,
    room: OwnedSemaphorePermit,
}

/// A batch that is durable and not yet in the tree.
pub(super) struct Durable {
    /// The batch.
    pub(super) batch: Arc<Batch>,
    place: Visible,
    /// Who waits to be ordered waits for the tree too, if that is slow.
    _room: OwnedSemaphorePermit,
}

/// Who is told how a batch went.
pub(super) type Told = oneshot::Sender<Result<(), CommitError>>;

/// What the writer of a batch waits for.
pub(super) type Outcome = oneshot::Receiver<Result<(), CommitError>>;

/// A place in the order of commits, up to which something holds.
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
        let sequence = next - 1;
        Self {
            ordered: BTreeMap::new(),
            durable: BTreeMap::new(),
            waiting: VecDeque::new(),
            in_flight: Vec::new(),
            unapplied: VecDeque::new(),
            unapplied_bytes: 0,
            next,
            visible: Visible { sequence, at },
            applied: Visible { sequence, at },
            stopping: false,
        }
    }

    /// Whether no batch waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The bytes of batches that are to be applied to the tree; `None` if there are none.
    pub(super) fn to_apply(&self) -> Option<usize> {
        (!self.unapplied.is_empty()).then_some(self.unapplied_bytes)
    }

    /// The rows laid over the tree in a view.
    pub(super) fn overlay(&self, view: View) -> &Rows {
        match view {
            View::Ordered => &self.ordered,
            View::Durable => &self.durable,
        }
    }

    /// Puts a batch behind everything ordered before.
    pub(super) fn order(&mut self, batch: Batch, room: OwnedSemaphorePermit) -> Outcome {
        let sequence = self.next;
        self.next += 1;
        lay(&mut self.ordered, &batch.writes, sequence);
        let (done, outcome) = oneshot::channel();
        let batch = Arc::new(batch);
        self.waiting.push_back(Waiting { batch, done, room });
        outcome
    }

    /// Takes the batches of the next record.
    pub(super) fn take_group(&mut self) -> Vec<Arc<Batch>> {
        let mut bytes = 0;
        let mut count = 0;
        for waiting in &self.waiting {
            bytes += waiting.batch.size_bytes();
            if count > 0 && bytes > GROUP_BYTES {
                break;
            }
            count += 1;
        }
        self.in_flight.extend(self.waiting.drain(..count));
        let taken = self.in_flight.iter();
        taken.map(|waiting| waiting.batch.clone()).collect()
    }

    /// The group that was taken is durable and visible, and to be applied to the tree. Answers who is
    /// to be told.
    pub(super) fn became_durable(&mut self) -> Vec<Told> {
        let group = std::mem::take(&mut self.in_flight);
        let mut told = Vec::with_capacity(group.len());
        for Waiting { batch, done, room } in group {
            self.visible = Visible {
                sequence: self.visible.sequence + 1,
                at: self.visible.at.max(batch.at),
            };
            lay(&mut self.durable, &batch.writes, self.visible.sequence);
            self.unapplied_bytes += batch.size_bytes();
            self.unapplied.push_back(Durable {
                batch,
                place: self.visible,
                _room: room,
            });
            told.push(done);
        }
        told
    }

    /// Takes the batches that are to be applied to the tree next, and the place behind them.
    pub(super) fn take_chunk(&mut self) -> Option<(Vec<Durable>, Visible)> {
        let (mut bytes, mut count) = (0, 0);
        for durable in &self.unapplied {
            bytes += durable.batch.size_bytes();
            if count > 0 && bytes > CHUNK_BYTES {
                break;
            }
            count += 1;
        }
        let chunk: Vec<Durable> = self.unapplied.drain(..count).collect();
        let taken = chunk.iter().map(|durable| durable.batch.size_bytes());
        self.unapplied_bytes -= taken.sum::<usize>();
        let place = chunk.last()?.place;
        Some((chunk, place))
    }

    /// The tree has everything up to a place.
    pub(super) fn applied(&mut self, place: Visible) {
        if place.sequence > self.applied.sequence {
            self.applied = place;
        }
    }

    /// Lets go of rows that the tree has, up to its place.
    pub(super) fn let_go<'a>(&mut self, keys: impl Iterator<Item = &'a Key>) {
        let up_to = self.applied.sequence;
        for key in keys {
            for rows in [&mut self.ordered, &mut self.durable] {
                if rows.get(key).is_some_and(|row| row.sequence <= up_to) {
                    rows.remove(key);
                }
            }
        }
    }

    /// The tree does not take durable batches: readers find them here, and what was ordered behind
    /// them and was not yet taken fails.
    pub(super) fn lag(&mut self, error: &CommitError) {
        self.unapplied.clear();
        self.unapplied_bytes = 0;
        self.ordered.clone_from(&self.durable);
        let mut next = self.visible.sequence + 1;
        for waiting in &self.in_flight {
            lay(&mut self.ordered, &waiting.batch.writes, next);
            next += 1;
        }
        self.fail_waiting(next, error);
    }

    /// The tree was brought up to date from the journal, at least up to a place.
    pub(super) fn caught_up(&mut self, place: Visible) {
        self.applied(place);
        let up_to = place.sequence;
        for rows in [&mut self.ordered, &mut self.durable] {
            rows.retain(|_, row| row.sequence > up_to);
        }
        self.unapplied
            .retain(|durable| durable.place.sequence > up_to);
        let left = self.unapplied.iter();
        self.unapplied_bytes = left.map(|durable| durable.batch.size_bytes()).sum();
    }

    /// The group that was taken did not become durable: nothing behind it stands.
    pub(super) fn forget(&mut self, error: &CommitError) {
        self.ordered.clone_from(&self.durable);
        for waiting in self.in_flight.drain(..) {
            answer(waiting.done, Err(error.clone()));
        }
        self.fail_waiting(self.visible.sequence + 1, error);
    }

    fn fail_waiting(&mut self, next: u64, error: &CommitError) {
        self.next = next;
        for waiting in self.waiting.drain(..) {
            answer(waiting.done, Err(error.clone()));
        }
    }

    /// The rows of a range that are not yet in the tree.
    pub(super) fn changed(&self, view: View, scan: &Scan) -> BTreeMap<Key, Option<Value>> {
        if scan.end.as_ref().is_some_and(|end| *end <= scan.start) {
            return BTreeMap::new();
        }
        let end = scan.end.clone().map_or(Edge::Unbounded, Edge::Excluded);
        let range = self
            .overlay(view)
            .range((Edge::Included(scan.start.clone()), end));
        let change = |(key, pending): (&Key, &Pending)| (key.clone(), pending.value.clone());
        range.map(change).collect()
    }
}

/// Tells the writer how it went; if nobody waits for that any more, it stands all the same.
pub(super) fn answer(done: Told, outcome: Result<(), CommitError>) {
    let _ = done.send(outcome);
}

fn lay(rows: &mut Rows, writes: &[Write], sequence: u64) {
    for write in writes {
        let value = write.value.clone();
        let pending = Pending { sequence, value };
        rows.insert(write.key.clone(), pending);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line::new(1, UnixMillis(0))
    }

    fn order(line: &mut Line, key: &'static str, value: &'static str) -> Outcome {
        let room = Arc::new(tokio::sync::Semaphore::new(1));
        let mut batch = Batch::new(UnixMillis(1));
        batch.put(key, value);
        line.order(batch, room.try_acquire_owned().unwrap())
    }

    fn seen(line: &Line, view: View, key: &'static str) -> Option<Value> {
        line.overlay(view)
            .get(key.as_bytes())
            .and_then(|row| row.value.clone())
    }

    fn value(text: &'static str) -> Option<Value> {
        Some(Value::from_static(text.as_bytes()))
    }

    #[test]
    fn rows_are_seen_in_order_until_the_tree_has_them() {
        let mut line = line();
        let _first = order(&mut line, "a", "1");
        assert_eq!(line.take_group().len(), 1);
        let _second = order(&mut line, "a", "2");
        assert_eq!(seen(&line, View::Ordered, "a"), value("2"));
        assert_eq!(seen(&line, View::Durable, "a"), None);
        line.became_durable();
        assert_eq!(seen(&line, View::Durable, "a"), value("1"));
        let (chunk, place) = line.take_chunk().unwrap();
        assert_eq!((chunk.len(), place.sequence), (1, 1));
        line.applied(place);
        line.let_go([Key::from_static(b"a")].iter());
        assert_eq!(seen(&line, View::Durable, "a"), None);
        assert_eq!(seen(&line, View::Ordered, "a"), value("2"));
    }

    #[test]
    fn a_group_that_is_synced_while_the_tree_fails_is_not_lost() {
        let mut line = line();
        let _first = order(&mut line, "a", "1");
        line.take_group();
        line.became_durable();
        let mut second = order(&mut line, "a", "2");
        line.take_group();
        let mut third = order(&mut line, "a", "3");
        line.take_chunk().unwrap();
        let before = line.visible;
        line.lag(&CommitError::Broken(String::new()));
        assert!(third.try_recv().unwrap().is_err());
        assert_eq!(seen(&line, View::Durable, "a"), value("1"));
        assert_eq!(seen(&line, View::Ordered, "a"), value("2"));
        // The journal was read before the group was in it.
        line.caught_up(before);
        assert_eq!(seen(&line, View::Ordered, "a"), value("2"));
        let _fourth = order(&mut line, "b", "4");
        for done in line.became_durable() {
            answer(done, Ok(()));
        }
        assert_eq!(second.try_recv().unwrap(), Ok(()));
        assert_eq!(seen(&line, View::Durable, "a"), value("2"));
        let (_, place) = line.take_chunk().unwrap();
        assert_eq!(place.sequence, 2);
        line.take_group();
        line.became_durable();
        assert_eq!(line.visible.sequence, 3);
    }

    #[test]
    fn a_group_that_fails_leaves_what_is_durable() {
        let mut line = line();
        let _first = order(&mut line, "a", "1");
        line.take_group();
        line.became_durable();
        let mut second = order(&mut line, "a", "2");
        line.take_group();
        let mut third = order(&mut line, "a", "3");
        line.forget(&CommitError::Full);
        for outcome in [&mut second, &mut third] {
            assert_eq!(outcome.try_recv().unwrap(), Err(CommitError::Full));
        }
        assert_eq!(seen(&line, View::Ordered, "a"), value("1"));
        let _next = order(&mut line, "b", "1");
        line.take_group();
        line.became_durable();
        assert_eq!(line.visible.sequence, 2);
    }
}
