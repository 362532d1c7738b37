//! The store: newest views of homes and of the directory, turns of writers, and commits.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::OwnedMutexGuard;

use super::cell::{Cell, Version};
use super::change::Change;
use super::codec::{Decoder, Encoder, Malformed};
use super::compiled::CompiledObjects;
use super::directory::{self, Directory};
use super::error::{Limits, Row};
use super::header::{Header, Record};
use super::home::{Home, TEXT_CHUNK};
use super::ids::random;
use super::indexes::Indexes;
use super::keys::{self, Tag};
use super::kv::{Batch, CommitError, Kv, Ordered, UnixMillis, View};
use super::principal::{Credentials, decode_use, encode_use};
use super::queue::LocalMessage;
use super::stage::{self, Entry};
use super::{Error, Id, Refusal, load};
use crate::ical::Timestamp;

/// The version of the format of keys and rows that this program writes.
const FORMAT: u64 = 1;

/// Most homes whose views stay in memory while nobody uses them.
const HOMES: usize = 10_000;

/// What all views share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) kv: Arc<dyn Kv>,
    pub(super) limits: Limits,
    pub(super) indexes: Indexes,
    pub(super) compiled: CompiledObjects,
    /// The epoch in which new revisions are made.
    pub(super) epoch: u32,
    nonce: AtomicU64,
}

impl Shared {
    /// A name may be anything that can be a segment of a path.
    pub(super) fn check_name(&self, name: &str) -> Result<(), Error> {
        if name.len() > self.limits.name_bytes {
            return Err(Error::TooLarge("bytes of a name"));
        }
        if matches!(name, "" | "." | "..") || name.contains('\0') {
            return Err(Refusal::BadName(name.to_owned()).into());
        }
        Ok(())
    }

    pub(super) fn next_nonce(&self) -> u64 {
        self.nonce.fetch_add(1, Ordering::Relaxed)
    }
}

/// The store above an engine.
#[derive(Debug)]
pub struct Store {
    pub(super) shared: Arc<Shared>,
    homes: Mutex<HashMap<Id, Arc<Cell<Home>>>>,
    directory: Arc<Cell<Directory>>,
    /// The home that pruning has come to; none at the beginning.
    pruned: Mutex<Option<Id>>,
}

impl Store {
    /// Opens the store on an engine; an empty one is made ready.
    pub async fn open(kv: Arc<dyn Kv>, limits: Limits) -> Result<Arc<Self>, Error> {
        let epoch = open_epoch(kv.as_ref()).await?;
        let mut nonce = [0; 8];
        random(&mut nonce)?;
        let limits = Limits {
            history_keep: limits.history_keep.max(3600),
            ..limits
        };
        let shared = Shared {
            indexes: Indexes::new(limits.index_bytes),
            compiled: CompiledObjects::new(limits.index_bytes / 4),
            kv,
            limits,
            epoch,
            nonce: AtomicU64::new(u64::from_be_bytes(nonce)),
        };
        Ok(Arc::new(Self {
            shared: Arc::new(shared),
            homes: Mutex::default(),
            directory: Arc::default(),
            pruned: Mutex::default(),
        }))
    }

