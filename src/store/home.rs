//! A home at one revision: its collections, and the way to their objects.
//!
//! A view is immutable and consistent. What it reads from rows (texts, headers without an index)
//! cannot change under it within the time of history, because texts are immutable.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};

use super::cell::Version;
use super::codec::Decoder;
use super::collection::{Collection, Kind, Properties, Settings, decode_properties};
use super::error::Row;
use super::header::{Header, Record};
use super::kv::View;
use super::members::Members;
use super::revision::{Epochs, Head};
use super::{Error, Id, Position, Shared, keys, load};
use crate::ical::Timestamp;

/// Bytes of a text in one row.
pub(super) const TEXT_CHUNK: usize = 60 * 1024;

/// Most rows that are asked for at once.
const AT_ONCE: usize = 512;

/// A home at one revision.
#[derive(Debug)]
pub struct Home {
    pub(super) shared: Arc<Shared>,
    pub(super) id: Id,
    pub(super) head: Head,
    pub(super) head_row: Option<Bytes>,
    pub(super) contents: Contents,
    durable: AtomicBool,
    /// Indexes of collections that are ahead of the newest durable ones.
    pub(super) ahead: Mutex<BTreeMap<Id, Arc<Members>>>,
}

/// The collections of a home.
#[derive(Clone, Debug)]
pub(super) struct Contents {
    /// The home's own row.
    pub(super) own: Arc<Collection>,
    /// The visible ones, by name.
    pub(super) named: Vec<Arc<Collection>>,
    /// All that are not removed, also those that have no name yet, but not the home's own row.
    pub(super) live: BTreeMap<Id, Arc<Collection>>,
    /// Those that can be restored.
    pub(super) removed: BTreeMap<Id, Arc<Collection>>,
    /// Names that no collection has any more, and since when.
    pub(super) gone: Arc<BTreeMap<String, Position>>,
    /// Names that were gone at this position are forgotten.
    pub(super) floor: Position,
}

impl Contents {
    /// Of a home that does not exist.
    pub(super) fn none(home: Id) -> Self {
        Self {
            own: Arc::new(own_row(home)),
            named: Vec::new(),
            live: BTreeMap::new(),
            removed: BTreeMap::new(),
            gone: Arc::default(),
            floor: Position::START,
        }
    }

    /// Puts a collection where it belongs.
    pub(super) fn place(&mut self, home: Id, collection: Collection) {
        let collection = Arc::new(collection);
        let id = collection.id;
        self.named.retain(|c| c.id != id);
        self.live.remove(&id);
        self.removed.remove(&id);
        if id == home {
            self.own = collection;
        } else if collection.removed.is_some() {
            self.removed.insert(id, collection);
        } else {
            if !collection.name.is_empty() {
                let at = self.named.partition_point(|c| c.name < collection.name);
                self.named.insert(at, collection.clone());
            }
            self.live.insert(id, collection);
        }
    }

    /// The newest change that the sync of the home tells.
    pub(super) fn last(&self) -> Position {
        let named = self.named.iter().map(|c| c.changed());
        let gone = self.gone.values().copied();
        let all = named.chain(gone).chain([self.floor, self.own.visible]);
        all.max().unwrap_or_default()
    }
}

/// The row of a home that has none yet.
pub(super) fn own_row(home: Id) -> Collection {
    Collection {
        id: home,
        name: String::new(),
        kind: Kind::Home,
        created: Timestamp::MIN,
        row_modified: Timestamp::MIN,
        members_modified: Timestamp::MIN,
        settings: Settings::default(),
        row_changed: Position::START,
        members_changed: Position::START,
        visible: Position::START,
        reused: false,
        removed: None,
        count: 0,
        bytes: 0,
        epochs: Epochs::none(),
    }
}

impl Version for Home {
    fn head_row(&self) -> Option<&Bytes> {
        self.head_row.as_ref()
    }

    fn revision(&self) -> u64 {
        self.head.revision
    }

    fn became_durable(&self) {
        let ahead = {
            let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *ahead)
        };
        for members in ahead.values() {
            self.shared.indexes.put(members);
        }
        self.durable.store(true, Ordering::Release);
    }
}

