//! The page as HTML: works without script, in any width, in light and dark, and for screen readers.

use std::fmt::Write as _;

use super::form::{ANSWERS, COMMENT, Form};
use super::guest::{Occurrence, Seen};
use crate::ical::{Timestamp, When};
use crate::mail::Words;
use crate::recur::{Zone, zone_names};
use crate::xml::escape_html as escape;

/// What a page is made of.
pub(super) struct Page<'a> {
    pub(super) words: &'static Words,
    /// The last segment of its address.
    pub(super) link: &'a str,
    pub(super) seen: &'a Seen,
    /// What was asked for, or sent.
    pub(super) form: &'a Form,
    pub(super) notice: Option<Notice>,
    pub(super) now: Timestamp,
}

/// What happened just now.
pub(super) struct Notice {
    class: &'static str,
    role: &'static str,
    text: String,
}

impl Notice {
    /// It was done.
    pub(super) fn good(text: String) -> Notice {
        Notice {
            class: "good",
            role: "status",
            text,
        }
    }

    /// It was not.
    pub(super) fn bad(text: String) -> Notice {
        Notice {
            class: "bad",
            role: "alert",
            text,
        }
    }
}

/// A page that says one thing.
pub(super) fn sentence(words: &Words, text: &str) -> String {
    let text = escape(text);
    document(words, &text, &format!("<p>{text}</p>\n"))
}

/// The page of a meeting.
pub(super) fn page(page: &Page<'_>) -> String {
    let words = page.words;
    let zone = page.seen.zone(page.form);
    let title = page.seen.title();
    let title = if title.is_empty() {
        words.text("untitled").to_owned()
    } else {
        title
    };
    let mut out = String::new();
    let places = [
        ("person", page.seen.organizer.as_str()),
        ("summary", &title),
    ];
    put(&mut out, "h1", &words.say("invite.head", &places));
    if let Some(notice) = &page.notice {
        let text = escape(&notice.text);
        let (class, role) = (notice.class, notice.role);
        push(
            &mut out,
            format_args!("<p class=\"{class}\" role=\"{role}\">{text}</p>\n"),
        );
    }
    out.push_str("<table>\n");
    for (label, text) in page.seen.lines(words, page.form) {
        let (label, text) = (escape(label), escape(&text));
        push(
            &mut out,
            format_args!("<tr><th scope=\"row\">{label}</th><td>{text}</td></tr>\n"),
        );
    }
    out.push_str("</table>\n");
    zone_form(&mut out, page, &zone);
    answered(&mut out, page);
    answer_form(&mut out, page, &zone);
    let (link, download) = (escape(page.link), escape(words.text("page.download")));
    push(
        &mut out,
        format_args!("<p><a href=\"{link}/invite.ics\" download>{download}</a></p>\n"),
    );
    document(words, &escape(&title), &out)
}

/// What the guest answered before.
fn answered(out: &mut String, page: &Page<'_>) {
    let words = page.words;
    let (answer, comment) = page.seen.answered();
    let said = match said(words, &answer) {
        Some(answer) => words.say("page.answered", &[("answer", answer)]),
        None => words.text("page.unanswered").to_owned(),
    };
    let said = escape(&said);
    push(
        out,
        format_args!("<p class=\"before\"><strong>{said}</strong></p>\n"),
    );
    if let Some(comment) = comment {
        put(
            out,
            "p",
            &words.say("page.commented", &[("text", &comment)]),
        );
    }
}

