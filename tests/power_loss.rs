//! Power loss, thousands of times: everything acknowledged is there afterwards, nothing is half there.
//!
//! The journal, its mark and manifest and the checkpoints are the real ones, on the simulated disk; the
//! tree is a stand-in that loses, tears and damages what it had not persisted. Each world lives through
//! several power losses, some of them while it recovers from the one before. A failure names its seed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use kalends::store::kv::{
    Answer, Batch, CommitError, Key, Kv, Order, Row, Scan, UnixMillis, Value, View, Write,
};
use kalends::store::simulated::{SimulatedDisk, Syncing};
use kalends::store::tree::{Fill, Tree, TreeError, TreeSource};
use kalends::store::{Engine, OpenError, Options};

/// Power losses in a run of the tests.
const ROUNDS: u64 = 10_000;

/// Power losses in the life of one world.
const ROUNDS_PER_WORLD: u64 = 10;

#[test]
fn everything_acknowledged_survives_ten_thousand_power_losses() {
    for seed in 0..ROUNDS / ROUNDS_PER_WORLD {
        if let Err(why) = live(seed, Syncing::Works) {
            panic!("seed {seed}: {why}");
        }
    }
}

#[test]
fn without_the_sync_acknowledged_commits_are_lost() {
    let lost = (0..100).filter(|seed| live(*seed, Syncing::LeftOut).is_err());
    assert!(lost.count() > 50);
}

/// Pseudo-random numbers by splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// What a future answers that waits for nobody; `None` if it does wait.
fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

// The stand-in for sled.

type Rows = BTreeMap<Key, Value>;

#[derive(Debug)]
struct StandIn {
    disk: SimulatedDisk,
    state: Arc<Mutex<StandInState>>,
}

#[derive(Debug, Default)]
struct StandInState {
    durable: (Rows, u64),
    seen: (Rows, u64),
    unsynced: Vec<(Vec<Write>, u64)>,
    damaged: bool,
    /// Trees opened before are dead.
    opened: u64,
}

#[derive(Debug)]
struct StandInTree {
    disk: SimulatedDisk,
    state: Arc<Mutex<StandInState>>,
    opened: u64,
}

fn apply(target: &mut (Rows, u64), writes: &[Write], sequence: u64) {
    for write in writes {
        match &write.value {
            Some(value) => target.0.insert(write.key.clone(), value.clone()),
            None => target.0.remove(&write.key),
        };
    }
    target.1 = sequence;
}

impl StandInState {
    /// Any part of what was not persisted may be there, rows and sequence each by itself.
    fn power_loss(&mut self, random: &mut Random) {
        let mut kept = self.durable.clone();
        for (writes, sequence) in self.unsynced.drain(..) {
            match random.below(3) {
                0 => {}
                1 => apply(&mut kept, &writes, sequence),
                _ => {
                    let torn: Vec<Write> =
                        writes.into_iter().filter(|_| random.once_in(2)).collect();
                    let sequence = if random.once_in(2) { sequence } else { kept.1 };
                    apply(&mut kept, &torn, sequence);
                }
            }
        }
        // Also what was durable may be damaged: it does not open, or is gone.
        match random.below(24) {
            0 => self.damaged = kept.1 > 0,
            1 => kept = (Rows::new(), 0),
            _ => {}
        }
        self.seen = kept.clone();
        self.durable = kept;
    }
}

impl StandInTree {
    fn with<T>(&self, work: impl FnOnce(&mut StandInState) -> T) -> Result<T, TreeError> {
        let mut state = self.state.lock().unwrap();
        if state.opened != self.opened || !self.disk.has_power() {
            return Err(TreeError("this tree is dead".to_owned()));
        }
        Ok(work(&mut state))
    }
}

