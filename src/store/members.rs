//! The index of a collection in memory: its headers by name, and its change log.
//!
//! Rows lie in chunks of 1,024 behind `Arc`s, in the order in which they came; sorted lists of their
//! numbers give the order of names, that of changes, and the months they lie in. A commit copies the chunks it touches
//! and shares the rest, so a reader who holds an `Arc` has a consistent view at one revision.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::buckets::{Buckets, Times};
use super::chunked::{CHUNK, Chunked, Place};
use super::codec::Malformed;
use super::collection::{Component, State, Viewer};
use super::header::{Header, Origin, Record, name_of};
use super::sync::{BadToken, Changes, Entry, Since};
use super::{Id, Position};
use crate::recur::{Range, Summary, Verdict, Zone};

/// The members of a collection at one revision, live ones and tombstones.
#[derive(Clone, Debug)]
pub struct Members {
    pub(super) origin: Origin,
    pub(super) rows: Vec<Arc<Rows>>,
    names: Chunked<u32>,
    log: Chunked<Logged>,
    buckets: Buckets,
    free: Arc<Vec<u32>>,
    next: u32,
    pub(super) state: State,
    pub(super) floor: Position,
}

/// An entry of the change log: where the row with this number last changed.
#[derive(Clone, Copy, Debug)]
struct Logged {
    revision: u64,
    n: u32,
    slot: u32,
}

impl Logged {
    fn new(Position { revision, n }: Position, slot: u32) -> Self {
        Self { revision, n, slot }
    }

    fn at(self) -> Position {
        Position {
            revision: self.revision,
            n: self.n,
        }
    }
}

/// Up to 1,024 rows in one piece of memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    bytes: Bytes,
    ends: Vec<u32>,
}

impl Rows {
    fn get(&self, item: usize) -> Bytes {
        let end_of = |item: usize| self.ends.get(item).map_or(0, |end| *end as usize);
        let start = item.checked_sub(1).map_or(0, end_of);
        self.bytes.slice(start..end_of(item).max(start))
    }

    fn slice(&self, item: usize) -> &[u8] {
        let end_of = |item: usize| self.ends.get(item).map_or(0, |end| *end as usize);
        let start = item.checked_sub(1).map_or(0, end_of);
        self.bytes.get(start..end_of(item)).unwrap_or_default()
    }

    /// The same rows with some replaced or added. What lies between them is copied in one piece.
    fn edited(&self, edits: &BTreeMap<usize, Bytes>) -> Self {
        let more = edits.values().map(Bytes::len).sum::<usize>();
        let added = edits.keys().next_back().map_or(0, |last| last + 1);
        let mut bytes = Vec::with_capacity(self.bytes.len().saturating_add(more));
        let mut ends = Vec::with_capacity(self.ends.len().max(added));
        let mut from = 0;
        for (item, row) in edits {
            self.copy(from..*item, &mut bytes, &mut ends);
            bytes.extend_from_slice(row);
            ends.push(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
            from = item + 1;
        }
        self.copy(from..self.ends.len(), &mut bytes, &mut ends);
        let bytes = bytes.into();
        Self { bytes, ends }
    }

    /// Copies a run of rows.
    fn copy(&self, items: std::ops::Range<usize>, bytes: &mut Vec<u8>, ends: &mut Vec<u32>) {
        let end_of = |item: usize| self.ends.get(item).map_or(0, |end| *end as usize);
        let start = items.start.checked_sub(1).map_or(0, end_of);
        let end = items.end.checked_sub(1).map_or(0, end_of).max(start);
        let base = bytes.len();
        bytes.extend_from_slice(self.bytes.get(start..end).unwrap_or_default());
        for item in items {
            let end = end_of(item).saturating_sub(start).saturating_add(base);
            ends.push(u32::try_from(end).unwrap_or(u32::MAX));
        }
    }
}

/// Takes the in-memory rows of a collection in the order of their names, one after the other, so
/// that no second copy of a large collection is ever in memory.
pub(super) struct Collector {
    origin: Origin,
    full: Vec<Arc<Rows>>,
    bytes: Vec<u8>,
    ends: Vec<u32>,
    log: Vec<Logged>,
    times: Vec<(u32, Times)>,
    next: u32,
}

impl Collector {
    pub(super) fn new(origin: Origin) -> Self {
        Self {
            origin,
            full: Vec::new(),
            bytes: Vec::new(),
            ends: Vec::new(),
            log: Vec::new(),
            times: Vec::new(),
            next: 0,
        }
    }

