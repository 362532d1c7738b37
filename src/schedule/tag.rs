//! Which objects are scheduling object resources, their Schedule-Tag, and where one of a UID is in a home
//! (RFC 6638 §3.1, §3.2.4.1, §3.2.10, §9.3).
//!
//! The store keeps a Schedule-Tag with each of them, so that an object without one is none.

use super::who::People;
use crate::dav::{
    Condition, Context, Entering, Error, Found, Get, Kinds, Listed, Needs, Outside, Property,
    Reading, Rules, Set, Transfer, collection_href,
};
use crate::ical::Component;
use crate::itip::{Addresses, Meeting};
use crate::store::{self, Collection, Directory, Header, Home, Id, Kind, Tag};
use crate::xml::{Name, Writer};
use std::sync::Arc;

/// What there is to say of copies. RFC 6638 §3.2.3.3
pub(super) const RULES: Rules = Rules {
    admit: |cx, entering| Box::pin(admit(cx, entering)),
    remove: |_, _| Box::pin(async { Ok(()) }),
};

/// One home has one scheduling object of a UID, so none is copied. The copy of a whole calendar has objects that nobody
/// is told of; RFC 6638 §3.2.3.3 leaves it undefined.
async fn admit(cx: &mut Context, entering: Entering<'_>) -> Result<(), Error> {
    let (place, collection) = entering.from;
    if entering.transfer != Transfer::Copy || entering.header.tag.is_none() {
        return Ok(());
    }
    let mut href = collection_href(&cx.hrefs, &place.owner, &collection.name);
    cx.hrefs.push(&mut href, entering.header.name());
    Err(Condition::UniqueSchedulingObjectResource.at(href))
}

/// The rows of this file.
pub(super) const PROPERTIES: &[Property] = &[Property {
    name: Name::caldav("schedule-tag"),
    spec: "RFC 6638 §9.3",
    on: Kinds::OBJECT,
    allprop: Listed::OnRequest,
    needs: Needs::Row,
    get: Get::Content(get),
    set: Set::Protected,
}];

fn get(reading: &Reading<'_>, out: &mut Writer) -> Found {
    let tag = reading.resource.header().and_then(Header::schedule_tag);
    if let Some(tag) = &tag {
        // A tag of ours holds nothing that XML would have escaped.
        out.raw(tag);
    }
    Found::when(tag.is_some())
}

/// The Schedule-Tag of an object that comes into a home otherwise than by its owner's program or by delivery: it has one
/// if it is a meeting of the owner, so that changes are told from now on, and no other calendar has one of the UID.
/// Nothing is sent. RFC 6638 §3.1, §3.2.4.1
pub async fn imported(
    directory: &Directory,
    (home, collection): (&Home, Id),
    (uid, object): (&str, &Component),
) -> Result<Tag, store::Error> {
    let people = People::of(directory, home.id(), Outside::Unreachable);
    let who = people.in_calendar(Some(object)).addresses();
    if !is_scheduling(object, &who) {
        return Ok(Tag::None);
    }
    let other = find(home, uid).await?;
    let taken = other.is_some_and(|(c, header)| c.id != collection && header.tag.is_some());
    Ok(if taken { Tag::None } else { Tag::Move })
}

/// Whether an object in the calendar of whom `who` is about is a scheduling object resource: theirs as organizer, or
/// one that invites them. RFC 6638 §3.1
///
/// SCHEDULE-AGENT does not count: it says who sends messages, not what the resource is.
pub(super) fn is_scheduling(calendar: &Component, who: &Addresses) -> bool {
    let Some(meeting) = Meeting::read(calendar) else {
        return false;
    };
    let Some(organizer) = meeting.organizer() else {
        return false;
    };
    let invited = |component: &Component| {
        component
            .properties("ATTENDEE")
            .any(|a| who.is_own(a.value()))
    };
    who.is_own(organizer.value()) || meeting.components().any(|(_, c)| invited(c))
}

/// Whether it is a meeting of the person whom `who` is about. RFC 6638 §3.1
pub(super) fn is_organizer(calendar: &Component, who: &Addresses) -> bool {
    let meeting = Meeting::read(calendar);
    meeting
        .and_then(|meeting| meeting.organizer())
        .is_some_and(|organizer| who.is_own(organizer.value()))
}

/// The object of this UID in a home: the scheduling object resource, else any.
///
/// # Errors
/// What the store answers.
pub async fn find(
    home: &Home,
    uid: &str,
) -> Result<Option<(Arc<Collection>, Header)>, store::Error> {
    let mut found = None;
    for collection in home.collections().filter(|c| c.kind == Kind::Calendar) {
        let Some(name) = home.name_by_uid(collection, uid).await? else {
            continue;
        };
        if let Some(header) = home.header(collection, &name).await? {
            if header.tag.is_some() {
                return Ok(Some((collection.clone(), header)));
            }
            found.get_or_insert((collection.clone(), header));
        }
    }
    Ok(found)
}
