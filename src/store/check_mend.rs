//! Repairs of a home: headers made anew from texts, and the rows that follow from the others.

use super::check_home::Home;
use super::collection::{Component, Kind};
use super::header::{Fields, Header, Origin, Record};
use super::keys::{self, Tag};
use super::kv::Write;
use super::revision::{Epochs, encode_floor};
use super::{Id, Position};
use crate::ical::{self, Timestamp};
use crate::recur;

impl Home {
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
        let (wrong, extra) = self.misderived();
        for (key, value) in wrong {
            let value = Some(value);
            self.fixes.push(Write { key, value });
        }
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
