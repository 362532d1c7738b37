//! Sync tokens and the answers to them; RFC 6578 §3.
//!
//! A token says up to where its owner knows a collection: (epoch, collection, position). While an
//! initial sync is given out in pages it also says how far the walk has come, because a client that
//! has only begun knows nothing that could have been removed before it began.

use std::fmt;

use super::collection::Viewer;
use super::header::{Header, Origin};
use super::{Collection, Id, Position, hex};
use std::sync::Arc;

/// The changes of a collection since a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Each changed name once, oldest change first.
    pub entries: Vec<Entry>,
    /// The token that continues behind these.
    pub token: String,
    /// There are more.
    pub truncated: bool,
}

/// A changed name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// What it is now; none if it was removed.
    pub header: Option<Header>,
}

/// The changes of a home since a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeChanges {
    /// Oldest change first.
    pub entries: Vec<HomeEntry>,
    /// The token that continues behind these.
    pub token: String,
    /// There are more.
    pub truncated: bool,
}

/// A change in a home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HomeEntry {
    /// A collection was made or changed, itself or its members.
    Collection(Arc<Collection>),
    /// A collection was made whose members no sync tells of.
    NoSync(Arc<Collection>),
    /// No collection has this name any more.
    CollectionGone(String),
    /// An object was made or changed.
    Object(Arc<Collection>, Header),
    /// An object was removed.
    ObjectGone(Arc<Collection>, String),
}

/// How deep the sync of a home looks; RFC 6578 §3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The collections: sync-level 1.
    Members,
    /// Also the objects in them: sync-level infinite.
    All,
}

/// A token that cannot be answered: DAV:valid-sync-token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadToken {
    /// It is not a token of this collection.
    Unknown,
    /// It is of a time that the history has forgotten.
    Old,
    /// It is of a past that a restored backup has undone.
    Undone,
}

impl fmt::Display for BadToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "this is not a sync token of this collection",
            Self::Old => "the sync token is too old",
            Self::Undone => "the sync token is from before a restored backup",
        })
    }
}

/// Up to where a client knows a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Since {
    /// Removals up to here are known, or are of objects that the client never saw.
    pub(super) known: Position,
    /// Objects up to here are known.
    pub(super) walked: Position,
}

const SCHEME: &str = "kalends:1o:";

impl Since {
    /// A client that knows everything up to here.
    pub(super) fn upto(position: Position) -> Self {
        Self {
            known: position,
            walked: position,
        }
    }

    /// A client that knows nothing, when `last` is the newest change.
    pub(super) fn initial(last: Position) -> Self {
        Self {
            known: last,
            walked: Position::START,
        }
    }

    /// The same client, having been told of everything up to `position`.
    pub(super) fn walked(self, position: Position) -> Self {
        Self {
            known: self.known.max(position),
            walked: position,
        }
    }

    pub(super) fn token(self, origin: &Origin, viewer: Viewer) -> String {
        let Viewer::Owner = viewer;
        let epoch = origin.epochs.of(self.known.revision);
        let mut token = String::with_capacity(96);
        token.push_str(SCHEME);
        hex::push(&mut token, epoch.into());
        token.push(':');
        origin.collection.push_to(&mut token);
        push_position(&mut token, self.known);
        if self.walked != self.known {
            push_position(&mut token, self.walked);
        }
        token
    }

    /// Reads a token of a collection whose newest change is `last`.
    pub(super) fn read(token: &str, origin: &Origin, last: Position) -> Result<Self, BadToken> {
        let (epoch, since) = Self::parse(token, origin.collection).ok_or(BadToken::Unknown)?;
        if origin.epochs.of(since.known.revision) != epoch {
            return Err(BadToken::Undone);
        }
        if since.known > last || since.walked > since.known {
            return Err(BadToken::Unknown);
        }
        Ok(since)
    }

    fn parse(token: &str, collection: Id) -> Option<(u32, Self)> {
        let mut fields = token.strip_prefix(SCHEME)?.split(':');
        let epoch = u32::from_str_radix(fields.next()?, 16).ok()?;
        if fields.next()?.parse() != Ok(collection) {
            return None;
        }
        let known = position(fields.next()?)?;
        let walked = fields.next().map_or(Some(known), position)?;
        if fields.next().is_some() {
            return None;
        }
        Some((epoch, Self { known, walked }))
    }
}

fn push_position(token: &mut String, Position { revision, n }: Position) {
    token.push(':');
    hex::push(token, revision);
    token.push('.');
    hex::push(token, n.into());
}

fn position(text: &str) -> Option<Position> {
    let (revision, n) = text.split_once('.')?;
    Some(Position {
        revision: u64::from_str_radix(revision, 16).ok()?,
        n: u32::from_str_radix(n, 16).ok()?,
    })
}

impl Collection {
    /// The sync token of the members; RFC 6578 §4.
    pub fn token(&self, viewer: Viewer) -> String {
        Since::upto(self.members_changed).token(&self.origin(), viewer)
    }

    /// The CTag: it moves with every change of a member.
    pub fn ctag(&self) -> String {
        self.token(Viewer::Owner)
    }

    pub(super) fn origin(&self) -> Origin {
        Origin {
            collection: self.id,
            epochs: self.epochs.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::revision::Epochs;

    #[test]
    fn a_token_is_of_one_collection_and_one_past() {
        let collection = Id::from_bytes([4; 16]);
        let epochs = Epochs::none().extended(0xabc, 1).extended(0xdef, 10);
        let origin = Origin { collection, epochs };
        let at = |revision, n| Position { revision, n };
        let last = at(20, 3);
        for since in [
            Since::upto(at(9, 4)),
            Since::upto(last),
            Since::initial(last).walked(at(2, 0)),
        ] {
            let token = since.token(&origin, Viewer::Owner);
            assert_eq!(Since::read(&token, &origin, last), Ok(since), "{token}");
        }
        let token = Since::upto(at(9, 4)).token(&origin, Viewer::Owner);
        let undone = token.replace(":abc:", ":def:");
        assert_eq!(
            Since::read(&undone, &origin, last),
            Err(BadToken::Undone),
            "{undone}"
        );
        let early = Since::read(&token, &origin, at(9, 3));
        assert_eq!(early, Err(BadToken::Unknown));
        let other = Origin {
            collection: Id::from_bytes([5; 16]),
            epochs: origin.epochs.clone(),
        };
        for (token, origin) in [
            (token.as_str(), &other),
            ("", &origin),
            ("kalends:1o:abc", &origin),
            ("data:,1", &origin),
            (&format!("{token}:1.1:1.1"), &origin),
        ] {
            let read = Since::read(token, origin, last);
            assert_eq!(read, Err(BadToken::Unknown), "{token}");
        }
    }
}
