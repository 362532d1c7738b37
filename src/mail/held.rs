//! Messages from outside that wait for the person they are for, with the reason: each is a row until it is released,
//! dropped or too old.
//!
//! A row is named by what it holds, so that a mail that is handed over twice waits once.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::matching::Doubt;
use crate::ical::{Timestamp, parse, print};
use crate::itip::{Message, Method, Weight};
use crate::schedule::journal::{self, Decision, What};
use crate::store::{Actor, Change, Error, Id, Shelf, Store};

/// home, name -> row
const HELD: Shelf = Shelf("mail/held");
/// home, name, number -> a piece of the text of a message
const TEXTS: Shelf = Shelf("mail/held-text");

/// Bytes of a text in one row.
const PIECE: usize = 48 << 10;
/// Pieces a text may have.
const PIECES: usize = 64;

/// How many messages wait for one person, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Messages for one person; what comes when there are as many is not kept.
    pub messages: usize,
    /// Seconds after which nobody will look at one any more.
    pub keep: i64,
}

impl Default for Room {
    fn default() -> Room {
        Room {
            messages: 200,
            keep: 60 * 86_400,
        }
    }
}

/// The name of a message that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name([u8; 8]);

/// A message that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Its name.
    pub name: Name,
    /// Whose it is.
    pub home: Id,
    /// Why it waits, in a word and in a sentence.
    pub doubt: (String, String),
    /// What is known of the sender's address.
    pub sender: String,
    /// The address in From.
    pub from: String,
    /// The mail's subject.
    pub subject: String,
    /// When it came.
    pub at: Timestamp,
    /// What would be applied; none if a person wrote without a calendar.
    pub message: Option<Message>,
    /// The first lines of what a person wrote.
    pub text: String,
}

#[derive(Serialize, Deserialize)]
struct Row {
    doubt: (String, String),
    sender: String,
    from: String,
    subject: String,
    at: i64,
    text: String,
    message: Option<Envelope>,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    method: String,
    from: String,
    to: String,
    uid: String,
    pieces: usize,
}

/// What became of a message that was to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It waits, under this name.
    Waits(Name),
    /// As many wait as may.
    Full,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Name {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Name, &'static str> {
        let wrong = "is no name of a message that waits";
        let digits =
            Some(text).filter(|t| t.len() == 16 && t.bytes().all(|b| b.is_ascii_hexdigit()));
        let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        number.map(|number| Name(number.to_be_bytes())).ok_or(wrong)
    }
}

fn key(home: Id, name: Name) -> Vec<u8> {
    let mut key = home.as_bytes().to_vec();
    key.extend_from_slice(&name.0);
    key
}

fn text_key(home: Id, name: Name, piece: usize) -> Vec<u8> {
    let mut key = key(home, name);
    key.extend_from_slice(&u16::try_from(piece).unwrap_or(u16::MAX).to_be_bytes());
    key
}

impl Held {
    /// A message that shall wait.
    #[must_use]
    pub fn new(home: Id, message: Option<Message>, doubt: &Doubt) -> Held {
        Held {
            name: Name([0; 8]),
            home,
            doubt: (doubt.word().to_owned(), doubt.sentence()),
            sender: String::new(),
            from: String::new(),
            subject: String::new(),
            at: Timestamp(0),
            message,
            text: String::new(),
        }
    }

    /// What it holds, as the name is made of it: not when it came.
    fn digest(&self, text: &[u8]) -> Name {
        let mut hash = blake3::Hasher::new();
        hash.update(self.home.as_bytes());
        for field in [&self.doubt.0, &self.from, &self.subject, &self.text] {
            hash.update(field.as_bytes()).update(&[0]);
        }
        if let Some(message) = &self.message {
            hash.update(message.from.as_bytes()).update(&[0]);
        }
        hash.update(text);
        let mut name = [0; 8];
        name.copy_from_slice(hash.finalize().as_bytes().split_at(8).0);
        Name(name)
    }

