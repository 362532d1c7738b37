//! From a backup, or from a moment of the journal, to a new store.
//!
//! Both load a checkpoint into a tree beside the directory asked for; what comes of it is made durable,
//! given a checkpoint and a journal of its own, and only then gets its name. The caller's rows are part
//! of the restored store, so that no crash leaves one that does not know it was restored.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::checkpoint::{CheckpointError, CheckpointWriter, Summary, read_checkpoint};
use super::checkpoint_files::{self, Checkpoint};
use super::disk::{Disk, Reader, RealDisk, Writer, create_private_directory, sync_directory};
use super::engine::lock;
use super::journal::Journal;
use super::journal_files::{DIRECTORY, Manifest, Mark};
use super::journal_record::Record;
use super::journal_replay::{Span, read_manifest, replay};
use super::kv::{Batch, Key, Scan, UnixMillis, Write};
use super::recovery::{Catching, OpenError, load};
use super::sled::SledSource;
use super::tree::{Tree, TreeError, TreeSource};

/// Memory for the pages of a tree that is being filled.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// The length at which the first segment of a restored journal is ended.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// The rows read at once for the checkpoint of a restored store.
const PAGE_ROWS: usize = 256;

/// Why nothing was restored; the directory asked for is as it was.
#[derive(Debug)]
pub enum RestoreError {
    /// There is a store in the directory already.
    Occupied(PathBuf),
    /// The backup cannot be used.
    Backup(CheckpointError),
    /// The journal to restore from cannot be opened.
    Open(OpenError),
    /// The journal and its checkpoints do not reach that moment.
    NotKept(String),
    /// The new store cannot be written.
    Write(String),
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Occupied(path) => write!(
                f,
                "{} holds a store: name a new directory, or move that one away first",
                path.display()
            ),
            Self::Backup(error) => write!(f, "the backup cannot be restored: {error}"),
            Self::Open(error) => error.fmt(f),
            Self::NotKept(why) => write!(f, "that moment cannot be restored: {why}"),
            Self::Write(why) => write!(f, "the new store cannot be written: {why}"),
        }
    }
}

impl std::error::Error for RestoreError {}

impl From<io::Error> for RestoreError {
    fn from(error: io::Error) -> Self {
        Self::Write(error.to_string())
    }
}

impl From<TreeError> for RestoreError {
    fn from(error: TreeError) -> Self {
        Self::Write(error.0)
    }
}

/// The moment a restored store stands at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The sequence of its newest commit.
    pub sequence: u64,
    /// The time of its newest commit.
    pub at: UnixMillis,
    /// Its rows.
    pub rows: u64,
}

/// Reads a backup to its end: checksums, counts and sequences.
pub fn verify(backup: impl Read) -> Result<Summary, CheckpointError> {
    read_checkpoint(backup, &mut |_| Ok(()))
}

/// Makes a store in `directory` from a backup; `stamp` are rows that it gets besides.
pub fn restore(
    backup: impl Read,
    directory: &Path,
    stamp: &[Write],
) -> Result<Restored, RestoreError> {
    build(directory, stamp, |tree| {
        load(backup, tree).map_err(RestoreError::Backup)
    })
}

/// Makes a store in `directory` as the one in `source` was at a moment; `stamp` are rows that it gets
/// besides. Nobody may have `source` open.
pub fn restore_journal(
    source: &Path,
    moment: UnixMillis,
    directory: &Path,
    stamp: &[Write],
) -> Result<Restored, RestoreError> {
    let missing = |path: &Path| format!("{} holds no journal", path.display());
    if !source.join(DIRECTORY).is_dir() {
        return Err(RestoreError::NotKept(missing(source)));
    }
    let _lock = lock(source).map_err(RestoreError::Open)?;
    let disk = RealDisk::new(source);
    let manifest = read_manifest(&disk, &disk.list(DIRECTORY)?)?;
    let manifest = manifest.ok_or_else(|| RestoreError::NotKept(missing(source)))?;
    let checkpoints = checkpoint_files::list(&disk)?.into_iter();
    let mut bases: Vec<_> = checkpoints.filter(|c| c.at <= moment).map(Some).collect();
    if manifest.segments.first().is_some_and(|s| s.first == 1) {
        bases.insert(0, None);
    }
    let mut reasons = Vec::new();
    for base in bases.iter().rev() {
        let past = Past {
            disk: &disk,
            manifest: &manifest,
            base: base.as_ref(),
            moment,
        };
        match build(directory, stamp, |tree| past.fill(tree)) {
            Err(RestoreError::NotKept(why)) => reasons.push(why),
            answer => return answer,
        }
    }
    if reasons.is_empty() {
        reasons.push("it is older than everything that is kept".to_owned());
    }
    Err(RestoreError::NotKept(reasons.join("; ")))
}

