//! What the page of a guest shows of a meeting: the lines of a mail, and the file that is attached to one.

use super::copy::{Answers, copy};
use super::tidings::{Occasion, tidings};
use crate::ical::print;

/// The lines of a mail, label and text, without what changed.
#[must_use]
pub fn lines(occasion: &Occasion<'_>) -> Vec<(&'static str, String)> {
    let Some(tidings) = tidings(occasion, None) else {
        return Vec::new();
    };
    let words = occasion.words;
    let lines = tidings.rows.into_iter();
    let lines = lines.filter_map(|row| Some((words.text(row.label), row.now?)));
    lines.collect()
}

/// The file that is attached to the mail of this occasion, for the guest at this mail address. Answers to it go to the
/// reply address, if there is one.
#[must_use]
pub fn file(occasion: &Occasion<'_>, to: &str, reply: Option<&str>) -> Vec<u8> {
    let answers = reply.map_or(Answers::Own, Answers::Reply);
    let sender = (occasion.sender, occasion.sender_mail);
    print(&copy(occasion.message, to, answers, sender, occasion.now))
}