    pub(super) fn push(&mut self, row: &Bytes) -> Result<(), Malformed> {
        let record = Record::read(row.clone(), &self.origin)?;
        self.log.push(Logged::new(record.position(), self.next));
        self.times.push((self.next, times_of(&record)));
        self.next = self.next.saturating_add(1);
        self.bytes.extend_from_slice(row);
        let end = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.ends.push(end);
        if self.ends.len() >= CHUNK {
            self.end_chunk();
        }
        Ok(())
    }

    fn end_chunk(&mut self) {
        // A boxed slice has no room to spare.
        let bytes = self.bytes.as_slice().into();
        let bytes: Box<[u8]> = bytes;
        let rows = Rows {
            bytes: bytes.into(),
            ends: self.ends.as_slice().into(),
        };
        self.full.push(Arc::new(rows));
        self.bytes.clear();
        self.ends.clear();
    }

    /// The members, when the collection is in this state.
    pub(super) fn finish(mut self, state: State) -> Members {
        if !self.ends.is_empty() {
            self.end_chunk();
        }
        self.log.sort_unstable_by_key(|entry| entry.at());
        let slots: Vec<u32> = (0..self.next).collect();
        Members {
            origin: self.origin,
            rows: self.full,
            names: Chunked::from_sorted(&slots),
            log: Chunked::from_sorted(&self.log),
            buckets: Buckets::collect(self.times.into_iter()),
            free: Arc::default(),
            next: self.next,
            state,
            floor: Position::START,
        }
    }
}

impl Members {
    /// The number of objects.
    pub fn len(&self) -> u64 {
        self.state.count
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.state.count == 0
    }

    /// The collection's identifier.
    pub fn collection(&self) -> Id {
        self.origin.collection
    }

    /// The headers of all objects, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = Header> + '_ {
        self.names
            .iter()
            .filter_map(|slot| self.record(slot)?.live())
    }

    /// The header of the object of this name.
    pub fn header(&self, name: &str) -> Option<Header> {
        self.record_of(name)?.live()
    }

    /// The objects that overlap a range of time, in the order of their names: certainly, or as far
    /// as can be told without their texts; RFC 4791 §9.9. None that overlaps is missing. `floating`
    /// is the zone of times that have none.
    pub fn overlapping(
        &self,
        range: &Range,
        floating: &Zone,
        component: Option<Component>,
    ) -> Vec<(Header, Verdict)> {
        let candidates = self.buckets.candidates(range);
        let headers = candidates.filter_map(|slot| self.record(slot)?.live());
        let headers = headers.filter(|h| component.is_none() || h.component == component);
        let verdict = |header: &Header| match Summary::decode(header.summary()) {
            Some(summary) => summary.verdict(range, floating),
            None => Verdict::Maybe,
        };
        let judged = headers.map(|header| {
            let verdict = verdict(&header);
            (header, verdict)
        });
        let mut found: Vec<_> = judged.filter(|(_, v)| *v != Verdict::No).collect();
        found.sort_unstable_by(|(a, _), (b, _)| a.name().cmp(b.name()));
        found
    }

    /// The objects of which an alarm may go off in a range of time, in the order of their names.
    pub fn alarming(
        &self,
        range: &Range,
        floating: &Zone,
        component: Option<Component>,
    ) -> Vec<Header> {
        let headers = self.iter();
        let headers = headers.filter(|h| component.is_none() || h.component == component);
        let may = |header: &Header| {
            let summary = Summary::decode(header.summary());
            summary.is_none_or(|summary| summary.may_alarm(range, floating))
        };
        headers.filter(may).collect()
    }

    /// The sync token of this state; RFC 6578 §4.
    pub fn token(&self, viewer: Viewer) -> String {
        Since::upto(self.last()).token(&self.origin, viewer)
    }

