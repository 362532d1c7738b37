//! What CalDAV has to say about WebDAV's COPY and MOVE of calendar objects: RFC 4791 §5.3.2.1.

use super::limits::Limits;
use super::object;
use crate::dav::{Boxed, Condition, Context, Entering, Error, Resource, Rules, Transfer};
use crate::ical::CalendarObject;
use crate::schedule;
use crate::store::Kind;

/// Asked before an object enters a collection, and before a resource is removed.
pub(super) const RULES: &[Rules] = &[Rules { admit, remove }];

fn admit<'a>(cx: &'a mut Context, entering: Entering<'a>) -> Boxed<'a, ()> {
    Box::pin(admitted(cx, entering))
}

/// What is in a calendar already was admitted when it was put there; only the components that the
/// other calendar takes may differ. What comes from elsewhere is asked everything.
async fn admitted(cx: &Context, entering: Entering<'_>) -> Result<(), Error> {
    let (place, source) = entering.from;
    let (_, collection) = entering.to;
    if collection.kind != Kind::Calendar {
        return Err(Error::Status(403, "Objects are kept in calendars."));
    }
    if source.kind == Kind::Calendar {
        let component = entering.header.component;
        if !component.is_some_and(|c| collection.settings.components.contains(c)) {
            return Err(Condition::SupportedCalendarComponent.into());
        }
    } else {
        let text = place.home.text(entering.header).await?;
        let limits = Limits::of(&cx.shared.limits);
        let object = CalendarObject::read(&text, &limits.ical).map_err(object::refused)?;
        object::admit(&object, collection, &limits)?;
    }
    unique(cx, &entering).await
}

/// Whether the UID stays unique in the collection, and an object that is overwritten has the same.
async fn unique(cx: &Context, entering: &Entering<'_>) -> Result<(), Error> {
    let (place, collection) = entering.to;
    let uid = entering.header.uid();
    let conflict = |name: &str| {
        let mut href = crate::dav::collection_href(&cx.hrefs, &place.owner, &collection.name);
        cx.hrefs.push(&mut href, name);
        Err(Condition::NoUidConflict.at(href))
    };
    let overwritten = place.home.header(collection, entering.name).await?;
    if overwritten.is_some_and(|header| header.uid() != uid) {
        return conflict(entering.name);
    }
    let same = entering.from.1.id == collection.id && entering.transfer == Transfer::Move;
    match place.home.name_by_uid(collection, uid).await? {
        Some(name) if name == entering.name => Ok(()),
        Some(name) if same && name == entering.header.name() => Ok(()),
        Some(name) => conflict(&name),
        None => Ok(()),
    }
}

/// Removing a meeting is told to those who share it. RFC 6638 §3.2.3.2
fn remove<'a>(cx: &'a mut Context, resource: &'a Resource) -> Boxed<'a, ()> {
    Box::pin(async move {
        match resource {
            Resource::Object(place, collection, header) if collection.kind == Kind::Calendar => {
                let target = schedule::Target {
                    place,
                    collection,
                    name: header.name(),
                    existing: Some(header),
                    adopted: None,
                };
                schedule::remove(cx, &target).await
            }
            Resource::Object(place, collection, header) if collection.kind == Kind::Inbox => {
                schedule::dismiss(cx, place, header).await
            }
            Resource::Collection(place, collection) if collection.kind == Kind::Calendar => {
                schedule::withdraw(cx, place, collection);
                Ok(())
            }
            _ => Ok(()),
        }
    })
}
