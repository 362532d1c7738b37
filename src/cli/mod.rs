//! Commands and server.toml: builds the parts and joins them. The only module
//! besides `http` that reads the clock.

mod accounts;
mod allocator;
pub mod args;
pub mod args_mail;
pub mod args_people;
mod backup;
pub mod bench;
mod bookings;
mod calendars;
mod check;
pub mod clock;
pub mod config;
mod conformance;
pub mod control;
mod dns;
mod export;
pub mod failure;
mod held;
mod history;
mod import;
mod import_files;
mod inbound;
mod inspect;
mod journal;
pub mod log;
mod mail;
pub mod open;
pub mod output;
mod program;
mod prompt;
pub mod run;
mod serve;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod units;
mod upkeep;
mod zones;

pub use program::main;
