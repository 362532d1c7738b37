//! The header of an object: everything that a listing, a sync or a time-range query needs to know
//! of it without its text; and the tombstone it leaves.
//!
//! In memory a header is its row with the name in front, a slice of its chunk of the index, so that
//! ten thousand of them are listed without an allocation each.

use std::ops::Range;

use bytes::Bytes;

use super::codec::{Decoder, Encoder, Malformed};
use super::collection::Component;
use super::revision::Epochs;
use super::{Id, Position, hex};
use crate::ical::Timestamp;

const TOMBSTONE: u8 = 1;
const UID: u8 = 2;
/// The UID is the name without its extension, as most clients have it.
const UID_IS_STEM: u8 = 4;
const TAG: u8 = 8;
const COMPONENT: u8 = 16;
const PROPERTIES: u8 = 32;
const BLOB: u8 = 64;

/// The header of an object at one revision. Clones are cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The collection it is in.
    pub collection: Id,
    /// Its last change of any kind.
    pub position: Position,
    /// When its text was written.
    pub text: Position,
    /// The last change outside of one person's own data.
    pub shared: Position,
    /// Its Schedule-Tag, if it is a scheduling object resource; RFC 6638 §3.2.10.
    pub tag: Option<Position>,
    /// The bytes of its text.
    pub size_bytes: u32,
    /// What it is; none if it is not iCalendar.
    pub component: Option<Component>,
    /// When the object was made.
    pub created: Timestamp,
    /// When its text was last written.
    pub modified: Timestamp,
    /// It has dead properties.
    pub has_properties: bool,
    /// Where its text is, if it is a long one.
    pub(super) blob: Option<Id>,
    epochs: (u32, u32),
    name: Range<usize>,
    uid: Range<usize>,
    summary: Range<usize>,
    row: Bytes,
}

/// What a header is made of, apart from its texts.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    pub(super) name: &'a str,
    pub(super) uid: &'a str,
    pub(super) summary: &'a [u8],
    pub(super) position: Position,
    pub(super) text: Position,
    pub(super) shared: Position,
    pub(super) tag: Option<Position>,
    pub(super) size_bytes: u32,
    pub(super) component: Option<Component>,
    pub(super) created: Timestamp,
    pub(super) modified: Timestamp,
    pub(super) has_properties: bool,
    pub(super) blob: Option<Id>,
}

/// Where a row comes from, which its bytes do not repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) collection: Id,
    pub(super) epochs: Epochs,
}

/// A row of a collection: an object or what is left of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Live(Header),
    Tombstone(Position),
}

impl Record {
    pub(super) fn position(&self) -> Position {
        match self {
            Self::Live(header) => header.position,
            Self::Tombstone(at) => *at,
        }
    }

    pub(super) fn live(self) -> Option<Header> {
        match self {
            Self::Live(header) => Some(header),
            Self::Tombstone(_) => None,
        }
    }

    /// The record of a row as the index keeps it.
    pub(super) fn read(row: Bytes, origin: &Origin) -> Result<Self, Malformed> {
        let (name, flags, mut fields) = split(&row)?;
        if flags & TOMBSTONE != 0 {
            return Ok(Self::Tombstone(fields.position()?));
        }
        let position = fields.position()?;
        let text = earlier(&mut fields, position)?;
        let shared = earlier(&mut fields, position)?;
        let has = |flag: u8| flags & flag != 0;
        let tag = has(TAG)
            .then(|| earlier(&mut fields, position))
            .transpose()?;
        let size_bytes = fields.small()?;
        let component = has(COMPONENT)
            .then(|| Component::decode(fields.byte()?))
            .transpose()?;
        let created = fields.time()?;
        let modified = Timestamp(created.0.saturating_add(fields.signed()?));
        let blob = has(BLOB).then(|| fields.id()).transpose()?;
        let written = has(UID).then(|| fields.bytes()).transpose()?;
        let summary = row.len().saturating_sub(fields.rest().len())..row.len();
        let uid = match written {
            Some(uid) => summary.start.saturating_sub(uid.len())..summary.start,
            None if has(UID_IS_STEM) => name.start..stem(&row, &name),
            None => 0..0,
        };
        let later = tag.unwrap_or_default().revision;
        Ok(Self::Live(Header {
            collection: origin.collection,
            position,
            text,
            shared,
            tag,
            size_bytes,
            component,
            created,
            modified,
            has_properties: has(PROPERTIES),
            blob,
            epochs: (origin.epochs.of(text.revision), origin.epochs.of(later)),
            name,
            uid,
            summary,
            row,
        }))
    }

