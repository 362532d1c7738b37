//! `calendar`: a user's calendars by name.

use std::sync::Arc;

use serde_json::{Value, json};

use super::args::{Calendar, OfUser};
use super::clock::shown;
use super::failure::{Code, Failure};
use super::output::{Out, table};
use super::run::{Ground, by};
use crate::auth::accounts::{display_name, find};
use crate::ical::Timestamp;
use crate::schedule;
use crate::store::{
    Change, Collection, Component, Components, Home, Id, Kind, NewCollection, PrincipalKind,
    Receipt, Refusal, Settings, Store, again,
};
use crate::xml::{self, Element};

/// Principals that have calendars.
const OWNERS: &[PrincipalKind] = &[
    PrincipalKind::User,
    PrincipalKind::Room,
    PrincipalKind::Resource,
];

/// `calendar`.
pub(super) async fn run(
    command: Calendar,
    ground: &Ground,
    now: Timestamp,
    out: &Out,
) -> Result<(), Failure> {
    let store = &ground.store;
    match command {
        Calendar::Add {
            user,
            calendar,
            display_name: text,
            components,
        } => {
            let components = parse_components(&components)?;
            let id = owner(store, &user).await?;
            let settings = Settings {
                components,
                properties: text.as_deref().map(display_name).unwrap_or_default(),
                ..Settings::default()
            };
            add(store, id, &calendar, settings, now).await?;
            out.line(format!("{user} has the calendar {calendar}."))
                .await;
            Ok(())
        }
        Calendar::List(OfUser { user, json }) => {
            let home = store.home(owner(store, &user).await?).await?;
            if json {
                out.line(Value::from(described(&home)).to_string()).await;
                return Ok(());
            }
            let rows: Vec<Vec<String>> = calendars(&home)
                .map(|calendar| {
                    vec![
                        calendar.name.clone(),
                        shown_name(calendar).unwrap_or_default(),
                        component_names(calendar).join(","),
                        calendar.count.to_string(),
                        calendar.bytes.to_string(),
                    ]
                })
                .collect();
            for line in table(&["NAME", "SHOWN AS", "TAKES", "OBJECTS", "BYTES"], &rows) {
                out.line(line).await;
            }
            Ok(())
        }
        Calendar::Remove { user, calendar } => {
            let id = owner(store, &user).await?;
            remove(ground, id, &calendar, now).await?;
            out.line(format!(
                "{user}'s calendar {calendar} is removed. `kalends history restore {user} {calendar}` brings it back."
            ))
            .await;
            Ok(())
        }
    }
}

/// The id of whoever has calendars under this name.
pub(super) async fn owner(store: &Store, name: &str) -> Result<Id, Failure> {
    let directory = store.directory().await?;
    Ok(find(&directory, OWNERS, name)?.id)
}

/// The calendars of a home, in the order of their names.
pub(super) fn calendars(home: &Home) -> impl Iterator<Item = &Arc<Collection>> {
    home.collections()
        .filter(|collection| collection.kind == Kind::Calendar)
}

/// The calendar of this name.
pub(super) fn calendar<'a>(home: &'a Home, name: &str) -> Result<&'a Arc<Collection>, Failure> {
    home.collection(name)
        .filter(|collection| collection.kind == Kind::Calendar)
        .ok_or_else(|| Failure::new(Code::NotFound, format!("there is no calendar \"{name}\"")))
}

fn shown_name(calendar: &Collection) -> Option<String> {
    let stored = calendar.settings.properties.get("{DAV:}displayname")?;
    let element = Element::parse(stored.as_bytes(), &xml::Limits::default()).ok()?;
    Some(element.text().into_owned())
}

fn component_names(calendar: &Collection) -> Vec<&'static str> {
    calendar
        .settings
        .components
        .iter()
        .map(Component::name)
        .collect()
}

/// The calendars of a home as JSON.
pub(super) fn described(home: &Home) -> Vec<Value> {
    calendars(home)
        .map(|calendar| {
            json!({
                "name": calendar.name,
                "display_name": shown_name(calendar),
                "components": component_names(calendar),
                "objects": calendar.count,
                "bytes": calendar.bytes,
                "created": shown(calendar.created),
                "modified": shown(calendar.modified()),
            })
        })
        .collect()
}

fn parse_components(names: &[String]) -> Result<Components, Failure> {
    if names.is_empty() {
        return Ok(Components::of(&[Component::Event]));
    }
    let all: Vec<Component> = Components::ALL.iter().collect();
    let mut found = Vec::new();
    for name in names {
        let component = all
            .iter()
            .find(|component| component.name().eq_ignore_ascii_case(name));
        found.push(*component.ok_or_else(|| {
            let known: Vec<&str> = all.iter().map(|component| component.name()).collect();
            Failure::new(
                Code::Usage,
                format!("\"{name}\" is none of {}", known.join(", ")),
            )
        })?);
    }
    Ok(Components::of(&found))
}

/// Makes a calendar.
pub(super) async fn add(
    store: &Store,
    owner: Id,
    name: &str,
    settings: Settings,
    now: Timestamp,
) -> Result<(), Failure> {
    let id = Id::random()?;
    change(store, owner, now, "add calendar", |change, home| {
        if home.collection(name).is_some() {
            return Err(Failure::new(
                Code::Refused,
                format!("there is a \"{name}\" already"),
            ));
        }
        change.home(home).create_collection(NewCollection {
            id,
            name: Some(name.to_owned()),
            kind: Kind::Calendar,
            settings: settings.clone(),
        });
        Ok(())
    })
    .await
}

/// Removes a calendar as its owner would: its meetings are withdrawn, and the default calendar stays. RFC 6638 §3.2.3.2,
/// §4.3
async fn remove(ground: &Ground, owner: Id, name: &str, now: Timestamp) -> Result<(), Failure> {
    let stage = |change: &mut Change, home: &Arc<Home>| {
        let calendar = calendar(home, name)?;
        let default = schedule::default_calendar(home, Component::Event);
        if default.is_some_and(|default| default.id == calendar.id) {
            let sentence = format!(
                "\"{name}\" is where invitations are put: have another calendar chosen for them first"
            );
            return Err(Failure::new(Code::Refused, sentence));
        }
        schedule::withdrawn(change, home, calendar);
        change.home(home).remove_collection(calendar.id);
        Ok(())
    };
    let receipt = changed(&ground.store, owner, now, "remove calendar", stage).await?;
    schedule::deliver(&ground.shared, &receipt, now).await;
    Ok(())
}

/// Changes a home, again when somebody else was faster.
async fn change(
    store: &Store,
    owner: Id,
    now: Timestamp,
    what: &str,
    stage: impl Fn(&mut Change, &Arc<Home>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    changed(store, owner, now, what, stage).await.map(|_| ())
}

async fn changed(
    store: &Store,
    owner: Id,
    now: Timestamp,
    what: &str,
    stage: impl Fn(&mut Change, &Arc<Home>) -> Result<(), Failure>,
) -> Result<Receipt, Failure> {
    again(|| async {
        let turn = store.turn(&[owner]).await?;
        let home = turn.home(owner).cloned().ok_or(Refusal::NoHome)?;
        let mut change = Change::new(now, by(now).actor, what);
        if let Err(failure) = stage(&mut change, &home) {
            return Ok(Err(failure));
        }
        store.commit(change, turn).await.map(Ok)
    })
    .await?
}
