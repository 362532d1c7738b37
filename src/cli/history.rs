//! `history`: what was changed, how it was, and back to it.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::args::History;
use super::calendars::owner;
use super::clock::{instant, shown};
use super::failure::{Code, Failure};
use super::output::{Out, table};
use super::run::{Ground, by};
use crate::ical::Timestamp;
use crate::store::{
    Actor, Collection, Directory, Home, Id, Kind, Moment, Past, Restored, Target, Version,
};

/// Changes listed at most.
const MAX_LISTED: usize = 500;

/// `history`.
pub(super) async fn run(
    command: History,
    ground: &Ground,
    now: Timestamp,
    out: &Out,
) -> Result<(), Failure> {
    match command {
        History::List { user, path, json } => {
            let view = View::of(ground, &user, path.as_deref()).await?;
            let rows = view.list().await?;
            if json {
                let all: Vec<Value> = rows.iter().map(Row::json).collect();
                out.line(Value::from(all).to_string()).await;
                return Ok(());
            }
            let rows: Vec<Vec<String>> = rows.into_iter().map(Row::cells).collect();
            for line in table(&["TIME", "BY", "WHAT", "WHERE", "THEN"], &rows) {
                out.line(line).await;
            }
            Ok(())
        }
        History::Show { user, path, at } => {
            let view = View::of(ground, &user, path.as_deref()).await?;
            let past = view.past(at.as_deref(), now).await?;
            view.show(past, now, out).await
        }
        History::Restore { user, path, at } => {
            let view = View::of(ground, &user, path.as_deref()).await?;
            let moment = Moment {
                past: view.past(at.as_deref(), now).await?,
                now,
                actor: by(now).actor,
            };
            let target = match &view.place {
                Place::Home => Target::Home,
                Place::Calendar(calendar) => Target::Collection(calendar.id),
                Place::Object(calendar, name) => Target::Object {
                    collection: calendar.id,
                    name: name.clone(),
                },
            };
            let restored = ground
                .store
                .restore(view.home.id(), &target, &moment)
                .await?;
            report(&restored, moment.past, out).await
        }
    }
}

/// What a path names.
enum Place {
    Home,
    Calendar(Arc<Collection>),
    Object(Arc<Collection>, String),
}

struct View {
    home: Arc<Home>,
    directory: Arc<Directory>,
    place: Place,
}

/// One line of a list.
struct Row {
    at: Option<Timestamp>,
    by: String,
    what: String,
    place: String,
    then: String,
}

impl Row {
    fn json(&self) -> Value {
        json!({
            "time": self.at.map(shown),
            "by": self.by,
            "what": self.what,
            "where": self.place,
            "then": self.then,
        })
    }

    fn cells(self) -> Vec<String> {
        let at = self.at.map_or_else(|| "earlier".to_owned(), shown);
        vec![at, self.by, self.what, self.place, self.then]
    }
}

impl View {
    async fn of(ground: &Ground, user: &str, path: Option<&str>) -> Result<View, Failure> {
        let home = ground.store.home(owner(&ground.store, user).await?).await?;
        let directory = ground.store.directory().await?;
        let place = match path
            .map(|path| path.trim_matches('/'))
            .filter(|path| !path.is_empty())
        {
            None => Place::Home,
            Some(path) => {
                let (calendar, object) = match path.split_once('/') {
                    Some((calendar, object)) => (calendar, Some(object.to_owned())),
                    None => (path, None),
                };
                let calendar = named(&home, calendar)?;
                match object {
                    None => Place::Calendar(calendar),
                    Some(name) => Place::Object(calendar, name),
                }
            }
        };
        Ok(View {
            home,
            directory,
            place,
        })
    }

    fn who(&self, actor: &Actor) -> String {
        let name = actor
            .principal
            .and_then(|id| self.directory.principal(id))
            .map(|principal| principal.name.clone());
        match (name, actor.client.as_str()) {
            (Some(name), "") => name,
            (Some(name), client) => format!("{name} ({client})"),
            (None, client) => client.to_owned(),
        }
    }

    /// What was changed, newest first.
    async fn list(&self) -> Result<Vec<Row>, Failure> {
        match &self.place {
            Place::Home => self.revisions().await,
            Place::Calendar(calendar) => {
                let versions = self.home.collection_history(calendar, MAX_LISTED).await?;
                Ok(versions
                    .into_iter()
                    .map(|version| self.row(calendar, version))
                    .collect())
            }
            Place::Object(calendar, name) => {
                let versions = self.versions(calendar, name).await?;
                Ok(versions
                    .into_iter()
                    .map(|version| self.row(calendar, version))
                    .collect())
            }
        }
    }

    async fn versions(&self, calendar: &Collection, name: &str) -> Result<Vec<Version>, Failure> {
        let versions = self.home.object_history(calendar, name).await?;
        if versions.is_empty() {
            let sentence = format!("the history knows no \"{name}\" in \"{}\"", calendar.name);
            return Err(Failure::new(Code::NotFound, sentence));
        }
        Ok(versions)
    }

    fn row(&self, calendar: &Collection, version: Version) -> Row {
        Row {
            at: version.at,
            by: self.who(&version.actor),
            place: format!("{}/{}", calendar.name, version.name),
            then: match &version.header {
                Some(header) => format!("{} bytes", header.size_bytes),
                None => "removed".to_owned(),
            },
            what: version.what,
        }
    }

