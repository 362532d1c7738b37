//! Plays testdata/mail/in: each mail beside what becomes of it. The format is described in testdata/mail/in/README.md.

use super::classify::{Kind, classify};
use super::matching::{Authentic, Circumstances, Verdict, judge};
use super::read::{Letter, Limits, read};
use super::token::{Guest, Pattern};
use crate::ical::{Component, Timestamp, parse, print};
use crate::itip::{self, Addresses, Change, Message, Route, State, incoming};
use crate::store::Id;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const NOW: Timestamp = Timestamp(1_795_276_800);

const SCHEDULING: itip::Limits = itip::Limits {
    messages: 1000,
    overrides: 1000,
    recur: crate::recur::Limits {
        instances: 10_000,
        work: 1_000_000,
    },
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/mail/in")
}

/// The lines of a sidecar: what each word says.
fn words(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut words: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        words
            .entry(word.to_owned())
            .or_default()
            .push(rest.to_owned());
    }
    words
}

fn calendar(file: &str) -> Component {
    let text = std::fs::read(folder().join(file)).unwrap();
    let mut parsed = parse(&text, &crate::ical::Limits::default());
    assert!(parsed.fault().is_none(), "{file}");
    parsed.calendars.remove(0)
}

/// What a case begins with, and what became of it.
struct World {
    who: Addresses,
    object: Option<Component>,
    state: State,
    guest: Option<Guest>,
    authentic: Authentic,
    welcome: bool,
    pattern: Pattern,
}

impl World {
    fn new(words: &BTreeMap<String, Vec<String>>) -> World {
        let one = |word: &str| words.get(word).and_then(|all| all.first()).cloned();
        let mut who =
            Addresses::new(["mailto:alice@example.org", "mailto:alice.adams@example.org"]);
        for outside in ["bob@example.com", "carol@example.net", "otto@firma.example"] {
            who.learn(outside, Route::Mail);
        }
        let guest = one("guest").map(|guest| {
            let (address, uid) = guest.split_once(' ').unwrap();
            Guest::new(Id::from_bytes([1; 16]), uid, address)
        });
        let authentic = match one("from").as_deref().map(|it| it.split_once(' ')) {
            Some(Some(("passed", how))) => Authentic::Passed(how.to_owned()),
            Some(Some(("doubtful", why))) => Authentic::Doubtful(why.to_owned()),
            None => Authentic::Doubtful("nobody looked".to_owned()),
            Some(other) => panic!("from {other:?}"),
        };
        World {
            who,
            object: one("has").map(|file| calendar(&file)),
            state: State::default(),
            guest,
            authentic,
            welcome: one("welcome").is_some(),
            pattern: "calendar+{token}@example.org".parse().unwrap(),
        }
    }

    /// What becomes of a mail: a line for each message, and the reason of what was applied.
    fn receive(&mut self, letter: &Letter, kind: &Kind) -> Vec<(String, String)> {
        let none = || "-".to_owned();
        let messages = match kind {
            Kind::Bounce(report) => {
                let failed = report.failed.iter();
                let all = failed.map(|it| format!("{} {}", it.recipient, it.status));
                let mut words: Vec<String> = std::iter::once("bounce".to_owned())
                    .chain(all)
                    .chain([report.message_id.clone()])
                    .chain(report.senders.clone())
                    .collect();
                words.retain(|word| !word.is_empty() && word != "calendar@example.org");
                return vec![(words.join(" "), none())];
            }
            Kind::Automatic(_) => return vec![("automatic".to_owned(), none())],
            Kind::Nothing(why) => return vec![(format!("nothing {why}"), none())],
            Kind::Scheduling(messages) => messages,
        };
        let mut all = Vec::new();
        for scheduling in messages {
            let uid = |calendar: &Component| {
                let component = calendar.all_components().find(|c| !c.is("VTIMEZONE"));
                component.and_then(|c| c.text("UID").map(|uid| uid.into_owned()))
            };
            let mut existing = self.object.clone();
            existing = existing.filter(|c| uid(c).as_deref() == Some(&scheduling.uid));
            let cx = Circumstances {
                letter,
                authentic: &self.authentic,
                guest: self.guest.as_ref(),
                who: &self.who,
                existing: existing.as_ref(),
                pattern: Some(&self.pattern),
                welcome: self.welcome,
            };
            let said = |m: &Message| format!("{} from {}", m.method, m.from);
            all.push(match judge(scheduling, &cx) {
                Verdict::Apply(message) => {
                    let known = existing.as_ref();
                    let limits = (NOW, &SCHEDULING);
                    let done = incoming(known, &self.state, &message, &self.who, limits);
                    self.state = done.state;
                    if let Change::Put(object) = done.object {
                        self.object = Some(object);
                    }
                    (said(&message), format!("{:?}", done.reason))
                }
                Verdict::Hold(message, doubt) => {
                    (format!("held {} {}", doubt.word(), said(&message)), none())
                }
                Verdict::Ignore(reason) => (format!("ignored {reason:?}"), none()),
            });
        }
        all
    }
}

