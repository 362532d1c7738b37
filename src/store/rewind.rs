//! Going back in time: an object, a calendar or a home as it was at a moment, as new revisions.
//!
//! Nothing is undone in place: older texts are written again, so that sync tokens, ETags and the
//! history stay right. What fits into one commit is one revision, also where it is a whole home; more
//! is done in bounded commits, and then a removed calendar is filled under no name and seen once it is
//! whole, while one that is there is seen half way. Nobody is sent anything; which meetings now differ
//! from their guests' copies is told instead.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::change::{Change, HomeChange, Put, Sharing, Tag};
use super::collection::{Collection, Kind};
use super::header::Header;
use super::home::Home;
use super::revision::Actor;
use super::{Error, Id, Refusal, Store, again};
use crate::ical::Timestamp;

/// Objects written in one commit.
const OBJECTS: usize = 300;

/// Bytes of texts written in one commit, apart from long ones.
const BYTES: usize = 512 * 1024;

/// How often one commit is tried while others write to the home.
const TRIES: usize = 16;

/// What is to be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One object of a calendar.
    Object {
        /// The calendar, which may be a removed one's live successor.
        collection: Id,
        /// The object's name.
        name: String,
    },
    /// A calendar, also a removed one.
    Collection(Id),
    /// All calendars of the home.
    Home,
}

/// A state of a home that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Past {
    /// The newest at a time. Changes of the same second count as before it.
    Time(Timestamp),
    /// The one that this revision made.
    Revision(u64),
}

/// To which moment, when, and for whom.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The moment to go back to.
    pub past: Past,
    /// The time now.
    pub now: Timestamp,
    /// Who restores.
    pub actor: Actor,
}

/// What a restore did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Objects that were written again: calendar and name.
    pub written: Vec<(String, String)>,
    /// Objects that were removed because they are newer than the moment.
    pub removed: Vec<(String, String)>,
    /// Calendars that came back or got another name: the name they had, the name they have.
    pub calendars: Vec<(String, String)>,
    /// Objects that could not be written because another object has their UID: calendar, name, and
    /// the name of the other.
    pub clashes: Vec<(String, String, String)>,
    /// Meetings that now differ from their guests' copies: calendar and name.
    pub meetings: Vec<(String, String)>,
}

impl Store {
    /// Restores an object, a calendar or all calendars of a home to a moment.
    pub async fn restore(
        &self,
        home: Id,
        target: &Target,
        moment: &Moment,
    ) -> Result<Restored, Error> {
        let view = self.home(home).await?;
        if !view.exists() {
            return Err(Refusal::NoHome.into());
        }
        let revision = view.revision_of(moment.past, moment.now).await?;
        let mut rewind = Rewind {
            store: self,
            home,
            moment,
            revision,
            restored: Restored::default(),
        };
        match target {
            Target::Object { collection, name } => {
                let found = view.collection_by_id(*collection);
                let found = found.ok_or(Refusal::NoCollection)?.clone();
                rewind.objects(&found, Some(name)).await?;
            }
            Target::Collection(id) => {
                if !rewind.at_once(&view, &[], &[*id]).await? {
                    rewind.collection(*id).await?;
                }
            }
            Target::Home => rewind.all(&view).await?,
        }
        Ok(rewind.restored)
    }
}

struct Rewind<'a> {
    store: &'a Store,
    home: Id,
    moment: &'a Moment,
    revision: u64,
    restored: Restored,
}

/// What happens to one calendar.
struct Plan {
    /// The calendar as it was.
    then: Collection,
    removed: bool,
    settings: bool,
    /// The name it gets.
    name: Option<String>,
    edits: Vec<Edit>,
    batch: Batch,
}

/// The objects of one calendar that one commit removes and writes.
struct Batch {
    removed: Vec<String>,
    puts: BTreeMap<String, Put>,
    clashes: Vec<(String, String, String)>,
}

/// What happens to one object.
enum Edit {
    Write(Header),
    Remove(Header),
    /// It is written again later, and has the UID of another one until then.
    Clear(Header),
}