impl Tree for StandInTree {
    fn get(&self, key: &[u8]) -> Result<Option<Value>, TreeError> {
        self.with(|state| state.seen.0.get(key).cloned())
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Row>, TreeError> {
        assert_eq!(scan.order, Order::Forward);
        self.with(|state| {
            let rows = state.seen.0.range(scan.start.clone()..);
            let rows = rows.filter(|(key, _)| scan.end.as_ref().is_none_or(|end| *key < end));
            let row = |(key, value): (&Key, &Value)| Row {
                key: key.clone(),
                value: value.clone(),
            };
            rows.take(scan.limit).map(row).collect()
        })
    }

    fn apply(&self, writes: &[&Write], sequence: u64) -> Result<(), TreeError> {
        let writes: Vec<Write> = writes.iter().map(|write| (*write).clone()).collect();
        self.with(|state| {
            apply(&mut state.seen, &writes, sequence);
            state.unsynced.push((writes, sequence));
        })
    }

    fn applied(&self) -> Result<u64, TreeError> {
        self.with(|state| state.seen.1)
    }

    fn persist(&self) -> Result<(), TreeError> {
        self.with(|state| {
            state.durable = state.seen.clone();
            state.unsynced.clear();
        })
    }
}

impl StandIn {
    fn tree(&self, state: &mut StandInState) -> Box<dyn Tree> {
        state.opened += 1;
        Box::new(StandInTree {
            disk: self.disk.clone(),
            state: self.state.clone(),
            opened: state.opened,
        })
    }
}

impl TreeSource for StandIn {
    fn exists(&self) -> bool {
        self.state.lock().unwrap().seen.1 > 0
    }

    fn open(&self) -> Result<Box<dyn Tree>, TreeError> {
        let mut state = self.state.lock().unwrap();
        if state.damaged {
            return Err(TreeError("damaged".to_owned()));
        }
        Ok(self.tree(&mut state))
    }

    fn rebuild(&self, fill: &mut Fill<'_>) -> Result<Box<dyn Tree>, TreeError> {
        let fresh = StandIn {
            disk: self.disk.clone(),
            state: Arc::default(),
        };
        let tree = fresh.open()?;
        fill(&*tree)?;
        tree.persist()?;
        let mut state = self.state.lock().unwrap();
        let rebuilt = fresh.state.lock().unwrap().seen.clone();
        (state.seen, state.durable) = (rebuilt.clone(), rebuilt);
        state.unsynced.clear();
        state.damaged = false;
        Ok(self.tree(&mut state))
    }
}

// The world.

/// A batch and what its writer was told.
struct Sent {
    number: u64,
    batch: Batch,
    done: Option<Answer<'static, Result<(), CommitError>>>,
    told: Option<Result<(), CommitError>>,
}

struct World {
    random: Random,
    disk: SimulatedDisk,
    tree: Arc<Mutex<StandInState>>,
    /// Rows that must be there.
    base: Rows,
    /// What was sent since.
    sent: Vec<Sent>,
    numbers: u64,
}

/// Lives one world's life.
fn live(seed: u64, syncing: Syncing) -> Result<(), String> {
    let mut world = World {
        random: Random(seed),
        disk: SimulatedDisk::new(seed, syncing),
        tree: Arc::default(),
        base: Rows::new(),
        sent: Vec::new(),
        numbers: 0,
    };
    for _ in 0..ROUNDS_PER_WORLD {
        let engine = world.recover()?;
        world.verify(&engine)?;
        world.work(&engine);
        world.power_loss();
    }
    let engine = world.recover()?;
    world.verify(&engine)
}

impl World {
    fn assemble(&self) -> Result<Engine, OpenError> {
        let source = StandIn {
            disk: self.disk.clone(),
            state: self.tree.clone(),
        };
        let options = Options {
            reserve_bytes: 0,
            segment_bytes: 600,
            keep: Duration::from_millis(20),
            ..Options::default()
        };
        Engine::assemble(Arc::new(self.disk.clone()), Box::new(source), options)
    }

    fn power_loss(&mut self) {
        self.disk.power_loss();
        self.tree.lock().unwrap().power_loss(&mut self.random);
    }

    /// Opens the store; the power may go again while it does.
    fn recover(&mut self) -> Result<Engine, String> {
        while self.random.once_in(4) {
            self.disk.power_off_after(self.random.below(12));
            drop(self.assemble());
            self.power_loss();
        }
        while self.random.once_in(6) {
            self.disk.fail_after(Some(self.random.below(12)));
            drop(self.assemble());
            self.disk.fail_after(None);
        }
        self.assemble().map_err(|error| error.to_string())
    }

