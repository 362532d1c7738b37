//! Reading the journal: the records from a sequence on, in order, and what is wrong with them.
//!
//! A bad record with nothing good behind it is the end of the journal: it was being written when the
//! power went. A bad record followed by a good one, or a segment that is not there, is a gap: no harm
//! where the tree holds its sequences, else an error. So is a last segment that is gone or was cut short,
//! unless a clean stop says where the journal ended.

use std::fmt;
use std::io;
use std::ops::ControlFlow;

use bytes::Bytes;

use super::disk::{Disk, read_whole};
use super::journal_files::{Manifest, Segment, Small, segment_id, segment_name};
use super::journal_record::{Found, Record, SEGMENT_HEAD_BYTES, SegmentHead, decode, resume};

/// What a replay found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Replayed {
    /// The sequence after the last record's.
    pub(super) next: u64,
    /// Sequences (from, to) that are not in the journal and that the tree holds.
    pub(super) gaps: Vec<(u64, u64)>,
    /// Where the last segment goes on; `None` if it cannot be written any more.
    pub(super) tail: Option<TailPlace>,
}

/// Where the last segment goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TailPlace {
    /// Its head.
    pub(super) head: SegmentHead,
    /// The offset of its last good record; of the head if there is none.
    pub(super) last_record: u64,
    /// The offset behind its last good record.
    pub(super) good_end: u64,
    /// Its length.
    pub(super) length: u64,
    /// Whether what follows is a record that was never finished, and not just zeros.
    pub(super) torn: bool,
}

/// Why a replay stopped.
#[derive(Debug)]
pub(super) enum ReplayError {
    /// The disk failed.
    Io(io::Error),
    /// Batches are neither in the journal nor in the tree.
    Gap {
        /// The file in which they were.
        file: String,
        /// The first one.
        from: u64,
        /// The last one, where that is known.
        to: Option<u64>,
    },
    /// The receiver of the records failed.
    Sink(String),
}

impl From<io::Error> for ReplayError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the journal cannot be read: {error}"),
            Self::Gap { file, from, to } => {
                write!(f, "{file} is damaged or missing: commits from {from}")?;
                match to {
                    Some(to) => write!(f, " to {to} are in no other place"),
                    None => write!(f, " on may be in no other place"),
                }
            }
            Self::Sink(why) => f.write_str(why),
        }
    }
}

/// What a replay is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span<'a> {
    /// The segments, oldest first.
    pub(super) segments: &'a [Segment],
    /// The sequence of the first batch wanted.
    pub(super) sequence: u64,
    /// The last sequence that may be missing, because somebody else holds it.
    pub(super) held: u64,
    /// The last sequence of the journal, if a clean stop told it.
    pub(super) end: Option<u64>,
}

/// What receives the records; it may stop the replay, and then nothing behind is looked at.
pub(super) type Sink<'a> = dyn FnMut(&Record) -> Result<ControlFlow<()>, String> + 'a;

/// Hands each record from a sequence on to `sink`.
pub(super) fn replay(
    disk: &dyn Disk,
    from: Span<'_>,
    sink: &mut Sink<'_>,
) -> Result<Replayed, ReplayError> {
    let start = from.segments.iter().rposition(|s| s.first <= from.sequence);
    let segments = from.segments.get(start.unwrap_or(0)..).unwrap_or_default();
    let mut state = State {
        held: from.held,
        expected: from.sequence,
        gaps: Vec::new(),
        sink,
        stopped: false,
    };
    let mut tail = None;
    for segment in segments {
        let name = segment_name(segment.id);
        state.skip_to(segment.first, &name)?;
        tail = state.segment(disk, *segment, &name)?;
        if state.stopped {
            break;
        }
        let whole = from
            .end
            .is_some_and(|end| end <= from.held.max(state.expected - 1));
        if tail.is_none() && Some(segment) == segments.last() && !whole {
            let (file, from) = (name, state.expected);
            return Err(ReplayError::Gap {
                file,
                from,
                to: None,
            });
        }
    }
    Ok(Replayed {
        next: state.expected,
        gaps: state.gaps,
        tail,
    })
}

