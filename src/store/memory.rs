//! The memory engine: a sorted map that forgets everything, for tests.
//!
//! It enforces the bounds of the seam and can be told to answer late and to refuse batches with
//! Conflict, both from a seed, so that what is built on the seam meets them before a distributed
//! engine makes it.
//!
//! **Gaps**: a batch is durable when it is ordered, so both views are the same.

use std::collections::BTreeMap;
use std::ops::Bound as Edge;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::kv::{
    Answer, Batch, CommitError, Key, Kv, Order, Ordered, ReadError, Row, Scan, Value, View,
};

/// What the memory engine does to its callers, for tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mischief {
    /// Where the pseudo-random numbers begin; print it when a test fails.
    pub seed: u64,
    /// Each call yields to other tasks up to this many times.
    pub yields: u32,
    /// How many of a thousand batches are refused with Conflict.
    pub conflicts_per_mille: u32,
}

/// An engine in memory.
#[derive(Debug, Default)]
pub struct Memory {
    rows: Mutex<BTreeMap<Key, Value>>,
    mischief: Mischief,
    random: Mutex<u64>,
}

impl Memory {
    /// An empty, well-behaved store.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store that answers late and invents conflicts.
    pub fn with_mischief(mischief: Mischief) -> Self {
        Self {
            rows: Mutex::default(),
            mischief,
            random: Mutex::new(mischief.seed),
        }
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<Key, Value>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next number below `bound`, by splitmix64.
    fn random(&self, bound: u32) -> u32 {
        let mut state = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let number = (z ^ (z >> 31)) % u64::from(bound.max(1));
        u32::try_from(number).unwrap_or(0)
    }

    async fn dawdle(&self) {
        if self.mischief.yields == 0 {
            return;
        }
        for _ in 0..self.random(self.mischief.yields + 1) {
            tokio::task::yield_now().await;
        }
    }

    fn apply(&self, batch: Batch) -> Result<(), CommitError> {
        if let Some(bound) = batch.exceeded() {
            return Err(CommitError::TooLarge(bound));
        }
        let refused = self.mischief.conflicts_per_mille;
        if refused > 0 && self.random(1000) < refused {
            return Err(CommitError::Conflict);
        }
        let mut rows = self.rows();
        if !batch
            .checks
            .iter()
            .all(|c| rows.get(&c.key) == c.expected.as_ref())
        {
            return Err(CommitError::Conflict);
        }
        for write in batch.writes {
            match write.value {
                Some(value) => rows.insert(write.key, value),
                None => rows.remove(&write.key),
            };
        }
        Ok(())
    }
}

impl Kv for Memory {
    fn get_many<'a>(
        &'a self,
        _: View,
        keys: &'a [Key],
    ) -> Answer<'a, Result<Vec<Option<Value>>, ReadError>> {
        Box::pin(async move {
            self.dawdle().await;
            let rows = self.rows();
            Ok(keys.iter().map(|key| rows.get(key).cloned()).collect())
        })
    }

    fn get<'a>(&'a self, _: View, key: &'a [u8]) -> Answer<'a, Result<Option<Value>, ReadError>> {
        Box::pin(async move {
            self.dawdle().await;
            Ok(self.rows().get(key).cloned())
        })
    }

    fn scan(&self, _: View, scan: Scan) -> Answer<'_, Result<Vec<Row>, ReadError>> {
        Box::pin(async move {
            self.dawdle().await;
            Ok(scan_map(&self.rows(), &scan))
        })
    }

    fn submit(&self, batch: Batch) -> Answer<'_, Result<Ordered, CommitError>> {
        Box::pin(async move {
            self.dawdle().await;
            self.apply(batch)?;
            Ok(Ordered {
                done: Box::pin(async { Ok(()) }),
            })
        })
    }
}

/// The rows of a sorted map in the range of a scan.
pub(super) fn scan_map(rows: &BTreeMap<Key, Value>, scan: &Scan) -> Vec<Row> {
    if scan.end.as_ref().is_some_and(|end| *end <= scan.start) {
        return Vec::new();
    }
    let end = scan.end.clone().map_or(Edge::Unbounded, Edge::Excluded);
    let range = rows.range((Edge::Included(scan.start.clone()), end));
    let row = |(key, value): (&Key, &Value)| Row {
        key: key.clone(),
        value: value.clone(),
    };
    match scan.order {
        Order::Forward => range.take(scan.limit).map(row).collect(),
        Order::Reverse => range.rev().take(scan.limit).map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::kv::UnixMillis;
    use super::super::suite;
    use super::*;

    #[tokio::test]
    async fn the_suite_passes() {
        suite::run(Arc::new(Memory::new())).await;
    }

    #[tokio::test]
    async fn the_suite_passes_with_late_answers() {
        let (seed, yields, conflicts_per_mille) = (7, 3, 0);
        let mischief = Mischief {
            seed,
            yields,
            conflicts_per_mille,
        };
        suite::run(Arc::new(Memory::with_mischief(mischief))).await;
    }

    #[tokio::test]
    async fn conflicts_are_invented_at_the_rate_asked_for() {
        let mischief = Mischief {
            seed: 42,
            conflicts_per_mille: 250,
            ..Mischief::default()
        };
        let kv = Memory::with_mischief(mischief);
        let mut refused = 0;
        for _ in 0..1000 {
            let answer = kv.commit(Batch::new(UnixMillis(0))).await;
            refused += u32::from(answer == Err(CommitError::Conflict));
        }
        assert!((200..300).contains(&refused), "{refused}");
    }
}
