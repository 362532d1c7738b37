//! What CalDAV does with iTIP: the inbox, the outbox, who receives what. RFC 6638
//!
//! What is supported is in the rows of [`TABLE`], file by file.

mod table;

pub use table::TABLE;