    /// The CTag of this state.
    pub fn ctag(&self) -> String {
        self.token(Viewer::Owner)
    }

    /// The newest change in this state.
    pub(super) fn last(&self) -> Position {
        self.state.changed
    }

    /// What changed since `token` was made, oldest change first, each name once; without a token
    /// all objects. At most `limit` entries, and a token that continues behind them; RFC 6578 §3.6.
    pub fn changes(&self, token: Option<&str>, limit: Option<usize>) -> Result<Changes, BadToken> {
        let since = match token {
            None => Since::initial(self.last()),
            Some(token) => Since::read(token, &self.origin, self.last())?,
        };
        if since.known < self.floor {
            return Err(BadToken::Old);
        }
        let limit = limit.unwrap_or(usize::MAX).max(1);
        let mut entries = Vec::new();
        let mut walked = since.walked;
        for logged in self.log.iter_from(self.after(since.walked)) {
            let Some((name, record)) = self.named(logged.slot) else {
                continue;
            };
            if matches!(record, Record::Tombstone(at) if at <= since.known) {
                continue;
            }
            if entries.len() == limit {
                let token = since.walked(walked).token(&self.origin, Viewer::Owner);
                return Ok(Changes {
                    entries,
                    token,
                    truncated: true,
                });
            }
            let header = record.live();
            entries.push(Entry { name, header });
            walked = logged.at();
        }
        Ok(Changes {
            entries,
            token: self.token(Viewer::Owner),
            truncated: false,
        })
    }

