//! The bytes of the journal: the head of a segment and the records behind it.
//!
//! A record holds the batches of one group of commits: magic, length, first sequence, number of
//! batches, CRC32C, and the batches (time and writes; checks have been made and are not kept). All
//! numbers are little-endian. The checksum begins with the segment's nonce, so that neither a record
//! of another segment nor one written inside a text is ever taken for a record of this one.
//!
//! A segment is made longer by whole steps of zeros before it is written to, because a sync of bytes that
//! are there already is faster than one of a growing file, and because a file that was cut short can then
//! be told from one whose last record was never finished.

use bytes::Bytes;

use super::kv::{Batch, UnixMillis, Write};

/// The first bytes of a segment: format and version.
const SEGMENT_MAGIC: [u8; 8] = *b"KALJRNL1";

/// The length of a segment's head.
pub(super) const SEGMENT_HEAD_BYTES: usize = 44;

/// The first bytes of a record.
const RECORD_MAGIC: [u8; 4] = *b"\xf5KRC";

/// The length of a record's head.
const RECORD_HEAD_BYTES: usize = 24;

/// The largest record read back; a group of commits is kept far below it.
const MAX_RECORD_BYTES: usize = 64 * 1024 * 1024;

/// The head of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHead {
    /// Its number in the manifest.
    pub(super) id: u64,
    /// The sequence of its first batch.
    pub(super) first: u64,
    /// What its checksums begin with.
    pub(super) nonce: u64,
    /// Its length is a multiple of this.
    pub(super) step: u64,
}

impl SegmentHead {
    /// The bytes of the head.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = SEGMENT_MAGIC.to_vec();
        for number in [self.id, self.first, self.nonce, self.step] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a head; `None` if it is damaged.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..SEGMENT_HEAD_BYTES)?;
        let (body, checksum) = head.split_at_checked(SEGMENT_HEAD_BYTES - 4)?;
        if u32::from_le_bytes(checksum.try_into().ok()?) != crc32c::crc32c(body) {
            return None;
        }
        let mut fields = Fields(Bytes::copy_from_slice(body));
        if fields.take(8)? != SEGMENT_MAGIC.as_slice() {
            return None;
        }
        Some(Self {
            id: fields.u64()?,
            first: fields.u64()?,
            nonce: fields.u64()?,
            step: fields.u64().filter(|step| *step > 0)?,
        })
    }
}

/// The batches of one group of commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The sequence of the first batch; the others follow it.
    pub(super) first: u64,
    /// What was committed, without the checks.
    pub(super) batches: Vec<Batch>,
}

impl Record {
    /// The sequence after that of the last batch.
    pub(super) fn next(&self) -> u64 {
        self.first + self.batches.len() as u64
    }
}

/// Appends a record to `out`.
pub(super) fn encode<'a>(
    out: &mut Vec<u8>,
    nonce: u64,
    first: u64,
    batches: impl Iterator<Item = &'a Batch>,
) {
    let start = out.len();
    out.extend_from_slice(&[0; RECORD_HEAD_BYTES]);
    let mut count = 0_u32;
    for batch in batches {
        encode_batch(out, batch);
        count += 1;
    }
    let length = out.len() - start - RECORD_HEAD_BYTES;
    let mut head = Vec::with_capacity(RECORD_HEAD_BYTES);
    head.extend_from_slice(&RECORD_MAGIC);
    head.extend_from_slice(&length_u32(length).to_le_bytes());
    head.extend_from_slice(&first.to_le_bytes());
    head.extend_from_slice(&count.to_le_bytes());
    let payload = out.get(start + RECORD_HEAD_BYTES..).unwrap_or_default();
    let checksum = checksum(nonce, &head, payload);
    head.extend_from_slice(&checksum.to_le_bytes());
    for (target, byte) in out.iter_mut().skip(start).zip(head) {
        *target = byte;
    }
}

/// A length as it is written; the bounds of the seam keep every length far below 4 GiB.
fn length_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn checksum(nonce: u64, head: &[u8], payload: &[u8]) -> u32 {
    let sum = crc32c::crc32c(&nonce.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(sum, head), payload)
}

/// Appends the time and the writes of a batch to `out`.
pub(super) fn encode_batch(out: &mut Vec<u8>, batch: &Batch) {
    out.extend_from_slice(&batch.at.0.to_le_bytes());
    out.extend_from_slice(&length_u32(batch.writes.len()).to_le_bytes());
    for write in &batch.writes {
        out.extend_from_slice(&length_u32(write.key.len()).to_le_bytes());
        // Zero is a removal, any other number is the length of the value and one.
        let length = write.value.as_ref().map_or(0, |value| value.len() + 1);
        out.extend_from_slice(&length_u32(length).to_le_bytes());
        out.extend_from_slice(&write.key);
        out.extend_from_slice(write.value.as_deref().unwrap_or_default());
    }
}

/// What is found at a place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A good record, and the offset behind it.
    Record(Record, usize),
    /// The end: nothing but zeros follow.
    End,
    /// Bytes that are no good record.
    Bad,
}

/// Reads what is at `offset` of a segment's bytes.
pub(super) fn decode(bytes: &Bytes, nonce: u64, offset: usize) -> Found {
    let rest = bytes.get(offset..).unwrap_or_default();
    if rest.iter().all(|byte| *byte == 0) {
        return Found::End;
    }
    decode_record(bytes, nonce, offset)
        .map_or(Found::Bad, |(record, end)| Found::Record(record, end))
}

