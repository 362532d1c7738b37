//! The sled tree behind the journal; the only user of sled.
//!
//! sled 0.34 alone is not sound: its flush is no fsync, what a crash leaves of a snapshot keeps it
//! from opening, and damaged pages make it panic. So leftovers are removed before it opens, every call
//! runs under `catch_unwind`, [`Tree::persist`] syncs the files itself, and what does not open is set
//! aside for a tree rebuilt from the journal.
//!
//! A sled that failed to write may wait for ever when it is flushed or closed, and with it every sled of
//! the process. So it is not touched again but to read; the tree that takes its place has a directory
//! with another name, because the old one still holds its lock and its paths.
//!
//! Where damage ends the reading of its log, sled has pages as they once were, or not at all, without an
//! error. So the row of the applied sequence also holds a sum over all rows, and opening reads them all.
//!
//! **Gaps**: a failed write that meets a flush under way hangs in sled; the
//! reserve of free space is there so that sled never meets a full disk.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use super::disk::{create_private_directory, sync_directory};
use super::kv::{Order as Direction, Row, Scan, Value, Write};
use super::sum::Sum;
use super::tree::{Fill, Tree, TreeError, TreeSource};

/// The row of the applied sequence and of the sum of all other rows; rows of the store have no empty key.
const APPLIED: &[u8] = b"";

/// How often sled writes out and cleans up by itself; it collects garbage at no other time.
const FLUSH_EVERY_MS: u64 = 5_000;

/// How often opening is tried again while a closing sled still holds its lock, and how long between.
const LOCK_TRIES: u32 = 500;
const LOCK_WAIT: Duration = Duration::from_millis(10);

/// The directory of the tree that is set aside, and of the one that is being built.
const ASIDE: &str = "sled.damaged";
const FRESH: &str = "sled.new";

/// The directory in which sled's tree is kept.
#[derive(Debug)]
pub(super) struct SledSource {
    root: PathBuf,
    cache_bytes: u64,
    /// How often a tree was built anew since the first was opened; `None` before that.
    number: Mutex<Option<u32>>,
}

impl SledSource {
    /// The tree below the store's directory, with this much memory for its pages.
    pub(super) fn new(root: &Path, cache_bytes: u64) -> Self {
        Self {
            root: root.to_owned(),
            cache_bytes,
            number: Mutex::new(None),
        }
    }

    /// The directory of a tree: `sled`, or `sled.N` for one built anew while the store was open.
    fn place(&self, number: u32) -> PathBuf {
        self.root.join(match number {
            0 => "sled".to_owned(),
            number => format!("sled.{number}"),
        })
    }

    /// Gives the newest tree that an earlier process left its usual name.
    fn settle(&self) -> io::Result<()> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("sled."));
            numbers.extend(number.and_then(|number| number.parse::<u32>().ok()));
        }
        numbers.sort_unstable();
        let Some(newest) = numbers.pop() else {
            return Ok(());
        };
        for older in numbers {
            remove_directory(&self.place(older))?;
        }
        self.set_aside(&self.place(0))?;
        fs::rename(self.place(newest), self.place(0))?;
        sync_directory(&self.root)
    }

    fn set_aside(&self, place: &Path) -> io::Result<()> {
        if place.exists() {
            let aside = self.root.join(ASIDE);
            remove_directory(&aside)?;
            fs::rename(place, aside)?;
        }
        Ok(())
    }

    fn open_at(&self, path: &Path) -> Result<Box<dyn Tree>, TreeError> {
        quieten();
        create_private_directory(path).map_err(|error| io_error(&error))?;
        remove_leftovers(path).map_err(|error| io_error(&error))?;
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(self.cache_bytes)
            .flush_every_ms(Some(FLUSH_EVERY_MS));
        let mut tries = 0;
        let db = loop {
            match guarded(|| config.open()) {
                Err(error) if error.0.contains("could not acquire lock") && tries < LOCK_TRIES => {
                    tries += 1;
                    std::thread::park_timeout(LOCK_WAIT);
                }
                answer => break answer?,
            }
        };
        let tree = SledTree {
            path: path.to_owned(),
            db: Some(db),
            sum: Mutex::default(),
            stuck: AtomicBool::new(false),
            synced_blobs: Mutex::default(),
        };
        tree.prove()?;
        Ok(Box::new(tree))
    }
}