fn mail(file: &str) -> Result<(Letter, Kind), String> {
    let bytes = std::fs::read(folder().join(file)).unwrap();
    let limits = Limits::default();
    let letter = read(&bytes, &limits).map_err(|error| format!("unreadable {error:?}"))?;
    let kind = classify(&letter, limits.messages);
    Ok((letter, kind))
}

/// Every expectation of a case that is not met.
fn play(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap();
    let words = words(&text);
    let all = |word: &str| words.get(word).cloned().unwrap_or_default();
    let mut world = World::new(&words);
    for before in all("after") {
        let (letter, kind) = mail(&before).unwrap();
        world.receive(&letter, &kind);
    }
    let done = match mail(&format!("{name}.eml")) {
        Ok((letter, kind)) => world.receive(&letter, &kind),
        Err(unreadable) => vec![(unreadable, "-".to_owned())],
    };
    let mut wrong = Vec::new();
    let is: Vec<String> = done.iter().map(|(line, _)| line.clone()).collect();
    if is != all("is") {
        wrong.push(format!("{name}: is {is:?}, not {:?}", all("is")));
    }
    let then: Vec<String> = done.into_iter().map(|(_, reason)| reason).collect();
    if words.contains_key("then") && then != all("then") {
        wrong.push(format!("{name}: then {then:?}, not {:?}", all("then")));
    }
    let object = world.object.as_ref().map(print).unwrap_or_default();
    let object = String::from_utf8(object).unwrap().replace("\r\n ", "");
    for line in all("line") {
        let parts: Vec<&str> = line.split(' ').collect();
        if !object
            .lines()
            .any(|it| parts.iter().all(|part| it.contains(part)))
        {
            wrong.push(format!("{name}: no line with {line}\n{object}"));
        }
    }
    for absent in all("lacks")
        .iter()
        .filter(|absent| object.contains(*absent))
    {
        wrong.push(format!("{name}: there is {absent}\n{object}"));
    }
    wrong
}

#[test]
fn mails_do_what_is_written_beside_them() {
    let (mut played, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "txt") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            wrong.extend(play(&name));
            played += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(played > 60, "{played}");
}

#[test]
fn limits_of_a_mail_are_kept() {
    let bytes = std::fs::read(folder().join("google-accepted.eml")).unwrap();
    let refused = |limits: Limits| read(&bytes, &limits).map(|_| ()).unwrap_err();
    let least = |bytes, parts, calendar_bytes| Limits {
        bytes,
        parts,
        calendar_bytes,
        ..Limits::default()
    };
    use super::read::Unreadable;
    let all = usize::MAX;
    assert_eq!(refused(least(100, all, all)), Unreadable::TooLarge);
    assert_eq!(refused(least(all, 2, all)), Unreadable::TooManyParts);
    assert_eq!(refused(least(all, all, 50)), Unreadable::CalendarTooLarge);
}
