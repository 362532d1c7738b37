//! The messages that a row of the queue stands for, computed from the texts it names.

use super::alike::Alike;
use super::queue::{Kind, MailItem, Payload, Verbatim};
use super::who::{People, Way, way};
use crate::dav::Shared;
use crate::ical::{self, Component};
use crate::itip::{self, Addresses, Intent, Message, Route, Weight};
use crate::store::{Error, Home, Id, LocalMessage, Position};
use std::collections::HashMap;

/// A change with the messages that follow from it.
#[derive(Debug)]
pub(super) struct Prepared {
    payload: Payload,
    who: Addresses,
    sent: Vec<Message>,
    /// Which of them are for whom of this server.
    homes: HashMap<Id, Vec<usize>>,
    /// What their deliveries have in common.
    alike: Alike,
}

/// The messages of an item of the mail queue, in the order in which they are sent.
///
/// # Errors
/// [`Error::Conflict`] while the change is not durable yet, and what the store answers.
pub async fn messages_of(shared: &Shared, item: &MailItem) -> Result<Vec<Message>, Error> {
    let prepared = prepared(shared, &item.source, Some(&item.to)).await?;
    Ok(prepared.to_address(&item.to))
}

/// What the rows of one change have in common. `to` is the recipient by mail, who may have been forced upon.
pub(super) async fn prepared(
    shared: &Shared,
    row: &LocalMessage,
    to: Option<&str>,
) -> Result<Prepared, Error> {
    let payload = Payload::decode(&row.payload)?;
    let store = &shared.store;
    let home = store.home(row.from).await?;
    let texts = [row.old, row.new].into_iter().flatten();
    let needed = texts.map(|at| at.revision).max().unwrap_or_default();
    if home.exists() && home.revision() < needed {
        // Its commit is ordered and will be durable in a moment.
        return Err(Error::Conflict);
    }
    let old = text(shared, &home, row, row.old).await?;
    let mut new = text(shared, &home, row, row.new).await?;
    let directory = store.directory().await?;
    let people = People::of(&directory, row.from, shared.outside);
    let people = people.in_calendar(old.as_ref()).in_calendar(new.as_ref());
    let who = people.addresses();
    if payload.kind == Kind::Forced
        && let Some(new) = &mut new
    {
        force(new, |address| match to {
            Some(to) => who.person(address) == who.person(to),
            None => way(&who, address) == Way::Home(row.to),
        });
    }
    let change = (old.as_ref(), new.as_ref());
    let sent = sent(shared, (&payload, &row.uid), change, &who);
    let mut homes: HashMap<Id, Vec<usize>> = HashMap::new();
    for (place, message) in sent.iter().enumerate() {
        if let Way::Home(id) = way(&who, &message.to) {
            homes.entry(id).or_default().push(place);
        }
    }
    Ok(Prepared {
        payload,
        who,
        sent,
        homes,
        alike: Alike::default(),
    })
}

/// The messages that follow from a change, or from what a row says beside it.
fn sent(
    shared: &Shared,
    (payload, uid): (&Payload, &str),
    (old, new): (Option<&Component>, Option<&Component>),
    who: &Addresses,
) -> Vec<Message> {
    let current = |weight| match new {
        Some(new) => itip::current_of_all(new, who, weight, payload.at),
        None => Vec::new(),
    };
    match &payload.kind {
        Kind::Refresh => current(Weight::Refresh),
        Kind::Request => current(Weight::News),
        Kind::Withdraw => Vec::new(),
        Kind::Verbatim(message) => verbatim(message, uid).into_iter().collect(),
        Kind::Change | Kind::Forced => {
            let limits = super::limits::of(&shared.limits);
            match itip::outgoing((old, new), who, Intent::Change, payload.at, &limits) {
                Ok(outgoing) => outgoing.messages,
                Err(refused) => {
                    // It was not refused when it was stored; the directory has changed since.
                    tracing::warn!(?refused, uid, "nothing is sent of a change");
                    Vec::new()
                }
            }
        }
    }
}

impl Prepared {
    /// Whether the recipient is to hear of it even if nothing changed. RFC 6638 §7.2
    pub(super) fn is_forced(&self) -> bool {
        self.payload.kind == Kind::Forced
    }

    /// The people it names, looked up.
    pub(super) fn people(&self) -> &Addresses {
        &self.who
    }

    /// What their deliveries have in common.
    pub(super) fn alike(&self) -> &Alike {
        &self.alike
    }

    /// What somebody of this server is sent.
    pub(super) fn to_home(&self, id: Id) -> Vec<Message> {
        if matches!(self.payload.kind, Kind::Verbatim(_)) {
            return self.sent.clone();
        }
        let places = self.homes.get(&id).into_iter().flatten();
        let messages = places.filter_map(|place| self.sent.get(*place));
        messages.cloned().collect()
    }

    /// What is sent to people whom the directory does not have any more.
    pub(super) fn to_nobody(&self) -> Vec<Message> {
        let unknown = |message: &&Message| self.who.route(&message.to) == Route::Unknown;
        self.sent.iter().filter(unknown).cloned().collect()
    }

    /// What the person of this address is sent.
    fn to_address(&self, to: &str) -> Vec<Message> {
        if matches!(self.payload.kind, Kind::Verbatim(_)) {
            return self.sent.clone();
        }
        let person = self.who.person(to);
        let messages = self.sent.iter();
        let theirs = messages.filter(|m| self.who.person(&m.to) == person);
        theirs.cloned().collect()
    }
}

fn verbatim(kept: &Verbatim, uid: &str) -> Option<Message> {
    let parsed = ical::parse(kept.text.as_bytes(), &ical::Limits::default());
    Some(Message {
        method: kept.method,
        from: kept.from.clone(),
        to: kept.to.clone(),
        uid: uid.to_owned(),
        weight: Weight::News,
        calendar: parsed.calendars.into_iter().next()?.into(),
    })
}

/// Puts back what was asked for when the object was stored, and was not kept with it. RFC 6638 §7.2
fn force(calendar: &mut Component, is_recipient: impl Fn(&str) -> bool) {
    for component in calendar.all_components_mut() {
        for property in component.all_properties_mut() {
            if property.is("ATTENDEE") && is_recipient(property.value()) {
                property.set_param("SCHEDULE-FORCE-SEND", "REQUEST");
            } else if property.is("ORGANIZER") && is_recipient(property.value()) {
                property.set_param("SCHEDULE-FORCE-SEND", "REPLY");
            }
        }
    }
}

async fn text(
    shared: &Shared,
    home: &Home,
    row: &LocalMessage,
    at: Option<Position>,
) -> Result<Option<Component>, Error> {
    let (Some(at), Some(collection)) = (at, home.any_collection(row.collection)) else {
        return Ok(None);
    };
    let Some(header) = home.header_at(collection, &row.name, at).await? else {
        return Ok(None);
    };
    Ok(read(&home.text(&header).await?, shared))
}

/// A stored text as a tree.
pub(super) fn read(text: &[u8], shared: &Shared) -> Option<Component> {
    let limits = ical::Limits {
        bytes: shared.limits.resource_bytes,
        ..shared.limits.ical
    };
    ical::parse(text, &limits).calendars.into_iter().next()
}
