//! From credentials to a principal: HTTP Basic, passwords, and what keeps guessers out.

pub mod basic;
pub mod password;
pub mod throttle;