fn decode_record(bytes: &Bytes, nonce: u64, offset: usize) -> Option<(Record, usize)> {
    let head = bytes.get(offset..offset + RECORD_HEAD_BYTES)?;
    let mut fields = Fields(Bytes::copy_from_slice(head));
    if fields.take(4)? != RECORD_MAGIC.as_slice() {
        return None;
    }
    let length = fields.length()?;
    let (first, count, sum) = (fields.u64()?, fields.u32()?, fields.u32()?);
    let start = offset + RECORD_HEAD_BYTES;
    if length > MAX_RECORD_BYTES {
        return None;
    }
    let payload = bytes.get(start..start + length)?;
    if checksum(nonce, head.get(..RECORD_HEAD_BYTES - 4)?, payload) != sum {
        return None;
    }
    let mut fields = Fields(bytes.slice(start..start + length));
    let batches: Option<Vec<Batch>> = (0..count).map(|_| fields.batch()).collect();
    let batches = batches.filter(|batches| !batches.is_empty() && fields.0.is_empty())?;
    Some((Record { first, batches }, start + length))
}

/// The first good record after bytes that are none that reaches the sequence `expected`.
pub(super) fn resume(
    bytes: &Bytes,
    nonce: u64,
    from: usize,
    expected: u64,
) -> Option<(Record, usize)> {
    let mut offset = from;
    while let Some(rest) = bytes.get(offset..) {
        let magic = RECORD_MAGIC.as_slice();
        let step = rest.windows(magic.len()).position(|found| found == magic)?;
        offset += step;
        match decode_record(bytes, nonce, offset) {
            Some((record, end)) if record.next() > expected => return Some((record, end)),
            _ => offset += 1,
        }
    }
    None
}

/// Reads numbers and byte strings from the front of some bytes.
pub(super) struct Fields(pub(super) Bytes);

impl Fields {
    /// The next `length` bytes.
    pub(super) fn take(&mut self, length: usize) -> Option<Bytes> {
        (length <= self.0.len()).then(|| self.0.split_to(length))
    }

    /// The next number of four bytes.
    pub(super) fn u32(&mut self) -> Option<u32> {
        let bytes = self.take(4)?;
        Some(u32::from_le_bytes(bytes.as_ref().try_into().ok()?))
    }

    /// The next number of eight bytes.
    pub(super) fn u64(&mut self) -> Option<u64> {
        let bytes = self.take(8)?;
        Some(u64::from_le_bytes(bytes.as_ref().try_into().ok()?))
    }

    /// The next number of four bytes, as a length.
    pub(super) fn length(&mut self) -> Option<usize> {
        usize::try_from(self.u32()?).ok()
    }

    /// The next batch.
    pub(super) fn batch(&mut self) -> Option<Batch> {
        let at = self.take(8)?;
        let at = i64::from_le_bytes(at.as_ref().try_into().ok()?);
        let mut batch = Batch::new(UnixMillis(at));
        for _ in 0..self.u32()? {
            let (key, value) = (self.length()?, self.length()?);
            let key = self.take(key)?;
            let value = match value.checked_sub(1) {
                Some(length) => Some(self.take(length)?),
                None => None,
            };
            batch.writes.push(Write { key, value });
        }
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(key: &'static str, value: Option<&'static str>) -> Batch {
        let mut batch = Batch::new(UnixMillis(-5));
        match value {
            Some(value) => batch.put(key, value),
            None => batch.remove(key),
        }
        batch
    }

    fn two_records() -> (Vec<u8>, usize) {
        let (mut bytes, nonce) = (Vec::new(), 9);
        encode(
            &mut bytes,
            nonce,
            1,
            [batch("a", Some("")), batch("b", None)].iter(),
        );
        let middle = bytes.len();
        encode(&mut bytes, nonce, 3, [batch("c", Some("three"))].iter());
        (bytes, middle)
    }

    #[test]
    fn records_come_back() {
        let (bytes, middle) = two_records();
        let bytes = Bytes::from(bytes);
        let batches = vec![batch("a", Some("")), batch("b", None)];
        let first = Record { first: 1, batches };
        assert_eq!(first.next(), 3);
        assert_eq!(decode(&bytes, 9, 0), Found::Record(first, middle));
        assert_eq!(decode(&bytes, 9, bytes.len()), Found::End);
        assert_eq!(decode(&bytes, 8, 0), Found::Bad);
    }

    #[test]
    fn every_flipped_bit_is_seen_and_the_next_record_found() {
        let (good, middle) = two_records();
        for position in 0..middle {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[position] ^= 1 << bit;
                let bytes = Bytes::from(bytes);
                assert_eq!(decode(&bytes, 9, 0), Found::Bad, "{position}.{bit}");
                let (record, end) = resume(&bytes, 9, 0, 1).unwrap();
                assert_eq!((record.first, end), (3, bytes.len()));
                assert_eq!(resume(&bytes, 9, 0, 4), None);
            }
        }
    }

    #[test]
    fn a_damaged_segment_head_is_seen() {
        let head = SegmentHead {
            id: 1,
            first: 2,
            nonce: 3,
            step: 4,
        };
        let good = head.to_bytes();
        assert_eq!(good.len(), SEGMENT_HEAD_BYTES);
        assert_eq!(SegmentHead::from_bytes(&good), Some(head));
        for position in 0..good.len() {
            let mut bytes = good.clone();
            bytes[position] ^= 4;
            assert_eq!(SegmentHead::from_bytes(&bytes), None);
        }
    }
}
