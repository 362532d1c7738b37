//! Random operations on a home, each answer compared with that of a naive model: contents, UIDs,
//! syncs from any earlier token, the state at any earlier revision, restores, pruning.
//!
//! The seed is in every message; a failure repeats with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::index_tests::Random;
use super::kv::Kv;
use super::memory::{Memory, Mischief};
use super::tests::{calendar, id, put, run};
use super::*;
use crate::ical::Timestamp;
use crate::testing::Scratch;

const HOME: Id = Id::from_bytes([1; 16]);
const DAY: i64 = 24 * 3600;
const KEEP: i64 = 10 * DAY;

/// Objects of a calendar: UID and text by name.
type Objects = BTreeMap<String, (String, String)>;

/// The visible calendars of a home.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model {
    calendars: BTreeMap<Id, (String, Objects)>,
}

/// The model at a revision, with the tokens that were given out then.
struct Snapshot {
    revision: u64,
    at: Timestamp,
    model: Model,
    home_token: String,
    tokens: BTreeMap<Id, String>,
}

struct Run {
    stores: [Arc<Store>; 2],
    random: Random,
    now: Timestamp,
    model: Model,
    past: Vec<Snapshot>,
    next_id: u8,
    what: String,
    answers: Answers,
}

/// How many answers were compared that had something to say.
#[derive(Debug, Default)]
struct Answers {
    changes: usize,
    too_old: usize,
    home_changes: usize,
    home_refused: usize,
    looks: usize,
    restores: usize,
    clashes: usize,
}

impl Model {
    fn named(&self, name: &str) -> bool {
        self.calendars.values().any(|(other, _)| other == name)
    }

    /// All objects by path, and calendars with a slash.
    fn paths(&self) -> BTreeMap<String, String> {
        let mut paths = BTreeMap::new();
        for (name, objects) in self.calendars.values() {
            paths.insert(format!("{name}/"), String::new());
            for (object, (_, text)) in objects {
                paths.insert(format!("{name}/{object}"), text.clone());
            }
        }
        paths
    }
}

impl Run {
    async fn new(kv: &Arc<dyn Kv>, seed: u64) -> Self {
        let limits = Limits {
            history_keep: KEEP,
            ..Limits::default()
        };
        let store = Store::open(kv.clone(), limits.clone()).await.unwrap();
        let other = Store::open(kv.clone(), limits).await.unwrap();
        let mut run = Self {
            stores: [store, other],
            random: Random(seed),
            now: Timestamp(1_800_000_000),
            model: Model::default(),
            past: Vec::new(),
            next_id: 2,
            what: String::new(),
            answers: Answers::default(),
        };
        run.commit(HomeChange::create).await.unwrap();
        run.remember().await;
        run
    }

    fn pick<T: Clone>(&mut self, items: &[T]) -> Option<T> {
        let at = self.random.below(items.len() as u64);
        items.get(usize::try_from(at).unwrap()).cloned()
    }

    /// One of the two processes.
    fn store(&mut self) -> Arc<Store> {
        let stores = self.stores.clone();
        self.pick(&stores).unwrap()
    }

    async fn commit(&mut self, edit: impl Fn(&mut HomeChange)) -> Result<(), Error> {
        let store = self.store();
        loop {
            let turn = store.turn(&[HOME]).await.unwrap();
            let mut change = Change::new(self.now, Actor::default(), "model");
            edit(change.home(turn.home(HOME).unwrap()));
            match store.commit(change, turn).await {
                Err(Error::Conflict) => {}
                result => return result.map(|_| ()),
            }
        }
    }

    /// One random operation, on the store and on the model.
    async fn step(&mut self) {
        self.now = self
            .now
            .add_seconds(i64::try_from(self.random.below(7200)).unwrap());
        let ids: Vec<Id> = self.model.calendars.keys().copied().collect();
        let calendar = self.pick(&ids);
        match (self.random.below(40), calendar) {
            (0..=2, _) | (_, None) => self.create().await,
            (3, Some(id)) => self.rename(id).await,
            (4, Some(id)) => self.remove_calendar(id).await,
            (5..=9, Some(id)) => self.remove(id).await,
            (10..=13, Some(id)) => self.relocate(id).await,
            (14, Some(id)) => self.properties(id).await,
            (15, _) => self.restore_home().await,
            (16, _) => self.restore_calendar().await,
            (17, _) => {
                self.what = "prune".into();
                let days = i64::try_from(self.random.below(6)).unwrap();
                self.now = self.now.add_seconds(days * DAY);
                let store = self.store();
                store.prune(self.now).await.unwrap();
            }
            (_, Some(id)) => self.put(id).await,
        }
    }

