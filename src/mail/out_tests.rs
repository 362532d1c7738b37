//! Mails as they leave: each case in `testdata/mail/out` is a change to an object, or a message, and the
//! mail that comes of it, byte by byte.
//!
//! A mail that comes out otherwise is written to `target/mail-out`, to be looked at and copied.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::compose::{Addressing, Mail, Organizer, compose, mail_address};
use super::tidings::Occasion;
use super::words::Words;
use crate::ical::{Component, Limits, Timestamp, parse};
use crate::itip::{self, Addresses, Intent, Message, Method, Route, Weight, outgoing};
use crate::recur::Zone;

/// A case: lines of `word value`, then texts, each behind `--- name`.
pub(super) struct Case {
    words: BTreeMap<String, String>,
    texts: BTreeMap<String, Component>,
}

pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/mail/out")
}

/// The names of all cases, sorted.
pub(super) fn names() -> Vec<String> {
    let files = fs::read_dir(folder()).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let cases = paths.filter(|path| path.extension().is_some_and(|e| e == "case"));
    let mut names: Vec<_> = cases
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

impl Case {
    pub(super) fn read(name: &str) -> Case {
        let text = fs::read_to_string(folder().join(format!("{name}.case"))).unwrap();
        let mut parts = text.split("\n--- ");
        let head = parts.next().unwrap_or_default();
        let words = head
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(|line| line.split_once(' ').unwrap_or((line, "")));
        let texts = parts.map(|part| {
            let (name, text) = part.split_once('\n').unwrap();
            let text = text.replace('\n', "\r\n");
            let parsed = parse(text.as_bytes(), &Limits::default());
            assert!(parsed.fault().is_none(), "{name}: {:?}", parsed.problems);
            let calendar = parsed.calendars.into_iter().next().unwrap();
            (name.trim().to_owned(), calendar)
        });
        Case {
            words: words
                .map(|(k, v)| (k.to_owned(), v.trim().to_owned()))
                .collect(),
            texts: texts.collect(),
        }
    }

    fn word(&self, name: &str) -> Option<&str> {
        self.words.get(name).map(String::as_str)
    }

    fn now(&self) -> Timestamp {
        Timestamp::parse(self.word("now").unwrap_or("20261120T101500Z")).unwrap()
    }

    /// The message to the person the case is about: given, or what the change makes the server send.
    fn message(&self) -> Message {
        let to = self.word("to").unwrap();
        if let Some(calendar) = self.texts.get("message") {
            let method = calendar.property("METHOD").unwrap().value();
            let uid = calendar.all_components().find_map(|c| c.text("UID"));
            return Message {
                method: Method::parse(method).unwrap(),
                from: self.word("owner").unwrap().to_owned(),
                to: to.to_owned(),
                uid: uid.unwrap().into_owned(),
                weight: Weight::News,
                calendar: calendar.clone().into(),
            };
        }
        let mut who = Addresses::new([self.word("owner").unwrap()]);
        let all = self.texts.values().flat_map(Component::all_components);
        for person in all.flat_map(|c| c.properties("ATTENDEE").chain(c.properties("ORGANIZER"))) {
            who.learn(person.value(), Route::Mail);
        }
        let limits = itip::Limits {
            messages: 100,
            overrides: 100,
            recur: crate::recur::Limits::default(),
        };
        let change = (self.texts.get("before"), self.texts.get("after"));
        let sent = outgoing(change, &who, Intent::Change, self.now(), &limits).unwrap();
        let method = self.word("method").and_then(Method::parse);
        let mut messages = sent.messages.into_iter().filter(|message| {
            crate::ical::same_address(&message.to, to)
                && method.is_none_or(|method| method == message.method)
        });
        messages.next().expect("the change sends nothing")
    }

    pub(super) fn mail(&self, name: &str) -> Mail {
        let message = self.message();
        let zone = |name| self.word(name).and_then(Zone::named);
        let (reader, writer) = (zone("zone"), zone("writer-zone"));
        let occasion = Occasion {
            message: &message,
            before: self.texts.get("before"),
            goes_on: self.word("goes-on").is_some(),
            sender: self.word("name").unwrap_or("Alice Example"),
            sender_mail: self.word("mail"),
            words: Words::of(self.word("language").unwrap_or("en")).unwrap(),
            reader_zone: reader.as_ref(),
            writer_zone: writer.as_ref(),
            now: self.now(),
        };
        let to = mail_address(&message.to).unwrap();
        let id = format!("{name}@cal.example.org");
        let addressing = Addressing {
            from: "calendar@cal.example.org",
            server: "Example Calendar",
            to: &to,
            reply: Some("calendar+abcdefghijklmnopqrstuvwxya@cal.example.org"),
            organizer: match self.word("organizer") {
                Some("own") => Organizer::Own,
                _ => Organizer::Reply,
            },
            page: self.word("page"),
            id: &id,
            thread: "thread.0123456789abcdef@cal.example.org",
        };
        compose(&occasion, &addressing).unwrap()
    }
}

#[test]
fn mails_leave_as_they_are_written_down() {
    let names = names();
    assert!(names.len() > 15, "cases are missing: {}", names.len());
    let mut wrong = Vec::new();
    for name in &names {
        let mail = Case::read(name).mail(name);
        let golden = fs::read(folder().join(format!("{name}.eml"))).unwrap_or_default();
        if mail.bytes != golden {
            let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/mail-out");
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join(format!("{name}.eml")), &mail.bytes).unwrap();
            wrong.push(name.as_str());
        }
    }
    assert!(
        wrong.is_empty(),
        "other than written down, see target/mail-out: {}",
        wrong.join(", ")
    );
}

#[test]
fn every_language_has_a_mail() {
    let mut spoken = std::collections::BTreeSet::from(["en".to_owned()]);
    for name in names() {
        spoken.extend(Case::read(&name).word("language").map(str::to_owned));
    }
    let all: std::collections::BTreeSet<_> = Words::codes().map(str::to_owned).collect();
    assert_eq!(spoken, all);
}
