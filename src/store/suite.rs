//! What every engine must do, as one function; each engine's tests run it on an empty store.

use std::sync::Arc;

use super::kv::{
    Batch, Bound, CommitError, Key, Kv, MAX_BATCH_ROWS, MAX_VALUE_BYTES, Row, Scan, UnixMillis,
    Value, View,
};

const VIEWS: [View; 2] = [View::Durable, View::Ordered];

/// Runs every claim on an empty store.
pub(super) async fn run(kv: Arc<dyn Kv>) {
    rows_come_back_in_key_order(&*kv).await;
    a_batch_happens_whole_or_not_at_all(&*kv).await;
    the_later_write_to_a_key_wins(&*kv).await;
    bounds_are_enforced(&*kv).await;
    ordered_batches_are_seen_by_later_checks(&*kv).await;
    concurrent_writers_lose_no_update(kv).await;
}

fn batch() -> Batch {
    Batch::new(UnixMillis(1_000))
}

fn value(text: &str) -> Value {
    Value::copy_from_slice(text.as_bytes())
}

async fn put(kv: &dyn Kv, key: &'static str, text: &str) {
    let mut batch = batch();
    batch.put(key, value(text));
    assert_eq!(kv.commit(batch).await, Ok(()));
}

fn keys(rows: &[Row]) -> Vec<&[u8]> {
    rows.iter().map(|row| row.key.as_ref()).collect()
}

async fn rows_come_back_in_key_order(kv: &dyn Kv) {
    for key in ["s/b", "s/a", "s/c", "s0", "s"] {
        put(kv, key, key).await;
    }
    for view in VIEWS {
        let rows = kv.scan(view, Scan::prefix("s/", 9)).await.unwrap();
        assert_eq!(keys(&rows), [b"s/a", b"s/b", b"s/c"]);
        assert_eq!(rows[0].value, value("s/a"));
        let rows = kv.scan(view, Scan::prefix("s/", 2)).await.unwrap();
        assert_eq!(keys(&rows), [b"s/a", b"s/b"]);
        let scan = Scan::prefix("s/", 2).reversed();
        let rows = kv.scan(view, scan).await.unwrap();
        assert_eq!(keys(&rows), [b"s/c", b"s/b"]);
        let mut backwards = Scan::prefix("s/", 9);
        backwards.end = Some(Key::from_static(b"a"));
        assert_eq!(kv.scan(view, backwards).await, Ok(Vec::new()));
        let wanted = [Key::from_static(b"s/b"), Key::from_static(b"absent")];
        let values = kv.get_many(view, &wanted).await;
        assert_eq!(values, Ok(vec![Some(value("s/b")), None]));
        assert_eq!(kv.get(view, b"s0").await, Ok(Some(value("s0"))));
        assert_eq!(kv.get(view, b"s1").await, Ok(None));
    }
}

async fn a_batch_happens_whole_or_not_at_all(kv: &dyn Kv) {
    put(kv, "whole/a", "1").await;
    let mut refused = batch();
    refused.check("whole/a", Some(value("1")));
    refused.check("whole/b", Some(value("1")));
    refused.put("whole/c", value("1"));
    assert_eq!(kv.commit(refused).await, Err(CommitError::Conflict));
    let mut taken = batch();
    taken.check("whole/a", Some(value("1")));
    taken.check("whole/b", None);
    taken.put("whole/b", value("2"));
    taken.remove("whole/a");
    taken.remove("whole/never");
    assert_eq!(kv.commit(taken.clone()).await, Ok(()));
    assert_eq!(kv.commit(taken).await, Err(CommitError::Conflict));
    for view in VIEWS {
        let rows = kv.scan(view, Scan::prefix("whole/", 9)).await.unwrap();
        assert_eq!(keys(&rows), [b"whole/b"]);
    }
}

async fn the_later_write_to_a_key_wins(kv: &dyn Kv) {
    let mut twice = batch();
    twice.put("later", value("1"));
    twice.remove("later");
    twice.put("later", value("2"));
    assert_eq!(kv.commit(twice).await, Ok(()));
    let found = kv.get(View::Durable, b"later").await;
    assert_eq!(found, Ok(Some(value("2"))));
}

async fn bounds_are_enforced(kv: &dyn Kv) {
    let mut largest = batch();
    largest.put("bound", vec![1; MAX_VALUE_BYTES]);
    assert_eq!(kv.commit(largest).await, Ok(()));
    let mut value = batch();
    value.put("bound", vec![1; MAX_VALUE_BYTES + 1]);
    let mut rows = batch();
    for _ in 0..=MAX_BATCH_ROWS {
        rows.remove("bound");
    }
    let mut bytes = batch();
    for _ in 0..16 {
        bytes.put("bound", vec![1; MAX_VALUE_BYTES]);
    }
    let mut key = batch();
    key.put("", "x");
    for (batch, bound) in [
        (value, Bound::Value),
        (rows, Bound::Rows),
        (bytes, Bound::Bytes),
        (key, Bound::Key),
    ] {
        assert_eq!(kv.commit(batch).await, Err(CommitError::TooLarge(bound)));
    }
}

async fn ordered_batches_are_seen_by_later_checks(kv: &dyn Kv) {
    let mut first = batch();
    first.check("turn", None);
    first.put("turn", value("1"));
    let mut second = batch();
    second.check("turn", Some(value("1")));
    second.put("turn", value("2"));
    let first = kv.submit(first).await.unwrap();
    let seen = kv.get(View::Ordered, b"turn").await;
    assert_eq!(seen, Ok(Some(value("1"))));
    let second = kv.submit(second).await.unwrap();
    let seen = kv.get(View::Ordered, b"turn").await;
    assert_eq!(seen, Ok(Some(value("2"))));
    let rows = kv.scan(View::Ordered, Scan::prefix("turn", 2)).await;
    assert_eq!(rows.unwrap()[0].value, value("2"));
    assert_eq!(second.done.await, Ok(()));
    assert_eq!(first.done.await, Ok(()));
    let seen = kv.get(View::Durable, b"turn").await;
    assert_eq!(seen, Ok(Some(value("2"))));
}

async fn concurrent_writers_lose_no_update(kv: Arc<dyn Kv>) {
    let writers: Vec<_> = (0..16)
        .map(|_| tokio::spawn(count_to(kv.clone(), 25)))
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let total = kv.get(View::Durable, b"count").await;
    assert_eq!(total, Ok(Some(value("400"))));
}

/// Adds one to a shared counter this many times, by checked batches.
async fn count_to(kv: Arc<dyn Kv>, times: u32) {
    let mut counted = 0;
    while counted < times {
        let seen = kv.get(View::Ordered, b"count").await.unwrap();
        let text = seen.as_deref().unwrap_or(b"0");
        let number: u32 = std::str::from_utf8(text).unwrap().parse().unwrap();
        let mut batch = batch();
        batch.check("count", seen.clone());
        batch.put("count", (number + 1).to_string());
        match kv.commit(batch).await {
            Ok(()) => counted += 1,
            Err(error) => assert_eq!(error, CommitError::Conflict),
        }
    }
}
