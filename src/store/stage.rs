//! From the steps of a change to the rows of its batch and the view that they make of a home.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use super::change::{HomeChange, NewCollection, Put, Sharing, Step, Tag, position};
use super::codec::Encoder;
use super::collection::{Collection, Kind, Properties, Removed, Settings, encode_properties};
use super::error::Row;
use super::header::{Fields, Header, Record, on_disk, tombstone};
use super::home::{Contents, Home, TEXT_CHUNK, encode_uid};
use super::keys::{self, Tag as Keys};
use super::kv::Write;
use super::load::refresh_epochs;
use super::revision::{Actor, Garbage, Head, Named, Revision, Touched};
use super::{Error, Id, Position, Refusal};
use crate::ical::Timestamp;

/// Texts longer than this are written beforehand, under an id of their own.
pub(super) const LONG_TEXT: usize = 128 * 1024;

/// What a commit says of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) at: Timestamp,
    pub(super) actor: &'a Actor,
    pub(super) what: &'a str,
    pub(super) nonce: u64,
}

/// The rows and the view that a change makes of one home.
pub(super) struct Staged {
    pub(super) view: Arc<Home>,
    pub(super) writes: Vec<Write>,
    /// Long texts to be written before the rest.
    pub(super) blobs: Vec<(Id, Bytes)>,
    pub(super) headers: HashMap<(Id, String), Option<Record>>,
}

struct Stage<'a> {
    base: &'a Home,
    head: Head,
    contents: Contents,
    /// The first position of the step at hand.
    at: Position,
    writes: Vec<Write>,
    blobs: Vec<(Id, Bytes)>,
    touched: BTreeMap<Id, Touched>,
    names: Vec<String>,
    garbage: u32,
    headers: HashMap<(Id, String), Option<Record>>,
    uids: HashMap<(Id, String), Option<String>>,
    texts: HashMap<(Id, String), Bytes>,
    /// In-memory rows for the indexes that are loaded.
    rows: BTreeMap<Id, Vec<Bytes>>,
}

/// Runs the steps of a change on its view.
pub(super) async fn stage(change: HomeChange, entry: Entry<'_>) -> Result<Staged, Error> {
    let base = change.base;
    let revision = base.head.revision.saturating_add(1);
    let head = Head {
        revision,
        nonce: entry.nonce,
        modified: base.head.modified.max(entry.at),
        epochs: base.head.epochs.extended(base.shared.epoch, revision),
        removed: false,
    };
    let mut stage = Stage {
        base: &base,
        contents: base.contents.clone(),
        head,
        at: position(revision, 0),
        writes: Vec::new(),
        blobs: Vec::new(),
        touched: BTreeMap::new(),
        names: Vec::new(),
        garbage: 0,
        headers: HashMap::new(),
        uids: HashMap::new(),
        texts: HashMap::new(),
        rows: BTreeMap::new(),
    };
    refresh_epochs(base.id, &mut stage.contents, &stage.head);
    for (n, step) in change.steps.into_iter().enumerate() {
        stage.at = position(revision, n);
        if !base.exists() && n == 0 && !matches!(step, Step::Create) {
            return Err(Refusal::NoHome.into());
        }
        stage.run(step).await?;
    }
    stage.finish(entry)
}