struct State<'a> {
    held: u64,
    expected: u64,
    gaps: Vec<(u64, u64)>,
    sink: &'a mut Sink<'a>,
    stopped: bool,
}

impl State<'_> {
    /// Replays one segment; answers where it goes on, or `None` if it is missing, has no good head or
    /// was cut short.
    fn segment(
        &mut self,
        disk: &dyn Disk,
        segment: Segment,
        name: &str,
    ) -> Result<Option<TailPlace>, ReplayError> {
        let Some(bytes) = read_whole(disk, name)?.map(Bytes::from) else {
            return Ok(None);
        };
        let Some(head) = SegmentHead::from_bytes(&bytes).filter(|head| head.id == segment.id)
        else {
            return Ok(None);
        };
        let (mut last_record, mut offset) = (0, SEGMENT_HEAD_BYTES);
        let torn = loop {
            let (record, end) = match decode(&bytes, head.nonce, offset) {
                Found::Record(record, end) => (record, end),
                Found::End => break false,
                Found::Bad => match resume(&bytes, head.nonce, offset, self.expected) {
                    Some(found) => found,
                    None => break true,
                },
            };
            last_record = offset;
            self.record(&record, name)?;
            offset = end;
            if self.stopped {
                break false;
            }
        };
        let (good_end, length) = (offset as u64, bytes.len() as u64);
        // Steps are added before they are written to: records reach into a part of one only if the file
        // was cut short, and nothing is gone if zeros follow them.
        let in_part = last_record > 0 && good_end > length - length % head.step;
        if in_part && (torn || good_end == length) {
            return Ok(None);
        }
        Ok(Some(TailPlace {
            head,
            last_record: last_record as u64,
            good_end,
            length,
            torn,
        }))
    }

    fn record(&mut self, record: &Record, name: &str) -> Result<(), ReplayError> {
        if record.next() <= self.expected {
            return Ok(());
        }
        self.skip_to(record.first, name)?;
        let flow = (self.sink)(record).map_err(ReplayError::Sink)?;
        self.stopped = flow.is_break();
        self.expected = record.next();
        Ok(())
    }

    /// Goes on at `sequence`; what lies before it must be held elsewhere.
    fn skip_to(&mut self, sequence: u64, name: &str) -> Result<(), ReplayError> {
        if sequence <= self.expected {
            return Ok(());
        }
        let (from, to) = (self.expected, sequence - 1);
        if self.held < to {
            let (file, to) = (name.to_owned(), Some(to));
            return Err(ReplayError::Gap { file, from, to });
        }
        self.gaps.push((from, to));
        self.expected = sequence;
        Ok(())
    }
}

/// The manifest as it is, or as the heads of the segments tell it; `None` if there is no journal.
pub(super) fn read_manifest(disk: &dyn Disk, files: &[String]) -> io::Result<Option<Manifest>> {
    let found = Manifest::read(disk)?;
    if let Small::Good(manifest) = found
        && !manifest.segments.is_empty()
    {
        return Ok(Some(manifest));
    }
    let mut segments = Vec::new();
    for id in files.iter().filter_map(|name| segment_id(name)) {
        let file = disk.open(&segment_name(id))?;
        let mut bytes = [0; SEGMENT_HEAD_BYTES];
        file.read_at(0, &mut bytes)?;
        if let Some(head) = SegmentHead::from_bytes(&bytes).filter(|head| head.id == id) {
            let first = head.first;
            segments.push(Segment { id, first });
        }
    }
    segments.sort_by_key(|segment| segment.id);
    if segments.is_empty() {
        return Ok(None);
    }
    tracing::warn!("the journal's manifest was missing or damaged and was made anew");
    let manifest = Manifest { segments };
    manifest.write(disk)?;
    Ok(Some(manifest))
}
