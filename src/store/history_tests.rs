//! What the history promises: it is shown, restored, pruned, and survives the restore of a backup.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::kv::{Batch, Kv, Scan, UnixMillis, View};
use super::memory::Memory;
use super::tests::{calendar, id, open, put, run};
use super::*;
use crate::ical::Timestamp;

const DAY: i64 = 24 * 3600;

fn day(n: i64) -> Timestamp {
    Timestamp(1_800_000_000 + n * DAY)
}

async fn on_day(
    store: &Arc<Store>,
    n: i64,
    edit: impl FnOnce(&mut HomeChange),
) -> Result<Receipt, Error> {
    let turn = store.turn(&[id(1)]).await?;
    let mut change = Change::new(day(n), Actor::default(), format!("day {n}"));
    edit(change.home(turn.home(id(1)).unwrap()));
    store.commit(change, turn).await
}

fn moment(then: i64, now: i64) -> Moment {
    Moment {
        past: Past::Time(day(then)),
        now: day(now),
        actor: Actor::default(),
    }
}

/// All calendars with the texts of their objects.
async fn contents(store: &Store) -> BTreeMap<String, String> {
    let home = store.home(id(1)).await.unwrap();
    let mut all = BTreeMap::new();
    for collection in home.collections() {
        let members = home.members(collection).await.unwrap();
        let headers: Vec<Header> = members.iter().collect();
        let texts = home.texts(&headers).await.unwrap();
        all.insert(collection.name.clone(), String::new());
        for (header, text) in headers.iter().zip(texts) {
            let name = format!("{}/{}", collection.name, header.name());
            all.insert(name, String::from_utf8(text.to_vec()).unwrap());
        }
    }
    all
}

/// Three days of a home: on day 1 two objects, on day 2 one changed and one removed, on day 3 the
/// calendar removed and another of the same name made.
async fn three_days(store: &Arc<Store>) {
    on_day(store, 0, |home| {
        home.create();
        home.create_collection(calendar(id(2), Some("work")));
    })
    .await
    .unwrap();
    on_day(store, 1, |home| {
        home.put(id(2), put("a", "a", "a1"));
        let meeting = put("b", "b", "b1");
        home.put(
            id(2),
            Put {
                tag: Tag::Move,
                ..meeting
            },
        );
    })
    .await
    .unwrap();
    on_day(store, 2, |home| {
        home.put(id(2), put("a", "a", "a2"));
        home.remove_object(id(2), "b");
        home.put(id(2), put("c", "b", "c2"));
        let transparent = Settings {
            transparent: true,
            ..Settings::default()
        };
        home.set(id(2), transparent);
    })
    .await
    .unwrap();
    on_day(store, 3, |home| {
        home.remove_collection(id(2));
        home.create_collection(calendar(id(3), Some("work")));
        home.put(id(3), put("a", "a", "other"));
    })
    .await
    .unwrap();
}

#[test]
fn the_history_shows_what_was() {
    run(async {
        let (_, store) = open().await;
        three_days(&store).await;
        let home = store.home(id(1)).await.unwrap();
        let revisions = home.revisions(None, 10).await.unwrap();
        let what: Vec<&str> = revisions.iter().map(|r| r.what.as_str()).collect();
        assert_eq!(what, ["day 3", "day 2", "day 1", "day 0"]);
        assert_eq!(home.revisions(Some(3), 1).await.unwrap()[0].what, "day 1");
        for (then, revision) in [(-1, 0), (0, 1), (1, 2), (2, 3), (3, 4), (9, 4)] {
            assert_eq!(home.revision_at(day(then), day(9)).await, Ok(revision));
        }
        let removed = home.removed();
        assert_eq!(removed.len(), 1);
        let work = &removed[0].collection;
        assert_eq!((work.name.as_str(), removed[0].at), ("work", day(3)));
        let versions = home.object_history(work, "a").await.unwrap();
        let mut texts = Vec::new();
        for version in &versions {
            let text = home.text(version.header.as_ref().unwrap()).await.unwrap();
            texts.push((version.at, text));
        }
        assert_eq!(
            texts,
            [(Some(day(2)), "a2".into()), (Some(day(1)), "a1".into())]
        );
        let versions = home.object_history(work, "b").await.unwrap();
        let there: Vec<bool> = versions.iter().map(|v| v.header.is_some()).collect();
        assert_eq!(there, [false, true]);
        let all = home.collection_history(work, 3).await.unwrap();
        let names: Vec<&str> = all.iter().map(|v| v.name.as_str()).collect();
        assert_eq!(names, ["c", "b", "a"]);
    });
}