impl TreeSource for SledSource {
    fn exists(&self) -> bool {
        let names = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let mut names = names.map(|entry| entry.file_name());
        names.any(|name| name.to_string_lossy().starts_with("sled"))
    }

    fn open(&self) -> Result<Box<dyn Tree>, TreeError> {
        let mut number = self.number.lock().unwrap_or_else(PoisonError::into_inner);
        if number.is_none() {
            self.settle().map_err(|error| io_error(&error))?;
            *number = Some(0);
        }
        self.open_at(&self.place(number.unwrap_or(0)))
    }

    fn rebuild(&self, fill: &mut Fill<'_>) -> Result<Box<dyn Tree>, TreeError> {
        let fresh = self.root.join(FRESH);
        remove_directory(&fresh).map_err(|error| io_error(&error))?;
        let tree = self.open_at(&fresh)?;
        fill(&*tree)?;
        tree.persist()?;
        drop(tree);
        let mut number = self.number.lock().unwrap_or_else(PoisonError::into_inner);
        let old = number.unwrap_or(0);
        let renamed = fs::rename(&fresh, self.place(old + 1));
        let renamed = renamed.and_then(|()| sync_directory(&self.root));
        renamed.map_err(|error| io_error(&error))?;
        *number = Some(old + 1);
        self.set_aside(&self.place(old))
            .map_err(|error| io_error(&error))?;
        tracing::warn!(
            aside = ASIDE,
            "the data was rebuilt from the journal; what was there is set aside and may be removed"
        );
        self.open_at(&self.place(old + 1))
    }
}

fn remove_directory(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        answer => answer,
    }
}

/// Removes half-written snapshots, which keep sled from opening, and empty ones.
fn remove_leftovers(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let empty = name.starts_with("snap.") && entry.metadata()?.len() == 0;
        if name.ends_with(".generating") || empty {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn io_error(error: &io::Error) -> TreeError {
    TreeError(format!("the data directory cannot be used: {error}"))
}

thread_local! {
    /// Whether this thread is inside sled, whose panics are logged where they are caught.
    static IN_SLED: Cell<bool> = const { Cell::new(false) };
}

/// Keeps panics that are caught here from being printed.
fn quieten() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IN_SLED.get() {
                print(panic);
            }
        }));
    });
}

/// Calls sled; an error or a panic becomes a sentence.
fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, TreeError> {
    let outer = IN_SLED.replace(true);
    let answer = catch_unwind(AssertUnwindSafe(call));
    IN_SLED.set(outer);
    match answer {
        Ok(answer) => answer.map_err(|error| TreeError(format!("sled: {error}"))),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            let text = text.unwrap_or("it panicked");
            Err(TreeError(format!("sled stopped: {text}")))
        }
    }
}

struct SledTree {
    path: PathBuf,
    /// Always there until the drop, which closes sled under `catch_unwind`.
    db: Option<sled::Db>,
    /// The sum of all rows.
    sum: Mutex<Sum>,
    /// A write failed: it may never be flushed or closed again.
    stuck: AtomicBool,
    synced_blobs: Mutex<BTreeSet<OsString>>,
}

impl fmt::Debug for SledTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledTree")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Drop for SledTree {
    fn drop(&mut self) {
        let db = self.db.take();
        if self.stuck.load(Ordering::Acquire) {
            tracing::warn!("sled cannot be closed after a failed write; its memory is not freed");
            std::mem::forget(db);
            return;
        }
        if let Err(error) = guarded(|| {
            drop(db);
            Ok(())
        }) {
            tracing::warn!(%error, "sled did not close well");
        }
    }
}

