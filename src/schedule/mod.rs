//! What CalDAV does with iTIP: implicit scheduling, delivery, the inbox, the outbox, who receives what. RFC 6638
//!
//! A change by the owner of a calendar is judged in [`put()`] and [`remove()`], which stage rows for those who are told;
//! after the commit [`deliver()`] makes each row a change of its recipient's home, and the worker what is left. What is
//! supported is in the rows of [`TABLE`], file by file.

mod alike;
mod booked;
mod busy_time;
mod counter;
mod default_calendar;
mod deliver;
mod desk;
mod free_busy;
mod groups;
mod implicit;
mod inbox;
pub mod journal;
mod known;
mod limits;
mod messages;
mod plan;
pub mod queue;
mod request;
mod rooms;
mod sweep;
mod table;
mod tag;
mod undelivered;
mod who;
mod withdraw;
pub mod worker;

pub use busy_time::{Asked, Mask, NoAnswer, add_calendar, busy_time};
pub use counter::dismiss;
pub use default_calendar::default_calendar;
pub use deliver::{deliver, receive};
pub use implicit::{Adopted, Decided, Target, adopted, put, remove};
pub use inbox::takes;
pub use messages::messages_of;
pub use sweep::sweep;
pub use table::TABLE;
pub use tag::find as find_object;
pub use tag::imported;
pub use undelivered::{Unreached, undelivered};
pub use who::principal_of;
pub use withdraw::{leave, withdraw, withdrawn};
