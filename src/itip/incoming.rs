//! What a received message changes (RFC 5546 §3, RFC 6638 §4).

use super::meeting::{Key, Meeting};
use super::message::{Message, Method};
use super::people::Addresses;
use super::{Limits, reply};
use super::{apply, cancel};
use crate::ical::{Component, Timestamp};
use std::collections::BTreeMap;

/// What becomes of the recipient's object.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It stays.
    Keep,
    /// It is stored so, made if there was none.
    Put(Component),
}

/// What becomes of the Schedule-Tag. RFC 6638 §3.2.10
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduleTag {
    /// Only participation changed.
    Keep,
    /// More changed.
    Move,
}

/// Why a message did what it did: a row of the scheduling journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A meeting the recipient did not have.
    Invited,
    /// A meeting the recipient had was changed.
    Updated,
    /// Only participation of others changed.
    Refreshed,
    /// The meeting, or instances of it, were cancelled.
    Cancelled,
    /// An answer was entered.
    Answered,
    /// The newest state was asked for and is sent.
    Asked,
    /// Something else was proposed; the organizer decides.
    Countered,
    /// A proposal was declined.
    CounterDeclined,
    /// Posted for information.
    Published,
    /// It says what is known already.
    Known,
    /// A newer message was applied before.
    Stale,
    /// The recipient deleted the meeting and nothing new was said since.
    Deleted,
    /// The recipient has no such meeting.
    NoMeeting,
    /// The series has no such instance.
    NoInstance,
    /// The sender is not the organizer.
    NotTheOrganizer,
    /// The recipient is not invited by it.
    NotInvited,
    /// The sender was never invited: held for the organizer.
    PartyCrasher,
    /// More overrides than a meeting may have.
    TooMany,
    /// It cannot be understood.
    Unreadable,
}

/// What follows from a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Incoming {
    /// The recipient's object.
    pub object: Change,
    /// What is sent on.
    pub messages: Vec<Message>,
    /// What is remembered of the UID.
    pub state: State,
    /// Whether it goes into the inbox.
    pub inbox: Inbox,
    /// The object's Schedule-Tag.
    pub schedule_tag: ScheduleTag,
    /// Why.
    pub reason: Reason,
}

/// Whether a message is shown to the recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inbox {
    /// It is an item of the inbox.
    Show,
    /// It did its work, or nothing.
    Hide,
}

/// What is remembered of a UID beside the object, so that late, repeated and disordered messages do no harm. It outlives
/// the object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The newest message of the organizer, by instance.
    pub(super) heard: BTreeMap<Option<Key>, Mark>,
    /// The newest answer of each attendee, by normalised address and instance.
    pub(super) answers: BTreeMap<(String, Option<Key>), Mark>,
    /// The SEQUENCE the object had when the recipient deleted it.
    pub(super) deleted: Option<u64>,
}

/// How new a component of a message was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) sequence: u64,
    pub(super) stamp: Timestamp,
    /// The recipient's participation as the organizer knew it.
    pub(super) partstat: String,
}

impl Mark {
    /// Whether this came later: by SEQUENCE, then DTSTAMP. RFC 5546 §2.1.5
    pub(super) fn newer_than(&self, sequence: u64, stamp: Timestamp) -> bool {
        (self.sequence, self.stamp) > (sequence, stamp)
    }
}

impl Incoming {
    /// Nothing but a reason.
    pub(super) fn nothing(state: &State, reason: Reason) -> Incoming {
        Incoming {
            object: Change::Keep,
            messages: Vec::new(),
            state: state.clone(),
            inbox: Inbox::Hide,
            schedule_tag: ScheduleTag::Keep,
            reason,
        }
    }
}

/// One message and everything it is judged by.
pub(super) struct Received<'c, 'm> {
    pub(super) existing: Option<&'c Meeting<'m>>,
    pub(super) state: &'c State,
    pub(super) message: &'c Message,
    pub(super) meeting: &'c Meeting<'m>,
    pub(super) who: &'c Addresses,
    pub(super) now: Timestamp,
    pub(super) limits: &'c Limits,
}

