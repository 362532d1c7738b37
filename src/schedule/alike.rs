//! What many copies of one meeting have in common: the same text is read once, the same object printed once.
//!
//! The attendees of a meeting mostly have the same copy of it, byte for byte, and a message makes the same of each.

use super::messages;
use crate::dav::Shared;
use crate::ical::{Component, print};
use crate::itip::Addresses;
use crate::recur;
use bytes::Bytes;
use std::sync::{Arc, Mutex, PoisonError};

/// Texts and objects that deliveries of one change have met.
#[derive(Debug, Default)]
pub(super) struct Alike {
    read: Mutex<Vec<(Bytes, Arc<Component>)>>,
    printed: Mutex<Vec<(Arc<Component>, Printed)>>,
    named: Mutex<Vec<(Named, Addresses)>>,
}

/// The message and the object that people were looked up for.
type Named = (Arc<Component>, Option<Arc<Component>>);

/// An object as the store is told of it.
#[derive(Clone, Debug)]
pub(super) struct Printed {
    /// Its text.
    pub(super) text: Bytes,
    /// What `recur` says of its times.
    pub(super) summary: Vec<u8>,
}

impl Printed {
    fn of(calendar: &Component) -> Printed {
        Printed {
            text: print(calendar).into(),
            summary: recur::summary(calendar).encode(),
        }
    }
}

/// Kinds of copies that are remembered; those of the others are read and printed each by itself.
const KINDS: usize = 8;

impl Alike {
    /// A stored text as a tree.
    pub(super) fn read(&self, text: &Bytes, shared: &Shared) -> Option<Arc<Component>> {
        if let Some(calendar) = recall(&self.read, |known| known == text) {
            return Some(calendar);
        }
        let calendar = Arc::new(messages::read(text, shared)?);
        remember(&self.read, (text.clone(), calendar.clone()));
        Some(calendar)
    }

    /// The people of a message and of the object it is about, looked up once.
    pub(super) fn people(&self, named: Named, look_up: impl FnOnce() -> Addresses) -> Addresses {
        let same = |(message, object): &Named| {
            let objects = object.as_ref().map(Arc::as_ptr) == named.1.as_ref().map(Arc::as_ptr);
            Arc::ptr_eq(message, &named.0) && objects
        };
        if let Some(people) = recall(&self.named, same) {
            return people;
        }
        let people = look_up();
        remember(&self.named, (named, people.clone()));
        people
    }

    /// An object as the store is told of it.
    pub(super) fn printed(&self, calendar: &Arc<Component>) -> Printed {
        if let Some(printed) = recall(&self.printed, |known| known == calendar) {
            return printed;
        }
        let printed = Printed::of(calendar);
        remember(&self.printed, (calendar.clone(), printed.clone()));
        printed
    }
}

fn lock<T>(all: &Mutex<Vec<T>>) -> std::sync::MutexGuard<'_, Vec<T>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

fn recall<K, V: Clone>(all: &Mutex<Vec<(K, V)>>, same: impl Fn(&K) -> bool) -> Option<V> {
    let all = lock(all);
    let found = all.iter().find(|(known, _)| same(known));
    found.map(|(_, value)| value.clone())
}

fn remember<T>(all: &Mutex<Vec<T>>, new: T) {
    let mut all = lock(all);
    if all.len() < KINDS {
        all.push(new);
    }
}