    /// The record of a row as the engine has it.
    pub(super) fn decode(name: &str, row: &[u8], origin: &Origin) -> Result<Self, Malformed> {
        Self::read(in_memory(name, row), origin)
    }
}

/// Where the name of an in-memory row ends, its flags, and the fields behind them.
fn split(row: &[u8]) -> Result<(Range<usize>, u8, Decoder<'_>), Malformed> {
    let mut decoder = Decoder::new(row);
    let length = decoder.text()?.len();
    let end = row.len().saturating_sub(decoder.rest().len());
    let (_, mut fields) = Decoder::version(decoder.rest(), 1)?;
    let flags = fields.byte()?;
    Ok((end.saturating_sub(length)..end, flags, fields))
}

fn stem(row: &[u8], name: &Range<usize>) -> usize {
    let text = row.get(name.clone()).unwrap_or_default();
    let dot = text.iter().rposition(|byte| *byte == b'.');
    dot.map_or(name.end, |dot| name.start.saturating_add(dot))
}

/// Positions are near each other, so the difference is kept.
fn earlier(fields: &mut Decoder<'_>, position: Position) -> Result<Position, Malformed> {
    let before = fields.number()?;
    Ok(Position {
        revision: position.revision.checked_sub(before).ok_or(Malformed)?,
        n: fields.small()?,
    })
}

/// The name of an in-memory row.
pub(super) fn name_of(row: &[u8]) -> &str {
    Decoder::new(row).text().unwrap_or_default()
}

/// The row as the index keeps it: with its name in front.
pub(super) fn in_memory(name: &str, row: &[u8]) -> Bytes {
    let mut encoder = Encoder::default();
    encoder.text(name).rest(row);
    encoder.finish()
}

/// The row as the engine keeps it: the key has the name.
pub(super) fn on_disk(row: &Bytes) -> Bytes {
    let mut decoder = Decoder::new(row);
    let Ok(_) = decoder.text() else {
        return Bytes::new();
    };
    row.slice(row.len().saturating_sub(decoder.rest().len())..)
}

/// The in-memory row of a tombstone.
pub(super) fn tombstone(name: &str, at: Position) -> Bytes {
    let mut row = Encoder::default();
    row.text(name).byte(1).byte(TOMBSTONE).position(at);
    row.finish()
}

impl Fields<'_> {
    /// The in-memory row of an object.
    pub(super) fn encode(&self) -> Bytes {
        let stem = self
            .name
            .rsplit_once('.')
            .map_or(self.name, |(stem, _)| stem);
        let uid = match self.uid {
            "" => 0,
            uid if uid == stem => UID_IS_STEM,
            _ => UID,
        };
        let when = |flag: u8, set: bool| if set { flag } else { 0 };
        let flags = uid
            | when(TAG, self.tag.is_some())
            | when(COMPONENT, self.component.is_some())
            | when(PROPERTIES, self.has_properties)
            | when(BLOB, self.blob.is_some());
        let mut row = Encoder::default();
        row.text(self.name).byte(1).byte(flags);
        row.position(self.position);
        self.put_earlier(&mut row, self.text);
        self.put_earlier(&mut row, self.shared);
        if let Some(tag) = self.tag {
            self.put_earlier(&mut row, tag);
        }
        row.number(u64::from(self.size_bytes));
        if let Some(component) = self.component {
            row.byte(component.code());
        }
        row.time(self.created);
        row.signed(self.modified.0.saturating_sub(self.created.0));
        if let Some(blob) = self.blob {
            row.id(blob);
        }
        if uid == UID {
            row.text(self.uid);
        }
        row.rest(self.summary);
        row.finish()
    }

    fn put_earlier(&self, row: &mut Encoder, position: Position) {
        let before = self.position.revision.saturating_sub(position.revision);
        row.number(before).number(u64::from(position.n));
    }
}

