//! `user`, `group`, `resource` and `app-password`.

use serde_json::{Value, json};

use super::args::{
    AppPassword, Group, List, OfUser, Resource, ResourceType, Set, SetResource, Show, User,
};
use super::bookings;
use super::clock::shown;
use super::failure::{Code, Failure};
use super::mail;
use super::output::{Out, table};
use super::run::{Ground, by};
use crate::auth::accounts::{self, Edit, NewPrincipal, find, kind_name};
use crate::auth::{password, secrets};
use crate::ical::Timestamp;
use crate::recur::Zone;
use crate::schedule;
use crate::store::{Booking, Directory, Id, Principal, PrincipalKind};

const USERS: &[PrincipalKind] = &[PrincipalKind::User];
const GROUPS: &[PrincipalKind] = &[PrincipalKind::Group];
pub(super) const BOOKABLE: &[PrincipalKind] = &[PrincipalKind::Room, PrincipalKind::Resource];

/// `user`.
pub(super) async fn user(
    command: User,
    ground: &Ground,
    now: Timestamp,
    out: &Out,
) -> Result<(), Failure> {
    let store = &ground.store;
    match command {
        User::Add {
            name,
            display_name,
            addresses,
            admin,
            password,
        } => {
            let hash = hash(password.text, ground).await?;
            let new = NewPrincipal {
                display_name,
                addresses,
                admin,
                password: hash,
                ..NewPrincipal::named(PrincipalKind::User, &name)
            };
            accounts::add(store, &new, &by(now)).await?;
            out.line(format!(
                "{name} is there, with the calendars `calendar` and `tasks`."
            ))
            .await;
            Ok(())
        }
        User::List(List { json }) => list(USERS, json, ground, out).await,
        User::Show(Show { name, json }) => show(&name, json, ground, out).await,
        User::Set(change) => set(USERS, (change, None), ground, now, out).await,
        User::Passwd { name, password } => {
            let phc = hash(password.text, ground)
                .await?
                .ok_or_else(|| Failure::new(Code::Usage, "a password is needed"))?;
            secrets::set_password(store, &name, &phc, &by(now)).await?;
            out.line(format!("The password of {name} is changed."))
                .await;
            Ok(())
        }
        User::Remove { name } => remove(USERS, &name, ground, now, out).await,
    }
}

/// Hashing takes long, so it is done on a blocking thread.
async fn hash(password: Option<String>, ground: &Ground) -> Result<Option<String>, Failure> {
    let Some(text) = password else {
        return Ok(None);
    };
    let cost = ground.cost;
    tokio::task::spawn_blocking(move || password::hash(&text, cost))
        .await
        .map_err(|error| Failure::failed(error.to_string()))?
        .map(Some)
        .map_err(|error| Failure::failed(error.to_string()))
}

/// `group`.
pub(super) async fn group(
    command: Group,
    ground: &Ground,
    now: Timestamp,
    out: &Out,
) -> Result<(), Failure> {
    let store = &ground.store;
    match command {
        Group::Add {
            name,
            display_name,
            addresses,
            members,
        } => {
            // First the members, so that a typing error makes no empty group.
            let directory = store.directory().await?;
            for member in &members {
                find(&directory, accounts::ALL_KINDS, member)?;
            }
            let new = NewPrincipal {
                display_name,
                addresses,
                ..NewPrincipal::named(PrincipalKind::Group, &name)
            };
            accounts::add(store, &new, &by(now)).await?;
            accounts::change_members(store, &name, &members, &[], &by(now)).await?;
            out.line(format!("The group {name} is there.")).await;
            Ok(())
        }
        Group::List(List { json }) => list(GROUPS, json, ground, out).await,
        Group::Set {
            name,
            display_name,
            addresses,
            add,
            remove,
        } => {
            let edit = Edit {
                display_name,
                addresses: (!addresses.is_empty()).then_some(addresses),
                ..Edit::default()
            };
            accounts::edit(store, GROUPS, &name, &edit, &by(now)).await?;
            accounts::change_members(store, &name, &add, &remove, &by(now)).await?;
            out.line(format!("The group {name} is changed.")).await;
            Ok(())
        }
        Group::Remove { name } => remove(GROUPS, &name, ground, now, out).await,
    }
}