    async fn create(&mut self) {
        let name = self
            .pick(&["a", "b", "c", "d", "e", "f", "g", "h"])
            .unwrap();
        let new = id(self.next_id);
        let taken = self.model.named(name);
        self.what = format!("create {name}");
        let hidden = self.random.below(3) == 0;
        let made = if hidden {
            // Filled under no name, then named.
            self.commit(|home| {
                home.create_collection(calendar(new, None));
                home.put(new, put("first", "u1", "first"));
            })
            .await
            .unwrap();
            self.next_id += 1;
            self.commit(|home| home.rename(new, name)).await
        } else {
            self.commit(|home| home.create_collection(calendar(new, Some(name))))
                .await
        };
        if taken {
            assert_eq!(made, Err(Refusal::NameTaken(name.into()).into()));
            return;
        }
        made.unwrap();
        let mut objects = Objects::new();
        if hidden {
            objects.insert("first".into(), ("u1".into(), "first".into()));
        } else {
            self.next_id += 1;
        }
        self.model.calendars.insert(new, (name.into(), objects));
    }

    async fn rename(&mut self, id: Id) {
        let name = self
            .pick(&["a", "b", "c", "d", "e", "f", "g", "h", "i"])
            .unwrap();
        self.what = format!("rename to {name}");
        let same = self.model.calendars[&id].0 == name;
        let taken = self.model.named(name) && !same;
        let renamed = self.commit(|home| home.rename(id, name)).await;
        if taken {
            assert_eq!(renamed, Err(Refusal::NameTaken(name.into()).into()));
        } else {
            renamed.unwrap();
            self.model.calendars.get_mut(&id).unwrap().0 = name.into();
        }
    }

    async fn remove_calendar(&mut self, id: Id) {
        self.what = "remove calendar".into();
        self.commit(|home| home.remove_collection(id))
            .await
            .unwrap();
        self.model.calendars.remove(&id);
    }

    async fn put(&mut self, id: Id) {
        // Several at a time, now and then.
        for _ in 0..=self.random.below(3) {
            let name = format!("n{}", self.random.below(12));
            let uid = format!("u{}", self.random.below(14));
            let text = format!("text {}", self.random.below(1000));
            self.what = format!("put {name} {uid}");
            let result = self.commit(|home| {
                home.put(id, put(&name, &uid, &text));
            });
            let result = result.await;
            let objects = &mut self.model.calendars.get_mut(&id).unwrap().1;
            let holder = objects.iter().find(|(n, o)| o.0 == uid && **n != name);
            match holder {
                Some((holder, _)) => {
                    let taken = Refusal::UidTaken(holder.clone());
                    assert_eq!(result, Err(taken.into()), "{}", self.what);
                }
                None => {
                    result.unwrap();
                    objects.insert(name, (uid, text));
                }
            }
        }
    }

    async fn remove(&mut self, id: Id) {
        let name = format!("n{}", self.random.below(12));
        self.what = format!("remove {name}");
        let result = self
            .commit(|home| home.remove_object(id, name.as_str()))
            .await;
        let objects = &mut self.model.calendars.get_mut(&id).unwrap().1;
        match objects.remove(&name) {
            Some(_) => result.unwrap(),
            None => assert_eq!(result, Err(Refusal::NoObject.into())),
        }
    }

    async fn relocate(&mut self, from: Id) {
        let ids: Vec<Id> = self.model.calendars.keys().copied().collect();
        let to = self.pick(&ids).unwrap();
        let names: Vec<String> = self.model.calendars[&from].1.keys().cloned().collect();
        let Some(name) = self.pick(&names) else {
            return;
        };
        let new = format!("n{}", self.random.below(12));
        self.what = format!("relocate {name} to {new}");
        let view = self.store().home(HOME).await.unwrap();
        let collection = view.collection_by_id(from).unwrap();
        let header = view.header(collection, &name).await.unwrap().unwrap();
        let result = self.commit(|home| {
            home.relocate(&header, to, new.as_str());
        });
        let result = result.await;
        if (from, name.as_str()) == (to, new.as_str()) {
            result.unwrap();
            return;
        }
        let mut next = self.model.clone();
        let object = next
            .calendars
            .get_mut(&from)
            .unwrap()
            .1
            .remove(&name)
            .unwrap();
        let objects = &mut next.calendars.get_mut(&to).unwrap().1;
        let holder = objects.iter().find(|(n, o)| o.0 == object.0 && **n != new);
        if let Some((holder, _)) = holder {
            assert_eq!(result, Err(Refusal::UidTaken(holder.clone()).into()));
            return;
        }
        result.unwrap();
        objects.insert(new, object);
        self.model = next;
    }

