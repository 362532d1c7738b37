//! From the steps of a change to the rows of its batch and the view that they make of a home.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use super::change::{Absent, HomeChange, NewCollection, Step, position};
use super::collection::{Collection, Kind, Removed, Settings};
use super::error::Row;
use super::header::Record;
use super::home::{Contents, Home};
use super::keys::{self, Tag as Keys};
use super::kv::{View, Write};
use super::load::refresh_epochs;
use super::queue::UidState;
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

pub(super) struct Stage<'a> {
    pub(super) base: &'a Home,
    pub(super) head: Head,
    pub(super) contents: Contents,
    /// The first position of the step at hand.
    pub(super) at: Position,
    pub(super) writes: Vec<Write>,
    pub(super) blobs: Vec<(Id, Bytes)>,
    pub(super) touched: BTreeMap<Id, Touched>,
    pub(super) names: Vec<String>,
    pub(super) garbage: u32,
    pub(super) headers: HashMap<(Id, String), Option<Record>>,
    pub(super) uids: HashMap<(Id, String), Option<String>>,
    pub(super) texts: HashMap<(Id, String), Bytes>,
    /// In-memory rows for the indexes that are loaded.
    pub(super) rows: BTreeMap<Id, Vec<Bytes>>,
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
                Ok(())
            }
            Step::NewCollection(new) => self.new_collection(new),
            Step::Set(id, settings) => self.set(id, settings),
            Step::Rename(id, name) => self.rename(id, name),
            Step::RemoveCollection(id) => self.remove_collection(id),
            Step::Put(id, put) => self.put(id, put).await,
            Step::RemoveObject(id, name, absent) => {
                let removed = self.remove_object(id, &name).await;
                match (removed, absent) {
                    (Err(Error::Refused(Refusal::NoObject)), Absent::Fine) => Ok(()),
                    (removed, _) => removed,
                }
            }
            Step::Relocate(from, to, name) => self.relocate(&from, to, name).await,
            Step::SetObjectProperties(id, name, properties) => {
                self.put_properties(id, &name, &properties).await
            }
            Step::SetUidState(uid, state) => self.set_uid_state(&uid, &state),
            Step::Restore(id) => self.restore(id).await,
        }
    }

    pub(super) fn write(&mut self, key: Bytes, value: Bytes) {
        let value = Some(value);
        self.writes.push(Write { key, value });
    }

    pub(super) fn erase(&mut self, key: Bytes) {
        self.writes.push(Write { key, value: None });
    }

    pub(super) fn junk(&mut self, garbage: &Garbage) {
        let at = Position {
            revision: self.head.revision,
            n: self.garbage,
        };
        self.garbage = self.garbage.saturating_add(1);
        self.write(keys::garbage(self.base.id, at), garbage.encode());
    }

    pub(super) fn touch(&mut self, id: Id) -> &mut Touched {
        self.touched.entry(id).or_insert(Touched {
            id,
            row: false,
            members: false,
        })
    }

    pub(super) fn second(&self) -> Position {
        Position {
            n: self.at.n.saturating_add(1),
            ..self.at
        }
    }

    pub(super) fn collection(&self, id: Id) -> Result<Arc<Collection>, Error> {
        if id == self.base.id {
            return Ok(self.contents.own.clone());
        }
        let found = self.contents.live.get(&id).cloned();
        found.ok_or_else(|| Refusal::NoCollection.into())
    }

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
        let mut reused = false;
        let name = match new.name {
            Some(name) => {
                reused = self.claim(new.id, &name)?;
                name
            }
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
            reused,
            removed: None,
            count: 0,
            bytes: 0,
            epochs: self.head.epochs.clone(),
        };
        self.put_row(collection)
    }

    /// Gives a name to a collection; answers whether another one had it not long ago.
    fn claim(&mut self, id: Id, name: &str) -> Result<bool, Error> {
        self.base.shared.check_name(name)?;
        let taken = self.contents.named.iter().any(|c| c.name == name);
        if taken {
            return Err(Refusal::NameTaken(name.to_owned()).into());
        }
        let gone = Arc::make_mut(&mut self.contents.gone);
        let reused = gone.remove(name).is_some();
        let row = Named::Collection(id).encode();
        self.write(keys::name(self.base.id, name), row);
        self.names.push(name.to_owned());
        Ok(reused)
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

    fn set_uid_state(&mut self, uid: &str, state: &UidState) -> Result<(), Error> {
        if uid.is_empty() || uid.len() > self.base.shared.limits.uid_bytes {
            return Err(Error::TooLarge("bytes of a UID"));
        }
        let key = keys::uid_state(self.base.id, uid);
        self.write(key, state.encode());
        if state.gone {
            let uid = uid.to_owned();
            self.junk(&Garbage::UidState { uid });
        }
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
        collection.reused = self.claim(id, &name)?;
        collection.name = name;
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

    /// Brings a removed collection back, without a name until it gets one.
    async fn restore(&mut self, id: Id) -> Result<(), Error> {
        // Its rows may be gone since this view was made: pruning moves no revision.
        let key = keys::of(self.base.id, Keys::Collection, id);
        let row = self.base.shared.kv.get(View::Ordered, &key).await?;
        let known = self.contents.removed.get(&id).cloned();
        let Some(known) = known.filter(|_| row.is_some()) else {
            return Err(Refusal::NoHistory.into());
        };
        let mut collection = known.as_ref().clone();
        // The history must show that it was away for a while.
        if let Some(Removed { at, .. }) = collection.removed.take() {
            let row = known.encode();
            self.write(keys::old_collection(self.base.id, id, at), row);
            self.junk(&Garbage::Row { collection: id, at });
        }
        collection.name = String::new();
        collection.row_changed = self.at;
        collection.visible = self.at;
        collection.row_modified = self.head.modified;
        self.junk(&Garbage::Collection { collection: id });
        self.put_row(collection)
    }

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
