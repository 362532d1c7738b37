//! Whether a mail is an invitation that mail programs take for one: a table of rules, each with what breaks without it.
//!
//! The rules are what Outlook, Gmail, Apple Mail and Thunderbird were seen to need, and RFC 6047 §2, RFC 5546 §3.2 and
//! RFC 5322. Those about the calendar object are in `lint_calendar`.

use mail_parser::{Message, MessageParser, MessagePart, MimeHeaders, PartType};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::lint_calendar;
use crate::ical::{self, Component};

/// What a mail must be.
pub struct Rule {
    /// Its name.
    pub id: &'static str,
    /// What goes wrong otherwise.
    pub why: &'static str,
    pub(super) check: Check,
}

/// What is wrong with a mail, in a few words each.
type Check = fn(&Seen<'_>) -> Vec<String>;

/// A rule that a mail breaks, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub id: &'static str,
    /// What goes wrong.
    pub why: &'static str,
    /// What is wrong in this mail.
    pub what: String,
}

/// A mail, taken apart.
pub(super) struct Seen<'m> {
    pub(super) bytes: &'m [u8],
    pub(super) message: &'m Message<'m>,
    /// The places of the text/calendar parts.
    pub(super) parts: Vec<usize>,
    /// What the first of them holds.
    pub(super) calendar: Option<Component>,
    /// The mail address it goes to.
    pub(super) to: Option<String>,
}

const RULES: &[Rule] = &[
    Rule {
        id: "line-ends",
        why: "strict servers refuse a line feed without a carriage return",
        check: line_ends,
    },
    Rule {
        id: "line-length",
        why: "servers refuse or break lines of more than 998 bytes",
        check: line_length,
    },
    Rule {
        id: "from",
        why: "a mail has one author; more, or none, and it fails DMARC",
        check: from,
    },
    Rule {
        id: "date",
        why: "a mail without a date is taken for spam",
        check: date,
    },
    Rule {
        id: "message-id",
        why: "a mail that comes twice is not recognised",
        check: message_id,
    },
    Rule {
        id: "auto-submitted",
        why: "out-of-office programs answer it",
        check: auto_submitted,
    },
    Rule {
        id: "calendar-part",
        why: "files alone have no buttons: the part's type must be text/calendar",
        check: calendar_part,
    },
    Rule {
        id: "one-calendar-part",
        why: "programs take one of them, and not the same one",
        check: one_calendar_part,
    },
    Rule {
        id: "alternative",
        why: "Outlook looks for the invitation among the alternatives of the first part only",
        check: alternative,
    },
    Rule {
        id: "order",
        why: "programs show the last alternative that they understand",
        check: order,
    },
    Rule {
        id: "plain-text",
        why: "who reads no HTML sees nothing",
        check: plain_text,
    },
    Rule {
        id: "disposition",
        why: "a part marked as attachment is only a file",
        check: disposition,
    },
    Rule {
        id: "encoding",
        why: "servers rewrite 8-bit parts, and break the calendar's lines",
        check: encoding,
    },
    Rule {
        id: "charset",
        why: "names in other letters are read wrong",
        check: charset,
    },
    Rule {
        id: "method-parameter",
        why: "some go by the parameter, some by METHOD: they must be equal",
        check: method_parameter,
    },
    Rule {
        id: "same-file",
        why: "the file that is saved is another meeting than the one that is shown",
        check: same_file,
    },
];

/// Every rule there is.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    RULES.iter().chain(lint_calendar::RULES)
}

