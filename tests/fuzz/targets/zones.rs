//! Fuzzes `checks/zones.rs`.
#![no_main]

#[path = "../checks/zones.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
