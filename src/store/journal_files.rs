//! The two small files beside the journal's segments: the manifest and the durable mark.
//!
//! Both are lines of text with a checksum in the last one, replaced whole. The manifest lists the
//! segments that must be there; the mark is the sequence up to which the data is durable without the
//! journal.

use std::io;

use super::disk::{Disk, read_whole, replace_whole};
use super::kv::UnixMillis;

/// The directory of the journal.
pub(super) const DIRECTORY: &str = "journal";

const MANIFEST: &str = "journal/manifest";
const MARK: &str = "journal/mark";
const MANIFEST_TITLE: &str = "kalends journal 1";
const MARK_TITLE: &str = "kalends mark 1";

/// The file of a segment.
pub(super) fn segment_name(id: u64) -> String {
    format!("{DIRECTORY}/{id:010}.log")
}

/// The number of the segment that has this file name.
pub(super) fn segment_id(file_name: &str) -> Option<u64> {
    file_name.strip_suffix(".log")?.parse().ok()
}

/// A segment as the manifest lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Its number; numbers rise and are not used twice.
    pub(super) id: u64,
    /// The sequence of its first batch.
    pub(super) first: u64,
}

/// The segments of the journal, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    /// Each segment; the last is the one written to.
    pub(super) segments: Vec<Segment>,
}

/// A small file as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Small<T> {
    /// It is good.
    Good(T),
    /// There is none.
    Missing,
    /// Its checksum or its text is wrong.
    Damaged,
}

impl Manifest {
    /// Reads the manifest.
    pub(super) fn read(disk: &dyn Disk) -> io::Result<Small<Self>> {
        read_small(disk, MANIFEST, MANIFEST_TITLE, |lines| {
            let segment = |line: &&str| {
                let mut words = line.strip_prefix("segment ")?.split(' ');
                let (id, first) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                words.next().is_none().then_some(Segment { id, first })
            };
            let segments = lines.iter().map(segment).collect::<Option<_>>()?;
            Some(Self { segments })
        })
    }

    /// Replaces the manifest durably.
    pub(super) fn write(&self, disk: &dyn Disk) -> io::Result<()> {
        let lines = self.segments.iter();
        let lines = lines.map(|s| format!("segment {} {}", s.id, s.first));
        write_small(disk, MANIFEST, MANIFEST_TITLE, lines)
    }
}

/// Up to where the data is durable without the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// The sequence.
    pub(super) sequence: u64,
    /// The time of the newest commit up to it.
    pub(super) at: UnixMillis,
    /// Whether the journal ends there, because the store was closed.
    pub(super) stop: Stop,
}

/// How a store was left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stop {
    /// It is open, or was killed.
    #[default]
    None,
    /// It was closed.
    Clean,
}

impl Mark {
    /// Reads the durable mark.
    pub(super) fn read(disk: &dyn Disk) -> io::Result<Small<Self>> {
        read_small(disk, MARK, MARK_TITLE, |lines| {
            let [sequence, at, stop] = lines else {
                return None;
            };
            Some(Self {
                sequence: sequence.strip_prefix("sequence ")?.parse().ok()?,
                at: UnixMillis(at.strip_prefix("time ")?.parse().ok()?),
                stop: match stop.strip_prefix("stop ")? {
                    "clean" => Stop::Clean,
                    "none" => Stop::None,
                    _ => return None,
                },
            })
        })
    }

    /// Replaces the durable mark.
    pub(super) fn write(self, disk: &dyn Disk) -> io::Result<()> {
        let lines = [
            format!("sequence {}", self.sequence),
            format!("time {}", self.at.0),
            match self.stop {
                Stop::None => "stop none".to_owned(),
                Stop::Clean => "stop clean".to_owned(),
            },
        ];
        write_small(disk, MARK, MARK_TITLE, lines.into_iter())
    }
}

fn read_small<T>(
    disk: &dyn Disk,
    name: &str,
    title: &str,
    read: impl FnOnce(&[&str]) -> Option<T>,
) -> io::Result<Small<T>> {
    let Some(bytes) = read_whole(disk, name)? else {
        return Ok(Small::Missing);
    };
    let good = || {
        let text = std::str::from_utf8(&bytes).ok()?;
        let (body, checksum) = text.strip_suffix('\n')?.rsplit_once("\nchecksum ")?;
        if checksum != format!("{:08x}", crc32c::crc32c(body.as_bytes())) {
            return None;
        }
        let lines: Vec<&str> = body.split('\n').collect();
        let (first, lines) = lines.split_first()?;
        if *first == title { read(lines) } else { None }
    };
    Ok(good().map_or(Small::Damaged, Small::Good))
}

fn write_small(
    disk: &dyn Disk,
    name: &str,
    title: &str,
    lines: impl Iterator<Item = String>,
) -> io::Result<()> {
    let mut body = title.to_owned();
    for line in lines {
        body.push('\n');
        body.push_str(&line);
    }
    let checksum = crc32c::crc32c(body.as_bytes());
    let text = format!("{body}\nchecksum {checksum:08x}\n");
    replace_whole(disk, name, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::simulated::{SimulatedDisk, Syncing};
    use super::*;

    #[test]
    fn the_small_files_come_back_and_damage_is_seen() {
        let disk = SimulatedDisk::new(1, Syncing::Works);
        assert_eq!(Manifest::read(&disk).unwrap(), Small::Missing);
        assert_eq!(Mark::read(&disk).unwrap(), Small::Missing);
        let segments = vec![Segment { id: 3, first: 7 }, Segment { id: 4, first: 90 }];
        let manifest = Manifest { segments };
        manifest.write(&disk).unwrap();
        let mark = Mark {
            sequence: 77,
            at: UnixMillis(-3),
            stop: Stop::Clean,
        };
        mark.write(&disk).unwrap();
        disk.power_loss();
        assert_eq!(Manifest::read(&disk).unwrap(), Small::Good(manifest));
        assert_eq!(Mark::read(&disk).unwrap(), Small::Good(mark));
        let good = read_whole(&disk, MANIFEST).unwrap().unwrap();
        for position in 0..good.len() {
            let mut bytes = good.clone();
            bytes[position] ^= 1;
            disk.create(MANIFEST).unwrap().write_at(0, &bytes).unwrap();
            assert_eq!(Manifest::read(&disk).unwrap(), Small::Damaged);
        }
    }
}
