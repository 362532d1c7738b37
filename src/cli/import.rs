//! `import`: .ics files and folders into a user's calendars. UIDs are kept,
//! nobody is mailed, and what is refused is told with the reason.
//!
//! The files are read where the command is given and sent one by one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::args::{Command, Import};
use super::calendars::{add, owner};
use super::control::Reach;
use super::failure::{Code, Failure};
use super::output::{Out, Printer, Reply};
use super::run::{Ground, by};
use crate::auth::accounts::display_name;
use crate::caldav::import::{Imported, admit, import};
use crate::caldav::limits::Limits;
use crate::ical::Timestamp;
use crate::store::{
    self, Change, Collection, Component, Components, Home, Id, Kind, Put, Settings, Store,
};

/// Objects put in one commit, and their bytes.
const BATCH_OBJECTS: usize = 200;
const BATCH_BYTES: usize = 512 << 10;

/// The longest file that is read.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// How deep folders are looked into: calendars, and objects in them.
const MAX_DEPTH: usize = 2;

/// Reads the files and sends each as a command of its own; answers the worst
/// exit code.
pub(super) async fn send(
    asked: Import,
    reach: &mut Reach,
    printer: &mut Printer,
) -> Result<u8, Failure> {
    let mut files = Vec::new();
    for path in &asked.from {
        find(path, asked.calendar.as_deref(), &mut files)?;
    }
    if files.is_empty() {
        return Err(Failure::new(
            Code::NotFound,
            "there is no .ics file in what was named",
        ));
    }
    let mut worst = 0;
    for (number, (file, calendar)) in files.iter().enumerate() {
        let progress = Reply::Progress {
            done: number as u64,
            of: files.len() as u64,
            what: "files".to_owned(),
        };
        printer.print(progress)?;
        let bytes = std::fs::read(file)
            .map_err(|error| Failure::failed(format!("{}: {error}", file.display())))?;
        // Old programs write Latin-1, where every byte is a character.
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|error| error.into_bytes().into_iter().map(char::from).collect());
        let command = Import {
            from: Vec::new(),
            calendar: calendar.clone(),
            name: file.display().to_string(),
            text,
            ..asked.clone()
        };
        let code = reach.run(Command::Import(command), printer).await?;
        worst = worse(worst, code);
        if code != 0 && code != Code::Findings as u8 {
            break;
        }
    }
    Ok(worst)
}

/// Findings are less bad than every failure.
fn worse(one: u8, other: u8) -> u8 {
    match (one, other) {
        (0, code) | (code, 0) => code,
        (code, findings) if findings == Code::Findings as u8 => code,
        (_, code) => code,
    }
}

/// The .ics files below a path, each with its calendar: in a folder, `X.ics`
/// and `X/*.ics` belong to calendar X, as export writes them.
fn find(
    path: &Path,
    calendar: Option<&str>,
    files: &mut Vec<(PathBuf, Option<String>)>,
) -> Result<(), Failure> {
    let fault = |error: std::io::Error| {
        let code = if error.kind() == std::io::ErrorKind::NotFound {
            Code::NotFound
        } else {
            Code::Failed
        };
        Failure::new(code, format!("{}: {error}", path.display()))
    };
    let meta = std::fs::metadata(path).map_err(fault)?;
    if meta.is_dir() {
        return folder(path, calendar, 1, files).map_err(fault);
    }
    if meta.len() > MAX_FILE_BYTES {
        let sentence = format!(
            "{} has more than {} MiB; split it",
            path.display(),
            MAX_FILE_BYTES >> 20
        );
        return Err(Failure::new(Code::Refused, sentence));
    }
    files.push((path.to_owned(), calendar.map(str::to_owned)));
    Ok(())
}

fn folder(
    path: &Path,
    calendar: Option<&str>,
    depth: usize,
    files: &mut Vec<(PathBuf, Option<String>)>,
) -> std::io::Result<()> {
    let mut entries = std::fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<PathBuf>>>()?;
    entries.sort();
    for entry in entries {
        let stem = entry
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        let own = calendar.map(str::to_owned).or(stem);
        if entry.is_dir() {
            if depth < MAX_DEPTH {
                folder(&entry, own.as_deref(), depth + 1, files)?;
            }
        } else if entry
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("ics"))
        {
            files.push((entry, own));
        }
    }
    Ok(())
}

/// What became of the objects of one file.
#[derive(Default)]
struct Tally {
    stored: usize,
    kept: usize,
    refused: Vec<String>,
}

