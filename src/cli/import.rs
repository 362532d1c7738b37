//! `import`: texts of .ics files into a user's calendars. UIDs are kept, nobody is mailed, and what is
//! refused is told with the reason.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::args::{Import, ImportFile};
use super::calendars::{add, owner};
use super::failure::{Code, Failure};
use super::import_files::MAX_FILE_BYTES;
use super::output::{Out, Reply};
use super::run::{Ground, by};
use crate::auth::accounts::display_name;
use crate::caldav::import::{Import as Objects, Imported, admit, import};
use crate::caldav::limits::Limits;
use crate::ical::Timestamp;
use crate::schedule;
use crate::store::{
    self, Change, Collection, Component, Components, Home, Id, Kind, Put, Settings, Store,
};

/// Objects put in one commit, and their bytes.
const BATCH_OBJECTS: usize = 400;
const BATCH_BYTES: usize = 512 << 10;

/// What became of the objects of one file.
#[derive(Clone, Copy, Default)]
struct Tally {
    stored: u64,
    kept: u64,
    refused: u64,
}

/// Imports some files.
pub(super) async fn run(
    asked: &Import,
    ground: &Ground,
    now: Timestamp,
    out: &Out,
) -> Result<(), Failure> {
    let store = &ground.store;
    let owner = owner(store, &asked.user).await?;
    let found = read(&asked.files, &ground.limits).await?;
    make_calendars(store, owner, &found, now).await?;
    let limits = Limits::of(&ground.limits);
    let home = store.home(owner).await?;
    let directory = store.directory().await?;
    let mut batches = Batches {
        ground,
        owner,
        replace: asked.replace,
        now,
        staged: Vec::new(),
        bytes: 0,
        tallies: vec![Tally::default(); found.len()],
    };
    let total: usize = found.iter().map(|(_, objects)| objects.objects.len()).sum();
    let mut done = 0_u64;
    for (number, (file, objects)) in found.iter().enumerate() {
        for remark in &objects.repaired {
            let text = refusal(remark.line, &remark.uid, &remark.text);
            out.note(format!("{}: {text}", file.path)).await;
        }
        for remark in &objects.refused {
            let text = refusal(remark.line, &remark.uid, &remark.text);
            batches.refuse(number, file, &text, out).await;
        }
        for object in &objects.objects {
            match place(&home, file.calendar.as_deref(), object, &limits) {
                Ok((calendar, put)) => {
                    let calendar_object = &object.received.object;
                    let named = (calendar_object.uid.as_str(), &calendar_object.calendar);
                    let place = (home.as_ref(), calendar.id);
                    let tag = schedule::imported(&directory, place, named).await?;
                    batches.add(number, calendar, Put { tag, ..put }).await?;
                }
                Err(reason) => {
                    let text = refusal(object.line, &object.received.object.uid, &reason);
                    batches.refuse(number, file, &text, out).await;
                }
            }
            done += 1;
            if done.is_multiple_of(BATCH_OBJECTS as u64) {
                out.progress(done, total as u64, "objects").await;
            }
        }
    }
    batches.flush().await?;
    report(&asked.files, &batches.tallies, out).await
}

/// The objects in the files.
async fn read(
    files: &[ImportFile],
    limits: &crate::dav::Limits,
) -> Result<Vec<(ImportFile, Objects)>, Failure> {
    let mut limits = Limits::of(limits);
    // The whole file is larger than an object may be; those are checked later.
    limits.ical.bytes = usize::try_from(MAX_FILE_BYTES).unwrap_or(usize::MAX);
    let files = files.to_vec();
    let reading = tokio::task::spawn_blocking(move || {
        let each = files.into_iter().map(|mut file| {
            let text = Bytes::from(std::mem::take(&mut file.text));
            let mut found = import(&text, &limits);
            if let (Some(name), [object]) = (&file.object, found.objects.as_mut_slice()) {
                object.name.clone_from(name);
            }
            (file, found)
        });
        each.collect()
    });
    reading
        .await
        .map_err(|error| Failure::failed(error.to_string()))
}

/// Makes the calendars that are named and not there.
async fn make_calendars(
    store: &Store,
    owner: Id,
    found: &[(ImportFile, Objects)],
    now: Timestamp,
) -> Result<(), Failure> {
    let mut wanted: BTreeMap<&str, Vec<Component>> = BTreeMap::new();
    for (file, objects) in found {
        let Some(name) = &file.calendar else { continue };
        let components = wanted.entry(name).or_default();
        let named = file.components.iter().map(String::as_str);
        let objects = objects.objects.iter();
        let held = objects.map(|object| object.received.object.kind.component_name());
        components.extend(named.chain(held).filter_map(Component::named));
    }
    for (name, components) in wanted {
        ensure(store, owner, name, components, now).await?;
    }
    Ok(())
}

fn refusal(line: u32, uid: &str, reason: &str) -> String {
    let place = if line == 0 || reason.starts_with("line ") {
        String::new()
    } else {
        format!("line {line}: ")
    };
    let uid = if uid.is_empty() {
        String::new()
    } else {
        format!(" ({uid})")
    };
    format!("{place}{reason}{uid}")
}

/// Says what became of the objects, by file or folder.
async fn report(files: &[ImportFile], tallies: &[Tally], out: &Out) -> Result<(), Failure> {
    let mut refused = 0;
    for (file, tally) in files.iter().zip(tallies) {
        refused += tally.refused;
        out.say(Reply::Imported {
            what: file.counted.clone(),
            stored: tally.stored,
            kept: tally.kept,
            refused: tally.refused,
        })
        .await;
    }
    if refused == 0 {
        Ok(())
    } else {
        Err(Failure::new(Code::Findings, ""))
    }
}