impl Rewind<'_> {
    /// Commits what `edit` does to the newest view; again if another process was faster.
    async fn commit(
        &self,
        edit: impl Fn(&mut HomeChange) -> Result<(), Error>,
    ) -> Result<(), Error> {
        again(|| async {
            let turn = self.store.turn(&[self.home]).await?;
            let view = turn.home(self.home).ok_or(Refusal::NoHome)?;
            let actor = self.moment.actor.clone();
            let mut change = Change::new(self.moment.now, actor, "restore");
            edit(change.home(view))?;
            self.store.commit(change, turn).await.map(|_| ())
        })
        .await
    }

    /// All calendars: those that were there come back, later ones are removed.
    async fn all(&mut self, view: &Arc<Home>) -> Result<(), Error> {
        let live = view.contents.named.iter();
        let calendars = live.chain(view.contents.removed.values());
        let calendars = calendars.filter(|c| c.kind == Kind::Calendar);
        let calendars: Vec<Arc<Collection>> = calendars.cloned().collect();
        let (mut back, mut late) = (Vec::new(), Vec::new());
        for calendar in calendars {
            let then = view.collection_at(calendar.id, self.revision).await?;
            let was_there = then.is_some_and(|then| !then.name.is_empty());
            match (was_there, calendar.removed) {
                (true, _) => back.push(calendar.id),
                (false, None) => late.push(calendar),
                (false, Some(_)) => {}
            }
        }
        if self.at_once(view, &late, &back).await? {
            return Ok(());
        }
        for calendar in late {
            self.commit(|home| {
                home.remove_collection(calendar.id);
                Ok(())
            })
            .await?;
            let name = calendar.name.clone();
            self.restored.removed.push((name, String::new()));
        }
        for id in back {
            self.collection(id).await?;
        }
        Ok(())
    }

    /// Does all of it in one commit, if it fits into one and no name is in the way.
    async fn at_once(
        &mut self,
        view: &Arc<Home>,
        late: &[Arc<Collection>],
        back: &[Id],
    ) -> Result<bool, Error> {
        let mut plans = Vec::with_capacity(back.len());
        let (mut objects, mut bytes) = (0, 0);
        let going: Vec<Id> = late.iter().map(|calendar| calendar.id).collect();
        for id in back {
            let plan = self.plan(view, *id, &going).await?;
            objects += plan.edits.len();
            bytes += plan.edits.iter().map(Edit::size_bytes).sum::<usize>();
            if objects > OBJECTS || bytes > BYTES {
                return Ok(false);
            }
            plans.push(plan);
        }
        let done = self.commit(|home| {
            for calendar in late {
                home.remove_collection(calendar.id);
            }
            for plan in &plans {
                plan.stage(home);
            }
            Ok(())
        });
        match done.await {
            Ok(()) => {}
            // Somebody took a name meanwhile, or two calendars have exchanged theirs.
            Err(Error::Refused(Refusal::NameTaken(_))) => return Ok(false),
            Err(error) => return Err(error),
        }
        for calendar in late {
            let name = calendar.name.clone();
            self.restored.removed.push((name, String::new()));
        }
        for plan in plans {
            self.note(&plan.then, &plan.edits, plan.batch);
            if let Some(name) = plan.name {
                self.restored.calendars.push((plan.then.name, name));
            }
        }
        Ok(true)
    }

    /// What brings a calendar back to what it was.
    async fn plan(&self, view: &Home, id: Id, going: &[Id]) -> Result<Plan, Error> {
        let then = self.then(view, id).await?;
        let now = view.any_collection(id).ok_or(Refusal::NoCollection)?;
        let removed = view.contents.removed.contains_key(&id);
        let edits = self.edits(view, now, None).await?;
        let mut batch = self.prepare(view, now, &edits).await?;
        for clash in &mut batch.clashes {
            clash.0.clone_from(&then.name);
        }
        Ok(Plan {
            removed,
            settings: now.settings != then.settings,
            name: (now.name != then.name || removed).then(|| {
                let passes = |other: Id| other == id || going.contains(&other);
                free_name(view, passes, &then.name)
            }),
            then,
            edits,
            batch,
        })
    }

    /// The calendar as it was at the moment; one that was removed by then, as it was last.
    async fn then(&self, view: &Home, id: Id) -> Result<Collection, Error> {
        match view.collection_at(id, self.revision).await? {
            Some(then) => Ok(then),
            None => match view.contents.removed.get(&id) {
                Some(removed) => Ok(removed.as_ref().clone()),
                None => Err(Refusal::NoHistory.into()),
            },
        }
    }

    /// One calendar, its settings, its name and its objects.
    async fn collection(&mut self, id: Id) -> Result<(), Error> {
        let view = self.store.home(self.home).await?;
        let then = self.then(&view, id).await?;
        let removed = view.contents.removed.contains_key(&id);
        if removed {
            self.commit(|home| {
                home.restore_collection(id);
                Ok(())
            })
            .await?;
        }
        let view = self.store.home(self.home).await?;
        let now = view.collection_by_id(id).ok_or(Refusal::NoCollection)?;
        let now = now.clone();
        if now.settings != then.settings {
            let settings = then.settings.clone();
            self.commit(|home| {
                home.set(id, settings.clone());
                Ok(())
            })
            .await?;
        }
        let shown = Collection {
            name: then.name.clone(),
            ..now.as_ref().clone()
        };
        self.objects(&shown, None).await?;
        if now.name != then.name || removed {
            self.name(id, &then.name).await?;
        }
        Ok(())
    }

    /// Gives a calendar the name it had, or a free one.
    async fn name(&mut self, id: Id, wanted: &str) -> Result<(), Error> {
        for _ in 0..TRIES {
            let view = self.store.home(self.home).await?;
            let name = free_name(&view, |other| other == id, wanted);
            let named = self.commit(|home| {
                home.rename(id, name.clone());
                Ok(())
            });
            match named.await {
                Ok(()) => {
                    let names = (wanted.to_owned(), name);
                    self.restored.calendars.push(names);
                    return Ok(());
                }
                Err(Error::Refused(Refusal::NameTaken(_))) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Refusal::NameTaken(wanted.to_owned()).into())
    }

    /// The objects of a calendar, or one of them.
    async fn objects(&mut self, shown: &Collection, only: Option<&str>) -> Result<(), Error> {
        let view = self.store.home(self.home).await?;
        let collection = view
            .collection_by_id(shown.id)
            .ok_or(Refusal::NoCollection)?;
        let edits = self.edits(&view, collection, only).await?;
        let mut rest = edits.as_slice();
        while !rest.is_empty() {
            let (edits, left) = rest.split_at(batch_length(rest));
            let view = self.store.home(self.home).await?;
            let collection = view
                .collection_by_id(shown.id)
                .ok_or(Refusal::NoCollection)?;
            let batch = self.prepare(&view, collection, edits).await?;
            self.commit(|home| {
                batch.stage(shown.id, home);
                Ok(())
            })
            .await?;
            self.note(shown, edits, batch);
            rest = left;
        }
        Ok(())
    }

    /// What happens to the objects of a calendar, or to one of them.
    async fn edits(
        &self,
        view: &Home,
        collection: &Collection,
        only: Option<&str>,
    ) -> Result<Vec<Edit>, Error> {
        let mut then = view.objects_at(collection, self.revision).await?;
        let mut now = view.objects_at(collection, u64::MAX).await?;
        if let Some(only) = only {
            then.retain(|name, _| name == only);
            now.retain(|name, _| name == only);
        }
        if let Some(only) = only
            && then.is_empty()
            && now.is_empty()
        {
            // It was removed before the moment: the last text it had is what is wanted.
            let versions = view.object_history(collection, only).await?;
            let last = versions.into_iter().find_map(|version| version.header);
            let last = last.ok_or(Refusal::NoHistory)?;
            then.insert(only.to_owned(), last);
        }
        let mut edits = Vec::new();
        for (name, header) in &now {
            if !then.contains_key(name) {
                edits.push(Edit::Remove(header.clone()));
            }
        }
        edits.extend(in_the_way(&now, &then).map(|header| Edit::Clear(header.clone())));
        for (name, header) in then {
            if now.get(&name).is_none_or(|now| now.text != header.text) {
                edits.push(Edit::Write(header));
            }
        }
        Ok(edits)
    }

    /// Reads what one commit writes.
    async fn prepare(
        &self,
        view: &Home,
        collection: &Collection,
        edits: &[Edit],
    ) -> Result<Batch, Error> {
        let writes: Vec<Header> = edits.iter().filter_map(Edit::written).cloned().collect();
        let texts = view.texts(&writes).await?;
        let removed = edits.iter().filter_map(Edit::removed).map(str::to_owned);
        let mut batch = Batch {
            removed: removed.collect(),
            puts: BTreeMap::new(),
            clashes: Vec::new(),
        };
        for (header, text) in writes.iter().zip(texts) {
            if collection.unique_uids()
                && let Some(holder) = view.name_by_uid(collection, header.uid()).await?
                && holder != header.name()
                && !batch.removed.contains(&holder)
            {
                let clash = (collection.name.clone(), header.name().to_owned(), holder);
                batch.clashes.push(clash);
                continue;
            }
            let name = header.name().to_owned();
            batch.puts.insert(name, once_more(header, text));
        }
        Ok(batch)
    }

    /// Tells what was done to objects.
    fn note(&mut self, shown: &Collection, edits: &[Edit], batch: Batch) {
        self.restored.clashes.extend(batch.clashes);
        for edit in edits {
            let (Edit::Write(header) | Edit::Remove(header)) = edit else {
                continue;
            };
            let name = (shown.name.clone(), header.name().to_owned());
            if header.tag.is_some() {
                self.restored.meetings.push(name.clone());
            }
            match edit {
                Edit::Remove(_) => self.restored.removed.push(name),
                Edit::Write(_) if batch.puts.contains_key(header.name()) => {
                    self.restored.written.push(name);
                }
                Edit::Write(_) | Edit::Clear(_) => {}
            }
        }
    }
}