/// The words for an answer that is one.
fn said(words: &'static Words, answer: &str) -> Option<&'static str> {
    let known = ANSWERS.into_iter().find(|it| *it == answer)?;
    Some(words.text(&format!("answer.{known}")))
}

fn answer_form(out: &mut String, page: &Page<'_>, zone: &Zone) {
    let words = page.words;
    let link = escape(page.link);
    push(
        out,
        format_args!("<form method=\"post\" action=\"{link}\">\n"),
    );
    // A proposed time is meant in the zone in which the page told times.
    let id = escape(zone.id());
    push(
        out,
        format_args!("<input type=\"hidden\" name=\"zone\" value=\"{id}\">\n"),
    );
    let ask = escape(words.text("answer.ask"));
    push(
        out,
        format_args!("<fieldset>\n<legend>{ask}</legend>\n<div class=\"answers\">\n"),
    );
    let before = page.seen.answered().0;
    for answer in ANSWERS {
        let text = escape(words.text(&format!("answer.{answer}")));
        let picked = page.form.answer.map_or(answer == before, |it| it == answer);
        let checked = if picked { " checked" } else { "" };
        push(
            out,
            format_args!(
                "<label class=\"{answer}\"><input type=\"radio\" name=\"answer\" \
                 value=\"{answer}\"{checked}> {text}</label>\n"
            ),
        );
    }
    out.push_str("</div>\n</fieldset>\n");
    let occurrences = page.seen.occurrences();
    which(out, page, &occurrences, zone);
    let (label, comment) = (
        escape(words.text("page.comment")),
        escape(&page.form.comment()),
    );
    push(
        out,
        format_args!(
            "<p><label for=\"comment\">{label}</label>\n<textarea id=\"comment\" \
             name=\"comment\" rows=\"3\" maxlength=\"{COMMENT}\">{comment}</textarea></p>\n"
        ),
    );
    let send = escape(words.text("page.send"));
    push(
        out,
        format_args!("<p><button name=\"do\" value=\"answer\">{send}</button></p>\n"),
    );
    proposal(out, page, &occurrences, zone);
    out.push_str("</form>\n");
}

/// The choice between the series and its occurrences.
fn which(out: &mut String, page: &Page<'_>, occurrences: &[Occurrence], zone: &Zone) {
    if occurrences.is_empty() {
        return;
    }
    let words = page.words;
    let (label, series) = (
        escape(words.text("page.which")),
        escape(words.text("page.series")),
    );
    push(
        out,
        format_args!(
            "<p><label for=\"which\">{label}</label>\n<select id=\"which\" name=\"which\">\n\
             <option value=\"\">{series}</option>\n"
        ),
    );
    for occurrence in occurrences {
        let mut text = match &occurrence.start {
            When::Date(day) => words.date(*day),
            When::Floating(local) => words.date_time(*local),
            When::Utc(_) | When::Zoned(..) => words.date_time(zone.local(occurrence.from)),
        };
        if let Some(answer) = said(words, &occurrence.answer) {
            text = format!("{text}: {answer}");
        }
        let (id, text) = (escape(&occurrence.id), escape(&text));
        let picked = page.form.occurrence.as_ref() == Some(&occurrence.id);
        let selected = if picked { " selected" } else { "" };
        push(
            out,
            format_args!("<option value=\"{id}\"{selected}>{text}</option>\n"),
        );
    }
    out.push_str("</select></p>\n");
}

/// The part of the form in which another time is proposed.
fn proposal(out: &mut String, page: &Page<'_>, occurrences: &[Occurrence], zone: &Zone) {
    let words = page.words;
    let chosen = page.form.occurrence.as_ref();
    let chosen = chosen.and_then(|id| occurrences.iter().find(|it| it.id == *id));
    let Some((start, end)) = page.seen.span(chosen.or(occurrences.first())) else {
        return;
    };
    let kind = if page.seen.is_all_day() {
        "date"
    } else {
        "datetime-local"
    };
    let label = escape(words.text("page.propose"));
    push(
        out,
        format_args!("<details class=\"propose\">\n<summary>{label}</summary>\n"),
    );
    if !page.seen.is_all_day() {
        put(out, "p", &words.zone(zone, page.now));
    }
    // The last day of a meeting on whole days is the day before its DTEND. RFC 5545 §3.6.1
    let last = match &end {
        When::Date(day) => day.add_days(-1).map_or_else(|| end.clone(), When::Date),
        _ => end.clone(),
    };
    for (name, key, at) in [("start", "page.start", &start), ("end", "page.end", &last)] {
        let (label, value) = (escape(words.text(key)), field(at, zone, page.seen));
        push(
            out,
            format_args!(
                "<p><label for=\"{name}\">{label}</label>\n<input id=\"{name}\" name=\"{name}\" \
                 type=\"{kind}\" value=\"{value}\"></p>\n"
            ),
        );
    }
    let send = escape(words.text("page.send-proposal"));
    push(
        out,
        format_args!(
            "<p><button class=\"second\" name=\"do\" value=\"propose\">{send}</button></p>\n</details>\n"
        ),
    );
}

/// A time as the fields of browsers hold it.
fn field(at: &When, zone: &Zone, seen: &Seen) -> String {
    let local = match at {
        When::Date(day) => return day_field(*day),
        When::Floating(local) => *local,
        When::Utc(instant) => zone.local(*instant),
        When::Zoned(..) => zone.local(seen.instant(at)),
    };
    let day = day_field(local.date());
    format!("{day}T{:02}:{:02}", local.hour(), local.minute())
}

fn day_field(day: crate::ical::Date) -> String {
    format!("{:04}-{:02}-{:02}", day.year(), day.month(), day.day())
}

/// The choice of the zone, which is kept for the pages and mails to come.
fn zone_form(out: &mut String, page: &Page<'_>, zone: &Zone) {
    if page.seen.is_all_day() {
        return;
    }
    let words = page.words;
    let (link, label) = (escape(page.link), escape(words.text("page.zone")));
    let other = escape(words.text("page.other-zone"));
    push(
        out,
        format_args!(
            "<form method=\"post\" action=\"{link}\">\n<details class=\"zone\">\n<summary>{other}</summary>\n\
             <p><label for=\"zone\">{label}</label>\n<select id=\"zone\" name=\"zone\">\n"
        ),
    );
    for name in zone_names() {
        if name.starts_with("Etc/") && name != "Etc/UTC" {
            continue;
        }
        let selected = if name == zone.id() { " selected" } else { "" };
        let name = escape(&name);
        push(
            out,
            format_args!("<option value=\"{name}\"{selected}>{name}</option>\n"),
        );
    }
    let show = escape(words.text("page.show"));
    push(
        out,
        format_args!(
            "</select>\n<button class=\"second\" name=\"do\" value=\"zone\">{show}</button></p>\n\
             </details>\n</form>\n"
        ),
    );
}

/// A whole document. The style is named from the page's own folder, whatever a proxy puts in front.
fn document(words: &Words, title: &str, main: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"robots\" content=\"noindex\">\n\
         <title>{title}</title>\n<link rel=\"stylesheet\" href=\"style.css\">\n</head>\n\
         <body>\n<main>\n{main}</main>\n</body>\n</html>\n",
        lang = words.code(),
    )
}

fn put(out: &mut String, element: &str, text: &str) {
    let text = escape(text);
    push(out, format_args!("<{element}>{text}</{element}>\n"));
}

fn push(out: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(what);
}