/// The calendar for an object, and what to put there. Without a name it is
/// `calendar`, and `tasks` for what that does not take.
fn place(
    home: &Home,
    named: Option<&str>,
    object: &Imported,
    limits: &Limits,
) -> Result<(Arc<Collection>, Put), String> {
    let names = match named {
        Some(name) => vec![name],
        None => vec!["calendar", "tasks"],
    };
    let mut reason = "there is no such calendar".to_owned();
    for name in names {
        let Some(calendar) = home
            .collection(name)
            .filter(|found| found.kind == Kind::Calendar)
        else {
            continue;
        };
        match admit(object, calendar, limits) {
            Ok(put) => return Ok((calendar.clone(), put)),
            Err(why) => reason = why,
        }
    }
    Err(reason)
}

/// Makes a calendar that takes what the files hold, if there is none.
async fn ensure(
    store: &Store,
    owner: Id,
    name: &str,
    mut components: Vec<Component>,
    now: Timestamp,
) -> Result<(), Failure> {
    let home = store.home(owner).await?;
    if let Some(found) = home.collection(name) {
        if found.kind == Kind::Calendar {
            return Ok(());
        }
        return Err(Failure::new(
            Code::Refused,
            format!("\"{name}\" is no calendar"),
        ));
    }
    if components.is_empty() {
        components.push(Component::Event);
    }
    let settings = Settings {
        components: Components::of(&components),
        properties: display_name(name),
        ..Settings::default()
    };
    add(store, owner, name, settings, now).await
}

/// An object on its way into the store.
struct Waiting {
    file: usize,
    calendar: Arc<Collection>,
    put: Put,
}

/// Objects on their way into the store, some hundred at a time.
struct Batches<'a> {
    ground: &'a Ground,
    owner: Id,
    replace: bool,
    now: Timestamp,
    staged: Vec<Waiting>,
    bytes: usize,
    tallies: Vec<Tally>,
}

impl Batches<'_> {
    fn tally(&mut self, file: usize, count: impl FnOnce(&mut Tally)) {
        if let Some(tally) = self.tallies.get_mut(file) {
            count(tally);
        }
    }

    async fn refuse(&mut self, number: usize, file: &ImportFile, reason: &str, out: &Out) {
        self.tally(number, |tally| tally.refused += 1);
        out.note(format!("{}: refused: {reason}", file.path)).await;
    }

    async fn add(
        &mut self,
        file: usize,
        calendar: Arc<Collection>,
        put: Put,
    ) -> Result<(), Failure> {
        self.bytes += put.text.len() + put.summary.len();
        self.staged.push(Waiting {
            file,
            calendar,
            put,
        });
        if self.staged.len() >= BATCH_OBJECTS || self.bytes >= BATCH_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// Commits what is staged, again when somebody else was faster.
    async fn flush(&mut self) -> Result<(), Failure> {
        let staged = std::mem::take(&mut self.staged);
        self.bytes = 0;
        if staged.is_empty() {
            return Ok(());
        }
        let stored = store::again(|| self.commit(&staged)).await?;
        for (waiting, stored) in staged.iter().zip(stored) {
            self.tally(waiting.file, |tally| match stored {
                true => tally.stored += 1,
                false => tally.kept += 1,
            });
        }
        Ok(())
    }

    /// Commits the objects; answers of each whether it was stored. The others were there.
    async fn commit(&self, staged: &[Waiting]) -> Result<Vec<bool>, store::Error> {
        let store = &self.ground.store;
        let turn = store.turn(&[self.owner]).await?;
        let home = turn
            .home(self.owner)
            .ok_or(store::Error::Refused(store::Refusal::NotInTurn))?
            .clone();
        let mut change = Change::new(self.now, by(self.now).actor, "import");
        let mut taken = Taken {
            home: &home,
            uids: HashMap::new(),
            names: HashSet::new(),
        };
        let mut stored = Vec::with_capacity(staged.len());
        for Waiting { calendar, put, .. } in staged {
            let there = taken.name_by_uid(calendar, put).await?;
            let keep = there.is_some() && !self.replace;
            if !keep {
                let name = match there {
                    Some(name) => name,
                    None => taken.free_name(calendar, put).await?,
                };
                taken.take(calendar, put, &name);
                let put = Put {
                    name,
                    ..put.clone()
                };
                change.home(&home).put(calendar.id, put);
            }
            stored.push(!keep);
        }
        if !change.is_empty() {
            store.commit(change, turn).await?;
        }
        Ok(stored)
    }
}

/// UIDs and names that are taken, in the home and by the change that is made.
struct Taken<'a> {
    home: &'a Home,
    uids: HashMap<(Id, String), String>,
    names: HashSet<(Id, String)>,
}

impl Taken<'_> {
    async fn name_by_uid(
        &self,
        calendar: &Collection,
        put: &Put,
    ) -> Result<Option<String>, store::Error> {
        let uid = put.uid.as_deref().unwrap_or_default();
        match self.uids.get(&(calendar.id, uid.to_owned())) {
            Some(name) => Ok(Some(name.clone())),
            None => self.home.name_by_uid(calendar, uid).await,
        }
    }

    /// The object's name, or one beside it where another object has that.
    async fn free_name(&self, calendar: &Collection, put: &Put) -> Result<String, store::Error> {
        let taken = self.names.contains(&(calendar.id, put.name.clone()));
        if !taken && self.home.header(calendar, &put.name).await?.is_none() {
            return Ok(put.name.clone());
        }
        Ok(format!("{}.ics", Id::random()?))
    }

    fn take(&mut self, calendar: &Collection, put: &Put, name: &str) {
        self.names.insert((calendar.id, name.to_owned()));
        if let Some(uid) = &put.uid {
            let key = (calendar.id, uid.clone());
            self.uids.insert(key, name.to_owned());
        }
    }
}
