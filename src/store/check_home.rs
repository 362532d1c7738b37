//! All rows of one home, read to be checked.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::check::readable;
use super::collection::{Collection, State};
use super::header::{Header, Origin, Record};
use super::keys::{self, Tag};
use super::kv::{Row, View, Write};
use super::load;
use super::revision::{Epochs, Garbage, Head, Named, Revision};
use super::{Error, Id, Position, Shared};

/// Something in a home that is not as it should be.
pub(super) struct Problem {
    pub(super) what: String,
    pub(super) mendable: bool,
}

/// The rows of a home, read.
pub(super) struct Home {
    pub(super) id: Id,
    pub(super) head: Option<Head>,
    pub(super) revisions: BTreeMap<u64, Revision>,
    pub(super) names: BTreeMap<String, Named>,
    pub(super) collections: BTreeMap<Id, Collection>,
    /// Collections that pruning has begun to remove.
    pub(super) dying: BTreeSet<Id>,
    pub(super) states: BTreeMap<Id, State>,
    pub(super) objects: BTreeMap<(Id, String), Record>,
    pub(super) old: BTreeMap<(Id, String, Position), Record>,
    /// Rows that follow from the others, as they are.
    pub(super) derived: BTreeMap<Bytes, Bytes>,
    pub(super) properties: BTreeSet<(Id, String)>,
    /// What pruning will forget.
    pub(super) garbage: BTreeSet<Garbage>,
    /// The live texts that were seen to be whole, and headers made anew.
    pub(super) seen: BTreeSet<(Id, String, Position)>,
    pub(super) rebuilt: BTreeSet<(Id, String)>,
    pub(super) lost: BTreeSet<(Id, String)>,
    pub(super) problems: Vec<Problem>,
    pub(super) fixes: Vec<Write>,
}

impl Home {
    /// Reads all rows of a home but its texts.
    pub(super) async fn read(shared: &Shared, id: Id) -> Result<Self, Error> {
        let mut home = Self {
            id,
            head: None,
            revisions: BTreeMap::new(),
            names: BTreeMap::new(),
            collections: BTreeMap::new(),
            dying: BTreeSet::new(),
            states: BTreeMap::new(),
            objects: BTreeMap::new(),
            old: BTreeMap::new(),
            derived: BTreeMap::new(),
            properties: BTreeSet::new(),
            garbage: BTreeSet::new(),
            seen: BTreeSet::new(),
            rebuilt: BTreeSet::new(),
            lost: BTreeSet::new(),
            problems: Vec::new(),
            fixes: Vec::new(),
        };
        for tag in [
            Tag::Head,
            Tag::Revision,
            Tag::Name,
            Tag::Collection,
            Tag::State,
            Tag::Garbage,
            Tag::Object,
            Tag::OldObject,
            Tag::Uid,
            Tag::Log,
            Tag::Properties,
        ] {
            let prefix = keys::all(id, tag);
            for row in load::all(shared, View::Ordered, prefix.clone()).await? {
                if let Err(what) = home.take(tag, &prefix, &row) {
                    home.problem(format!("{what}; it is removed or made anew"));
                    home.erase(row.key);
                }
            }
        }
        Ok(home)
    }

