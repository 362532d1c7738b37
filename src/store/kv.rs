//! The engine seam: ordered byte keys, batches of checks and writes, and nothing else.
//!
//! A batch of exact checks and absolute writes fits an embedded tree, PostgreSQL, FoundationDB and
//! memory alike, where closures over transactions fit none of them together. The bounds below hold
//! for every engine, so that what works on one works on all.
//!
//! **Gaps**: `scan` promises no snapshot; whoever needs a consistent view reads a revision again
//! afterwards.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

/// A key; rows are ordered by the bytes of their keys.
pub type Key = Bytes;

/// The value of a row.
pub type Value = Bytes;

/// What an engine's method returns: a boxed future, so that the trait is object-safe.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 4 * 1024;

/// Longest value, in bytes; longer texts are split into chunk rows.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;

/// Largest batch, in bytes of the keys and values of its checks and writes.
pub const MAX_BATCH_BYTES: usize = 1024 * 1024;

/// Most checks and writes in a batch, together.
pub const MAX_BATCH_ROWS: usize = 5_000;

/// An instant in milliseconds since 1970-01-01T00:00:00Z; the store is told it and reads no clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

/// A row of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its key.
    pub key: Key,
    /// Its value.
    pub value: Value,
}

impl Row {
    /// The smallest key after this row's: where a scan that stopped here goes on.
    pub fn after(&self) -> Key {
        [self.key.as_ref(), b"\0"].concat().into()
    }
}

/// Which commits a read sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Only what is durable: for everything that is answered to somebody.
    Durable,
    /// Also what is ordered but not yet durable: for a writer that decides during its turn. A batch
    /// decided on this view shares the fate of the batches it saw.
    Ordered,
}

/// Which end of the range a scan begins at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// From the smallest key.
    Forward,
    /// From the largest key.
    Reverse,
}

/// A range of rows to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// The smallest key in the range.
    pub start: Key,
    /// The first key after the range; `None` reaches to the last row.
    pub end: Option<Key>,
    /// The most rows to answer; fewer come only if the range has no more.
    pub limit: usize,
    /// Where to begin.
    pub order: Order,
}

impl Scan {
    /// Every row whose key begins with `prefix`, smallest first.
    pub fn prefix(prefix: impl Into<Key>, limit: usize) -> Self {
        let start = prefix.into();
        let end = after_prefix(&start);
        Self {
            start,
            end,
            limit,
            order: Order::Forward,
        }
    }

    /// The same range, largest key first.
    pub fn reversed(self) -> Self {
        Self {
            order: Order::Reverse,
            ..self
        }
    }
}

/// The first key after all that begin with `prefix`; `None` if there is none.
pub fn after_prefix(prefix: &[u8]) -> Option<Key> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix.get(..=kept)?.to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    Some(end.into())
}

/// A condition of a batch: the row has exactly this value, or is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The row looked at.
    pub key: Key,
    /// The value it must have; `None` if it must be absent.
    pub expected: Option<Value>,
}

/// A change of a batch: the row gets this value, or is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The row changed.
    pub key: Key,
    /// Its new value; `None` removes it.
    pub value: Option<Value>,
}

/// Checks and writes that happen together or not at all. Of two writes to one key the later wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// When it is committed, by the caller's clock; a restore to a moment goes by it.
    pub at: UnixMillis,
    /// What must hold.
    pub checks: Vec<Check>,
    /// What becomes true.
    pub writes: Vec<Write>,
}

impl Batch {
    /// An empty batch committed at `at`.
    pub fn new(at: UnixMillis) -> Self {
        Self {
            at,
            checks: Vec::new(),
            writes: Vec::new(),
        }
    }

    /// Requires that the row has exactly this value, or is absent.
    pub fn check(&mut self, key: impl Into<Key>, expected: Option<Value>) {
        let key = key.into();
        self.checks.push(Check { key, expected });
    }

    /// Gives the row this value.
    pub fn put(&mut self, key: impl Into<Key>, value: impl Into<Value>) {
        let (key, value) = (key.into(), Some(value.into()));
        self.writes.push(Write { key, value });
    }

    /// Removes the row.
    pub fn remove(&mut self, key: impl Into<Key>) {
        let key = key.into();
        self.writes.push(Write { key, value: None });
    }

    /// The bytes of its keys and values, as the bound counts them.
    pub fn size_bytes(&self) -> usize {
        let length = |value: &Option<Value>| value.as_ref().map_or(0, Bytes::len);
        let checks = self
            .checks
            .iter()
            .map(|c| c.key.len() + length(&c.expected));
        let writes = self.writes.iter().map(|w| w.key.len() + length(&w.value));
        checks.sum::<usize>() + writes.sum::<usize>()
    }

