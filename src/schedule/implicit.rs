//! Implicit scheduling: what a PUT or a DELETE by the owner of a calendar makes the server send (RFC 6638 §3.2).
//!
//! The messages are computed here to write SCHEDULE-STATUS and to know who is told; what is staged with the object are
//! rows that name the change, one for each recipient. They are delivered after the commit.

use super::groups;

use super::known::Known;
use super::messages;
use super::plan::Plan;
use super::tag;
use super::who::{People, principal_of};
use crate::dav::{Condition, Context, Error, Place, collection_href};
use crate::ical::{CalendarObject, Component};
use crate::itip::{self, Addresses, Intent, Outgoing, Refused};
use crate::store::{Collection, Header, Position, Tag};

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
        let home = &target.place.home;
        let at = (target.collection.id, target.name);
        match self.plan {
            Some(plan) => Ok(plan.stage(&mut cx.change, home, at, Some(text))?),
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
    let before = Known::of(&target.place.home, &object.uid).await?;
    let before = before.unwrap_or_default();
    let revived = match tag::is_organizer(sent, &who) && before.gone {
        true => before.state.revived(sent),
        false => None,
    };
    let sent = revived.as_ref().unwrap_or(sent);
    let who = people.in_calendar(Some(sent)).addresses();
    let outgoing = outgoing(cx, (old.as_ref(), Some(sent)), &who, Intent::Change)?;
    let mut plan = Plan::of(&outgoing, &who, &object.uid);
    plan.old = existing.map(|header| header.text);
    plan.force(sent, &who);
    // An object that is there again is not gone, and one that its owner's program put was not placed by delivery.
    let placed = match existing.is_none() || target.adopted.is_some() {
        true => None,
        false => before.placed.clone(),
    };
    let after = Known {
        gone: false,
        placed,
        ..before.clone()
    };
    plan.known = (after != before).then_some(after);
    let store = outgoing.store.or(revived).or(expanded).or(merged);
    Ok(Decided {
        calendar: store.filter(|store| *store != object.calendar),
        tag: if is_scheduling { Tag::Move } else { Tag::None },
        plan: Some(plan),
    })
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
    let told = outgoing.declines().then_some(cx.now);
    let gone = (existing.uid(), &old);
    plan.known = Some(Known::gone(&target.place.home, gone, told).await?);
    let at = (target.collection.id, target.name);
    Ok(plan.stage(&mut cx.change, &target.place.home, at, None)?)
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