#[test]
fn an_object_is_restored_to_a_moment() {
    run(async {
        let (_, store) = open().await;
        three_days(&store).await;
        on_day(&store, 4, |home| {
            home.put(id(3), put("a", "a", "newest"));
            home.put(id(3), put("b", "b", "b"));
            home.remove_object(id(3), "b");
            home.put(id(3), put("c", "b", "c"));
        })
        .await
        .unwrap();
        let object = |name: &str| Target::Object {
            collection: id(3),
            name: name.into(),
        };
        let token = {
            let home = store.home(id(1)).await.unwrap();
            home.collection("work").unwrap().ctag()
        };
        let restored = store
            .restore(id(1), &object("a"), &moment(3, 5))
            .await
            .unwrap();
        assert_eq!(restored.written, [("work".into(), "a".into())]);
        assert_eq!(contents(&store).await["work/a"], "other");
        // The next sync tells of it.
        let home = store.home(id(1)).await.unwrap();
        let members = home
            .members(home.collection("work").unwrap())
            .await
            .unwrap();
        let changes = members.changes(Some(&token), None).unwrap();
        assert_eq!(changes.entries.len(), 1);
        // "b" is gone and "c" has its UID.
        let restored = store
            .restore(id(1), &object("b"), &moment(2, 5))
            .await
            .unwrap();
        assert_eq!(restored.clashes, [("work".into(), "b".into(), "c".into())]);
        let before = store.restore(id(1), &object("a"), &moment(-40, 5)).await;
        assert_eq!(before, Err(Refusal::NoHistory.into()));
        let never = store.restore(id(1), &object("x"), &moment(3, 5)).await;
        assert_eq!(never, Err(Refusal::NoHistory.into()));
    });
}

#[test]
fn a_removed_calendar_comes_back_under_a_free_name() {
    run(async {
        let (_, store) = open().await;
        three_days(&store).await;
        let target = Target::Collection(id(2));
        let restored = store.restore(id(1), &target, &moment(2, 5)).await.unwrap();
        assert_eq!(restored.calendars, [("work".into(), "work-2".into())]);
        let all = contents(&store).await;
        assert_eq!(
            (all["work-2/a"].as_str(), all["work-2/c"].as_str()),
            ("a2", "c2")
        );
        assert_eq!(all["work/a"], "other");
        // And further back, where it stands; UIDs of newer objects are free for older ones.
        let restored = store.restore(id(1), &target, &moment(1, 6)).await.unwrap();
        assert_eq!(restored.meetings, [("work".into(), "b".into())]);
        assert_eq!(restored.removed, [("work".into(), "c".into())]);
        let all = contents(&store).await;
        let names: Vec<&str> = all.keys().map(String::as_str).collect();
        assert_eq!(names, ["work", "work-2", "work-2/a", "work-2/b", "work/a"]);
        assert_eq!(all["work-2/a"], "a1");
        let home = store.home(id(1)).await.unwrap();
        assert!(!home.collection("work-2").unwrap().settings.transparent);
    });
}

#[test]
fn objects_that_exchanged_their_uids_come_back() {
    run(async {
        let (_, store) = open().await;
        on_day(&store, 0, |home| {
            home.create();
            home.create_collection(calendar(id(2), Some("work")));
            for (name, uid) in [("a", "x"), ("b", "y"), ("c", "z"), ("d", "d")] {
                home.put(id(2), put(name, uid, &format!("{name}{uid}")));
            }
        })
        .await
        .unwrap();
        let before = contents(&store).await;
        on_day(&store, 1, |home| {
            for name in ["a", "b", "c"] {
                home.remove_object(id(2), name);
            }
            for (name, uid) in [("a", "y"), ("b", "z"), ("c", "x"), ("d", "d")] {
                home.put(id(2), put(name, uid, "new"));
            }
        })
        .await
        .unwrap();
        let target = Target::Collection(id(2));
        let restored = store.restore(id(1), &target, &moment(0, 2)).await.unwrap();
        assert_eq!((restored.clashes, restored.removed), (vec![], vec![]));
        assert_eq!(restored.written.len(), 4);
        assert_eq!(contents(&store).await, before);
        let report = store.check(Repair::No).await.unwrap();
        assert_eq!(report.findings, []);
    });
}

