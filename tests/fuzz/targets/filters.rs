//! Fuzzes `checks/filters.rs`.
#![no_main]

#[path = "../checks/filters.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