/// What is wrong with a mail; none if it cannot be read as one.
#[must_use]
pub fn lint(bytes: &[u8]) -> Option<Vec<Finding>> {
    let message = catch_unwind(AssertUnwindSafe(|| MessageParser::default().parse(bytes)));
    let message = message.ok().flatten()?;
    // What has none of these is something else with a colon in it.
    let known = ["From", "Date", "Subject", "Content-Type"];
    if known.iter().all(|name| message.header_raw(*name).is_none()) {
        return None;
    }
    let is_calendar =
        |(_, part): &(usize, &MessagePart<'_>)| part.is_content_type("text", "calendar");
    let parts: Vec<usize> = message
        .parts
        .iter()
        .enumerate()
        .filter(is_calendar)
        .map(|(place, _)| place)
        .collect();
    let text = parts.first().and_then(|place| message.parts.get(*place));
    let calendar = text.and_then(|part| {
        let parsed = ical::parse(part.contents(), &ical::Limits::default());
        parsed.calendars.into_iter().find(|c| c.is("VCALENDAR"))
    });
    let to = message
        .to()
        .and_then(|to| to.first())
        .and_then(|to| to.address());
    let to = to.map(str::to_owned);
    let seen = Seen {
        bytes,
        message: &message,
        parts,
        calendar,
        to,
    };
    let mut findings = Vec::new();
    for rule in rules() {
        findings.extend((rule.check)(&seen).into_iter().map(|what| Finding {
            id: rule.id,
            why: rule.why,
            what,
        }));
    }
    Some(findings)
}

impl Seen<'_> {
    /// The first text/calendar part.
    pub(super) fn part(&self) -> Option<&MessagePart<'_>> {
        self.parts
            .first()
            .and_then(|place| self.message.parts.get(*place))
    }

    /// The multipart that has this part, with its place.
    fn parent(&self, place: usize) -> Option<(usize, &[u32])> {
        let parts = self.message.parts.iter().enumerate();
        parts
            .filter_map(|(at, part)| match &part.body {
                PartType::Multipart(inside) => Some((at, inside.as_slice())),
                PartType::Text(_)
                | PartType::Html(_)
                | PartType::Binary(_)
                | PartType::InlineBinary(_)
                | PartType::Message(_) => None,
            })
            .find(|(_, inside)| inside.iter().any(|id| usize::try_from(*id) == Ok(place)))
    }

    fn is(&self, place: usize, kind: (&str, &str)) -> bool {
        let part = self.message.parts.get(place);
        part.is_some_and(|part| part.is_content_type(kind.0, kind.1))
    }
}

/// One complaint if it is so.
pub(super) fn when(wrong: bool, what: &str) -> Vec<String> {
    if wrong {
        vec![what.to_owned()]
    } else {
        Vec::new()
    }
}

fn line_ends(seen: &Seen<'_>) -> Vec<String> {
    let mut before = 0;
    let mut line = 1;
    for byte in seen.bytes {
        if *byte == b'\n' {
            if before != b'\r' {
                return vec![format!("line {line} ends with a line feed alone")];
            }
            line += 1;
        }
        before = *byte;
    }
    Vec::new()
}

fn line_length(seen: &Seen<'_>) -> Vec<String> {
    let lines = seen.bytes.split(|byte| *byte == b'\n').enumerate();
    let long = |(_, line): &(usize, &[u8])| line.strip_suffix(b"\r").unwrap_or(line).len() > 998;
    let mut long = lines.filter(long);
    long.next()
        .map(|(number, line)| format!("line {} has {} bytes", number + 1, line.len()))
        .into_iter()
        .collect()
}

fn from(seen: &Seen<'_>) -> Vec<String> {
    let count = seen.message.from().map_or(0, |from| from.iter().count());
    when(count != 1, &format!("From names {count} addresses"))
}

fn date(seen: &Seen<'_>) -> Vec<String> {
    when(seen.message.date().is_none(), "there is no Date")
}

fn message_id(seen: &Seen<'_>) -> Vec<String> {
    let id = seen.message.message_id();
    when(
        id.is_none_or(|id| !id.contains('@')),
        "there is no Message-ID",
    )
}

fn auto_submitted(seen: &Seen<'_>) -> Vec<String> {
    let field = seen.message.header_raw("Auto-Submitted");
    let auto = field.is_some_and(|text| text.trim().to_ascii_lowercase().starts_with("auto-"));
    when(!auto, "there is no Auto-Submitted: auto-generated")
}

fn calendar_part(seen: &Seen<'_>) -> Vec<String> {
    when(seen.parts.is_empty(), "there is no text/calendar part")
}