impl Header {
    /// Its name in the collection.
    pub fn name(&self) -> &str {
        self.part(&self.name)
    }

    /// Its UID; empty if it has none.
    pub fn uid(&self) -> &str {
        self.part(&self.uid)
    }

    /// What `recur` says of its times, encoded.
    pub fn summary(&self) -> &[u8] {
        self.row.get(self.summary.clone()).unwrap_or_default()
    }

    /// Its ETag, with quotes: no two texts ever have the same.
    pub fn etag(&self) -> String {
        stamp(self.collection, self.epochs.0, self.text)
    }

    /// Its Schedule-Tag, with quotes; RFC 6638 §3.2.10.
    pub fn schedule_tag(&self) -> Option<String> {
        self.tag
            .map(|tag| stamp(self.collection, self.epochs.1, tag))
    }

    fn part(&self, range: &Range<usize>) -> &str {
        let bytes = self.row.get(range.clone()).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// What it is made of, to make the next one.
    pub(super) fn fields(&self) -> Fields<'_> {
        Fields {
            name: self.name(),
            uid: self.uid(),
            summary: self.summary(),
            position: self.position,
            text: self.text,
            shared: self.shared,
            tag: self.tag,
            size_bytes: self.size_bytes,
            component: self.component,
            created: self.created,
            modified: self.modified,
            has_properties: self.has_properties,
            blob: self.blob,
        }
    }

    /// The row as the engine keeps it.
    pub(super) fn on_disk(&self) -> Bytes {
        on_disk(&self.row)
    }
}

/// An ETag or Schedule-Tag: (collection, epoch, position).
pub(super) fn stamp(collection: Id, epoch: u32, at: Position) -> String {
    let mut stamp = String::with_capacity(48);
    stamp.push('"');
    hex::push_digits(&mut stamp, collection.prefix().into(), 8);
    hex::push_digits(&mut stamp, epoch.into(), 8);
    for number in [at.revision, at.n.into()] {
        stamp.push('-');
        hex::push(&mut stamp, number);
    }
    stamp.push('"');
    stamp
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(revision: u64, n: u32) -> Position {
        Position { revision, n }
    }

    fn origin() -> Origin {
        let epochs = Epochs::none().extended(5, 1).extended(6, 9);
        let collection = Id::from_bytes([7; 16]);
        Origin { collection, epochs }
    }

    fn check(fields: &Fields<'_>) -> Header {
        let row = fields.encode();
        let Ok(Record::Live(header)) = Record::read(row.clone(), &origin()) else {
            panic!("not a header: {row:?}");
        };
        assert_eq!(format!("{:?}", header.fields()), format!("{fields:?}"));
        let disk = Record::decode(fields.name, &header.on_disk(), &origin());
        assert_eq!(disk, Ok(Record::Live(header.clone())));
        header
    }

    #[test]
    fn a_header_survives_its_row() {
        let full = Fields {
            name: "a.ics",
            uid: "somebody@example.com",
            summary: b"\x01summary",
            position: at(12, 4),
            text: at(8, 2),
            shared: at(10, 0),
            tag: Some(at(9, 1)),
            size_bytes: 70_000,
            component: Some(Component::Todo),
            created: Timestamp(1_000_000),
            modified: Timestamp(999_999),
            has_properties: true,
            blob: Some(Id::from_bytes([9; 16])),
        };
        let header = check(&full);
        assert_eq!(header.etag(), "\"0707070700000005-8-2\"");
        let tag = header.schedule_tag();
        assert_eq!(tag.as_deref(), Some("\"0707070700000006-9-1\""));
        let small = Fields {
            uid: "a",
            tag: None,
            component: None,
            has_properties: false,
            blob: None,
            ..full
        };
        let header = check(&small);
        assert_eq!((header.uid(), header.name()), ("a", "a.ics"));
        check(&Fields { uid: "", ..small });
    }

    #[test]
    fn a_tombstone_knows_its_place() {
        let row = tombstone("a.ics", at(3, 1));
        assert_eq!(name_of(&row), "a.ics");
        let record = Record::decode("a.ics", &on_disk(&row), &origin());
        assert_eq!(record, Ok(Record::Tombstone(at(3, 1))));
    }
}
