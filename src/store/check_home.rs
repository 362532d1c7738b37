//! All rows of one home, what they must be, and the difference.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::check::readable;
use super::collection::{Collection, Component, Kind, Settings, State};
use super::header::{Fields, Header, Origin, Record, on_disk, tombstone};
use super::home::{encode_uid, own_row};
use super::keys::{self, Tag};
use super::kv::{Row, View, Write};
use super::load;
use super::revision::{Epochs, Garbage, Head, Named, Owner, Revision, encode_floor};
use super::{Error, Id, Position, Shared};
use crate::ical::{self, Timestamp};
use crate::recur;

/// Something in a home that is not as it should be.
pub(super) struct Problem {
    pub(super) what: String,
    pub(super) mendable: bool,
}

/// The rows of a home, read.
pub(super) struct Home {
    id: Id,
    pub(super) head: Option<Head>,
    revisions: BTreeMap<u64, Revision>,
    pub(super) names: BTreeMap<String, Named>,
    pub(super) collections: BTreeMap<Id, Collection>,
    /// Collections that pruning has begun to remove.
    dying: BTreeSet<Id>,
    states: BTreeMap<Id, State>,
    pub(super) objects: BTreeMap<(Id, String), Record>,
    pub(super) old: BTreeMap<(Id, String, Position), Record>,
    /// Rows that follow from the others, as they are.
    derived: BTreeMap<Bytes, Bytes>,
    properties: BTreeSet<(Id, String)>,
    /// What pruning will forget.
    garbage: BTreeSet<Garbage>,
    /// The live texts that were seen to be whole, and headers made anew.
    pub(super) seen: BTreeSet<(Id, String, Position)>,
    pub(super) rebuilt: BTreeSet<(Id, String)>,
    lost: BTreeSet<(Id, String)>,
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

    fn hopeless(&mut self, what: String) {
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

    fn live(&self) -> impl Iterator<Item = &Header> {
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
        let expected = self.expected();
        for (key, value) in &expected {
            if self.derived.get(key) != Some(value) {
                self.problem(format!("row {} is not what it must be", key.escape_ascii()));
            }
        }
        let extra = self
            .derived
            .keys()
            .filter(|key| !expected.contains_key(*key));
        let extra: Vec<Bytes> = extra.filter(|key| !self.of_dying(key)).cloned().collect();
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
    fn forgettable(&self) -> Vec<Garbage> {
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

    /// Completes the writes of a repair that is made at this position.
    pub(super) fn finish_repair(&mut self, at: Position, time: Timestamp) {
        let lost = std::mem::take(&mut self.lost);
        let mut n = 0;
        let mut next = || {
            n += 1;
            Position { n, ..at }
        };
        for key in lost {
            self.objects.insert(key, Record::Tombstone(next()));
        }
        for (id, collection) in &mut self.collections {
            let changed = next();
            collection.row_changed = changed;
            collection.visible = collection.visible.min(changed);
            let state = self.states.entry(*id).or_insert_with(|| collection.state());
            state.changed = changed;
            state.modified = time;
            let writes = [
                (keys::of(self.id, Tag::Collection, *id), collection.encode()),
                (keys::of(self.id, Tag::Floor, *id), encode_floor(changed)),
            ];
            self.fixes.extend(writes.map(|(key, value)| Write {
                key,
                value: Some(value),
            }));
        }
        for (name, named) in &self.names {
            self.fixes.push(Write {
                key: keys::name(self.id, name),
                value: Some(named.encode()),
            });
        }
        for (n, garbage) in (0..).zip(self.forgettable()) {
            self.fixes.push(Write {
                key: keys::garbage(self.id, Position { n, ..at }),
                value: Some(garbage.encode()),
            });
        }
        let expected = self.expected();
        for (key, value) in &expected {
            if self.derived.get(key) != Some(value) {
                let (key, value) = (key.clone(), Some(value.clone()));
                self.fixes.push(Write { key, value });
            }
        }
        let extra = self
            .derived
            .keys()
            .filter(|key| !expected.contains_key(*key));
        let extra: Vec<Bytes> = extra.filter(|key| !self.of_dying(key)).cloned().collect();
        for key in extra {
            self.erase(key);
        }
    }

    /// An object whose text is gone: it is removed.
    pub(super) fn lose(&mut self, collection: Id, name: &str) {
        self.problem(format!(
            "the text of {name:?} is missing or not whole; it is removed"
        ));
        self.lost.insert((collection, name.to_owned()));
    }

    /// Whether the header says what the text says; if not, it gets a new one.
    pub(super) fn check_header(&mut self, header: &Header, text: &[u8]) {
        let size_bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let calendar = self.collections.get(&header.collection);
        let derives = calendar.is_some_and(|c| c.kind == Kind::Calendar);
        let derived = Derived::of(text).filter(|_| derives).unwrap_or(Derived {
            uid: header.uid().to_owned(),
            component: header.component,
            summary: header.summary().to_vec(),
        });
        let same = derived.uid == header.uid() && derived.component == header.component;
        if same && derived.summary == header.summary() && size_bytes == header.size_bytes {
            return;
        }
        let name = header.name().to_owned();
        self.problem(format!("the header of {name:?} is not that of its text"));
        let fields = Fields {
            uid: &derived.uid,
            component: derived.component,
            summary: &derived.summary,
            size_bytes,
            ..header.fields()
        };
        self.put_record(header.collection, &fields);
    }

    /// The header of a text that has none.
    pub(super) fn rebuild(
        &mut self,
        (collection, name, at): (Id, &str, Position),
        (text, blob): (&[u8], Option<Id>),
    ) {
        self.problem(format!(
            "the header of {name:?} is missing; it is made anew"
        ));
        let derived = Derived::of(text);
        let time = self.revisions.get(&at.revision).map(|revision| revision.at);
        let time = time.or(self.head.as_ref().map(|head| head.modified));
        let time = time.unwrap_or(Timestamp(0));
        let fields = Fields {
            name,
            uid: derived.as_ref().map_or("", |derived| &derived.uid),
            summary: derived.as_ref().map_or(&[], |derived| &derived.summary),
            position: at,
            text: at,
            shared: at,
            tag: None,
            size_bytes: u32::try_from(text.len()).unwrap_or(u32::MAX),
            component: derived.as_ref().and_then(|derived| derived.component),
            created: time,
            modified: time,
            has_properties: self.properties.contains(&(collection, name.to_owned())),
            blob,
        };
        self.put_record(collection, &fields);
        self.rebuilt.insert((collection, name.to_owned()));
        self.seen.insert((collection, name.to_owned(), at));
    }

    fn put_record(&mut self, collection: Id, fields: &Fields<'_>) {
        let head = self.head.as_ref();
        let epochs = head.map_or_else(Epochs::none, |head| head.epochs.clone());
        let origin = Origin { collection, epochs };
        if let Ok(record) = Record::read(fields.encode(), &origin) {
            self.objects
                .insert((collection, fields.name.to_owned()), record);
        }
    }
}

/// What a header takes from its text.
struct Derived {
    uid: String,
    component: Option<Component>,
    summary: Vec<u8>,
}

impl Derived {
    fn of(text: &[u8]) -> Option<Self> {
        let parsed = ical::parse(text, &ical::Limits::default());
        let calendar = parsed.calendars.first()?;
        let main = calendar.all_components().find_map(|component| {
            let kind = Component::named(component.name())?;
            Some((component.text("UID")?.into_owned(), kind))
        });
        let (uid, component) = main?;
        Some(Self {
            uid,
            component: Some(component),
            summary: recur::summary(calendar).encode(),
        })
    }
}
