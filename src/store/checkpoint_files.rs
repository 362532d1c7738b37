//! The checkpoints kept in the store's directory, told apart by their names.

use std::io;

use super::checkpoint::Summary;
use super::disk::Disk;
use super::kv::UnixMillis;

/// The directory of the checkpoints.
pub(super) const DIRECTORY: &str = "checkpoints";

/// The file a checkpoint is written to before it is verified.
pub(super) const UNVERIFIED: &str = "checkpoints/unverified";

/// A checkpoint in the store's directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Checkpoint {
    /// The sequence it restores to.
    pub(super) end: u64,
    /// The time of the newest commit in it.
    pub(super) at: UnixMillis,
    /// The bytes of its rows.
    pub(super) row_bytes: u64,
    /// Its name.
    pub(super) name: String,
}

impl Checkpoint {
    /// The checkpoint with this content.
    pub(super) fn of(summary: &Summary) -> Self {
        let (end, at, row_bytes) = (summary.end, summary.at, summary.row_bytes);
        Self {
            end,
            at,
            row_bytes,
            name: format!("{DIRECTORY}/{end:020}.{}.{row_bytes}.checkpoint", at.0),
        }
    }

    fn from_file_name(file_name: &str) -> Option<Self> {
        let mut parts = file_name.strip_suffix(".checkpoint")?.split('.');
        let (end, at) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self {
            end,
            at: UnixMillis(at),
            row_bytes: parts.next()?.parse().ok()?,
            name: format!("{DIRECTORY}/{file_name}"),
        })
    }
}

/// The checkpoints there are, oldest first.
pub(super) fn list(disk: &dyn Disk) -> io::Result<Vec<Checkpoint>> {
    let files = disk.list(DIRECTORY)?;
    let mut found: Vec<_> = files
        .iter()
        .filter_map(|name| Checkpoint::from_file_name(name))
        .collect();
    found.sort();
    Ok(found)
}