#[test]
fn a_home_is_restored_to_a_moment() {
    run(async {
        let (_, store) = open().await;
        three_days(&store).await;
        let before = store.home(id(1)).await.unwrap().revision();
        let restored = store
            .restore(id(1), &Target::Home, &moment(1, 5))
            .await
            .unwrap();
        let after = store.home(id(1)).await.unwrap().revision();
        assert_eq!(after, before + 1, "nobody sees it half way");
        assert_eq!(restored.calendars, [("work".into(), "work".into())]);
        let all = contents(&store).await;
        let expected = [("work", ""), ("work/a", "a1"), ("work/b", "b1")];
        assert!(
            all.iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .eq(expected)
        );
        // Back to the future.
        store
            .restore(id(1), &Target::Home, &moment(3, 6))
            .await
            .unwrap();
        let all = contents(&store).await;
        let expected = [("work", ""), ("work/a", "other")];
        assert!(
            all.iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .eq(expected)
        );
    });
}

async fn rows(kv: &Arc<dyn Kv>, prefix: &'static [u8]) -> Vec<kv::Row> {
    let scan = Scan::prefix(prefix, 100_000);
    kv.scan(View::Durable, scan).await.unwrap()
}

/// The tokens of the home and of its calendar "work".
async fn tokens(store: &Store) -> (String, String) {
    let home = store.home(id(1)).await.unwrap();
    let work = home.collection("work").unwrap();
    (home.ctag(), work.ctag())
}

async fn home_sync(store: &Store, token: &str) -> Result<HomeChanges, BadToken> {
    let home = store.home(id(1)).await.unwrap();
    let changes = home.changes(Some(token), Depth::Members, None).await;
    changes.unwrap()
}

#[test]
fn what_is_older_than_the_history_is_forgotten() {
    run(async {
        let (kv, store) = open().await;
        three_days(&store).await;
        let (home_token, work_token) = tokens(&store).await;
        on_day(&store, 4, |home| {
            home.remove_object(id(3), "a");
            home.put(id(3), put("b", "b", "b"));
            home.create_collection(calendar(id(4), Some("gone")));
        })
        .await
        .unwrap();
        on_day(&store, 5, |home| home.remove_collection(id(4)))
            .await
            .unwrap();
        let before = contents(&store).await;
        let count = rows(&kv, b"h").await.len();
        let pruned = store.prune(day(33)).await.unwrap();
        assert!(pruned.finished && pruned.rows > 0);
        // What was replaced on day 2 is gone, what was removed on day 3 is not.
        assert!(rows(&kv, b"h").await.len() < count);
        let home = store.home(id(1)).await.unwrap();
        let work = home
            .removed()
            .into_iter()
            .find(|r| r.collection.id == id(2));
        let work = work.unwrap().collection;
        assert_eq!(home.object_history(&work, "a").await.unwrap().len(), 1);
        assert!(home_sync(&store, &home_token).await.is_ok());
        for n in 34..37 {
            store.prune(day(n)).await.unwrap();
        }
        // Now all is forgotten: no row of the removed calendar is left.
        let left = rows(&kv, b"h").await;
        for dead in [id(2), id(4)] {
            let dead = dead.as_bytes();
            assert!(
                !left
                    .iter()
                    .any(|row| row.key.windows(16).any(|w| w == dead))
            );
        }
        assert_eq!(home_sync(&store, &home_token).await, Err(BadToken::Old));
        let fresh = Store::open(kv.clone(), Limits::default()).await.unwrap();
        for store in [&store, &fresh] {
            let home = store.home(id(1)).await.unwrap();
            assert!(home.removed().is_empty());
            let work = home.collection("work").unwrap();
            let members = home.members(work).await.unwrap();
            assert_eq!(members.changes(Some(&work_token), None), Err(BadToken::Old));
            let (home_token, work_token) = tokens(store).await;
            assert!(
                members
                    .changes(Some(&work_token), None)
                    .unwrap()
                    .entries
                    .is_empty()
            );
            let none = home.changes(Some(&home_token), Depth::All, None).await;
            assert!(none.unwrap().unwrap().entries.is_empty());
            assert_eq!(members.changes(None, None).unwrap().entries.len(), 1);
        }
        assert_eq!(contents(&store).await, before);
        // One row of garbage never stays, and there is an end to it.
        assert_eq!(store.prune(day(99)).await.unwrap().rows, 0);
        let restore = store
            .restore(id(1), &Target::Collection(id(2)), &moment(35, 36))
            .await;
        assert_eq!(restore, Err(Refusal::NoHistory.into()));
    });
}