impl Plan {
    fn stage(&self, home: &mut HomeChange) {
        let id = self.then.id;
        if self.removed {
            home.restore_collection(id);
        }
        if self.settings {
            home.set(id, self.then.settings.clone());
        }
        self.batch.stage(id, home);
        if let Some(name) = &self.name {
            home.rename(id, name.clone());
        }
    }
}

impl Batch {
    fn stage(&self, id: Id, home: &mut HomeChange) {
        // Somebody may have removed one meanwhile; then there is nothing left to remove.
        for name in &self.removed {
            home.remove_object_if_there(id, name);
        }
        for put in self.puts.values() {
            home.put(id, put.clone());
        }
    }
}

/// The name a calendar had, or one beside it where another has that; some `pass`.
fn free_name(view: &Home, passes: impl Fn(Id) -> bool, wanted: &str) -> String {
    let wanted = if wanted.is_empty() {
        "restored"
    } else {
        wanted
    };
    let taken = |name: &str| view.collection(name).is_some_and(|other| !passes(other.id));
    let names = (2..).map(|n: u64| format!("{wanted}-{n}"));
    let mut names = std::iter::once(wanted.to_owned()).chain(names);
    names
        .find(|name| !taken(name))
        .unwrap_or_else(|| wanted.to_owned())
}

