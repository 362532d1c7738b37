//! Kalends: a CalDAV and iTIP server as a library.
//!
//! The modules in their order; each may use those above it, never those below:
//!
//! - [`ical`]: iCalendar text to a tree that loses nothing, and back
//! - [`recur`]: which instances an object has; time zones; when somebody is busy
//! - [`itip`]: what a change to a meeting makes people send, and what a message changes
//! - [`xml`]: namespaced XML in and out, within limits
//! - [`store`]: engines, the journal, homes and their history
//! - [`auth`]: from credentials to a principal; accounts
//! - [`dav`]: WebDAV without calendars
//! - [`schedule`]: what CalDAV does with iTIP: inbox, outbox, delivery
//! - [`caldav`]: calendar collections and objects
//! - [`mail`]: invitations by mail, out and in
//! - [`web`]: the pages on which guests answer
//! - [`http`]: sockets, routes, the loop of a request
//! - [`conform`]: the conformance suite's player
//! - [`bench`](mod@bench): what the server costs
//! - [`cli`]: commands and settings; builds the parts and joins them

pub mod auth;
pub mod bench;
pub mod caldav;
pub mod cli;
pub mod conform;
pub mod dav;
pub mod http;
pub mod ical;
pub mod itip;
pub mod mail;
pub mod recur;
pub mod schedule;
pub mod store;
#[cfg(test)]
mod testing;
pub mod web;
pub mod xml;
