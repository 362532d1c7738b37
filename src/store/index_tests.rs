//! What the index in memory promises: it never misses an object, shares what did not change, follows
//! other processes, and keeps to its budget.

use std::sync::Arc;

use super::members::Members;
use super::tests::{calendar, change, id, open, put, run, with_calendar};
use super::*;
use crate::ical;
use crate::ical::Timestamp;
use crate::recur::{Range, Summary, Verdict, Zone, summary};

/// Pseudo-random numbers from a seed.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }
}

fn date(random: &mut Random) -> String {
    let (year, month) = (2024 + random.below(4), 1 + random.below(12));
    format!("{year}{month:02}{:02}", 1 + random.below(28))
}

/// An object of a random kind at a random time.
fn object(random: &mut Random) -> String {
    let day = date(random);
    let hour = random.below(24);
    let start = match random.below(4) {
        0 => format!("DTSTART;VALUE=DATE:{day}"),
        1 => format!("DTSTART:{day}T{hour:02}0000Z"),
        2 => format!("DTSTART:{day}T{hour:02}0000"),
        _ => format!("DTSTART;TZID=Pacific/Auckland:{day}T{hour:02}0000"),
    };
    let more = match random.below(6) {
        0 => "RRULE:FREQ=WEEKLY".to_owned(),
        1 => "RRULE:FREQ=MONTHLY;COUNT=5".to_owned(),
        2 => "RRULE:FREQ=YEARLY;COUNT=40".to_owned(),
        _ => format!("DURATION:P{}D", 1 + random.below(80)),
    };
    let event = format!(
        "BEGIN:VEVENT\r\nUID:u\r\nDTSTAMP:20240101T000000Z\r\n{start}\r\n{more}\r\nEND:VEVENT"
    );
    let todo = "BEGIN:VTODO\r\nUID:u\r\nDTSTAMP:20240101T000000Z\r\nEND:VTODO";
    let component = if random.below(20) == 0 {
        todo
    } else {
        event.as_str()
    };
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{component}\r\nEND:VCALENDAR\r\n")
}

fn random_put(random: &mut Random, name: &str) -> Put {
    let text = object(random);
    let parsed = ical::parse(text.as_bytes(), &ical::Limits::default());
    let summary = match random.below(30) {
        0 => Vec::new(),
        _ => summary(&parsed.calendars[0]).encode(),
    };
    Put {
        summary,
        ..put(name, name, "x")
    }
}

fn random_range(random: &mut Random) -> Range {
    let day = 1_700_000_000 + i64::try_from(random.below(1700)).unwrap() * 86_400;
    let length = [1, 3600, 86_400, 40 * 86_400, 900 * 86_400];
    let length = length[usize::try_from(random.below(5)).unwrap()];
    let start = if random.below(10) == 0 {
        Timestamp::MIN
    } else {
        Timestamp(day)
    };
    let end = if random.below(10) == 0 {
        Timestamp::MAX
    } else {
        Timestamp(day + length)
    };
    Range::new(start, end).unwrap()
}

/// What a look at every single object finds.
fn judged(members: &Members, range: &Range, zone: &Zone) -> Vec<(String, Verdict)> {
    let verdicts = members.iter().map(|header| {
        let summary = Summary::decode(header.summary());
        let verdict = summary.map_or(Verdict::Maybe, |s| s.verdict(range, zone));
        (header.name().to_owned(), verdict)
    });
    verdicts
        .filter(|(_, verdict)| *verdict != Verdict::No)
        .collect()
}

async fn members(store: &Arc<Store>) -> Arc<Members> {
    let home = store.home(id(1)).await.unwrap();
    home.members(home.collection("work").unwrap())
        .await
        .unwrap()
}

