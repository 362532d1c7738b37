//! Opening: from the files as a crash, a power loss or damage left them to a journal ready to append
//! and a tree that holds everything acknowledged.
//!
//! The replay begins at the durable mark whatever the tree says of itself, because records are
//! absolute and replaying them is harmless. A tree that does not open, or holds less than the mark
//! promises, is rebuilt from the newest good checkpoint and the journal after it. What can be had back
//! from nowhere is refused with a sentence that says what to do.

use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use super::checkpoint::{CheckpointError, Piece, read_checkpoint};
use super::checkpoint_files::{self, Checkpoint};
use super::disk::{Disk, Reader, read_exact_at};
use super::journal::{Journal, Tail, write_zeros};
use super::journal_files::{DIRECTORY, Manifest, Mark, Small, Stop, segment_id, segment_name};
use super::journal_record::Record;
use super::journal_replay::{ReplayError, Replayed, Span, TailPlace, read_manifest, replay};
use super::kv::{UnixMillis, Write};
use super::tree::{Tree, TreeError, TreeSource};

/// The bytes of writes applied to the tree at once while it catches up.
const APPLY_BYTES: usize = 1024 * 1024;

/// Why a store does not open; printed, it says what to do.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it open.
    InUse {
        /// The store's directory.
        directory: PathBuf,
        /// The other process, if it is known.
        process: Option<u32>,
    },
    /// The directory cannot be used.
    Io(io::Error),
    /// There is data and no journal.
    JournalMissing,
    /// Commits are lost: they are neither in the journal nor in the data.
    Lost(String),
    /// The data does not open and cannot be rebuilt.
    Data(String),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const RESTORE: &str = "put the file back from a copy of the directory, or restore the newest \
             backup into a new directory with `kalends restore FILE --data DIR`";
        match self {
            Self::InUse { directory, process } => {
                write!(f, "{} is used by another server", directory.display())?;
                if let Some(process) = process {
                    write!(f, " (process {process})")?;
                }
                f.write_str(": stop that one first, or give this one another directory")
            }
            Self::Io(error) => write!(
                f,
                "the store's directory cannot be used ({error}): see that the disk works, has room \
                 and belongs to the user who runs the server"
            ),
            Self::JournalMissing => write!(
                f,
                "there is data but no journal, so the newest changes may be missing: {RESTORE}"
            ),
            Self::Lost(what) => write!(f, "{what}: {RESTORE}"),
            Self::Data(why) => write!(f, "the data does not open: {why}: {RESTORE}"),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// An opened store, ready to serve.
pub(super) struct Recovered {
    /// The journal, ready to append.
    pub(super) journal: Journal,
    /// The tree, holding everything in the journal.
    pub(super) tree: Box<dyn Tree>,
    /// The durable mark as it was found.
    pub(super) mark: Mark,
    /// The time of the newest commit known.
    pub(super) at: UnixMillis,
    /// Bytes of the journal that were replayed.
    pub(super) replayed_bytes: u64,
    /// Whether the journal has a gap that only a new checkpoint mends.
    pub(super) needs_checkpoint: bool,
}

/// Opens the store on a disk with its tree.
pub(super) fn recover(
    disk: &Arc<dyn Disk>,
    source: &dyn TreeSource,
    segment_bytes: u64,
) -> Result<Recovered, OpenError> {
    disk.create_directory(DIRECTORY)?;
    disk.create_directory(checkpoint_files::DIRECTORY)?;
    let files = disk.list(DIRECTORY)?;
    let found = Mark::read(&**disk)?;
    let Some(manifest) = read_manifest(&**disk, &files)? else {
        let checkpoints = checkpoint_files::list(&**disk)?;
        if source.exists() || !checkpoints.is_empty() || found != Small::Missing {
            return Err(OpenError::JournalMissing);
        }
        return fresh(disk, source, segment_bytes);
    };
    if found == Small::Damaged {
        tracing::warn!("the durable mark was damaged; the whole journal is replayed");
    }
    remove_leftovers(&**disk, &manifest, &files)?;
    let kept_from = manifest.segments.first().map_or(1, |s| s.first);
    let mut mark = match found {
        Small::Good(mark) => mark,
        Small::Missing | Small::Damaged => Mark::default(),
    };
    mark.sequence = mark.sequence.max(kept_from.saturating_sub(1));
    let recovery = Recovery {
        disk,
        source,
        manifest: &manifest,
        mark,
    };
    let (tree, caught_up) = recovery.tree()?;
    recovery.finish(tree, &caught_up, segment_bytes)
}

/// How a tree that failed while the store was open is had back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Open it again.
    Reopen,
    /// Set it aside and build another.
    Rebuild,
}

