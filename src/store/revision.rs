//! The head of a home (its revision, time and epochs) and what each revision did.

use std::sync::Arc;

use bytes::Bytes;

use super::codec::{Decoder, Encoder, Malformed};
use super::{Id, Position};
use crate::ical::Timestamp;

/// Which revisions of a home were made in which epoch of the store: each epoch with the first
/// revision made in it, oldest first.
///
/// A restored backup begins a new epoch. A revision that the list gives another epoch than a token
/// does was made after the fork, in a past that was undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Epochs(Arc<[(u32, u64)]>);

impl Epochs {
    pub(super) fn none() -> Self {
        Self(Arc::new([]))
    }

    /// The epoch in which `revision` was made.
    pub(super) fn of(&self, revision: u64) -> u32 {
        let later = self.0.partition_point(|(_, first)| *first <= revision);
        let made = later.checked_sub(1).and_then(|i| self.0.get(i));
        made.map_or(0, |(epoch, _)| *epoch)
    }

    /// The list once `revision` is made in `epoch`.
    pub(super) fn extended(&self, epoch: u32, revision: u64) -> Self {
        if self.0.last().is_some_and(|(last, _)| *last == epoch) {
            return self.clone();
        }
        let new = self.0.iter().copied().chain([(epoch, revision)]);
        Self(new.collect())
    }
}

/// The row whose value a commit checks: who writes it has the home's next revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) revision: u64,
    /// Tells two writers apart that made the same revision, of which only one lasted.
    pub(super) nonce: u64,
    /// The time of the revision; never earlier than that of the one before.
    pub(super) modified: Timestamp,
    pub(super) epochs: Epochs,
    /// The home was removed; nothing is committed to it any more.
    pub(super) removed: bool,
}

impl Head {
    pub(super) fn absent() -> Self {
        Self {
            revision: 0,
            nonce: 0,
            modified: Timestamp::MIN,
            epochs: Epochs::none(),
            removed: false,
        }
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut row = Encoder::version(1);
        row.number(self.revision).number(self.nonce);
        row.time(self.modified).byte(u8::from(self.removed));
        row.many(self.epochs.0.iter(), |row, (epoch, first)| {
            row.number(u64::from(*epoch)).number(*first);
        });
        row.finish()
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let (_, mut row) = Decoder::version(row, 1)?;
        let head = Self {
            revision: row.number()?,
            nonce: row.number()?,
            modified: row.time()?,
            removed: row.byte()? != 0,
            epochs: Epochs(row.many(|row| Ok((row.small()?, row.number()?)))?.into()),
        };
        row.end()?;
        Ok(head)
    }
}

/// Who made a change, and with what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// The principal; none for the server itself.
    pub principal: Option<Id>,
    /// The client's name, as far as it is known.
    pub client: String,
}

/// What one revision of a home did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Its number.
    pub number: u64,
    /// When; never earlier than the revision before.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What was done, in a word or two.
    pub what: String,
    /// The collections (in the directory: principals) it touched.
    pub(super) touched: Vec<Touched>,
    /// The names that moved to another collection or were given up.
    pub(super) names: Vec<String>,
}

/// A collection or principal that a revision touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Touched {
    pub(super) id: Id,
    /// Its own row changed.
    pub(super) row: bool,
    /// Its members changed.
    pub(super) members: bool,
}

impl Revision {
    pub(super) fn encode(&self) -> Bytes {
        let mut row = Encoder::version(1);
        row.number(self.number).time(self.at);
        row.optional(self.actor.principal, |row, id| {
            row.id(id);
        });
        row.text(&self.actor.client).text(&self.what);
        row.many(self.touched.iter(), |row, touched| {
            let bits = u8::from(touched.row) | u8::from(touched.members) << 1;
            row.id(touched.id).byte(bits);
        });
        row.many(self.names.iter(), |row, name| {
            row.text(name);
        });
        row.finish()
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let (_, mut row) = Decoder::version(row, 1)?;
        let revision = Self {
            number: row.number()?,
            at: row.time()?,
            actor: Actor {
                principal: row.optional(Decoder::id)?,
                client: row.string()?,
            },
            what: row.string()?,
            touched: row.many(|row| {
                let id = row.id()?;
                let bits = row.byte()?;
                Ok(Touched {
                    id,
                    row: bits & 1 != 0,
                    members: bits & 2 != 0,
                })
            })?,
            names: row.many(Decoder::string)?,
        };
        row.end()?;
        Ok(revision)
    }
}

/// What became garbage when something was replaced or removed; kept for the time of history.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Garbage {
    /// An older header of an object, and the text of that header.
    Object {
        collection: Id,
        name: String,
        at: Position,
    },
    /// The tombstone of an object.
    Tombstone {
        collection: Id,
        name: String,
        at: Position,
    },
    /// An older row of a collection.
    Row { collection: Id, at: Position },
    /// A deleted collection, or one that was never named.
    Collection { collection: Id },
    /// A name that is gone.
    Name { name: String, at: Position },
    /// What is known of a UID whose object is gone.
    UidState { uid: String },
}

