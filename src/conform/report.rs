//! What a run found, for a terminal, as JSON, and as a page that a person reads.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::run::{Failure, Outcome, Played};
use super::wire::{Answer, Question};
use crate::xml::escape_html as escape;

/// How many cases of a run had which outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Passed.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
    /// Not offered.
    pub not_offered: usize,
    /// Failed as known.
    pub known: usize,
    /// Passed though known to differ.
    pub healed: usize,
}

impl Totals {
    /// Counts the outcomes.
    pub fn of<'a>(played: impl IntoIterator<Item = &'a Played>) -> Totals {
        let mut totals = Totals::default();
        for one in played {
            match one.outcome {
                Outcome::Passed => totals.passed += 1,
                Outcome::Failed(_) => totals.failed += 1,
                Outcome::NotOffered(_) => totals.not_offered += 1,
                Outcome::Known(..) => totals.known += 1,
                Outcome::Healed(_) => totals.healed += 1,
            }
        }
        totals
    }

    /// How many cases were run.
    pub fn all(&self) -> usize {
        self.passed + self.failed + self.not_offered + self.known + self.healed
    }

    /// Whether nothing failed.
    pub fn good(&self) -> bool {
        self.failed == 0 && self.healed == 0
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} cases: {} passed, {} failed, {} not offered, {} known differences, {} known differences that pass",
            self.all(),
            self.passed,
            self.failed,
            self.not_offered,
            self.known,
            self.healed
        )
    }
}

/// A failure for a terminal: where, which section, expected, got, and the exchange.
pub fn failure_text(played: &Played) -> String {
    let case = &played.case;
    let mut out = String::new();
    match &played.outcome {
        Outcome::Failed(failure) => {
            let _ = writeln!(out, "{}:{}: {}", failure.file, failure.line, case.title);
            let _ = writeln!(out, "  case      {}:{}", case.file, case.line);
            let _ = writeln!(out, "  section   {}", source(played));
            let _ = writeln!(out, "  expected  {}", failure.expected);
            let _ = writeln!(
                out,
                "  got       {}",
                cut(failure.got.trim()).replace('\n', "\n            ")
            );
            out.push_str(&exchange_text(&played.exchange));
        }
        Outcome::Healed(reason) => {
            let _ = writeln!(out, "{}:{}: {}", case.file, case.line, case.title);
            let _ = writeln!(
                out,
                "  it passes, but the target file lists it as a known difference: {reason}"
            );
        }
        Outcome::Passed | Outcome::NotOffered(_) | Outcome::Known(..) => {}
    }
    out
}

fn source(played: &Played) -> String {
    let clients = played.case.clients.iter().map(|c| format!("client {c}"));
    played
        .case
        .spec
        .iter()
        .cloned()
        .chain(clients)
        .collect::<Vec<_>>()
        .join(", ")
}

fn exchange_text(exchange: &[(Question, Answer)]) -> String {
    let mut out = String::new();
    for (question, answer) in exchange {
        for line in question_text(question).lines() {
            let _ = writeln!(out, "  > {line}");
        }
        for line in answer_text(answer).lines() {
            let _ = writeln!(out, "  < {line}");
        }
    }
    out
}

/// The longest body that a report shows.
const MAX_BODY: usize = 6000;

fn question_text(question: &Question) -> String {
    let body = String::from_utf8_lossy(question.body.as_deref().unwrap_or_default());
    let start = format!("{} {}", question.method, question.target);
    message_text(&start, &question.headers, &body)
}

fn answer_text(answer: &Answer) -> String {
    message_text(&answer.status.to_string(), &answer.headers, &answer.text())
}

/// As much of a text as a report shows.
fn cut(text: &str) -> String {
    let shown: String = text.chars().take(MAX_BODY).collect();
    let rest = if shown.len() < text.len() {
        "\n[cut]"
    } else {
        ""
    };
    format!("{shown}{rest}")
}

fn message_text(start: &str, headers: &[(String, String)], body: &str) -> String {
    let headers: String = headers.iter().map(|(n, v)| format!("{n}: {v}\n")).collect();
    format!("{start}\n{headers}\n{}\n", cut(body))
}

/// The word for an outcome, and the detail.
fn verdict(outcome: &Outcome) -> (&'static str, String) {
    let of = |f: &Failure| {
        format!(
            "{}:{}: expected {}; got {}",
            f.file,
            f.line,
            f.expected,
            cut(f.got.trim())
        )
    };
    match outcome {
        Outcome::Passed => ("passed", String::new()),
        Outcome::Failed(failure) => ("failed", of(failure)),
        Outcome::NotOffered(what) => ("not offered", format!("needs {what}")),
        Outcome::Known(reason, failure) => {
            ("known difference", format!("{reason} ({})", of(failure)))
        }
        Outcome::Healed(reason) => (
            "passes, but is listed as a known difference",
            reason.clone(),
        ),
    }
}

