//! Upkeep while the store is open: the durable mark, checkpoints and backups, and how much of the
//! journal is kept.

use std::io;
use std::ops::ControlFlow;
use std::sync::PoisonError;
use std::sync::atomic::Ordering as Memory;

use super::checkpoint::{CheckpointWriter, Summary, read_checkpoint};
use super::checkpoint_files::{self, Checkpoint, UNVERIFIED};
use super::disk::{Disk, Reader, Writer};
use super::engine::{Engine, Shared};
use super::journal_files::{Mark, Segment, Stop, segment_name};
use super::journal_replay::{Span, replay};
use super::kv::{Key, Row, Scan, UnixMillis, View};
use super::recovery::Recovered;

/// The rows read at once for a dump.
const PAGE_ROWS: usize = 256;

/// How far upkeep has come.
#[derive(Debug)]
pub(super) struct Progress {
    /// The durable mark on the disk.
    mark: Mark,
    /// The bytes of journal replayed at opening, until the mark has covered them.
    replayed_bytes: u64,
    /// The bytes appended when the mark was set.
    marked_bytes: u64,
    /// The bytes of journal at opening that no checkpoint covers.
    uncovered_bytes: u64,
    /// The bytes appended when the last checkpoint was begun.
    checkpointed_bytes: u64,
    /// The bytes of rows in the last checkpoint.
    row_bytes: u64,
    /// Whether the journal has a gap that only a checkpoint mends.
    needs_checkpoint: bool,
}

impl Progress {
    /// Where a store that was just opened stands.
    pub(super) fn new(disk: &dyn Disk, recovered: &Recovered) -> io::Result<Self> {
        let checkpoints = checkpoint_files::list(disk)?;
        let newest = checkpoints.last();
        let covered = newest.map_or(0, |checkpoint| checkpoint.end);
        let segments = &recovered.journal.manifest().segments;
        let mut uncovered_bytes = 0;
        for segment in kept(segments, covered + 1) {
            uncovered_bytes += length(disk, &segment_name(segment.id))?;
        }
        Ok(Self {
            mark: recovered.mark,
            replayed_bytes: recovered.replayed_bytes,
            marked_bytes: 0,
            uncovered_bytes,
            checkpointed_bytes: 0,
            row_bytes: newest.map_or(0, |checkpoint| checkpoint.row_bytes),
            needs_checkpoint: recovered.needs_checkpoint,
        })
    }
}

/// The length of a file; zero if it is missing.
fn length(disk: &dyn Disk, name: &str) -> io::Result<u64> {
    match disk.open(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        file => file?.length(),
    }
}

/// The segments that hold a sequence from `keep_from` on.
fn kept(segments: &[Segment], keep_from: u64) -> &[Segment] {
    let ends = segments.iter().skip(1).map(|segment| segment.first);
    let gone = ends.take_while(|end| *end <= keep_from).count();
    segments.get(gone..).unwrap_or_default()
}

impl Engine {
    /// Writes a backup while the store serves: everything up to the moment it ends. Blocks; `out` is
    /// not synced.
    pub fn backup(&self, out: impl io::Write) -> io::Result<Summary> {
        Ok(self.shared.dump(out)?.0)
    }

    /// Makes a checkpoint in the store's directory, reads it back, and lets go of what is older than
    /// must be kept.
    pub fn checkpoint(&self) -> Result<(), String> {
        self.shared.checkpoint()
    }
}

