//! The tree while the store is open, and how it is had back when it fails: opened again and brought up
//! to date from the journal, and if that does not help, rebuilt.

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use super::committer::Committer;
use super::disk::Disk;
use super::kv::{ReadError, Write};
use super::recovery::{Remedy, reopen};
use super::tree::{Tree, TreeError, TreeSource};

/// The tree, which may fail and be cured.
pub(super) struct Patient {
    disk: Arc<dyn Disk>,
    source: Box<dyn TreeSource>,
    slot: RwLock<Slot>,
    curing: Mutex<()>,
}

struct Slot {
    /// Counts the times the tree was opened.
    generation: u64,
    /// The tree, or why there is none.
    tree: Result<Box<dyn Tree>, String>,
}

/// A failure of the tree.
#[derive(Debug)]
pub(super) struct Symptom {
    /// Which opening of the tree failed.
    pub(super) generation: u64,
    /// How.
    pub(super) error: TreeError,
    /// Whether there was no tree to read from, because a cure had failed.
    closed: bool,
}

impl Patient {
    /// A healthy tree.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        source: Box<dyn TreeSource>,
        tree: Box<dyn Tree>,
    ) -> Self {
        let slot = Slot {
            generation: 0,
            tree: Ok(tree),
        };
        Self {
            disk,
            source,
            slot: RwLock::new(slot),
            curing: Mutex::new(()),
        }
    }

    fn slot(&self) -> RwLockReadGuard<'_, Slot> {
        self.slot.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the times the tree was opened.
    pub(super) fn generation(&self) -> u64 {
        self.slot().generation
    }

    /// Reads from the tree as it is.
    pub(super) fn peek<T>(
        &self,
        read: impl FnOnce(&dyn Tree) -> Result<T, TreeError>,
    ) -> Result<T, Symptom> {
        let slot = self.slot();
        let generation = slot.generation;
        let symptom = |error, closed| Symptom {
            generation,
            error,
            closed,
        };
        match &slot.tree {
            Ok(tree) => read(&**tree).map_err(|error| symptom(error, false)),
            Err(why) => Err(symptom(TreeError(why.clone()), true)),
        }
    }

    /// Reads from the tree, and cures it if it fails. After a cure that failed, readers do not try
    /// again; writers and the keeper do.
    pub(super) fn read<T>(
        &self,
        committer: &Committer,
        read: impl Fn(&dyn Tree) -> Result<T, TreeError>,
    ) -> Result<T, ReadError> {
        let mut attempts = 0;
        loop {
            match self.peek(&read) {
                Ok(answer) => return Ok(answer),
                Err(symptom) if symptom.closed => return Err(ReadError(symptom.error.0)),
                Err(symptom) => {
                    attempts += 1;
                    let error = symptom.error;
                    tracing::error!(%error, attempts, "the data cannot be read");
                    self.cure(committer, symptom.generation, attempts)
                        .map_err(ReadError)?;
                }
            }
        }
    }

    /// Applies writes to the tree.
    pub(super) fn apply(&self, writes: &[&Write], sequence: u64) -> Result<(), TreeError> {
        let applied = self.peek(|tree| tree.apply(writes, sequence));
        applied.map_err(|symptom| symptom.error)
    }

    /// Tries again after a cure that failed.
    pub(super) fn revive(&self, committer: &Committer) {
        let generation = match &*self.slot() {
            Slot {
                generation,
                tree: Err(_),
            } => *generation,
            Slot { tree: Ok(_), .. } => return,
        };
        if let Err(error) = self.cure(committer, generation, 1) {
            tracing::error!(error, "the data still does not open");
        }
    }

    /// Makes everything in the tree durable.
    pub(super) fn persist(&self) -> Result<(), Symptom> {
        self.peek(|tree| tree.persist())
    }

    /// Has the tree back after this opening of it failed, the `attempts`th time for one caller. If
    /// there is no room for that, the tree stays as it is, because it may still be read.
    pub(super) fn cure(
        &self,
        committer: &Committer,
        generation: u64,
        attempts: u32,
    ) -> Result<(), String> {
        let _one = self.curing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.generation() != generation {
            return Ok(());
        }
        if !committer.has_room() {
            return Err("there is no room to mend the data".to_owned());
        }
        let remedy = match attempts {
            0 | 1 => Remedy::Reopen,
            2 => Remedy::Rebuild,
            _ => return Err("the data fails although it was rebuilt".to_owned()),
        };
        let journal = committer.journal();
        let can_close = |tree: &Result<Box<dyn Tree>, String>| match tree {
            Ok(tree) => tree.can_close(),
            Err(_) => true,
        };
        if !can_close(&self.slot().tree) {
            // Another takes its place; until then it is read from.
            let manifest = journal.manifest();
            let tree = reopen(&self.disk, &*self.source, manifest, Remedy::Rebuild);
            let tree = tree.map_err(|error| error.to_string())?;
            let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
            slot.generation += 1;
            slot.tree = Ok(tree);
            return Ok(());
        }
        let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        slot.generation += 1;
        // Closes the old tree, which holds the lock on its files.
        slot.tree = Err("the data is being opened".to_owned());
        slot.tree = reopen(&self.disk, &*self.source, journal.manifest(), remedy)
            .map_err(|error| error.to_string());
        match &slot.tree {
            Ok(_) => Ok(()),
            Err(why) => Err(why.clone()),
        }
    }
}
