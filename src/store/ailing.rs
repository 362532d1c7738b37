//! What happens while the store is open and something fails: the tree, the disk, the room on it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use super::kv::{
    Batch, CommitError, Key, Kv, Ordered, ReadError, Row, Scan, UnixMillis, Value, View, Write,
};
use super::simulated::{SimulatedDisk, Syncing};
use super::tree::{Fill, Tree, TreeError, TreeSource};
use super::{Engine, Options};

/// A tree that fails on demand.
#[derive(Clone, Debug, Default)]
struct Fickle(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    rows: BTreeMap<Key, Value>,
    applied: u64,
    opened: u32,
    rebuilt: u32,
    /// How many applies fail from now on.
    failing: u32,
    /// Reads of this row fail until the tree is opened again, or rebuilt.
    bad_row: Option<(Key, Cure)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cure {
    Opening,
    Rebuilding,
}

impl Fickle {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

fn failure() -> TreeError {
    TreeError("it failed on demand".to_owned())
}

impl Tree for Fickle {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TreeError> {
        let state = self.state();
        match &state.bad_row {
            Some((bad, _)) if bad == key => Err(failure()),
            _ => Ok(state.rows.get(key).cloned()),
        }
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Row>, TreeError> {
        let state = self.state();
        let rows = state.rows.range(scan.start.clone()..);
        let row = |(key, value): (&Key, &Value)| Row {
            key: key.clone(),
            value: value.clone(),
        };
        Ok(rows.map(row).take(scan.limit).collect())
    }

    fn apply(&self, writes: &[&Write], sequence: u64) -> Result<(), TreeError> {
        let mut state = self.state();
        if let Some(left) = state.failing.checked_sub(1) {
            state.failing = left;
            return Err(failure());
        }
        for write in writes {
            match &write.value {
                Some(value) => state.rows.insert(write.key.clone(), value.clone()),
                None => state.rows.remove(&write.key),
            };
        }
        state.applied = sequence;
        Ok(())
    }

    fn applied(&self) -> Result<u64, TreeError> {
        Ok(self.state().applied)
    }

    fn persist(&self) -> Result<(), TreeError> {
        Ok(())
    }
}

impl TreeSource for Fickle {
    fn exists(&self) -> bool {
        self.state().applied > 0
    }

    fn open(&self) -> Result<Box<dyn Tree>, TreeError> {
        let mut state = self.state();
        state.opened += 1;
        if state
            .bad_row
            .as_ref()
            .is_some_and(|(_, cure)| *cure == Cure::Opening)
        {
            state.bad_row = None;
        }
        drop(state);
        Ok(Box::new(self.clone()))
    }

    fn rebuild(&self, fill: &mut Fill<'_>) -> Result<Box<dyn Tree>, TreeError> {
        let fresh = Self::default();
        fresh.state().failing = self.state().failing;
        fill(&fresh)?;
        let fresh = std::mem::take(&mut *fresh.state());
        let mut state = self.state();
        (state.rows, state.applied) = (fresh.rows, fresh.applied);
        state.rebuilt += 1;
        state.bad_row = None;
        drop(state);
        Ok(Box::new(self.clone()))
    }
}

struct World {
    disk: SimulatedDisk,
    tree: Fickle,
    engine: Engine,
}

const RESERVE: u64 = 1000;

fn world() -> World {
    let disk = SimulatedDisk::new(1, Syncing::Works);
    let tree = Fickle::default();
    let options = Options {
        reserve_bytes: RESERVE,
        segment_bytes: 500,
        ..Options::default()
    };
    let engine = Engine::assemble(Arc::new(disk.clone()), Box::new(tree.clone()), options);
    World {
        disk,
        tree,
        engine: engine.unwrap(),
    }
}

/// What a future answers that waits for nobody.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("it waits"),
    }
}

impl World {
    fn submit(&self, key: &'static str, value: &'static str) -> Result<Ordered, CommitError> {
        let mut batch = Batch::new(UnixMillis(1));
        batch.put(key, value);
        now(self.engine.submit(batch))
    }

    /// Commits one group, and brings it to the tree.
    fn step(&self) -> bool {
        let stepped = self.engine.step();
        self.engine.settle();
        stepped
    }

    fn put(&self, key: &'static str, value: &'static str) -> Result<(), CommitError> {
        let ordered = self.submit(key, value)?;
        assert!(self.step());
        now(ordered.done)
    }

    fn get(&self, key: &str) -> Result<Option<Value>, ReadError> {
        now(self.engine.get(View::Durable, key.as_bytes()))
    }

    /// Finds what was put under these keys, by get and by scan.
    fn expect(&self, rows: &[(&'static str, &'static str)]) {
        let mut found = Vec::new();
        for (key, value) in rows {
            let value = Value::from_static(value.as_bytes());
            assert_eq!(self.get(key), Ok(Some(value.clone())), "{key}");
            let key = Key::from_static(key.as_bytes());
            found.push(Row { key, value });
        }
        let scan = Scan::prefix(Key::new(), 99);
        assert_eq!(now(self.engine.scan(View::Durable, scan)), Ok(found));
    }
}

#[test]
fn a_tree_that_refuses_a_durable_commit_is_opened_again() {
    let world = world();
    assert_eq!(world.put("a", "1"), Ok(()));
    world.tree.state().failing = 1;
    assert_eq!(world.put("b", "2"), Ok(()), "it is durable");
    world.expect(&[("a", "1"), ("b", "2")]);
    // One that goes on refusing is not read from: it may lack what was acknowledged.
    world.tree.state().failing = u32::MAX;
    assert_eq!(world.put("c", "3"), Ok(()), "it is durable");
    assert!(world.get("a").is_err());
    assert!(matches!(world.put("d", "4"), Err(CommitError::Broken(_))));
    assert!(
        world.engine.persist().is_err(),
        "the mark would promise too much"
    );
    world.tree.state().failing = 0;
    assert_eq!(world.put("d", "4"), Ok(()));
    world.expect(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")]);
    assert_eq!(world.tree.state().rows.len(), 4);
    assert_eq!(world.tree.state().applied, 4);
}

#[test]
fn while_there_is_no_room_reads_go_on_and_writes_are_refused() {
    let world = world();
    assert_eq!(world.put("a", "1"), Ok(()));
    // The tree finds no room for a commit that the journal has.
    world.tree.state().failing = 1;
    let ordered = world.submit("b", "2").unwrap();
    world.disk.set_free_bytes(RESERVE);
    assert!(world.step());
    assert_eq!(now(ordered.done), Ok(()));
    let opened = world.tree.state().opened;
    for _ in 0..3 {
        assert_eq!(world.put("c", "3"), Err(CommitError::Full));
        world.expect(&[("a", "1"), ("b", "2")]);
    }
    assert_eq!(world.tree.state().opened, opened, "opening needs room too");
    world.disk.set_free_bytes(u64::MAX);
    assert_eq!(world.put("c", "3"), Ok(()));
    world.expect(&[("a", "1"), ("b", "2"), ("c", "3")]);
}

#[test]
fn a_write_that_finds_no_room_leaves_nothing() {
    let world = world();
    assert_eq!(world.put("a", "1"), Ok(()));
    let long = world.submit("b", str::repeat("2", 2000).leak());
    let (first, second) = (long.unwrap(), world.submit("c", "3").unwrap());
    world.disk.set_free_bytes(10);
    assert!(world.step());
    assert_eq!(now(first.done), Err(CommitError::Full));
    assert_eq!(now(second.done), Err(CommitError::Full));
    world.expect(&[("a", "1")]);
    world.disk.set_free_bytes(u64::MAX);
    assert_eq!(world.put("d", "4"), Ok(()));
    world.expect(&[("a", "1"), ("d", "4")]);
}

#[test]
fn a_row_that_cannot_be_read_is_had_back() {
    for (cure, rebuilt) in [(Cure::Opening, 0), (Cure::Rebuilding, 1)] {
        let world = world();
        assert_eq!(world.put("a", "1"), Ok(()));
        assert_eq!(world.put("b", "2"), Ok(()));
        world.tree.state().bad_row = Some((Key::from_static(b"b"), cure));
        world.expect(&[("a", "1"), ("b", "2")]);
        assert_eq!(world.tree.state().rebuilt, rebuilt);
        // Also where a check needs it.
        world.tree.state().bad_row = Some((Key::from_static(b"a"), cure));
        let mut batch = Batch::new(UnixMillis(1));
        batch.check("a", Some(Value::from_static(b"1")));
        let ordered = now(world.engine.submit(batch)).unwrap();
        assert!(world.step());
        assert_eq!(now(ordered.done), Ok(()));
    }
}

#[test]
fn a_later_batch_shares_the_fate_of_the_earlier() {
    let world = world();
    let first = world.submit("a", "1").unwrap();
    let mut batch = Batch::new(UnixMillis(1));
    batch.check("a", Some(Value::from_static(b"1")));
    batch.put("b", "2");
    let second = now(world.engine.submit(batch.clone())).unwrap();
    world.disk.fail_after(Some(0));
    assert!(world.step());
    for ordered in [first, second] {
        assert!(matches!(now(ordered.done), Err(CommitError::Broken(_))));
    }
    world.expect(&[]);
    let again = now(world.engine.submit(batch));
    assert_eq!(again.unwrap_err(), CommitError::Conflict);
    assert_eq!(world.put("a", "1"), Ok(()));
    world.expect(&[("a", "1")]);
}

#[test]
fn a_journal_that_cannot_be_cut_takes_no_more_writes() {
    let world = world();
    assert_eq!(world.put("a", "1"), Ok(()));
    let ordered = world.submit("b", "2").unwrap();
    world.disk.power_off_after(1);
    assert!(world.step());
    assert!(matches!(now(ordered.done), Err(CommitError::ReadOnly(_))));
    world.expect(&[("a", "1")]);
    assert!(matches!(world.put("c", "3"), Err(CommitError::ReadOnly(_))));
}
