//! Passwords from a terminal or standard input, and never from an argument.

use std::io::{self, BufRead, IsTerminal};

use super::args::{Command, Password, User};
use super::failure::{Code, Failure};
use crate::auth::password::weakness;

/// The longest password that is read.
const MAX_BYTES: u64 = 4096;

/// Fills in the passwords a command needs; the notes say which are weak.
pub(super) fn fill(command: &mut Command) -> Result<Vec<String>, Failure> {
    let Command::User(User::Add { name, password, .. } | User::Passwd { name, password }) = command
    else {
        return Ok(Vec::new());
    };
    let text = read(name, password)?;
    if text.is_empty() {
        return Err(Failure::new(
            Code::Usage,
            "an empty password opens no account",
        ));
    }
    let note = weakness(&text, name)
        .map(|reason| format!("warning: this password is easily guessed: {reason}"));
    password.text = Some(text);
    Ok(note.into_iter().collect())
}

fn read(name: &str, password: &Password) -> Result<String, Failure> {
    if password.from_stdin {
        return first_line(io::stdin().lock());
    }
    if !io::stdin().is_terminal() {
        let sentence = "there is no terminal to ask for the password; give it on standard input with --password-stdin";
        return Err(Failure::new(Code::Usage, sentence));
    }
    let first = rpassword::prompt_password(format!("Password for {name}: "))?;
    let second = rpassword::prompt_password("Once more: ")?;
    if first == second {
        Ok(first)
    } else {
        Err(Failure::new(Code::Usage, "the two passwords differ"))
    }
}

fn first_line(input: impl BufRead) -> Result<String, Failure> {
    let mut line = String::new();
    input.take(MAX_BYTES).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_password() {
        for (input, expected) in [
            ("secret\nmore", "secret"),
            ("a b \r\n", "a b "),
            ("x", "x"),
            ("", ""),
        ] {
            assert_eq!(first_line(input.as_bytes()).unwrap(), expected);
        }
    }
}