    async fn properties(&mut self, id: Id) {
        let names: Vec<String> = self.model.calendars[&id].1.keys().cloned().collect();
        let Some(name) = self.pick(&names) else {
            return;
        };
        self.what = format!("properties of {name}");
        let value = format!("<p>{}</p>", self.random.below(100));
        let properties: Properties = [("{x}p".to_owned(), value)].into();
        let set = properties.clone();
        self.commit(|home| home.set_object_properties(id, name.as_str(), set.clone()))
            .await
            .unwrap();
        let view = self.store().home(HOME).await.unwrap();
        let header = view.header(view.collection_by_id(id).unwrap(), &name).await;
        let found = view.object_properties(&header.unwrap().unwrap()).await;
        assert_eq!(found.unwrap(), properties);
    }

    /// A moment within the history, and the model of then.
    fn moment(&mut self) -> (Moment, Model) {
        let back = i64::try_from(self.random.below(9 * DAY as u64)).unwrap();
        let first = self.past.first().map_or(self.now, |first| first.at);
        let moment = self.now.add_seconds(-back).max(first);
        let then = self
            .past
            .iter()
            .rev()
            .find(|snapshot| snapshot.at <= moment);
        let model = then.map(|then| then.model.clone()).unwrap_or_default();
        let moment = Moment {
            past: Past::Time(moment),
            now: self.now,
            actor: Actor::default(),
        };
        (moment, model)
    }

    async fn restore(&mut self, target: &Target, moment: &Moment) -> Result<Restored, Error> {
        let store = self.store();
        let restored = store.restore(HOME, target, moment).await?;
        self.answers.restores += restored.written.len() + restored.removed.len();
        self.answers.clashes += restored.clashes.len();
        Ok(restored)
    }

    async fn restore_home(&mut self) {
        let (moment, then) = self.moment();
        self.what = format!("restore home to {:?}", moment.past);
        let restored = self.restore(&Target::Home, &moment).await.unwrap();
        let seen = self.seen().await;
        if restored.clashes.is_empty() {
            let objects = |model: &Model| -> BTreeMap<Id, Objects> {
                let all = model.calendars.iter();
                all.map(|(id, (_, objects))| (*id, objects.clone()))
                    .collect()
            };
            assert_eq!(objects(&seen), objects(&then), "{}", self.what);
        }
        self.model = seen;
    }

    async fn restore_calendar(&mut self) {
        let (moment, then) = self.moment();
        let ids: Vec<Id> = then.calendars.keys().copied().collect();
        let Some(id) = self.pick(&ids) else {
            return;
        };
        self.what = format!("restore {id} to {:?}", moment.past);
        let restored = self
            .restore(&Target::Collection(id), &moment)
            .await
            .unwrap();
        let mut expected = self.model.clone();
        let seen = self.seen().await;
        if restored.clashes.is_empty() {
            let name = seen.calendars[&id].0.clone();
            let objects = then.calendars[&id].1.clone();
            expected.calendars.insert(id, (name, objects));
            assert_eq!(seen, expected, "{}", self.what);
        }
        self.model = seen;
    }

    /// What a store shows.
    async fn seen(&mut self) -> Model {
        let view = self.store().home(HOME).await.unwrap();
        let mut model = Model::default();
        for collection in view.collections() {
            let members = view.members(collection).await.unwrap();
            let headers: Vec<Header> = members.iter().collect();
            assert!(headers.is_sorted_by(|a, b| a.name() < b.name()));
            let texts = view.texts(&headers).await.unwrap();
            let bytes: usize = texts.iter().map(|text| text.len()).sum();
            assert_eq!(
                (collection.count, collection.bytes),
                (headers.len() as u64, bytes as u64)
            );
            assert_eq!(members.ctag(), collection.ctag());
            let mut objects = Objects::new();
            for (header, text) in headers.iter().zip(texts) {
                let by_name = view.header(collection, header.name()).await.unwrap();
                assert_eq!(by_name.as_ref(), Some(header));
                let by_uid = view.name_by_uid(collection, header.uid()).await.unwrap();
                assert_eq!(by_uid.as_deref(), Some(header.name()));
                let text = String::from_utf8(text.to_vec()).unwrap();
                objects.insert(header.name().into(), (header.uid().into(), text));
            }
            model
                .calendars
                .insert(collection.id, (collection.name.clone(), objects));
        }
        model
    }