    /// Lets it wait. When this answers, it is durable.
    ///
    /// # Errors
    /// The store's.
    pub async fn keep(mut self, store: &Store, room: &Room) -> Result<Kept, Error> {
        let text = self.message.as_ref().map(|m| print(&m.calendar));
        let text = text.unwrap_or_default();
        self.name = self.digest(&text);
        let key = key(self.home, self.name);
        if store.kept(HELD, &key).await?.is_some() {
            return Ok(Kept::Waits(self.name));
        }
        let mut change = Change::new(self.at, Actor::default(), "a message waits");
        let mut waiting = 0;
        for other in rows(store, self.home, room.messages.saturating_add(1)).await? {
            if other.at.0.saturating_add(room.keep) < self.at.0 {
                other.forget(&mut change);
            } else {
                waiting += 1;
            }
        }
        let pieces: Vec<&[u8]> = text.chunks(PIECE).collect();
        if waiting >= room.messages || pieces.len() > PIECES {
            return Ok(Kept::Full);
        }
        for (number, piece) in pieces.iter().enumerate() {
            let piece = Bytes::copy_from_slice(piece);
            change.keep(TEXTS, &text_key(self.home, self.name, number), Some(piece));
        }
        change.keep(HELD, &key, Some(self.row(pieces.len())?));
        let home = store.home(self.home).await?;
        let (uid, decision) = self.decision();
        journal::note(&mut change, &home, &uid, self.at, &decision)?;
        let turn = store.turn(&[]).await?;
        store.commit(change, turn).await?;
        Ok(Kept::Waits(self.name))
    }

    /// Takes it away with a change.
    pub fn forget(&self, change: &mut Change) {
        change.keep(HELD, &key(self.home, self.name), None);
        for number in 0..PIECES {
            change.keep(TEXTS, &text_key(self.home, self.name, number), None);
        }
    }

    /// What the scheduling journal says of it.
    fn decision(&self) -> (String, Decision) {
        let (method, uid) = match &self.message {
            Some(message) => (message.method.to_string(), message.uid.clone()),
            None => ("words".to_owned(), String::new()),
        };
        let decision = Decision {
            what: What::Received,
            method,
            with: self.from.clone(),
            reason: (
                format!("Held:{}", self.doubt.0),
                format!("it waits as {}: {}", self.name, self.doubt.1),
            ),
        };
        (uid, decision)
    }

    fn row(&self, pieces: usize) -> Result<Bytes, Error> {
        let short = |text: &str| text.chars().take(2000).collect::<String>();
        let row = Row {
            doubt: self.doubt.clone(),
            sender: short(&self.sender),
            from: short(&self.from),
            subject: short(&self.subject),
            at: self.at.0,
            text: short(&self.text),
            message: self.message.as_ref().map(|message| Envelope {
                method: message.method.to_string(),
                from: message.from.clone(),
                to: message.to.clone(),
                uid: message.uid.clone(),
                pieces,
            }),
        };
        let row = serde_json::to_vec(&row).map_err(|error| Error::Broken(error.to_string()))?;
        Ok(row.into())
    }
}

/// What waits for somebody, the oldest first; at most so many.
///
/// # Errors
/// The store's.
pub async fn rows(store: &Store, home: Id, most: usize) -> Result<Vec<Held>, Error> {
    let kept = store.kept_from(HELD, home.as_bytes(), None, most).await?;
    let mut all = Vec::new();
    for row in kept {
        let name = row.key.get(16..).and_then(|name| name.try_into().ok());
        let damaged = || Error::Damaged("the row of a message that waits".to_owned());
        let name = Name(name.ok_or_else(damaged)?);
        all.push(
            read(store, home, name, &row.value)
                .await?
                .ok_or_else(damaged)?,
        );
    }
    all.sort_by_key(|held| held.at);
    Ok(all)
}

/// The message of this name, if it waits.
///
/// # Errors
/// The store's.
pub async fn find(store: &Store, home: Id, name: Name) -> Result<Option<Held>, Error> {
    match store.kept(HELD, &key(home, name)).await? {
        Some(row) => read(store, home, name, &row).await,
        None => Ok(None),
    }
}

async fn read(store: &Store, home: Id, name: Name, row: &[u8]) -> Result<Option<Held>, Error> {
    let Ok(row) = serde_json::from_slice::<Row>(row) else {
        return Ok(None);
    };
    let mut message = None;
    if let Some(envelope) = row.message {
        let mut text = Vec::new();
        for number in 0..envelope.pieces.min(PIECES) {
            let piece = store.kept(TEXTS, &text_key(home, name, number)).await?;
            text.extend_from_slice(&piece.unwrap_or_default());
        }
        let calendar = parse(&text, &crate::ical::Limits::default()).calendars;
        message = calendar.into_iter().next().and_then(|calendar| {
            Some(Message {
                method: Method::parse(&envelope.method)?,
                from: envelope.from,
                to: envelope.to,
                uid: envelope.uid,
                weight: Weight::News,
                calendar: calendar.into(),
            })
        });
    }
    Ok(Some(Held {
        name,
        home,
        doubt: row.doubt,
        sender: row.sender,
        from: row.from,
        subject: row.subject,
        at: Timestamp(row.at),
        message,
        text: row.text,
    }))
}
