//! The ordered map behind the journal, as the engine needs it: sled in production, a stand-in on the
//! simulated disk.
//!
//! A tree need not be durable by itself. What it must do is apply a batch whole together with its
//! sequence, and say which sequence it holds; the journal brings it up to date after an unclean stop.

use std::fmt;

use super::kv::{Row, Scan, Value, Write};

/// A tree failed; the sentence says how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeError(pub String);

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TreeError {}

/// An open tree.
pub trait Tree: Send + Sync + fmt::Debug {
    /// The value of a row.
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TreeError>;
    /// The rows of a range.
    fn scan(&self, scan: &Scan) -> Result<Vec<Row>, TreeError>;
    /// Applies writes, each to another row, and the sequence they bring the tree to, all or none.
    fn apply(&self, writes: &[&Write], sequence: u64) -> Result<(), TreeError>;
    /// The sequence it was brought to; zero if it is new.
    fn applied(&self) -> Result<u64, TreeError>;
    /// Makes everything applied durable.
    fn persist(&self) -> Result<(), TreeError>;
    /// Whether it can still be closed, so that its files can be opened again.
    fn can_close(&self) -> bool {
        true
    }
}

/// What fills a tree that is built anew.
pub type Fill<'a> = dyn FnMut(&dyn Tree) -> Result<(), TreeError> + 'a;

/// The place where the tree is kept.
pub trait TreeSource: Send + Sync + fmt::Debug {
    /// Whether a tree, whole or damaged, is there.
    fn exists(&self) -> bool;
    /// Opens the tree, or a new one; the one opened before is closed.
    fn open(&self) -> Result<Box<dyn Tree>, TreeError>;
    /// Builds a tree anew beside the old one; once filled and durable it takes its place, and the old
    /// one is set aside.
    fn rebuild(&self, fill: &mut Fill<'_>) -> Result<Box<dyn Tree>, TreeError>;
}
