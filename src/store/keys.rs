//! The keys of all rows above the engine; nothing else builds or reads one.
//!
//! | key | row |
//! |---|---|
//! | h/home/A | head: revision, time, epochs |
//! | h/home/r/rev | who did what, and which collections it touched |
//! | h/home/n/name | a collection's id, or that the name is gone |
//! | h/home/c/cal | collection row;  v/cal/position: an older one |
//! | h/home/s/cal | newest change of its members, their number and bytes |
//! | h/home/o/cal/name | header or tombstone;  w/cal/name/position: an older one |
//! | h/home/b/cal/name/position/chunk | text of an object |
//! | h/home/p/cal/name | dead properties of an object |
//! | h/home/u/cal/uid | the name that has this UID |
//! | h/home/x/cal/position | change log: the name changed there |
//! | h/home/f/cal | floor: the oldest position a token may have |
//! | h/home/g/position | what became garbage there |
//! | h/home/m/uid | scheduling state of a UID |
//! | h/home/j/time/number | scheduling journal |
//! | d/P/id, d/K/id, d/U/id/app | principal, credentials, last use of an app password |
//! | d/M/group/member | membership |
//! | l/blob, l/blob/chunk | whose a long text is, and the text, which is written beforehand |
//! | i/blob | when a long text was begun, until it is referred to |
//! | q/l/home/home/uid/rev, q/m/due/id | messages that wait (built in `queue`) |
//! | s/shelf/key | what parts above keep beside the homes (built in `shelf`) |
//! | meta/… | format version, epoch |
//!
//! The directory has the head, `r` and `g` rows of a home under `d`.

use bytes::{BufMut, Bytes, BytesMut};

use super::{Id, Position};

/// One kind of row below a home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Tag {
    Head = b'A',
    Revision = b'r',
    Name = b'n',
    Collection = b'c',
    OldCollection = b'v',
    State = b's',
    Object = b'o',
    OldObject = b'w',
    Text = b'b',
    Properties = b'p',
    Uid = b'u',
    Log = b'x',
    Floor = b'f',
    UidState = b'm',
    Journal = b'j',
    Garbage = b'g',
    Principal = b'P',
    Credentials = b'K',
    Use = b'U',
    Membership = b'M',
}

/// The row in which the store's format version is.
pub(super) const FORMAT: &[u8] = b"meta/format";

/// The row in which the store's epoch is.
pub(super) const EPOCH: &[u8] = b"meta/epoch";

/// The rows that parts above the store keep beside the homes begin with this.
pub(super) const SHELVES: &[u8] = b"s/";

/// Every row of a home begins with this, and then the home's id.
pub(super) const HOMES: &[u8] = b"h";

/// All rows of a home.
pub(super) fn home(home: Id) -> Bytes {
    [HOMES, home.as_bytes()].concat().into()
}

/// A key that grows field by field.
struct Key(BytesMut);

impl Key {
    fn below(home: Id, tag: Tag) -> Self {
        let mut key = BytesMut::with_capacity(64);
        if home == Id::DIRECTORY {
            key.put_u8(b'd');
        } else {
            key.put_u8(b'h');
            key.put_slice(home.as_bytes());
        }
        key.put_u8(tag as u8);
        Self(key)
    }

    fn id(mut self, id: Id) -> Self {
        self.0.put_slice(id.as_bytes());
        self
    }

    fn number(mut self, number: u64) -> Self {
        self.0.put_u64(number);
        self
    }

    fn position(mut self, position: Position) -> Self {
        self.0.put_u64(position.revision);
        self.0.put_u32(position.n);
        self
    }

    /// Text that ends the key.
    fn last(mut self, text: &str) -> Self {
        self.0.put_slice(text.as_bytes());
        self
    }

    /// Text with more after it: ended by 00 01, with 00 written as 00 ff, so that order is kept.
    fn text(mut self, text: &str) -> Self {
        for byte in text.bytes() {
            self.0.put_u8(byte);
            if byte == 0 {
                self.0.put_u8(u8::MAX);
            }
        }
        self.0.put_slice(&[0, 1]);
        self
    }

    fn done(self) -> Bytes {
        self.0.freeze()
    }
}

pub(super) fn head(home: Id) -> Bytes {
    Key::below(home, Tag::Head).done()
}

pub(super) fn revision(home: Id, revision: u64) -> Bytes {
    Key::below(home, Tag::Revision).number(revision).done()
}

pub(super) fn name(home: Id, name: &str) -> Bytes {
    Key::below(home, Tag::Name).last(name).done()
}

/// The rows of one kind of a home.
pub(super) fn all(home: Id, tag: Tag) -> Bytes {
    Key::below(home, tag).done()
}

/// The rows of one kind of a collection.
pub(super) fn of(home: Id, tag: Tag, collection: Id) -> Bytes {
    Key::below(home, tag).id(collection).done()
}

pub(super) fn old_collection(home: Id, collection: Id, at: Position) -> Bytes {
    let key = Key::below(home, Tag::OldCollection).id(collection);
    key.position(at).done()
}

pub(super) fn object(home: Id, collection: Id, name: &str) -> Bytes {
    let key = Key::below(home, Tag::Object).id(collection);
    key.last(name).done()
}