/// Imports one file.
pub(super) async fn run(
    asked: &Import,
    ground: &Ground,
    now: Timestamp,
    out: &Out,
) -> Result<(), Failure> {
    let store = &ground.store;
    let owner = owner(store, &asked.user).await?;
    let mut limits = Limits::of(&ground.limits);
    // The whole file is larger than an object may be; those are checked later.
    limits.ical.bytes = usize::try_from(MAX_FILE_BYTES).unwrap_or(usize::MAX);
    let text = Bytes::from(asked.text.clone());
    let found = tokio::task::spawn_blocking(move || import(&text, &limits))
        .await
        .map_err(|error| Failure::failed(error.to_string()))?;
    let limits = Limits::of(&ground.limits);
    let mut tally = Tally::default();
    for remark in &found.refused {
        tally
            .refused
            .push(refusal(remark.line, &remark.uid, &remark.text));
    }
    for remark in &found.repaired {
        out.note(format!(
            "{}: {}",
            asked.name,
            refusal(remark.line, &remark.uid, &remark.text)
        ))
        .await;
    }
    if let Some(name) = &asked.calendar {
        ensure(store, owner, name, &found.objects, now).await?;
    }
    let total = found.objects.len() as u64;
    let mut batches = Batches {
        ground,
        owner,
        replace: asked.replace,
        now,
        staged: HashMap::new(),
        bytes: 0,
        count: 0,
    };
    let home = store.home(owner).await?;
    for (number, object) in found.objects.iter().enumerate() {
        match place(&home, asked.calendar.as_deref(), object, &limits) {
            Ok((calendar, put)) => batches.add(calendar, put, &mut tally).await?,
            Err(reason) => {
                tally
                    .refused
                    .push(refusal(object.line, &object.received.object.uid, &reason));
            }
        }
        if number.is_multiple_of(BATCH_OBJECTS) {
            out.progress(number as u64, total, &asked.name).await;
        }
    }
    batches.flush(&mut tally).await?;
    report(&asked.name, &tally, out).await
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

async fn report(name: &str, tally: &Tally, out: &Out) -> Result<(), Failure> {
    for refused in &tally.refused {
        out.note(format!("{name}: refused: {refused}")).await;
    }
    out.line(format!(
        "{name}: {} stored, {} there already, {} refused",
        tally.stored,
        tally.kept,
        tally.refused.len()
    ))
    .await;
    if tally.refused.is_empty() {
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

/// Makes a calendar that takes what the file holds, if there is none.
async fn ensure(
    store: &Store,
    owner: Id,
    name: &str,
    objects: &[Imported],
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
    let mut components: Vec<Component> = objects
        .iter()
        .filter_map(|object| Component::named(object.received.object.kind.component_name()))
        .collect();
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

/// Objects on their way into the store, some at a time.
struct Batches<'a> {
    ground: &'a Ground,
    owner: Id,
    replace: bool,
    now: Timestamp,
    staged: HashMap<Id, (Arc<Collection>, Vec<Put>)>,
    bytes: usize,
    count: usize,
}

impl Batches<'_> {
    async fn add(
        &mut self,
        calendar: Arc<Collection>,
        put: Put,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        self.bytes += put.text.len();
        self.count += 1;
        self.staged
            .entry(calendar.id)
            .or_insert_with(|| (calendar, Vec::new()))
            .1
            .push(put);
        if self.count >= BATCH_OBJECTS || self.bytes >= BATCH_BYTES {
            self.flush(tally).await?;
        }
        Ok(())
    }

    /// Commits what is staged, again when somebody else was faster.
    async fn flush(&mut self, tally: &mut Tally) -> Result<(), Failure> {
        let staged = std::mem::take(&mut self.staged);
        (self.bytes, self.count) = (0, 0);
        if staged.is_empty() {
            return Ok(());
        }
        for _ in 0..8 {
            match self.commit(&staged).await {
                Err(store::Error::Conflict) => {}
                Ok((stored, kept)) => {
                    tally.stored += stored;
                    tally.kept += kept;
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(store::Error::Conflict.into())
    }

    async fn commit(
        &self,
        staged: &HashMap<Id, (Arc<Collection>, Vec<Put>)>,
    ) -> Result<(usize, usize), store::Error> {
        let store = &self.ground.store;
        let turn = store.turn(&[self.owner]).await?;
        let home = turn
            .home(self.owner)
            .ok_or(store::Error::Refused(store::Refusal::NotInTurn))?
            .clone();
        let mut change = Change::new(self.now, by(self.now).actor, "import");
        let (mut stored, mut kept) = (0, 0);
        for (id, (calendar, puts)) in staged {
            for put in puts {
                let uid = put.uid.as_deref().unwrap_or_default();
                let there = home.name_by_uid(calendar, uid).await?;
                match there {
                    Some(_) if !self.replace => kept += 1,
                    there => {
                        let name = match there {
                            Some(name) => name,
                            None => free_name(&home, calendar, put).await?,
                        };
                        change.home(&home).put(
                            *id,
                            Put {
                                name,
                                ..put.clone()
                            },
                        );
                        stored += 1;
                    }
                }
            }
        }
        if !change.is_empty() {
            store.commit(change, turn).await?;
        }
        Ok((stored, kept))
    }
}

/// The object's name, or one beside it where another object has that.
async fn free_name(home: &Home, calendar: &Collection, put: &Put) -> Result<String, store::Error> {
    if home.header(calendar, &put.name).await?.is_none() {
        return Ok(put.name.clone());
    }
    Ok(format!("{}.ics", Id::random()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_belong_to_calendars_as_export_writes_them() {
        let root = std::env::temp_dir().join(format!("kalends-import-{}", std::process::id()));
        std::fs::create_dir_all(root.join("work/deep/deeper")).unwrap();
        for file in ["home.ics", "notes.txt", "work/a.ICS", "work/deep/b.ics"] {
            std::fs::write(root.join(file), "").unwrap();
        }
        let mut files = Vec::new();
        find(&root, None, &mut files).unwrap();
        let found: Vec<(String, Option<String>)> = files
            .iter()
            .map(|(file, calendar)| {
                let below = file.strip_prefix(&root).unwrap();
                (below.display().to_string(), calendar.clone())
            })
            .collect();
        let pair = |file: &str, calendar: &str| (file.to_owned(), Some(calendar.to_owned()));
        assert_eq!(
            found,
            [pair("home.ics", "home"), pair("work/a.ICS", "work")]
        );
        files.clear();
        find(&root.join("work/a.ICS"), None, &mut files).unwrap();
        assert_eq!(files.len(), 1);
        assert!(find(&root.join("nothing"), None, &mut files).is_err());
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn findings_are_less_bad_than_failures() {
        for (one, other, expected) in [
            (0, 0, 0),
            (0, 6, 6),
            (6, 0, 6),
            (6, 3, 3),
            (3, 6, 3),
            (1, 0, 1),
        ] {
            assert_eq!(worse(one, other), expected, "{one} {other}");
        }
    }
}