    pub(super) fn prune_cursor(&self) -> Option<Id> {
        *self.pruned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_prune_cursor(&self, home: Option<Id>) {
        *self.pruned.lock().unwrap_or_else(PoisonError::into_inner) = home;
    }

    /// What the store takes and keeps.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// The bytes of memory that indexes of calendars take.
    pub fn index_bytes(&self) -> usize {
        self.shared.indexes.size_bytes()
    }

    /// The newest durable view of a home.
    pub async fn home(&self, id: Id) -> Result<Arc<Home>, Error> {
        let cell = self.cell(id);
        if let Some(home) = self.known(&cell, id).await? {
            return Ok(home);
        }
        // The first view is read while no writer of this process has a turn; a writer who has one
        // has seen to it that there is a view.
        let _turn = match cell.durable() {
            Some(_) => None,
            None => Some(cell.turn.lock().await),
        };
        self.durable_home(&cell, id).await
    }

    /// The newest durable view, if it is in memory.
    async fn known<V: Version>(&self, cell: &Cell<V>, id: Id) -> Result<Option<Arc<V>>, Error> {
        let moved = self.shared.kv.moved();
        if let Some(view) = cell.unmoved(moved) {
            return Ok(Some(view));
        }
        let row = self.shared.kv.get(View::Durable, &keys::head(id)).await?;
        Ok(cell.durable_at(row.as_ref(), moved))
    }

    async fn durable_home(&self, cell: &Cell<Home>, id: Id) -> Result<Arc<Home>, Error> {
        let _refresh = cell.refresh.lock().await;
        if let Some(home) = self.known(cell, id).await? {
            return Ok(home);
        }
        let base = cell.durable();
        let home = load::home(&self.shared, id, View::Durable, base.as_deref()).await?;
        let home = Arc::new(home);
        cell.publish(&home);
        Ok(home)
    }

    /// The newest durable snapshot of the directory.
    pub async fn directory(&self) -> Result<Arc<Directory>, Error> {
        let cell = &self.directory;
        if let Some(directory) = self.known(cell, Id::DIRECTORY).await? {
            return Ok(directory);
        }
        let _refresh = cell.refresh.lock().await;
        if let Some(directory) = self.known(cell, Id::DIRECTORY).await? {
            return Ok(directory);
        }
        let base = cell.durable();
        let directory = directory::load(&self.shared, View::Durable, base.as_deref()).await?;
        let directory = Arc::new(directory);
        cell.publish(&directory);
        Ok(directory)
    }

    /// What a principal proves itself with.
    pub async fn credentials(&self, id: Id) -> Result<Credentials, Error> {
        let kv = &self.shared.kv;
        let key = keys::principal(Tag::Credentials, id);
        let Some(row) = kv.get(View::Durable, &key).await? else {
            return Ok(Credentials::default());
        };
        let mut credentials = Credentials::decode(&row).row(&key)?;
        let used = |app| keys::pair(Tag::Use, id, app);
        let passwords = credentials.app_passwords.iter();
        let wanted: Vec<Bytes> = passwords.map(|p| used(p.id)).collect();
        let rows = kv.get_many(View::Durable, &wanted).await?;
        let passwords = credentials.app_passwords.iter_mut();
        for ((password, row), key) in passwords.zip(rows).zip(&wanted) {
            let at = row.map(|row| decode_use(&row).row(key));
            password.last_used = at.transpose()?;
        }
        Ok(credentials)
    }

    /// Notes that an app password was used. Moves no revision; call it hourly at most.
    pub async fn app_password_used(
        &self,
        principal: Id,
        app_password: Id,
        at: Timestamp,
    ) -> Result<(), Error> {
        let mut batch = Batch::new(millis(at));
        let key = keys::pair(Tag::Use, principal, app_password);
        batch.put(key, encode_use(at));
        Ok(self.shared.kv.commit(batch).await?)
    }

    /// Waits for the turn to change these homes; [`Id::DIRECTORY`] stands for the directory. Turns
    /// are taken in the order of identifiers, so two writers never wait for each other.
    pub async fn turn(&self, ids: &[Id]) -> Result<Turn, Error> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let mut turn = Turn {
            homes: BTreeMap::new(),
            directory: None,
            guards: Vec::with_capacity(ids.len()),
        };
        let mut cells = Vec::new();
        for id in ids {
            if id == Id::DIRECTORY {
                let lock = self.directory.turn.clone();
                turn.guards.push(lock.lock_owned().await);
                turn.directory = Some(self.ordered_directory().await?);
            } else {
                let cell = self.cell(id);
                turn.guards.push(cell.turn.clone().lock_owned().await);
                cells.push((id, cell));
            }
        }
        for (id, cell) in cells {
            let home = self.ordered_home(&cell, id).await?;
            turn.homes.insert(id, (cell, home));
        }
        Ok(turn)
    }

    async fn ordered_home(&self, cell: &Cell<Home>, id: Id) -> Result<Arc<Home>, Error> {
        let durable = match cell.durable() {
            Some(durable) => durable,
            None => self.durable_home(cell, id).await?,
        };
        let row = self.shared.kv.get(View::Ordered, &keys::head(id)).await?;
        if let Some(home) = cell.ordered_at(row.as_ref()) {
            return Ok(home);
        }
        let home = load::home(&self.shared, id, View::Ordered, Some(&durable)).await?;
        Ok(Arc::new(home))
    }

    async fn ordered_directory(&self) -> Result<Arc<Directory>, Error> {
        let durable = self.directory().await?;
        let key = keys::head(Id::DIRECTORY);
        let row = self.shared.kv.get(View::Ordered, &key).await?;
        if let Some(directory) = self.directory.ordered_at(row.as_ref()) {
            return Ok(directory);
        }
        let newest = directory::load(&self.shared, View::Ordered, Some(&durable)).await?;
        Ok(Arc::new(newest))
    }

