//! Tidings as HTML: readable by screen readers, in light and dark, and complete in itself: nothing is
//! fetched, so nobody learns when it was read.

use super::tidings::{Row, Tidings};
use crate::xml::escape_html as escape;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{margin:0;padding:1.5em;font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;\
color:#1b1b1b;background:#ffffff}\
main{max-width:38em;margin:0 auto}\
h1{font-size:1.3em;line-height:1.3;margin:0 0 1em}\
table{border-collapse:collapse;width:100%}\
th,td{text-align:start;vertical-align:top;padding:.35em 0;overflow-wrap:anywhere}\
th{font-weight:600;width:8em;padding-inline-end:1em;color:#4d4d4d}\
td{white-space:pre-line}\
ins{text-decoration:none;font-weight:600;background:#fff2b3}\
del{color:#5c5c5c}\
.answers{margin:1.5em 0}\
.answers a{display:inline-block;margin:0 .5em .5em 0;padding:.6em 1.3em;border:2px solid #0b57a4;\
border-radius:.4em;color:#0b57a4;text-decoration:none;font-weight:600}\
footer{margin-top:2em;font-size:.875em;color:#4d4d4d}\
footer p{margin:.3em 0}\
@media (prefers-color-scheme:dark){\
body{color:#ececec;background:#1b1b1b}\
th,del,footer{color:#b8b8b8}\
ins{background:#5a4a00;color:#ffffff}\
.answers a{color:#9cc9ff;border-color:#9cc9ff}}";

/// The tidings as an HTML document, with lines ended by LF.
pub(super) fn html(tidings: &Tidings) -> String {
    let words = tidings.words;
    let rows: String = tidings.rows.iter().map(|r| row(tidings, r)).collect();
    let notes = tidings.notes.iter().map(|note| {
        let note = escape(note);
        format!("<p>{note}</p>\n")
    });
    let notes: String = notes.collect();
    let footer = match notes.is_empty() {
        true => String::new(),
        false => format!("<footer>\n{notes}</footer>\n"),
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"supported-color-schemes\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{headline}</h1>\n<table>\n{rows}</table>\n{answers}{footer}</main>\n</body>\n</html>\n",
        lang = words.code(),
        title = escape(&tidings.subject),
        headline = escape(&tidings.headline),
        answers = answers(tidings),
    )
}

fn row(tidings: &Tidings, row: &Row) -> String {
    let words = tidings.words;
    let label = escape(words.text(row.label));
    let now = row.now.as_deref().unwrap_or(words.text("removed"));
    let now = match row.before {
        Some(_) => format!("<ins>{}</ins>", escape(now)),
        None => linked(now),
    };
    let before = row.before.as_ref().filter(|before| !before.is_empty());
    let before = before.map(|before| {
        let struck = format!("<del>{}</del>", escape(before));
        format!("<br>{}", words.say("before", &[("text", &struck)]))
    });
    let before = before.unwrap_or_default();
    format!("<tr><th scope=\"row\">{label}</th><td>{now}{before}</td></tr>\n")
}

/// The three answers as links to the page, which asks once more: programs that look at links for
/// viruses answer nothing.
fn answers(tidings: &Tidings) -> String {
    let Some(link) = &tidings.link else {
        return String::new();
    };
    let words = tidings.words;
    let link = escape(link);
    let answers = ["accepted", "tentative", "declined"].map(|answer| {
        let text = escape(words.text(&format!("answer.{answer}")));
        format!("<a href=\"{link}?answer={answer}\">{text}</a>\n")
    });
    let ask = escape(words.text("answer.ask"));
    format!(
        "<div class=\"answers\">\n<p>{ask}</p>\n{}</div>\n",
        answers.concat()
    )
}

/// A text that is itself a web address, as a link; any other text as it is.
fn linked(text: &str) -> String {
    let url = ["https://", "http://"]
        .iter()
        .any(|scheme| text.starts_with(scheme))
        && !text.contains(char::is_whitespace);
    let text = escape(text);
    match url {
        true => format!("<a href=\"{text}\">{text}</a>"),
        false => text,
    }
}
