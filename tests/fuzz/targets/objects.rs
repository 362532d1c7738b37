//! Fuzzes `checks/objects.rs`.
#![no_main]

#[path = "../checks/objects.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
