//! iCalendar: text to a tree that loses nothing, and back; typed views of values; the rules an
//! object must meet (RFC 5545, 6868, 7986); jCal
//! (RFC 7265).
//!
//! No clock, no IO, no randomness: same input, same output.

mod address;
mod component;
mod date;
mod duration;
mod format;
mod jcal;
#[cfg(test)]
mod jcal_tests;
mod jcal_values;
mod object;
#[cfg(test)]
mod object_tests;
mod parse;
mod print;
mod problem;
mod property;
pub mod rules;
mod text;
mod time;
#[cfg(test)]
mod tree_tests;
pub mod values;

pub use address::{CalAddress, address, address_key, percent_decoded, same_address};
pub use component::{Component, Item, Junk, PRODID, empty_calendar};
pub use date::{Date, Weekday, days_in_month, days_in_year, is_leap};
pub use duration::Duration;
pub use format::Format;
pub use jcal::{JcalError, from_jcal, to_jcal};
pub use object::{Breach, CalendarObject, Kind};
pub use parse::{Limits, Parsed, parse};
pub use print::{print, print_to};
pub use problem::{Problem, ProblemKind, Severity, Subject};
pub use property::{Param, Property};
pub use text::{escape, split_list, unescape};
pub use time::{LocalTime, Timestamp, When};
