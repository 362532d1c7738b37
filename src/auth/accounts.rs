//! Making, changing and removing principals: users, groups, rooms and
//! resources, their addresses, passwords and homes.
//!
//! An account is made whole: principal, credentials, home and the collections
//! every client expects are one commit.

use std::fmt;
use std::sync::Arc;

use super::names::{addresses, check_name, check_text};
use super::password::HashError;
use crate::ical::Timestamp;
use crate::store::{
    self, Actor, Booking, Change, Component, Components, Contended, Credentials, Directory, Id,
    Kind, NewCollection, Principal, PrincipalKind, Properties, Settings, Store, again,
};

/// Why an account was not made or changed.
#[derive(Debug)]
pub enum Error {
    /// There is no principal of this name and kind.
    Unknown(String),
    /// The name, address or text cannot be one; the sentence says why.
    Bad(String),
    /// The name or address belongs to somebody else, or the change cannot be.
    Refused(String),
    /// A password could not be hashed.
    Hash(HashError),
    /// The store failed.
    Store(store::Error),
}

impl Contended for Error {
    fn is_conflict(&self) -> bool {
        matches!(self, Error::Store(error) if error.is_conflict())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unknown(name) => write!(f, "there is no {name}"),
            Error::Bad(sentence) | Error::Refused(sentence) => f.write_str(sentence),
            Error::Hash(error) => error.fmt(f),
            Error::Store(error) => error.fmt(f),
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        match error {
            store::Error::Refused(store::Refusal::NameTaken(name)) => {
                Error::Refused(format!("the name \"{name}\" is taken"))
            }
            store::Error::Refused(store::Refusal::AddressTaken(address)) => {
                Error::Refused(format!("the address {address} belongs to somebody else"))
            }
            error => Error::Store(error),
        }
    }
}

/// Who makes a change and when: what the history of the directory shows.
#[derive(Clone, Debug)]
pub struct By {
    /// The principal or program.
    pub actor: Actor,
    /// The time.
    pub now: Timestamp,
}

/// A principal to be made.
#[derive(Clone, Debug)]
pub struct NewPrincipal {
    /// What it is.
    pub kind: PrincipalKind,
    /// Its name: the last segment of its URL, and what users log in with.
    pub name: String,
    /// The name people read; the name if it is empty.
    pub display_name: String,
    /// Calendar user addresses, the preferred one first; a mail address stands
    /// for its `mailto:` URI.
    pub addresses: Vec<String>,
    /// Whether it may do everything.
    pub admin: bool,
    /// The password as a PHC string.
    pub password: Option<String>,
}

impl NewPrincipal {
    /// A principal with nothing but a name.
    pub fn named(kind: PrincipalKind, name: &str) -> NewPrincipal {
        NewPrincipal {
            kind,
            name: name.to_owned(),
            display_name: String::new(),
            addresses: Vec::new(),
            admin: false,
            password: None,
        }
    }
}

/// What is to be different about a principal; `None` leaves things as they are.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// The name people read.
    pub display_name: Option<String>,
    /// All calendar user addresses, the preferred one first.
    pub addresses: Option<Vec<String>>,
    /// The language, as RFC 5646 writes it; empty for none.
    pub locale: Option<String>,
    /// The time zone, as IANA names it; empty for none.
    pub timezone: Option<String>,
    /// Whether it may do everything.
    pub admin: Option<bool>,
    /// Whether it may not log in.
    pub disabled: Option<bool>,
    /// How it is booked.
    pub booking: Option<Booking>,
}