/// `resource`.
pub(super) async fn resource(
    command: Resource,
    ground: &Ground,
    now: Timestamp,
    out: &Out,
) -> Result<(), Failure> {
    match command {
        Resource::Add {
            name,
            kind,
            display_name,
            addresses,
            booking,
        } => {
            let kind = match kind {
                ResourceType::Room => PrincipalKind::Room,
                ResourceType::Resource => PrincipalKind::Resource,
            };
            let new = NewPrincipal {
                display_name,
                addresses,
                ..NewPrincipal::named(kind, &name)
            };
            let directory = ground.store.directory().await?;
            let booking = bookings::changed(&directory, &booking, None)?;
            accounts::add(&ground.store, &new, &by(now)).await?;
            if booking.is_some() {
                let edit = Edit {
                    booking,
                    ..Edit::default()
                };
                accounts::edit(&ground.store, BOOKABLE, &name, &edit, &by(now)).await?;
            }
            out.line(format!(
                "The {} {name} is there, with a calendar.",
                kind_name(kind)
            ))
            .await;
            Ok(())
        }
        Resource::List(List { json }) => list(BOOKABLE, json, ground, out).await,
        Resource::Show(Show { name, json }) => bookings::show(&name, json, ground, out).await,
        Resource::Set(SetResource { change, booking }) => {
            let directory = ground.store.directory().await?;
            let resource = find(&directory, BOOKABLE, &change.name)?;
            let booking = bookings::changed(&directory, &booking, Some(resource))?;
            set(BOOKABLE, (change, booking), ground, now, out).await
        }
        Resource::Remove { name } => remove(BOOKABLE, &name, ground, now, out).await,
    }
}

async fn set(
    kinds: &[PrincipalKind],
    (change, booking): (Set, Option<Booking>),
    ground: &Ground,
    now: Timestamp,
    out: &Out,
) -> Result<(), Failure> {
    check_place(&change)?;
    let addresses = if change.no_addresses || !change.addresses.is_empty() {
        Some(change.addresses)
    } else {
        None
    };
    let edit = Edit {
        display_name: change.display_name,
        addresses,
        locale: change.locale,
        timezone: change.timezone,
        admin: change.admin,
        disabled: change.disabled,
        booking,
    };
    accounts::edit(&ground.store, kinds, &change.name, &edit, &by(now)).await?;
    out.line(format!("{} is changed.", change.name)).await;
    Ok(())
}

