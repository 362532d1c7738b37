//! Commands and server.toml: builds the parts and joins them. The only module
//! besides `http` that reads the clock.

pub mod args;
pub mod clock;
pub mod config;
pub mod log;
pub mod settings;
pub mod units;

mod check;