fn one_calendar_part(seen: &Seen<'_>) -> Vec<String> {
    when(
        seen.parts.len() > 1,
        &format!("there are {} text/calendar parts", seen.parts.len()),
    )
}

fn alternative(seen: &Seen<'_>) -> Vec<String> {
    let Some(place) = seen.parts.first() else {
        return Vec::new();
    };
    let Some((parent, _)) = seen.parent(*place) else {
        return vec!["the calendar is the whole mail".to_owned()];
    };
    if !seen.is(parent, ("multipart", "alternative")) {
        return vec!["the calendar is not in a multipart/alternative".to_owned()];
    }
    match seen.parent(parent) {
        None => Vec::new(),
        Some((above, inside)) => {
            let first = inside.first().and_then(|id| usize::try_from(*id).ok());
            let good =
                above == 0 && first == Some(parent) && seen.is(above, ("multipart", "mixed"));
            when(
                !good,
                "the multipart/alternative is not the first part of the mail",
            )
        }
    }
}

/// The types of the alternatives beside the calendar.
fn alternatives(seen: &Seen<'_>) -> Vec<String> {
    let inside = seen.parts.first().and_then(|place| seen.parent(*place));
    let Some((_, inside)) = inside else {
        return Vec::new();
    };
    let parts = inside.iter().filter_map(|id| seen.message.part(*id));
    let kind = |part: &MessagePart<'_>| {
        let kind = part.content_type()?;
        let (kind, sub) = (kind.ctype(), kind.subtype().unwrap_or_default());
        Some(format!("{kind}/{sub}").to_ascii_lowercase())
    };
    parts
        .map(|part| kind(part).unwrap_or_else(|| "text/plain".to_owned()))
        .collect()
}

fn order(seen: &Seen<'_>) -> Vec<String> {
    let kinds = alternatives(seen);
    let rank = |kind: &String| match kind.as_str() {
        "text/plain" => 0,
        "text/html" | "multipart/related" => 1,
        "text/calendar" => 2,
        _ => 3,
    };
    when(
        !kinds.is_sorted_by_key(rank),
        &format!("the alternatives are {}", kinds.join(", ")),
    )
}

fn plain_text(seen: &Seen<'_>) -> Vec<String> {
    let kinds = alternatives(seen);
    let plain = kinds.iter().any(|kind| kind == "text/plain");
    when(
        !seen.parts.is_empty() && !plain,
        "there is no text/plain beside the calendar",
    )
}

fn disposition(seen: &Seen<'_>) -> Vec<String> {
    let marked = seen.part().and_then(MimeHeaders::content_disposition);
    when(
        marked.is_some(),
        "the text/calendar part has a Content-Disposition",
    )
}

fn encoding(seen: &Seen<'_>) -> Vec<String> {
    let Some(part) = seen.part() else {
        return Vec::new();
    };
    let named = part
        .content_transfer_encoding()
        .unwrap_or("7bit")
        .to_ascii_lowercase();
    let safe = match named.as_str() {
        "base64" | "quoted-printable" => true,
        "7bit" => part.contents().is_ascii(),
        _ => false,
    };
    when(!safe, &format!("the calendar is encoded as {named}"))
}

fn charset(seen: &Seen<'_>) -> Vec<String> {
    let kind = seen.part().and_then(MimeHeaders::content_type);
    let charset = kind.and_then(|kind| kind.attribute("charset"));
    let utf8 = charset.is_some_and(|name| name.eq_ignore_ascii_case("utf-8"));
    when(
        seen.part().is_some() && !utf8,
        &format!("charset is {}", charset.unwrap_or("not said")),
    )
}

fn method_parameter(seen: &Seen<'_>) -> Vec<String> {
    let Some(kind) = seen.part().and_then(MimeHeaders::content_type) else {
        return Vec::new();
    };
    let Some(method) = kind.attribute("method") else {
        return vec!["Content-Type has no method".to_owned()];
    };
    let inside = seen.calendar.as_ref().and_then(|c| c.property("METHOD"));
    let Some(inside) = inside else {
        return Vec::new();
    };
    let inside = inside.value().trim();
    when(
        !method.eq_ignore_ascii_case(inside),
        &format!("Content-Type says {method}, METHOD says {inside}"),
    )
}

