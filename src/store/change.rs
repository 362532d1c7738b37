//! What one commit does, collected before anything is read or written.
//!
//! A change is made on views; `Store::commit` turns it into one batch that only happens if those
//! views are still the newest. The stamps of a put are known beforehand for the same reason.

use std::sync::Arc;

use bytes::Bytes;

use super::collection::{Component, Kind, Properties, Settings};
use super::directory::{Directory, DirectoryChange};
use super::header::{Header, stamp};
use super::home::Home;
use super::queue::{LocalMessage, UidState};
use super::revision::Actor;
use super::{Id, Position};
use crate::ical::Timestamp;

/// What one commit does, to one or several homes.
#[derive(Debug)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What it is, in a word or two, for the history.
    pub what: String,
    pub(super) homes: Vec<HomeChange>,
    pub(super) directory: Option<DirectoryChange>,
    pub(super) rows: Vec<super::kv::Write>,
    pub(super) checks: Vec<super::kv::Check>,
    pub(super) local: Vec<LocalMessage>,
    pub(super) mails: usize,
}

impl Change {
    /// A change that does nothing yet.
    pub fn new(at: Timestamp, actor: Actor, what: impl Into<String>) -> Self {
        Self {
            at,
            actor,
            what: what.into(),
            homes: Vec::new(),
            directory: None,
            rows: Vec::new(),
            checks: Vec::new(),
            local: Vec::new(),
            mails: 0,
        }
    }

    /// What it does to a home, as seen by this view.
    pub fn home(&mut self, view: &Arc<Home>) -> &mut HomeChange {
        let found = self.homes.iter().position(|h| h.base.id() == view.id());
        let at = found.unwrap_or(self.homes.len());
        if found.is_none() {
            self.homes.push(HomeChange {
                base: view.clone(),
                steps: Vec::new(),
            });
        }
        // `at` is the place found or the one just filled.
        #[expect(clippy::indexing_slicing, reason = "the place was found or made above")]
        &mut self.homes[at]
    }

    /// What it does to the directory, as seen by this snapshot.
    pub fn directory(&mut self, view: &Arc<Directory>) -> &mut DirectoryChange {
        self.directory
            .get_or_insert_with(|| DirectoryChange::new(view.clone()))
    }

    /// Whether it does nothing.
    pub fn is_empty(&self) -> bool {
        self.homes.iter().all(|home| home.steps.is_empty())
            && self.directory.as_ref().is_none_or(|d| d.is_empty())
            && self.rows.is_empty()
    }

    /// The homes it touches, for the turn.
    pub fn homes(&self) -> Vec<Id> {
        let homes = self.homes.iter().map(|home| home.base.id());
        homes
            .chain(self.directory.is_some().then_some(Id::DIRECTORY))
            .collect()
    }
}

/// What a commit does to one home, in order.
#[derive(Debug)]
pub struct HomeChange {
    pub(super) base: Arc<Home>,
    pub(super) steps: Vec<Step>,
}

/// One step of a change. The positions of a step are 2n and 2n + 1 where n is its place, so the
/// positions are known when it is staged.
#[derive(Debug)]
pub(super) enum Step {
    Create,
    Remove,
    NewCollection(NewCollection),
    Set(Id, Settings),
    Rename(Id, String),
    RemoveCollection(Id),
    Put(Id, Put),
    RemoveObject(Id, String, Absent),
    Relocate(Header, Id, String),
    SetObjectProperties(Id, String, Properties),
    Restore(Id),
    SetUidState(String, UidState),
}

/// Whether an object to be removed may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    Refused,
    Fine,
}

/// A collection to be made.
#[derive(Clone, Debug)]
pub struct NewCollection {
    /// Its identifier, a fresh random one.
    pub id: Id,
    /// Its name; none if it is filled first and named later.
    pub name: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// Its properties.
    pub settings: Settings,
}

/// An object to be written.
#[derive(Clone, Debug)]
pub struct Put {
    /// Its name in the collection.
    pub name: String,
    /// Its text, byte for byte.
    pub text: Bytes,
    /// Its UID; none outside of calendars.
    pub uid: Option<String>,
    /// What it is; none if it is not iCalendar.
    pub component: Option<Component>,
    /// What `recur` says of its times, encoded.
    pub summary: Vec<u8>,
    /// What becomes of its Schedule-Tag.
    pub tag: Tag,
    /// Whether others than the owner would see a difference.
    pub shared: Sharing,
}

