//! What a process knows of one home or of the directory: its turn, its newest durable view, and the
//! views that are ordered but not yet durable.
//!
//! Nothing here is trusted: each use compares with the head row, so a view that failed to become
//! durable, or that another process overtook, is replaced at the next look.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Most ordered views that are remembered; a forgotten one is read again.
const PENDING: usize = 256;

/// A view of something that has a head row.
pub(super) trait Version: Send + Sync {
    /// The exact value of the head row; none where the home is absent.
    fn head_row(&self) -> Option<&Bytes>;
    fn revision(&self) -> u64;
    /// The view has become durable.
    fn became_durable(&self);
}

#[derive(Debug)]
pub(super) struct Cell<V> {
    /// Held by the writer whose turn it is; fair.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
    /// Held while the newest durable view is read from rows.
    pub(super) refresh: tokio::sync::Mutex<()>,
    state: Mutex<State<V>>,
}

#[derive(Debug)]
struct State<V> {
    durable: Option<Arc<V>>,
    /// Where [`super::kv::Kv::moved`] stood when the durable view was seen to be the newest.
    seen: Option<u64>,
    /// Ordered views, oldest first.
    pending: VecDeque<Arc<V>>,
}

impl<V> Default for Cell<V> {
    fn default() -> Self {
        let state = State {
            durable: None,
            seen: None,
            pending: VecDeque::new(),
        };
        Self {
            turn: Arc::default(),
            refresh: tokio::sync::Mutex::default(),
            state: Mutex::new(state),
        }
    }
}

impl<V: Version> Cell<V> {
    fn state(&self) -> MutexGuard<'_, State<V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn durable(&self) -> Option<Arc<V>> {
        self.state().durable.clone()
    }

    /// The newest durable view, if nothing has moved since that was seen.
    pub(super) fn unmoved(&self, moved: Option<u64>) -> Option<Arc<V>> {
        let state = self.state();
        let still = moved.is_some() && state.seen == moved;
        state.durable.clone().filter(|_| still)
    }

    /// The view whose head row this is, if it is known; it becomes the durable one. `moved` is from
    /// before the row was read.
    pub(super) fn durable_at(&self, row: Option<&Bytes>, moved: Option<u64>) -> Option<Arc<V>> {
        let mut state = self.state();
        let known = state.durable.iter().chain(&state.pending);
        let found = known.into_iter().find(|view| view.head_row() == row)?;
        let found = found.clone();
        state.publish(&found);
        let newest = |durable: &Arc<V>| Arc::ptr_eq(durable, &found);
        if state.durable.as_ref().is_some_and(newest) {
            state.seen = moved;
        }
        Some(found)
    }

    /// The ordered view whose head row this is, if it is known.
    pub(super) fn ordered_at(&self, row: Option<&Bytes>) -> Option<Arc<V>> {
        let state = self.state();
        let views = state.pending.iter().rev().chain(&state.durable);
        views.into_iter().find(|v| v.head_row() == row).cloned()
    }

    /// Remembers a view that was read from durable rows or has become durable.
    pub(super) fn publish(&self, view: &Arc<V>) {
        self.state().publish(view);
    }

    /// Replaces the newest durable view by one of the same revision that has forgotten something.
    pub(super) fn replace(&self, view: Arc<V>) {
        let mut state = self.state();
        let same = |old: &Arc<V>| old.head_row() == view.head_row();
        if state.durable.as_ref().is_some_and(same) {
            view.became_durable();
            state.durable = Some(view);
        }
    }

    /// Remembers a view that was ordered.
    pub(super) fn ordered(&self, view: Arc<V>) {
        let mut state = self.state();
        if state.pending.len() >= PENDING {
            state.pending.pop_front();
        }
        state.pending.push_back(view);
    }

    /// Forgets a view that did not become durable, and those made on it.
    pub(super) fn withdraw(&self, view: &Arc<V>) {
        let mut state = self.state();
        let at = state.pending.iter().position(|v| Arc::ptr_eq(v, view));
        if let Some(at) = at {
            state.pending.truncate(at);
        }
    }
}

impl<V: Version> State<V> {
    fn publish(&mut self, view: &Arc<V>) {
        let newer = |old: &Arc<V>| old.revision() < view.revision();
        if self.durable.as_ref().is_none_or(newer) {
            view.became_durable();
            self.durable = Some(view.clone());
            self.seen = None;
        }
        let revision = view.revision();
        self.pending.retain(|v| v.revision() > revision);
    }
}