fn same_file(seen: &Seen<'_>) -> Vec<String> {
    let Some(part) = seen.part() else {
        return Vec::new();
    };
    let own = seen.parts.first();
    let is_file = |(place, other): &(usize, &MessagePart<'_>)| {
        let named = other
            .attachment_name()
            .is_some_and(|name| name.ends_with(".ics"));
        Some(place) != own && (named || other.is_content_type("application", "ics"))
    };
    let mut files = seen.message.parts.iter().enumerate().filter(is_file);
    let other = files.any(|(_, file)| lines(file.contents()) != lines(part.contents()));
    when(other, "the attached .ics is not the text/calendar part")
}

/// A text without regard to its line ends.
fn lines(text: &[u8]) -> Vec<&[u8]> {
    let lines = text.split(|byte| *byte == b'\n');
    lines
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/mail")
    }

    fn ids(mail: &str) -> Vec<&'static str> {
        let findings = lint(mail.as_bytes()).unwrap();
        let ids: BTreeSet<_> = findings.iter().map(|finding| finding.id).collect();
        ids.into_iter().collect()
    }

    /// The base with the lines of a case replaced: `- text` is taken out, `+ text` put in its place.
    fn changed(base: &str, case: &str) -> String {
        let mut mail = base.to_owned();
        let mut old: Option<String> = None;
        let mut new = String::new();
        let mut apply = |old: &mut Option<String>, new: &mut String| {
            if let Some(old) = old.take() {
                let found = mail.match_indices(&old).count();
                assert!(found > 0, "{old:?} is not in the mail");
                mail = mail.replace(&old, new);
            }
            new.clear();
        };
        for line in case.lines() {
            let text = |rest: &str| {
                rest.replace("\\n", "\n")
                    .replace("\\r", "\r")
                    .replace("\\x", &"x".repeat(1000))
            };
            if let Some(rest) = line.strip_prefix("- ") {
                apply(&mut old, &mut new);
                old = Some(format!("{}\r\n", text(rest)));
            } else if let Some(rest) = line.strip_prefix("+ ") {
                let ended = !rest.ends_with("\\n");
                new.push_str(&text(rest));
                new.push_str(if ended { "\r\n" } else { "" });
            }
        }
        apply(&mut old, &mut new);
        mail
    }

    #[test]
    fn every_rule_has_a_mail_that_breaks_it() {
        let base = fs::read_to_string(folder().join("lint.eml")).unwrap();
        let base = base.replace("\r\n", "\n").replace('\n', "\r\n");
        assert_eq!(ids(&base), Vec::<&str>::new(), "the base breaks rules");
        let cases = fs::read_to_string(folder().join("lint.txt")).unwrap();
        let mut broken = BTreeSet::new();
        for case in cases.split("\n=== ").skip(1) {
            let (title, lines) = case.split_once('\n').unwrap();
            let expected: BTreeSet<&str> = title.split_whitespace().collect();
            let found: BTreeSet<&str> = ids(&changed(&base, lines)).into_iter().collect();
            assert_eq!(found, expected, "=== {title}");
            broken.extend(expected.iter().map(|id| (*id).to_owned()));
        }
        let all: BTreeSet<String> = rules().map(|rule| rule.id.to_owned()).collect();
        assert_eq!(broken, all);
    }

    #[test]
    fn the_mails_we_write_break_no_rule() {
        let mut checked = 0;
        for file in fs::read_dir(folder().join("out")).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|e| e == "eml") {
                let findings = lint(&fs::read(&path).unwrap()).unwrap();
                assert_eq!(findings, [], "{}", path.display());
                checked += 1;
            }
        }
        assert!(checked > 15, "{checked}");
    }

    #[test]
    fn what_is_no_mail_is_not_judged() {
        for bad in ["", "no mail at all"] {
            assert_eq!(lint(bad.as_bytes()), None, "{bad}");
        }
    }
}
