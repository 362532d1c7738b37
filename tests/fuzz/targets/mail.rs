//! Fuzzes `checks/mail.rs`.
#![no_main]

#[path = "../checks/mail.rs"]
mod check;

use std::panic::{set_hook, take_hook};

/// `mail::read` takes a panic of the parser it wraps for a mail that cannot be read. libFuzzer would stop there, before it
/// is caught: the assertions that the parser has in such a build are none of the server's.
fn let_the_parser_panic() {
    let stop = take_hook();
    set_hook(Box::new(move |panic| {
        if !panic
            .location()
            .is_some_and(|at| at.file().contains("mail-parser"))
        {
            stop(panic);
        }
    }));
}

libfuzzer_sys::fuzz_target!(init: let_the_parser_panic(), |data: &[u8]| check::check(data));