impl Home {
    pub(super) fn new(
        shared: Arc<Shared>,
        id: Id,
        (head, head_row): (Head, Option<Bytes>),
        contents: Contents,
    ) -> Self {
        Self {
            shared,
            id,
            head,
            head_row,
            contents,
            durable: AtomicBool::new(false),
            ahead: Mutex::default(),
        }
    }

    /// Its identifier, which is its principal's too.
    pub fn id(&self) -> Id {
        self.id
    }

    /// The revision of this view.
    pub fn revision(&self) -> u64 {
        self.head.revision
    }

    /// When the revision was made.
    pub fn modified(&self) -> Timestamp {
        self.head.modified
    }

    /// Whether there is such a home.
    pub fn exists(&self) -> bool {
        self.head_row.is_some() && !self.head.removed
    }

    /// The home itself as a collection, for its own properties.
    pub fn row(&self) -> &Arc<Collection> {
        &self.contents.own
    }

    /// Its collections, in the order of their names.
    pub fn collections(&self) -> impl ExactSizeIterator<Item = &Arc<Collection>> {
        self.contents.named.iter()
    }

    /// The collection of this name.
    pub fn collection(&self, name: &str) -> Option<&Arc<Collection>> {
        let named = &self.contents.named;
        let at = named.binary_search_by(|c| c.name.as_str().cmp(name)).ok()?;
        named.get(at)
    }

    /// The collection with this identifier, visible or not yet; the home itself too.
    pub fn collection_by_id(&self, id: Id) -> Option<&Arc<Collection>> {
        if id == self.id {
            return Some(&self.contents.own);
        }
        self.contents.live.get(&id)
    }

    /// The bytes of all texts in the home; RFC 4331 §4.
    pub fn bytes_used(&self) -> u64 {
        self.contents.live.values().map(|c| c.bytes).sum()
    }

    /// The number of objects in the home.
    pub fn objects(&self) -> u64 {
        self.contents.live.values().map(|c| c.count).sum()
    }

    /// Which rows this view may read.
    pub(super) fn view(&self) -> View {
        if self.durable.load(Ordering::Acquire) {
            View::Durable
        } else {
            View::Ordered
        }
    }

    /// The index of a collection: one consistent state of it, never older than this view.
    pub async fn members(&self, collection: &Collection) -> Result<Arc<Members>, Error> {
        if let Some(members) = self.loaded(collection) {
            return Ok(members);
        }
        let indexes = &self.shared.indexes;
        if self.view() == View::Durable {
            let cell = indexes.cell(collection.id);
            let _refresh = cell.refresh.lock().await;
            let base = indexes.get(collection.id);
            if let Some(members) = &base
                && members.last() >= collection.members_changed
            {
                return Ok(members.clone());
            }
            let members = load::members(self, collection, base.as_deref()).await?;
            let members = Arc::new(members);
            indexes.put(&members);
            return Ok(members);
        }
        let base = indexes.get(collection.id);
        let base = base.filter(|members| members.last() < collection.members_changed);
        let members = Arc::new(load::members(self, collection, base.as_deref()).await?);
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        ahead.insert(collection.id, members.clone());
        Ok(members)
    }

    /// The index of a collection as this view has it, if it is in memory.
    pub(super) fn loaded(&self, collection: &Collection) -> Option<Arc<Members>> {
        let ahead = {
            let ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
            ahead.get(&collection.id).cloned()
        };
        if ahead.is_some() {
            return ahead;
        }
        let members = self.shared.indexes.get(collection.id)?;
        let fits = match self.view() {
            View::Durable => members.last() >= collection.members_changed,
            View::Ordered => members.last() == collection.members_changed,
        };
        fits.then_some(members)
    }

    /// The header of an object, without reading the whole index for it.
    pub async fn header(
        &self,
        collection: &Collection,
        name: &str,
    ) -> Result<Option<Header>, Error> {
        let record = self.record(collection, name).await?;
        Ok(record.and_then(Record::live))
    }