/// The whole run as JSON.
pub fn json(name: &str, played: &[Played]) -> Value {
    let totals = Totals::of(played);
    let cases: Vec<Value> = played
        .iter()
        .map(|p| {
            let (outcome, detail) = verdict(&p.outcome);
            json!({
                "file": p.case.file, "line": p.case.line, "title": p.case.title, "spec": p.case.spec,
                "clients": p.case.clients, "outcome": outcome, "detail": detail,
            })
        })
        .collect();
    json!({
        "target": name,
        "totals": {
            "cases": totals.all(), "passed": totals.passed, "failed": totals.failed,
            "not_offered": totals.not_offered, "known": totals.known, "healed": totals.healed,
        },
        "cases": cases,
    })
}

/// The cases by document and section, in the order of numbers.
fn by_section(played: &[Played]) -> BTreeMap<(String, Vec<u32>, String), Vec<&Played>> {
    let mut groups: BTreeMap<(String, Vec<u32>, String), Vec<&Played>> = BTreeMap::new();
    for one in played {
        let key = match one.case.spec.first() {
            Some(spec) => {
                let (document, section) = spec.split_once(" §").unwrap_or((spec, ""));
                let numbers = section.split('.').map(|n| n.parse().unwrap_or(0)).collect();
                (document.to_owned(), numbers, section.to_owned())
            }
            None => {
                let client = one.case.clients.first().cloned().unwrap_or_default();
                ("What clients depend on".to_owned(), Vec::new(), client)
            }
        };
        groups.entry(key).or_default().push(one);
    }
    groups
}

/// The whole run as one HTML page: what became of it by document, what does not hold, and every case by section with the
/// exchange behind it.
pub fn html(server: &str, played: &[Played]) -> String {
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>CalDAV conformance: {0}</title>\n<style>{STYLE}</style></head>\n<body><h1>CalDAV conformance: {0}</h1>\n<p>{1}.</p>\n",
        escape(server),
        Totals::of(played)
    );
    out.push_str(&summary(played));
    out.push_str(&what_does_not_hold(played));
    let groups = by_section(played);
    let mut document = "";
    for ((rfc, _, section), cases) in &groups {
        if rfc != document {
            let _ = writeln!(out, "<h2 id=\"{}\">{}</h2>", name(rfc), escape(rfc));
            document = rfc;
        }
        out.push_str(&heading(rfc, section, cases));
        for one in cases {
            out.push_str(&row(one));
        }
    }
    out.push_str("</body></html>\n");
    out
}

const STYLE: &str = "body{font:16px/1.4 sans-serif;max-width:70em;margin:2em auto;padding:0 1em}table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:left;border-bottom:1px solid #ccc}td+td,th+th{text-align:right}h2{border-bottom:2px solid #ccc;margin-top:2em}h3{font-size:1em;margin:1.4em 0 .3em}h3 small,summary small{color:#666;font-weight:normal}details{margin:.2em 0 .2em 1em}details>p{margin:.4em 0}pre{font-size:13px;padding:.6em;margin:.3em 0;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere}.asked{background:#eef3fa;border-left:4px solid #5b86bd}.answered{background:#f5f5f2;border-left:4px solid #9a9a86}.passed{color:#176b1a}.failed,.healed{color:#a11212;font-weight:bold}.known{color:#8a5a00}.not{color:#666}";

/// A section, with a link to its text and what became of its cases.
fn heading(document: &str, section: &str, cases: &[&Played]) -> String {
    let Totals {
        passed,
        failed,
        known,
        not_offered,
        healed,
    } = Totals::of(cases.iter().copied());
    let counts = [
        (passed, "hold"),
        (failed + healed, "failed"),
        (known, "known to differ"),
        (not_offered, "not offered"),
    ];
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let named = match document.strip_prefix("RFC ") {
        Some(number) if !section.is_empty() => {
            let kind = if section.starts_with(|c: char| c.is_ascii_digit()) {
                "section"
            } else {
                "appendix"
            };
            format!(
                "<a href=\"https://www.rfc-editor.org/rfc/rfc{number}#{kind}-{section}\">{} §{}</a>",
                escape(document),
                escape(section)
            )
        }
        Some(_) => escape(document),
        None => escape(section),
    };
    format!("<h3>{named} <small>{}</small></h3>\n", counts.join(", "))
}

