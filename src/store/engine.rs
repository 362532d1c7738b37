//! The engine of production: sled behind the journal, with the three threads that serve it.
//!
//! [`open`] is all that a server needs. An engine assembled by hand on a simulated disk has no threads;
//! its owner calls [`Engine::step`], [`Engine::settle`], [`Engine::persist`] and [`Engine::checkpoint`] when it wants.

use std::fmt;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::Ordering as Memory;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::fs::FlockOperation;

use super::committer::Committer;
use super::cure::Patient;
use super::disk::{Disk, RealDisk, create_private_directory};
use super::journal_files::Stop;
use super::kv::{Answer, Batch, CommitError, Key, Kv, Ordered, ReadError, Row, Scan, Value, View};
use super::recovery::{OpenError, recover};
use super::retention::Progress;
use super::sled::SledSource;
use super::tree::TreeSource;

/// The least reserve: sled writes after the journal does, and must never meet a full disk.
pub const MIN_RESERVE_BYTES: u64 = 16 * 1024 * 1024;

/// How the store is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// Free bytes below which writes are refused (`store.reserve`); [`open`] takes no less than
    /// [`MIN_RESERVE_BYTES`].
    pub reserve_bytes: u64,
    /// Memory for the pages of the data.
    pub cache_bytes: u64,
    /// The length at which a segment of the journal is ended.
    pub segment_bytes: u64,
    /// The bytes of journal after which the data is made durable.
    pub mark_bytes: u64,
    /// The time after which the data is made durable.
    pub mark_every: Duration,
    /// The least bytes of journal after which a checkpoint is made.
    pub checkpoint_bytes: u64,
    /// How far back any moment can be restored (`journal.keep`).
    pub keep: Duration,
    /// The most bytes of journal and checkpoints kept for that.
    pub keep_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            reserve_bytes: 256 * MIB,
            cache_bytes: 64 * MIB,
            segment_bytes: 64 * MIB,
            mark_bytes: 64 * MIB,
            mark_every: Duration::from_secs(60),
            checkpoint_bytes: 256 * MIB,
            keep: Duration::from_secs(2 * 24 * 60 * 60),
            keep_bytes: 4096 * MIB,
        }
    }
}

/// A tree behind a journal.
pub struct Engine {
    pub(super) shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// The lock on the directory, held until the end.
    _lock: Option<fs::File>,
}

/// What the engine shares with its threads.
pub(super) struct Shared {
    pub(super) committer: Committer,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) options: Options,
    pub(super) progress: Mutex<Progress>,
    /// Held for reading while a dump needs the journal; pruning waits for it.
    pub(super) pinned: std::sync::RwLock<()>,
    closing: Mutex<bool>,
    wake: Condvar,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Engine")
    }
}

/// Opens the store in a directory, making it if there is none, and recovers what a crash, a power loss
/// or damage did to it.
pub fn open(directory: &Path, mut options: Options) -> Result<Arc<Engine>, OpenError> {
    options.reserve_bytes = options.reserve_bytes.max(MIN_RESERVE_BYTES);
    create_private_directory(directory)?;
    let lock = lock(directory)?;
    let source = Box::new(SledSource::new(directory, options.cache_bytes));
    let disk = Arc::new(RealDisk::new(directory));
    let mut engine = Engine::assemble(disk, source, options)?;
    engine._lock = Some(lock);
    engine.start()?;
    Ok(Arc::new(engine))
}

/// Locks a store's directory against other processes.
pub(super) fn lock(directory: &Path) -> Result<fs::File, OpenError> {
    let mut file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(directory.join("lock"))?;
    let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
    if let Err(error) = locked {
        let mut text = String::new();
        let process = file.read_to_string(&mut text).ok();
        let process = process.and_then(|_| text.trim().parse().ok());
        return Err(match error {
            rustix::io::Errno::WOULDBLOCK => OpenError::InUse {
                directory: directory.to_owned(),
                process,
            },
            error => OpenError::Io(error.into()),
        });
    }
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

impl Engine {
    /// An engine on a disk and a tree, without threads.
    pub fn assemble(
        disk: Arc<dyn Disk>,
        source: Box<dyn TreeSource>,
        options: Options,
    ) -> Result<Self, OpenError> {
        let recovered = recover(&disk, &*source, options.segment_bytes)?;
        let progress = Progress::new(&*disk, &recovered)?;
        let patient = Patient::new(disk.clone(), source, recovered.tree);
        let reserve_bytes = options.reserve_bytes;
        let journal = recovered.journal;
        let at = recovered.at;
        let committer = Committer::new(disk.clone(), journal, patient, at, reserve_bytes);
        let shared = Shared {
            committer,
            disk,
            options,
            progress: Mutex::new(progress),
            pinned: std::sync::RwLock::new(()),
            closing: Mutex::new(false),
            wake: Condvar::new(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            threads: Mutex::default(),
            _lock: None,
        })
    }

    /// Starts the committer, the thread that brings what is durable to the tree, and the one that makes
    /// the tree durable.
    fn start(&self) -> io::Result<()> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = self.shared.clone();
        let committer = std::thread::Builder::new().name("committer".to_owned());
        threads.push(committer.spawn(move || shared.commit())?);
        let shared = self.shared.clone();
        let applier = std::thread::Builder::new().name("applier".to_owned());
        threads.push(applier.spawn(move || {
            while shared.committer.wait_to_settle() {
                shared.committer.settle();
            }
        })?);
        let shared = self.shared.clone();
        let keeper = std::thread::Builder::new().name("keeper".to_owned());
        threads.push(keeper.spawn(move || shared.keep())?);
        Ok(())
    }

    /// Commits one group of what waits; answers whether there was any. Only for an engine without
    /// threads.
    pub fn step(&self) -> bool {
        self.shared.committer.step()
    }

    /// Applies to the tree what is durable. Only for an engine without threads.
    pub fn settle(&self) {
        self.shared.committer.settle();
    }

    /// Makes the data durable and moves the durable mark.
    pub fn persist(&self) -> Result<(), String> {
        self.shared.persist(Stop::None)
    }

    /// Commits what waits, makes the data durable and ends the threads. Later batches are refused;
    /// reads go on.
    pub fn close(&self) {
        self.shared.committer.stop();
        {
            let closing = self.shared.closing.lock();
            *closing.unwrap_or_else(PoisonError::into_inner) = true;
        }
        self.shared.wake.notify_all();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store stopped by a panic");
            }
        }
        while self.shared.committer.step() {}
        if let Err(error) = self.shared.persist(Stop::Clean) {
            tracing::warn!(error, "the data was not made durable; the journal has it");
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Without threads the owner says when it is closed.
        let threads = self
            .threads
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if !threads.is_empty() {
            self.close();
        }
    }
}