impl Shared {
    fn progress(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn appended(&self) -> u64 {
        self.committer.appended.load(Memory::Relaxed)
    }

    /// Whether the mark or a checkpoint is due by the bytes appended.
    pub(super) fn has_work(&self) -> bool {
        let appended = self.appended();
        let progress = self.progress();
        let unmarked = appended - progress.marked_bytes + progress.replayed_bytes;
        drop(progress);
        unmarked >= self.options.mark_bytes || self.wants_checkpoint()
    }

    fn wants_checkpoint(&self) -> bool {
        let progress = self.progress();
        let bytes = self.appended() - progress.checkpointed_bytes + progress.uncovered_bytes;
        let due = self.options.checkpoint_bytes.max(progress.row_bytes / 2);
        progress.needs_checkpoint || bytes >= due
    }

    /// Does what is due.
    pub(super) fn tend(&self) -> Result<(), String> {
        self.persist(Stop::None)
            .map_err(|error| format!("the data was not made durable: {error}"))?;
        if self.wants_checkpoint() {
            self.checkpoint()
                .map_err(|error| format!("no checkpoint was made: {error}"))?;
        }
        Ok(())
    }

    /// Makes the data durable and moves the durable mark.
    pub(super) fn persist(&self, stop: Stop) -> Result<(), String> {
        let appended = self.appended();
        self.committer.settle();
        let Some(visible) = self.committer.in_tree() else {
            return Err("the data lags behind the journal".to_owned());
        };
        let mark = Mark {
            sequence: visible.sequence,
            at: visible.at,
            stop,
        };
        if self.progress().mark != mark {
            if let Err(symptom) = self.committer.patient.persist() {
                let patient = &self.committer.patient;
                patient.cure(&self.committer, symptom.generation, 1)?;
                let again = patient.persist();
                again.map_err(|symptom| symptom.error.0)?;
            }
            mark.write(&*self.disk).map_err(|error| error.to_string())?;
        }
        let mut progress = self.progress();
        progress.mark = mark;
        progress.marked_bytes = appended;
        progress.replayed_bytes = 0;
        Ok(())
    }

    /// Writes a dump and the journal of the time it took.
    fn dump<W: io::Write>(&self, out: W) -> io::Result<(Summary, W)> {
        let _pinned = self.pinned.read().unwrap_or_else(PoisonError::into_inner);
        let begin = self.committer.visible();
        let mut writer = CheckpointWriter::begin(out, begin.sequence)?;
        let mut start = Some(Key::new());
        while let Some(from) = start.take() {
            let mut scan = Scan::prefix(Key::new(), PAGE_ROWS);
            scan.start = from;
            let rows = self.committer.scan(View::Durable, &scan);
            let rows = rows.map_err(io::Error::other)?;
            if rows.len() == PAGE_ROWS {
                start = rows.last().map(Row::after);
            }
            for row in rows {
                writer.row(row)?;
            }
        }
        let end = self.committer.visible();
        if end.sequence > begin.sequence {
            self.dump_journal(&mut writer, begin.sequence + 1, end.sequence)?;
        }
        writer.end(end.sequence, end.at)
    }

    fn dump_journal<W: io::Write>(
        &self,
        writer: &mut CheckpointWriter<W>,
        from: u64,
        to: u64,
    ) -> io::Result<()> {
        let manifest = self.committer.journal().manifest().clone();
        let from = Span {
            segments: &manifest.segments,
            sequence: from,
            held: 0,
            end: Some(to),
        };
        let mut next = from.sequence;
        replay(&*self.disk, from, &mut |record| {
            if record.first > to {
                return Ok(ControlFlow::Break(()));
            }
            next = record.next();
            let written = writer.record(record);
            written.map_err(|error| error.to_string())?;
            Ok(ControlFlow::Continue(()))
        })
        .map_err(|error| io::Error::other(error.to_string()))?;
        if next <= to {
            return Err(io::Error::other(format!("the journal ends before {to}")));
        }
        Ok(())
    }

    /// Makes and verifies a checkpoint.
    pub(super) fn checkpoint(&self) -> Result<(), String> {
        let text = |error: io::Error| error.to_string();
        let appended = self.appended();
        let file = self.disk.create(UNVERIFIED).map_err(text)?;
        let (summary, mut writer) = self.dump(Writer::new(file)).map_err(text)?;
        writer.sync().map_err(text)?;
        let file = self.disk.open(UNVERIFIED).map_err(text)?;
        let read = read_checkpoint(Reader::new(file), &mut |_| Ok(()));
        if read.map_err(|error| error.to_string())? != summary {
            return Err("the checkpoint does not hold what was written".to_owned());
        }
        let checkpoint = Checkpoint::of(&summary);
        let named = self.disk.rename(UNVERIFIED, &checkpoint.name);
        named.map_err(text)?;
        let synced = self.disk.sync_directory(checkpoint_files::DIRECTORY);
        synced.map_err(text)?;
        let mut progress = self.progress();
        progress.uncovered_bytes = 0;
        progress.checkpointed_bytes = appended;
        progress.row_bytes = summary.row_bytes;
        progress.needs_checkpoint = false;
        drop(progress);
        self.prune().map_err(text)
    }

    /// Removes the checkpoints and segments that no moment of the time kept needs.
    fn prune(&self) -> io::Result<()> {
        let Ok(_pinned) = self.pinned.try_write() else {
            return Ok(());
        };
        let checkpoints = checkpoint_files::list(&*self.disk)?;
        let segments = self.committer.journal().manifest().segments.clone();
        let keep = i64::try_from(self.options.keep.as_millis()).unwrap_or(i64::MAX);
        let wanted = UnixMillis(self.committer.visible().at.0.saturating_sub(keep));
        // The moments that can be restored begin at one of these: nothing at all, or a checkpoint.
        let base = checkpoints.iter().rposition(|c| c.at <= wanted);
        let mut base = base.map_or(0, |index| index + 1);
        while base < checkpoints.len()
            && self.bytes_from(&checkpoints, &segments, base)? > self.options.keep_bytes
        {
            base += 1;
        }
        let Some(first) = base.checked_sub(1) else {
            return Ok(());
        };
        let (gone, stay) = checkpoints.split_at_checked(first).unwrap_or_default();
        for checkpoint in gone {
            self.disk.remove(&checkpoint.name)?;
        }
        let covered = stay.first().map_or(0, |checkpoint| checkpoint.end);
        let keep_from = covered.min(self.progress().mark.sequence) + 1;
        self.committer.journal().prune(keep_from)?;
        Ok(())
    }

    /// The bytes kept if the moments that can be restored begin at this base.
    fn bytes_from(
        &self,
        checkpoints: &[Checkpoint],
        segments: &[Segment],
        base: usize,
    ) -> io::Result<u64> {
        let stay = checkpoints.get(base.saturating_sub(1)..);
        let stay = stay.unwrap_or_default();
        let covered = if base == 0 { None } else { stay.first() };
        let covered = covered.map_or(0, |checkpoint| checkpoint.end);
        let names = stay.iter().map(|checkpoint| checkpoint.name.clone());
        let segments = kept(segments, covered + 1).iter();
        let names = names.chain(segments.map(|segment| segment_name(segment.id)));
        let mut bytes = 0;
        for name in names {
            bytes += length(&*self.disk, &name)?;
        }
        Ok(bytes)
    }
}
