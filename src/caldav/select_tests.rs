//! Objects are written, deleted, renamed, moved and restored at random, and every query is compared
//! with the answer of the texts, read one by one. RFC 4791 §7.8

use super::filter::{Filter, read as read_filter};
use super::limits::Limits;
use super::matching::{Subject, matches};
use super::select::{Question, select};
use super::shape::read;
use crate::ical::Timestamp;
use crate::recur::{Zone, compile, summary};
use crate::store::memory::Memory;
use crate::store::{
    self, Actor, Change, Collection, Component, Components, Home, Id, Kind, Moment, NewCollection,
    Past, Put, Settings, Sharing, Store, Tag, Target,
};
use crate::xml::{self, Element};
use crate::{dav, recur};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const CALENDARS: [&str; 2] = ["calendar", "other"];

/// Pseudo-random numbers from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        let at = usize::try_from(self.below(of.len() as u64)).unwrap_or(0);
        of.get(at).copied().unwrap_or_default()
    }

    fn day(&mut self) -> String {
        format!("2026{:02}{:02}", 1 + self.below(12), 1 + self.below(28))
    }
}

const RULES: &[&str] = &[
    "",
    "",
    "RRULE:FREQ=DAILY\r\n",
    "RRULE:FREQ=WEEKLY;COUNT=9\r\n",
    "RRULE:FREQ=MONTHLY;BYDAY=-1FR\r\n",
    "RRULE:FREQ=YEARLY;UNTIL=20300101T000000Z\r\n",
];

/// An object of a random kind, time and rule.
fn object(random: &mut Random, uid: &str) -> String {
    let kind = random.one(&["VEVENT", "VEVENT", "VEVENT", "VTODO", "VJOURNAL"]);
    let day = random.day();
    let start = match random.below(5) {
        0 => format!("DTSTART;VALUE=DATE:{day}\r\n"),
        1 => format!("DTSTART:{day}T230000\r\n"),
        2 => format!("DTSTART:{day}T010000Z\r\n"),
        3 => format!("DTSTART;TZID=Pacific/Auckland:{day}T120000\r\n"),
        _ => format!("DTSTART;TZID=America/New_York:{day}T013000\r\n"),
    };
    let start = if kind != "VEVENT" && random.below(4) == 0 {
        String::new()
    } else {
        start
    };
    let rule = if start.is_empty() {
        ""
    } else {
        random.one(RULES)
    };
    let length = if kind == "VJOURNAL" || start.is_empty() {
        ""
    } else {
        random.one(&["", "DURATION:P1D\r\n", "DURATION:P40D\r\n"])
    };
    let summary = random.one(&["Alpha", "beta", "GAMMA"]);
    let alarm = match kind == "VEVENT" && random.below(3) == 0 {
        true => "BEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:x\r\nTRIGGER:-P2D\r\nEND:VALARM\r\n",
        false => "",
    };
    format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:{kind}\r\nUID:{uid}\r\n\
         DTSTAMP:20260101T000000Z\r\n{start}{length}{rule}SUMMARY:{summary}\r\n{alarm}END:{kind}\r\n\
         END:VCALENDAR\r\n"
    )
}

/// A filter of a random form and range.
fn filter(random: &mut Random) -> Filter {
    let (month, length) = (1 + random.below(12), 1 + random.below(3));
    let range = match random.below(4) {
        0 => format!("<time-range start='2026{month:02}15T120000Z'/>"),
        1 => format!("<time-range end='2026{month:02}15T120000Z'/>"),
        2 => format!(
            "<time-range start='2027{month:02}01T000000Z' end='2027{month:02}0{length}T120000Z'/>"
        ),
        _ => format!(
            "<time-range start='2026{month:02}01T000000Z' end='2026{month:02}2{length}T000000Z'/>"
        ),
    };
    let text = "<prop-filter name='SUMMARY'><text-match>a</text-match></prop-filter>";
    let kind = random.one(&["VEVENT", "VEVENT", "VTODO", "VJOURNAL", "*"]);
    let inner = match random.below(8) {
        0 => String::new(),
        1 => format!("<comp-filter name='{kind}'/>"),
        2 => format!("<comp-filter name='{kind}'>{text}</comp-filter>"),
        3 => format!("<comp-filter name='{kind}'>{range}{text}</comp-filter>"),
        4 => format!(
            "<comp-filter name='VEVENT'><comp-filter name='VALARM'>{range}</comp-filter></comp-filter>"
        ),
        5 => format!(
            "<comp-filter name='VEVENT'><prop-filter name='DTSTART'>{range}</prop-filter></comp-filter>"
        ),
        6 => format!("<comp-filter name='{kind}' test='anyof'>{range}{text}</comp-filter>"),
        _ => format!("<comp-filter name='{kind}'>{range}</comp-filter>"),
    };
    let xml = format!(
        "<filter xmlns='urn:ietf:params:xml:ns:caldav'><comp-filter name='VCALENDAR'>{inner}</comp-filter></filter>"
    );
    read_filter(&Element::parse(xml.as_bytes(), &xml::Limits::default()).unwrap()).unwrap()
}

/// A store with one home and one calendar in it.
struct World {
    store: Arc<Store>,
    home: Id,
    /// What [`CALENDARS`] names.
    calendars: [Id; 2],
    ticks: AtomicI64,
}

/// When the first change is made; each later one is a second later.
const START: i64 = 1_800_000_000;

fn actor() -> Actor {
    Actor {
        principal: None,
        client: "test".to_owned(),
    }
}