/// Makes a principal and, for all but groups, its home with `calendar/`,
/// `tasks/` (users), `inbox/`, `outbox/` and `notification/`, in one commit.
pub async fn add(store: &Store, new: &NewPrincipal, by: &By) -> Result<Id, Error> {
    check_name(&new.name)?;
    check_text(&new.display_name)?;
    let addresses = addresses(&new.addresses)?;
    let id = Id::random()?;
    let display_name = if new.display_name.is_empty() {
        &new.name
    } else {
        &new.display_name
    };
    let principal = Principal {
        id,
        kind: new.kind,
        name: new.name.clone(),
        display_name: display_name.clone(),
        addresses,
        locale: None,
        timezone: None,
        admin: new.admin,
        disabled: false,
        properties: Properties::new(),
        created: by.now,
        revision: 0,
    };
    let homes = if new.kind == PrincipalKind::Group {
        vec![Id::DIRECTORY]
    } else {
        vec![Id::DIRECTORY, id]
    };
    commit(store, by, "add account", &homes, |staging| {
        if let Some(other) = staging.directory.by_name(&new.name) {
            return Err(Error::Refused(format!(
                "there is a {} of that name",
                kind_name(other.kind)
            )));
        }
        let change = staging.change.directory(staging.directory);
        change.add(principal.clone());
        if new.password.is_some() {
            change.set_credentials(
                id,
                Credentials {
                    password: new.password.clone(),
                    app_passwords: Vec::new(),
                },
            );
        }
        if new.kind == PrincipalKind::Group {
            return Ok(());
        }
        make_home(staging, id, new.kind)
    })
    .await?;
    Ok(id)
}

fn make_home(staging: &mut Staging<'_>, id: Id, kind: PrincipalKind) -> Result<(), Error> {
    let home = staging
        .turn
        .home(id)
        .ok_or(store::Error::Refused(store::Refusal::NotInTurn))?;
    let change = staging.change.home(home);
    change.create();
    for new in collections(kind)? {
        change.create_collection(new);
    }
    Ok(())
}

/// What stands in a new home.
fn collections(kind: PrincipalKind) -> Result<Vec<NewCollection>, Error> {
    let calendar = |name: &str, title: &str, components: Components| {
        Ok::<_, Error>(NewCollection {
            id: Id::random()?,
            name: Some(name.to_owned()),
            kind: Kind::Calendar,
            settings: Settings {
                components,
                properties: display_name(title),
                ..Settings::default()
            },
        })
    };
    let special = |name: &str, kind: Kind| {
        Ok::<_, Error>(NewCollection {
            id: Id::random()?,
            name: Some(name.to_owned()),
            kind,
            settings: Settings::default(),
        })
    };
    let mut all = vec![calendar(
        "calendar",
        "Calendar",
        Components::of(&[Component::Event]),
    )?];
    if kind == PrincipalKind::User {
        all.push(calendar(
            "tasks",
            "Tasks",
            Components::of(&[Component::Todo]),
        )?);
    }
    all.push(special("inbox", Kind::Inbox)?);
    all.push(special("outbox", Kind::Outbox)?);
    all.push(special("notification", Kind::Notifications)?);
    Ok(all)
}

/// DAV:displayname as the store keeps it: Clark name and element.
pub fn display_name(text: &str) -> Properties {
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let element = format!("<D:displayname xmlns:D=\"DAV:\">{escaped}</D:displayname>");
    Properties::from([("{DAV:}displayname".to_owned(), element)])
}

/// Changes what an [`Edit`] names.
pub async fn edit(
    store: &Store,
    kinds: &[PrincipalKind],
    name: &str,
    edit: &Edit,
    by: &By,
) -> Result<(), Error> {
    for text in [&edit.display_name, &edit.locale, &edit.timezone]
        .into_iter()
        .flatten()
    {
        check_text(text)?;
    }
    let new_addresses = edit.addresses.as_deref().map(addresses).transpose()?;
    commit(store, by, "set account", &[Id::DIRECTORY], |staging| {
        let mut principal = Principal::clone(find(staging.directory, kinds, name)?);
        if let Some(text) = &edit.display_name {
            principal.display_name.clone_from(text);
        }
        if let Some(addresses) = &new_addresses {
            principal.addresses.clone_from(addresses);
        }
        let optional = |text: &String| (!text.is_empty()).then(|| text.clone());
        if let Some(locale) = &edit.locale {
            principal.locale = optional(locale);
        }
        if let Some(timezone) = &edit.timezone {
            principal.timezone = optional(timezone);
        }
        principal.admin = edit.admin.unwrap_or(principal.admin);
        principal.disabled = edit.disabled.unwrap_or(principal.disabled);
        if let Some(booking) = &edit.booking {
            booking.keep(&mut principal);
        }
        staging
            .change
            .directory(staging.directory)
            .update(principal);
        Ok(())
    })
    .await
}

