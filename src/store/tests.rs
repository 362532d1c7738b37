//! What the store promises, on the memory engine.

use std::sync::Arc;

use bytes::Bytes;

use super::kv::Kv;
use super::memory::Memory;
use super::*;
use crate::ical::Timestamp;

const NOW: Timestamp = Timestamp(1_800_000_000);

pub(super) fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

pub(super) async fn open() -> (Arc<dyn Kv>, Arc<Store>) {
    let kv: Arc<dyn Kv> = Arc::new(Memory::new());
    let store = Store::open(kv.clone(), Limits::default()).await.unwrap();
    (kv, store)
}

pub(super) fn id(byte: u8) -> Id {
    Id::from_bytes([byte; 16])
}

pub(super) fn put(name: &str, uid: &str, text: &str) -> Put {
    Put {
        name: name.into(),
        text: Bytes::copy_from_slice(text.as_bytes()),
        uid: Some(uid.into()),
        component: Some(Component::Event),
        summary: vec![1, 2, 3],
        tag: Tag::None,
        shared: Sharing::Moves,
    }
}

pub(super) fn calendar(id: Id, name: Option<&str>) -> NewCollection {
    NewCollection {
        id,
        name: name.map(str::to_owned),
        kind: Kind::Calendar,
        settings: Settings::default(),
    }
}

/// Commits what `edit` does to a home.
pub(super) async fn change(
    store: &Arc<Store>,
    home: Id,
    edit: impl FnOnce(&mut HomeChange),
) -> Result<Receipt, Error> {
    let turn = store.turn(&[home]).await?;
    let mut change = Change::new(NOW, Actor::default(), "test");
    edit(change.home(turn.home(home).unwrap()));
    store.commit(change, turn).await
}

/// A home with a calendar "work".
pub(super) async fn with_calendar(store: &Arc<Store>) -> (Id, Id) {
    let (home, work) = (id(1), id(2));
    let made = change(store, home, |home| {
        home.create();
        home.create_collection(calendar(work, Some("work")));
    });
    made.await.unwrap();
    (home, work)
}

fn names(changes: &Changes) -> Vec<(&str, bool)> {
    let entries = changes.entries.iter();
    entries
        .map(|e| (e.name.as_str(), e.header.is_some()))
        .collect()
}

#[test]
fn an_object_is_there_as_it_was_put() {
    run(async {
        let (_, store) = open().await;
        let (home, work) = with_calendar(&store).await;
        let mut stamps = None;
        let receipt = change(&store, home, |home| {
            let put = put("a.ics", "a", "BEGIN");
            stamps = Some(home.put(
                work,
                Put {
                    tag: Tag::Move,
                    ..put
                },
            ));
        });
        let receipt = receipt.await.unwrap();
        let view = store.home(home).await.unwrap();
        assert!(view.exists());
        let work = view.collection("work").unwrap();
        let header = view.header(work, "a.ics").await.unwrap().unwrap();
        let stamps = stamps.unwrap();
        assert_eq!(header.etag(), stamps.etag);
        assert_eq!(header.schedule_tag(), stamps.schedule_tag);
        assert_eq!(receipt.header(work.id, "a.ics"), Some(&header));
        assert_eq!(view.text(&header).await.unwrap(), "BEGIN");
        assert_eq!((header.uid(), header.summary()), ("a", &[1, 2, 3][..]));
        let members = view.members(work).await.unwrap();
        assert_eq!(members.header("a.ics"), Some(header));
        assert_eq!(members.token(Viewer::Owner), work.token(Viewer::Owner));
        assert_eq!((view.objects(), view.bytes_used()), (1, 5));
        let name = view.name_by_uid(work, "a").await.unwrap();
        assert_eq!(name.as_deref(), Some("a.ics"));
        assert_eq!(view.header(work, "b.ics").await.unwrap(), None);
    });
}

