//! Fuzzes `checks/itip.rs`.
#![no_main]

#[path = "../checks/itip.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
