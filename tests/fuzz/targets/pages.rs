//! Fuzzes `checks/pages.rs`.
#![no_main]

#[path = "../checks/pages.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