    /// Does what a change says, all of it or nothing. The turn ends when the change has its place in
    /// the order of commits; the answer comes when it is durable.
    pub async fn commit(&self, change: Change, turn: Turn) -> Result<Receipt, Error> {
        check_views(&change, &turn)?;
        let mut change = change;
        let (queued, mails) = (std::mem::take(&mut change.local), change.mails);
        let staged = self.stage(change).await?;
        for (blob, text) in &staged.blobs {
            self.write_blob(*blob, text, staged.batch.at).await?;
        }
        let submitted = self.shared.kv.submit(staged.batch).await;
        let Ordered { done } = submitted.inspect_err(|error| {
            tracing::debug!(%error, "a commit was not ordered");
        })?;
        let mut cells = Vec::with_capacity(staged.homes.len());
        for home in staged.homes {
            let cell = self.cell(home.view.id());
            cell.ordered(home.view.clone());
            cells.push((cell, home));
        }
        if let Some(directory) = &staged.directory {
            self.directory.ordered(directory.clone());
        }
        drop(turn);
        let mut receipt = self.settle(done.await, cells, staged.directory)?;
        (receipt.queued, receipt.mails) = (queued, mails);
        Ok(receipt)
    }

    /// Publishes views that became durable, or withdraws those that did not.
    fn settle(
        &self,
        done: Result<(), CommitError>,
        cells: Vec<(Arc<Cell<Home>>, stage::Staged)>,
        directory: Option<Arc<Directory>>,
    ) -> Result<Receipt, Error> {
        if let Err(error) = done {
            for (cell, staged) in &cells {
                cell.withdraw(&staged.view);
            }
            if let Some(directory) = &directory {
                self.directory.withdraw(directory);
            }
            return Err(error.into());
        }
        let mut receipt = Receipt {
            homes: Vec::with_capacity(cells.len()),
            headers: HashMap::new(),
            directory,
            queued: Vec::new(),
            mails: 0,
        };
        for (cell, staged) in cells {
            cell.publish(&staged.view);
            staged.view.became_durable();
            let headers = staged.headers.into_iter();
            receipt.headers.extend(headers.filter_map(|(key, record)| {
                let header = record.and_then(Record::live)?;
                Some((key, header))
            }));
            receipt.homes.push(staged.view);
        }
        if let Some(directory) = &receipt.directory {
            self.directory.publish(directory);
        }
        Ok(receipt)
    }

    async fn stage(&self, change: Change) -> Result<Staged, Error> {
        let entry = Entry {
            at: change.at,
            actor: &change.actor,
            what: &change.what,
            nonce: self.shared.next_nonce(),
        };
        let mut staged = Staged {
            batch: Batch::new(millis(change.at)),
            homes: Vec::new(),
            directory: None,
            blobs: Vec::new(),
        };
        staged.batch.checks.extend(change.checks);
        staged.batch.writes.extend(change.rows);
        for home in change.homes {
            if home.steps.is_empty() {
                continue;
            }
            let key = keys::head(home.base.id());
            staged.batch.check(key, home.base.head_row.clone());
            let mut home = stage::stage(home, entry).await?;
            staged.batch.writes.append(&mut home.writes);
            staged.blobs.append(&mut home.blobs);
            staged.homes.push(home);
        }
        if let Some(change) = change.directory.filter(|change| !change.is_empty()) {
            let key = keys::head(Id::DIRECTORY);
            let row = change.base.head_row().cloned();
            staged.batch.check(key, row);
            let directory = directory::stage(&self.shared, change, entry).await?;
            staged.batch.writes.extend(directory.writes);
            staged.directory = Some(directory.view);
        }
        Ok(staged)
    }

    /// Writes a long text in batches of its own, under an id that nothing refers to yet.
    async fn write_blob(&self, blob: Id, text: &Bytes, at: UnixMillis) -> Result<(), Error> {
        let kv = &self.shared.kv;
        let mut batch = Batch::new(at);
        batch.put(keys::blob_begun(blob), encode_use(Timestamp(at.0 / 1000)));
        for (chunk, start) in (0..).zip((0..text.len()).step_by(TEXT_CHUNK)) {
            let end = text.len().min(start.saturating_add(TEXT_CHUNK));
            batch.put(keys::blob_chunk(blob, chunk), text.slice(start..end));
            if batch.writes.len() > 12 {
                kv.commit(std::mem::replace(&mut batch, Batch::new(at)))
                    .await?;
            }
        }
        if !batch.writes.is_empty() {
            kv.commit(batch).await?;
        }
        Ok(())
    }

    pub(super) fn cell(&self, id: Id) -> Arc<Cell<Home>> {
        let mut homes = self.homes.lock().unwrap_or_else(PoisonError::into_inner);
        if homes.len() > HOMES && !homes.contains_key(&id) {
            // Those that somebody holds stay: there is one turn for a home.
            homes.retain(|_, cell| Arc::strong_count(cell) > 1);
        }
        homes.entry(id).or_default().clone()
    }
}

/// A batch and the views it makes.
struct Staged {
    batch: Batch,
    homes: Vec<stage::Staged>,
    directory: Option<Arc<Directory>>,
    blobs: Vec<(Id, Bytes)>,
}