#[test]
fn a_time_range_finds_what_a_look_at_every_object_finds() {
    run(async {
        let (kv, store) = open().await;
        let (home, work) = with_calendar(&store).await;
        let mut random = Random(4711);
        let zones = ["Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Berlin"];
        let mut found = 0;
        for round in 0..40 {
            members(&store).await;
            change(&store, home, |home| {
                for _ in 0..30 {
                    let name = format!("{}", random.below(600));
                    let put = random_put(&mut random, &name);
                    home.put(work, put);
                }
                for _ in 0..3 {
                    let name = format!("{}", random.below(600));
                    home.remove_object_if_there(work, name);
                }
            })
            .await
            .unwrap();
            let other = Store::open(kv.clone(), Limits::default()).await.unwrap();
            for members in [members(&store).await, members(&other).await] {
                let zone = Zone::named(zones[round % 3]).unwrap();
                let range = random_range(&mut random);
                let overlapping = members.overlapping(&range, &zone, None);
                let names = overlapping.iter().map(|(h, v)| (h.name().to_owned(), *v));
                assert_eq!(
                    names.collect::<Vec<_>>(),
                    judged(&members, &range, &zone),
                    "round {round}: {range:?}"
                );
                found += overlapping.len();
                let none = members.overlapping(&range, &zone, Some(Component::Todo));
                assert!(none.is_empty());
            }
        }
        assert!(found > 1000);
    });
}

#[test]
fn a_commit_shares_what_it_does_not_change() {
    run(async {
        let (_, store) = open().await;
        let (home, work) = with_calendar(&store).await;
        for batch in 0..10 {
            change(&store, home, |home| {
                for n in 0..500 {
                    let name = format!("{}", batch * 500 + n);
                    home.put(work, put(&name, &name, "x"));
                }
            })
            .await
            .unwrap();
        }
        let before = members(&store).await;
        let first: Vec<Header> = before.iter().collect();
        change(&store, home, |home| {
            home.put(work, put("2500", "2500", "y"));
        })
        .await
        .unwrap();
        let after = members(&store).await;
        let shared = before.rows.iter().zip(&after.rows);
        let changed = shared.filter(|(a, b)| !Arc::ptr_eq(a, b)).count();
        assert_eq!((before.rows.len(), changed), (5, 1));
        // Who holds the older one still sees it.
        assert!(before.iter().eq(first));
        assert_ne!(before.header("2500"), after.header("2500"));
        let per_object = after.size_bytes() / 5000;
        assert!(per_object < 120, "{per_object}");
    });
}

#[test]
fn indexes_follow_other_processes_and_keep_to_their_budget() {
    run(async {
        let (kv, store) = open().await;
        let (home, work) = with_calendar(&store).await;
        let small = Limits {
            index_bytes: 30_000,
            ..Limits::default()
        };
        let other = Store::open(kv, small).await.unwrap();
        for byte in 3..20 {
            change(&store, home, |home| {
                home.create_collection(calendar(id(byte), Some(&format!("c{byte}"))));
                for n in 0..50 {
                    let name = format!("{n}-{byte}@example.com");
                    home.put(id(byte), put(&name, "", "x"));
                }
            })
            .await
            .unwrap();
        }
        members(&other).await;
        for round in 0..20_u64 {
            // Both write, each sees the other's writes, and nothing is loaded anew for it.
            let name = format!("{}", round % 7);
            let writer = if round % 2 == 0 { &store } else { &other };
            change(writer, home, |home| {
                home.put(work, put(&name, &name, "x"));
                if round % 3 == 2 {
                    home.remove_object(work, name.as_str());
                }
            })
            .await
            .unwrap();
            let (a, b) = (members(&store).await, members(&other).await);
            assert!(a.iter().eq(b.iter()));
            assert_eq!(a.changes(None, None), b.changes(None, None));
            assert_eq!(
                a.records().collect::<Vec<_>>(),
                b.records().collect::<Vec<_>>()
            );
        }
        let view = other.home(home).await.unwrap();
        for collection in view.collections() {
            let members = view.members(collection).await.unwrap();
            assert_eq!(members.iter().count() as u64, collection.count);
            assert!(other.index_bytes() <= 30_000);
        }
        assert!(other.index_bytes() > 10_000);
    });
}

#[test]
fn an_old_view_of_the_home_finds_members_that_are_not_older() {
    run(async {
        let (_, store) = open().await;
        let (home, work) = with_calendar(&store).await;
        let old = store.home(home).await.unwrap();
        change(&store, home, |home| {
            home.put(work, put("a", "a", "x"));
        })
        .await
        .unwrap();
        let collection = old.collection("work").unwrap();
        let members = old.members(collection).await.unwrap();
        let changes = members.changes(Some(&collection.ctag()), None).unwrap();
        assert_eq!(changes.entries.len(), 1);
        let text = old.text(&members.header("a").unwrap()).await.unwrap();
        assert_eq!(text, "x");
    });
}