pub(super) fn properties(home: Id, collection: Id, name: &str) -> Bytes {
    let key = Key::below(home, Tag::Properties).id(collection);
    key.last(name).done()
}

/// All older headers of an object.
pub(super) fn old_objects(home: Id, collection: Id, name: &str) -> Bytes {
    let key = Key::below(home, Tag::OldObject).id(collection);
    key.text(name).done()
}

pub(super) fn old_object(home: Id, collection: Id, name: &str, at: Position) -> Bytes {
    let key = Key::below(home, Tag::OldObject).id(collection);
    key.text(name).position(at).done()
}

pub(super) fn text(home: Id, collection: Id, name: &str, at: Position, chunk: u32) -> Bytes {
    let key = Key::below(home, Tag::Text).id(collection);
    let mut key = key.text(name).position(at);
    key.0.put_u32(chunk);
    key.done()
}

pub(super) fn uid(home: Id, collection: Id, uid: &str) -> Bytes {
    Key::below(home, Tag::Uid).id(collection).last(uid).done()
}

pub(super) fn uid_state(home: Id, uid: &str) -> Bytes {
    Key::below(home, Tag::UidState).last(uid).done()
}

/// Text as it is in keys with more after it.
pub(super) fn ended(text: &str) -> Bytes {
    Key(BytesMut::new()).text(text).done()
}

pub(super) fn log(home: Id, collection: Id, at: Position) -> Bytes {
    let key = Key::below(home, Tag::Log).id(collection);
    key.position(at).done()
}

pub(super) fn garbage(home: Id, at: Position) -> Bytes {
    Key::below(home, Tag::Garbage).position(at).done()
}

pub(super) fn principal(tag: Tag, id: Id) -> Bytes {
    Key::below(Id::DIRECTORY, tag).id(id).done()
}

/// A row about two of the directory: a group and its member, a principal and an app password.
pub(super) fn pair(tag: Tag, first: Id, second: Id) -> Bytes {
    Key::below(Id::DIRECTORY, tag).id(first).id(second).done()
}

/// The rows that say when long texts were begun that nothing refers to yet.
pub(super) const BLOBS_BEGUN: &[u8] = b"i";

/// The row that says when a long text was begun, until something refers to it.
pub(super) fn blob_begun(blob: Id) -> Bytes {
    [BLOBS_BEGUN, blob.as_bytes()].concat().into()
}

/// The row that says whose a long text is; its other rows begin like it.
pub(super) fn blob(blob: Id) -> Bytes {
    [b"l", blob.as_bytes().as_slice()].concat().into()
}

pub(super) fn blob_chunk(id: Id, chunk: u32) -> Bytes {
    let mut key = BytesMut::from(blob(id).as_ref());
    key.put_u32(chunk);
    key.freeze()
}

/// The text behind `prefix` in `key`.
pub(super) fn tail<'a>(key: &'a [u8], prefix: &[u8]) -> Option<&'a str> {
    std::str::from_utf8(key.strip_prefix(prefix)?).ok()
}

/// The id behind `prefix` in `key`, and what follows it.
pub(super) fn id_tail<'a>(key: &'a [u8], prefix: &[u8]) -> Option<(Id, &'a [u8])> {
    let (id, rest) = key.strip_prefix(prefix)?.split_first_chunk()?;
    Some((Id::from_bytes(*id), rest))
}

/// The position behind `prefix` in `key`.
pub(super) fn position_tail(key: &[u8], prefix: &[u8]) -> Option<Position> {
    position_of(key.strip_prefix(prefix)?)
}

/// The position that these twelve bytes are.
pub(super) fn position_of(bytes: &[u8]) -> Option<Position> {
    let (revision, n) = bytes.split_first_chunk()?;
    Some(Position {
        revision: u64::from_be_bytes(*revision),
        n: u32::from_be_bytes(n.try_into().ok()?),
    })
}

/// The text that [`Key::text`] wrote at the start of `bytes`, and what follows it.
pub(super) fn text_tail(bytes: &[u8]) -> Option<(String, &[u8])> {
    let mut text = Vec::new();
    let mut rest = bytes;
    loop {
        match rest {
            [0, 1, tail @ ..] => return Some((String::from_utf8(text).ok()?, tail)),
            [0, u8::MAX, tail @ ..] => {
                text.push(0);
                rest = tail;
            }
            [0, ..] | [] => return None,
            [byte, tail @ ..] => {
                text.push(*byte);
                rest = tail;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_more_behind_them_sort_as_they_do_alone() {
        let home = Id::from_bytes([1; 16]);
        let cal = Id::from_bytes([2; 16]);
        let names = ["", "\0", "\0a", "\u{1}", "a", "a\0", "a\0b", "ab", "b"];
        let key = |name: &&str| old_objects(home, cal, name);
        let keys: Vec<Bytes> = names.iter().map(key).collect();
        assert!(keys.is_sorted());
        let prefix = of(home, Tag::OldObject, cal);
        for (key, name) in keys.iter().zip(names) {
            let rest = key.strip_prefix(prefix.as_ref()).unwrap();
            let (text, tail) = text_tail(rest).unwrap();
            assert_eq!((text.as_str(), tail), (name, &[][..]));
        }
    }
}