    async fn revisions(&self) -> Result<Vec<Row>, Failure> {
        let mut names: HashMap<Id, String> = HashMap::from([(self.home.id(), "(home)".to_owned())]);
        for collection in self.home.collections() {
            names.insert(collection.id, collection.name.clone());
        }
        for removed in self.home.removed() {
            names.insert(removed.collection.id, removed.collection.name.clone());
        }
        let revisions = self.home.revisions(None, MAX_LISTED).await?;
        let rows = revisions.iter().map(|revision| Row {
            at: Some(revision.at),
            by: self.who(&revision.actor),
            what: revision.what.clone(),
            place: revision
                .touched()
                .filter_map(|id| names.get(&id).map(String::as_str))
                .collect::<Vec<_>>()
                .join(" "),
            then: String::new(),
        });
        Ok(rows.collect())
    }

    /// The moment that was asked for, else the state before the last change.
    async fn past(&self, at: Option<&str>, now: Timestamp) -> Result<Past, Failure> {
        if let Some(text) = at {
            return instant(text, now).map(Past::Time).ok_or_else(|| {
                let sentence =
                    format!("\"{text}\" is no time such as 2026-11-20T08:00:00Z or \"2 h\"");
                Failure::new(Code::Usage, sentence)
            });
        }
        let last = match &self.place {
            Place::Home => self.home.revision(),
            Place::Calendar(calendar) => {
                let mut removed = self.home.removed().into_iter();
                let removed = removed.find(|removed| removed.collection.id == calendar.id);
                removed.map_or(calendar.changed().revision, |removed| removed.revision)
            }
            Place::Object(calendar, name) => {
                let versions = self.versions(calendar, name).await?;
                versions.first().map_or(0, |newest| newest.since.revision)
            }
        };
        Ok(Past::Revision(last.saturating_sub(1)))
    }

    async fn show(&self, past: Past, now: Timestamp, out: &Out) -> Result<(), Failure> {
        match &self.place {
            Place::Home => {
                let mut rows: Vec<Vec<String>> = super::calendars::calendars(&self.home)
                    .map(|calendar| vec![calendar.name.clone(), String::new()])
                    .collect();
                for removed in self.home.removed() {
                    let at = format!("removed at {}", shown(removed.at));
                    rows.push(vec![removed.collection.name.clone(), at]);
                }
                for line in table(&["CALENDAR", "REMARKS"], &rows) {
                    out.line(line).await;
                }
                Ok(())
            }
            Place::Calendar(calendar) => {
                let revision = self.home.revision_of(past, now).await?;
                let objects = self.home.objects_at(calendar, revision).await?;
                let rows: Vec<Vec<String>> = objects
                    .values()
                    .map(|header| {
                        vec![
                            header.name().to_owned(),
                            header.uid().to_owned(),
                            header.size_bytes.to_string(),
                        ]
                    })
                    .collect();
                for line in table(&["OBJECT", "UID", "BYTES"], &rows) {
                    out.line(line).await;
                }
                Ok(())
            }
            Place::Object(calendar, name) => {
                let revision = self.home.revision_of(past, now).await?;
                let versions = self.versions(calendar, name).await?;
                let then = versions
                    .iter()
                    .find(|version| version.since.revision <= revision);
                let Some(header) = then.and_then(|version| version.header.as_ref()) else {
                    let sentence = format!("\"{name}\" was not there {}", when(past));
                    return Err(Failure::new(Code::NotFound, sentence));
                };
                let text = self.home.text(header).await?;
                out.line(String::from_utf8_lossy(&text).trim_end()).await;
                Ok(())
            }
        }
    }
}

/// The calendar of this name: the one there is, else the one that was removed
/// last.
fn named(home: &Home, name: &str) -> Result<Arc<Collection>, Failure> {
    let live = home
        .collection(name)
        .filter(|found| found.kind == Kind::Calendar);
    if let Some(live) = live {
        return Ok(live.clone());
    }
    home.removed()
        .into_iter()
        .filter(|removed| removed.collection.name == name)
        .max_by_key(|removed| removed.at)
        .map(|removed| removed.collection)
        .ok_or_else(|| {
            Failure::new(
                Code::NotFound,
                format!("there is and was no calendar \"{name}\""),
            )
        })
}

fn when(past: Past) -> String {
    match past {
        Past::Time(at) => format!("at {}", shown(at)),
        Past::Revision(_) => "before the last change".to_owned(),
    }
}

async fn report(restored: &Restored, past: Past, out: &Out) -> Result<(), Failure> {
    out.line(format!(
        "As it was {}: {} objects written, {} removed, {} calendars brought back.",
        when(past),
        restored.written.len(),
        restored.removed.len(),
        restored.calendars.len()
    ))
    .await;
    for (had, has) in &restored.calendars {
        if had != has {
            out.note(format!("The calendar {had} is back under the name {has}."))
                .await;
        }
    }
    for (calendar, name) in &restored.meetings {
        out.note(format!(
            "The meeting {calendar}/{name} now differs from what its guests have."
        ))
        .await;
    }
    for (calendar, name, other) in &restored.clashes {
        out.note(format!(
            "{calendar}/{name} was not written: {other} has the same UID."
        ))
        .await;
    }
    if restored.clashes.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(Code::Findings, ""))
    }
}