    fn take(&mut self, tag: Tag, prefix: &Bytes, row: &Row) -> Result<(), String> {
        let stray = || format!("stray row {}", row.key.escape_ascii());
        let epochs = || {
            self.head
                .as_ref()
                .map_or_else(Epochs::none, |h| h.epochs.clone())
        };
        let of = || keys::id_tail(&row.key, prefix).ok_or_else(stray);
        let text = |bytes: &[u8]| {
            std::str::from_utf8(bytes)
                .map(str::to_owned)
                .map_err(|_| stray())
        };
        match tag {
            Tag::Head => self.head = Some(readable(Head::decode(&row.value), &row.key)?),
            Tag::Revision => {
                let revision = readable(Revision::decode(&row.value), &row.key)?;
                self.revisions.insert(revision.number, revision);
            }
            Tag::Name => {
                let name = keys::tail(&row.key, prefix).ok_or_else(stray)?.to_owned();
                let named = readable(Named::decode(&row.value), &row.key)?;
                self.names.insert(name, named);
            }
            Tag::Collection => {
                let (id, _) = of()?;
                let read = Collection::decode(id, &row.value, epochs());
                self.collections.insert(id, readable(read, &row.key)?);
            }
            Tag::State => {
                let (id, _) = of()?;
                self.derived.insert(row.key.clone(), row.value.clone());
                self.states
                    .insert(id, readable(State::decode(&row.value), &row.key)?);
            }
            Tag::Garbage => {
                let garbage = readable(Garbage::decode(&row.value), &row.key)?;
                self.take_garbage(garbage);
            }
            Tag::Object | Tag::Properties => {
                let (collection, rest) = of()?;
                let name = text(rest)?;
                if tag == Tag::Properties {
                    self.properties.insert((collection, name));
                    return Ok(());
                }
                let epochs = epochs();
                let origin = Origin { collection, epochs };
                let record = readable(Record::decode(&name, &row.value, &origin), &row.key)?;
                self.derived.insert(row.key.clone(), row.value.clone());
                self.objects.insert((collection, name), record);
            }
            Tag::OldObject => {
                let (collection, rest) = of()?;
                let (name, at) = keys::text_tail(rest).ok_or_else(stray)?;
                let at = keys::position_of(at).ok_or_else(stray)?;
                let epochs = epochs();
                let origin = Origin { collection, epochs };
                let record = readable(Record::decode(&name, &row.value, &origin), &row.key)?;
                self.old.insert((collection, name, at), record);
            }
            _ => {
                of()?;
                self.derived.insert(row.key.clone(), row.value.clone());
            }
        }
        Ok(())
    }

    fn take_garbage(&mut self, garbage: Garbage) {
        if let Garbage::Collection { collection } = &garbage
            && !self.collections.contains_key(collection)
        {
            self.dying.insert(*collection);
        }
        self.garbage.insert(garbage);
    }

    pub(super) fn problem(&mut self, what: String) {
        self.problems.push(Problem {
            what,
            mendable: true,
        });
    }

    pub(super) fn hopeless(&mut self, what: String) {
        self.problems.push(Problem {
            what,
            mendable: false,
        });
    }

    pub(super) fn erase(&mut self, key: Bytes) {
        self.fixes.push(Write { key, value: None });
    }

    pub(super) fn erase_all(&mut self, keys: &[Bytes]) {
        for key in keys {
            self.erase(key.clone());
        }
    }

    /// Whether something can be mended.
    pub(super) fn is_damaged(&self) -> bool {
        self.problems.iter().any(|problem| problem.mendable)
    }

    pub(super) fn is_dying(&self, collection: Id) -> bool {
        self.dying.contains(&collection)
    }

    pub(super) fn id(&self) -> Id {
        self.id
    }

    pub(super) fn has_collection(&self, collection: Id) -> bool {
        self.collections.contains_key(&collection)
    }

    pub(super) fn count_collections(&self) -> u64 {
        self.collections.len() as u64
    }

    pub(super) fn count_objects(&self) -> u64 {
        self.live().count() as u64
    }

    pub(super) fn count_versions(&self) -> u64 {
        self.old.len() as u64
    }

    pub(super) fn live(&self) -> impl Iterator<Item = &Header> {
        self.objects.values().filter_map(|record| match record {
            Record::Live(header) => Some(header),
            Record::Tombstone(_) => None,
        })
    }

    /// The long texts that objects refer to, old and new.
    pub(super) fn blobs(&self) -> Vec<Id> {
        let records = self.objects.values().chain(self.old.values());
        let blobs = records.filter_map(|record| match record {
            Record::Live(header) => header.blob,
            Record::Tombstone(_) => None,
        });
        blobs.collect()
    }

    /// The newest revision that any row speaks of.
    pub(super) fn newest_revision(&self) -> u64 {
        let records = self.objects.values().map(|r| r.position().revision);
        let states = self.states.values().map(|state| state.changed.revision);
        let rows = self.collections.values().map(|c| c.row_changed.revision);
        let known = self.revisions.keys().next_back().copied();
        records
            .chain(states)
            .chain(rows)
            .chain(known)
            .max()
            .unwrap_or(0)
    }
}
