//! Forgetting what the history need not keep any more: bounded work, in the background.
//!
//! Whatever is replaced or removed leaves a garbage row at its revision, so pruning walks these rows
//! in order and reads nothing else. A pruning batch checks that the home has not moved but does not
//! move it: nothing that a client can see changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::collection::Collection;
use super::error::Row as _;
use super::header::{Header, Origin, Record};
use super::home::{Contents, Home, text_keys};
use super::homes::millis;
use super::keys::{self, Tag};
use super::kv::{Batch, MAX_BATCH_BYTES, Row, Scan, View, after_prefix};
use super::load::next_key;
use super::principal::decode_use;
use super::queue::{is_gone, journal_before};
use super::revision::{Epochs, Garbage, Named, Revision, encode_floor};
use super::{Error, Id, Position, Store};
use crate::ical::Timestamp;

/// Homes looked at in one call.
const HOMES: usize = 128;

/// Garbage rows worked off in one batch.
const GARBAGE: usize = 256;

/// Writes after which a batch takes no more.
const WRITES: usize = 3_000;

/// How long the text of an unfinished write may lie about.
const UNFINISHED: i64 = 24 * 3600;

/// What a call of prune did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Homes looked at.
    pub homes: usize,
    /// Rows removed.
    pub rows: usize,
    /// All homes were looked at since the walk began; the next call begins anew.
    pub finished: bool,
}

impl Store {
    /// Forgets what is older than the time of history at `now`: looks at the next homes, as many as
    /// are quickly done. To be called every minute or so.
    pub async fn prune(&self, now: Timestamp) -> Result<Pruned, Error> {
        let cutoff = now.add_seconds(self.shared.limits.history_keep.saturating_neg());
        let mut pruned = Pruned::default();
        let mut from = self.prune_cursor();
        if from.is_none() {
            pruned.rows += self.prune_blobs(now).await?;
            pruned.rows += self.prune_home(Id::DIRECTORY, cutoff).await?;
        }
        for _ in 0..HOMES {
            let Some(home) = self.next_home(from).await? else {
                self.set_prune_cursor(None);
                pruned.finished = true;
                return Ok(pruned);
            };
            pruned.rows += self.prune_home(home, cutoff).await?;
            pruned.homes += 1;
            from = Some(home);
        }
        self.set_prune_cursor(from);
        Ok(pruned)
    }

    /// The first home behind this one.
    pub(super) async fn next_home(&self, after: Option<Id>) -> Result<Option<Id>, Error> {
        let all = Scan::prefix(Bytes::from_static(keys::HOMES), 1);
        let start = match after {
            None => all.start.clone(),
            Some(id) => after_prefix(&keys::home(id)).unwrap_or_else(|| all.start.clone()),
        };
        let scan = Scan { start, ..all };
        let rows = self.shared.kv.scan(View::Durable, scan).await?;
        let first = rows.first().map(|row| &row.key);
        Ok(first.and_then(|key| Some(keys::id_tail(key, keys::HOMES)?.0)))
    }

    /// Removes texts of writes that never happened.
    async fn prune_blobs(&self, now: Timestamp) -> Result<usize, Error> {
        let kv = &self.shared.kv;
        let scan = Scan::prefix(Bytes::from_static(keys::BLOBS_BEGUN), 64);
        let mut removed = 0;
        for row in kv.scan(View::Durable, scan).await? {
            let begun = decode_use(&row.value).row(&row.key)?;
            let Some((blob, [])) = keys::id_tail(&row.key, keys::BLOBS_BEGUN) else {
                continue;
            };
            if begun.add_seconds(UNFINISHED) > now {
                continue;
            }
            let mut batch = Batch::new(millis(now));
            batch.check(row.key.clone(), Some(row.value.clone()));
            batch.remove(row.key.clone());
            let chunks = Scan::prefix(keys::blob(blob), WRITES);
            for chunk in kv.scan(View::Durable, chunks).await? {
                batch.remove(chunk.key);
            }
            removed += batch.writes.len();
            kv.commit(batch).await?;
        }
        Ok(removed)
    }