/// A moment of a journal.
struct Past<'a> {
    disk: &'a dyn Disk,
    manifest: &'a Manifest,
    base: Option<&'a Checkpoint>,
    moment: UnixMillis,
}

impl Past<'_> {
    /// Loads the base and replays the journal up to the first commit after the moment.
    fn fill(&self, tree: &dyn Tree) -> Result<(u64, UnixMillis), RestoreError> {
        let not_kept = |why: String| RestoreError::NotKept(why);
        let (mut sequence, mut at) = (0, UnixMillis::default());
        if let Some(checkpoint) = self.base {
            let file = self.disk.open(&checkpoint.name)?;
            (sequence, at) = load(Reader::new(file), tree)
                .map_err(|error| not_kept(format!("{}: {error}", checkpoint.name)))?;
        }
        let mut catching = Catching::new(tree, 0);
        let span = Span {
            segments: &self.manifest.segments,
            sequence: sequence + 1,
            held: 0,
            end: None,
        };
        replay(self.disk, span, &mut |record| {
            let wanted = record.batches.iter().take_while(|b| b.at <= self.moment);
            let wanted: Vec<Batch> = wanted.cloned().collect();
            let whole = wanted.len() == record.batches.len();
            let first = record.first;
            let record = Record {
                first,
                batches: wanted,
            };
            sequence = sequence.max(record.next() - 1);
            at = record.batches.iter().map(|b| b.at).fold(at, std::cmp::max);
            catching.record(&record).map_err(|error| error.0)?;
            let flow = if whole {
                ControlFlow::Continue
            } else {
                ControlFlow::Break
            };
            Ok(flow(()))
        })
        .map_err(|error| not_kept(error.to_string()))?;
        catching.flush()?;
        Ok((sequence, at))
    }
}

/// Builds a store beside `directory` and gives it that name when it is whole.
fn build(
    directory: &Path,
    stamp: &[Write],
    fill: impl FnOnce(&dyn Tree) -> Result<(u64, UnixMillis), RestoreError>,
) -> Result<Restored, RestoreError> {
    if fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(RestoreError::Occupied(directory.to_owned()));
    }
    let mut beside = directory.as_os_str().to_owned();
    beside.push(".restoring");
    let beside = PathBuf::from(beside);
    if beside.exists() {
        fs::remove_dir_all(&beside)?;
    }
    create_private_directory(&beside)?;
    let restored = build_in(&beside, stamp, fill).inspect_err(|_| {
        if let Err(error) = fs::remove_dir_all(&beside) {
            tracing::warn!(%error, path = %beside.display(), "a restore left files behind");
        }
    })?;
    if directory.exists() {
        fs::remove_dir(directory)?;
    }
    fs::rename(&beside, directory)?;
    if let Some(parent) = directory
        .parent()
        .filter(|path| !path.as_os_str().is_empty())
    {
        sync_directory(parent)?;
    }
    Ok(restored)
}

