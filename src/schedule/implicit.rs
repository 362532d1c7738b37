//! Implicit scheduling: what a PUT or a DELETE by the owner of a calendar makes the server send (RFC 6638 §3.2).
//!
//! The messages are computed here to write SCHEDULE-STATUS and to know who is told; what is staged with the object are
//! rows that name the change, one for each recipient. They are delivered after the commit.

use super::groups;
use super::journal::{self, Decision};
use super::known::Known;
use super::messages;
use super::queue::{Kind, MailItem, Payload};
use super::tag;
use super::who::{People, Way, principal_of, way};
use crate::dav::{Condition, Context, Error, Place, collection_href};
use crate::ical::{CalendarObject, Component};
use crate::itip::{self, Addresses, Intent, Message, Outgoing, Refused, Weight};
use crate::store::{Collection, Header, Id, LocalMessage, MailMessage, Position, Tag};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The object that a request changes.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The home it is in.
    pub place: &'a Place,
    /// Its calendar.
    pub collection: &'a Arc<Collection>,
    /// Its name.
    pub name: &'a str,
    /// What is there.
    pub existing: Option<&'a Header>,
    /// The object that goes there with the change.
    pub adopted: Option<&'a Adopted>,
}

/// An object that delivery placed and that its owner's program puts under a name of its own.
#[derive(Clone, Debug)]
pub struct Adopted {
    /// The calendar that it is in.
    pub collection: Arc<Collection>,
    /// What it is.
    pub header: Header,
}

/// What scheduling makes of an object that is stored.
#[derive(Debug)]
pub struct Decided {
    /// The VCALENDAR to store, where it is another than was sent.
    pub calendar: Option<Component>,
    /// What becomes of the Schedule-Tag. RFC 6638 §3.2.10
    pub tag: Tag,
    plan: Option<Plan>,
}

/// What is queued with the object.
#[derive(Debug)]
struct Plan {
    uid: String,
    old: Option<Position>,
    homes: BTreeMap<Id, Kind>,
    mails: BTreeMap<String, Kind>,
    decisions: Vec<Decision>,
    known: Option<Known>,
}

impl Decided {
    fn plain() -> Decided {
        Decided {
            calendar: None,
            tag: Tag::None,
            plan: None,
        }
    }

    /// Stages that an adopted object goes where it is put; before the object is.
    pub fn adopt(&mut self, cx: &mut Context, target: &Target<'_>) {
        let (Some(plan), Some(adopted)) = (&mut self.plan, target.adopted) else {
            return;
        };
        let home = cx.change.home(&target.place.home);
        let stamps = home.relocate(&adopted.header, target.collection.id, target.name);
        plan.old = Some(stamps.text);
    }

    /// Stages what is sent, in the change that stores the object; its text will have this position.
    pub fn stage(self, cx: &mut Context, target: &Target<'_>, text: Position) -> Result<(), Error> {
        match self.plan {
            Some(plan) => plan.stage(cx, target, Some(text)),
            None => Ok(()),
        }
    }
}

/// What a PUT of this object means. RFC 6638 §3.2.3.1
pub async fn put(
    cx: &Context,
    target: &Target<'_>,
    object: &CalendarObject,
) -> Result<Decided, Error> {
    let adopted = target.adopted.map(|adopted| &adopted.header);
    let existing = target.existing.filter(|header| header.tag.is_some());
    let existing = existing.or(adopted);
    let named = object
        .components()
        .any(|component| component.property("ORGANIZER").is_some());
    if existing.is_none() && !named {
        return Ok(Decided::plain());
    }
    let old = old_text(cx, target, existing).await?;
    let people = People::of(&cx.directory, target.place.owner.id, cx.shared.outside)
        .in_calendar(old.as_ref())
        .in_calendar(Some(&object.calendar));
    let who = people.addresses();
    let is_scheduling = tag::is_scheduling(&object.calendar, &who);
    if existing.is_none() {
        if !is_scheduling {
            return Ok(Decided::plain());
        }
        unique(cx, target, &object.uid).await?;
    }
    let merged = merged(cx, target, (old.as_ref(), &object.calendar), &who).await?;
    let sent = merged.as_ref().unwrap_or(&object.calendar);
    let expanded = expanded(cx, target, sent)?;
    let sent = expanded.as_ref().unwrap_or(sent);
    let who = people.in_calendar(Some(sent)).addresses();
    let outgoing = outgoing(cx, (old.as_ref(), Some(sent)), &who, Intent::Change)?;
    let mut plan = Plan::of(&outgoing, &who, &object.uid);
    plan.old = existing.map(|header| header.text);
    plan.force(sent, &who);
    plan.known = known(target, &object.uid, existing).await?;
    let store = outgoing.store.or(expanded).or(merged);
    Ok(Decided {
        calendar: store.filter(|store| *store != object.calendar),
        tag: if is_scheduling { Tag::Move } else { Tag::None },
        plan: Some(plan),
    })
}

