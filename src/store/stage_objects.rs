//! The steps of a change that are about objects: texts, headers, the change log and the UID index.

use bytes::Bytes;

use super::change::{Put, Sharing, Tag};
use super::codec::Encoder;
use super::collection::{Collection, Properties, encode_properties};
use super::error::Row;
use super::header::{Fields, Header, Origin, Record, on_disk, tombstone};
use super::home::{TEXT_CHUNK, encode_uid};
use super::keys;
use super::revision::{Garbage, Owner};
use super::stage::{LONG_TEXT, Stage};
use super::{Error, Id, Position, Refusal};
use crate::ical::Timestamp;

impl Stage<'_> {
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

    pub(super) async fn put(&mut self, id: Id, put: Put) -> Result<(), Error> {
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
            self.erase(keys::blob_begun(blob));
            let owner = Owner {
                home: self.base.id,
                collection: collection.id,
                name: name.to_owned(),
                at,
            };
            self.write(keys::blob(blob), owner.encode());
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
        let origin = Origin {
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

    pub(super) async fn remove_object(&mut self, id: Id, name: &str) -> Result<(), Error> {
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

    pub(super) async fn relocate(
        &mut self,
        from: &Header,
        to: Id,
        name: String,
    ) -> Result<(), Error> {
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
            // RFC 6638 §3.2.10: a MOVE changes it.
            tag: old.tag.map_or(Tag::None, |_| Tag::Move),
            shared: Sharing::Moves,
        };
        let at = self.second();
        self.put_at(to, put, (at, Some(old.created))).await?;
        if !properties.is_empty() {
            self.put_properties(to, &name, &properties).await?;
        }
        Ok(())
    }

    pub(super) async fn put_properties(
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
}
