//! What the server keeps: the engines behind one small trait, and on them homes, calendars, objects,
//! their history and the queue.
//!
//! The store knows no status code, no XML and no header, reads no clock, and never schedules.
//!
//! The engine half: `kv` is the seam and `memory` the engine of tests. `engine` is that of production:
//! `committer` orders batches, `journal*` make them durable on a `disk` (or a `simulated` one), `sled`
//! is the `tree` that holds them, `cure` and `recovery` have it back after damage, `retention` and
//! `checkpoint*` keep what that needs, and `restore` makes a new store of it.

pub mod checkpoint;
mod checkpoint_files;
mod committer;
mod cure;
pub mod disk;
pub mod engine;
mod journal;
mod journal_files;
mod journal_record;
mod journal_replay;
pub mod kv;
pub mod memory;
mod recovery;
pub mod restore;
mod retention;
pub mod simulated;
mod sled;
pub mod tree;

pub use engine::{Engine, Options, open};
pub use recovery::OpenError;

#[cfg(test)]
mod suite;
#[cfg(test)]
mod testing;
