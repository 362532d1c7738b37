//! Fuzzes `checks/ical.rs`.
#![no_main]

#[path = "../checks/ical.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