impl Stage<'_> {
    async fn run(&mut self, step: Step) -> Result<(), Error> {
        match step {
            Step::Create => self.create(),
            Step::Remove => {
                self.head.removed = true;
                let home = self.base.id;
                self.junk(&Garbage::Collection { collection: home });
                Ok(())
            }
            Step::NewCollection(new) => self.new_collection(new),
            Step::Set(id, settings) => self.set(id, settings),
            Step::Rename(id, name) => self.rename(id, name),
            Step::RemoveCollection(id) => self.remove_collection(id),
            Step::Put(id, put) => self.put(id, put).await,
            Step::RemoveObject(id, name) => self.remove_object(id, &name).await,
            Step::Relocate(from, to, name) => self.relocate(&from, to, name).await,
            Step::SetObjectProperties(id, name, properties) => {
                self.set_object_properties(id, &name, &properties).await
            }
            Step::Restore(removed, name) => self.restore(&removed, name),
        }
    }

    fn write(&mut self, key: Bytes, value: Bytes) {
        let value = Some(value);
        self.writes.push(Write { key, value });
    }

    fn erase(&mut self, key: Bytes) {
        self.writes.push(Write { key, value: None });
    }

    fn junk(&mut self, garbage: &Garbage) {
        let at = Position {
            revision: self.head.revision,
            n: self.garbage,
        };
        self.garbage = self.garbage.saturating_add(1);
        self.write(keys::garbage(self.base.id, at), garbage.encode());
    }

    fn touch(&mut self, id: Id) -> &mut Touched {
        self.touched.entry(id).or_insert(Touched {
            id,
            row: false,
            members: false,
        })
    }

    fn second(&self) -> Position {
        Position {
            n: self.at.n.saturating_add(1),
            ..self.at
        }
    }

    fn collection(&self, id: Id) -> Result<Arc<Collection>, Error> {
        if id == self.base.id {
            return Ok(self.contents.own.clone());
        }
        let found = self.contents.live.get(&id).cloned();
        found.ok_or_else(|| Refusal::NoCollection.into())
    }

    // Collections.

    fn create(&mut self) -> Result<(), Error> {
        if self.base.head_row.is_some() {
            return Err(Refusal::HomeExists.into());
        }
        let mut own = self.contents.own.as_ref().clone();
        own.created = self.head.modified;
        own.visible = self.at;
        own.members_changed = self.at;
        own.members_modified = self.head.modified;
        self.put_row(own)
    }

    fn new_collection(&mut self, new: NewCollection) -> Result<(), Error> {
        if self.contents.live.len() >= self.base.shared.limits.collections {
            return Err(Error::TooLarge("collections of a home"));
        }
        if self.contents.live.contains_key(&new.id) || new.kind == Kind::Home {
            return Err(Refusal::NoCollection.into());
        }
        let name = match new.name {
            Some(name) => self.claim(new.id, name)?,
            None => {
                self.junk(&Garbage::Collection { collection: new.id });
                String::new()
            }
        };
        let collection = Collection {
            id: new.id,
            name,
            kind: new.kind,
            created: self.head.modified,
            row_modified: self.head.modified,
            members_modified: self.head.modified,
            settings: new.settings,
            row_changed: self.at,
            members_changed: self.at,
            visible: self.at,
            removed: None,
            count: 0,
            bytes: 0,
            epochs: self.head.epochs.clone(),
        };
        self.put_row(collection)
    }

    /// Gives a name to a collection.
    fn claim(&mut self, id: Id, name: String) -> Result<String, Error> {
        self.base.shared.check_name(&name)?;
        let taken = self.contents.named.iter().any(|c| c.name == name);
        if taken {
            return Err(Refusal::NameTaken(name).into());
        }
        Arc::make_mut(&mut self.contents.gone).remove(&name);
        let row = Named::Collection(id).encode();
        self.write(keys::name(self.base.id, &name), row);
        self.names.push(name.clone());
        Ok(name)
    }

    /// Takes a name away from its collection.
    fn give_up(&mut self, name: &str) {
        let at = self.at;
        Arc::make_mut(&mut self.contents.gone).insert(name.to_owned(), at);
        self.write(keys::name(self.base.id, name), Named::Gone(at).encode());
        self.names.push(name.to_owned());
        let name = name.to_owned();
        self.junk(&Garbage::Name { name, at });
    }

    /// Writes a collection's row; the one it replaces goes to the history.
    fn put_row(&mut self, collection: Collection) -> Result<(), Error> {
        let (home, id) = (self.base.id, collection.id);
        let row = collection.encode();
        if row.len() > self.base.shared.limits.row_bytes {
            return Err(Error::TooLarge("bytes of a collection's properties"));
        }
        let old = self.base.contents.live.get(&id);
        let own = (id == home && self.base.exists()).then_some(&self.base.contents.own);
        if let Some(old) = old.or(own)
            && !self.touched.get(&id).is_some_and(|touched| touched.row)
        {
            let at = old.row_changed;
            self.write(keys::old_collection(home, id, at), old.encode());
            let collection = id;
            self.junk(&Garbage::Row { collection, at });
        }
        self.write(keys::of(home, Keys::Collection, id), row);
        self.touch(id).row = true;
        self.contents.place(home, collection);
        Ok(())
    }

    fn set(&mut self, id: Id, settings: Settings) -> Result<(), Error> {
        let mut collection = self.collection(id)?.as_ref().clone();
        collection.settings = settings;
        collection.row_changed = self.at;
        collection.row_modified = self.head.modified;
        self.put_row(collection)
    }

    fn rename(&mut self, id: Id, name: String) -> Result<(), Error> {
        let mut collection = self.collection(id)?.as_ref().clone();
        if id == self.base.id {
            return Err(Refusal::NoCollection.into());
        }
        if collection.name == name {
            return Ok(());
        }
        let old = std::mem::take(&mut collection.name);
        collection.name = self.claim(id, name)?;
        if !old.is_empty() {
            self.give_up(&old);
        }
        collection.row_changed = self.second();
        collection.visible = self.second();
        collection.row_modified = self.head.modified;
        self.put_row(collection)
    }

    fn remove_collection(&mut self, id: Id) -> Result<(), Error> {
        let mut collection = self.collection(id)?.as_ref().clone();
        if id == self.base.id {
            return Err(Refusal::NoCollection.into());
        }
        if !collection.name.is_empty() {
            self.give_up(&collection.name);
        }
        collection.removed = Some(Removed {
            at: self.at,
            time: self.head.modified,
        });
        self.junk(&Garbage::Collection { collection: id });
        self.put_row(collection)
    }

    fn restore(&mut self, removed: &Collection, name: String) -> Result<(), Error> {
        let known = self.contents.removed.get(&removed.id);
        let Some(known) = known.filter(|known| known.removed.is_some()) else {
            return Err(Refusal::NoHistory.into());
        };
        let mut collection = known.as_ref().clone();
        collection.name = self.claim(removed.id, name)?;
        collection.removed = None;
        collection.row_changed = self.at;
        collection.visible = self.at;
        collection.row_modified = self.head.modified;
        self.put_row(collection)
    }

    // Objects.

    async fn record(&self, collection: &Collection, name: &str) -> Result<Option<Record>, Error> {
        let known = self.headers.get(&(collection.id, name.to_owned()));
        if let Some(known) = known {
            return Ok(known.clone());
        }
        if !self.base.contents.live.contains_key(&collection.id) {
            return self.restored_record(collection, name).await;
        }
        self.base.record(collection, name).await
    }

    /// The record in a collection that this very change makes visible again, or makes.
    async fn restored_record(
        &self,
        collection: &Collection,
        name: &str,
    ) -> Result<Option<Record>, Error> {
        if !self.base.contents.removed.contains_key(&collection.id) {
            return Ok(None);
        }
        self.base.record(collection, name).await
    }

    async fn uid_holder(
        &self,
        collection: &Collection,
        uid: &str,
    ) -> Result<Option<String>, Error> {
        let known = self.uids.get(&(collection.id, uid.to_owned()));
        if let Some(known) = known {
            return Ok(known.clone());
        }
        self.base.name_by_uid(collection, uid).await
    }

    async fn put(&mut self, id: Id, put: Put) -> Result<(), Error> {
        let at = self.at;
        self.put_at(id, put, (at, None)).await
    }

    async fn put_at(
        &mut self,
        id: Id,
        put: Put,
        (at, created): (Position, Option<Timestamp>),
    ) -> Result<(), Error> {
        let limits = &self.base.shared.limits;
        self.base.shared.check_name(&put.name)?;
        let uid = put.uid.unwrap_or_default();
        if uid.len() > limits.uid_bytes {
            return Err(Error::TooLarge("bytes of a UID"));
        }
        if put.text.len() > limits.text_bytes || put.summary.len() > limits.row_bytes {
            return Err(Error::TooLarge("bytes of an object"));
        }
        let collection = self.collection(id)?;
        if id == self.base.id {
            return Err(Refusal::NoCollection.into());
        }
        let old = self.record(&collection, &put.name).await?;
        if collection.unique_uids() {
            self.move_uid(&collection, (&put.name, &uid), old.as_ref())
                .await?;
        }
        let live = match &old {
            Some(Record::Live(header)) => Some(header),
            Some(Record::Tombstone(_)) | None => None,
        };
        let size_bytes = u32::try_from(put.text.len()).unwrap_or(u32::MAX);
        let blob = self.write_text(&collection, (&put.name, at), &put.text)?;
        let fields = Fields {
            name: &put.name,
            uid: &uid,
            summary: &put.summary,
            position: at,
            text: at,
            shared: match (put.shared, live) {
                (Sharing::Stays, Some(old)) => old.shared,
                (Sharing::Moves, _) | (_, None) => at,
            },
            tag: match put.tag {
                Tag::None => None,
                Tag::Keep(tag) => Some(tag),
                Tag::Move => Some(at),
            },
            size_bytes,
            component: put.component,
            created: created
                .or(live.map(|old| old.created))
                .unwrap_or(self.head.modified),
            modified: self.head.modified,
            has_properties: live.is_some_and(|old| old.has_properties),
            blob,
        };
        let row = fields.encode();
        self.texts.insert((id, put.name.clone()), put.text);
        self.replace(&collection, &put.name, (old, row))
    }

    /// Keeps the UID index: the object gets this UID, which no other object may have.
    async fn move_uid(
        &mut self,
        collection: &Collection,
        (name, uid): (&str, &str),
        old: Option<&Record>,
    ) -> Result<(), Error> {
        let before = match old {
            Some(Record::Live(header)) => header.uid(),
            Some(Record::Tombstone(_)) | None => "",
        };
        if before == uid {
            return Ok(());
        }
        if !uid.is_empty() {
            if let Some(holder) = self.uid_holder(collection, uid).await?
                && holder != name
            {
                return Err(Refusal::UidTaken(holder).into());
            }
            let key = keys::uid(self.base.id, collection.id, uid);
            self.write(key, encode_uid(name));
            let key = (collection.id, uid.to_owned());
            self.uids.insert(key, Some(name.to_owned()));
        }
        self.free_uid(collection, before);
        Ok(())
    }

    fn free_uid(&mut self, collection: &Collection, uid: &str) {
        if !uid.is_empty() && collection.unique_uids() {
            self.erase(keys::uid(self.base.id, collection.id, uid));
            self.uids.insert((collection.id, uid.to_owned()), None);
        }
    }

    /// Writes the chunk rows of a text; a long one is left for a batch of its own.
    fn write_text(
        &mut self,
        collection: &Collection,
        (name, at): (&str, Position),
        text: &Bytes,
    ) -> Result<Option<Id>, Error> {
        if text.len() > LONG_TEXT {
            let blob = Id::random()?;
            self.blobs.push((blob, text.clone()));
            self.erase(keys::blob(blob));
            return Ok(Some(blob));
        }
        let home = self.base.id;
        if text.is_empty() {
            self.write(keys::text(home, collection.id, name, at, 0), Bytes::new());
        }
        for (chunk, start) in (0..).zip((0..text.len()).step_by(TEXT_CHUNK)) {
            let end = text.len().min(start.saturating_add(TEXT_CHUNK));
            let key = keys::text(home, collection.id, name, at, chunk);
            self.write(key, text.slice(start..end));
        }
        Ok(None)
    }

    /// Replaces the record of a name by the one in this in-memory row.
    fn replace(
        &mut self,
        collection: &Collection,
        name: &str,
        (old, row): (Option<Record>, Bytes),
    ) -> Result<(), Error> {
        let (home, id) = (self.base.id, collection.id);
        let origin = super::header::Origin {
            collection: id,
            epochs: self.head.epochs.clone(),
        };
        let key = keys::object(home, id, name);
        let new = Record::read(row.clone(), &origin).row(&key)?;
        let mut state = self.collection(id)?.state();
        if let Some(old) = &old {
            self.erase(keys::log(home, id, old.position()));
            self.keep_old(id, name, (old, &new));
        }
        if let Some(Record::Live(old)) = &old {
            state.count = state.count.saturating_sub(1);
            state.bytes = state.bytes.saturating_sub(u64::from(old.size_bytes));
        }
        if let Record::Live(new) = &new {
            state.count = state.count.saturating_add(1);
            state.bytes = state.bytes.saturating_add(u64::from(new.size_bytes));
        }
        state.changed = new.position();
        state.modified = self.head.modified;
        self.write(keys::log(home, id, new.position()), encode_uid(name));
        self.write(key, on_disk(&row));
        self.rows.entry(id).or_default().push(row);
        self.headers.insert((id, name.to_owned()), Some(new));
        let mut changed = self.collection(id)?.as_ref().clone();
        changed.set_state(state);
        self.contents.place(home, changed);
        self.touch(id).members = true;
        Ok(())
    }

    /// Keeps a replaced header for the history, unless it had the same text.
    fn keep_old(&mut self, collection: Id, name: &str, (old, new): (&Record, &Record)) {
        let (at, row) = match (old, new) {
            (Record::Live(old), Record::Live(new)) if old.text == new.text => return,
            (Record::Live(old), _) => (old.text, old.on_disk()),
            (Record::Tombstone(at), _) => (*at, on_disk(&tombstone(name, *at))),
        };
        self.write(keys::old_object(self.base.id, collection, name, at), row);
        let name = name.to_owned();
        self.junk(&Garbage::Object {
            collection,
            name,
            at,
        });
    }

    async fn remove_object(&mut self, id: Id, name: &str) -> Result<(), Error> {
        let collection = self.collection(id)?;
        let Some(Record::Live(old)) = self.record(&collection, name).await? else {
            return Err(Refusal::NoObject.into());
        };
        self.free_uid(&collection, old.uid());
        if old.has_properties {
            self.erase(keys::properties(self.base.id, id, name));
        }
        let at = self.at;
        let row = tombstone(name, at);
        self.replace(&collection, name, (Some(Record::Live(old)), row))?;
        let name = name.to_owned();
        self.junk(&Garbage::Tombstone {
            collection: id,
            name,
            at,
        });
        Ok(())
    }

    async fn relocate(&mut self, from: &Header, to: Id, name: String) -> Result<(), Error> {
        let source = self.collection(from.collection)?;
        let Some(Record::Live(old)) = self.record(&source, from.name()).await? else {
            return Err(Refusal::NoObject.into());
        };
        let text = match self.texts.get(&(source.id, old.name().to_owned())) {
            Some(text) => text.clone(),
            None => self.base.text(&old).await?,
        };
        let properties = self.base.object_properties(&old).await?;
        self.remove_object(source.id, old.name()).await?;
        let put = Put {
            name: name.clone(),
            text,
            uid: Some(old.uid().to_owned()),
            component: old.component,
            summary: old.summary().to_vec(),
            tag: old.tag.map_or(Tag::None, Tag::Keep),
            shared: Sharing::Moves,
        };
        let at = self.second();
        self.put_at(to, put, (at, Some(old.created))).await?;
        if !properties.is_empty() {
            self.put_properties(to, &name, &properties).await?;
        }
        Ok(())
    }

    async fn set_object_properties(
        &mut self,
        id: Id,
        name: &str,
        properties: &Properties,
    ) -> Result<(), Error> {
        self.put_properties(id, name, properties).await
    }

    async fn put_properties(
        &mut self,
        id: Id,
        name: &str,
        properties: &Properties,
    ) -> Result<(), Error> {
        let collection = self.collection(id)?;
        let Some(Record::Live(old)) = self.record(&collection, name).await? else {
            return Err(Refusal::NoObject.into());
        };
        let key = keys::properties(self.base.id, id, name);
        if properties.is_empty() {
            self.erase(key);
        } else {
            let mut row = Encoder::version(1);
            encode_properties(&mut row, properties);
            let row = row.finish();
            if row.len() > self.base.shared.limits.row_bytes {
                return Err(Error::TooLarge("bytes of an object's properties"));
            }
            self.write(key, row);
        }
        let fields = Fields {
            has_properties: !properties.is_empty(),
            position: if old.position.revision == self.at.revision {
                old.position
            } else {
                self.at
            },
            ..old.fields()
        };
        let row = fields.encode();
        self.replace(&collection, name, (Some(Record::Live(old)), row))
    }

    // The end.

    fn finish(mut self, entry: Entry<'_>) -> Result<Staged, Error> {
        let home = self.base.id;
        let touched: Vec<Touched> = self.touched.values().copied().collect();
        for touched in &touched {
            let id = touched.id;
            let collection = if id == home {
                Some(&self.contents.own)
            } else {
                self.contents.live.get(&id)
            };
            if let Some(collection) = collection {
                let row = collection.state().encode();
                self.write(keys::of(home, Keys::State, id), row);
            }
        }
        let revision = Revision {
            number: self.head.revision,
            at: self.head.modified,
            actor: entry.actor.clone(),
            what: entry.what.to_owned(),
            touched,
            names: std::mem::take(&mut self.names),
        };
        self.write(keys::revision(home, self.head.revision), revision.encode());
        let row = self.head.encode();
        self.write(keys::head(home), row.clone());
        let view = Home::new(
            self.base.shared.clone(),
            home,
            (self.head, Some(row)),
            self.contents,
        );
        carry_indexes(self.base, &view, &self.rows)?;
        Ok(Staged {
            view: Arc::new(view),
            writes: self.writes,
            blobs: self.blobs,
            headers: self.headers,
        })
    }
}

/// Gives the new view the indexes that its base has in memory, with the changed rows.
fn carry_indexes(base: &Home, view: &Home, rows: &BTreeMap<Id, Vec<Bytes>>) -> Result<(), Error> {
    let mut ahead = {
        let ahead = base.ahead.lock();
        ahead
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    };
    for (id, rows) in rows {
        let (Some(old), Some(new)) = (base.collection_by_id(*id), view.collection_by_id(*id))
        else {
            continue;
        };
        let Some(members) = base.loaded(old) else {
            continue;
        };
        let key = keys::of(view.id, Keys::State, *id);
        let mut members = members.with(rows, new.state()).row(&key)?;
        members.origin = new.origin();
        ahead.insert(*id, Arc::new(members));
    }
    let mut carried = view.ahead.lock();
    **carried
        .as_mut()
        .map_err(|_| Error::Broken("a reader panicked".into()))? = ahead;
    Ok(())
}
