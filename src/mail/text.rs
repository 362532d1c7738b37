//! Tidings as plain text: for programs and people who do not read HTML.

use super::tidings::{Row, Tidings};

/// The tidings as text, with lines ended by LF.
pub(super) fn text(tidings: &Tidings) -> String {
    let words = tidings.words;
    let mut text = format!("{}\n\n", tidings.headline);
    let width = tidings
        .rows
        .iter()
        .map(|row| columns(words.text(row.label)));
    let width = width.max().unwrap_or(0) + 1;
    for row in &tidings.rows {
        push_row(&mut text, tidings, row, width);
    }
    if let Some(link) = &tidings.link {
        text.push_str(&format!("\n{}\n", words.text("answer.ask")));
        text.push_str(&format!("{}:\n{link}\n", words.text("answer.page")));
    }
    if !tidings.notes.is_empty() {
        text.push_str("\n-- \n");
    }
    for note in &tidings.notes {
        text.push_str(note);
        text.push('\n');
    }
    text
}

fn push_row(text: &mut String, tidings: &Tidings, row: &Row, width: usize) {
    let words = tidings.words;
    let label = format!("{}:", words.text(row.label));
    let room = " ".repeat(width.saturating_sub(columns(&label)));
    let now = row.now.as_deref().unwrap_or(words.text("removed"));
    let indent = " ".repeat(width + 1);
    // What changed is marked by a star, which a screen reader says too.
    let mark = if row.before.is_some() { "* " } else { "" };
    let lines = now.replace('\n', &format!("\n{indent}"));
    text.push_str(&format!("{label}{room} {mark}{lines}\n"));
    if let Some(before) = row.before.as_ref().filter(|before| !before.is_empty()) {
        let before = words.say("before", &[("text", before)]);
        let lines = before.replace('\n', &format!("\n{indent}"));
        text.push_str(&format!("{indent}({lines})\n"));
    }
}

/// How many columns a text takes: letters of Chinese and Japanese take two.
fn columns(text: &str) -> usize {
    text.chars()
        .map(|c| if ('\u{1100}'..).contains(&c) { 2 } else { 1 })
        .sum()
}