impl World {
    async fn new() -> World {
        let limits = store::Limits::default();
        let store = Store::open(Arc::new(Memory::new()), limits).await.unwrap();
        let world = World {
            store,
            home: Id::random().unwrap(),
            calendars: [Id::random().unwrap(), Id::random().unwrap()],
            ticks: AtomicI64::new(0),
        };
        let new = |(id, name): (Id, &str)| NewCollection {
            id,
            name: Some(name.to_owned()),
            kind: Kind::Calendar,
            settings: Settings {
                components: Components::ALL,
                ..Settings::default()
            },
        };
        world
            .change(|change, home| {
                change.home(home).create();
                for calendar in world.calendars.into_iter().zip(CALENDARS) {
                    change.home(home).create_collection(new(calendar));
                }
            })
            .await;
        world
    }

    fn which(&self, random: &mut Random) -> usize {
        usize::try_from(random.below(2)).unwrap()
    }

    fn now(&self) -> Timestamp {
        Timestamp(START + self.ticks.fetch_add(1, Ordering::Relaxed))
    }

    async fn change(&self, stage: impl FnOnce(&mut Change, &Arc<Home>)) {
        let turn = self.store.turn(&[self.home]).await.unwrap();
        let home = turn.home(self.home).unwrap().clone();
        let mut change = Change::new(self.now(), actor(), "test");
        stage(&mut change, &home);
        self.store.commit(change, turn).await.unwrap();
    }

    /// Goes back to what a calendar was a while ago.
    async fn restore(&self, calendar: Id, ago: i64) {
        let now = self.now();
        let moment = Moment {
            past: Past::Time(Timestamp((now.0 - ago).max(START + 1))),
            now,
            actor: actor(),
        };
        let target = Target::Collection(calendar);
        self.store
            .restore(self.home, &target, &moment)
            .await
            .unwrap();
    }

    /// Writes, deletes, renames or moves an object, or restores a calendar.
    async fn step(&self, random: &mut Random) {
        let (which, other) = (self.which(random), self.which(random));
        let (id, to_id) = (self.calendars[which], self.calendars[other]);
        if random.below(25) == 0 {
            let ago = i64::try_from(random.below(30)).unwrap();
            return self.restore(id, ago).await;
        }
        let name = format!("{}.ics", random.below(40));
        let home = self.store.home(self.home).await.unwrap();
        let calendar = home.collection(CALENDARS[which]).unwrap().clone();
        let there = home.header(&calendar, &name).await.unwrap();
        let now = random.below(10);
        match there {
            Some(_) if now < 3 => {
                self.change(|change, home| change.home(home).remove_object(id, name))
                    .await;
            }
            Some(header) if now < 5 => {
                let to = format!("{}.moved.ics", random.below(1_000_000));
                self.change(|change, home| {
                    change.home(home).relocate(&header, to_id, to);
                })
                .await;
            }
            there => {
                let uid = match there {
                    Some(header) => header.uid().to_owned(),
                    None => format!("{}@test", random.below(u64::MAX)),
                };
                let put = put(&name, &uid, &object(random, &uid));
                self.change(|change, home| {
                    change.home(home).put(id, put);
                })
                .await;
            }
        }
    }
}

fn put(name: &str, uid: &str, text: &str) -> Put {
    let calendar = read(text, &crate::ical::Limits::default());
    let kind = calendar
        .all_components()
        .next()
        .map(|c| c.name().to_owned());
    Put {
        name: name.to_owned(),
        text: text.to_owned().into(),
        uid: Some(uid.to_owned()),
        component: kind.and_then(|kind| Component::named(&kind)),
        summary: summary(&calendar).encode(),
        tag: Tag::None,
        shared: Sharing::Moves,
    }
}

/// The names of what matches, by the texts alone.
async fn brute(
    (home, calendar): (&Home, &Collection),
    filter: &Filter,
    floating: &Zone,
) -> Vec<String> {
    let mut found = Vec::new();
    for header in home.members(calendar).await.unwrap().iter() {
        let text = home.text(&header).await.unwrap();
        let object = read(
            std::str::from_utf8(&text).unwrap(),
            &crate::ical::Limits::default(),
        );
        let subject = Subject {
            calendar: &object,
            compiled: &compile(&object),
            floating,
            limits: &recur::Limits::default(),
        };
        if matches(filter, &subject).unwrap() {
            found.push(header.name().to_owned());
        }
    }
    found
}

#[tokio::test]
async fn a_query_finds_what_the_texts_say_whatever_was_done_before() {
    let limits = Limits::of(&dav::Limits::default());
    let zones = ["UTC", "Europe/Berlin", "Pacific/Kiritimati"].map(|id| Zone::named(id).unwrap());
    for seed in [1, 42, 20_260_101] {
        let mut random = Random(seed);
        let world = World::new().await;
        for step in 0..240_u32 {
            world.step(&mut random).await;
            if step % 4 != 0 {
                continue;
            }
            let home = world.store.home(world.home).await.unwrap();
            let name = CALENDARS[world.which(&mut random)];
            let calendar = home.collection(name).unwrap().clone();
            let filter = filter(&mut random);
            let floating = &zones[usize::try_from(random.below(3)).unwrap()];
            let question = Question {
                filter: &filter,
                floating,
                limits: &limits,
            };
            let found = select(&home, &calendar, &question).await.unwrap();
            let found: Vec<&str> = found.iter().map(|header| header.name()).collect();
            let expected = brute((&home, &calendar), &filter, floating).await;
            assert_eq!(
                found, expected,
                "seed {seed}, step {step}, {name}: {filter:?}"
            );
        }
    }
}
