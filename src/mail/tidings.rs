//! What a mail says, before it is written as text or HTML: a subject, a sentence, lines of what and
//! when with what changed, and how to answer.
//!
//! **Gaps**: days of the week in a rule are those of the meeting's zone, also where times are told in the
//! reader's.

use super::rules_in_words::repeats;
use super::span::{self, Frame, Span};
use super::words::Words;
use crate::ical::{CalAddress, Component, Timestamp, When, address, address_key, values};
use crate::itip::{Key, Meeting, Message, Method};
use crate::recur::Zone;

/// Guests, dates and occurrences that are listed.
const LISTED: usize = 20;

/// Characters of a text that is quoted.
const QUOTED: usize = 8_000;

/// What a mail is made of.
#[derive(Clone, Copy, Debug)]
pub struct Occasion<'a> {
    /// What is sent.
    pub message: &'a Message,
    /// The object as it was before, a VCALENDAR; none if it is new.
    pub before: Option<&'a Component>,
    /// The meeting goes on without the recipient.
    pub goes_on: bool,
    /// The name of the person here who sends it.
    pub sender: &'a str,
    /// Their mail address, if they have one of their own.
    pub sender_mail: Option<&'a str>,
    /// The recipient's language, or the sender's.
    pub words: &'static Words,
    /// The recipient's zone, where it is known.
    pub reader_zone: Option<&'a Zone>,
    /// The sender's zone.
    pub writer_zone: Option<&'a Zone>,
    /// When it is written.
    pub now: Timestamp,
}

/// What a mail says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tidings {
    pub(super) words: &'static Words,
    pub(super) subject: String,
    pub(super) headline: String,
    pub(super) rows: Vec<Row>,
    /// The page on which the guest may answer.
    pub(super) link: Option<String>,
    pub(super) notes: Vec<String>,
}

/// One line: a label, what it says now, and what it said before if that was something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) label: &'static str,
    pub(super) now: Option<String>,
    pub(super) before: Option<String>,
}

impl PartialEq for Words {
    fn eq(&self, other: &Words) -> bool {
        self.code() == other.code()
    }
}

impl Eq for Words {}

/// What the mail about this occasion says.
pub(super) fn tidings(occasion: &Occasion<'_>, link: Option<&str>) -> Option<Tidings> {
    let meeting = Meeting::read(&occasion.message.calendar)?;
    let before = occasion.before.and_then(Meeting::read);
    let before = before.filter(|before| was_invited(occasion, before));
    let (key, component) = meeting.components().next()?;
    let telling = Telling {
        occasion,
        frame: Frame {
            reader: occasion.reader_zone,
            writer: occasion.writer_zone,
        },
    };
    let kind = kind(occasion, component, key.is_some(), before.is_some());
    let rows = telling.rows(&meeting, before.as_ref(), (key, component));
    let words = occasion.words;
    let untold = component.property("SUMMARY").is_none();
    let told = before.as_ref().and_then(Meeting::any).filter(|_| untold);
    let summary = telling.summary(told.unwrap_or(component));
    let dates = telling.dates(&meeting);
    let places = [
        ("person", occasion.sender),
        ("summary", &summary),
        ("date", &dates),
    ];
    let asks = occasion.message.method == Method::Request;
    let mut notes = Vec::new();
    if rows.iter().any(|row| row.before.is_some()) {
        notes.push(words.text("note.changed").to_owned());
    }
    if asks {
        notes.push(words.text("note.answer").to_owned());
    }
    if let Some(address) = occasion.sender_mail {
        let places = [("person", occasion.sender), ("address", address)];
        notes.push(words.say("note.person", &places));
    }
    Some(Tidings {
        words,
        subject: words.say(&format!("{kind}.subject"), &places),
        headline: words.say(&format!("{kind}.head"), &places),
        rows,
        link: link.filter(|_| asks).map(str::to_owned),
        notes,
    })
}

/// Whether the recipient had the meeting before.
fn was_invited(occasion: &Occasion<'_>, before: &Meeting<'_>) -> bool {
    if occasion.message.method != Method::Request {
        return true;
    }
    let to = address_key(&occasion.message.to);
    let is_they = |c: &Component| c.properties("ATTENDEE").any(|a| address(a).key() == to);
    before.components().any(|(_, component)| is_they(component))
}

