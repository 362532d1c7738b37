//! The one format of checkpoints and backups: a dump taken while writes go on, and the journal of the
//! time it took.
//!
//! The dump is an ordered scan begun at sequence S0, followed by the records from S0 to its end S1.
//! Records are absolute, so loading the rows and replaying the records gives exactly the state at S1.
//! The file is a magic with the format's version and a zstd stream of frames (kind, length, payload,
//! CRC32C chained over all frames before), the last of which counts the rows and records.

use std::fmt;
use std::io::{self, Read, Write as _};

use bytes::Bytes;

use super::journal_record::{Fields, Record, encode_batch};
use super::kv::{Batch, MAX_BATCH_ROWS, UnixMillis, Write};

/// The first bytes of the file; the digit is the version of the format.
const MAGIC: [u8; 8] = *b"KALCKPT1";

/// The bytes of rows gathered in one frame.
const FRAME_BYTES: usize = 256 * 1024;

/// The largest frame read back.
const MAX_FRAME_BYTES: usize = 64 * 1024 * 1024;

const BEGIN: u8 = b'B';
const ROWS: u8 = b'R';
const RECORD: u8 = b'J';
const END: u8 = b'E';

/// What a checkpoint holds, as its last frame says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The sequence at which the dump began.
    pub begin: u64,
    /// The sequence it restores to.
    pub end: u64,
    /// The time of the newest commit in it.
    pub at: UnixMillis,
    /// The rows of the dump.
    pub rows: u64,
    /// Their bytes.
    pub row_bytes: u64,
    /// The records of the journal behind the dump.
    pub records: u64,
}

