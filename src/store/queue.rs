//! Rows of scheduling: messages that wait for delivery, what is known of a UID, and the journal of
//! decisions. The store only keeps them; what they mean is decided by who writes them.
//!
//! A message refers to the texts it was made of by their positions in the sender's home and has no
//! copy of them. It is removed by the very commit that delivers it, which checks that it is still
//! there: so it is delivered once, whoever else tries.

use bytes::{BufMut, Bytes, BytesMut};

use super::change::{Change, HomeChange, Step};
use super::codec::{Decoder, Encoder, Malformed};
use super::collection::Collection;
use super::error::Row as _;
use super::header::{Header, Record};
use super::home::Home;
use super::keys::{self, Tag};
use super::kv::{Check, Key, Row, Scan, View, Write, after_prefix};
use super::load::next_key;
use super::{Error, Id, Position, Store};
use crate::ical::Timestamp;

/// A message from one home of the server to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMessage {
    /// The home it goes to.
    pub to: Id,
    /// The home it comes from.
    pub from: Id,
    /// The UID it is about.
    pub uid: String,
    /// The revision of the sender's home that sent it: messages of one sender and UID are delivered
    /// in this order.
    pub revision: u64,
    /// The calendar of the object it was made of.
    pub collection: Id,
    /// The name of that object.
    pub name: String,
    /// The text before the change, if there was one.
    pub old: Option<Position>,
    /// The text after the change, if there is one.
    pub new: Option<Position>,
    /// What else its writer wants to know.
    pub payload: Bytes,
}

/// A message that leaves the server by mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailMessage {
    /// Its identifier, a fresh random one.
    pub id: Id,
    /// When it is to be tried next.
    pub due: Timestamp,
    /// What it is.
    pub payload: Bytes,
}

/// What is known of a UID in a home, whether or not its object is still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UidState {
    /// What its writer knows.
    pub payload: Bytes,
    /// The object is gone: the state is forgotten when the history is.
    pub gone: bool,
}

/// A decision of scheduling, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// When.
    pub at: Timestamp,
    /// About which UID.
    pub uid: String,
    /// What was decided and why.
    pub text: String,
}

impl LocalMessage {
    fn key(&self) -> Key {
        let mut key = BytesMut::from(local_prefix(self.to).as_ref());
        key.put_slice(self.from.as_bytes());
        key.put_slice(&keys::ended(&self.uid));
        key.put_u64(self.revision);
        key.freeze()
    }

    /// The message as bytes.
    pub fn encode(&self) -> Bytes {
        let mut row = Encoder::version(1);
        row.id(self.to).id(self.from).text(&self.uid);
        row.number(self.revision).id(self.collection);
        row.text(&self.name);
        for position in [self.old, self.new] {
            row.optional(position, |row, at| {
                row.position(at);
            });
        }
        row.rest(&self.payload);
        row.finish()
    }

    /// The message of these bytes.
    pub fn decode(row: &[u8]) -> Result<Self, Error> {
        Self::read(row).map_err(|_| Error::Damaged("a queued message cannot be read".to_owned()))
    }

    fn read(row: &[u8]) -> Result<Self, Malformed> {
        let (_, mut row) = Decoder::version(row, 1)?;
        Ok(Self {
            to: row.id()?,
            from: row.id()?,
            uid: row.string()?,
            revision: row.number()?,
            collection: row.id()?,
            name: row.string()?,
            old: row.optional(Decoder::position)?,
            new: row.optional(Decoder::position)?,
            payload: Bytes::copy_from_slice(row.rest()),
        })
    }
}

impl MailMessage {
    fn key(&self) -> Key {
        let mut key = BytesMut::from(MAIL);
        key.put_u64(ordered(self.due));
        key.put_slice(self.id.as_bytes());
        key.freeze()
    }

    fn decode(row: &Row) -> Option<Self> {
        let (due, rest) = row.key.strip_prefix(MAIL)?.split_first_chunk()?;
        let (id, _) = keys::id_tail(rest, &[])?;
        Some(Self {
            id,
            due: Timestamp((u64::from_be_bytes(*due) ^ SIGN).cast_signed()),
            payload: row.value.clone(),
        })
    }
}

const LOCAL: &[u8] = b"q/l/";
const MAIL: &[u8] = b"q/m/";
const SIGN: u64 = 1 << 63;

