//! What the check promises: it finds nothing in a sound store, and mends whatever one row can lose.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;

use super::kv::{Batch, Kv, Row, Scan, UnixMillis, View};
use super::memory::Memory;
use super::tests::{calendar, change, id, open, put, run};
use super::*;
use crate::ical;
use crate::ical::Timestamp;

const NOW: Timestamp = Timestamp(1_900_000_000);

fn event(uid: &str, day: u32) -> Put {
    let text = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n\
         DTSTAMP:20260101T000000Z\r\nDTSTART:202601{day:02}T100000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    );
    let parsed = ical::parse(text.as_bytes(), &ical::Limits::default());
    Put {
        summary: crate::recur::summary(&parsed.calendars[0]).encode(),
        ..put(&format!("{uid}.ics"), uid, &text)
    }
}

/// A home with something of everything.
async fn full() -> (Arc<dyn Kv>, Arc<Store>) {
    let (kv, store) = open().await;
    let home = id(1);
    change(&store, home, |home| {
        home.create();
        home.create_collection(calendar(id(2), Some("work")));
        home.create_collection(calendar(id(3), Some("old")));
        home.create_collection(calendar(id(4), None));
        for n in 1..6 {
            home.put(id(2), event(&format!("e{n}"), n));
            home.put(id(3), event(&format!("e{n}"), n));
        }
        let long = "x".repeat(150_000);
        home.put(id(2), put("long", "", &long));
        let properties: Properties = [("{x}p".into(), "<p/>".into())].into();
        home.set_object_properties(id(2), "e2.ics", properties);
    })
    .await
    .unwrap();
    change(&store, home, |home| {
        home.put(id(2), event("e1", 20));
        home.remove_object(id(2), "e2.ics");
        home.rename(id(2), "job");
        home.set(
            id(2),
            Settings {
                transparent: true,
                ..Settings::default()
            },
        );
        home.remove_collection(id(3));
    })
    .await
    .unwrap();
    (kv, store)
}

#[test]
fn a_check_lets_writers_write_and_mending_waits_for_them() {
    run(async {
        let (kv, store) = full().await;
        let turn = store.turn(&[id(1)]).await.unwrap();
        assert!(store.check(Repair::No).await.unwrap().is_clean());
        let mut batch = Batch::new(UnixMillis(0));
        batch.remove(keys::uid(id(1), id(2), "e3"));
        kv.commit(batch).await.unwrap();
        let mut mending = std::pin::pin!(store.check(Repair::At(NOW)));
        for _ in 0..1_000 {
            let polled = std::future::poll_fn(|cx| Poll::Ready(mending.as_mut().poll(cx)));
            assert!(polled.await.is_pending(), "a home is mended in its turn");
        }
        drop(turn);
        assert!(mending.await.unwrap().is_mended());
        assert!(store.check(Repair::No).await.unwrap().is_clean());
    });
}

async fn rows(kv: &Arc<dyn Kv>) -> Vec<Row> {
    kv.scan(View::Durable, Scan::prefix(&b""[..], 100_000))
        .await
        .unwrap()
}

async fn copy(rows: &[Row]) -> Arc<dyn Kv> {
    let copy: Arc<dyn Kv> = Arc::new(Memory::new());
    for rows in rows.chunks(20) {
        let mut batch = Batch::new(UnixMillis(0));
        for row in rows {
            batch.put(row.key.clone(), row.value.clone());
        }
        copy.commit(batch).await.unwrap();
    }
    copy
}

async fn texts(store: &Store) -> BTreeMap<String, Bytes> {
    let home = store.home(id(1)).await.unwrap();
    let mut all = BTreeMap::new();
    for collection in home.collections() {
        let members = home.members(collection).await.unwrap();
        for header in members.iter() {
            let text = home.text(&header).await.unwrap();
            all.insert(format!("{}/{}", collection.id, header.name()), text);
        }
    }
    all
}

