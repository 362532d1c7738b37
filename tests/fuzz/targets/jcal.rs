//! Fuzzes `checks/jcal.rs`.
#![no_main]

#[path = "../checks/jcal.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
