//! iTIP: what a change to a meeting makes people send, and what a received message changes (RFC 5546, RFC 6638 §3.2,
//! §4). Functions only: no clock, no IO, same input same output.
//!
//! [`outgoing`] compares two states of one object in one person's calendar; [`incoming`] applies one message to what a
//! person has of a meeting. PUT, DELETE, mail and the answer page all call these two.
//!
//! **Gaps**: VJOURNAL is published by nobody; ADD is understood but never sent, because mail programs handle a REQUEST
//! of one instance better.

mod apply;
mod attendee;
mod cancel;
mod compare;
mod current;
mod incoming;
mod meeting;
mod merge;
mod message;
mod organizer;
mod outgoing;
mod people;
mod reply;
#[cfg(test)]
mod script_tests;
mod sequence;
mod view;

pub use current::current;
pub use incoming::{Change, Inbox, Incoming, Reason, ScheduleTag, State, incoming};
pub use meeting::{Key, Meeting};
pub use merge::merge;
pub use message::{Message, Method, Weight};
pub use outgoing::{Intent, Outgoing, Refused, outgoing};
pub use people::{Addresses, Route};

/// Bounds of one scheduling decision.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages one change may cause.
    pub messages: usize,
    /// Overrides a meeting may have, of its own and made by answers.
    pub overrides: usize,
    /// Work spent on finding out whether an instance exists.
    pub recur: crate::recur::Limits,
}
