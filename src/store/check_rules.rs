//! What the rows of a home must be, against what they are.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::check_home::Home;
use super::collection::{Collection, Kind, Settings, State};
use super::header::{Record, on_disk, tombstone};
use super::home::{encode_uid, own_row};
use super::keys::{self, Tag};
use super::revision::{Garbage, Named, Owner};
use super::{Error, Id, Shared};
use crate::ical::Timestamp;

impl Home {
    /// Finds everything that is not as it should be.
    pub(super) async fn check(
        &mut self,
        shared: &Shared,
        longs: Option<&Vec<(Id, Owner)>>,
    ) -> Result<(), Error> {
        self.check_revisions();
        self.find_collections();
        super::check_texts::check(self, shared).await?;
        let longs = longs.map_or(&[][..], Vec::as_slice);
        super::check_texts::check_longs(self, shared, longs).await?;
        self.check_names();
        self.check_uids();
        let (wrong, extra) = self.misderived();
        for (key, _) in wrong {
            self.problem(format!("row {} is not what it must be", key.escape_ascii()));
        }
        for key in extra {
            self.problem(format!("nothing stands behind row {}", key.escape_ascii()));
        }
        for garbage in self.forgettable() {
            self.problem(format!("{garbage:?} would never be forgotten"));
        }
        let with = self.live().filter(|h| h.has_properties);
        let with: BTreeSet<(Id, String)> =
            with.map(|h| (h.collection, h.name().to_owned())).collect();
        let stray = self.properties.difference(&with);
        let stray = stray.filter(|(id, _)| !self.dying.contains(id));
        for (collection, name) in stray.cloned().collect::<Vec<_>>() {
            self.problem(format!("properties of {name:?}, which has none"));
            self.erase(keys::properties(self.id, collection, &name));
        }
        Ok(())
    }

    fn of_dying(&self, key: &Bytes) -> bool {
        let id = key.get(18..34).and_then(|id| <[u8; 16]>::try_from(id).ok());
        id.is_some_and(|id| self.dying.contains(&Id::from_bytes(id)))
    }

    /// What is of the past, and has no row that makes pruning forget it.
    pub(super) fn forgettable(&self) -> Vec<Garbage> {
        let old = self.old.keys().cloned();
        let old = old.map(|(collection, name, at)| Garbage::Object {
            collection,
            name,
            at,
        });
        let tombstones = self
            .objects
            .iter()
            .filter_map(|((collection, name), record)| {
                let Record::Tombstone(at) = record else {
                    return None;
                };
                Some(Garbage::Tombstone {
                    collection: *collection,
                    name: name.clone(),
                    at: *at,
                })
            });
        let dead = self
            .collections
            .values()
            .filter(|c| c.id != self.id && (c.removed.is_some() || c.name.is_empty()));
        let dead = dead.map(|c| Garbage::Collection { collection: c.id });
        let names = self.names.iter().filter_map(|(name, named)| match named {
            Named::Gone(at) => Some(Garbage::Name {
                name: name.clone(),
                at: *at,
            }),
            Named::Collection(_) => None,
        });
        let of_dying = |garbage: &Garbage| match garbage {
            Garbage::Object { collection, .. } | Garbage::Tombstone { collection, .. } => {
                self.dying.contains(collection)
            }
            _ => false,
        };
        let all = old.chain(tombstones).chain(dead).chain(names);
        all.filter(|garbage| !self.garbage.contains(garbage) && !of_dying(garbage))
            .collect()
    }

    fn check_revisions(&mut self) {
        let Some(head) = self.head.clone() else {
            self.problem("the head of the home is missing".to_owned());
            return;
        };
        if !self.revisions.contains_key(&head.revision) {
            self.problem(format!("revision {} has no row", head.revision));
        }
        if self.newest_revision() > head.revision {
            self.problem(format!(
                "there is something newer than revision {}",
                head.revision
            ));
        }
        let times: Vec<Timestamp> = self.revisions.values().map(|r| r.at).collect();
        if !times.is_sorted() {
            self.hopeless("time runs backwards between revisions".to_owned());
        }
    }

    /// Objects need a collection to be in.
    fn find_collections(&mut self) {
        let wanted: BTreeSet<Id> = self.objects.keys().map(|(id, _)| *id).collect();
        for id in wanted {
            if self.collections.contains_key(&id) || self.dying.contains(&id) {
                continue;
            }
            self.recover_collection(id);
        }
        if !self.collections.contains_key(&self.id) {
            self.problem("the home's own row is missing".to_owned());
            self.collections.insert(self.id, own_row(self.id));
        }
    }