impl Shared {
    /// The committer's thread.
    fn commit(&self) {
        let mut told = 0;
        while self.committer.wait() {
            self.committer.step();
            let appended = self.committer.appended.load(Memory::Relaxed);
            if appended - told >= self.options.mark_bytes {
                told = appended;
                self.wake.notify_all();
            }
        }
    }

    /// The keeper's thread: the durable mark, checkpoints, and what is kept of the journal.
    fn keep(&self) {
        // What failed is tried again after a while, not at once.
        let mut failed = false;
        loop {
            let mut closing = self.closing.lock().unwrap_or_else(PoisonError::into_inner);
            if !*closing && (failed || !self.has_work()) {
                let every = self.options.mark_every;
                let waited = self.wake.wait_timeout(closing, every);
                (closing, _) = waited.unwrap_or_else(PoisonError::into_inner);
            }
            if *closing {
                return;
            }
            drop(closing);
            self.committer.catch_up();
            self.committer.patient.revive(&self.committer);
            failed = match self.tend() {
                Ok(()) => false,
                Err(error) => {
                    tracing::error!(error, "upkeep of the store failed and is tried again later");
                    true
                }
            };
        }
    }
}

impl Kv for Engine {
    fn get_many<'a>(
        &'a self,
        view: View,
        keys: &'a [Key],
    ) -> Answer<'a, Result<Vec<Option<Value>>, ReadError>> {
        let committer = &self.shared.committer;
        Box::pin(async move { keys.iter().map(|key| committer.get(view, key)).collect() })
    }

    fn get<'a>(
        &'a self,
        view: View,
        key: &'a [u8],
    ) -> Answer<'a, Result<Option<Value>, ReadError>> {
        Box::pin(async move { self.shared.committer.get(view, key) })
    }

    fn moved(&self) -> Option<u64> {
        Some(self.shared.committer.moved())
    }

    fn scan(&self, view: View, scan: Scan) -> Answer<'_, Result<Vec<Row>, ReadError>> {
        Box::pin(async move { self.shared.committer.scan(view, &scan) })
    }

    fn submit(&self, batch: Batch) -> Answer<'_, Result<Ordered, CommitError>> {
        Box::pin(self.shared.committer.submit(batch))
    }
}

#[cfg(test)]
mod tests {
    use super::super::suite;
    use super::*;
    use crate::testing::Scratch;

    fn options() -> Options {
        Options {
            reserve_bytes: 0,
            segment_bytes: 64 * 1024,
            ..Options::default()
        }
    }

    #[tokio::test]
    async fn the_suite_passes() {
        let scratch = Scratch::new();
        suite::run(open(scratch.path(), options()).unwrap()).await;
    }

    #[test]
    fn a_second_server_gets_one_clear_line() {
        let scratch = Scratch::new();
        let first = open(scratch.path(), options()).unwrap();
        let second = open(scratch.path(), options()).unwrap_err().to_string();
        assert!(
            second.contains("is used by another server (process "),
            "{second}"
        );
        assert_eq!(second.lines().count(), 1);
        drop(first);
        open(scratch.path(), options()).unwrap();
    }

    #[tokio::test]
    async fn what_was_committed_is_there_after_a_restart() {
        let scratch = Scratch::new();
        for round in 0..3_u8 {
            let kv = open(scratch.path(), options()).unwrap();
            for earlier in 0..round {
                let found = kv.get(View::Durable, &[b'r', earlier]).await;
                assert_eq!(found, Ok(Some(Value::from(vec![earlier; 3000]))));
            }
            let mut batch = Batch::new(super::super::kv::UnixMillis(1));
            batch.put(vec![b'r', round], vec![round; 3000]);
            assert_eq!(kv.commit(batch).await, Ok(()));
        }
    }
}
