//! COPY and MOVE of objects and of calendars. RFC 4918 §9.8, §9.9
//!
//! A moved object keeps its text, a moved calendar costs one row. The copy of a calendar fills a
//! collection without a name in commits of bounded size and becomes visible by its name.
//!
//! **Gaps**: a calendar is not moved from one principal's home to another's.

use super::condition::Condition;
use super::context::Context;
use super::delete::remove;
use super::error::Error;
use super::fields::{Depth, Overwrite, destination, nothing_sent};
use super::kind::Kind;
use super::multistatus::Multistatus;
use super::privilege::Privilege;
use super::request::{Request, Response};
use super::resource::{Place, Resource};
use super::tables::{Entering, Transfer};
use crate::store::{
    self, Collection, Header, Home, NewCollection, Properties, Put, Sharing, Stamps, Tag,
};
use std::sync::Arc;

/// Answers COPY.
pub(super) async fn copy(cx: &mut Context, request: &Request) -> Result<Response, Error> {
    run(cx, request, Transfer::Copy).await
}

/// Answers MOVE.
pub(super) async fn relocate(cx: &mut Context, request: &Request) -> Result<Response, Error> {
    run(cx, request, Transfer::Move).await
}

async fn run(cx: &mut Context, request: &Request, transfer: Transfer) -> Result<Response, Error> {
    nothing_sent(request)?;
    let path = destination(cx)?;
    let (from, to) = (cx.target.clone(), cx.resolve(&path).await?);
    check(cx, request, (&from, &to), transfer)?;
    match (from, &to) {
        (Resource::Object(place, collection, header), _) => {
            object(cx, (&place, &collection, &header), &to, transfer).await
        }
        (Resource::Collection(place, collection), _) => match transfer {
            Transfer::Move => rename(cx, (&place, &collection), &to).await,
            Transfer::Copy | Transfer::WithCollection => {
                duplicate(cx, request, (&place, &collection), &to).await
            }
        },
        _ => Err(Error::Status(
            403,
            "This resource can be neither copied nor moved.",
        )),
    }
}

/// What has to hold before anything is done. RFC 4918 §9.8.5, §9.9.4
fn check(
    cx: &Context,
    request: &Request,
    (from, to): (&Resource, &Resource),
    transfer: Transfer,
) -> Result<(), Error> {
    let fits = match (from.kind(), to.kind()) {
        (_, Kind::Missing) if matches!(to, Resource::FreeObject(..)) => false,
        (Kind::Calendar, Kind::Missing) => {
            return Err(Condition::CalendarCollectionLocationOk.into());
        }
        (_, Kind::Missing) => {
            return Err(Error::Status(
                409,
                "The destination's collection is not there.",
            ));
        }
        (Kind::Calendar, Kind::FreeCalendar | Kind::Calendar) => true,
        (Kind::Calendar, Kind::FreeObject | Kind::Object) => {
            return Err(Condition::CalendarCollectionLocationOk.into());
        }
        (Kind::Object, Kind::FreeObject | Kind::Object) => true,
        _ => false,
    };
    if !fits {
        return Err(Error::Status(
            403,
            "The destination cannot take this resource.",
        ));
    }
    if from.href(&cx.hrefs) == to.href(&cx.hrefs) {
        return Err(Error::Status(403, "Source and destination are the same."));
    }
    cx.require(to, Privilege::Bind)?;
    if transfer == Transfer::Move {
        cx.require(from, Privilege::Unbind)?;
    }
    if to.kind().exists() {
        cx.require(to, Privilege::WriteContent)?;
        if Overwrite::of(&request.headers)? == Overwrite::Forbidden {
            return Err(Error::Status(
                412,
                "The destination is there and Overwrite is F.",
            ));
        }
    }
    Ok(())
}

/// 201 where the destination is new, 204 where it was replaced.
fn done(to: &Resource) -> Response {
    Response::status(if to.kind().exists() { 204 } else { 201 })
}

async fn object(
    cx: &mut Context,
    (place, collection, header): (&Place, &Arc<Collection>, &Header),
    to: &Resource,
    transfer: Transfer,
) -> Result<Response, Error> {
    let (to_place, to_collection, name) = match to {
        Resource::Object(place, collection, header) => (place, collection, header.name()),
        Resource::FreeObject(place, collection, name) => (place, collection, name.as_str()),
        _ => {
            return Err(Error::Status(
                403,
                "The destination cannot take this resource.",
            ));
        }
    };
    let entering = Entering {
        from: (place, collection),
        header,
        to: (to_place, to_collection),
        name,
        transfer,
    };
    for rules in cx.shared.clone().tables.rules() {
        (rules.admit)(cx, entering).await?;
    }
    if to.kind().exists() && place.home.id() == to_place.home.id() && transfer == Transfer::Move {
        cx.change
            .home(&place.home)
            .remove_object(to_collection.id, name);
    }
    let within = place.home.id() == to_place.home.id();
    let stamps = if transfer == Transfer::Move && within {
        let change = cx.change.home(&place.home);
        change.relocate(header, to_collection.id, name)
    } else {
        let stamps = put(
            cx,
            &place.home,
            header,
            (&to_place.home, to_collection.id, name),
        )
        .await?;
        if transfer == Transfer::Move {
            cx.change
                .home(&place.home)
                .remove_object(collection.id, header.name());
        }
        stamps
    };
    let mut response = done(to).with("ETag", stamps.etag);
    if let Some(tag) = stamps.schedule_tag {
        response = response.with("Schedule-Tag", tag);
    }
    Ok(response)
}

