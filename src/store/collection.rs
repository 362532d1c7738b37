//! A collection of a home: calendar, inbox, outbox, notifications, or the home itself as a row.
//!
//! The store does not look into properties: they are XML by name. Typed are only the columns that
//! the store or a query needs (RFC 4791 §5.2).

use std::collections::BTreeMap;

use bytes::Bytes;

use super::codec::{Decoder, Encoder, Malformed};
use super::revision::Epochs;
use super::{Id, Position};
use crate::ical::Timestamp;

/// Properties by Clark name, `{namespace}local`, each the XML of its element.
pub type Properties = BTreeMap<String, String>;

/// What a collection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The home itself, which has properties too.
    Home,
    /// A calendar; RFC 4791 §4.2.
    Calendar,
    /// The scheduling inbox; RFC 6638 §2.2.
    Inbox,
    /// The scheduling outbox; RFC 6638 §2.1.
    Outbox,
    /// Apple's notification collection.
    Notifications,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Home,
        Self::Calendar,
        Self::Inbox,
        Self::Outbox,
        Self::Notifications,
    ];
}

/// What kind of component an object is; RFC 4791 §4.1 allows one in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Component {
    /// VEVENT
    Event,
    /// VTODO
    Todo,
    /// VJOURNAL
    Journal,
    /// VFREEBUSY
    FreeBusy,
    /// VAVAILABILITY
    Availability,
}

impl Component {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Event,
        Self::Todo,
        Self::Journal,
        Self::FreeBusy,
        Self::Availability,
    ];

    /// Its name in iCalendar.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Event => "VEVENT",
            Self::Todo => "VTODO",
            Self::Journal => "VJOURNAL",
            Self::FreeBusy => "VFREEBUSY",
            Self::Availability => "VAVAILABILITY",
        }
    }

    /// The kind of this name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|component| component.name().eq_ignore_ascii_case(name))
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    pub(super) const fn code(self) -> u8 {
        self as u8
    }

    pub(super) fn decode(code: u8) -> Result<Self, Malformed> {
        let component = Self::ALL.get(usize::from(code));
        component.copied().ok_or(Malformed)
    }
}

/// A set of kinds of components.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Components(u8);

impl Components {
    /// Every kind.
    pub const ALL: Self = Self(0b1_1111);

    /// These kinds.
    pub fn of(components: &[Component]) -> Self {
        Self(components.iter().fold(0, |bits, c| bits | c.bit()))
    }

    /// Whether the kind is one of them.
    pub const fn contains(self, component: Component) -> bool {
        self.0 & component.bit() != 0
    }

    /// Whether it is the empty set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds, in the order of [`Component::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Component> {
        let all = Component::ALL.into_iter();
        all.filter(move |component| self.contains(*component))
    }
}

/// A calendar's time zone; RFC 4791 §5.2.2 and RFC 7809 §5.2.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Timezone {
    /// The identifier of a zone that the server knows.
    Id(String),
    /// An iCalendar object with one VTIMEZONE, as the client sent it.
    Text(String),
}

/// What the owner of a collection can set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The components it takes; of no meaning for other kinds than calendars.
    pub components: Components,
    /// The zone of floating times.
    pub timezone: Option<Timezone>,
    /// Its events do not make the owner busy; RFC 6638 §9.1.
    pub transparent: bool,
    /// All other properties.
    pub properties: Properties,
}

/// Whose view of a collection a token is for. A shared calendar will have a layer for each sharee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Viewer {
    /// The owner, who sees all of it.
    #[default]
    Owner,
}

/// A collection as a view of its home shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    /// Its identifier, DAV:resource-id.
    pub id: Id,
    /// Its name in the home; empty for the home itself and while it is not visible yet.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// When it was made.
    pub created: Timestamp,
    /// When its row last changed.
    pub row_modified: Timestamp,
    /// When its members last changed.
    pub members_modified: Timestamp,
    /// What its owner set.
    pub settings: Settings,
    /// The last change of its row.
    pub row_changed: Position,
    /// The last change of its members.
    pub members_changed: Position,
    /// Since when it is visible under its name.
    pub(super) visible: Position,
    /// Another one had its name before: who knows that one's members cannot be told what became of
    /// each of them.
    pub(super) reused: bool,
    /// When it was removed; it can be restored.
    pub(super) removed: Option<Removed>,
    /// The number of its objects.
    pub count: u64,
    /// The bytes of its objects' texts.
    pub bytes: u64,
    pub(super) epochs: Epochs,
}

/// When a collection was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Removed {
    pub(super) at: Position,
    pub(super) time: Timestamp,
}

/// The newest change of a collection's members, their number and bytes: the row that every change
/// of an object writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) changed: Position,
    pub(super) modified: Timestamp,
    pub(super) count: u64,
    pub(super) bytes: u64,
}

impl Collection {
    /// What sorts collections by when they were made; those of one second by when they got their names.
    pub fn age(&self) -> (Timestamp, Position) {
        (self.created, self.visible)
    }

    /// When its row or its members last changed.
    pub fn modified(&self) -> Timestamp {
        self.row_modified.max(self.members_modified)
    }

    /// Whether UIDs are unique in it: RFC 4791 §5.3.2.1 asks that of calendars only.
    pub fn unique_uids(&self) -> bool {
        self.kind == Kind::Calendar
    }

