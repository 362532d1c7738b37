//! What a received message changes (RFC 5546 §3, RFC 6638 §4).

use super::meeting::Meeting;
use super::message::{Message, Method};
use super::people::Addresses;
use super::state::State;
use super::{Limits, reply};
use super::{apply, cancel, counter, publish};
use crate::ical::{Component, Timestamp};

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
    /// Nothing changed, and an answer is asked for again. RFC 5546 §3.2.2.7
    AskedAgain,
    /// An attendee passed their part in the meeting on to the recipient. RFC 5546 §3.2.2.3
    Delegated,
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
        Method::Refresh => counter::refresh(&received),
        Method::Counter => counter::counter(&received),
        Method::DeclineCounter => counter::declined(&received),
        Method::Publish => publish::publish(&received),
    }
}