#[test]
fn a_sound_store_has_no_findings() {
    run(async {
        let (kv, store) = full().await;
        let report = store.check(Repair::No).await.unwrap();
        assert_eq!(report.findings, []);
        assert_eq!(
            (report.homes, report.collections, report.objects),
            (1, 4, 10)
        );
        assert_eq!(report.versions, 2);
        let before = rows(&kv).await;
        store.check(Repair::At(NOW)).await.unwrap();
        assert_eq!(rows(&kv).await, before);
    });
}

/// Removes or breaks one row after the other, and looks whether the repair brings back all texts.
#[test]
fn whatever_one_row_loses_is_mended() {
    run(async {
        let (kv, store) = full().await;
        let all = rows(&kv).await;
        let expected = texts(&store).await;
        for (n, row) in all.iter().enumerate() {
            let tag = if row.key.starts_with(b"h") {
                row.key[17]
            } else {
                b' '
            };
            if row.key.starts_with(b"meta") {
                continue;
            }
            for broken in [None, Some(Bytes::from_static(&[0xff, 1, 2]))] {
                let mut damaged = all.clone();
                match &broken {
                    None => drop(damaged.remove(n)),
                    Some(value) => damaged[n].value = value.clone(),
                }
                let what = format!("{} {broken:?}", row.key.escape_ascii());
                let kv = copy(&damaged).await;
                let store = Store::open(kv, Limits::default()).await.unwrap();
                let report = store.check(Repair::At(NOW)).await.unwrap();
                assert!(report.is_mended(), "{what}: {report:?}");
                // Removing a row of the past loses nothing that anybody could see.
                let past = matches!(tag, b'r' | b'v' | b'p' | b'f' | b'g') || report.is_clean();
                assert!(past || !report.findings.is_empty(), "{what}");
                let again = store.check(Repair::No).await.unwrap();
                assert_eq!(again.findings, [], "{what}, first {report:?}");
                let fresh = Store::open(store.shared.kv.clone(), Limits::default()).await;
                let found = texts(&fresh.unwrap()).await;
                let lost = expected
                    .iter()
                    .filter(|(k, v)| found.get(*k) != Some(*v))
                    .count();
                // Only a lost text is lost, and a lost calendar row can bring back a removed one.
                let text = matches!(tag, b'b') || row.key.starts_with(b"l");
                assert!(lost <= usize::from(text), "{what}: {:?}", found.keys());
                assert_eq!(texts(&store).await, found, "{what}");
            }
        }
    });
}

#[test]
fn after_a_repair_every_client_reads_anew() {
    run(async {
        let (kv, store) = full().await;
        let token = store
            .home(id(1))
            .await
            .unwrap()
            .collection("job")
            .unwrap()
            .ctag();
        let mut rows = rows(&kv).await;
        rows.retain(|row| row.key.get(17) != Some(&b'o'));
        let kv = copy(&rows).await;
        let store = Store::open(kv, Limits::default()).await.unwrap();
        let report = store.check(Repair::At(NOW)).await.unwrap();
        assert!(report.is_mended());
        let home = store.home(id(1)).await.unwrap();
        let members = home.members(home.collection("job").unwrap()).await.unwrap();
        assert_eq!(members.changes(Some(&token), None), Err(BadToken::Old));
        let names: Vec<String> = members.iter().map(|h| h.name().to_owned()).collect();
        assert_eq!(names, ["e1.ics", "e3.ics", "e4.ics", "e5.ics", "long"]);
        let header = members.header("e3.ics").unwrap();
        assert_eq!(
            (header.uid(), header.component),
            ("e3", Some(Component::Event))
        );
        assert!(!header.summary().is_empty());
    });
}

#[test]
fn an_inbox_may_hold_a_uid_twice() {
    run(async {
        let (_, store) = full().await;
        change(&store, id(1), |home| {
            home.create_collection(NewCollection {
                kind: Kind::Inbox,
                ..calendar(id(9), Some("inbox"))
            });
            home.put(id(9), event("e1", 1));
            home.put(
                id(9),
                Put {
                    name: "b".into(),
                    ..event("e1", 1)
                },
            );
        })
        .await
        .unwrap();
        let report = store.check(Repair::No).await.unwrap();
        assert_eq!(report.findings, []);
    });
}