/// What is known of the UID from now on, where that changes: an object that is there again is not gone, and one that
/// was put by its owner's program was not placed by delivery.
async fn known(
    target: &Target<'_>,
    uid: &str,
    existing: Option<&Header>,
) -> Result<Option<Known>, Error> {
    if existing.is_some() && target.adopted.is_none() {
        return Ok(None);
    }
    let known = Known::of(&target.place.home, uid).await?;
    Ok(known.map(|known| Known {
        gone: false,
        placed: None,
        ..known
    }))
}

/// The object with the answers that its program could not know of: it says which Schedule-Tag it has seen, and since
/// then only participation has changed. RFC 6638 §3.2.10.1
async fn merged(
    cx: &Context,
    target: &Target<'_>,
    (old, new): (Option<&Component>, &Component),
    who: &Addresses,
) -> Result<Option<Component>, Error> {
    let (Some(existing), Some(old)) = (target.existing, old) else {
        return Ok(None);
    };
    let conditional = cx.request.headers.get("If-Schedule-Tag-Match").is_some();
    let Some(seen) = existing
        .tag
        .filter(|tag| conditional && *tag != existing.text)
    else {
        return Ok(None);
    };
    let home = &target.place.home;
    let base = home.header_at(target.collection, target.name, seen).await?;
    let base = match base {
        Some(header) => messages::read(&home.text(&header).await?, &cx.shared),
        None => None,
    };
    let limits = super::limits::of(&cx.shared.limits);
    Ok(base.and_then(|base| itip::merge(&base, old, new, who, &limits)))
}

/// The organizer's object with the members of its groups.
fn expanded(
    cx: &Context,
    target: &Target<'_>,
    calendar: &Component,
) -> Result<Option<Component>, Error> {
    let owner = target.place.owner.id;
    let organizer = calendar
        .all_components()
        .find_map(|c| c.property("ORGANIZER"));
    let own = organizer
        .and_then(|o| principal_of(&cx.directory, o.value()))
        .is_some_and(|principal| principal.id == owner);
    let expanded = match own {
        true => groups::expanded(calendar, &cx.directory, owner),
        false => None,
    };
    let most = cx.shared.limits.attendees;
    let attendees = |calendar: &Component| {
        let components = calendar.all_components();
        components.map(|c| c.properties("ATTENDEE").count()).max()
    };
    if expanded.as_ref().and_then(attendees) > Some(most) {
        let sentence = format!("At most {most} attendees are kept, members of groups counted.");
        return Err(Condition::MaxAttendeesPerInstance.because(sentence));
    }
    Ok(expanded)
}