/// The tree of a store whose journal is open, brought up to date; nothing is appended meanwhile.
pub(super) fn reopen(
    disk: &Arc<dyn Disk>,
    source: &dyn TreeSource,
    manifest: &Manifest,
    remedy: Remedy,
) -> Result<Box<dyn Tree>, OpenError> {
    let kept_from = manifest.segments.first().map_or(1, |s| s.first);
    let mut mark = match Mark::read(&**disk)? {
        Small::Good(mark) => mark,
        Small::Missing | Small::Damaged => Mark::default(),
    };
    mark.sequence = mark.sequence.max(kept_from.saturating_sub(1));
    let recovery = Recovery {
        disk,
        source,
        manifest,
        mark,
    };
    let (tree, _) = match remedy {
        Remedy::Reopen => recovery.tree()?,
        Remedy::Rebuild => recovery.rebuild("it fails again and again")?,
    };
    Ok(tree)
}

/// A store that never held anything.
fn fresh(
    disk: &Arc<dyn Disk>,
    source: &dyn TreeSource,
    segment_bytes: u64,
) -> Result<Recovered, OpenError> {
    let journal = Journal::begin(disk.clone(), Manifest::default(), 1, segment_bytes)?;
    let tree = source.open().map_err(|error| OpenError::Data(error.0))?;
    Ok(Recovered {
        journal,
        tree,
        mark: Mark::default(),
        at: UnixMillis::default(),
        replayed_bytes: 0,
        needs_checkpoint: false,
    })
}

/// Removes segments that were made and never listed, or were pruned and not removed.
fn remove_leftovers(disk: &dyn Disk, manifest: &Manifest, files: &[String]) -> io::Result<()> {
    for id in files.iter().filter_map(|name| segment_id(name)) {
        if !manifest.segments.iter().any(|segment| segment.id == id) {
            disk.remove(&segment_name(id))?;
        }
    }
    Ok(())
}

/// What catching up found.
struct CaughtUp {
    replayed: Replayed,
    /// The sequence the tree holds now.
    held: u64,
    at: UnixMillis,
    bytes: u64,
    /// Whether the tree knew more than the journal.
    ahead: bool,
}

struct Recovery<'a> {
    disk: &'a Arc<dyn Disk>,
    source: &'a dyn TreeSource,
    manifest: &'a Manifest,
    mark: Mark,
}

/// Why a tree could not be brought up to date.
enum Failure {
    /// The tree failed; another may do.
    Tree(String),
    /// No tree helps.
    Fatal(OpenError),
}

impl From<TreeError> for Failure {
    fn from(error: TreeError) -> Self {
        Self::Tree(error.0)
    }
}

impl From<ReplayError> for Failure {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Sink(why) => Self::Tree(why),
            ReplayError::Io(error) => Self::Fatal(OpenError::Io(error)),
            gap @ ReplayError::Gap { .. } => Self::Fatal(OpenError::Lost(gap.to_string())),
        }
    }
}