/// Removes a principal together with its home.
pub async fn remove(
    store: &Store,
    kinds: &[PrincipalKind],
    name: &str,
    by: &By,
) -> Result<(), Error> {
    let id = find(&*store.directory().await?, kinds, name)?.id;
    commit(
        store,
        by,
        "remove account",
        &[Id::DIRECTORY, id],
        |staging| {
            if find(staging.directory, kinds, name)?.id != id {
                return Err(Error::Store(store::Error::Conflict));
            }
            staging.change.directory(staging.directory).remove(id);
            if let Some(home) = staging.turn.home(id).filter(|home| home.exists()) {
                staging.change.home(home).remove();
            }
            Ok(())
        },
    )
    .await
}

/// Adds and drops direct members of a group, by their names.
pub async fn change_members(
    store: &Store,
    group: &str,
    add: &[String],
    remove: &[String],
    by: &By,
) -> Result<(), Error> {
    commit(store, by, "set members", &[Id::DIRECTORY], |staging| {
        let directory = staging.directory;
        let group = find(directory, &[PrincipalKind::Group], group)?.id;
        let mut members = directory.members_of(group).to_vec();
        for name in remove {
            let id = find(directory, ALL_KINDS, name)?.id;
            members.retain(|member| *member != id);
        }
        for name in add {
            let id = find(directory, ALL_KINDS, name)?.id;
            if id == group || directory.is_member(group, id) {
                return Err(Error::Refused(format!(
                    "the group is in \"{name}\" already, so it cannot hold it"
                )));
            }
            if !members.contains(&id) {
                members.push(id);
            }
        }
        staging
            .change
            .directory(directory)
            .set_members(group, members);
        Ok(())
    })
    .await
}

/// What a change is staged on.
struct Staging<'a> {
    change: &'a mut Change,
    directory: &'a Arc<Directory>,
    turn: &'a store::Turn,
}

/// Stages and commits, again when somebody else was faster.
async fn commit(
    store: &Store,
    by: &By,
    what: &str,
    homes: &[Id],
    stage: impl Fn(&mut Staging<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    again(|| async {
        let turn = store.turn(homes).await?;
        let directory = turn
            .directory()
            .ok_or(store::Error::Refused(store::Refusal::NotInTurn))?
            .clone();
        let mut change = Change::new(by.now, by.actor.clone(), what);
        stage(&mut Staging {
            change: &mut change,
            directory: &directory,
            turn: &turn,
        })?;
        store.commit(change, turn).await?;
        Ok(())
    })
    .await
}

/// Every kind of principal.
pub const ALL_KINDS: &[PrincipalKind] = &[
    PrincipalKind::User,
    PrincipalKind::Group,
    PrincipalKind::Room,
    PrincipalKind::Resource,
];

/// The kind of a principal as people say it.
pub fn kind_name(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::User => "user",
        PrincipalKind::Group => "group",
        PrincipalKind::Room => "room",
        PrincipalKind::Resource => "resource",
    }
}

/// The principal of this name, if it is of one of these kinds.
pub fn find<'a>(
    directory: &'a Directory,
    kinds: &[PrincipalKind],
    name: &str,
) -> Result<&'a Arc<Principal>, Error> {
    directory
        .by_name(name)
        .filter(|principal| kinds.contains(&principal.kind))
        .ok_or_else(|| match kinds {
            [kind] => Error::Unknown(format!("{} \"{name}\"", kind_name(*kind))),
            _ => Error::Unknown(format!("principal \"{name}\"")),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_name_is_escaped() {
        let properties = display_name("R&D <a>");
        let element = &properties["{DAV:}displayname"];
        assert_eq!(
            element,
            "<D:displayname xmlns:D=\"DAV:\">R&amp;D &lt;a&gt;</D:displayname>"
        );
    }
}