fn build_in(
    root: &Path,
    stamp: &[Write],
    fill: impl FnOnce(&dyn Tree) -> Result<(u64, UnixMillis), RestoreError>,
) -> Result<Restored, RestoreError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(root));
    disk.create_directory(DIRECTORY)?;
    disk.create_directory(checkpoint_files::DIRECTORY)?;
    let tree = SledSource::new(root, CACHE_BYTES).open()?;
    let (sequence, at) = fill(&*tree)?;
    // The stamp is a commit of its own, so that nothing of the old store has its sequence.
    let sequence = sequence + 1;
    tree.apply(&stamp.iter().collect::<Vec<_>>(), sequence)?;
    tree.persist()?;
    let mark = Mark {
        sequence,
        at,
        ..Mark::default()
    };
    let rows = write_checkpoint(&*disk, &*tree, mark)?;
    drop(tree);
    mark.write(&*disk)?;
    Journal::begin(disk, Manifest::default(), sequence + 1, SEGMENT_BYTES)?;
    sync_directory(root)?;
    Ok(Restored { sequence, at, rows })
}

/// Writes the checkpoint that a new store's journal follows; answers the number of rows.
fn write_checkpoint(disk: &dyn Disk, tree: &dyn Tree, mark: Mark) -> Result<u64, RestoreError> {
    let file = disk.create(checkpoint_files::UNVERIFIED)?;
    let mut writer = CheckpointWriter::begin(Writer::new(file), mark.sequence)?;
    let mut next = Some(Key::new());
    while let Some(start) = next.take() {
        let scan = Scan {
            start,
            ..Scan::prefix(Key::new(), PAGE_ROWS)
        };
        let rows = tree.scan(&scan)?;
        if rows.len() == PAGE_ROWS {
            next = rows.last().map(super::kv::Row::after);
        }
        for row in rows {
            writer.row(row)?;
        }
    }
    let (summary, mut file) = writer.end(mark.sequence, mark.at)?;
    file.sync()?;
    disk.rename(checkpoint_files::UNVERIFIED, &Checkpoint::of(&summary).name)?;
    disk.sync_directory(checkpoint_files::DIRECTORY)?;
    Ok(summary.rows)
}

#[cfg(test)]
mod tests {
    use super::super::kv::{Kv, View};
    use super::super::{Engine, Options, open};
    use super::*;
    use crate::testing::Scratch;

    fn options() -> Options {
        Options {
            reserve_bytes: 0,
            segment_bytes: 4096,
            ..Options::default()
        }
    }

