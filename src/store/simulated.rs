//! A simulated disk: what was not synced is volatile, calls can fail, and the power can go.
//!
//! It is harsher than a real one on purpose. At a power loss every sector of every unsynced write is
//! kept or lost by itself, a lost one may be left torn or full of garbage, a file's length falls
//! anywhere between what is durable and what was written, and every unsynced change of a name is
//! kept or lost by itself. A failed sync leaves the bytes visible but never durable, as Linux does.
//!
//! **Gaps**: no bit rot (the damage tests flip bits of real files), no reordering of synced writes.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, DiskFile};

/// The unit a disk writes whole or not at all, or tears.
const SECTOR: usize = 512;

/// Whether a sync does its work; without it every promise of the journal is empty, which a test shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Syncing {
    /// Syncs make bytes and names durable.
    #[default]
    Works,
    /// Syncs of files answer well and do nothing.
    LeftOut,
}

/// A disk in memory whose power can be cut.
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    random: u64,
    syncing: Syncing,
    files: BTreeMap<u64, Contents>,
    next_file: u64,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    unsynced_names: Vec<NameChange>,
    boots: u64,
    calls_until_failure: Option<u64>,
    calls_until_power_off: Option<u64>,
    free_bytes: u64,
}

/// A file's bytes: what is seen, what would survive, and the writes between the two.
#[derive(Clone, Debug, Default)]
struct Contents {
    seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Unsynced>,
}

#[derive(Clone, Debug)]
struct Unsynced {
    offset: usize,
    bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Put { name: String, file: u64 },
    Rename { from: String, to: String, file: u64 },
    Remove { name: String },
}

impl NameChange {
    fn is_in(&self, directory: &str) -> bool {
        let (Self::Put { name, .. } | Self::Rename { to: name, .. } | Self::Remove { name }) = self;
        name.rsplit_once('/').map_or("", |(parent, _)| parent) == directory
    }

    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Put { name, file } => {
                names.insert(name.clone(), *file);
            }
            Self::Rename { from, to, file } => {
                if names.get(from) == Some(file) {
                    names.remove(from);
                }
                names.insert(to.clone(), *file);
            }
            Self::Remove { name } => {
                names.remove(name);
            }
        }
    }
}