    /// Removes what is older than `cutoff` from a home, one batch of it.
    async fn prune_home(&self, id: Id, cutoff: Timestamp) -> Result<usize, Error> {
        let kv = &self.shared.kv;
        if !self.has_old(id, cutoff).await? {
            return Ok(0);
        }
        let turn = self.turn(&[id]).await?;
        let head = kv.get(View::Ordered, &keys::head(id)).await?;
        let removed = super::load::read_head(id, head.as_ref())?;
        let mut sweep = Sweep {
            store: self,
            home: id,
            batch: Batch::new(millis(cutoff)),
            bytes: 0,
            tombstones: BTreeMap::new(),
            gone: Vec::new(),
            collections: BTreeSet::new(),
        };
        sweep.batch.check(keys::head(id), head.clone());
        if removed.removed && removed.modified < cutoff {
            sweep.remove_home().await?;
        } else {
            sweep.run(cutoff).await?;
        }
        if sweep.batch.writes.is_empty() {
            return Ok(0);
        }
        let removed = sweep.batch.writes.len();
        let Sweep {
            batch,
            tombstones,
            gone,
            collections,
            ..
        } = sweep;
        match kv.commit(batch).await {
            Ok(()) => {}
            // Another process writes to this home; there is no hurry.
            Err(super::kv::CommitError::Conflict) => return Ok(0),
            Err(error) => return Err(error.into()),
        }
        for (collection, (names, floor)) in tombstones {
            if let Some(members) = self.shared.indexes.get(collection) {
                let members = members.pruned(&names, floor);
                self.shared.indexes.put(&Arc::new(members));
            }
        }
        for collection in &collections {
            self.shared.indexes.forget(*collection);
        }
        self.forget_names(id, head.as_ref(), &gone, &collections);
        drop(turn);
        Ok(removed)
    }

    /// Whether a home may have something to forget: most have not, and no turn is taken for them.
    async fn has_old(&self, id: Id, cutoff: Timestamp) -> Result<bool, Error> {
        let kv = &self.shared.kv;
        let head = kv.get(View::Durable, &keys::head(id)).await?;
        let head = super::load::read_head(id, head.as_ref())?;
        if head.removed {
            return Ok(head.modified < cutoff);
        }
        let garbage = keys::all(id, Tag::Garbage);
        let first = Scan::prefix(garbage.clone(), 1);
        for row in kv.scan(View::Durable, first).await? {
            let at = keys::position_tail(&row.key, &garbage).unwrap_or_default();
            let key = keys::revision(id, at.revision);
            let row = kv.get(View::Durable, &key).await?;
            let revision = row
                .map(|row| Revision::decode(&row).row(&key))
                .transpose()?;
            if revision.is_none_or(|revision| revision.at < cutoff) {
                return Ok(true);
            }
        }
        let journal = kv
            .scan(View::Durable, journal_before(id, cutoff, 1))
            .await?;
        if !journal.is_empty() {
            return Ok(true);
        }
        let oldest = Scan::prefix(keys::all(id, Tag::Revision), 1);
        let rows = kv.scan(View::Durable, oldest).await?;
        let Some(row) = rows.first() else {
            return Ok(false);
        };
        let revision = Revision::decode(&row.value).row(&row.key)?;
        Ok(revision.at < cutoff && revision.number < head.revision)
    }

    /// Takes forgotten names and collections out of the newest view.
    fn forget_names(
        &self,
        id: Id,
        head: Option<&Bytes>,
        gone: &[(String, Position)],
        collections: &BTreeSet<Id>,
    ) {
        if id == Id::DIRECTORY || (gone.is_empty() && collections.is_empty()) {
            return;
        }
        let cell = self.cell(id);
        let Some(view) = cell.durable_at(head, None) else {
            return;
        };
        let mut contents: Contents = view.contents.clone();
        let names = Arc::make_mut(&mut contents.gone);
        for (name, at) in gone {
            if names.get(name) == Some(at) {
                names.remove(name);
            }
            contents.floor = contents.floor.max(*at);
        }
        contents.removed.retain(|id, _| !collections.contains(id));
        contents.live.retain(|id, _| !collections.contains(id));
        let head = (view.head.clone(), view.head_row.clone());
        let view = Home::new(self.shared.clone(), id, head, contents);
        cell.replace(Arc::new(view));
    }
}

/// One batch of pruning.
struct Sweep<'a> {
    store: &'a Store,
    home: Id,
    batch: Batch,
    /// Of the keys in the batch.
    bytes: usize,
    /// Tombstones removed from each collection, and its new floor.
    tombstones: BTreeMap<Id, (Vec<String>, Position)>,
    gone: Vec<(String, Position)>,
    collections: BTreeSet<Id>,
}

