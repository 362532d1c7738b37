//! Implicit scheduling: what a PUT or a DELETE by the owner of a calendar makes the server send (RFC 6638 §3.2).
//!
//! The messages are computed here to write SCHEDULE-STATUS and to know who is told; what is staged with the object are
//! rows that name the change, one for each recipient. They are delivered after the commit.

use super::journal::{self, Decision};
use super::known::Known;
use super::messages;
use super::queue::{Kind, MailItem, Payload};
use super::tag;
use super::who::{People, Way, way};
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
    let existing = target.existing.filter(|header| header.tag.is_some());
    let named = object
        .components()
        .any(|component| component.property("ORGANIZER").is_some());
    if existing.is_none() && !named {
        return Ok(Decided::plain());
    }
    let old = old_text(cx, target, existing).await?;
    let people = People::of(&cx.directory, target.place.owner.id, cx.shared.outside);
    let people = people.in_calendar(old.as_ref());
    let who = people.in_calendar(Some(&object.calendar)).addresses();
    let is_scheduling = tag::is_scheduling(&object.calendar, &who);
    if existing.is_none() && !is_scheduling {
        return Ok(Decided::plain());
    }
    if existing.is_none() {
        unique(cx, target, &object.uid).await?;
    }
    let outgoing = outgoing(
        cx,
        (old.as_ref(), Some(&object.calendar)),
        &who,
        Intent::Change,
    )?;
    let mut plan = Plan::of(&outgoing, &who, &object.uid);
    plan.old = existing.map(|header| header.text);
    plan.force(&object.calendar, &who);
    if existing.is_none() {
        let known = Known::of(&target.place.home, &object.uid).await?;
        let known = known.filter(|known| known.gone);
        plan.known = known.map(|known| Known {
            gone: false,
            placed: None,
            ..known
        });
    }
    Ok(Decided {
        calendar: outgoing.store.filter(|store| *store != object.calendar),
        tag: if is_scheduling { Tag::Move } else { Tag::None },
        plan: Some(plan),
    })
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
