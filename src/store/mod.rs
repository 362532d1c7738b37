//! What the server keeps: the engines behind one small trait, and on them homes, calendars, objects,
//! their history and the queue.
//!
//! The store knows no status code, no XML and no header, reads no clock, and never schedules.
//!
//! The engine half: `kv` is the seam and `memory` the engine of tests. `engine` is that of production:
//! `committer` orders batches, `journal*` make them durable on a `disk` (or a `simulated` one), `sled`
//! is the `tree` that holds them, `cure` and `recovery` have it back after damage, `retention` and
//! `checkpoint*` keep what that needs, and `restore` makes a new store of it.
//!
//! Above it: `homes` opens the store, hands out views and turns, and commits; a view is a `Home`, a
//! `Members` or a `Directory`; a `Change` is staged by `stage` into one batch; `load` reads what
//! another process wrote; `history` shows what was, `rewind` brings it back, `prune` forgets it.

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
mod line;
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
mod ailing;
#[cfg(test)]
mod suite;

// Above the engine.

mod again;
mod booking;
mod buckets;
mod cell;
mod change;
mod check;
mod check_home;
mod check_mend;
mod check_rules;
mod check_texts;
mod chunked;
mod codec;
mod collection;
mod compiled;
mod directory;
mod error;
mod floating;
mod header;
mod hex;
mod history;
mod home;
mod home_sync;
mod homes;
mod ids;
mod indexes;
mod keys;
mod load;
mod members;
mod principal;
mod prune;
mod queue;
mod revision;
mod rewind;
mod shards;
mod shelf;
mod stage;
mod stage_objects;
mod sum;
mod sync;

pub use again::{Contended, again};
pub use booking::{Booking, BookingAnswer};
pub use change::{Change, HomeChange, NewCollection, Put, Sharing, Stamps, Tag};
pub use check::{Finding, Repair, Report};
pub use collection::{
    Collection, Component, Components, Kind, Properties, Settings, Timezone, Viewer,
};
pub use directory::{Directory, DirectoryChange};
pub use error::{Error, Limits, Refusal};
pub use floating::floating_zone;
pub use header::Header;
pub use history::{RemovedCollection, Version};
pub use home::Home;
pub use homes::{Receipt, Store, Turn, epoch_stamp};
pub use ids::{Id, NotAnId, Position};
pub use members::Members;
pub use principal::{AppPassword, Credentials, Principal, PrincipalKind};
pub use prune::Pruned;
pub use queue::{JournalEntry, LocalMessage, MailMessage, UidState};
pub use revision::{Actor, Revision};
pub use rewind::{Moment, Past, Restored, Target};
pub use shelf::{Kept, Shelf};
pub use sync::{BadToken, Changes, Depth, Entry, HomeChanges, HomeEntry};

use homes::Shared;

#[cfg(test)]
mod check_tests;
#[cfg(test)]
mod crowd_tests;
#[cfg(test)]
mod history_tests;
#[cfg(test)]
mod index_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod staggered;
#[cfg(test)]
mod tests;