#[test]
fn a_calendar_that_was_never_named_and_a_home_that_was_removed_are_forgotten() {
    run(async {
        let (kv, store) = open().await;
        on_day(&store, 0, |home| {
            home.create();
            home.create_collection(calendar(id(2), None));
            let long = "x".repeat(400_000);
            home.put(id(2), put("a", "a", &long));
        })
        .await
        .unwrap();
        assert!(!rows(&kv, b"l").await.is_empty());
        assert!(rows(&kv, b"i").await.is_empty());
        store.prune(day(31)).await.unwrap();
        assert!(rows(&kv, b"l").await.is_empty());
        on_day(&store, 40, HomeChange::remove).await.unwrap();
        assert!(!store.home(id(1)).await.unwrap().exists());
        let dead = on_day(&store, 40, |home| {
            home.create_collection(calendar(id(5), None))
        });
        assert_eq!(dead.await.unwrap_err(), Refusal::NoHome.into());
        store.prune(day(71)).await.unwrap();
        assert_eq!(rows(&kv, b"h").await, []);
    });
}

/// A copy of a store as a backup would make it, with a new epoch.
async fn backup(kv: &Arc<dyn Kv>) -> Arc<dyn Kv> {
    let copy: Arc<dyn Kv> = Arc::new(Memory::new());
    for row in rows(kv, b"").await {
        let mut batch = Batch::new(UnixMillis(0));
        batch.put(row.key, row.value);
        copy.commit(batch).await.unwrap();
    }
    let mut batch = Batch::new(UnixMillis(0));
    batch.writes = epoch_stamp().unwrap();
    copy.commit(batch).await.unwrap();
    copy
}

#[test]
fn after_the_restore_of_a_backup_no_sync_is_wrong() {
    run(async {
        let (kv, store) = open().await;
        on_day(&store, 0, |home| {
            home.create();
            home.create_collection(calendar(id(2), Some("work")));
            home.put(id(2), put("a", "a", "1"));
        })
        .await
        .unwrap();
        let stamps = async |store: &Arc<Store>, name: &str| {
            let home = store.home(id(1)).await.unwrap();
            let work = home.collection("work").unwrap();
            let header = home.header(work, name).await.unwrap();
            (work.ctag(), home.ctag(), header.map(|h| h.etag()))
        };
        let before = stamps(&store, "a").await;
        let copy = backup(&kv).await;
        let put_ = |store: &Arc<Store>, name: &'static str| {
            let store = store.clone();
            async move {
                on_day(&store, 1, |home| {
                    home.put(id(2), put(name, name, name));
                })
                .await
            }
        };
        put_(&store, "lost").await.unwrap();
        let lost = stamps(&store, "lost").await;
        let restored = Store::open(copy, Limits::default()).await.unwrap();
        assert_eq!(stamps(&restored, "a").await, before);
        for round in 0..2 {
            let home = restored.home(id(1)).await.unwrap();
            let work = home.collection("work").unwrap();
            let members = home.members(work).await.unwrap();
            let known = members.changes(Some(&before.0), None).unwrap();
            assert_eq!(known.entries.len(), round);
            assert!(members.changes(Some(&lost.0), None).is_err());
            let home_sync = |token: &str| {
                let (home, token) = (home.clone(), token.to_owned());
                async move {
                    home.changes(Some(&token), Depth::Members, None)
                        .await
                        .unwrap()
                }
            };
            assert_eq!(home_sync(&before.1).await.unwrap().entries.len(), round);
            assert!(home_sync(&lost.1).await.is_err());
            put_(&restored, "kept").await.unwrap();
        }
        let kept = stamps(&restored, "kept").await;
        assert_ne!(kept.2, lost.2);
        assert_ne!(kept.0, lost.0);
        // Restored once more from the same backup: yet another past.
        let again = Store::open(backup(&kv).await, Limits::default())
            .await
            .unwrap();
        put_(&again, "third").await.unwrap();
        assert_ne!(stamps(&again, "third").await.2, kept.2);
    });
}
