//! Many writers of one home and a reader, on an engine that becomes durable late and sometimes not at
//! all; and the queue that commits take messages from.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::index_tests::Random;
use super::kv::Kv;
use super::staggered::Staggered;
use super::tests::{calendar, change, id, open, put, run, with_calendar};
use super::*;
use crate::ical::Timestamp;

const HOME: Id = Id::from_bytes([1; 16]);

/// Twelve writers of one home and a reader on an engine that becomes durable late and sometimes not
/// at all.
struct Crowd {
    kv: Arc<Staggered>,
    store: Arc<Store>,
    /// What was acknowledged.
    acknowledged: Mutex<BTreeSet<String>>,
    failed: AtomicUsize,
    writing: AtomicUsize,
}

impl Crowd {
    async fn write(&self, writer: u64) {
        let mut random = Random(writer);
        for n in 0..25 {
            let name = format!("{writer}-{n}");
            let turn = self.store.turn(&[HOME]).await.unwrap();
            let mut change = Change::new(Timestamp(0), Actor::default(), "put");
            let stamps = change
                .home(turn.home(HOME).unwrap())
                .put(id(2), put(&name, &name, "x"));
            match self.store.commit(change, turn).await {
                Ok(receipt) => {
                    let header = receipt.header(id(2), &name).unwrap();
                    assert_eq!(header.etag(), stamps.etag);
                    self.acknowledged.lock().unwrap().insert(name);
                }
                Err(Error::Broken(_) | Error::Conflict) => {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => panic!("{error}"),
            }
            for _ in 0..random.below(4) {
                tokio::task::yield_now().await;
            }
        }
        self.writing.fetch_sub(1, Ordering::Relaxed);
    }

    /// What is acknowledged is seen, and what is seen is durable.
    async fn read(&self) {
        while self.writing.load(Ordering::Relaxed) > 0 {
            let acknowledged = self.acknowledged.lock().unwrap().clone();
            let view = self.store.home(HOME).await.unwrap();
            let calendar = view.collection("a").unwrap();
            let members = view.members(calendar).await.unwrap();
            let seen: BTreeSet<String> = members.iter().map(|h| h.name().to_owned()).collect();
            assert!(acknowledged.is_subset(&seen));
            for name in &seen {
                let key = keys::object(HOME, id(2), name);
                let row = self.kv.get(kv::View::Durable, &key).await.unwrap();
                assert!(row.is_some(), "{name} is seen and not durable");
            }
            tokio::task::yield_now().await;
        }
    }

    /// The disk; answers the most batches that became durable at once.
    async fn disk(&self) -> usize {
        let mut random = Random(99);
        let mut most = 0;
        while self.writing.load(Ordering::Relaxed) > 0 {
            for _ in 0..random.below(60) {
                tokio::task::yield_now().await;
            }
            match random.below(12) {
                0 => self.kv.fail(),
                _ => most = most.max(self.kv.sync()),
            }
        }
        most
    }
}

#[test]
fn writers_share_a_sync_and_readers_see_only_what_is_durable() {
    let kv = Arc::new(Staggered::default());
    run(async {
        let durable = async {
            while kv.sync() < 3 {
                tokio::task::yield_now().await
            }
        };
        let store = async {
            let store = Store::open(kv.clone(), Limits::default()).await.unwrap();
            let turn = store.turn(&[HOME]).await.unwrap();
            let mut change = Change::new(Timestamp(0), Actor::default(), "make");
            let home = change.home(turn.home(HOME).unwrap());
            home.create();
            home.create_collection(calendar(id(2), Some("a")));
            store.commit(change, turn).await.unwrap();
            store
        };
        let store = tokio::select! {
            store = store => store,
            () = durable => panic!("too much was written"),
        };
        let crowd = Crowd {
            kv: kv.clone(),
            store: store.clone(),
            acknowledged: Mutex::default(),
            failed: AtomicUsize::new(0),
            writing: AtomicUsize::new(12),
        };
        let writers = (0..12).map(|writer| crowd.write(writer));
        let writers = std::pin::pin!(join(writers.collect()));
        let (_, (), most) = tokio::join!(writers, crowd.read(), crowd.disk());
        let failed = crowd.failed.load(Ordering::Relaxed);
        let acknowledged = crowd.acknowledged.lock().unwrap().len();
        eprintln!("{acknowledged} acknowledged, {failed} failed, {most} in one sync");
        assert_eq!(acknowledged + failed, 300);
        assert!(acknowledged > 100 && failed > 10 && most > 4);
        let fresh = Store::open(kv.clone(), Limits::default()).await.unwrap();
        for store in [&store, &fresh] {
            let view = store.home(HOME).await.unwrap();
            assert_eq!(view.objects(), acknowledged as u64);
            let report = store.check(Repair::No).await.unwrap();
            assert_eq!(report.findings, []);
        }
    });
}

/// Runs all of them at once.
async fn join<F: Future<Output = ()>>(futures: Vec<F>) {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    std::future::poll_fn(move |cx| {
        futures.retain_mut(|future| future.as_mut().poll(cx).is_pending());
        if futures.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

fn message(to: u8, uid: &str, revision: u64) -> LocalMessage {
    LocalMessage {
        to: id(to),
        from: HOME,
        uid: uid.into(),
        revision,
        collection: id(2),
        name: "a.ics".into(),
        old: None,
        new: Some(Position { revision, n: 0 }),
        payload: Bytes::from_static(b"payload"),
    }
}

async fn queue(store: &Store, edit: impl FnOnce(&mut Change)) -> Result<Receipt, Error> {
    let turn = store.turn(&[]).await?;
    let mut change = Change::new(Timestamp(0), Actor::default(), "queue");
    edit(&mut change);
    store.commit(change, turn).await
}

#[test]
fn a_message_is_taken_once() {
    run(async {
        let (_, store) = open().await;
        let messages = [
            message(5, "u", 9),
            message(5, "u", 10),
            message(5, "u\0", 1),
            message(7, "", 3),
        ];
        queue(&store, |change| {
            for message in messages.iter().rev() {
                change.queue_local(message);
            }
        })
        .await
        .unwrap();
        assert_eq!(store.queued_for(id(5), 10).await.unwrap(), messages[..3]);
        assert_eq!(store.queued_for(id(5), 1).await.unwrap(), messages[..1]);
        assert_eq!(
            store.homes_with_messages(None, 9).await.unwrap(),
            [id(5), id(7)]
        );
        assert_eq!(
            store.homes_with_messages(Some(id(5)), 9).await.unwrap(),
            [id(7)]
        );
        let take = async || queue(&store, |change| change.take_local(&messages[0])).await;
        take().await.unwrap();
        assert_eq!(take().await.unwrap_err(), Error::Conflict);
        assert_eq!(store.queued_for(id(5), 10).await.unwrap(), messages[1..3]);
        let mail = |due, byte| MailMessage {
            id: id(byte),
            due: Timestamp(due),
            payload: Bytes::from_static(b"mail"),
        };
        queue(&store, |change| {
            for mail in [mail(30, 1), mail(-5, 2), mail(20, 3)] {
                change.queue_mail(&mail);
            }
        })
        .await
        .unwrap();
        assert_eq!(store.next_mail().await.unwrap(), Some(Timestamp(-5)));
        let due = store.mail_due(Timestamp(20), 9).await.unwrap();
        assert_eq!(due, [mail(-5, 2), mail(20, 3)]);
        queue(&store, |change| change.take_mail(&due[0]))
            .await
            .unwrap();
        assert_eq!(store.next_mail().await.unwrap(), Some(Timestamp(20)));
    });
}

#[test]
fn what_is_known_of_a_uid_outlives_its_object_for_a_while() {
    run(async {
        let (_, store) = open().await;
        let (home, work) = with_calendar(&store).await;
        let state = |gone| UidState {
            payload: Bytes::from_static(b"state"),
            gone,
        };
        let receipt = change(&store, home, |home| {
            home.put(work, put("a", "a", "first"));
            home.set_uid_state("a", state(false));
            home.set_uid_state("b", state(true));
        });
        let first = receipt.await.unwrap().header(work, "a").unwrap().text;
        change(&store, home, |home| {
            home.put(work, put("a", "a", "second"));
        })
        .await
        .unwrap();
        let entry = |at, uid: &str, text: &str| JournalEntry {
            at: Timestamp(at),
            uid: uid.into(),
            text: text.into(),
        };
        let entries = [
            entry(1, "a", "sent"),
            entry(2, "b", "refused"),
            entry(3, "a", "answered"),
        ];
        queue(&store, |change| {
            for (n, entry) in (0..).zip(&entries) {
                change.journal(home, entry, n);
            }
        })
        .await
        .unwrap();
        let view = store.home(home).await.unwrap();
        assert_eq!(view.revision(), 3);
        assert_eq!(view.uid_state("b").await.unwrap(), Some(state(true)));
        let about_a = view.journal(Some("a"), 9).await.unwrap();
        assert_eq!(about_a, [entries[2].clone(), entries[0].clone()]);
        assert_eq!(view.journal(None, 1).await.unwrap(), [entries[2].clone()]);
        let collection = view.any_collection(work).unwrap();
        let old = view
            .header_at(collection, "a", first)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(view.text(&old).await.unwrap(), "first");
        let month = store.limits().history_keep;
        store
            .prune(Timestamp(1_800_000_000 + month + 1))
            .await
            .unwrap();
        assert_eq!(view.uid_state("a").await.unwrap(), Some(state(false)));
        assert_eq!(view.uid_state("b").await.unwrap(), None);
        assert_eq!(view.journal(None, 9).await.unwrap(), []);
        assert_eq!(view.header_at(collection, "a", first).await.unwrap(), None);
    });
}