#[test]
fn texts_of_any_length_come_back() {
    run(async {
        let (_, store) = open().await;
        let (home, work) = with_calendar(&store).await;
        let lengths = [0, 1, 61_439, 61_440, 61_441, 131_072, 131_073, 3_000_000];
        let text = |length: usize| -> Bytes { (0..length).map(|i| (i % 251) as u8).collect() };
        for length in lengths {
            let name = format!("{length}.ics");
            let put = Put {
                text: text(length),
                ..put(&name, &name, "")
            };
            change(&store, home, |home| {
                home.put(work, put);
            })
            .await
            .unwrap();
        }
        let view = store.home(home).await.unwrap();
        let members = view.members(view.collection("work").unwrap()).await;
        let headers: Vec<Header> = members.unwrap().iter().collect();
        assert_eq!(headers.len(), lengths.len());
        let texts = view.texts(&headers).await.unwrap();
        for (header, found) in headers.iter().zip(texts) {
            assert_eq!(found, text(header.size_bytes as usize), "{}", header.name());
        }
    });
}

#[test]
fn a_uid_is_in_a_calendar_once() {
    run(async {
        let (_, store) = open().await;
        let (home, work) = with_calendar(&store).await;
        let put_ = |name, uid| {
            change(&store, home, move |home| {
                home.put(work, put(name, uid, "x"));
            })
        };
        put_("a.ics", "u").await.unwrap();
        let taken = Error::Refused(Refusal::UidTaken("a.ics".into()));
        assert_eq!(put_("b.ics", "u").await.unwrap_err(), taken);
        // The object itself may keep it or take another one, which frees it.
        put_("a.ics", "u").await.unwrap();
        put_("a.ics", "v").await.unwrap();
        put_("b.ics", "u").await.unwrap();
        change(&store, home, |home| home.remove_object(work, "a.ics"))
            .await
            .unwrap();
        put_("c.ics", "v").await.unwrap();
        let moved = store.home(home).await.unwrap();
        let collection = moved.collection("work").unwrap();
        let c = moved.header(collection, "c.ics").await.unwrap().unwrap();
        change(&store, home, |home| {
            home.relocate(&c, work, "d.ics");
        })
        .await
        .unwrap();
        let view = store.home(home).await.unwrap();
        let name = view
            .name_by_uid(view.collection("work").unwrap(), "v")
            .await;
        assert_eq!(name.unwrap().as_deref(), Some("d.ics"));
    });
}

#[test]
fn a_sync_tells_each_change_once() {
    run(async {
        let (_, store) = open().await;
        let (home, work) = with_calendar(&store).await;
        let put_ = |name: &'static str| {
            change(&store, home, move |home| {
                home.put(work, put(name, name, "x"));
            })
        };
        let members = async || {
            let view = store.home(home).await.unwrap();
            view.members(view.collection("work").unwrap())
                .await
                .unwrap()
        };
        let empty = members().await.changes(None, None).unwrap();
        assert!(empty.entries.is_empty());
        for name in ["c", "a", "b"] {
            put_(name).await.unwrap();
        }
        let all = members().await.changes(None, None).unwrap();
        assert_eq!(names(&all), [("c", true), ("a", true), ("b", true)]);
        let none = members().await.changes(Some(&all.token), None).unwrap();
        assert!(none.entries.is_empty() && none.token == all.token);
        put_("a").await.unwrap();
        change(&store, home, |home| home.remove_object(work, "c"))
            .await
            .unwrap();
        put_("c").await.unwrap();
        change(&store, home, |home| home.remove_object(work, "b"))
            .await
            .unwrap();
        let some = members().await.changes(Some(&all.token), None).unwrap();
        assert_eq!(names(&some), [("a", true), ("c", true), ("b", false)]);
        let from_start = members().await.changes(Some(&empty.token), None).unwrap();
        assert_eq!(names(&from_start), names(&some));
        // In pages.
        let mut token = all.token.clone();
        let mut paged = Vec::new();
        for round in 0.. {
            let page = members().await.changes(Some(&token), Some(1)).unwrap();
            assert!(page.entries.len() <= 1 && round < 4);
            token = page.token.clone();
            paged.extend(page.entries);
            if !page.truncated {
                break;
            }
        }
        assert_eq!(paged, some.entries);
        assert_eq!(token, some.token);
        // An initial sync in pages does not tell of what it never showed, but of what it did.
        let page = members().await.changes(None, Some(1)).unwrap();
        assert_eq!((names(&page), page.truncated), (vec![("a", true)], true));
        change(&store, home, |home| home.remove_object(work, "a"))
            .await
            .unwrap();
        let rest = members().await.changes(Some(&page.token), None).unwrap();
        assert_eq!(names(&rest), [("c", true), ("a", false)]);
        assert_eq!(
            members().await.changes(Some("x:"), None),
            Err(BadToken::Unknown)
        );
    });
}