impl Garbage {
    pub(super) fn encode(&self) -> Bytes {
        let mut row = Encoder::version(1);
        match self {
            Self::Object {
                collection,
                name,
                at,
            } => row.byte(0).id(*collection).text(name).position(*at),
            Self::Tombstone {
                collection,
                name,
                at,
            } => row.byte(1).id(*collection).text(name).position(*at),
            Self::Row { collection, at } => row.byte(2).id(*collection).position(*at),
            Self::Collection { collection } => row.byte(3).id(*collection),
            Self::Name { name, at } => row.byte(4).text(name).position(*at),
            Self::UidState { uid } => row.byte(5).text(uid),
        };
        row.finish()
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let (_, mut row) = Decoder::version(row, 1)?;
        let garbage = match row.byte()? {
            0 => Self::Object {
                collection: row.id()?,
                name: row.string()?,
                at: row.position()?,
            },
            1 => Self::Tombstone {
                collection: row.id()?,
                name: row.string()?,
                at: row.position()?,
            },
            2 => Self::Row {
                collection: row.id()?,
                at: row.position()?,
            },
            3 => Self::Collection {
                collection: row.id()?,
            },
            4 => Self::Name {
                name: row.string()?,
                at: row.position()?,
            },
            5 => Self::UidState { uid: row.string()? },
            _ => return Err(Malformed),
        };
        row.end()?;
        Ok(garbage)
    }
}

/// The row of a collection's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// It names this collection.
    Collection(Id),
    /// Its collection was removed or got another name there.
    Gone(Position),
}

impl Named {
    pub(super) fn encode(self) -> Bytes {
        let mut row = Encoder::version(1);
        match self {
            Self::Collection(id) => row.byte(0).id(id),
            Self::Gone(at) => row.byte(1).position(at),
        };
        row.finish()
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let (_, mut row) = Decoder::version(row, 1)?;
        let named = match row.byte()? {
            0 => Self::Collection(row.id()?),
            1 => Self::Gone(row.position()?),
            _ => return Err(Malformed),
        };
        row.end()?;
        Ok(named)
    }
}

/// Whose a long text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) home: Id,
    pub(super) collection: Id,
    pub(super) name: String,
    pub(super) at: Position,
}

impl Owner {
    pub(super) fn encode(&self) -> Bytes {
        let mut row = Encoder::version(1);
        row.id(self.home).id(self.collection);
        row.text(&self.name).position(self.at);
        row.finish()
    }

    pub(super) fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let (_, mut row) = Decoder::version(row, 1)?;
        let owner = Self {
            home: row.id()?,
            collection: row.id()?,
            name: row.string()?,
            at: row.position()?,
        };
        row.end()?;
        Ok(owner)
    }
}

/// The value of a floor row.
pub(super) fn encode_floor(at: Position) -> Bytes {
    let mut row = Encoder::version(1);
    row.position(at);
    row.finish()
}

/// Reads a floor row.
pub(super) fn decode_floor(row: &[u8]) -> Result<Position, Malformed> {
    let (_, mut row) = Decoder::version(row, 1)?;
    let at = row.position()?;
    row.end()?;
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_belongs_to_the_epoch_it_was_made_in() {
        let epochs = Epochs::none().extended(7, 1).extended(7, 5).extended(9, 6);
        assert_eq!((epochs.of(0), epochs.of(1), epochs.of(5)), (0, 7, 7));
        assert_eq!((epochs.of(6), epochs.of(60)), (9, 9));
    }

    #[test]
    fn rows_survive_their_encoding() {
        let id = Id::from_bytes([3; 16]);
        let at = Position { revision: 9, n: 4 };
        let head = Head {
            revision: 12,
            nonce: u64::MAX,
            modified: Timestamp(-5),
            epochs: Epochs::none().extended(u32::MAX, 1),
            removed: true,
        };
        assert_eq!(Head::decode(&head.encode()), Ok(head));
        let touched = Touched {
            id,
            row: false,
            members: true,
        };
        let revision = Revision {
            number: 12,
            at: Timestamp(1),
            actor: Actor::default(),
            what: "PUT".into(),
            touched: vec![touched],
            names: vec!["work".into()],
        };
        assert_eq!(Revision::decode(&revision.encode()), Ok(revision));
        for named in [Named::Collection(id), Named::Gone(at)] {
            assert_eq!(Named::decode(&named.encode()), Ok(named));
        }
        let name = "a.ics".to_owned();
        let garbage = Garbage::Tombstone {
            collection: id,
            name,
            at,
        };
        assert_eq!(Garbage::decode(&garbage.encode()), Ok(garbage));
        assert_eq!(decode_floor(&encode_floor(at)), Ok(at));
    }
}