impl SimulatedDisk {
    /// An empty disk whose accidents follow from `seed`.
    pub fn new(seed: u64, syncing: Syncing) -> Self {
        let state = State {
            random: seed,
            syncing,
            files: BTreeMap::new(),
            next_file: 0,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            boots: 0,
            calls_until_failure: None,
            calls_until_power_off: None,
            free_bytes: u64::MAX,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The power went and is back: a seeded part of what was not synced is lost, files still open are
    /// dead.
    pub fn power_loss(&self) {
        self.state().power_loss();
    }

    /// Lets one call fail, after this many that work; `None` lets all work.
    pub fn fail_after(&self, calls: Option<u64>) {
        self.state().calls_until_failure = calls;
    }

    /// Turns the power off after this many calls: from then on every call fails until
    /// [`SimulatedDisk::power_loss`] decides what is left.
    pub fn power_off_after(&self, calls: u64) {
        self.state().calls_until_power_off = Some(calls);
    }

    /// Whether the power is on.
    pub fn has_power(&self) -> bool {
        self.state().calls_until_power_off != Some(0)
    }

    /// Sets the free space; a write beyond it fails as on a full disk.
    pub fn set_free_bytes(&self, bytes: u64) {
        self.state().free_bytes = bytes;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, state: &State, id: u64) -> Box<dyn DiskFile> {
        Box::new(SimulatedFile {
            disk: self.clone(),
            id,
            boot: state.boots,
        })
    }
}

impl State {
    /// The next number below `bound`, by splitmix64.
    fn below(&mut self, bound: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let number = (z ^ (z >> 31)) % (bound.max(1) as u64);
        usize::try_from(number).unwrap_or(0)
    }

    /// Counts a call, and fails it if its turn has come.
    fn call(&mut self) -> io::Result<()> {
        match self.calls_until_power_off {
            Some(0) => return Err(io::Error::other("the power is off")),
            Some(calls) => self.calls_until_power_off = Some(calls - 1),
            None => {}
        }
        match self.calls_until_failure {
            Some(0) => {
                self.calls_until_failure = None;
                Err(io::Error::other("simulated failure"))
            }
            Some(calls) => {
                self.calls_until_failure = Some(calls - 1);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn power_loss(&mut self) {
        self.boots += 1;
        self.calls_until_failure = None;
        self.calls_until_power_off = None;
        let mut names = std::mem::take(&mut self.durable_names);
        for change in std::mem::take(&mut self.unsynced_names) {
            if self.below(2) == 0 {
                change.apply(&mut names);
            }
        }
        let ids: Vec<u64> = self.files.keys().copied().collect();
        for id in ids {
            let Some(mut contents) = self.files.remove(&id) else {
                continue;
            };
            if names.values().any(|named| *named == id) {
                self.settle(&mut contents);
                self.files.insert(id, contents);
            }
        }
        self.durable_names = names.clone();
        self.names = names;
    }

    /// Decides what a file holds after the power loss.
    fn settle(&mut self, contents: &mut Contents) {
        let mut bytes = std::mem::take(&mut contents.durable);
        for write in contents.unsynced.drain(..) {
            self.keep_some(&mut bytes, write.offset, &write.bytes);
        }
        contents.seen.clone_from(&bytes);
        contents.durable = bytes;
    }

    /// Applies a write sector by sector: kept, lost, torn or turned into garbage.
    fn keep_some(&mut self, bytes: &mut Vec<u8>, offset: usize, new: &[u8]) {
        let fate = self.below(4);
        let kept = match fate {
            0 => 0,
            1 => new.len(),
            _ => self.below(new.len() + 1),
        };
        let end = offset + kept;
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        let Some(new) = new.get(..kept) else { return };
        for (index, sector) in new.chunks(SECTOR).enumerate() {
            let start = offset + index * SECTOR;
            let part = match if fate == 1 { 0 } else { self.below(8) } {
                0..=3 => sector.len(),
                4 | 5 => 0,
                _ => self.below(sector.len()),
            };
            let garbage = fate != 1 && self.below(16) == 0;
            for (target, byte) in bytes.iter_mut().skip(start).zip(sector.iter().take(part)) {
                *target = if garbage { !*byte } else { *byte };
            }
        }
    }
}

impl Disk for SimulatedDisk {
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.call()?;
        state.next_file += 1;
        let file = state.next_file;
        state.files.insert(file, Contents::default());
        let change = NameChange::Put {
            name: name.to_owned(),
            file,
        };
        change.apply(&mut state.names);
        state.unsynced_names.push(change);
        Ok(self.file(&state, file))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.call()?;
        let file = state.names.get(name).copied();
        let file = file.ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(&state, file))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.call()?;
        let prefix = format!("{directory}/");
        let names = state.names.keys();
        let names = names.filter_map(|name| name.strip_prefix(&prefix));
        Ok(names.map(str::to_owned).collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        let file = state.names.get(from).copied();
        let change = NameChange::Rename {
            from: from.to_owned(),
            to: to.to_owned(),
            file: file.ok_or(io::ErrorKind::NotFound)?,
        };
        change.apply(&mut state.names);
        state.unsynced_names.push(change);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        let change = NameChange::Remove {
            name: name.to_owned(),
        };
        change.apply(&mut state.names);
        state.unsynced_names.push(change);
        Ok(())
    }

    fn create_directory(&self, _: &str) -> io::Result<()> {
        self.state().call()
    }

    fn sync_directory(&self, directory: &str) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        let changes = std::mem::take(&mut state.unsynced_names);
        let (synced, kept) = changes.into_iter().partition(|c| c.is_in(directory));
        state.unsynced_names = kept;
        let synced: Vec<NameChange> = synced;
        for change in synced {
            change.apply(&mut state.durable_names);
        }
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.state().free_bytes)
    }

    fn nonce(&self) -> io::Result<u64> {
        Ok(self.state().below(usize::MAX) as u64)
    }
}

struct SimulatedFile {
    disk: SimulatedDisk,
    id: u64,
    boot: u64,
}

impl SimulatedFile {
    /// Works on the file's bytes; a file opened before the power loss is dead.
    fn with<T>(
        &self,
        work: impl FnOnce(&mut State, &mut Contents) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.disk.state();
        if state.boots != self.boot {
            return Err(io::Error::other("opened before the power loss"));
        }
        let contents = state.files.remove(&self.id);
        let mut contents = contents.ok_or(io::ErrorKind::NotFound)?;
        let answer = work(&mut state, &mut contents);
        state.files.insert(self.id, contents);
        answer
    }
}

impl DiskFile for SimulatedFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.with(|state, contents| {
            let outcome = state.call();
            // Only what makes the file longer needs room.
            let longer = (offset + bytes.len()).saturating_sub(contents.seen.len()) as u64;
            let full = longer > state.free_bytes;
            let written = match (&outcome, full) {
                (Ok(()), false) => bytes.len(),
                _ => state.below(bytes.len()),
            };
            let written = bytes.get(..written).unwrap_or_default();
            contents.write(offset, written);
            contents.unsynced.push(Unsynced {
                offset,
                bytes: written.to_vec(),
            });
            if full {
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.free_bytes -= longer;
            outcome
        })
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.with(|state, contents| {
            state.call()?;
            let there = contents.seen.get(offset..).unwrap_or_default();
            let read = there.len().min(buffer.len());
            for (target, byte) in buffer.iter_mut().zip(there) {
                *target = *byte;
            }
            Ok(read)
        })
    }

    fn length(&self) -> io::Result<u64> {
        self.with(|_, contents| Ok(contents.seen.len() as u64))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.with(|state, contents| {
            if let Err(error) = state.call() {
                // What was not written now is seen on, and no later sync writes it.
                for write in contents.unsynced.drain(..) {
                    state.keep_some(&mut contents.durable, write.offset, &write.bytes);
                }
                return Err(error);
            }
            if state.syncing == Syncing::Works {
                contents.sync();
            }
            Ok(())
        })
    }
}

impl Contents {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        write_into(&mut self.seen, offset, bytes);
    }

    /// Makes the unsynced writes durable.
    fn sync(&mut self) {
        for write in self.unsynced.drain(..) {
            write_into(&mut self.durable, write.offset, &write.bytes);
        }
    }
}

fn write_into(target: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if target.len() < end {
        target.resize(end, 0);
    }
    for (byte, new) in target.iter_mut().skip(offset).zip(bytes) {
        *byte = *new;
    }
}