#[test]
fn the_home_tells_which_calendars_changed() {
    run(async {
        let (_, store) = open().await;
        let (home, work) = with_calendar(&store).await;
        let sync = async |token: Option<&str>, depth| {
            let view = store.home(home).await.unwrap();
            let changes = view.changes(token, depth, None).await.unwrap().unwrap();
            let entries = changes.entries.into_iter().map(|entry| match entry {
                HomeEntry::Collection(c) | HomeEntry::NoSync(c) => c.name.clone(),
                HomeEntry::CollectionGone(name) => format!("-{name}"),
                HomeEntry::Object(c, header) => format!("{}/{}", c.name, header.name()),
                HomeEntry::ObjectGone(c, name) => format!("-{}/{name}", c.name),
            });
            (entries.collect::<Vec<_>>(), changes.token)
        };
        let (entries, token) = sync(None, Depth::Members).await;
        assert_eq!(entries, ["work"]);
        change(&store, home, |home| {
            home.put(work, put("a", "a", "x"));
            home.create_collection(calendar(id(3), None));
            home.put(id(3), put("b", "a", "x"));
        })
        .await
        .unwrap();
        assert_eq!(sync(Some(&token), Depth::Members).await.0, ["work"]);
        assert_eq!(sync(Some(&token), Depth::All).await.0, ["work/a"]);
        let (_, token) = sync(Some(&token), Depth::All).await;
        change(&store, home, |home| home.rename(id(3), "imported"))
            .await
            .unwrap();
        let (entries, token2) = sync(Some(&token), Depth::All).await;
        assert_eq!(entries, ["imported", "imported/b"]);
        change(&store, home, |home| home.rename(work, "job"))
            .await
            .unwrap();
        let taken = change(&store, home, |home| home.rename(id(3), "job")).await;
        assert_eq!(taken.unwrap_err(), Refusal::NameTaken("job".into()).into());
        let (entries, token3) = sync(Some(&token2), Depth::Members).await;
        assert_eq!(entries, ["-work", "job"]);
        let ctag = store.home(home).await.unwrap().ctag();
        change(&store, home, |home| {
            home.remove_collection(work);
            home.create_collection(calendar(id(4), Some("job")));
            home.put(id(4), put("a", "a", "x"));
        })
        .await
        .unwrap();
        assert_eq!(sync(Some(&token3), Depth::Members).await.0, ["job"]);
        assert_ne!(store.home(home).await.unwrap().ctag(), ctag);
        change(&store, home, |home| home.remove_collection(id(4)))
            .await
            .unwrap();
        assert_eq!(sync(Some(&token3), Depth::Members).await.0, ["-job"]);
        assert_eq!(sync(None, Depth::All).await.0, ["imported", "imported/b"]);
    });
}

#[test]
fn a_change_on_an_old_view_is_a_conflict() {
    run(async {
        let (kv, store) = open().await;
        let (home, work) = with_calendar(&store).await;
        let old = store.home(home).await.unwrap();
        change(&store, home, |home| {
            home.put(work, put("a", "a", "x"));
        })
        .await
        .unwrap();
        let turn = store.turn(&[home]).await.unwrap();
        let mut stale = Change::new(NOW, Actor::default(), "test");
        stale.home(&old).put(work, put("b", "b", "x"));
        assert_eq!(
            store.commit(stale, turn).await.unwrap_err(),
            Error::Conflict
        );
        // Another process writes between the turn and the commit.
        let other = Store::open(kv, Limits::default()).await.unwrap();
        let turn = store.turn(&[home]).await.unwrap();
        let mut late = Change::new(NOW, Actor::default(), "test");
        late.home(turn.home(home).unwrap())
            .put(work, put("b", "b", "x"));
        change(&other, home, |home| {
            home.put(work, put("c", "c", "x"));
        })
        .await
        .unwrap();
        assert_eq!(store.commit(late, turn).await.unwrap_err(), Error::Conflict);
        for store in [&store, &other] {
            let view = store.home(home).await.unwrap();
            let members = view
                .members(view.collection("work").unwrap())
                .await
                .unwrap();
            let names: Vec<String> = members.iter().map(|h| h.name().to_owned()).collect();
            assert_eq!(names, ["a", "c"]);
        }
    });
}