/// Stages a copy of an object.
async fn put(
    cx: &mut Context,
    from: &Arc<Home>,
    header: &Header,
    (to, collection, name): (&Arc<Home>, store::Id, &str),
) -> Result<Stamps, Error> {
    let text = from.text(header).await?;
    let properties = properties(from, header).await?;
    let change = cx.change.home(to);
    let stamps = change.put(collection, copy_of(header, name, text));
    if let Some(properties) = properties {
        change.set_object_properties(collection, name, properties);
    }
    Ok(stamps)
}

fn copy_of(header: &Header, name: &str, text: bytes::Bytes) -> Put {
    let uid = header.uid();
    Put {
        name: name.to_owned(),
        text,
        uid: (!uid.is_empty()).then(|| uid.to_owned()),
        component: header.component,
        summary: header.summary().to_vec(),
        // RFC 6638 §3.2.4.1: there is one scheduling object of a UID, and this is another.
        tag: Tag::None,
        shared: Sharing::Moves,
    }
}

async fn properties(home: &Arc<Home>, header: &Header) -> Result<Option<Properties>, Error> {
    if !header.has_properties {
        return Ok(None);
    }
    Ok(Some(home.object_properties(header).await?))
}

/// A calendar gets another name: one row.
async fn rename(
    cx: &mut Context,
    (place, collection): (&Place, &Arc<Collection>),
    to: &Resource,
) -> Result<Response, Error> {
    let (to_place, name) = named(to)?;
    if to_place.home.id() != place.home.id() {
        return Err(Error::Status(403, "A calendar stays in its home."));
    }
    if to.kind().exists() {
        remove(cx, to).await?;
    }
    cx.change.home(&place.home).rename(collection.id, name);
    Ok(done(to))
}

fn named(to: &Resource) -> Result<(&Place, &str), Error> {
    match to {
        Resource::FreeCalendar(place, name) => Ok((place, name)),
        Resource::Collection(place, collection) => Ok((place, &collection.name)),
        _ => Err(Error::Status(
            403,
            "The destination cannot take this resource.",
        )),
    }
}

/// How much of a calendar is copied in one commit.
const PART_OBJECTS: usize = 200;
/// The same in bytes of texts.
const PART_BYTES: usize = 4 << 20;

async fn duplicate(
    cx: &mut Context,
    request: &Request,
    (place, collection): (&Place, &Arc<Collection>),
    to: &Resource,
) -> Result<Response, Error> {
    let (to_place, name) = named(to)?;
    let members = match Depth::of(&request.headers)? {
        Some(Depth::Zero) => None,
        Some(Depth::One) => return Err(Error::Status(400, "COPY goes by Depth 0 or infinity.")),
        Some(Depth::Infinity) | None => Some(place.home.members(collection).await?),
    };
    let id = store::Id::random()?;
    cx.change
        .home(&to_place.home)
        .create_collection(NewCollection {
            id,
            name: None,
            kind: collection.kind,
            settings: collection.settings.clone(),
        });
    if let Some(members) = members {
        let headers: Vec<Header> = members.iter().collect();
        if let Some(refused) = refused(cx, (place, collection), to_place, &headers).await? {
            return Ok(refused);
        }
        fill(cx, &place.home, &headers, (to_place.home.id(), id)).await?;
    }
    if to.kind().exists() {
        let now = cx.resolve(&destination(cx)?).await?;
        if now.kind().exists() {
            remove(cx, &now).await?;
        }
    }
    let home = cx.home(to_place.home.id()).await?;
    cx.change.home(&home).rename(id, name);
    Ok(done(to))
}

/// The members that may not be copied, as RFC 4918 §9.8.5 answers them; then nothing is.
async fn refused(
    cx: &mut Context,
    (place, collection): (&Place, &Arc<Collection>),
    to: &Place,
    headers: &[Header],
) -> Result<Option<Response>, Error> {
    let mut refused = Vec::new();
    for header in headers {
        let entering = Entering {
            from: (place, collection),
            header,
            to: (to, collection),
            name: header.name(),
            transfer: Transfer::WithCollection,
        };
        for rules in cx.shared.clone().tables.rules() {
            match (rules.admit)(cx, entering).await {
                Ok(()) => {}
                Err(Error::Refused(refusal)) => refused.push((header, refusal)),
                Err(error) => return Err(error),
            }
        }
    }
    if refused.is_empty() {
        return Ok(None);
    }
    let mut answer = Multistatus::new(cx);
    for (header, refusal) in refused {
        let resource = Resource::Object(place.clone(), collection.clone(), header.clone());
        answer.refused(&resource.href(&cx.hrefs), &refusal)?;
    }
    Ok(Some(answer.finish()))
}

/// Fills the unnamed collection, commit by commit; the last part stays staged.
async fn fill(
    cx: &mut Context,
    from: &Arc<Home>,
    headers: &[Header],
    (to, id): (store::Id, store::Id),
) -> Result<(), Error> {
    let mut rest = headers;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |header: &&Header| {
            bytes += usize::try_from(header.size_bytes).unwrap_or(usize::MAX);
            bytes <= PART_BYTES
        };
        let count = rest
            .iter()
            .take(PART_OBJECTS)
            .take_while(fits)
            .count()
            .max(1);
        let (part, after) = rest.split_at_checked(count).unwrap_or((rest, &[]));
        let texts = from.texts(part).await?;
        let home = cx.home(to).await?;
        for (header, text) in part.iter().zip(texts) {
            let properties = properties(from, header).await?;
            let change = cx.change.home(&home);
            change.put(id, copy_of(header, header.name(), text));
            if let Some(properties) = properties {
                change.set_object_properties(id, header.name(), properties);
            }
        }
        rest = after;
        cx.commit_part().await?;
    }
    Ok(())
}