/// The object that delivery placed, if this PUT to a free name is its owner's program that stores the copy it made of
/// it: Apple's does so with an invitation it took out of the inbox. The UID and the organizer have to be the same, and
/// the changes those of RFC 6638 §3.2.2.1; anything else is a conflict.
pub async fn adopted(
    cx: &Context,
    target: &Target<'_>,
    object: &CalendarObject,
) -> Result<Option<Adopted>, Error> {
    let named = object
        .components()
        .any(|component| component.property("ORGANIZER").is_some());
    if target.existing.is_some() || !named {
        return Ok(None);
    }
    let home = &target.place.home;
    let Some(known) = Known::of(home, &object.uid).await? else {
        return Ok(None);
    };
    let Some((calendar, name)) = known.placed.filter(|_| !known.gone) else {
        return Ok(None);
    };
    let Some(collection) = home.collection_by_id(calendar).cloned() else {
        return Ok(None);
    };
    let Some(header) = home.header(&collection, &name).await? else {
        return Ok(None);
    };
    if header.tag.is_none() || header.uid() != object.uid {
        return Ok(None);
    }
    let old = messages::read(&home.text(&header).await?, &cx.shared);
    let people = People::of(&cx.directory, target.place.owner.id, cx.shared.outside);
    let people = people.in_calendar(old.as_ref());
    let who = people.in_calendar(Some(&object.calendar)).addresses();
    let change = (old.as_ref(), Some(&object.calendar));
    let limits = super::limits::of(&cx.shared.limits);
    let allowed = itip::outgoing(change, &who, Intent::Change, cx.now, &limits).is_ok();
    let invited = old
        .as_ref()
        .is_some_and(|old| !tag::is_organizer(old, &who));
    Ok((allowed && invited).then_some(Adopted { collection, header }))
}

/// Stages what the removal of an object means. RFC 6638 §3.2.3.2
pub async fn remove(cx: &mut Context, target: &Target<'_>) -> Result<(), Error> {
    let Some(existing) = target.existing.filter(|header| header.tag.is_some()) else {
        return Ok(());
    };
    let Some(old) = old_text(cx, target, Some(existing)).await? else {
        return Ok(());
    };
    let people = People::of(&cx.directory, target.place.owner.id, cx.shared.outside);
    let who = people.in_calendar(Some(&old)).addresses();
    // RFC 6638 §8.1
    let silent = cx.request.headers.get("Schedule-Reply");
    let intent = match silent.is_some_and(|value| value.trim().eq_ignore_ascii_case("F")) {
        true => Intent::Silence,
        false => Intent::Change,
    };
    let outgoing = outgoing(cx, (Some(&old), None), &who, intent)?;
    let mut plan = Plan::of(&outgoing, &who, existing.uid());
    plan.old = Some(existing.text);
    let known = Known::of(&target.place.home, existing.uid()).await?;
    let known = known.unwrap_or_default();
    plan.known = Some(Known {
        state: known.state.deleted(&old),
        placed: None,
        gone: true,
    });
    plan.stage(cx, target, None)
}

async fn old_text(
    cx: &Context,
    target: &Target<'_>,
    existing: Option<&Header>,
) -> Result<Option<Component>, Error> {
    let Some(existing) = existing else {
        return Ok(None);
    };
    let text = target.place.home.text(existing).await?;
    Ok(messages::read(&text, &cx.shared))
}

/// Whether no other calendar of the home has a scheduling object resource of this UID. RFC 6638 §3.2.4.1
async fn unique(cx: &Context, target: &Target<'_>, uid: &str) -> Result<(), Error> {
    let home = &target.place.home;
    match tag::find(home, uid).await? {
        Some((collection, header))
            if header.tag.is_some()
                && (collection.id, header.name()) != (target.collection.id, target.name) =>
        {
            let mut href = collection_href(&cx.hrefs, &target.place.owner, &collection.name);
            cx.hrefs.push(&mut href, header.name());
            Err(Condition::UniqueSchedulingObjectResource.at(href))
        }
        _ => Ok(()),
    }
}