    /// Makes a row for a collection that has lost its own.
    pub(super) fn recover_collection(&mut self, id: Id) {
        let name = format!("recovered-{:08x}", id.prefix());
        self.problem(format!("collection {id} has no row; it is named {name}"));
        let collection = Collection {
            id,
            name,
            kind: Kind::Calendar,
            settings: Settings::default(),
            ..own_row(self.id)
        };
        self.collections.insert(id, collection);
    }

    fn check_names(&mut self) {
        let mut taken: BTreeMap<String, Id> = BTreeMap::new();
        let mut renamed = Vec::new();
        for (id, collection) in &mut self.collections {
            if collection.removed.is_some() || collection.name.is_empty() {
                continue;
            }
            if taken.contains_key(&collection.name) {
                renamed.push(collection.name.clone());
                collection.name = format!("{}-{:08x}", collection.name, id.prefix());
            }
            taken.insert(collection.name.clone(), *id);
        }
        for name in renamed {
            self.problem(format!(
                "two collections are named {name:?}; one gets another name"
            ));
        }
        for (name, id) in &taken {
            if self.names.get(name) != Some(&Named::Collection(*id)) {
                self.problem(format!("the name {name:?} does not lead to its collection"));
                self.names.insert(name.clone(), Named::Collection(*id));
            }
        }
        let names = self.names.iter();
        let stray = names.filter(|(name, named)| {
            matches!(named, Named::Collection(_)) && !taken.contains_key(*name)
        });
        for name in stray.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.problem(format!("the name {name:?} leads nowhere"));
            self.names.remove(&name);
            self.erase(keys::name(self.id, &name));
        }
    }

    fn check_uids(&mut self) {
        let mut taken = BTreeMap::new();
        let mut twice = Vec::new();
        for header in self.live() {
            let unique = self.collections.get(&header.collection);
            if !unique.is_some_and(Collection::unique_uids) || header.uid().is_empty() {
                continue;
            }
            let uid = (header.collection, header.uid().to_owned());
            if let Some(other) = taken.insert(uid, header.name()) {
                twice.push(format!(
                    "{other:?} and {:?} have the same UID; remove one of them",
                    header.name()
                ));
            }
        }
        for what in twice {
            self.hopeless(what);
        }
    }

    /// Rows that do not follow from the others as they are: those to be written, and those that nothing stands behind.
    pub(super) fn misderived(&self) -> (Vec<(Bytes, Bytes)>, Vec<Bytes>) {
        let mut wrong = self.expected();
        let mut extra = Vec::new();
        for (key, value) in &self.derived {
            match wrong.get(key) {
                Some(expected) if expected == value => drop(wrong.remove(key)),
                Some(_) => {}
                None if self.of_dying(key) => {}
                None => extra.push(key.clone()),
            }
        }
        (wrong.into_iter().collect(), extra)
    }

    /// The rows that follow from the others: headers, log, UIDs, states.
    fn expected(&self) -> BTreeMap<Bytes, Bytes> {
        let mut rows = BTreeMap::new();
        let mut states: BTreeMap<Id, State> = BTreeMap::new();
        for (id, collection) in &self.collections {
            let known = self.states.get(id).copied();
            let state = known.unwrap_or_else(|| collection.state());
            let (count, bytes) = (0, 0);
            states.insert(
                *id,
                State {
                    count,
                    bytes,
                    ..state
                },
            );
        }
        for ((collection, name), record) in &self.objects {
            let Some(state) = states.get_mut(collection) else {
                continue;
            };
            let at = record.position();
            state.changed = state.changed.max(at);
            rows.insert(keys::log(self.id, *collection, at), encode_uid(name));
            let key = keys::object(self.id, *collection, name);
            match record {
                Record::Tombstone(at) => {
                    rows.insert(key, on_disk(&tombstone(name, *at)));
                }
                Record::Live(header) => {
                    state.count += 1;
                    state.bytes += u64::from(header.size_bytes);
                    rows.insert(key, header.on_disk());
                    let unique = self.collections.get(collection);
                    if unique.is_some_and(Collection::unique_uids) && !header.uid().is_empty() {
                        let key = keys::uid(self.id, *collection, header.uid());
                        // Of two with one UID the one that the index names keeps it.
                        let kept = self.derived.get(&key) == rows.get(&key);
                        if !rows.contains_key(&key) || !kept {
                            rows.insert(key, encode_uid(name));
                        }
                    }
                }
            }
        }
        for (id, state) in states {
            rows.insert(keys::of(self.id, Tag::State, id), state.encode());
        }
        rows
    }
}