/// A time zone must be one, a language must look like one. RFC 5646 §2.1
fn check_place(change: &Set) -> Result<(), Failure> {
    let zone = change.timezone.as_deref().unwrap_or_default();
    if !zone.is_empty() && Zone::named(zone).is_none() {
        let sentence = format!("\"{zone}\" is no time zone such as Europe/Berlin");
        return Err(Failure::new(Code::Usage, sentence));
    }
    let locale = change.locale.as_deref().unwrap_or_default();
    let subtag = |tag: &str| {
        (1..=8).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    if !locale.is_empty() && !locale.split('-').all(subtag) {
        let sentence = format!("\"{locale}\" is no language such as en or pt-BR");
        return Err(Failure::new(Code::Usage, sentence));
    }
    Ok(())
}

async fn remove(
    kinds: &[PrincipalKind],
    name: &str,
    ground: &Ground,
    now: Timestamp,
    out: &Out,
) -> Result<(), Failure> {
    let directory = ground.store.directory().await?;
    let leaving = find(&directory, kinds, name)?.id;
    // People they invited are told, and organizers who invited them.
    schedule::leave(&ground.shared, leaving, now).await?;
    mail::all_sent(ground, (leaving, name), now).await?;
    accounts::remove(&ground.store, kinds, name, &by(now)).await?;
    out.line(format!("{name} is removed.")).await;
    Ok(())
}

async fn list(
    kinds: &[PrincipalKind],
    json: bool,
    ground: &Ground,
    out: &Out,
) -> Result<(), Failure> {
    let directory = ground.store.directory().await?;
    let some = directory
        .principals()
        .filter(|principal| kinds.contains(&principal.kind));
    if json {
        let all: Vec<Value> = some
            .map(|principal| bookings::with_booking(&directory, principal))
            .collect();
        out.line(Value::from(all).to_string()).await;
        return Ok(());
    }
    let head = if kinds == GROUPS {
        ["NAME", "SHOWN AS", "ADDRESSES", "MEMBERS"]
    } else {
        ["NAME", "SHOWN AS", "ADDRESSES", "REMARKS"]
    };
    let rows: Vec<Vec<String>> = some
        .map(|principal| {
            let last = if kinds == GROUPS {
                names(&directory, directory.members_of(principal.id)).join(" ")
            } else {
                remarks(principal)
            };
            vec![
                principal.name.clone(),
                principal.display_name.clone(),
                principal
                    .addresses
                    .iter()
                    .map(|uri| plain(uri))
                    .collect::<Vec<_>>()
                    .join(" "),
                last,
            ]
        })
        .collect();
    for line in table(&head, &rows) {
        out.line(line).await;
    }
    Ok(())
}

pub(super) fn plain(uri: &str) -> String {
    uri.strip_prefix("mailto:").unwrap_or(uri).to_owned()
}

fn remarks(principal: &Principal) -> String {
    let kind = match principal.kind {
        PrincipalKind::User | PrincipalKind::Group => None,
        kind => Some(kind_name(kind)),
    };
    let answer = Booking::of(principal).map(|booking| booking.answer.word());
    let admin = principal.admin.then_some("admin");
    let disabled = principal.disabled.then_some("disabled");
    [kind, answer, admin, disabled]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
}

pub(super) fn names(directory: &Directory, ids: &[Id]) -> Vec<String> {
    let mut names: Vec<String> = ids
        .iter()
        .filter_map(|id| directory.principal(*id))
        .map(|principal| principal.name.clone())
        .collect();
    names.sort();
    names
}

pub(super) fn described(directory: &Directory, principal: &Principal) -> Value {
    json!({
        "name": principal.name,
        "kind": kind_name(principal.kind),
        "display_name": principal.display_name,
        "addresses": principal.addresses,
        "locale": principal.locale,
        "timezone": principal.timezone,
        "admin": principal.admin,
        "disabled": principal.disabled,
        "created": shown(principal.created),
        "groups": names(directory, &directory.groups_of(principal.id)),
        "members": names(directory, directory.members_of(principal.id)),
    })
}

async fn show(name: &str, json: bool, ground: &Ground, out: &Out) -> Result<(), Failure> {
    let directory = ground.store.directory().await?;
    let principal = find(&directory, USERS, name)?;
    let home = ground.store.home(principal.id).await?;
    let credentials = ground.store.credentials(principal.id).await?;
    let calendars = super::calendars::described(&home);
    if json {
        let mut all = described(&directory, principal);
        if let Value::Object(fields) = &mut all {
            fields.insert("calendars".to_owned(), Value::from(calendars));
            fields.insert("bytes".to_owned(), Value::from(home.bytes_used()));
            fields.insert("app_passwords".to_owned(), Value::from(apps(&credentials)));
        }
        out.line(all.to_string()).await;
        return Ok(());
    }
    let optional = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let groups = names(&directory, &directory.groups_of(principal.id));
    for (label, value) in [
        ("name", principal.name.clone()),
        ("shown as", principal.display_name.clone()),
        (
            "addresses",
            principal
                .addresses
                .iter()
                .map(|uri| plain(uri))
                .collect::<Vec<_>>()
                .join(" "),
        ),
        ("language", optional(&principal.locale)),
        ("time zone", optional(&principal.timezone)),
        ("remarks", remarks(principal)),
        ("groups", groups.join(" ")),
        ("made", shown(principal.created)),
        (
            "URL path",
            format!("/dav/principals/users/{}/", principal.name),
        ),
        ("app passwords", credentials.app_passwords.len().to_string()),
        ("bytes", home.bytes_used().to_string()),
    ] {
        out.line(format!("{label:14} {value}").trim_end()).await;
    }
    Ok(())
}

fn apps(credentials: &crate::store::Credentials) -> Vec<Value> {
    credentials
        .app_passwords
        .iter()
        .map(|app| {
            json!({
                "label": app.label,
                "created": shown(app.created),
                "last_used": app.last_used.map(shown),
            })
        })
        .collect()
}

/// `app-password`.
pub(super) async fn app_password(
    command: AppPassword,
    ground: &Ground,
    now: Timestamp,
    out: &Out,
) -> Result<(), Failure> {
    let store = &ground.store;
    match command {
        AppPassword::Add { user, label } => {
            let text = password::random().map_err(|error| Failure::failed(error.to_string()))?;
            secrets::add_app_password(store, &user, &label, &password::app_hash(&text), &by(now))
                .await?;
            out.note(format!(
                "The password of {user} for \"{label}\". It is not shown again:"
            ))
            .await;
            out.line(text).await;
            Ok(())
        }
        AppPassword::List(OfUser { user, json }) => {
            let directory = store.directory().await?;
            let id = find(&directory, USERS, &user)?.id;
            let credentials = store.credentials(id).await?;
            if json {
                out.line(Value::from(apps(&credentials)).to_string()).await;
                return Ok(());
            }
            let rows: Vec<Vec<String>> = credentials
                .app_passwords
                .iter()
                .map(|app| {
                    let used = app.last_used.map_or_else(|| "never".to_owned(), shown);
                    vec![app.label.clone(), shown(app.created), used]
                })
                .collect();
            for line in table(&["LABEL", "MADE", "LAST USED"], &rows) {
                out.line(line).await;
            }
            Ok(())
        }
        AppPassword::Remove { user, label } => {
            secrets::remove_app_password(store, &user, &label, &by(now)).await?;
            out.line(format!(
                "The app password \"{label}\" of {user} is removed."
            ))
            .await;
            Ok(())
        }
    }
}
