//! The indexes of calendars that are in memory, under a budget of bytes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Id;
use super::members::Members;

/// The newest durable index of each collection, as far as it is in memory.
#[derive(Debug)]
pub(super) struct Indexes {
    cells: Mutex<HashMap<Id, Arc<Index>>>,
    budget: usize,
    bytes: AtomicUsize,
    clock: AtomicU64,
}

/// The newest durable index of one collection.
#[derive(Debug, Default)]
pub(super) struct Index {
    members: Mutex<Option<Arc<Members>>>,
    size: AtomicUsize,
    used: AtomicU64,
    /// Held while the index is read from rows, so that it is read once.
    pub(super) refresh: tokio::sync::Mutex<()>,
}

impl Index {
    fn get(&self) -> Option<Arc<Members>> {
        let members = self.members.lock();
        members.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Indexes {
    pub(super) fn new(budget: usize) -> Self {
        Self {
            cells: Mutex::default(),
            budget,
            bytes: AtomicUsize::new(0),
            clock: AtomicU64::new(0),
        }
    }

    pub(super) fn cell(&self, collection: Id) -> Arc<Index> {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        cells.entry(collection).or_default().clone()
    }

    /// The index of a collection, if it is in memory.
    pub(super) fn get(&self, collection: Id) -> Option<Arc<Members>> {
        let cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = cells.get(&collection)?;
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        cell.used.store(now, Ordering::Relaxed);
        cell.get()
    }

    /// Keeps an index unless a newer one is there; drops others if there is no room.
    pub(super) fn put(&self, members: &Arc<Members>) {
        let cell = self.cell(members.collection());
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        cell.used.store(now, Ordering::Relaxed);
        {
            let mut kept = cell.members.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.as_ref().is_some_and(|old| old.last() > members.last()) {
                return;
            }
            *kept = Some(members.clone());
            let size = members.size_bytes();
            let before = cell.size.swap(size, Ordering::Relaxed);
            self.bytes.fetch_add(size, Ordering::Relaxed);
            self.bytes.fetch_sub(before, Ordering::Relaxed);
        }
        if self.bytes.load(Ordering::Relaxed) > self.budget {
            self.drop_oldest(members.collection());
        }
    }

    /// Forgets the index of a collection.
    pub(super) fn forget(&self, collection: Id) {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = cells.remove(&collection) {
            let size = cell.size.swap(0, Ordering::Relaxed);
            self.bytes.fetch_sub(size, Ordering::Relaxed);
        }
    }

    /// The bytes in use.
    pub(super) fn size_bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Drops indexes, least recently used first, until nine tenths of the budget are in use.
    fn drop_oldest(&self, keep: Id) {
        let mut by_use: Vec<(u64, Id)> = {
            let cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
            let loaded = cells.iter().filter(|(id, _)| **id != keep);
            loaded
                .map(|(id, cell)| (cell.used.load(Ordering::Relaxed), *id))
                .collect()
        };
        by_use.sort_unstable();
        for (_, id) in by_use {
            if self.size_bytes() <= self.budget / 10 * 9 {
                return;
            }
            self.forget(id);
        }
    }
}
