//! Kalends: a CalDAV and iTIP server as a library.
//!
//! Each module may use those named above it, never those below:

pub mod auth;
pub mod bench;
pub mod caldav;
pub mod cli;
pub mod conform;
pub mod dav;
pub mod http;
pub mod ical;
pub mod itip;
pub mod recur;
pub mod store;
pub mod xml;