/// What becomes of an object's Schedule-Tag; RFC 6638 §3.2.10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// It has none: it is not a scheduling object resource.
    None,
    /// It stays.
    Keep(Position),
    /// It gets a new one.
    Move,
}

/// Whether a change is outside of one person's own data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Others see it.
    Moves,
    /// Only alarms and the like changed.
    Stays,
}

/// The stamps that an object will have once the change is committed on its view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamps {
    /// When its text will have been written.
    pub text: Position,
    /// Its ETag, with quotes.
    pub etag: String,
    /// Its Schedule-Tag, with quotes.
    pub schedule_tag: Option<String>,
}

impl HomeChange {
    /// The view it is made on.
    pub fn view(&self) -> &Arc<Home> {
        &self.base
    }

    /// Makes the home, which must not exist yet.
    pub fn create(&mut self) {
        self.steps.push(Step::Create);
    }

    /// Removes the home with everything in it.
    pub fn remove(&mut self) {
        self.steps.push(Step::Remove);
    }

    /// Makes a collection.
    pub fn create_collection(&mut self, collection: NewCollection) {
        self.steps.push(Step::NewCollection(collection));
    }

    /// Replaces the settings of a collection, or of the home itself.
    pub fn set(&mut self, collection: Id, settings: Settings) {
        self.steps.push(Step::Set(collection, settings));
    }

    /// Gives a collection another name, or the first one.
    pub fn rename(&mut self, collection: Id, name: impl Into<String>) {
        self.steps.push(Step::Rename(collection, name.into()));
    }

    /// Removes a collection. Its name and UIDs are free at once; it can be restored for a while.
    pub fn remove_collection(&mut self, collection: Id) {
        self.steps.push(Step::RemoveCollection(collection));
    }

    /// Makes or replaces an object.
    pub fn put(&mut self, collection: Id, put: Put) -> Stamps {
        let at = self.next();
        let tag = match put.tag {
            Tag::None => None,
            Tag::Keep(tag) => Some(tag),
            Tag::Move => Some(at),
        };
        self.steps.push(Step::Put(collection, put));
        self.stamps(collection, at, tag)
    }

    /// Removes an object.
    pub fn remove_object(&mut self, collection: Id, name: impl Into<String>) {
        let step = Step::RemoveObject(collection, name.into(), Absent::Refused);
        self.steps.push(step);
    }

    /// Removes an object unless somebody else did.
    pub(super) fn remove_object_if_there(&mut self, collection: Id, name: impl Into<String>) {
        let step = Step::RemoveObject(collection, name.into(), Absent::Fine);
        self.steps.push(step);
    }

    /// Moves an object of this home to another name or collection of it.
    pub fn relocate(&mut self, from: &Header, to: Id, name: impl Into<String>) -> Stamps {
        let at = Position {
            n: self.next().n.saturating_add(1),
            ..self.next()
        };
        self.steps
            .push(Step::Relocate(from.clone(), to, name.into()));
        self.stamps(to, at, from.tag.map(|_| at))
    }

    /// Replaces the dead properties of an object; its ETag stays.
    pub fn set_object_properties(
        &mut self,
        collection: Id,
        name: impl Into<String>,
        properties: Properties,
    ) {
        let step = Step::SetObjectProperties(collection, name.into(), properties);
        self.steps.push(step);
    }

    /// Brings a removed collection back; it is seen once it has a name.
    pub(super) fn restore_collection(&mut self, removed: Id) {
        self.steps.push(Step::Restore(removed));
    }

    fn next(&self) -> Position {
        position(self.base.revision().saturating_add(1), self.steps.len())
    }

    fn stamps(&self, collection: Id, text: Position, tag: Option<Position>) -> Stamps {
        let epoch = self.base.shared.epoch;
        let head = &self.base.head;
        let epochs = head.epochs.extended(epoch, head.revision.saturating_add(1));
        let stamp = |at: Position| stamp(collection, epochs.of(at.revision), at);
        Stamps {
            text,
            etag: stamp(text),
            schedule_tag: tag.map(stamp),
        }
    }
}

/// The first position of the n-th step of a revision.
pub(super) fn position(revision: u64, step: usize) -> Position {
    Position {
        revision,
        n: u32::try_from(step.saturating_mul(2)).unwrap_or(u32::MAX),
    }
}
