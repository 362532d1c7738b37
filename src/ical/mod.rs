//! iCalendar: text to a tree that loses nothing, and back; typed views of values; the rules an
//! object must meet (RFC 5545, 6868, 7986).
//!
//! No clock, no IO, no randomness: same input, same output.

mod date;
mod duration;
mod time;

pub use date::{Date, Weekday, days_in_month, days_in_year, is_leap};
pub use duration::Duration;
pub use time::{LocalTime, Timestamp, When};