    /// Compares what the store shows with the model, and remembers it with its tokens.
    async fn remember(&mut self) {
        assert_eq!(self.seen().await, self.model, "{}", self.what);
        let view = self.store().home(HOME).await.unwrap();
        let tokens = view.collections().map(|c| (c.id, c.ctag())).collect();
        let snapshot = Snapshot {
            revision: view.revision(),
            at: self.now,
            model: self.model.clone(),
            home_token: view.ctag(),
            tokens,
        };
        self.past.push(snapshot);
    }

    /// Syncs from an earlier token, in pages of some size.
    async fn sync(&mut self) {
        let at = usize::try_from(self.random.below(self.past.len() as u64)).unwrap();
        let limit = [None, Some(1), Some(3), Some(100)];
        let limit = self.pick(&limit).unwrap();
        let view = self.store().home(HOME).await.unwrap();
        let then = &self.past[at];
        let old = then.at < self.now.add_seconds(-KEEP);
        for (id, (_, objects)) in &self.model.calendars {
            let collection = view.collection_by_id(*id).unwrap();
            let members = view.members(collection).await.unwrap();
            let initial = !then.tokens.contains_key(id);
            let mut known: BTreeMap<String, String> = match then.model.calendars.get(id) {
                Some((_, objects)) if !initial => objects
                    .iter()
                    .map(|(n, o)| (n.clone(), o.1.clone()))
                    .collect(),
                _ => BTreeMap::new(),
            };
            let mut token = then.tokens.get(id).cloned();
            let mut seen = BTreeSet::new();
            loop {
                let changes = match members.changes(token.as_deref(), limit) {
                    Ok(changes) => changes,
                    Err(BadToken::Old) if old => {
                        self.answers.too_old += 1;
                        return;
                    }
                    Err(bad) => panic!("{bad} for {token:?} of revision {}", then.revision),
                };
                assert!(changes.entries.len() <= limit.unwrap_or(usize::MAX));
                self.answers.changes += changes.entries.len();
                for entry in changes.entries {
                    assert!(seen.insert(entry.name.clone()), "{} twice", entry.name);
                    match entry.header {
                        Some(header) => {
                            let text = view.text(&header).await.unwrap();
                            let text = String::from_utf8(text.to_vec()).unwrap();
                            known.insert(entry.name, text);
                        }
                        None => drop(known.remove(&entry.name)),
                    }
                }
                token = Some(changes.token);
                if !changes.truncated {
                    break;
                }
            }
            let now: BTreeMap<String, String> = objects
                .iter()
                .map(|(n, o)| (n.clone(), o.1.clone()))
                .collect();
            assert_eq!(
                known, now,
                "since revision {}, {}",
                then.revision, self.what
            );
            assert_eq!(token, Some(collection.ctag()));
        }
    }

    /// Syncs the home from an earlier token.
    async fn sync_home(&mut self) {
        let at = usize::try_from(self.random.below(self.past.len() as u64)).unwrap();
        let limit = self.pick(&[None, Some(1), Some(4)]).unwrap();
        let view = self.store().home(HOME).await.unwrap();
        let then = &self.past[at];
        let mut known = then.model.paths();
        let mut token = then.home_token.clone();
        loop {
            let changes = view.changes(Some(&token), Depth::All, limit).await.unwrap();
            let Ok(changes) = changes else {
                // Too old, or a name went from one calendar to another.
                self.answers.home_refused += 1;
                return;
            };
            self.answers.home_changes += changes.entries.len();
            for entry in changes.entries {
                match entry {
                    HomeEntry::Collection(c) | HomeEntry::NoSync(c) => {
                        known.insert(format!("{}/", c.name), String::new());
                    }
                    HomeEntry::CollectionGone(name) => {
                        let prefix = format!("{name}/");
                        known.retain(|path, _| !path.starts_with(&prefix));
                    }
                    HomeEntry::Object(c, header) => {
                        let text = view.text(&header).await.unwrap();
                        let text = String::from_utf8(text.to_vec()).unwrap();
                        known.insert(format!("{}/{}", c.name, header.name()), text);
                    }
                    HomeEntry::ObjectGone(c, name) => {
                        known.remove(&format!("{}/{name}", c.name));
                    }
                }
            }
            token = changes.token;
            if !changes.truncated {
                break;
            }
        }
        assert_eq!(
            known,
            self.model.paths(),
            "since {}, {}",
            then.revision,
            self.what
        );
    }

