//! What the server keeps: the engines behind one small trait, and on them homes, calendars, objects,
//! their history and the queue.
//!
//! The store knows no status code, no XML and no header, reads no clock, and never schedules.
//!
//! The engine half: `kv` is the seam, `memory` the engine of tests.

pub mod kv;
pub mod memory;

#[cfg(test)]
mod suite;
