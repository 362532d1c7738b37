//! Fuzzes `checks/mail.rs`.
#![no_main]

#[path = "../checks/mail.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| check::check(data));