impl Sweep<'_> {
    fn full(&self) -> bool {
        self.batch.writes.len() >= WRITES || self.bytes > MAX_BATCH_BYTES / 2
    }

    fn remove(&mut self, key: Bytes) {
        self.bytes = self.bytes.saturating_add(key.len());
        self.batch.remove(key);
    }

    async fn scan(&self, prefix: Bytes, limit: usize) -> Result<Vec<Row>, Error> {
        let scan = Scan::prefix(prefix, limit);
        Ok(self.store.shared.kv.scan(View::Ordered, scan).await?)
    }

    async fn get(&self, key: &Bytes) -> Result<Option<Bytes>, Error> {
        Ok(self.store.shared.kv.get(View::Ordered, key).await?)
    }

    async fn run(&mut self, cutoff: Timestamp) -> Result<(), Error> {
        let journal = journal_before(self.home, cutoff, GARBAGE);
        for row in self.store.shared.kv.scan(View::Ordered, journal).await? {
            self.remove(row.key);
        }
        let prefix = keys::all(self.home, Tag::Garbage);
        let garbage = self.scan(prefix.clone(), GARBAGE).await?;
        let all = garbage.len() < GARBAGE;
        let mut times: BTreeMap<u64, bool> = BTreeMap::new();
        let mut left = None;
        for row in garbage {
            let at = keys::position_tail(&row.key, &prefix);
            let at = at.ok_or_else(|| Error::Damaged(format!("key {}", row.key.escape_ascii())))?;
            let old = match times.get(&at.revision) {
                Some(old) => *old,
                None => self.is_old(at.revision, cutoff).await?,
            };
            times.insert(at.revision, old);
            if !old || self.full() {
                left = Some(at.revision);
                break;
            }
            let garbage = Garbage::decode(&row.value).row(&row.key)?;
            if self.sweep(&garbage, at.revision).await? {
                self.remove(row.key);
            } else {
                left = Some(at.revision);
                break;
            }
        }
        if !all && left.is_none() {
            left = times.keys().next_back().copied();
        }
        self.forget_revisions(cutoff, left).await
    }

    /// Whether a revision is from before `cutoff`.
    async fn is_old(&self, revision: u64, cutoff: Timestamp) -> Result<bool, Error> {
        let key = keys::revision(self.home, revision);
        let row = self.get(&key).await?;
        let revision = row
            .map(|row| Revision::decode(&row).row(&key))
            .transpose()?;
        Ok(revision.is_none_or(|revision| revision.at < cutoff))
    }

    /// Forgets revisions that are old and that no garbage row asks for the time of.
    async fn forget_revisions(
        &mut self,
        cutoff: Timestamp,
        left: Option<u64>,
    ) -> Result<(), Error> {
        let head = self.get(&keys::head(self.home)).await?;
        let newest = super::load::read_head(self.home, head.as_ref())?.revision;
        let prefix = keys::all(self.home, Tag::Revision);
        for row in self.scan(prefix, GARBAGE).await? {
            let revision = Revision::decode(&row.value).row(&row.key)?;
            let needed = left.is_some_and(|left| revision.number >= left);
            if revision.at >= cutoff || needed || revision.number >= newest || self.full() {
                break;
            }
            self.remove(row.key);
        }
        Ok(())
    }

    /// Removes one piece of garbage; answers whether all of it is gone.
    async fn sweep(&mut self, garbage: &Garbage, revision: u64) -> Result<bool, Error> {
        match garbage {
            Garbage::Object {
                collection,
                name,
                at,
            } => {
                let key = keys::old_object(self.home, *collection, name, *at);
                if let Some(row) = self.get(&key).await? {
                    let record = Record::decode(name, &row, &origin(*collection)).row(&key)?;
                    if let Record::Live(header) = record {
                        self.remove_text(&header);
                    }
                    self.remove(key);
                }
            }
            Garbage::Tombstone {
                collection,
                name,
                at,
            } => {
                let key = keys::object(self.home, *collection, name);
                let row = self.get(&key).await?;
                let record = row
                    .map(|row| Record::decode(name, &row, &origin(*collection)).row(&key))
                    .transpose()?;
                if record == Some(Record::Tombstone(*at)) {
                    self.remove(key);
                    self.remove(keys::log(self.home, *collection, *at));
                    self.raise(*collection, *at).await?;
                    let entry = self.tombstones.entry(*collection).or_default();
                    entry.0.push(name.clone());
                    entry.1 = entry.1.max(*at);
                }
            }
            Garbage::Row { collection, at } => {
                let key = keys::old_collection(self.home, *collection, *at);
                self.remove(key);
            }
            Garbage::Collection { collection } => {
                return self.remove_collection(*collection, revision).await;
            }
            Garbage::UidState { uid } => {
                let key = keys::uid_state(self.home, uid);
                if self.get(&key).await?.is_some_and(|row| is_gone(&row)) {
                    self.remove(key);
                }
            }
            Garbage::Name { name, at } => {
                let key = keys::name(self.home, name);
                let row = self.get(&key).await?;
                let named = row.map(|row| Named::decode(&row).row(&key)).transpose()?;
                if named == Some(Named::Gone(*at)) {
                    self.remove(key);
                    self.raise(self.home, *at).await?;
                    self.gone.push((name.clone(), *at));
                }
            }
        }
        Ok(true)
    }

    /// Raises the floor of a collection: older tokens are not answered any more.
    async fn raise(&mut self, collection: Id, at: Position) -> Result<(), Error> {
        let shared = &self.store.shared;
        let floor = super::load::floor(shared, View::Ordered, self.home, collection).await?;
        let known = match self.tombstones.get(&collection) {
            Some((_, known)) => *known,
            None => Position::START,
        };
        let floor = floor.max(at).max(known);
        let key = keys::of(self.home, Tag::Floor, collection);
        self.batch.put(key, encode_floor(floor));
        Ok(())
    }

    fn remove_text(&mut self, header: &Header) {
        for key in text_keys(self.home, header) {
            self.remove(key);
        }
        if let Some(blob) = header.blob {
            self.remove(keys::blob(blob));
        }
    }

    /// Removes a collection that was removed or never named. Its row goes first, so that what is
    /// only partly there cannot be restored.
    async fn remove_collection(&mut self, id: Id, revision: u64) -> Result<bool, Error> {
        let key = keys::of(self.home, Tag::Collection, id);
        if let Some(row) = self.get(&key).await? {
            let collection = Collection::decode(id, &row, Epochs::none()).row(&key)?;
            let dead = match collection.removed {
                Some(removed) => removed.at.revision <= revision,
                None => collection.name.is_empty() && collection.visible.revision <= revision,
            };
            if !dead {
                return Ok(true);
            }
            self.remove(key);
        }
        self.collections.insert(id);
        for tag in [
            Tag::Object,
            Tag::OldObject,
            Tag::State,
            Tag::OldCollection,
            Tag::Text,
            Tag::Properties,
            Tag::Uid,
            Tag::Log,
            Tag::Floor,
        ] {
            let prefix = keys::of(self.home, tag, id);
            if !self.remove_all(prefix, tag).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes the rows that begin so, but never the head, and the long texts they refer to; answers whether all
    /// fitted.
    async fn remove_all(&mut self, prefix: Bytes, tag: Tag) -> Result<bool, Error> {
        let head = keys::head(self.home);
        let mut scan = Scan::prefix(prefix, WRITES / 4);
        loop {
            let rows = self
                .store
                .shared
                .kv
                .scan(View::Ordered, scan.clone())
                .await?;
            let whole = rows.len() < scan.limit;
            for row in rows {
                if self.full() {
                    return Ok(false);
                }
                scan.start = next_key(&row.key);
                if matches!(tag, Tag::Object | Tag::OldObject) {
                    let record = Record::decode("", &row.value, &origin(self.home));
                    if let Record::Live(header) = record.row(&row.key)?
                        && header.blob.is_some()
                    {
                        self.remove_text(&header);
                    }
                }
                if row.key != head {
                    self.remove(row.key);
                }
            }
            if whole {
                return Ok(true);
            }
        }
    }

    /// Removes the rows of a removed home, its head last.
    async fn remove_home(&mut self) -> Result<(), Error> {
        for tag in [Tag::Object, Tag::OldObject] {
            if !self.remove_all(keys::all(self.home, tag), tag).await? {
                return Ok(());
            }
        }
        if self.remove_all(keys::home(self.home), Tag::Head).await? {
            self.remove(keys::head(self.home));
        }
        Ok(())
    }
}

/// Records are only asked for their texts here, not for their stamps.
fn origin(collection: Id) -> Origin {
    let epochs = Epochs::none();
    Origin { collection, epochs }
}