/// A list of the cases that did not hold, each with the reason if it is a known one.
fn what_does_not_hold(played: &[Played]) -> String {
    let mut out = String::new();
    for one in played {
        let (class, why) = match &one.outcome {
            Outcome::Failed(failure) => ("failed", &failure.expected),
            Outcome::Known(reason, _) => ("known", reason),
            Outcome::Healed(reason) => ("healed", reason),
            Outcome::Passed | Outcome::NotOffered(_) => continue,
        };
        let _ = writeln!(
            out,
            "<li><a class=\"{class}\" href=\"#{}\">{}</a> <small>{}</small>",
            anchor(one),
            escape(&one.case.title),
            escape(why)
        );
    }
    if out.is_empty() {
        return "<h2>What does not hold</h2>\n<p>Nothing.</p>\n".to_owned();
    }
    format!("<h2>What does not hold</h2>\n<ul>\n{out}</ul>\n")
}

/// What a document is linked by.
fn name(document: &str) -> String {
    escape(document).replace(' ', "-")
}

/// What a row is linked by.
fn anchor(played: &Played) -> String {
    format!("{}:{}", escape(&played.case.file), played.case.line)
}

/// What became of the cases of each document, in the order of `by_section`.
pub fn documents(played: &[Played]) -> Vec<(String, Totals)> {
    let mut documents: BTreeMap<String, Vec<&Played>> = BTreeMap::new();
    for ((document, _, _), cases) in by_section(played) {
        documents.entry(document).or_default().extend(cases);
    }
    let totals = |(name, cases): (String, Vec<&Played>)| (name, Totals::of(cases));
    documents.into_iter().map(totals).collect()
}

fn summary(played: &[Played]) -> String {
    let mut out = String::from(
        "<table><tr><th>Document<th>Cases<th>Passed<th>Failed<th>Known differences<th>Not offered</tr>\n",
    );
    for (rfc, t) in documents(played) {
        let _ = writeln!(
            out,
            "<tr><td><a href=\"#{}\">{}</a><td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            name(&rfc),
            escape(&rfc),
            t.all(),
            t.passed,
            t.failed + t.healed,
            t.known,
            t.not_offered
        );
    }
    out.push_str("</table>\n");
    out
}

fn row(played: &Played) -> String {
    let (word, detail) = verdict(&played.outcome);
    let class = word.split([' ', ',']).next().unwrap_or_default();
    let class = if class == "passes" { "healed" } else { class };
    let detail = if detail.is_empty() {
        detail
    } else {
        format!("<p>{}</p>", escape(&detail))
    };
    let mut exchange = String::new();
    for (question, answer) in &played.exchange {
        let body = String::from_utf8_lossy(question.body.as_deref().unwrap_or_default());
        let start = format!("{} {}", question.method, question.target);
        exchange.push_str(&message("asked", &start, &question.headers, &body));
        let status = answer.status.to_string();
        exchange.push_str(&message(
            "answered",
            &status,
            &answer.headers,
            &answer.text(),
        ));
    }
    format!(
        "<details id=\"{}\"><summary><span class=\"{class}\">{word}</span> {} <small>{} · {}</small></summary>{detail}{exchange}</details>\n",
        anchor(played),
        escape(&played.case.title),
        escape(&source(played)),
        anchor(played),
    )
}

/// A message, its XML laid out for reading.
fn message(class: &str, start: &str, headers: &[(String, String)], body: &str) -> String {
    let body = cut(body);
    let body = if body.trim_start().starts_with('<') {
        laid_out(&body)
    } else {
        body
    };
    let text = message_text(start, headers, &body);
    format!("<pre class=\"{class}\">{}</pre>", escape(text.trim_end()))
}

/// XML with a line for each element that has no text before it.
fn laid_out(xml: &str) -> String {
    let mut out = String::new();
    let mut depth = 0_usize;
    for part in xml.split_inclusive('>') {
        let tag = part.trim_start();
        let closes = part.contains("</");
        if closes {
            depth = depth.saturating_sub(1);
        }
        // An element whose content is text ends on its line.
        if tag.starts_with('<') && out.ends_with('>') {
            out.push('\n');
            out.push_str(&"  ".repeat(depth.min(MAX_INDENT)));
            out.push_str(tag);
        } else {
            out.push_str(part);
        }
        let declares = tag.starts_with("<?") || tag.starts_with("<!");
        if part.contains('<') && !closes && !declares && !part.ends_with("/>") {
            depth += 1;
        }
    }
    out
}

/// The deepest that XML is indented.
const MAX_INDENT: usize = 12;

#[cfg(test)]
mod tests {
    use super::laid_out;

    #[test]
    fn xml_is_laid_out_and_its_text_is_kept() {
        let xml =
            "<?xml version=\"1.0\"?>\n<a xmlns=\"x\"><b><c/><d>text &amp; more</d></b><e>1</e></a>";
        let expected = "<?xml version=\"1.0\"?>\n<a xmlns=\"x\">\n  <b>\n    <c/>\n    <d>text &amp; more</d>\n  </b>\n  <e>1</e>\n</a>";
        assert_eq!(laid_out(xml), expected);
        assert_eq!(laid_out("<a>no end"), "<a>no end");
    }
}
