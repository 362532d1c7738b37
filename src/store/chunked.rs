//! Sorted items in chunks behind `Arc`s: a copy shares all chunks but those that were changed, so
//! that a change costs the same in a large collection and in a small one.

use std::cmp::Ordering;
use std::sync::Arc;

/// Most items of a chunk; a full one is split in halves.
pub(super) const CHUNK: usize = 1024;

/// Neighbours that together have no more than this are joined.
const JOIN: usize = CHUNK / 2;

/// A sorted list.
#[derive(Clone, Debug)]
pub(super) struct Chunked<T> {
    chunks: Vec<Arc<Vec<T>>>,
}

/// A place in the list: chunk and item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(usize, usize);

impl<T: Copy> Chunked<T> {
    /// The list of items that are sorted already.
    pub(super) fn from_sorted(items: &[T]) -> Self {
        let chunks = items.chunks(CHUNK).map(|c| Arc::new(c.to_vec()));
        Self {
            chunks: chunks.collect(),
        }
    }

    /// The place of the item for which `order` answers `Equal`, or where it would be inserted.
    pub(super) fn find(&self, mut order: impl FnMut(&T) -> Ordering) -> Result<Place, Place> {
        let later = self.chunks.partition_point(|chunk| {
            let first = chunk.first().map(&mut order);
            first.is_some_and(Ordering::is_le)
        });
        let chunk = later.saturating_sub(1);
        let items = self.chunks.get(chunk).map_or(&[][..], |c| c.as_slice());
        match items.binary_search_by(order) {
            Ok(item) => Ok(Place(chunk, item)),
            Err(item) => Err(Place(chunk, item)),
        }
    }

    pub(super) fn get(&self, Place(chunk, item): Place) -> Option<T> {
        self.chunks.get(chunk)?.get(item).copied()
    }

    pub(super) fn insert(&mut self, Place(chunk, item): Place, value: T) {
        let Some(shared) = self.chunks.get_mut(chunk) else {
            self.chunks.push(Arc::new(vec![value]));
            return;
        };
        // Appending to a full last chunk begins a new one, so that a log has full chunks.
        if shared.len() >= CHUNK && item >= shared.len() {
            let next = chunk.saturating_add(1);
            self.chunks.insert(next, Arc::new(vec![value]));
            return;
        }
        let items = Arc::make_mut(shared);
        items.insert(item.min(items.len()), value);
        if items.len() > CHUNK {
            let upper = items.split_off(items.len() / 2);
            self.chunks.insert(chunk.saturating_add(1), Arc::new(upper));
        }
    }

    pub(super) fn remove(&mut self, Place(chunk, item): Place) {
        let Some(shared) = self.chunks.get_mut(chunk) else {
            return;
        };
        if item >= shared.len() {
            return;
        }
        let items = Arc::make_mut(shared);
        items.remove(item);
        if items.is_empty() {
            self.chunks.remove(chunk);
            return;
        }
        let left = items.len();
        let after = chunk.saturating_add(1);
        let next = self.chunks.get(after).map(|c| c.len());
        if next.is_some_and(|next| left.saturating_add(next) <= JOIN) {
            let next = self.chunks.remove(after);
            if let Some(shared) = self.chunks.get_mut(chunk) {
                Arc::make_mut(shared).extend_from_slice(&next);
            }
        }
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = T> + '_ {
        self.chunks.iter().flat_map(|chunk| chunk.iter().copied())
    }

    /// The items from a place on.
    pub(super) fn iter_from(&self, Place(chunk, item): Place) -> impl Iterator<Item = T> + '_ {
        let chunks = self.chunks.iter().skip(chunk).enumerate();
        chunks.flat_map(move |(i, items)| {
            let skip = if i == 0 { item } else { 0 };
            items.iter().skip(skip).copied()
        })
    }

    pub(super) fn size_bytes(&self) -> usize {
        let items = self.chunks.iter().map(|chunk| chunk.capacity());
        let chunk = size_of::<Arc<Vec<T>>>() + size_of::<Vec<T>>() + 16;
        items.sum::<usize>() * size_of::<T>() + self.chunks.len() * chunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(list: &Chunked<u32>, value: u32) -> Result<Place, Place> {
        list.find(|item| item.cmp(&value))
    }

    #[test]
    fn it_is_a_sorted_list_whatever_is_done() {
        let mut model = std::collections::BTreeSet::new();
        let mut list = Chunked::from_sorted(&[]);
        let mut random = 12345_u32;
        for round in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = (random >> 8) % 6000;
            // First it grows, then it shrinks.
            let grow = (random >> 4) % 10 < if round < 12_000 { 8 } else { 2 };
            match (place(&list, value), grow) {
                (Err(at), true) => {
                    list.insert(at, value);
                    assert!(model.insert(value));
                }
                (Ok(at), false) => {
                    assert_eq!(list.get(at), Some(value));
                    list.remove(at);
                    assert!(model.remove(&value));
                }
                (found, _) => assert_eq!(found.is_ok(), model.contains(&value)),
            }
        }
        assert!(list.iter().eq(model.iter().copied()));
        assert!(list.iter().rev().eq(model.iter().rev().copied()));
        let (Ok(at) | Err(at)) = place(&list, 3000);
        assert!(list.iter_from(at).eq(model.range(3000..).copied()));
        assert!(list.chunks.iter().all(|chunk| chunk.len() <= CHUNK));
    }

    #[test]
    fn a_copy_does_not_see_later_changes() {
        let items: Vec<u32> = (0..5000).map(|i| i * 2).collect();
        let mut list = Chunked::from_sorted(&items);
        let copy = list.clone();
        let at = place(&list, 4001).unwrap_err();
        list.insert(at, 4001);
        assert!(copy.iter().eq(items.iter().copied()));
        let shared = list.chunks.iter().zip(&copy.chunks);
        let same = shared.filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        assert!(same >= 1);
        let mut log = Chunked::from_sorted(&[]);
        for i in 0..5000_u32 {
            let at = place(&log, i).unwrap_err();
            log.insert(at, i);
        }
        assert_eq!(log.chunks.len(), 5);
    }
}