/// The change was made on the views of this turn.
fn check_views(change: &Change, turn: &Turn) -> Result<(), Error> {
    for home in &change.homes {
        let view = turn.home(home.base.id()).ok_or(Refusal::NotInTurn)?;
        if view.head_row != home.base.head_row {
            return Err(Error::Conflict);
        }
        if view.head.removed {
            return Err(Refusal::NoHome.into());
        }
    }
    if let Some(change) = &change.directory {
        let view = turn.directory().ok_or(Refusal::NotInTurn)?;
        if view.head_row() != change.base.head_row() {
            return Err(Error::Conflict);
        }
    }
    Ok(())
}

/// The right to be the next who changes some homes.
#[derive(Debug)]
pub struct Turn {
    homes: BTreeMap<Id, (Arc<Cell<Home>>, Arc<Home>)>,
    directory: Option<Arc<Directory>>,
    guards: Vec<OwnedMutexGuard<()>>,
}

impl Turn {
    /// The newest ordered view of a home.
    pub fn home(&self, id: Id) -> Option<&Arc<Home>> {
        self.homes.get(&id).map(|(_, home)| home)
    }

    /// The newest ordered snapshot of the directory.
    pub fn directory(&self) -> Option<&Arc<Directory>> {
        self.directory.as_ref()
    }

    /// The homes it is for; the directory not counted.
    pub fn homes(&self) -> impl Iterator<Item = &Arc<Home>> {
        self.homes.values().map(|(_, home)| home)
    }
}

/// What a commit made.
#[derive(Debug)]
pub struct Receipt {
    homes: Vec<Arc<Home>>,
    headers: HashMap<(Id, String), Header>,
    directory: Option<Arc<Directory>>,
    queued: Vec<LocalMessage>,
    mails: usize,
}

impl Receipt {
    /// The messages to homes of this server that the commit put into the queue.
    pub fn queued(&self) -> &[LocalMessage] {
        &self.queued
    }

    /// Whether it put messages to be mailed into the queue.
    pub fn has_mail(&self) -> bool {
        self.mails > 0
    }

    /// The home as the commit made it; none if it was not changed.
    pub fn home(&self, id: Id) -> Option<&Arc<Home>> {
        self.homes.iter().find(|home| home.id() == id)
    }

    /// The header of an object that the commit wrote.
    pub fn header(&self, collection: Id, name: &str) -> Option<&Header> {
        self.headers.get(&(collection, name.to_owned()))
    }

    /// The directory as the commit made it; none if it was not changed.
    pub fn directory(&self) -> Option<&Arc<Directory>> {
        self.directory.as_ref()
    }
}

/// The engine's form of an instant.
pub(super) fn millis(at: Timestamp) -> UnixMillis {
    UnixMillis(at.0.saturating_mul(1000))
}

/// Reads the store's format and epoch, or makes an empty store ready.
async fn open_epoch(kv: &dyn Kv) -> Result<u32, Error> {
    for _ in 0..8 {
        let format = kv.get(View::Ordered, keys::FORMAT).await?;
        if let Some(row) = format {
            let format = decode_number(&row).row(keys::FORMAT)?;
            if format != FORMAT {
                return Err(Error::Broken(format!(
                    "the store has format {format}, this program knows format {FORMAT}"
                )));
            }
            let row = kv.get(View::Ordered, keys::EPOCH).await?;
            let row = row.ok_or_else(|| super::home::missing(keys::EPOCH))?;
            let epoch = decode_number(&row).row(keys::EPOCH)?;
            return u32::try_from(epoch).map_err(|_| Malformed).row(keys::EPOCH);
        }
        let mut batch = Batch::new(UnixMillis(0));
        batch.check(keys::FORMAT, None);
        batch.put(keys::FORMAT, encode_number(FORMAT));
        batch.put(keys::EPOCH, encode_number(u64::from(new_epoch()?)));
        match kv.commit(batch).await {
            Ok(()) | Err(CommitError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::Conflict)
}

/// The rows to be written with the restore of a backup: they begin a new epoch, so that no token,
/// ETag or Schedule-Tag from after the backup is taken for one of this store.
pub fn epoch_stamp() -> Result<Vec<super::kv::Write>, Error> {
    let value = Some(encode_number(u64::from(new_epoch()?)));
    let key = Bytes::from_static(keys::EPOCH);
    Ok(vec![super::kv::Write { key, value }])
}

/// A random epoch: restoring the same backup twice makes two different ones.
fn new_epoch() -> Result<u32, Error> {
    let mut bytes = [0; 4];
    random(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes).max(1))
}

fn encode_number(number: u64) -> Bytes {
    let mut row = Encoder::version(1);
    row.number(number);
    row.finish()
}

fn decode_number(row: &[u8]) -> Result<u64, Malformed> {
    let (_, mut row) = Decoder::version(row, 1)?;
    let number = row.number()?;
    row.end()?;
    Ok(number)
}