impl Recovery<'_> {
    /// The tree, opened or rebuilt, with the journal applied.
    fn tree(&self) -> Result<(Box<dyn Tree>, CaughtUp), OpenError> {
        let opened = || {
            let tree = self.source.open()?;
            let held = tree.applied()?;
            if held < self.mark.sequence {
                let promised = self.mark.sequence;
                let why = format!("it ends at commit {held} and was durable up to {promised}");
                return Err(Failure::Tree(why));
            }
            let caught_up = self.catch_up(&*tree, self.mark.sequence + 1)?;
            Ok((tree, caught_up))
        };
        match opened() {
            Ok(opened) => Ok(opened),
            Err(Failure::Fatal(error)) => Err(error),
            Err(Failure::Tree(why)) => self.rebuild(&why),
        }
    }

    /// Applies the journal from a sequence on.
    fn catch_up(&self, tree: &dyn Tree, from: u64) -> Result<CaughtUp, Failure> {
        let held = tree.applied()?;
        let mut catching = Catching::new(tree, held);
        let mut span = Span {
            segments: &self.manifest.segments,
            sequence: from,
            held,
            end: (self.mark.stop == Stop::Clean).then_some(self.mark.sequence),
        };
        // Records may only be applied again if all behind them are: those before a gap would undo what
        // the tree holds of it. So the gaps are found first.
        let replayed = replay(&**self.disk, span, &mut |_| Ok(ControlFlow::Continue(())))?;
        span.sequence = replayed.gaps.last().map_or(from, |(_, to)| to + 1);
        if held >= replayed.next {
            span.sequence = held + 1;
        }
        replay(&**self.disk, span, &mut |record| {
            catching.record(record).map_err(|error| error.0)?;
            Ok(ControlFlow::Continue(()))
        })?;
        catching.flush()?;
        let held = tree.applied()?;
        Ok(CaughtUp {
            ahead: held >= replayed.next,
            held,
            at: catching.at.max(self.mark.at),
            bytes: catching.bytes,
            replayed,
        })
    }

    /// Builds a tree from the newest checkpoint that is good, and sets the old one aside.
    fn rebuild(&self, why: &str) -> Result<(Box<dyn Tree>, CaughtUp), OpenError> {
        tracing::warn!(
            why,
            "the data does not open and is rebuilt from the journal"
        );
        let mut bases = checkpoint_files::list(&**self.disk)?
            .into_iter()
            .rev()
            .map(Some)
            .collect::<Vec<_>>();
        if self.manifest.segments.first().is_some_and(|s| s.first == 1) {
            bases.push(None);
        }
        let mut reasons = vec![why.to_owned()];
        for base in bases {
            let mut found = None;
            let tree = self.source.rebuild(&mut |tree| {
                let caught_up = self.fill(tree, base.as_ref());
                found = Some(caught_up.map_err(TreeError)?);
                Ok(())
            });
            match (tree, found) {
                (Ok(tree), Some(caught_up)) => return Ok((tree, caught_up)),
                (Ok(_), None) => {}
                (Err(error), _) => {
                    tracing::warn!(%error, "a rebuild failed");
                    reasons.push(error.0);
                }
            }
        }
        Err(OpenError::Data(reasons.join("; ")))
    }

    fn fill(&self, tree: &dyn Tree, base: Option<&Checkpoint>) -> Result<CaughtUp, String> {
        let mut from = 1;
        if let Some(checkpoint) = base {
            let file = self.disk.open(&checkpoint.name);
            let file = file.map_err(|error| error.to_string())?;
            let end = load(Reader::new(file), tree);
            from = end.map_err(|why| format!("{}: {why}", checkpoint.name))?.0 + 1;
        }
        let caught_up = self.catch_up(tree, from).map_err(|failure| match failure {
            Failure::Tree(why) | Failure::Fatal(OpenError::Lost(why)) => why,
            Failure::Fatal(error) => error.to_string(),
        })?;
        if caught_up.held < self.mark.sequence {
            let (end, mark) = (caught_up.held, self.mark.sequence);
            return Err(format!("the journal ends at commit {end}, before {mark}"));
        }
        Ok(caught_up)
    }

    /// Makes the journal ready to append behind what was found.
    fn finish(
        &self,
        tree: Box<dyn Tree>,
        caught_up: &CaughtUp,
        segment_bytes: u64,
    ) -> Result<Recovered, OpenError> {
        let disk = self.disk.clone();
        let manifest = self.manifest.clone();
        let replayed = &caught_up.replayed;
        let mut needs_checkpoint = !replayed.gaps.is_empty();
        for (from, to) in &replayed.gaps {
            tracing::warn!(
                from,
                to,
                "the journal has a gap; the data holds these commits"
            );
        }
        let journal = match replayed.tail {
            Some(place) if !caught_up.ahead => {
                let tail = cut(&*disk, place)?;
                Journal::resume(disk, manifest, tail, replayed.next, segment_bytes)
            }
            _ => {
                tracing::warn!("the end of the journal is missing; the data holds its commits");
                needs_checkpoint = true;
                let next = replayed.next.max(caught_up.held + 1);
                Journal::begin(disk, manifest, next, segment_bytes)?
            }
        };
        let mut mark = self.mark;
        if mark.stop == Stop::Clean {
            mark.stop = Stop::None;
            mark.write(&**self.disk)?;
        }
        let files = self.disk.list(DIRECTORY)?;
        let present = |id| files.iter().any(|name| segment_id(name) == Some(id));
        if !self.manifest.segments.iter().all(|s| present(s.id)) {
            tracing::warn!("segments of the journal that were no longer needed are missing");
            needs_checkpoint = true;
        }
        Ok(Recovered {
            journal,
            tree,
            mark,
            at: caught_up.at,
            replayed_bytes: caught_up.bytes,
            needs_checkpoint,
        })
    }
}