#[test]
fn time_never_runs_backwards() {
    run(async {
        let (_, store) = open().await;
        let (home, work) = with_calendar(&store).await;
        let turn = store.turn(&[home]).await.unwrap();
        let mut early = Change::new(Timestamp(5), Actor::default(), "test");
        early
            .home(turn.home(home).unwrap())
            .put(work, put("b", "b", "x"));
        let receipt = store.commit(early, turn).await.unwrap();
        assert_eq!(receipt.home(home).unwrap().modified(), NOW);
        assert_eq!(receipt.header(work, "b").unwrap().modified, NOW);
    });
}

#[test]
fn nothing_of_a_refused_change_happens() {
    run(async {
        let (_, store) = open().await;
        let (home, work) = with_calendar(&store).await;
        let revision = store.home(home).await.unwrap().revision();
        let refused = change(&store, home, |home| {
            home.put(work, put("a", "a", "x"));
            home.remove_object(work, "b");
        });
        assert_eq!(refused.await.unwrap_err(), Refusal::NoObject.into());
        for name in ["", ".", "..", "a\0b"] {
            let refused = change(&store, home, |home| {
                home.put(work, put(name, "a", "x"));
            });
            assert_eq!(
                refused.await.unwrap_err(),
                Refusal::BadName(name.into()).into()
            );
        }
        let long = "n".repeat(256);
        let refused = change(&store, home, |home| {
            home.put(work, put(&long, "a", "x"));
        });
        assert!(matches!(refused.await, Err(Error::TooLarge(_))));
        let missing = change(&store, id(9), |home| {
            home.put(work, put("a", "a", "x"));
        });
        assert_eq!(missing.await.unwrap_err(), Refusal::NoHome.into());
        let view = store.home(home).await.unwrap();
        assert_eq!((view.revision(), view.objects()), (revision, 0));
    });
}

#[test]
fn writers_of_one_home_all_succeed() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build();
    runtime.unwrap().block_on(async {
        let kv = Arc::new(Memory::with_mischief(memory::Mischief {
            seed: 7,
            yields: 5,
            conflicts_per_mille: 0,
        }));
        let store = Store::open(kv, Limits::default()).await.unwrap();
        let (home, work) = with_calendar(&store).await;
        let writers = (0..40).map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0..10 {
                    let name = format!("{writer}-{n}");
                    change(&store, home, |home| {
                        home.put(work, put(&name, &name, "x"));
                    })
                    .await
                    .unwrap();
                    let view = store.home(home).await.unwrap();
                    let work = view.collection("work").unwrap();
                    assert!(view.members(work).await.unwrap().header(&name).is_some());
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        let view = store.home(home).await.unwrap();
        assert_eq!(view.objects(), 400);
        assert_eq!(view.revision(), 401);
    });
}

fn principal(byte: u8, name: &str, kind: PrincipalKind) -> Principal {
    Principal {
        id: id(byte),
        kind,
        name: name.into(),
        display_name: name.into(),
        addresses: vec![format!("mailto:{name}@example.com")],
        locale: None,
        timezone: None,
        admin: false,
        disabled: false,
        properties: Properties::new(),
        created: NOW,
        revision: 0,
    }
}