/// Why a checkpoint could not be read.
#[derive(Debug)]
pub enum CheckpointError {
    /// It cannot be read.
    Io(io::Error),
    /// It is none, or one of a newer program.
    Format,
    /// It is damaged or cut short; the sentence says where.
    Damaged(&'static str),
    /// The receiver of its rows failed.
    Sink(String),
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "it cannot be read to its end: {error}"),
            Self::Format => f.write_str("it is no backup, or one made by a newer version"),
            Self::Damaged(where_) => write!(f, "it is damaged: {where_}"),
            Self::Sink(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for CheckpointError {}

impl From<io::Error> for CheckpointError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A checkpoint being written.
pub(super) struct CheckpointWriter<W: io::Write> {
    out: zstd::Encoder<'static, W>,
    checksum: u32,
    rows: Batch,
    waiting_bytes: usize,
    summary: Summary,
}

impl<W: io::Write> CheckpointWriter<W> {
    /// Begins a checkpoint whose dump starts now, at sequence `begin`.
    pub(super) fn begin(mut out: W, begin: u64) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        let mut writer = Self {
            out: zstd::Encoder::new(out, 3)?,
            checksum: 0,
            rows: Batch::new(UnixMillis::default()),
            waiting_bytes: 0,
            summary: Summary {
                begin,
                ..Summary::default()
            },
        };
        writer.frame(BEGIN, &begin.to_le_bytes())?;
        Ok(writer)
    }

    /// Adds a row of the dump.
    pub(super) fn row(&mut self, row: super::kv::Row) -> io::Result<()> {
        let bytes = row.key.len() + row.value.len();
        self.summary.rows += 1;
        self.summary.row_bytes += bytes as u64;
        self.waiting_bytes += bytes;
        self.rows.put(row.key, row.value);
        if self.waiting_bytes >= FRAME_BYTES || self.rows.writes.len() >= MAX_BATCH_ROWS {
            self.rows_frame()?;
        }
        Ok(())
    }

    /// Adds a record of the journal; the dump has ended.
    pub(super) fn record(&mut self, record: &Record) -> io::Result<()> {
        self.rows_frame()?;
        let mut payload = record.first.to_le_bytes().to_vec();
        let count = u32::try_from(record.batches.len()).map_err(io::Error::other)?;
        payload.extend_from_slice(&count.to_le_bytes());
        for batch in &record.batches {
            encode_batch(&mut payload, batch);
        }
        self.summary.records += 1;
        self.frame(RECORD, &payload)
    }

    /// Ends the checkpoint at sequence `end`, whose newest commit was at `at`.
    pub(super) fn end(mut self, end: u64, at: UnixMillis) -> io::Result<(Summary, W)> {
        self.rows_frame()?;
        (self.summary.end, self.summary.at) = (end, at);
        let s = self.summary;
        let mut payload = Vec::new();
        for number in [s.begin, s.end, s.rows, s.row_bytes, s.records] {
            payload.extend_from_slice(&number.to_le_bytes());
        }
        payload.extend_from_slice(&s.at.0.to_le_bytes());
        self.frame(END, &payload)?;
        let mut out = self.out.finish()?;
        out.flush()?;
        Ok((s, out))
    }

    fn rows_frame(&mut self) -> io::Result<()> {
        if self.rows.writes.is_empty() {
            return Ok(());
        }
        let mut payload = Vec::with_capacity(self.waiting_bytes * 2);
        encode_batch(&mut payload, &self.rows);
        self.rows.writes.clear();
        self.waiting_bytes = 0;
        self.frame(ROWS, &payload)
    }

    fn frame(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        let mut head = vec![kind];
        head.extend_from_slice(&length.to_le_bytes());
        self.checksum = crc32c::crc32c_append(self.checksum, &head);
        self.checksum = crc32c::crc32c_append(self.checksum, payload);
        self.out.write_all(&head)?;
        self.out.write_all(payload)?;
        self.out.write_all(&self.checksum.to_le_bytes())
    }
}

/// A part of a checkpoint, in the order in which they must be applied.
#[derive(Debug)]
pub(super) enum Piece {
    /// Rows of the dump.
    Rows(Vec<Write>),
    /// A record of the journal behind it.
    Record(Record),
}

/// Reads a checkpoint to its end and hands each part to `sink`; only an answer without an error says
/// that it was whole.
pub(super) fn read_checkpoint(
    mut input: impl Read,
    sink: &mut dyn FnMut(Piece) -> Result<(), String>,
) -> Result<Summary, CheckpointError> {
    let mut magic = [0; MAGIC.len()];
    input.read_exact(&mut magic)?;
    if magic != MAGIC {
        return Err(CheckpointError::Format);
    }
    let mut frames = Frames {
        input: zstd::Decoder::new(input)?,
        checksum: 0,
    };
    let mut counted = Summary::default();
    let mut next;
    match frames.next()? {
        (BEGIN, payload) => {
            let begin = Fields(payload).u64();
            counted.begin = begin.ok_or(CheckpointError::Damaged("its first frame"))?;
            next = counted.begin.saturating_add(1);
        }
        _ => return Err(CheckpointError::Damaged("its first frame")),
    }
    loop {
        let (kind, payload) = frames.next()?;
        let mut fields = Fields(payload);
        match kind {
            ROWS if counted.records == 0 => {
                let rows = fields.batch().ok_or(CheckpointError::Damaged("a row"))?;
                counted.rows += rows.writes.len() as u64;
                counted.row_bytes += rows.size_bytes() as u64;
                sink(Piece::Rows(rows.writes)).map_err(CheckpointError::Sink)?;
            }
            RECORD => {
                let record = record(&mut fields).ok_or(CheckpointError::Damaged("a record"))?;
                if record.first != next {
                    return Err(CheckpointError::Damaged("a record is missing"));
                }
                next = record.next();
                counted.records += 1;
                sink(Piece::Record(record)).map_err(CheckpointError::Sink)?;
            }
            END => {
                counted.end = next.saturating_sub(1);
                return frames.end(&mut fields, counted);
            }
            _ => return Err(CheckpointError::Damaged("an unknown frame")),
        }
    }
}

fn record(fields: &mut Fields) -> Option<Record> {
    let (first, count) = (fields.u64()?, fields.u32()?);
    let batches = (0..count).map(|_| fields.batch()).collect::<Option<_>>()?;
    Some(Record { first, batches })
}

struct Frames<R: Read> {
    input: R,
    checksum: u32,
}

impl<R: Read> Frames<R> {
    fn next(&mut self) -> Result<(u8, Bytes), CheckpointError> {
        let mut head = [0; 5];
        self.input.read_exact(&mut head)?;
        let mut fields = Fields(Bytes::copy_from_slice(&head));
        let kind = fields.take(1).and_then(|bytes| bytes.first().copied());
        let (Some(kind), Some(length)) = (kind, fields.length()) else {
            return Err(CheckpointError::Damaged("the head of a frame"));
        };
        if length > MAX_FRAME_BYTES {
            return Err(CheckpointError::Damaged("the length of a frame"));
        }
        let mut payload = Vec::new();
        let limit = length as u64;
        if (&mut self.input).take(limit).read_to_end(&mut payload)? != length {
            return Err(CheckpointError::Damaged("it is cut short"));
        }
        let mut checksum = [0; 4];
        self.input.read_exact(&mut checksum)?;
        self.checksum = crc32c::crc32c_append(self.checksum, &head);
        self.checksum = crc32c::crc32c_append(self.checksum, &payload);
        if u32::from_le_bytes(checksum) != self.checksum {
            return Err(CheckpointError::Damaged("a checksum"));
        }
        Ok((kind, Bytes::from(payload)))
    }

    /// Compares what was counted with what the last frame says, and sees that nothing follows it.
    fn end(&mut self, fields: &mut Fields, counted: Summary) -> Result<Summary, CheckpointError> {
        let mut read = || {
            Some(Summary {
                begin: fields.u64()?,
                end: fields.u64()?,
                rows: fields.u64()?,
                row_bytes: fields.u64()?,
                records: fields.u64()?,
                at: UnixMillis(fields.u64()?.cast_signed()),
            })
        };
        let said = read().ok_or(CheckpointError::Damaged("its last frame"))?;
        let at = said.at;
        let counted = Summary { at, ..counted };
        if said != counted {
            return Err(CheckpointError::Damaged("rows or records are missing"));
        }
        if self.input.read(&mut [0])? != 0 {
            return Err(CheckpointError::Damaged("something follows its end"));
        }
        Ok(said)
    }
}