impl Edit {
    fn written(&self) -> Option<&Header> {
        match self {
            Self::Write(header) => Some(header),
            Self::Remove(_) | Self::Clear(_) => None,
        }
    }

    /// What it takes of a commit; long texts are written before.
    fn size_bytes(&self) -> usize {
        let size = self
            .written()
            .map_or(0, |header| header.size_bytes as usize);
        size.min(super::stage::LONG_TEXT)
    }

    fn removed(&self) -> Option<&str> {
        match self {
            Self::Remove(header) | Self::Clear(header) => Some(header.name()),
            Self::Write(_) => None,
        }
    }
}

/// Objects that had another UID then than now, and whose UID of now another object had: two that
/// have exchanged their UIDs would be in each other's way.
fn in_the_way<'a>(
    now: &'a BTreeMap<String, Header>,
    then: &'a BTreeMap<String, Header>,
) -> impl Iterator<Item = &'a Header> {
    let uids = then
        .iter()
        .map(|(name, header)| (header.uid(), name.as_str()));
    let wanted: BTreeMap<&str, &str> = uids.filter(|(uid, _)| !uid.is_empty()).collect();
    now.iter().filter_map(move |(name, header)| {
        let other = wanted.get(header.uid()).is_some_and(|other| other != name);
        let changes = then
            .get(name)
            .is_some_and(|then| then.uid() != header.uid());
        (other && changes).then_some(header)
    })
}

/// How many of the edits fit into one commit.
fn batch_length(edits: &[Edit]) -> usize {
    let mut bytes = 0_usize;
    let fits = edits.iter().take(OBJECTS).take_while(|edit| {
        bytes = bytes.saturating_add(edit.size_bytes());
        bytes <= BYTES
    });
    fits.count().max(1)
}

/// An older object, written again.
fn once_more(header: &Header, text: bytes::Bytes) -> Put {
    Put {
        name: header.name().to_owned(),
        text,
        uid: Some(header.uid().to_owned()),
        component: header.component,
        summary: header.summary().to_vec(),
        tag: header.tag.map_or(Tag::None, |_| Tag::Move),
        shared: Sharing::Moves,
    }
}
