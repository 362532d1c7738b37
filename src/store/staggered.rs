//! An engine for tests whose batches are ordered long before they are durable, and may fail in
//! between: what a crash of the disk does, without a disk.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::oneshot;

use super::kv::{Answer, Batch, CommitError, Key, Kv, Ordered, ReadError, Row, Scan, Value, View};
use super::memory::scan_map;

type Rows = BTreeMap<Key, Value>;

/// Two states of the rows and what lies between them.
#[derive(Debug, Default)]
pub(super) struct Staggered {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    durable: Rows,
    ordered: Rows,
    queue: Vec<(Batch, oneshot::Sender<Result<(), CommitError>>)>,
}

impl Staggered {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Makes all that is ordered durable; answers how many batches that were.
    pub(super) fn sync(&self) -> usize {
        let mut state = self.state();
        let queue = std::mem::take(&mut state.queue);
        let batches = queue.len();
        for (batch, done) in queue {
            apply(&mut state.durable, batch);
            drop(done.send(Ok(())));
        }
        batches
    }

    /// Loses all that is ordered and not durable.
    pub(super) fn fail(&self) {
        let mut state = self.state();
        state.ordered = state.durable.clone();
        for (_, done) in std::mem::take(&mut state.queue) {
            drop(done.send(Err(CommitError::Broken("the disk failed".into()))));
        }
    }
}

fn apply(rows: &mut Rows, batch: Batch) {
    for write in batch.writes {
        match write.value {
            Some(value) => rows.insert(write.key, value),
            None => rows.remove(&write.key),
        };
    }
}

impl State {
    fn rows(&self, view: View) -> &Rows {
        match view {
            View::Durable => &self.durable,
            View::Ordered => &self.ordered,
        }
    }
}

impl Kv for Staggered {
    fn get_many<'a>(
        &'a self,
        view: View,
        keys: &'a [Key],
    ) -> Answer<'a, Result<Vec<Option<Value>>, ReadError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            let state = self.state();
            let rows = state.rows(view);
            Ok(keys.iter().map(|key| rows.get(key).cloned()).collect())
        })
    }

    fn get<'a>(
        &'a self,
        view: View,
        key: &'a [u8],
    ) -> Answer<'a, Result<Option<Value>, ReadError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(self.state().rows(view).get(key).cloned())
        })
    }

    fn scan(&self, view: View, scan: Scan) -> Answer<'_, Result<Vec<Row>, ReadError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(scan_map(self.state().rows(view), &scan))
        })
    }

    fn submit(&self, batch: Batch) -> Answer<'_, Result<Ordered, CommitError>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            if let Some(bound) = batch.exceeded() {
                return Err(CommitError::TooLarge(bound));
            }
            let mut state = self.state();
            let mut checks = batch.checks.iter();
            if !checks.all(|c| state.ordered.get(&c.key) == c.expected.as_ref()) {
                return Err(CommitError::Conflict);
            }
            apply(&mut state.ordered, batch.clone());
            let (done, answer) = oneshot::channel();
            state.queue.push((batch, done));
            Ok(Ordered {
                done: Box::pin(async { answer.await.unwrap_or(Err(CommitError::Conflict)) }),
            })
        })
    }
}
