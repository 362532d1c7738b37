//! The messages that a row of the queue stands for, computed from the texts it names.

use super::queue::{Kind, MailItem, Payload, Verbatim};
use super::who::{People, Way, way};
use crate::dav::Shared;
use crate::ical::{self, Component};
use crate::itip::{self, Addresses, Intent, Message, Weight};
use crate::store::{Error, Home, Id, LocalMessage, Position};

/// A change with the messages that follow from it.
#[derive(Debug)]
pub(super) struct Prepared {
    payload: Payload,
    uid: String,
    who: Addresses,
    new: Option<Component>,
    sent: Vec<Message>,
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
    let mut prepared = Prepared {
        payload,
        uid: row.uid.clone(),
        who,
        new,
        sent: Vec::new(),
    };
    if matches!(prepared.payload.kind, Kind::Change | Kind::Forced) {
        prepared.sent = prepared.of_change(shared, old.as_ref());
    }
    Ok(prepared)
}

impl Prepared {
    fn of_change(&self, shared: &Shared, old: Option<&Component>) -> Vec<Message> {
        let outgoing = itip::outgoing(
            (old, self.new.as_ref()),
            &self.who,
            Intent::Change,
            self.payload.at,
            &super::limits::of(&shared.limits),
        );
        match outgoing {
            Ok(outgoing) => outgoing.messages,
            Err(refused) => {
                // It was not refused when it was stored; the directory has changed since.
                tracing::warn!(?refused, uid = self.uid, "nothing is sent of a change");
                Vec::new()
            }
        }
    }

    /// Whether the recipient is to hear of it even if nothing changed. RFC 6638 §7.2
    pub(super) fn is_forced(&self) -> bool {
        self.payload.kind == Kind::Forced
    }

    /// The people it names, looked up.
    pub(super) fn people(&self) -> &Addresses {
        &self.who
    }

    /// What somebody of this server is sent.
    pub(super) fn to_home(&self, id: Id) -> Vec<Message> {
        self.chosen(|address| way(&self.who, address) == Way::Home(id))
    }

    /// What the person of this address is sent.
    fn to_address(&self, to: &str) -> Vec<Message> {
        let person = self.who.person(to);
        self.chosen(|address| self.who.person(address) == person)
    }

    fn chosen(&self, is_recipient: impl Fn(&str) -> bool) -> Vec<Message> {
        let current = |weight| -> Vec<Message> {
            let Some(new) = &self.new else {
                return Vec::new();
            };
            let mut invited = attendees(new);
            let to = invited.find(|address| is_recipient(address));
            let message =
                to.and_then(|to| itip::current(new, to, &self.who, weight, self.payload.at));
            message.into_iter().collect()
        };
        match &self.payload.kind {
            Kind::Change | Kind::Forced => {
                let messages = self.sent.iter().filter(|m| is_recipient(&m.to));
                messages.cloned().collect()
            }
            Kind::Refresh => current(Weight::Refresh),
            Kind::Request => current(Weight::News),
            Kind::Withdraw => Vec::new(),
            Kind::Verbatim(message) => verbatim(message, &self.uid).into_iter().collect(),
        }
    }
}

fn attendees(calendar: &Component) -> impl Iterator<Item = &str> {
    calendar
        .all_components()
        .flat_map(|component| component.properties("ATTENDEE"))
        .map(|attendee| attendee.value().trim())
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
