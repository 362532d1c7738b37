//! Rows that a part above the store keeps beside the homes, under a key of its own making: what they
//! mean is its business. A shelf is what the rows of one purpose have in common.
//!
//! They move no revision. Who decides on one expects it in the same change: a commit whose
//! expectation is not met is a Conflict.

use bytes::{BufMut, Bytes, BytesMut};

use super::change::Change;
use super::kv::{Check, Key, Scan, View, Write};
use super::load::next_key;
use super::{Error, Store, keys};

/// The rows of one purpose, by a name that is no other shelf's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shelf(pub &'static str);

/// A row of a shelf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its key on the shelf.
    pub key: Bytes,
    /// What it holds.
    pub value: Bytes,
}

impl Shelf {
    fn key(self, key: &[u8]) -> Key {
        let mut row = BytesMut::from(keys::SHELVES);
        row.put_slice(&keys::ended(self.0));
        row.put_slice(key);
        row.freeze()
    }
}

impl Change {
    /// Puts a row on a shelf, or takes it away.
    pub fn keep(&mut self, shelf: Shelf, key: &[u8], value: Option<Bytes>) {
        let key = shelf.key(key);
        self.rows.push(Write { key, value });
    }

    /// Makes the commit depend on what a row is now.
    pub fn expect(&mut self, shelf: Shelf, key: &[u8], expected: Option<Bytes>) {
        let key = shelf.key(key);
        self.checks.push(Check { key, expected });
    }
}

impl Store {
    /// A row of a shelf.
    pub async fn kept(&self, shelf: Shelf, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let row = self.shared.kv.get(View::Durable, &shelf.key(key)).await?;
        Ok(row)
    }

    /// The rows of a shelf whose keys begin like this, in order, behind the key `after`.
    pub async fn kept_from(
        &self,
        shelf: Shelf,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Kept>, Error> {
        let mut scan = Scan::prefix(shelf.key(prefix), limit);
        if let Some(after) = after {
            scan.start = next_key(&shelf.key(after)).max(scan.start);
        }
        let rows = self.shared.kv.scan(View::Durable, scan).await?;
        let own = shelf.key(&[]).len();
        let kept = rows.into_iter().map(|row| Kept {
            key: row.key.slice(own.min(row.key.len())..),
            value: row.value,
        });
        Ok(kept.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ical::Timestamp;
    use crate::store::memory::Memory;
    use crate::store::{Actor, Limits};
    use std::sync::Arc;

    #[tokio::test]
    async fn a_shelf_keeps_its_rows_apart_and_in_order() {
        let kv = Arc::new(Memory::new());
        let store = Store::open(kv, Limits::default()).await.unwrap();
        let (one, other) = (Shelf("one"), Shelf("one more"));
        let mut change = Change::new(Timestamp(0), Actor::default(), "keep");
        for key in ["b", "a", "ab"] {
            change.keep(one, key.as_bytes(), Some(Bytes::from_static(b"1")));
        }
        change.keep(other, b"a", Some(Bytes::from_static(b"2")));
        let turn = store.turn(&[]).await.unwrap();
        store.commit(change, turn).await.unwrap();
        assert_eq!(store.kept(one, b"c").await.unwrap(), None);
        assert_eq!(store.kept(other, b"a").await.unwrap().unwrap(), "2");
        let keys = async |prefix: &[u8], after| {
            let rows = store.kept_from(one, prefix, after, 10).await.unwrap();
            rows.into_iter().map(|row| row.key).collect::<Vec<_>>()
        };
        assert_eq!(keys(b"", None).await, ["a", "ab", "b"]);
        assert_eq!(keys(b"a", None).await, ["a", "ab"]);
        assert_eq!(keys(b"", Some(b"a")).await, ["ab", "b"]);

        let mut change = Change::new(Timestamp(0), Actor::default(), "lose");
        change.expect(one, b"a", Some(Bytes::from_static(b"0")));
        change.keep(one, b"a", None);
        let turn = store.turn(&[]).await.unwrap();
        let refused = store.commit(change, turn).await.map(|_| ());
        assert!(matches!(refused, Err(Error::Conflict)), "{refused:?}");
        assert_eq!(keys(b"a", None).await, ["a", "ab"]);
    }
}
