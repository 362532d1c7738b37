//! iCalendar: text to a tree that loses nothing, and back; typed views of values; the rules an
//! object must meet (RFC 5545, 6868, 7986).
//!
//! No clock, no IO, no randomness: same input, same output.

mod component;
mod date;
mod duration;
mod parse;
mod print;
mod problem;
mod property;
mod text;
mod time;
#[cfg(test)]
mod tree_tests;

pub use component::{Component, Item, Junk};
pub use date::{Date, Weekday, days_in_month, days_in_year, is_leap};
pub use duration::Duration;
pub use parse::{Limits, Parsed, parse};
pub use print::{print, print_to};
pub use problem::{Problem, ProblemKind, Severity, Subject};
pub use property::{Param, Property};
pub use text::{escape, split_list, unescape};
pub use time::{LocalTime, Timestamp, When};
