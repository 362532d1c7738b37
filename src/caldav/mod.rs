//! Calendar collections and calendar object resources: RFC 4791.
//!
//! What a request says becomes a value first (`filter`, `data`), and functions without IO answer it
//! (`matching`, `expand`, `stream`). The handlers (`put`, `get`, `mkcalendar`, `query`, `multiget`,
//! `freebusy`) read the store and write the answer. What is supported is in `table`.

mod accept;
pub mod collation;
pub mod data;
mod data_row;
pub mod expand;
pub mod export;
pub mod filter;
mod freebusy;
mod get;
pub mod import;
mod leap_seconds;
pub mod limits;
pub mod matching;
mod mkcalendar;
mod multiget;
pub mod names;
pub mod object;
mod page;
mod people;
mod properties;
mod put;
mod query;
pub mod quick;
pub mod range;
mod report;
mod rules;
pub mod select;
pub mod shape;
pub mod stream;
mod table;
pub mod tzdist;
mod zone;

pub use table::TABLE;

#[cfg(test)]
mod data_tests;
#[cfg(test)]
mod filter_tests;
#[cfg(test)]
mod import_tests;
#[cfg(test)]
mod matching_tests;
#[cfg(test)]
mod quick_tests;
#[cfg(test)]
mod select_tests;