fn outgoing(
    cx: &Context,
    change: (Option<&Component>, Option<&Component>),
    who: &Addresses,
    intent: Intent,
) -> Result<Outgoing, Error> {
    let limits = super::limits::of(&cx.shared.limits);
    itip::outgoing(change, who, intent, cx.now, &limits).map_err(|refused| match refused {
        Refused::SameOrganizer => Condition::SameOrganizerInAllComponents.into(),
        Refused::OrganizerChange(why) => {
            Condition::AllowedOrganizerSchedulingObjectChange.because(sentence(why))
        }
        Refused::AttendeeChange(why) => {
            Condition::AllowedAttendeeSchedulingObjectChange.because(sentence(why))
        }
        Refused::TooMany => {
            let most = limits.messages;
            let sentence = format!("At most {most} messages are sent of one change.");
            Condition::MaxAttendeesPerInstance.because(sentence)
        }
    })
}

fn sentence(why: &str) -> String {
    let mut text = format!("{why}.");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

impl Plan {
    fn of(outgoing: &Outgoing, who: &Addresses, uid: &str) -> Plan {
        let mut plan = Plan {
            uid: uid.to_owned(),
            old: None,
            homes: BTreeMap::new(),
            mails: BTreeMap::new(),
            decisions: decisions(&outgoing.messages, who),
            known: None,
        };
        for message in &outgoing.messages {
            match (way(who, &message.to), message.weight) {
                (Way::Home(id), _) => {
                    plan.homes.insert(id, Kind::Change);
                }
                (Way::Mail, Weight::News) => {
                    plan.mails.insert(message.to.clone(), Kind::Change);
                }
                (Way::Mail, Weight::Refresh) | (Way::Nowhere, _) => {}
            }
        }
        plan
    }

    /// Notes who was to be told in any case: the parameter that says so is not stored. RFC 6638 §7.2
    fn force(&mut self, calendar: &Component, who: &Addresses) {
        let properties = calendar
            .all_components()
            .flat_map(Component::all_properties)
            .filter(|p| p.param("SCHEDULE-FORCE-SEND").is_some());
        let forced: BTreeSet<&str> = properties.map(|p| p.value().trim()).collect();
        for address in forced {
            match way(who, address) {
                Way::Home(id) => {
                    self.homes.entry(id).and_modify(|kind| *kind = Kind::Forced);
                }
                Way::Mail => {
                    let person = who.person(address);
                    let mails = self.mails.iter_mut();
                    mails
                        .filter(|(to, _)| who.person(to) == person)
                        .for_each(|(_, kind)| *kind = Kind::Forced);
                }
                Way::Nowhere => {}
            }
        }
    }

    fn stage(
        self,
        cx: &mut Context,
        target: &Target<'_>,
        new: Option<Position>,
    ) -> Result<(), Error> {
        let home = &target.place.home;
        let row = |to: Id, kind: Kind| LocalMessage {
            to,
            from: home.id(),
            uid: self.uid.clone(),
            revision: home.revision().saturating_add(1),
            collection: target.collection.id,
            name: target.name.to_owned(),
            old: self.old,
            new,
            payload: Payload { kind, at: cx.now }.encode(),
        };
        for (id, kind) in &self.homes {
            cx.change.queue_local(&row(*id, kind.clone()));
        }
        for (to, kind) in &self.mails {
            let item = MailItem {
                source: row(home.id(), kind.clone()),
                to: to.clone(),
                note: String::new(),
            };
            cx.change.queue_mail(&MailMessage {
                id: Id::random()?,
                due: cx.now,
                payload: item.encode(),
            });
        }
        for decision in &self.decisions {
            journal::note(&mut cx.change, home, &self.uid, cx.now, decision)?;
        }
        if let Some(known) = &self.known {
            known.keep(cx.change.home(home), &self.uid);
        }
        Ok(())
    }
}

/// What is sent, for the journal: a row for each method and status.
fn decisions(messages: &[Message], who: &Addresses) -> Vec<Decision> {
    let mut by_kind: BTreeMap<(String, &str), Vec<&str>> = BTreeMap::new();
    for message in messages.iter().filter(|m| m.weight == Weight::News) {
        let status = who.route(&message.to).status();
        let kind = (message.method.to_string(), status);
        by_kind.entry(kind).or_default().push(&message.to);
    }
    let decisions = by_kind.into_iter();
    decisions
        .map(|((method, status), to)| Decision::sent(method, &to, status))
        .collect()
}