    /// Syncs the list of calendars from an earlier token.
    async fn sync_calendars(&mut self) {
        let at = usize::try_from(self.random.below(self.past.len() as u64)).unwrap();
        let view = self.store().home(HOME).await.unwrap();
        let then = &self.past[at];
        let token = Some(then.home_token.as_str());
        let changes = view.changes(token, Depth::Members, None).await.unwrap();
        let Ok(changes) = changes else {
            assert!(then.at < self.now.add_seconds(-KEEP));
            return;
        };
        let mut names: BTreeSet<String> = then
            .model
            .calendars
            .values()
            .map(|(name, _)| name.clone())
            .collect();
        let mut told = BTreeSet::new();
        for entry in changes.entries {
            match entry {
                HomeEntry::Collection(c) | HomeEntry::NoSync(c) => {
                    names.insert(c.name.clone());
                    told.insert(c.id);
                }
                HomeEntry::CollectionGone(name) => drop(names.remove(&name)),
                other => panic!("{other:?} at level 1"),
            }
        }
        let now = self.model.calendars.values().map(|(name, _)| name.clone());
        assert_eq!(names, now.collect());
        for (id, calendar) in &self.model.calendars {
            let same = then.model.calendars.get(id) == Some(calendar);
            assert!(same || told.contains(id));
        }
    }

    /// Looks at an earlier revision.
    async fn look_back(&mut self) {
        let at = usize::try_from(self.random.below(self.past.len() as u64)).unwrap();
        let view = self.store().home(HOME).await.unwrap();
        let then = &self.past[at];
        if then.at < self.now.add_seconds(-KEEP) {
            return;
        }
        for (id, (_, objects)) in &then.model.calendars {
            let Some(collection) = view.any_collection(*id) else {
                panic!("calendar {id} is forgotten too early");
            };
            self.answers.looks += objects.len();
            let found = view.objects_at(collection, then.revision).await.unwrap();
            let headers: Vec<Header> = found.into_values().collect();
            let texts = view.texts(&headers).await.unwrap();
            let found = headers.iter().zip(texts).map(|(header, text)| {
                let text = String::from_utf8(text.to_vec()).unwrap();
                (header.name().to_owned(), (header.uid().to_owned(), text))
            });
            assert_eq!(
                &found.collect::<Objects>(),
                objects,
                "at revision {}",
                then.revision
            );
        }
    }
}

async fn play(kv: Arc<dyn Kv>, seed: u64, steps: usize) {
    eprintln!("seed {seed}");
    let mut run = Run::new(&kv, seed).await;
    for step in 0..steps {
        run.step().await;
        run.what = format!("seed {seed}, step {step}: {}", run.what);
        run.remember().await;
        run.sync().await;
        run.sync_home().await;
        run.sync_calendars().await;
        run.look_back().await;
        if step % 40 == 39 {
            let report = run.store().check(Repair::No).await.unwrap();
            assert_eq!(report.findings, [], "{}", run.what);
        }
        if run.next_id > 240 {
            break;
        }
    }
    let answers = &run.answers;
    eprintln!("{answers:?}");
    assert!(answers.changes > steps && answers.home_changes > steps / 4);
    assert!(answers.looks > steps && answers.restores > 0);
}

#[test]
fn the_store_answers_as_the_model_does() {
    for seed in 1..=4 {
        run(play(Arc::new(Memory::new()), seed, 220));
    }
}

#[test]
fn the_store_answers_as_the_model_does_among_conflicts() {
    for seed in 11..=13 {
        let memory = Memory::with_mischief(Mischief {
            seed,
            yields: 3,
            conflicts_per_mille: 100,
        });
        run(play(Arc::new(memory), seed, 120));
    }
}

#[test]
fn the_store_answers_as_the_model_does_on_sled_and_its_journal() {
    let directory = Scratch::new();
    let engine = open(directory.path(), Options::default()).unwrap();
    run(play(engine.clone(), 21, 60));
    engine.close();
}