impl SledTree {
    fn with<T>(&self, call: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, TreeError> {
        let db = self.db.as_ref();
        let db = db.ok_or_else(|| TreeError("the tree is closed".to_owned()))?;
        guarded(|| call(db))
    }

    /// What the row of the applied sequence says; nothing in a new tree. Trees of before there was a sum have none.
    fn held(&self) -> Result<(u64, Option<Sum>), TreeError> {
        let Some(row) = self.with(|db| db.get(APPLIED))? else {
            return Ok((0, Some(Sum::default())));
        };
        let number = |at: usize| row.get(at..at + 8).and_then(|half| half.try_into().ok());
        match (row.len(), number(0), number(8)) {
            (16, Some(sequence), Some(sum)) => {
                Ok((u64::from_le_bytes(sequence), Some(Sum::from_bytes(sum))))
            }
            (8, Some(sequence), None) => Ok((u64::from_le_bytes(sequence), None)),
            _ => Err(TreeError("its sequence is damaged".to_owned())),
        }
    }

    /// Reads all rows: they must be those that were written last.
    fn prove(&self) -> Result<(), TreeError> {
        let (_, expected) = self.held()?;
        let found = self.with(|db| {
            let mut found = Sum::default();
            for row in db.range(&b"\0"[..]..) {
                let (key, value) = row?;
                found.add(&key, &value);
            }
            Ok(found)
        })?;
        if expected.is_some_and(|expected| expected != found) {
            return Err(TreeError("rows of it are lost or out of date".to_owned()));
        }
        *self.sum.lock().unwrap_or_else(PoisonError::into_inner) = found;
        Ok(())
    }

    /// Writes, unless an earlier write failed.
    fn write<T>(&self, call: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Result<T, TreeError> {
        if self.stuck.load(Ordering::Acquire) {
            return Err(TreeError("a write failed before".to_owned()));
        }
        self.with(call)
            .inspect_err(|_| self.stuck.store(true, Ordering::Release))
    }

    /// Syncs what sled's flush only wrote: the large values, the log, and the names of both.
    fn sync_files(&self) -> io::Result<()> {
        let blobs = self.path.join("blobs");
        let mut seen = BTreeSet::new();
        let mut synced = self
            .synced_blobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for entry in fs::read_dir(&blobs)? {
            let entry = entry?;
            let name = entry.file_name();
            if !synced.contains(&name) {
                match fs::File::open(entry.path()) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    file => file?.sync_all()?,
                }
            }
            seen.insert(name);
        }
        fs::File::open(self.path.join("db"))?.sync_all()?;
        fs::File::open(self.path.join("conf"))?.sync_all()?;
        sync_directory(&blobs)?;
        sync_directory(&self.path)?;
        *synced = seen;
        Ok(())
    }
}

impl Tree for SledTree {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TreeError> {
        let found = self.with(|db| db.get(key))?;
        Ok(found.map(|value| Value::copy_from_slice(&value)))
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Row>, TreeError> {
        // The row of the applied sequence is the smallest of all and no row of the store.
        let start = scan.start.as_ref().max(b"\0".as_slice());
        if scan.end.as_ref().is_some_and(|end| end.as_ref() <= start) {
            return Ok(Vec::new());
        }
        self.with(|db| {
            let range = match &scan.end {
                Some(end) => db.range(start..end.as_ref()),
                None => db.range(start..),
            };
            let row = |found: sled::Result<(sled::IVec, sled::IVec)>| {
                let (key, value) = found?;
                Ok(Row {
                    key: Value::copy_from_slice(&key),
                    value: Value::copy_from_slice(&value),
                })
            };
            match scan.order {
                Direction::Forward => range.take(scan.limit).map(row).collect(),
                Direction::Reverse => range.rev().take(scan.limit).map(row).collect(),
            }
        })
    }

    fn apply(&self, writes: &[&Write], sequence: u64) -> Result<(), TreeError> {
        let mut kept = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sum = *kept;
        let mut batch = sled::Batch::default();
        for write in writes {
            if let Some(old) = self.with(|db| db.get(&write.key))? {
                sum.remove(&write.key, &old);
            }
            match &write.value {
                Some(value) => {
                    sum.add(&write.key, value);
                    batch.insert(write.key.as_ref(), value.as_ref());
                }
                None => batch.remove(write.key.as_ref()),
            }
        }
        let held = [sequence.to_le_bytes(), sum.to_bytes()].concat();
        batch.insert(APPLIED, held);
        self.write(|db| db.apply_batch(batch))?;
        *kept = sum;
        Ok(())
    }

    fn applied(&self) -> Result<u64, TreeError> {
        Ok(self.held()?.0)
    }

    fn persist(&self) -> Result<(), TreeError> {
        self.write(|db| db.flush())?;
        self.sync_files().map_err(|error| io_error(&error))
    }

    fn can_close(&self) -> bool {
        !self.stuck.load(Ordering::Acquire)
    }
}