    /// The newest change of any kind, for the home's own sync.
    pub fn changed(&self) -> Position {
        self.row_changed.max(self.members_changed)
    }

    pub(super) fn state(&self) -> State {
        State {
            changed: self.members_changed,
            modified: self.members_modified,
            count: self.count,
            bytes: self.bytes,
        }
    }

    pub(super) fn set_state(&mut self, state: State) {
        self.members_changed = state.changed;
        self.members_modified = state.modified;
        self.count = state.count;
        self.bytes = state.bytes;
    }

    /// The row without the state of its members, which has a row of its own.
    pub(super) fn encode(&self) -> Bytes {
        let mut row = Encoder::version(1);
        let kind = Kind::ALL.iter().position(|kind| *kind == self.kind);
        row.byte(kind.and_then(|k| u8::try_from(k).ok()).unwrap_or(u8::MAX));
        row.text(&self.name).time(self.created);
        row.position(self.row_changed).time(self.row_modified);
        row.position(self.visible).byte(u8::from(self.reused));
        row.optional(self.removed, |row, removed| {
            row.position(removed.at).time(removed.time);
        });
        encode_settings(&mut row, &self.settings);
        row.finish()
    }

    /// The collection of this row; its members are unknown yet.
    pub(super) fn decode(id: Id, row: &[u8], epochs: Epochs) -> Result<Self, Malformed> {
        let (_, mut row) = Decoder::version(row, 1)?;
        let kind = Kind::ALL.get(usize::from(row.byte()?)).copied();
        let collection = Self {
            id,
            kind: kind.ok_or(Malformed)?,
            name: row.string()?,
            created: row.time()?,
            row_changed: row.position()?,
            row_modified: row.time()?,
            visible: row.position()?,
            reused: row.byte()? != 0,
            removed: row.optional(|row| {
                Ok(Removed {
                    at: row.position()?,
                    time: row.time()?,
                })
            })?,
            settings: decode_settings(&mut row)?,
            members_changed: Position::START,
            members_modified: Timestamp::MIN,
            count: 0,
            bytes: 0,
            epochs,
        };
        row.end()?;
        Ok(collection)
    }
}

impl State {
    pub(super) fn encode(&self) -> Bytes {
        let mut row = Encoder::version(1);
        row.position(self.changed).time(self.modified);
        row.number(self.count).number(self.bytes);
        row.finish()
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let (_, mut row) = Decoder::version(row, 1)?;
        let state = Self {
            changed: row.position()?,
            modified: row.time()?,
            count: row.number()?,
            bytes: row.number()?,
        };
        row.end()?;
        Ok(state)
    }
}

fn encode_settings(row: &mut Encoder, settings: &Settings) {
    row.byte(settings.components.0);
    match &settings.timezone {
        None => row.byte(0),
        Some(Timezone::Id(id)) => row.byte(1).text(id),
        Some(Timezone::Text(text)) => row.byte(2).text(text),
    };
    row.byte(u8::from(settings.transparent));
    encode_properties(row, &settings.properties);
}

fn decode_settings(row: &mut Decoder<'_>) -> Result<Settings, Malformed> {
    Ok(Settings {
        components: Components(row.byte()? & Components::ALL.0),
        timezone: match row.byte()? {
            0 => None,
            1 => Some(Timezone::Id(row.string()?)),
            2 => Some(Timezone::Text(row.string()?)),
            _ => return Err(Malformed),
        },
        transparent: row.byte()? != 0,
        properties: decode_properties(row)?,
    })
}

pub(super) fn encode_properties(row: &mut Encoder, properties: &Properties) {
    row.many(properties.iter(), |row, (name, xml)| {
        row.text(name).text(xml);
    });
}

pub(super) fn decode_properties(row: &mut Decoder<'_>) -> Result<Properties, Malformed> {
    let pairs = row.many(|row| Ok((row.string()?, row.string()?)))?;
    Ok(pairs.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_everything_but_the_members() {
        let id = Id::from_bytes([3; 16]);
        let properties = [("{DAV:}displayname".to_owned(), "<x/>".to_owned())];
        let collection = Collection {
            id,
            name: "work".into(),
            kind: Kind::Calendar,
            created: Timestamp(5),
            row_modified: Timestamp(6),
            members_modified: Timestamp::MIN,
            settings: Settings {
                components: Components::of(&[Component::Todo, Component::Journal]),
                timezone: Some(Timezone::Id("Europe/Berlin".into())),
                transparent: true,
                properties: properties.into(),
            },
            row_changed: Position { revision: 3, n: 1 },
            members_changed: Position::START,
            visible: Position { revision: 2, n: 0 },
            reused: true,
            removed: Some(Removed {
                at: Position { revision: 9, n: 0 },
                time: Timestamp(7),
            }),
            count: 0,
            bytes: 0,
            epochs: Epochs::none(),
        };
        let row = collection.encode();
        assert_eq!(
            Collection::decode(id, &row, Epochs::none()).as_ref(),
            Ok(&collection)
        );
        for end in 0..row.len() {
            assert!(Collection::decode(id, &row[..end], Epochs::none()).is_err());
        }
        let names: Vec<_> = collection.settings.components.iter().collect();
        assert_eq!(names, [Component::Todo, Component::Journal]);
        assert_eq!(Component::named("vtodo"), Some(Component::Todo));
    }
}