/// An instant as a number that sorts as instants do.
fn ordered(at: Timestamp) -> u64 {
    at.0.cast_unsigned() ^ SIGN
}

fn local_prefix(to: Id) -> Bytes {
    [LOCAL, to.as_bytes()].concat().into()
}

fn journal_key(home: Id, at: Timestamp, n: u64) -> Key {
    let mut key = BytesMut::from(keys::all(home, Tag::Journal).as_ref());
    key.put_u64(ordered(at));
    key.put_u64(n);
    key.freeze()
}

/// The journal entries of a home that are older than this.
pub(super) fn journal_before(home: Id, before: Timestamp, limit: usize) -> Scan {
    let mut scan = Scan::prefix(keys::all(home, Tag::Journal), limit);
    scan.end = Some(journal_key(home, before, 0));
    scan
}

/// Whether the state in this row is of an object that is gone.
pub(super) fn is_gone(row: &[u8]) -> bool {
    matches!(row, [1, 1, ..])
}

impl Change {
    /// Puts a message to another home into the queue.
    pub fn queue_local(&mut self, message: &LocalMessage) {
        let (key, value) = (message.key(), Some(message.encode()));
        self.rows.push(Write { key, value });
        self.local.push(message.clone());
    }

    /// Takes a message out of the queue: the commit happens only if it is still there.
    pub fn take_local(&mut self, message: &LocalMessage) {
        self.take(message.key(), message.encode());
    }

    /// Puts a message to be mailed into the queue.
    pub fn queue_mail(&mut self, message: &MailMessage) {
        let (key, value) = (message.key(), Some(message.payload.clone()));
        self.rows.push(Write { key, value });
        self.mails += 1;
    }

    /// Takes a message to be mailed out of the queue: the commit happens only if it is still there.
    pub fn take_mail(&mut self, message: &MailMessage) {
        self.take(message.key(), message.payload.clone());
    }

    fn take(&mut self, key: Key, row: Bytes) {
        self.checks.push(Check {
            key: key.clone(),
            expected: Some(row),
        });
        self.rows.push(Write { key, value: None });
    }

    /// Notes a decision in the scheduling journal of a home, which need not be one that the change
    /// touches. The second of two equal numbers at one time replaces the first.
    pub fn journal(&mut self, home: Id, entry: &JournalEntry, number: u64) {
        let mut row = Encoder::version(1);
        row.text(&entry.uid).text(&entry.text);
        let key = journal_key(home, entry.at, number);
        let value = Some(row.finish());
        self.rows.push(Write { key, value });
    }
}

impl HomeChange {
    /// Replaces what is known of a UID.
    pub fn set_uid_state(&mut self, uid: impl Into<String>, state: UidState) {
        self.steps.push(Step::SetUidState(uid.into(), state));
    }
}

impl UidState {
    pub(super) fn encode(&self) -> Bytes {
        let mut row = Encoder::version(1);
        row.byte(u8::from(self.gone)).rest(&self.payload);
        row.finish()
    }

    fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let (_, mut row) = Decoder::version(row, 1)?;
        let gone = row.byte()? != 0;
        let payload = Bytes::copy_from_slice(row.rest());
        Ok(Self { payload, gone })
    }
}

impl Home {
    /// What is known of a UID.
    pub async fn uid_state(&self, uid: &str) -> Result<Option<UidState>, Error> {
        let key = keys::uid_state(self.id, uid);
        let row = self.shared.kv.get(self.view(), &key).await?;
        row.map(|row| UidState::decode(&row).row(&key)).transpose()
    }

