//! Calendar collections and calendar object resources: RFC 4791.
//!
//! What a request says becomes a value first (`filter`), and functions without IO answer it.

pub mod collation;
pub mod names;
pub mod stream;
