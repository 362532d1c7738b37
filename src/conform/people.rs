//! The commands of a target file that make users, rooms and groups.

use std::io::Write;
use std::process::{Command, Stdio};

/// Runs a command whose words have `{name}` and so on, with a line on its standard input.
pub(super) fn make(command: &[String], values: &[(&str, &str)], line: &str) -> Result<(), String> {
    let fill = |word: &String| {
        values.iter().fold(word.clone(), |word, (name, value)| {
            word.replace(&format!("{{{name}}}"), value)
        })
    };
    let words: Vec<String> = command.iter().map(fill).collect();
    let (program, arguments) = words.split_first().ok_or("the command is empty")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{program}: {e}"))?;
    let mut input = child.stdin.take().ok_or("no standard input")?;
    // A command that does not read it is known by its exit code.
    let _ = input.write_all(format!("{line}\n").as_bytes());
    drop(input);
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}: {said}", words.join(" ")))
}