    /// The newest decisions of scheduling, newest first; of one UID or of all.
    pub async fn journal(
        &self,
        uid: Option<&str>,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, Error> {
        let prefix = keys::all(self.id, Tag::Journal);
        let mut scan = Scan::prefix(prefix.clone(), 500).reversed();
        let mut entries = Vec::new();
        loop {
            let rows = self.shared.kv.scan(self.view(), scan.clone()).await?;
            for row in &rows {
                let entry = read_journal(row, &prefix).row(&row.key)?;
                if uid.is_none_or(|uid| uid == entry.uid) {
                    entries.push(entry);
                }
                if entries.len() >= limit {
                    return Ok(entries);
                }
            }
            let Some(last) = rows.last().filter(|_| rows.len() >= 500) else {
                return Ok(entries);
            };
            scan.end = Some(last.key.clone());
        }
    }

    /// The header that an object had when its text was written at this position; none if the
    /// history has forgotten it.
    pub async fn header_at(
        &self,
        collection: &Collection,
        name: &str,
        text: Position,
    ) -> Result<Option<Header>, Error> {
        let current = self.record(collection, name).await?.and_then(Record::live);
        if current.as_ref().is_some_and(|header| header.text == text) {
            return Ok(current);
        }
        let key = keys::old_object(self.id, collection.id, name, text);
        let row = self.shared.kv.get(self.view(), &key).await?;
        let record = row.map(|row| Record::decode(name, &row, &collection.origin()).row(&key));
        Ok(record.transpose()?.and_then(Record::live))
    }

    /// The collection with this identifier, also a removed one.
    pub fn any_collection(&self, id: Id) -> Option<&std::sync::Arc<Collection>> {
        let removed = self.contents.removed.get(&id);
        self.collection_by_id(id).or(removed)
    }
}

fn read_journal(row: &Row, prefix: &Bytes) -> Result<JournalEntry, Malformed> {
    let rest = row.key.strip_prefix(prefix.as_ref()).ok_or(Malformed)?;
    let (at, _) = rest.split_first_chunk().ok_or(Malformed)?;
    let (_, mut fields) = Decoder::version(&row.value, 1)?;
    Ok(JournalEntry {
        at: Timestamp((u64::from_be_bytes(*at) ^ SIGN).cast_signed()),
        uid: fields.string()?,
        text: fields.string()?,
    })
}

impl Store {
    /// Messages that wait for a home, in the order of sender, UID and revision.
    pub async fn queued_for(&self, to: Id, limit: usize) -> Result<Vec<LocalMessage>, Error> {
        let scan = Scan::prefix(local_prefix(to), limit);
        let rows = self.shared.kv.scan(View::Durable, scan).await?;
        let read = |row: &Row| LocalMessage::read(&row.value).row(&row.key);
        rows.iter().map(read).collect()
    }

    /// Messages about a UID that wait in one home for another, in the order of revisions, also those whose commit is
    /// ordered but not durable yet.
    pub async fn queued_about(
        &self,
        (from, to): (Id, Id),
        uid: &str,
        limit: usize,
    ) -> Result<Vec<LocalMessage>, Error> {
        let mut prefix = BytesMut::from(local_prefix(to).as_ref());
        prefix.put_slice(from.as_bytes());
        prefix.put_slice(&keys::ended(uid));
        let scan = Scan::prefix(prefix.freeze(), limit);
        let rows = self.shared.kv.scan(View::Ordered, scan).await?;
        let read = |row: &Row| LocalMessage::read(&row.value).row(&row.key);
        rows.iter().map(read).collect()
    }

    /// The homes for which messages wait, behind this one.
    pub async fn homes_with_messages(
        &self,
        after: Option<Id>,
        limit: usize,
    ) -> Result<Vec<Id>, Error> {
        let mut scan = Scan::prefix(LOCAL, 1);
        if let Some(next) = after.and_then(|id| after_prefix(&local_prefix(id))) {
            scan.start = next;
        }
        let mut homes = Vec::new();
        while homes.len() < limit {
            let rows = self.shared.kv.scan(View::Durable, scan.clone()).await?;
            let Some(row) = rows.first() else {
                break;
            };
            scan.start = next_key(&row.key);
            if let Some((home, _)) = keys::id_tail(&row.key, LOCAL) {
                homes.push(home);
                scan.start = after_prefix(&local_prefix(home)).unwrap_or(scan.start);
            }
        }
        Ok(homes)
    }

    /// The messages to be mailed that are due, the most overdue first.
    pub async fn mail_due(&self, now: Timestamp, limit: usize) -> Result<Vec<MailMessage>, Error> {
        let mut scan = Scan::prefix(MAIL, limit);
        let after = ordered(now).saturating_add(1);
        scan.end = Some([MAIL, after.to_be_bytes().as_slice()].concat().into());
        let rows = self.shared.kv.scan(View::Durable, scan).await?;
        Ok(rows.iter().filter_map(MailMessage::decode).collect())
    }

    /// When the next message is to be mailed.
    pub async fn next_mail(&self) -> Result<Option<Timestamp>, Error> {
        let rows = self
            .shared
            .kv
            .scan(View::Durable, Scan::prefix(MAIL, 1))
            .await?;
        let first = rows.first().and_then(MailMessage::decode);
        Ok(first.map(|message| message.due))
    }
}
