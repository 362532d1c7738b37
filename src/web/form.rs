//! What the page is asked with: the parameters of its address and of its form, within limits.

use std::collections::BTreeSet;

use crate::ical::{LocalTime, When, percent_decoded};
use crate::recur::Zone;

/// Bytes of a form.
const BYTES: usize = 16 << 10;

/// Fields of a form.
const FIELDS: usize = 40;

/// Characters of a comment.
pub(super) const COMMENT: usize = 500;

/// The answers a guest can give, as PARTSTAT has them. RFC 5545 §3.2.12
pub(super) const ANSWERS: [&str; 3] = ["accepted", "tentative", "declined"];

/// What the guest wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To answer.
    Answer,
    /// To propose another time.
    Propose,
    /// To have times told in another zone.
    Zone,
}

/// The fields of the form; all are as the sender likes, and checked where they are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Form {
    /// What the guest wants.
    pub(super) wish: Option<Wish>,
    /// One of [`ANSWERS`].
    pub(super) answer: Option<&'static str>,
    /// The occurrence; none for all of them.
    pub(super) occurrence: Option<String>,
    /// What the guest writes.
    comment: String,
    /// The zone in which times are told.
    pub(super) zone: Option<String>,
    /// The proposed start and end, as the browser writes them.
    start: String,
    end: String,
    /// What was done just now.
    pub(super) done: Option<String>,
}

/// A time that somebody proposes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Proposal {
    /// Its start.
    pub(super) start: When,
    /// Its end, after the start.
    pub(super) end: When,
}

impl Form {
    /// The fields of a form's body.
    pub(super) fn of_body(body: &[u8]) -> Form {
        match body.len() > BYTES {
            true => Form::default(),
            false => Form::of_query(&String::from_utf8_lossy(body)),
        }
    }

    /// The fields of a query.
    pub(super) fn of_query(query: &str) -> Form {
        let mut form = Form::default();
        if query.len() > BYTES || query.split('&').count() > FIELDS {
            return form;
        }
        let mut names = BTreeSet::new();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // Our form has no field twice: who sends one twice means to be read in two ways.
            if !name.is_empty() && !names.insert(name) {
                return Form::default();
            }
            let value = decoded(value);
            match name {
                "do" => {
                    form.wish = match value.as_str() {
                        "answer" => Some(Wish::Answer),
                        "propose" => Some(Wish::Propose),
                        "zone" => Some(Wish::Zone),
                        _ => None,
                    };
                }
                "answer" => form.answer = ANSWERS.into_iter().find(|it| *it == value),
                "which" => form.occurrence = Some(value).filter(|it| !it.is_empty()),
                "comment" => form.comment = value,
                "zone" => form.zone = Some(value).filter(|it| !it.is_empty()),
                "start" => form.start = value,
                "end" => form.end = value,
                "done" => form.done = Some(value),
                _ => {}
            }
        }
        form
    }

    /// The comment on one line after another, without controls, and not longer than it may be.
    pub(super) fn comment(&self) -> String {
        let lines = self.comment.replace("\r\n", "\n");
        let clean = lines.chars().filter(|c| *c == '\n' || !c.is_control());
        let clean: String = clean.take(COMMENT).collect();
        clean.trim().to_owned()
    }

    /// The proposed time, if it is one: both in this zone, or both days.
    pub(super) fn proposal(&self, zone: &Zone) -> Option<Proposal> {
        if let (Some(first), Some(last)) = (day(&self.start), day(&self.end)) {
            let (start, end) = (first.date(), last.date().add_days(1)?);
            let proposal = Proposal {
                start: When::Date(start),
                end: When::Date(end),
            };
            return (start < end).then_some(proposal);
        }
        let instant = |text: &str| Some(zone.instant(local(text)?));
        let (start, end) = (instant(&self.start)?, instant(&self.end)?);
        (start < end && end.0 - start.0 < 366 * 86_400).then_some(Proposal {
            start: When::Utc(start),
            end: When::Utc(end),
        })
    }
}

/// `2026-12-07T10:00` as browsers write a local time.
fn local(text: &str) -> Option<LocalTime> {
    let compact: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    let compact = match compact.len() {
        13 => format!("{compact}00"),
        _ => compact,
    };
    LocalTime::parse(&compact)
}

/// `2026-12-07` as browsers write a day.
fn day(text: &str) -> Option<LocalTime> {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let plain = text.len() == 10 && digits.len() == 8;
    LocalTime::parse(&format!("{digits}T000000")).filter(|_| plain)
}

/// A value as it was before it was sent: `+` is a blank, `%XX` a byte.
fn decoded(value: &str) -> String {
    let bytes = percent_decoded(&value.replace('+', " "));
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_browsers_write_them() {
        let form = Form::of_body(b"do=answer&answer=tentative&which=20261214T090000Z&comment=a+b%0D%0A%C3%BC%00c&zone=Europe%2FParis&x=y&&=");
        assert_eq!(form.wish, Some(Wish::Answer));
        assert_eq!(form.answer, Some("tentative"));
        assert_eq!(form.occurrence.as_deref(), Some("20261214T090000Z"));
        assert_eq!(form.comment(), "a b\nüc");
        assert_eq!(form.zone.as_deref(), Some("Europe/Paris"));
        assert_eq!(Form::of_query("answer=DELEGATED&do=").answer, None);
        assert_eq!(Form::of_body(&[b'a'; BYTES + 1]), Form::default());
        assert_eq!(
            Form::of_body(b"do=answer&answer=accepted&do=propose"),
            Form::default()
        );
        let many = "x".repeat(5000).replace('x', "&a=b");
        assert_eq!(Form::of_body(many.as_bytes()), Form::default());
        let long = Form::of_query(&format!("comment={}", "x".repeat(2000)));
        assert_eq!(long.comment().len(), COMMENT);
    }

    #[test]
    fn a_proposal_is_a_span_in_the_guests_zone() {
        let zone = Zone::named("Europe/Paris").unwrap();
        let proposal = |start: &str, end: &str| {
            let query = format!("start={start}&end={end}");
            Form::of_query(&query)
                .proposal(&zone)
                .map(|it| (it.start, it.end))
        };
        let utc = |text: &str| When::parse(text, None).unwrap();
        assert_eq!(
            proposal("2026-12-07T10%3A00", "2026-12-07T11:30"),
            Some((utc("20261207T090000Z"), utc("20261207T103000Z")))
        );
        assert_eq!(
            proposal("2026-12-07", "2026-12-07"),
            Some((utc("20261207"), utc("20261208")))
        );
        for (start, end) in [
            ("", ""),
            ("2026-12-07T10:00", ""),
            ("2026-12-07T10:00", "2026-12-07T10:00"),
            ("2026-12-07T10:00", "2026-12-07T09:00"),
            ("2026-12-08", "2026-12-07"),
            ("2026-13-07T10:00", "2026-13-07T11:00"),
            ("2026-12-07", "2026-12-07T11:00"),
            ("0000-00-00", "9999-99-99"),
            ("2026-12-07T10:00", "2036-12-07T10:00"),
        ] {
            assert_eq!(proposal(start, end), None, "{start} {end}");
        }
    }
}
