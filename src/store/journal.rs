//! The journal: what makes a commit durable.
//!
//! Groups of batches are appended to the last segment as one record each and synced before anybody is
//! answered. Nothing is appended behind a failed append or sync: the segment is cut at its last good end
//! (zeroed from there on) and the cut is synced, or the journal takes no more writes until it is opened
//! again.

use std::io;
use std::sync::Arc;

use super::disk::{Disk, DiskFile};
use super::journal_files::{Manifest, Segment, segment_name};
use super::journal_record::{SEGMENT_HEAD_BYTES, SegmentHead, encode};
use super::kv::{Batch, CommitError};

/// A segment is made longer by this many bytes at a time.
const STEP_BYTES: u64 = 1024 * 1024;

/// The journal, ready to append.
pub(super) struct Journal {
    disk: Arc<dyn Disk>,
    manifest: Manifest,
    file: Box<dyn DiskFile>,
    head: SegmentHead,
    /// The offset behind the last synced record.
    good_end: u64,
    /// The length of the segment, zeros behind `good_end` included.
    length: u64,
    /// The sequence of the next batch.
    next: u64,
    segment_bytes: u64,
    /// Why nothing may be appended any more.
    closed: Option<String>,
    buffer: Vec<u8>,
}

/// Where an opened journal continues.
pub(super) struct Tail {
    /// The segment written to, zero behind `good_end` and synced.
    pub(super) file: Box<dyn DiskFile>,
    /// Its head.
    pub(super) head: SegmentHead,
    /// The offset behind its last record.
    pub(super) good_end: u64,
    /// Its length.
    pub(super) length: u64,
}

impl Journal {
    /// Continues behind the last record of the last segment.
    pub(super) fn resume(
        disk: Arc<dyn Disk>,
        manifest: Manifest,
        tail: Tail,
        next: u64,
        segment_bytes: u64,
    ) -> Self {
        Self {
            disk,
            manifest,
            file: tail.file,
            head: tail.head,
            good_end: tail.good_end,
            length: tail.length,
            next,
            segment_bytes,
            closed: None,
            buffer: Vec::new(),
        }
    }

    /// Continues in a new segment whose first batch will be `next`.
    pub(super) fn begin(
        disk: Arc<dyn Disk>,
        mut manifest: Manifest,
        next: u64,
        segment_bytes: u64,
    ) -> io::Result<Self> {
        let tail = new_segment(&*disk, &mut manifest, next, segment_bytes)?;
        Ok(Self::resume(disk, manifest, tail, next, segment_bytes))
    }

    /// The sequence of the next batch.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// The segments, oldest first.
    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Appends a group as one record and makes it durable; answers the bytes written.
    pub(super) fn append<'a>(
        &mut self,
        batches: impl ExactSizeIterator<Item = &'a Batch>,
    ) -> Result<u64, CommitError> {
        if let Some(why) = &self.closed {
            return Err(CommitError::ReadOnly(why.clone()));
        }
        let count = batches.len() as u64;
        if self.good_end >= self.segment_bytes {
            self.roll().map_err(|error| commit_error(&error))?;
        }
        self.buffer.clear();
        encode(&mut self.buffer, self.head.nonce, self.next, batches);
        self.make_room().map_err(|error| commit_error(&error))?;
        let written = self.file.write_at(self.good_end, &self.buffer);
        if let Err(error) = written.and_then(|()| self.file.sync()) {
            self.cut(&error);
            return Err(match &self.closed {
                Some(why) => CommitError::ReadOnly(why.clone()),
                None => commit_error(&error),
            });
        }
        let length = self.buffer.len() as u64;
        self.good_end += length;
        self.next += count;
        Ok(length)
    }

    /// Ends the last segment, so that all of it may be read and pruned, and begins another.
    pub(super) fn roll(&mut self) -> io::Result<()> {
        if self.good_end == SEGMENT_HEAD_BYTES as u64 {
            return Ok(());
        }
        let tail = new_segment(
            &*self.disk,
            &mut self.manifest,
            self.next,
            self.segment_bytes,
        )?;
        (self.file, self.head) = (tail.file, tail.head);
        (self.good_end, self.length) = (tail.good_end, tail.length);
        Ok(())
    }

    /// Makes the segment longer by whole steps until the buffer fits.
    fn make_room(&mut self) -> io::Result<()> {
        let wanted = self.good_end + self.buffer.len() as u64;
        if wanted <= self.length {
            return Ok(());
        }
        let length = wanted.next_multiple_of(self.head.step);
        write_zeros(&mut *self.file, self.length, length)?;
        self.file.sync()?;
        self.length = length;
        Ok(())
    }

    /// Removes the segments whose batches are all older than `keep_from`.
    pub(super) fn prune(&mut self, keep_from: u64) -> io::Result<usize> {
        let ends = self.manifest.segments.iter().skip(1).map(|s| s.first);
        let gone = ends.take_while(|end| *end <= keep_from).count();
        if gone == 0 {
            return Ok(0);
        }
        let mut manifest = self.manifest.clone();
        let removed: Vec<Segment> = manifest.segments.drain(..gone).collect();
        manifest.write(&*self.disk)?;
        self.manifest = manifest;
        for segment in &removed {
            match self.disk.remove(&segment_name(segment.id)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                answer => answer?,
            }
        }
        Ok(removed.len())
    }

    /// Cuts the last segment at its good end after a failed append, or closes the journal.
    fn cut(&mut self, cause: &io::Error) {
        let end = self.good_end + self.buffer.len() as u64;
        let cut = write_zeros(&mut *self.file, self.good_end, end);
        if let Err(error) = cut.and_then(|()| self.file.sync()) {
            tracing::error!(%cause, %error, "the journal could not be cut after a failed write");
            self.closed = Some(format!(
                "the journal failed ({cause}) and could not be mended ({error})"
            ));
        } else {
            tracing::warn!(%cause, "a write to the journal failed and was undone");
        }
    }
}

/// How a failed write is answered.
fn commit_error(error: &io::Error) -> CommitError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => CommitError::Full,
        _ => CommitError::Broken(format!("the journal cannot be written: {error}")),
    }
}

/// Makes a segment and lists it; it is durable before the manifest names it.
fn new_segment(
    disk: &dyn Disk,
    manifest: &mut Manifest,
    first: u64,
    segment_bytes: u64,
) -> io::Result<Tail> {
    let mut listed = manifest.clone();
    let id = listed.segments.last().map_or(1, |last| last.id + 1);
    let head = SegmentHead {
        id,
        first,
        nonce: disk.nonce()?,
        step: segment_bytes.clamp(1, STEP_BYTES),
    };
    let length = (SEGMENT_HEAD_BYTES as u64).next_multiple_of(head.step);
    let mut file = disk.create(&segment_name(id))?;
    file.write_at(0, &head.to_bytes())?;
    write_zeros(&mut *file, SEGMENT_HEAD_BYTES as u64, length)?;
    file.sync()?;
    disk.sync_directory(super::journal_files::DIRECTORY)?;
    listed.segments.push(Segment { id, first });
    listed.write(disk)?;
    *manifest = listed;
    Ok(Tail {
        file,
        head,
        good_end: SEGMENT_HEAD_BYTES as u64,
        length,
    })
}

/// Writes zeros from one offset to another.
pub(super) fn write_zeros(file: &mut dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    let mut offset = from;
    while offset < to {
        let length = usize::try_from(to - offset).map_or(ZEROS.len(), |l| l.min(ZEROS.len()));
        file.write_at(offset, ZEROS.get(..length).unwrap_or(&ZEROS))?;
        offset += length as u64;
    }
    Ok(())
}