async fn directory(
    store: &Arc<Store>,
    edit: impl FnOnce(&mut DirectoryChange),
) -> Result<Receipt, Error> {
    let turn = store.turn(&[Id::DIRECTORY]).await?;
    let mut change = Change::new(NOW, Actor::default(), "test");
    edit(change.directory(turn.directory().unwrap()));
    store.commit(change, turn).await
}

#[test]
fn the_directory_finds_principals_by_name_and_address() {
    run(async {
        let (kv, store) = open().await;
        let other = Store::open(kv, Limits::default()).await.unwrap();
        assert!(other.directory().await.unwrap().is_empty());
        directory(&store, |directory| {
            directory.add(principal(1, "Ann", PrincipalKind::User));
            directory.add(principal(2, "bob", PrincipalKind::User));
        })
        .await
        .unwrap();
        for store in [&store, &other] {
            let directory = store.directory().await.unwrap();
            assert_eq!(directory.by_name("ANN").unwrap().id, id(1));
            let bob = directory.by_address("MAILTO:Bob%40Example.com").unwrap();
            assert_eq!(bob.id, id(2));
            assert!(directory.by_name("carol").is_none());
        }
        let taken = directory(&store, |d| d.add(principal(3, "ann", PrincipalKind::User)));
        assert!(matches!(
            taken.await,
            Err(Error::Refused(Refusal::NameTaken(_)))
        ));
        let mut thief = principal(3, "carol", PrincipalKind::User);
        thief.addresses.push("mailto:ANN@example.com".into());
        let taken = directory(&store, |d| d.add(thief));
        assert!(matches!(
            taken.await,
            Err(Error::Refused(Refusal::AddressTaken(_)))
        ));
        // Names and addresses are exchanged.
        directory(&store, |d| {
            d.update(principal(1, "x", PrincipalKind::User));
            d.update(principal(2, "ann", PrincipalKind::User));
            d.update(principal(1, "bob", PrincipalKind::User));
        })
        .await
        .unwrap();
        for store in [&store, &other] {
            let directory = store.directory().await.unwrap();
            assert_eq!(directory.by_name("ann").unwrap().id, id(2));
            assert_eq!(directory.by_address("bob@example.com").unwrap().id, id(1));
            assert!(directory.by_name("x").is_none());
        }
        directory(&store, |d| d.remove(id(1))).await.unwrap();
        for store in [&store, &other] {
            let directory = store.directory().await.unwrap();
            assert!(directory.by_name("bob").is_none());
            assert!(directory.principal(id(1)).is_none());
            assert_eq!(directory.principals().len(), 1);
        }
    });
}

#[test]
fn groups_are_nested_and_may_even_be_circular() {
    run(async {
        let (kv, store) = open().await;
        directory(&store, |d| {
            for (byte, name) in [(1, "ann"), (2, "bob")] {
                d.add(principal(byte, name, PrincipalKind::User));
            }
            for (byte, name) in [(3, "team"), (4, "staff"), (5, "all")] {
                d.add(principal(byte, name, PrincipalKind::Group));
            }
            d.set_members(id(3), vec![id(1), id(4)]);
            d.set_members(id(4), vec![id(2), id(5)]);
            d.set_members(id(5), vec![id(3)]);
        })
        .await
        .unwrap();
        let other = Store::open(kv, Limits::default()).await.unwrap();
        for store in [&store, &other] {
            let directory = store.directory().await.unwrap();
            let mut members = directory.expand(id(5));
            members.sort_unstable();
            assert_eq!(members, [id(1), id(2)]);
            assert!(directory.is_member(id(2), id(3)));
            assert_eq!(directory.groups_of(id(1)), [id(3), id(5), id(4)]);
        }
        let unknown = directory(&store, |d| d.set_members(id(3), vec![id(9)]));
        assert_eq!(unknown.await.unwrap_err(), Refusal::NoPrincipal.into());
        directory(&store, |d| d.remove(id(4))).await.unwrap();
        for store in [&store, &other] {
            let directory = store.directory().await.unwrap();
            assert_eq!(directory.expand(id(5)), [id(1)]);
            assert!(directory.groups_of(id(2)).is_empty());
        }
    });
}