/// Applies a message to what its recipient (whose addresses `who` has) holds of the meeting. The caller answers for the
/// sender being who the message says.
#[must_use]
pub fn incoming(
    existing: Option<&Component>,
    state: &State,
    message: &Message,
    who: &Addresses,
    (now, limits): (Timestamp, &Limits),
) -> Incoming {
    let Some(meeting) = Meeting::read(&message.calendar) else {
        return Incoming::nothing(state, Reason::Unreadable);
    };
    let existing = existing.and_then(Meeting::read);
    let received = Received {
        existing: existing.as_ref(),
        state,
        message,
        meeting: &meeting,
        who,
        now,
        limits,
    };
    match message.method {
        Method::Request => apply::request(&received),
        Method::Add => apply::add(&received),
        Method::Cancel => cancel::cancel(&received),
        Method::Reply => reply::apply(&received),
        Method::Refresh => reply::refresh(&received),
        Method::Counter => reply::counter(&received),
        Method::DeclineCounter => apply::shown(&received, Reason::CounterDeclined),
        Method::Publish => Incoming {
            inbox: Inbox::Show,
            ..Incoming::nothing(state, Reason::Published)
        },
    }
}

impl State {
    /// Remembers that the recipient deleted their object.
    #[must_use]
    pub fn deleted(&self, object: &Component) -> State {
        let sequence = Meeting::read(object).and_then(|m| {
            m.components()
                .map(|(_, c)| super::meeting::sequence(c))
                .max()
        });
        State {
            deleted: sequence.or(Some(0)),
            ..self.clone()
        }
    }

    /// The state as a row: a line a fact.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut text = String::from("1\n");
        for (key, mark) in &self.heard {
            text.push_str(&format!("heard\t{}\t{}\n", key_text(*key), mark_text(mark)));
        }
        for ((address, key), mark) in &self.answers {
            let address = address.replace(['\t', '\n'], " ");
            text.push_str(&format!(
                "answer\t{address}\t{}\t{}\n",
                key_text(*key),
                mark_text(mark)
            ));
        }
        if let Some(sequence) = self.deleted {
            text.push_str(&format!("deleted\t{sequence}\n"));
        }
        text.into_bytes()
    }

    /// A state from its row; none if it is not one.
    #[must_use]
    pub fn decode(row: &[u8]) -> Option<State> {
        let text = std::str::from_utf8(row).ok()?;
        let mut lines = text.lines();
        lines.next().filter(|version| *version == "1")?;
        let mut state = State::default();
        for line in lines {
            let fields: Vec<&str> = line.split('\t').collect();
            match fields.as_slice() {
                ["heard", key, mark @ ..] => {
                    state.heard.insert(read_key(key)?, read_mark(mark)?);
                }
                ["answer", address, key, mark @ ..] => {
                    let id = ((*address).to_owned(), read_key(key)?);
                    state.answers.insert(id, read_mark(mark)?);
                }
                ["deleted", sequence] => state.deleted = Some(sequence.parse().ok()?),
                _ => return None,
            }
        }
        Some(state)
    }
}

fn key_text(key: Option<Key>) -> String {
    match key {
        None => "-".to_owned(),
        Some(Key::Date(date)) => date.to_string(),
        Some(Key::Floating(local)) => local.to_string(),
        Some(Key::At(instant)) => instant.to_string(),
    }
}

fn read_key(text: &str) -> Option<Option<Key>> {
    use crate::ical::When;
    if text == "-" {
        return Some(None);
    }
    match When::parse(text, None)? {
        When::Date(date) => Some(Some(Key::Date(date))),
        When::Floating(local) => Some(Some(Key::Floating(local))),
        When::Utc(instant) => Some(Some(Key::At(instant))),
        When::Zoned(..) => None,
    }
}

fn mark_text(mark: &Mark) -> String {
    let partstat = mark.partstat.replace(['\t', '\n'], " ");
    format!("{}\t{}\t{partstat}", mark.sequence, mark.stamp.0)
}

fn read_mark(fields: &[&str]) -> Option<Mark> {
    let [sequence, stamp, partstat] = fields else {
        return None;
    };
    Some(Mark {
        sequence: sequence.parse().ok()?,
        stamp: Timestamp(stamp.parse().ok()?),
        partstat: (*partstat).to_owned(),
    })
}