    pub(super) async fn record(
        &self,
        collection: &Collection,
        name: &str,
    ) -> Result<Option<Record>, Error> {
        if let Some(members) = self.loaded(collection) {
            return Ok(members.record_of(name));
        }
        let key = keys::object(self.id, collection.id, name);
        let row = self.shared.kv.get(self.view(), &key).await?;
        row.map(|row| Record::decode(name, &row, &collection.origin()).row(&key))
            .transpose()
    }

    /// The name of the object in the collection that has this UID; RFC 4791 §5.3.2.1.
    pub async fn name_by_uid(
        &self,
        collection: &Collection,
        uid: &str,
    ) -> Result<Option<String>, Error> {
        if uid.is_empty() || uid.len() > self.shared.limits.uid_bytes {
            return Ok(None);
        }
        let key = keys::uid(self.id, collection.id, uid);
        let row = self.shared.kv.get(self.view(), &key).await?;
        row.map(|row| decode_uid(&row).row(&key)).transpose()
    }

    /// The text of an object.
    pub async fn text(&self, header: &Header) -> Result<Bytes, Error> {
        let mut texts = self.texts(std::slice::from_ref(header)).await?;
        Ok(texts.pop().unwrap_or_default())
    }

    /// The texts of many objects, in their order.
    pub async fn texts(&self, headers: &[Header]) -> Result<Vec<Bytes>, Error> {
        let mut wanted = Vec::with_capacity(headers.len());
        for (i, header) in headers.iter().enumerate() {
            wanted.extend(text_keys(self.id, header).map(|key| (i, key)));
        }
        let mut texts = vec![BytesMut::new(); headers.len()];
        let mut single = vec![Bytes::new(); headers.len()];
        for wanted in wanted.chunks(AT_ONCE) {
            let keys: Vec<Bytes> = wanted.iter().map(|(_, key)| key.clone()).collect();
            let rows = self.shared.kv.get_many(self.view(), &keys).await?;
            for ((i, key), row) in wanted.iter().zip(rows) {
                let row = row.ok_or_else(|| missing(key))?;
                let whole = headers.get(*i).is_some_and(|h| chunks(h.size_bytes) == 1);
                if whole {
                    if let Some(text) = single.get_mut(*i) {
                        *text = row;
                    }
                } else if let Some(text) = texts.get_mut(*i) {
                    text.extend_from_slice(&row);
                }
            }
        }
        let joined = texts.into_iter().zip(single);
        Ok(joined
            .map(|(long, short)| {
                if short.is_empty() {
                    long.freeze()
                } else {
                    short
                }
            })
            .collect())
    }

    /// The dead properties of an object; RFC 4918 §4.
    pub async fn object_properties(&self, header: &Header) -> Result<Properties, Error> {
        if !header.has_properties {
            return Ok(Properties::new());
        }
        let key = keys::properties(self.id, header.collection, header.name());
        match self.shared.kv.get(self.view(), &key).await? {
            None => Ok(Properties::new()),
            Some(row) => {
                let read =
                    Decoder::version(&row, 1).and_then(|(_, mut row)| decode_properties(&mut row));
                read.row(&key)
            }
        }
    }
}

/// How many rows a text of this size takes; an empty one has one too.
pub(super) fn chunks(size_bytes: u32) -> u32 {
    let chunk = u32::try_from(TEXT_CHUNK).unwrap_or(u32::MAX);
    size_bytes.div_ceil(chunk).max(1)
}

/// The rows of an object's text.
pub(super) fn text_keys(home: Id, header: &Header) -> impl Iterator<Item = Bytes> + '_ {
    (0..chunks(header.size_bytes)).map(move |chunk| match header.blob {
        Some(blob) => keys::blob_chunk(blob, chunk),
        None => keys::text(home, header.collection, header.name(), header.text, chunk),
    })
}

pub(super) fn missing(key: &[u8]) -> Error {
    Error::Damaged(format!("row {} is missing", key.escape_ascii()))
}

/// The value of a UID row: the name of the object.
pub(super) fn encode_uid(name: &str) -> Bytes {
    let mut row = super::codec::Encoder::version(1);
    row.text(name);
    row.finish()
}

pub(super) fn decode_uid(row: &[u8]) -> Result<String, super::codec::Malformed> {
    let (_, mut row) = Decoder::version(row, 1)?;
    let name = row.string()?;
    row.end()?;
    Ok(name)
}
