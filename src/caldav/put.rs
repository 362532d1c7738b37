//! PUT of a calendar object: RFC 4791 §5.3.2.
//!
//! Creating and updating are one path: read what was sent, ask every precondition, stage, answer.
//! Conditional headers have been asked before, as for every method.

use super::limits::Limits;
use super::object::{self, Fidelity, Received};
use crate::dav::{Answer, Condition, Context, Error, Place, Request, Resource, Response, Return};
use crate::recur::compile;
use crate::schedule;
use crate::store::{Collection, Header, Put, Stamps};
use bytes::Bytes;
use std::sync::Arc;

/// Runs PUT on a calendar object or on a free name in a calendar.
pub(super) fn run<'a>(cx: &'a mut Context, request: &'a Request) -> Answer<'a> {
    Box::pin(put(cx, request))
}

async fn put(cx: &mut Context, request: &Request) -> Result<Response, Error> {
    let target = Target::of(&cx.target)?;
    if request.headers.get("Content-Range").is_some() {
        return Err(Error::Status(400, "Objects are put as a whole."));
    }
    let media_type = request.headers.get("Content-Type");
    let limits = Limits::of(&cx.shared.limits);
    let received = object::receive(media_type, &request.body, &limits)?;
    let mut compiled = object::admit(&received.object, &target.collection, &limits)?;
    let mut scheduled = schedule::Target {
        place: &target.place,
        collection: &target.collection,
        name: &target.name,
        existing: target.existing.as_ref(),
        adopted: None,
    };
    let adopted = schedule::adopted(cx, &scheduled, &received.object).await?;
    scheduled.adopted = adopted.as_ref();
    if adopted.is_none() {
        unique(cx, &target, &received.object.uid).await?;
    }
    let mut decided = schedule::put(cx, &scheduled, &received.object).await?;
    let received = match &decided.calendar {
        Some(calendar) => {
            compiled = compile(calendar);
            received.with(calendar)
        }
        None => received,
    };
    let put = Put {
        tag: decided.tag,
        ..object::stored(&target.name, &received, &compiled)
    };
    decided.adopt(cx, &scheduled);
    let home = cx.change.home(&target.place.home);
    let stamps = home.put(target.collection.id, put);
    decided.stage(cx, &scheduled, stamps.text)?;
    Ok(answer(request, &target, &received, &stamps))
}

/// Where the object goes.
struct Target {
    place: Place,
    collection: Arc<Collection>,
    name: String,
    existing: Option<Header>,
}

impl Target {
    fn of(resource: &Resource) -> Result<Target, Error> {
        let (place, collection, name, existing) = match resource {
            Resource::Object(place, collection, header) => {
                (place, collection, header.name(), Some(header.clone()))
            }
            Resource::FreeObject(place, collection, name) => {
                (place, collection, name.as_str(), None)
            }
            _ => return Err(Error::Status(405, "An object is put into a calendar.")),
        };
        Ok(Target {
            place: place.clone(),
            collection: collection.clone(),
            name: name.to_owned(),
            existing,
        })
    }
}

/// Whether the UID stays this object's alone. RFC 4791 §5.3.2.1
async fn unique(cx: &Context, target: &Target, uid: &str) -> Result<(), Error> {
    let Target {
        place,
        collection,
        name,
        existing,
    } = target;
    let href = |name: &str| {
        let mut href = crate::dav::collection_href(&cx.hrefs, &place.owner, &collection.name);
        cx.hrefs.push(&mut href, name);
        href
    };
    if existing.as_ref().is_some_and(|header| header.uid() != uid) {
        return Err(Condition::NoUidConflict.at(href(name)));
    }
    match place.home.name_by_uid(collection, uid).await? {
        Some(other) if other != *name => Err(Condition::NoUidConflict.at(href(&other))),
        _ => Ok(()),
    }
}

/// RFC 4791 §5.3.4: the entity tag is told only of what was stored as it was sent.
fn answer(request: &Request, target: &Target, received: &Received, stamps: &Stamps) -> Response {
    let created = target.existing.is_none();
    let mut response = match Return::of(&request.headers) {
        Return::Representation => {
            let status = if created { 201 } else { 200 };
            representation(request, status, received.text.clone())
        }
        Return::Minimal | Return::Unsaid => Response::status(if created { 201 } else { 204 }),
    };
    if received.fidelity == Fidelity::AsSent || !response.body.is_empty() {
        response = response.with("ETag", stamps.etag.clone());
    }
    if let Some(tag) = &stamps.schedule_tag {
        response = response.with("Schedule-Tag", tag.clone());
    }
    response
}

/// An answer that carries the object as it is now. RFC 7240 §4.2
fn representation(request: &Request, status: u16, text: Bytes) -> Response {
    Response::status(status)
        .body("text/calendar; charset=utf-8", text)
        .with("Preference-Applied", "return=representation")
        .with(
            "Content-Location",
            format!("{}{}", request.prefix, request.path.raw()),
        )
        .uncoded()
}