/// What the mail is, as the catalogues name it.
fn kind(
    occasion: &Occasion<'_>,
    component: &Component,
    one_occurrence: bool,
    known: bool,
) -> String {
    let form = match (component.is("VTODO"), one_occurrence) {
        (true, _) => ".todo",
        (false, true) => ".occurrence",
        (false, false) => "",
    };
    match occasion.message.method {
        Method::Request | Method::Add if known => format!("update{form}"),
        Method::Request | Method::Add => format!("invite{form}"),
        Method::Cancel if occasion.goes_on && form != ".todo" => format!("uninvite{form}"),
        Method::Cancel => format!("cancel{form}"),
        Method::Reply => format!("reply.{}", answer(occasion, component)),
        Method::Counter => "counter".to_owned(),
        Method::DeclineCounter => "declinecounter".to_owned(),
        Method::Refresh => "refresh".to_owned(),
        Method::Publish => "publish".to_owned(),
    }
}

/// What the sender of a REPLY answers.
fn answer(occasion: &Occasion<'_>, component: &Component) -> &'static str {
    let own = replier(occasion, component);
    match own.map(|own| own.partstat()).as_deref() {
        Some("ACCEPTED") => "accepted",
        Some("TENTATIVE") => "tentative",
        Some("DECLINED") => "declined",
        Some("DELEGATED") => "delegated",
        Some("COMPLETED") => "completed",
        _ => "other",
    }
}

fn replier<'c>(occasion: &Occasion<'_>, component: &'c Component) -> Option<CalAddress<'c>> {
    let from = address_key(&occasion.message.from);
    let mut attendees = component.properties("ATTENDEE").map(address);
    attendees.find(|attendee| attendee.key() == from)
}

/// How a person is called.
fn name(person: &CalAddress<'_>) -> String {
    let name = person.common_name().map(|name| one_line(&name));
    let name = name.filter(|name| !name.is_empty());
    name.or_else(|| person.mail())
        .unwrap_or_else(|| person.uri().to_owned())
}

/// A text in one line, without anything that controls.
pub(super) fn one_line(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.chars().map(clean).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text in lines, not too long.
fn quoted(text: &str) -> String {
    let clean = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    let text = text.replace("\r\n", "\n");
    let short: String = text.trim().chars().take(QUOTED).map(clean).collect();
    match short.len() < text.trim().len() {
        true => format!("{short} …"),
        false => short,
    }
}

/// Tells of components.
struct Telling<'a> {
    occasion: &'a Occasion<'a>,
    frame: Frame<'a>,
}

type Fact = (&'static str, String);

impl Telling<'_> {
    fn words(&self) -> &'static Words {
        self.occasion.words
    }

    fn summary(&self, component: &Component) -> String {
        let summary = component.text("SUMMARY").map(|text| one_line(&text));
        let summary = summary.filter(|summary| !summary.is_empty());
        summary.unwrap_or_else(|| self.words().text("untitled").to_owned())
    }

    /// The days of the occurrences that the message is about.
    fn dates(&self, meeting: &Meeting<'_>) -> String {
        let day = |(key, component): (&Key, &&Component)| {
            let id = occurrence(meeting, component, *key);
            span::say_day(self.words(), &id, &meeting.zones, self.frame)
        };
        let days: Vec<String> = meeting.overrides.iter().map(day).collect();
        self.words().short_list(&days, 3)
    }

    /// What the mail lists, with what was before.
    fn rows(
        &self,
        meeting: &Meeting<'_>,
        before: Option<&Meeting<'_>>,
        (key, component): (Option<Key>, &Component),
    ) -> Vec<Row> {
        let mut rows = Vec::new();
        // When an occurrence was to be is only said if that is not when it is.
        if let Some(key) = key {
            let id = occurrence(meeting, component, key);
            let start = component.property("DTSTART").and_then(values::when);
            let utc = Zone::utc();
            let at = |when: &When| meeting.zones.instant(when, &utc);
            if start.is_none_or(|start| at(&start) != at(&id)) {
                let now = span::say(self.words(), &id, &meeting.zones, self.frame);
                rows.push(Row::plain("label.occurrence", now));
            }
        }
        let compares = !matches!(
            self.occasion.message.method,
            Method::Cancel | Method::Reply | Method::Refresh
        );
        let now = self.facts(meeting, component, None);
        let then = before
            .filter(|_| compares)
            .and_then(|before| self.earlier(before, key));
        match then {
            None => {
                let new = now.into_iter().filter(|(label, _)| *label != "label.what");
                rows.extend(new.map(|(label, now)| Row::plain(label, now)));
            }
            Some(then) => rows.extend(merged(&now, then)),
        }
        if key.is_none() {
            rows.extend(self.moved(meeting, before));
        } else {
            let others = meeting.components().skip(1);
            for (_, other) in others.take(LISTED) {
                let when = Span::of(other, &meeting.zones);
                let when = when.map(|s| s.say(self.words(), &meeting.zones, self.frame));
                rows.extend(when.map(|when| Row::plain("label.occurrence", when)));
            }
        }
        rows
    }

    /// What there was to say of this component before.
    fn earlier(&self, before: &Meeting<'_>, key: Option<Key>) -> Option<Vec<Fact>> {
        let Some(key) = key else {
            return Some(self.facts(before, before.master?, None));
        };
        if let Some(component) = before.overrides.get(&key) {
            return Some(self.facts(before, component, None));
        }
        let master = before.master?;
        Some(self.facts(before, master, Some(before.id(key))))
    }

    /// Everything there is to say of a component, or of the instance of a series at `start`.
    fn facts(
        &self,
        meeting: &Meeting<'_>,
        component: &Component,
        start: Option<When>,
    ) -> Vec<Fact> {
        let words = self.words();
        let series = start.is_none() && component.property("RECURRENCE-ID").is_none();
        let mut facts = vec![("label.what", self.summary(component))];
        let span = Span::of(component, &meeting.zones).map(|span| match start {
            Some(start) => span.at(start, &meeting.zones),
            None => span,
        });
        let say = |span: Span| span.say(words, &meeting.zones, self.frame);
        facts.extend(span.map(|span| ("label.when", say(span))));
        let due = component.property("DUE").and_then(values::when);
        let due = due.map(|due| span::say(words, &due, &meeting.zones, self.frame));
        facts.extend(due.map(|due| ("label.due", due)));
        if series {
            let said = repeats(words, meeting.calendar, self.occasion.now);
            facts.extend(said.map(|said| ("label.repeats", said)));
            facts.extend(self.exceptions(meeting));
        }
        let text = |name: &str| component.text(name).map(|text| quoted(&text));
        let filled = |label, text: Option<String>| Some((label, text.filter(|t| !t.is_empty())?));
        facts.extend(filled("label.where", text("LOCATION")));
        facts.extend(filled("label.join", self.conferences(component)));
        // A guest writes of themselves alone, and a cancellation names nobody but the recipient.
        if self.occasion.message.method == Method::Cancel {
            facts.extend(filled("label.organizer", organizer(component)));
        } else if from_organizer(self.occasion.message.method) {
            facts.extend(filled("label.organizer", organizer(component)));
            facts.extend(filled("label.guests", self.guests(component)));
        } else if let Some(own) = replier(self.occasion, component) {
            let others = own.addresses("DELEGATED-TO");
            let plain = |uri: &str| address_key(uri).trim_start_matches("mailto:").to_owned();
            let others: Vec<String> = others.iter().map(|uri| plain(uri)).collect();
            facts.extend(filled("label.delegate", Some(words.list(&others))));
        }
        facts.extend(filled("label.comment", text("COMMENT")));
        if self.occasion.message.method != Method::Reply {
            facts.extend(filled("label.link", text("URL")));
            facts.extend(filled("label.description", text("DESCRIPTION")));
        }
        facts
    }

    /// The days on which a series does not take place and otherwise would, from today on.
    fn exceptions(&self, meeting: &Meeting<'_>) -> Option<Fact> {
        let utc = Zone::utc();
        let ahead = meeting
            .exceptions()
            .iter()
            .map(|key| meeting.id(*key))
            .filter(|id| meeting.zones.instant(id, &utc).add_seconds(86_400) > self.occasion.now);
        let day = |id: When| span::say_day(self.words(), &id, &meeting.zones, self.frame);
        let days: Vec<String> = ahead.map(day).collect();
        let list = self.words().short_list(&days, LISTED);
        (!list.is_empty()).then_some(("label.except", list))
    }

    /// The occurrences of a series that are not like the others, from today on.
    fn moved(&self, meeting: &Meeting<'_>, before: Option<&Meeting<'_>>) -> Vec<Row> {
        let utc = Zone::utc();
        let ahead = |key: &&Key| {
            let id = meeting.id(**key);
            meeting.zones.instant(&id, &utc).add_seconds(86_400) > self.occasion.now
        };
        let mut rows = Vec::new();
        for key in meeting.overrides.keys().filter(ahead).take(LISTED) {
            let Some(component) = meeting.overrides.get(key) else {
                continue;
            };
            let now = self.difference(meeting, component, *key);
            let then = before.and_then(|before| match before.overrides.get(key) {
                Some(component) => Some(self.difference(before, component, *key)),
                None => {
                    let span = Span::of(before.master?, &before.zones)?;
                    let span = span.at(before.id(*key), &before.zones);
                    Some(span.say(self.words(), &before.zones, self.frame))
                }
            });
            rows.push(Row {
                label: "label.moved",
                before: then.filter(|then| *then != now),
                now: Some(now),
            });
        }
        rows
    }

    /// When an occurrence is, and what else is its own.
    fn difference(&self, meeting: &Meeting<'_>, component: &Component, key: Key) -> String {
        let words = self.words();
        let span = Span::of(component, &meeting.zones);
        let mut said = match span {
            Some(span) => span.say(words, &meeting.zones, self.frame),
            None => span::say(words, &meeting.id(key), &meeting.zones, self.frame),
        };
        for name in ["SUMMARY", "LOCATION"] {
            let own = component.text(name).map(|text| one_line(&text));
            let usual = meeting.master.and_then(|master| master.text(name));
            let usual = usual.map(|text| one_line(&text));
            if let Some(own) = own.filter(|own| Some(own) != usual.as_ref()) {
                said = format!("{said}; {own}");
            }
        }
        said
    }

    /// Where to dial in. RFC 7986 §5.11
    fn conferences(&self, component: &Component) -> Option<String> {
        let all = component.properties("CONFERENCE");
        let plain = all.map(|p| {
            let uri = one_line(p.value());
            let uri = uri.strip_prefix("tel:").unwrap_or(&uri).to_owned();
            match p.param("LABEL") {
                Some(label) => format!("{} {uri}", one_line(&label)),
                None => uri,
            }
        });
        let lines: Vec<String> = plain.take(LISTED).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    fn guests(&self, component: &Component) -> Option<String> {
        let organizer = component.property("ORGANIZER").map(|p| address(p).key());
        let guests = component.properties("ATTENDEE").map(address);
        let guests = guests.filter(|guest| Some(guest.key()) != organizer);
        let names: Vec<String> = guests.map(|guest| name(&guest)).collect();
        (!names.is_empty()).then(|| self.words().short_list(&names, LISTED))
    }
}

/// The start by which a series knows an occurrence, as the message writes it.
fn occurrence(meeting: &Meeting<'_>, component: &Component, key: Key) -> When {
    let written = component.property("RECURRENCE-ID").and_then(values::when);
    written.unwrap_or_else(|| meeting.id(key))
}

/// Whether an organizer sends this, to guests.
pub(super) fn from_organizer(method: Method) -> bool {
    match method {
        Method::Request
        | Method::Add
        | Method::Cancel
        | Method::DeclineCounter
        | Method::Publish => true,
        Method::Reply | Method::Counter | Method::Refresh => false,
    }
}

fn organizer(component: &Component) -> Option<String> {
    component.property("ORGANIZER").map(|p| name(&address(p)))
}

impl Row {
    fn plain(label: &'static str, now: String) -> Row {
        Row {
            label,
            now: Some(now),
            before: None,
        }
    }
}

/// What is said now beside what was said before, in the order of now; what is gone comes last.
fn merged(now: &[Fact], then: Vec<Fact>) -> Vec<Row> {
    let was = |label: &str| then.iter().find(|(l, _)| *l == label);
    let mut rows = Vec::new();
    for (label, text) in now {
        let before = was(label).map(|(_, text)| text.clone());
        let new = before.as_ref() != Some(text);
        // The first sentence says what it is; a line says so again only if it was called otherwise.
        if *label == "label.what" && !new {
            continue;
        }
        rows.push(Row {
            label,
            now: Some(text.clone()),
            before: before.filter(|_| new).or_else(|| new.then(String::new)),
        });
    }
    for (label, text) in then {
        if !now.iter().any(|(l, _)| *l == label) {
            rows.push(Row {
                label,
                now: None,
                before: Some(text),
            });
        }
    }
    rows
}