#[test]
fn new_credentials_move_the_principals_revision() {
    run(async {
        let (_, store) = open().await;
        directory(&store, |d| {
            d.add(principal(1, "ann", PrincipalKind::User));
            d.add(principal(2, "bob", PrincipalKind::User));
        })
        .await
        .unwrap();
        let credentials = Credentials {
            password: Some("secret hash".into()),
            app_passwords: vec![AppPassword {
                id: id(7),
                label: "phone".into(),
                hash: "hash".into(),
                created: NOW,
                last_used: None,
            }],
        };
        let set = credentials.clone();
        directory(&store, |d| d.set_credentials(id(1), set))
            .await
            .unwrap();
        let snapshot = store.directory().await.unwrap();
        let revision = |byte| snapshot.principal(id(byte)).unwrap().revision;
        assert_eq!((revision(1), revision(2)), (2, 1));
        assert_eq!(store.credentials(id(1)).await.unwrap(), credentials);
        assert_eq!(
            store.credentials(id(2)).await.unwrap(),
            Credentials::default()
        );
        store
            .app_password_used(id(1), id(7), Timestamp(99))
            .await
            .unwrap();
        let used = store.credentials(id(1)).await.unwrap();
        assert_eq!(used.app_passwords[0].last_used, Some(Timestamp(99)));
        assert_eq!(store.directory().await.unwrap().revision(), 2);
    });
}

#[test]
fn an_account_is_one_commit() {
    run(async {
        let (_, store) = open().await;
        let turn = store.turn(&[id(1), Id::DIRECTORY]).await.unwrap();
        let mut change = Change::new(NOW, Actor::default(), "add user");
        let ann = principal(1, "ann", PrincipalKind::User);
        change.directory(turn.directory().unwrap()).add(ann);
        let home = change.home(turn.home(id(1)).unwrap());
        home.create();
        for (byte, name, kind) in [(2, "calendar", Kind::Calendar), (3, "inbox", Kind::Inbox)] {
            home.create_collection(NewCollection {
                kind,
                ..calendar(id(byte), Some(name))
            });
        }
        let receipt = store.commit(change, turn).await.unwrap();
        assert!(receipt.directory().unwrap().by_name("ann").is_some());
        let home = store.home(id(1)).await.unwrap();
        let names: Vec<&str> = home.collections().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["calendar", "inbox"]);
        // UIDs are unique in calendars, not in the inbox.
        let turn = store.turn(&[id(1)]).await.unwrap();
        let mut change = Change::new(NOW, Actor::default(), "deliver");
        let home = change.home(turn.home(id(1)).unwrap());
        home.put(id(3), put("1", "u", "x"));
        home.put(id(3), put("2", "u", "x"));
        assert!(store.commit(change, turn).await.is_ok());
    });
}

#[test]
fn dead_properties_of_an_object_stay_with_it() {
    run(async {
        let (_, store) = open().await;
        let (home, work) = with_calendar(&store).await;
        change(&store, home, |home| {
            home.put(work, put("a", "a", "x"));
        })
        .await
        .unwrap();
        let view = store.home(home).await.unwrap();
        let etag = |view: &Arc<Home>, name: &'static str| {
            let view = view.clone();
            async move {
                let work = view.collection("work").unwrap();
                view.header(work, name).await.unwrap().unwrap()
            }
        };
        let before = etag(&view, "a").await;
        let properties: Properties = [("{x}p".into(), "<p/>".into())].into();
        let set = properties.clone();
        change(&store, home, |home| {
            home.set_object_properties(work, "a", set)
        })
        .await
        .unwrap();
        let view = store.home(home).await.unwrap();
        let after = etag(&view, "a").await;
        assert_eq!(before.etag(), after.etag());
        assert_eq!(view.object_properties(&after).await.unwrap(), properties);
        change(&store, home, |home| {
            home.relocate(&after, work, "b");
        })
        .await
        .unwrap();
        let view = store.home(home).await.unwrap();
        let moved = etag(&view, "b").await;
        assert_eq!(view.object_properties(&moved).await.unwrap(), properties);
        assert_ne!(moved.etag(), after.etag());
        assert_eq!(moved.created, after.created);
    });
}