    /// What changed behind a position: the place, and the header unless it was removed.
    pub(super) fn since(
        &self,
        position: Position,
    ) -> impl Iterator<Item = (Position, String, Option<Header>)> + '_ {
        let entries = self.log.iter_from(self.after(position));
        entries.filter_map(|logged| {
            let (name, record) = self.named(logged.slot)?;
            Some((logged.at(), name, record.live()))
        })
    }

    /// The same members with these in-memory rows changed or added.
    pub(super) fn with(&self, rows: &[Bytes], state: State) -> Result<Self, Malformed> {
        let mut next = self.clone();
        next.state = state;
        let mut edits: BTreeMap<usize, BTreeMap<usize, Bytes>> = BTreeMap::new();
        for row in rows {
            let record = Record::read(row.clone(), &self.origin)?;
            let found = next.place(name_of(row), &edits);
            let slot = match found {
                Ok(place) => {
                    let Some(slot) = next.names.get(place) else {
                        continue;
                    };
                    let old = Record::read(next.row(slot, &edits), &self.origin)?;
                    if old.position() > record.position() {
                        continue;
                    }
                    next.forget(old.position());
                    next.buckets.remove(slot, times_of(&old));
                    slot
                }
                Err(place) => {
                    let slot = next.take_slot();
                    next.names.insert(place, slot);
                    slot
                }
            };
            next.remember(record.position(), slot);
            next.buckets.insert(slot, times_of(&record));
            let (chunk, item) = split(slot);
            edits.entry(chunk).or_default().insert(item, row.clone());
        }
        next.edit(&edits);
        Ok(next)
    }

    /// The same members without these tombstones, of which no token is answered any more.
    pub(super) fn pruned(&self, names: &[String], floor: Position) -> Self {
        let mut next = self.clone();
        next.floor = next.floor.max(floor);
        let mut edits: BTreeMap<usize, BTreeMap<usize, Bytes>> = BTreeMap::new();
        for name in names {
            let Ok(place) = next.place(name, &edits) else {
                continue;
            };
            let Some((slot, Record::Tombstone(at))) = next
                .names
                .get(place)
                .and_then(|slot| Some((slot, next.record(slot)?)))
            else {
                continue;
            };
            if at > floor {
                continue;
            }
            next.forget(at);
            next.names.remove(place);
            Arc::make_mut(&mut next.free).push(slot);
            let (chunk, item) = split(slot);
            edits.entry(chunk).or_default().insert(item, Bytes::new());
        }
        next.edit(&edits);
        next
    }

    /// What it takes of the memory for indexes.
    pub(super) fn size_bytes(&self) -> usize {
        let rows = self.rows.iter();
        let rows = rows.map(|rows| rows.bytes.len() + rows.ends.capacity() * 4 + 96);
        let lists = self.names.size_bytes() + self.log.size_bytes() + self.buckets.size_bytes();
        rows.sum::<usize>() + lists + self.free.capacity() * 4 + 512
    }

    /// The record of this name, also a tombstone.
    pub(super) fn record_of(&self, name: &str) -> Option<Record> {
        let place = self.place(name, &BTreeMap::new()).ok()?;
        self.record(self.names.get(place)?)
    }

    /// Every name with its record, tombstones too.
    pub(super) fn records(&self) -> impl Iterator<Item = (String, Record)> + '_ {
        self.names.iter().filter_map(|slot| self.named(slot))
    }

    fn record(&self, slot: u32) -> Option<Record> {
        let (chunk, item) = split(slot);
        Record::read(self.rows.get(chunk)?.get(item), &self.origin).ok()
    }

    fn named(&self, slot: u32) -> Option<(String, Record)> {
        let (chunk, item) = split(slot);
        let row = self.rows.get(chunk)?.get(item);
        let name = name_of(&row).to_owned();
        Some((name, Record::read(row, &self.origin).ok()?))
    }

    fn row(&self, slot: u32, edits: &BTreeMap<usize, BTreeMap<usize, Bytes>>) -> Bytes {
        let (chunk, item) = split(slot);
        let edited = edits.get(&chunk).and_then(|chunk| chunk.get(&item));
        match (edited, self.rows.get(chunk)) {
            (Some(row), _) => row.clone(),
            (None, Some(rows)) => rows.get(item),
            (None, None) => Bytes::new(),
        }
    }

    fn place(
        &self,
        name: &str,
        edits: &BTreeMap<usize, BTreeMap<usize, Bytes>>,
    ) -> Result<Place, Place> {
        self.names.find(|slot| {
            let (chunk, item) = split(*slot);
            let edited = edits.get(&chunk).and_then(|chunk| chunk.get(&item));
            let row = match (edited, self.rows.get(chunk)) {
                (Some(row), _) => row.as_ref(),
                (None, Some(rows)) => rows.slice(item),
                (None, None) => &[],
            };
            name_of(row).cmp(name)
        })
    }

    /// The place of the first entry of the log behind a position.
    fn after(&self, position: Position) -> Place {
        let order = |entry: &Logged| match entry.at().cmp(&position) {
            std::cmp::Ordering::Equal => std::cmp::Ordering::Less,
            other => other,
        };
        match self.log.find(order) {
            Ok(place) | Err(place) => place,
        }
    }

    fn forget(&mut self, at: Position) {
        if let Ok(place) = self.log.find(|entry| entry.at().cmp(&at)) {
            self.log.remove(place);
        }
    }

    fn remember(&mut self, at: Position, slot: u32) {
        if let Err(place) = self.log.find(|entry| entry.at().cmp(&at)) {
            self.log.insert(place, Logged::new(at, slot));
        }
    }

    fn take_slot(&mut self) -> u32 {
        if !self.free.is_empty()
            && let Some(slot) = Arc::make_mut(&mut self.free).pop()
        {
            return slot;
        }
        let slot = self.next;
        self.next = self.next.saturating_add(1);
        slot
    }

    fn edit(&mut self, edits: &BTreeMap<usize, BTreeMap<usize, Bytes>>) {
        for (chunk, edits) in edits {
            match self.rows.get_mut(*chunk) {
                Some(rows) => *rows = Arc::new(rows.edited(edits)),
                None => self.rows.push(Arc::new(Rows::default().edited(edits))),
            }
        }
    }
}

/// When the object of a record is.
fn times_of(record: &Record) -> Times {
    match record {
        Record::Live(header) => Times::of(header.summary()),
        Record::Tombstone(_) => Times::Nowhere,
    }
}

/// The chunk of a row and its place there.
fn split(slot: u32) -> (usize, usize) {
    let slot = slot as usize;
    (slot / CHUNK, slot % CHUNK)
}