    fn wait<T>(future: impl Future<Output = T>) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.build().unwrap().block_on(future)
    }

    async fn put(kv: &dyn Kv, number: u8) {
        let mut batch = Batch::new(UnixMillis(i64::from(number) * 1000));
        batch.put("newest", vec![number]);
        batch.put(vec![b'r', number], vec![number; 700]);
        assert_eq!(kv.commit(batch).await, Ok(()));
    }

    async fn all(kv: &dyn Kv) -> Vec<super::super::kv::Row> {
        let scan = Scan::prefix(Key::new(), usize::MAX);
        kv.scan(View::Durable, scan).await.unwrap()
    }

    fn stamp() -> Vec<Write> {
        let (key, value) = ("restored".into(), Some("yes".into()));
        vec![Write { key, value }]
    }

    /// Commits while it is written to, as a server does during a backup.
    struct Busy<'a> {
        engine: &'a Engine,
        out: &'a mut Vec<u8>,
        number: u8,
    }

    impl io::Write for Busy<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.number += 1;
            wait(put(self.engine, self.number));
            self.out.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn backup_of(engine: &Engine) -> Vec<u8> {
        let mut backup = Vec::new();
        engine.backup(&mut backup).unwrap();
        backup
    }

    #[test]
    fn a_backup_taken_while_serving_restores_to_the_moment_it_ended() {
        let scratch = Scratch::new();
        let engine = open(&scratch.path().join("a"), options()).unwrap();
        for number in 0..20 {
            wait(put(&*engine, number));
        }
        let mut backup = Vec::new();
        let busy = Busy {
            engine: &engine,
            out: &mut backup,
            number: 19,
        };
        let summary = engine.backup(busy).unwrap();
        assert!(summary.records > 0, "nothing was committed meanwhile");
        assert_eq!(verify(&*backup).unwrap(), summary);
        let place = scratch.path().join("b");
        let restored = restore(&*backup, &place, &stamp()).unwrap();
        assert_eq!(restored.at, summary.at);
        let again = open(&place, options()).unwrap();
        let rows = wait(all(&*again));
        let newest = usize::try_from(summary.at.0 / 1000).unwrap();
        // Every row up to the end, the newest and the stamp.
        assert_eq!(rows.len(), newest + 1 + 2);
        assert_eq!(rows[0].value.as_ref(), [u8::try_from(newest).unwrap()]);
        assert_eq!(rows.last().unwrap().key.as_ref(), b"restored");
        // And the new store stands on its own feet.
        wait(put(&*again, 99));
        drop(again);
        fs::remove_dir_all(place.join("sled")).unwrap();
        let rebuilt = open(&place, options()).unwrap();
        assert_eq!(wait(all(&*rebuilt)).len(), rows.len() + 1);
    }

    #[test]
    fn a_damaged_backup_is_refused_and_leaves_nothing() {
        let scratch = Scratch::new();
        let engine = open(&scratch.path().join("a"), options()).unwrap();
        for number in 0..5 {
            wait(put(&*engine, number));
        }
        let backup = backup_of(&engine);
        let place = scratch.path().join("b");
        for length in 0..backup.len() {
            assert!(verify(&backup[..length]).is_err(), "cut to {length}");
        }
        for position in 0..backup.len() {
            let mut bytes = backup.clone();
            bytes[position] ^= 16;
            if let Ok(summary) = verify(&*bytes) {
                // A bit of the frame's header that means nothing to the content.
                assert_eq!(summary, verify(&*backup).unwrap(), "flipped {position}");
            }
        }
        let mut more = backup.clone();
        more.push(0);
        assert!(verify(&*more).is_err());
        let refused = restore(&backup[..backup.len() - 9], &place, &[]);
        assert!(matches!(refused, Err(RestoreError::Backup(_))));
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
        let occupied = restore(&*backup, &scratch.path().join("a"), &[]);
        assert!(matches!(occupied, Err(RestoreError::Occupied(_))));
    }

    #[test]
    fn any_moment_of_the_journal_can_be_restored() {
        let scratch = Scratch::new();
        let source = scratch.path().join("a");
        let engine = open(&source, options()).unwrap();
        for number in 1..=30 {
            wait(put(&*engine, number));
            if number % 10 == 0 {
                engine.checkpoint().unwrap();
            }
        }
        drop(engine);
        for moment in [0_u8, 1, 9, 10, 11, 15, 30, 31] {
            let place = scratch.path().join(format!("at{moment}"));
            let at = UnixMillis(i64::from(moment) * 1000 + 999);
            let restored = restore_journal(&source, at, &place, &[]).unwrap();
            assert_eq!(restored.at.0, i64::from(moment.min(30)) * 1000);
            let again = open(&place, options()).unwrap();
            let rows = wait(all(&*again));
            let expected = usize::from(moment.min(30));
            assert_eq!(rows.len(), if moment == 0 { 0 } else { expected + 1 });
        }
        open(&source, options()).unwrap();
    }

    #[test]
    fn a_moment_before_what_is_kept_is_refused() {
        let scratch = Scratch::new();
        let source = scratch.path().join("a");
        let keep = std::time::Duration::from_secs(5);
        let engine = open(&source, Options { keep, ..options() }).unwrap();
        for number in 1..=30 {
            wait(put(&*engine, number));
            if number % 10 == 0 {
                engine.persist().unwrap();
                engine.checkpoint().unwrap();
            }
        }
        drop(engine);
        let place = scratch.path().join("b");
        let early = restore_journal(&source, UnixMillis(12_000), &place, &[]);
        assert!(matches!(early, Err(RestoreError::NotKept(_))), "{early:?}");
        restore_journal(&source, UnixMillis(26_000), &place, &[]).unwrap();
        let nothing = restore_journal(scratch.path(), UnixMillis(0), &place, &[]);
        assert!(matches!(nothing, Err(RestoreError::NotKept(_))));
    }
}
