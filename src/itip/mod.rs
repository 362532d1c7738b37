//! iTIP: what a change to a meeting makes people send, and what a received message changes (RFC 5546, RFC 6638 §3.2,
//! §4). Functions only: no clock, no IO, same input same output.
//!
//! [`outgoing`] compares two states of one object in one person's calendar; [`incoming`] applies one message to what a
//! person has of a meeting. PUT, DELETE, mail and the answer page all call these two.
//!
//! An added instance is sent as a REQUEST of the series, never as an ADD: RFC 6638 §3.2.1.2 allows either, a REQUEST says
//! the whole state and so mends what was lost before it, and the mail programs that matter ignore ADD or show it as
//! something they cannot read. ADD is understood when it comes.
//!
//! **Gaps**: VJOURNAL is published by nobody. An answer by mail that crosses two changes of one series at once may have to
//! be given again: nothing in a message says which answers its sender knew.

mod answered;
mod apply;
mod attendee;
mod cancel;
mod compare;
#[cfg(test)]
mod converge_tests;
mod counter;
mod current;
mod delegate;
mod force;
mod incoming;
mod kept;
mod meeting;
mod merge;
mod message;
mod organizer;
mod outgoing;
mod people;
mod publish;
mod reply;
#[cfg(test)]
mod script_tests;
mod sequence;
mod state;
mod tell;
mod view;

pub use answered::{answered, unanswered};
pub use counter::decline_counter;
pub use current::{current, current_of_all};
pub use incoming::{Change, Inbox, Incoming, Reason, ScheduleTag, incoming};
pub use meeting::{Key, Meeting};
pub use merge::merge;
pub use message::{Message, Method, Weight};
pub use outgoing::{Intent, Outgoing, Refused, outgoing};
pub use people::{Addresses, Route, is_private_param, is_scheduling_param};
pub use state::State;

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
