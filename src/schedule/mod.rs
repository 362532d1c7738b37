//! What CalDAV does with iTIP: the inbox, the outbox, who receives what. RFC 6638
//!
//! What is supported is in the rows of [`TABLE`], file by file.

mod default_calendar;
mod inbox;
mod table;

pub use default_calendar::default_calendar;
pub use inbox::takes;
pub use table::TABLE;