    /// The first bound that the batch exceeds.
    pub fn exceeded(&self) -> Option<Bound> {
        let checks = self.checks.iter().map(|c| (&c.key, &c.expected));
        let writes = self.writes.iter().map(|w| (&w.key, &w.value));
        for (key, value) in checks.chain(writes) {
            if key.is_empty() || key.len() > MAX_KEY_BYTES {
                return Some(Bound::Key);
            }
            if value.as_ref().is_some_and(|v| v.len() > MAX_VALUE_BYTES) {
                return Some(Bound::Value);
            }
        }
        if self.checks.len() + self.writes.len() > MAX_BATCH_ROWS {
            return Some(Bound::Rows);
        }
        (self.size_bytes() > MAX_BATCH_BYTES).then_some(Bound::Bytes)
    }
}

/// A bound that every engine enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// A key is empty or longer than [`MAX_KEY_BYTES`].
    Key,
    /// A value is longer than [`MAX_VALUE_BYTES`].
    Value,
    /// A batch has more than [`MAX_BATCH_ROWS`] rows.
    Rows,
    /// A batch has more than [`MAX_BATCH_BYTES`] bytes.
    Bytes,
}

/// Why a batch was not committed. Nothing of it is visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitError {
    /// A check does not hold: read again, decide again.
    Conflict,
    /// There is no room; reads go on, and writes do again when there is room.
    Full,
    /// Writes stopped until the store is opened again; the sentence says why. Reads go on.
    ReadOnly(String),
    /// The batch exceeds a bound: an error of the caller.
    TooLarge(Bound),
    /// The engine failed; the sentence says how.
    Broken(String),
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict => f.write_str("another writer was faster"),
            Self::Full => f.write_str("the store has no room for writes"),
            Self::ReadOnly(why) => write!(f, "the store takes no writes until restart: {why}"),
            Self::TooLarge(bound) => write!(f, "a batch exceeds the bound of its {bound:?}"),
            Self::Broken(why) => write!(f, "the store failed: {why}"),
        }
    }
}

impl std::error::Error for CommitError {}

/// The engine could not read; the sentence says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError(pub String);

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store cannot be read: {}", self.0)
    }
}

impl std::error::Error for ReadError {}

/// A batch that has its place in the order of commits: its checks held, batches ordered later are
/// checked against its writes, and it is seen by [`View::Ordered`].
pub struct Ordered {
    /// Answers once the batch is durable and visible, or has failed. Dropping it withdraws nothing.
    pub done: Answer<'static, Result<(), CommitError>>,
}

impl fmt::Debug for Ordered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ordered")
    }
}

/// An engine: an ordered map of rows that changes by batches. Used as `Arc<dyn Kv>`.
pub trait Kv: Send + Sync + fmt::Debug {
    /// The values of these rows, in the order asked for.
    fn get_many<'a>(
        &'a self,
        view: View,
        keys: &'a [Key],
    ) -> Answer<'a, Result<Vec<Option<Value>>, ReadError>>;

    /// The value of one row; the path of the rows that every request reads.
    fn get<'a>(&'a self, view: View, key: &'a [u8])
    -> Answer<'a, Result<Option<Value>, ReadError>>;

    /// A number that moves with whatever moves in [`View::Durable`], before its writer is answered: while
    /// it stands still, so does every row. None where another process may write too.
    fn moved(&self) -> Option<u64> {
        None
    }

    /// The rows of a range; no snapshot is promised.
    fn scan(&self, view: View, scan: Scan) -> Answer<'_, Result<Vec<Row>, ReadError>>;

    /// Orders a batch. A writer's turn ends when this answers; its client is answered when `done` is.
    fn submit(&self, batch: Batch) -> Answer<'_, Result<Ordered, CommitError>>;

    /// Orders a batch and waits until it is durable and visible.
    fn commit(&self, batch: Batch) -> Answer<'_, Result<(), CommitError>> {
        Box::pin(async move { self.submit(batch).await?.done.await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_carries() {
        assert_eq!(after_prefix(b"a/"), Some(Key::from_static(b"a0")));
        assert_eq!(after_prefix(b"a\xff\xff"), Some(Key::from_static(b"b")));
        assert_eq!(after_prefix(b"\xff\xff"), None);
        assert_eq!(after_prefix(b""), None);
    }
}