/// Cuts what is no record off the end of the last segment and makes what is kept durable.
///
/// Nobody knows whether the last sync before the stop was done, or failed: then what was read may be in
/// memory only, and syncing again would do nothing. So the last record and the zeros behind it, which
/// alone can be in that state, are written once more.
fn cut(disk: &dyn Disk, place: TailPlace) -> io::Result<Tail> {
    let mut file = disk.open(&segment_name(place.head.id))?;
    if place.torn {
        tracing::warn!("a record at the end of the journal was never finished and is cut");
    }
    let length = usize::try_from(place.good_end - place.last_record).map_err(io::Error::other)?;
    let mut record = vec![0; length];
    read_exact_at(&*file, place.last_record, &mut record)?;
    file.write_at(place.last_record, &record)?;
    write_zeros(&mut *file, place.good_end, place.length)?;
    file.sync()?;
    Ok(Tail {
        file,
        head: place.head,
        good_end: place.good_end,
        // A part of a step is one that was being added, and is added again.
        length: place
            .good_end
            .max(place.length - place.length % place.head.step),
    })
}

/// Fills an empty tree from a checkpoint; answers the sequence and the time it restores to.
pub(super) fn load(
    input: impl io::Read,
    tree: &dyn Tree,
) -> Result<(u64, UnixMillis), CheckpointError> {
    let mut catching = Catching::new(tree, 0);
    let sink = |error: TreeError| error.0;
    let summary = read_checkpoint(input, &mut |piece| match piece {
        Piece::Rows(rows) => tree
            .apply(&rows.iter().collect::<Vec<_>>(), 0)
            .map_err(sink),
        Piece::Record(record) => catching.record(&record).map_err(sink),
    })?;
    let applied = catching.flush().and_then(|()| tree.apply(&[], summary.end));
    applied.map_err(|error| CheckpointError::Sink(error.0))?;
    Ok((summary.end, summary.at))
}

/// Applies records to a tree in larger pieces.
pub(super) struct Catching<'a> {
    tree: &'a dyn Tree,
    /// What the tree says it holds; up to here its rows are compared and only written where they differ.
    held: u64,
    waiting: Vec<Write>,
    waiting_bytes: usize,
    sequence: u64,
    /// The newest time seen.
    pub(super) at: UnixMillis,
    /// The bytes seen.
    pub(super) bytes: u64,
}

impl<'a> Catching<'a> {
    /// Applies to `tree`, which says it holds everything up to `held`.
    pub(super) fn new(tree: &'a dyn Tree, held: u64) -> Self {
        Self {
            tree,
            held,
            waiting: Vec::new(),
            waiting_bytes: 0,
            sequence: held,
            at: UnixMillis(i64::MIN),
            bytes: 0,
        }
    }

    /// Takes the next record.
    pub(super) fn record(&mut self, record: &Record) -> Result<(), TreeError> {
        for batch in &record.batches {
            self.at = self.at.max(batch.at);
            let bytes = batch.size_bytes();
            self.bytes += bytes as u64;
            self.waiting_bytes += bytes;
            self.waiting.extend(batch.writes.iter().cloned());
        }
        self.sequence = self.sequence.max(record.next().saturating_sub(1));
        if self.waiting_bytes >= APPLY_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Applies what waits.
    pub(super) fn flush(&mut self) -> Result<(), TreeError> {
        // The newest write to each key decides; sorted, they go faster into a tree.
        let newest: std::collections::BTreeMap<_, _> = self
            .waiting
            .iter()
            .map(|write| (&write.key, write))
            .collect();
        let mut writes = Vec::with_capacity(newest.len());
        for (key, write) in newest {
            let same = self.held > 0 && self.tree.get(key)? == write.value;
            if !same {
                writes.push(write);
            }
        }
        if !writes.is_empty() || self.sequence > self.held {
            self.tree.apply(&writes, self.sequence)?;
        }
        self.waiting.clear();
        self.waiting_bytes = 0;
        Ok(())
    }
}
