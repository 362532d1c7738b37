//! Calendar collections and calendar object resources: RFC 4791.
//!
//! What a request says becomes a value first (`filter`, `data`), and functions without IO answer it
//! (`matching`, `expand`, `stream`).

pub mod collation;
pub mod data;
pub mod expand;
pub mod filter;
pub mod matching;
pub mod names;
pub mod range;
pub mod stream;

#[cfg(test)]
mod filter_tests;
#[cfg(test)]
mod matching_tests;