    /// Everything acknowledged is there, and every other batch is whole or absent.
    fn verify(&mut self, engine: &Engine) -> Result<(), String> {
        let rows = now(engine.scan(View::Durable, Scan::prefix(Key::new(), usize::MAX)));
        let rows = rows.unwrap().map_err(|error| error.to_string())?;
        let found: Rows = rows.into_iter().map(|row| (row.key, row.value)).collect();
        let mut wanted = (std::mem::take(&mut self.base), 0);
        for sent in self.sent.drain(..) {
            let there = found.contains_key(&marker(sent.number));
            match sent.told {
                Some(Ok(())) if !there => {
                    return Err(format!("acknowledged batch {} is lost", sent.number));
                }
                Some(Err(CommitError::Full | CommitError::Broken(_))) if there => {
                    return Err(format!("refused batch {} is there", sent.number));
                }
                _ if there => apply(&mut wanted, &sent.batch.writes, 0),
                _ => {}
            }
        }
        let differs = |key: &&Key| wanted.0.get(*key) != found.get(*key);
        if let Some(key) = wanted.0.keys().chain(found.keys()).find(differs) {
            let (wanted, found) = (wanted.0.get(key), found.get(key));
            return Err(format!("{key:?} is {found:?} and not {wanted:?}"));
        }
        self.base = found;
        Ok(())
    }

    /// Does what a server does until the power goes.
    fn work(&mut self, engine: &Engine) {
        self.disk.power_off_after(5 + self.random.below(120));
        for _ in 0..self.random.below(25) {
            match self.random.below(12) {
                0..=5 => self.send(engine),
                6..=7 => drop(engine.step()),
                8 => engine.settle(),
                9 => drop(engine.persist()),
                10 if self.random.once_in(2) => drop(engine.checkpoint()),
                10 => self.disk.fail_after(Some(self.random.below(6))),
                _ => {
                    let free = if self.random.once_in(2) {
                        150
                    } else {
                        u64::MAX
                    };
                    self.disk.set_free_bytes(free);
                }
            }
            self.hear();
        }
        self.disk.set_free_bytes(u64::MAX);
    }

    fn send(&mut self, engine: &Engine) {
        self.numbers += 1;
        let number = self.numbers;
        let mut batch = Batch::new(UnixMillis(number.cast_signed() * 10));
        batch.put(marker(number), "");
        for _ in 0..1 + self.random.below(3) {
            let key = format!("row/{}", self.random.below(6));
            let seen = now(engine.get(View::Ordered, key.as_bytes()));
            if let Some(Ok(seen)) = seen {
                batch.checks.retain(|check| check.key != key.as_bytes());
                batch.check(key.clone(), seen);
            }
            match self.random.below(4) {
                0 => batch.remove(key),
                size => {
                    let times = 1 + usize::try_from(size * size * 20).unwrap();
                    batch.put(key, format!("{number}.").repeat(times));
                }
            }
        }
        let (mut done, mut told) = (None, None);
        match now(engine.submit(batch.clone())).unwrap() {
            Ok(ordered) => done = Some(ordered.done),
            Err(error) => {
                assert_ne!(
                    error,
                    CommitError::Conflict,
                    "what was checked was just read"
                );
                told = Some(Err(error));
            }
        }
        self.sent.push(Sent {
            number,
            batch,
            done,
            told,
        });
    }

    /// Hears the answers that are there.
    fn hear(&mut self) {
        for sent in &mut self.sent {
            let Some(done) = &mut sent.done else { continue };
            let mut context = Context::from_waker(Waker::noop());
            if let Poll::Ready(answer) = done.as_mut().poll(&mut context) {
                // An error once the power is off says nothing of what is on the disk.
                let known = answer.is_ok() || self.disk.has_power();
                sent.told = known.then_some(answer);
                sent.done = None;
            }
        }
    }
}

fn marker(number: u64) -> Key {
    format!("batch/{number:08}").into()
}
