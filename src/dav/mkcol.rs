//! MKCOL and extended MKCOL, and what they share with MKCALENDAR.
//!
//! RFC 4918 §9.3, RFC 5689 §3, RFC 4791 §5.3.1. A home holds collections of the kinds that the
//! tables name; a plain collection in it is refused.

use super::condition::Condition;
use super::context::Context;
use super::draft::{Occasion, Outcome, apply};
use super::error::Error;
use super::fields::Return;
use super::kind::Kind;
use super::path::Ending;
use super::privilege::Privilege;
use super::request::{Request, Response};
use super::resource::Resource;
use super::tables::{Draft, NewCollection};
use crate::store;
use crate::xml::{Element, Name, Writer};

/// Answers MKCOL on a free name in a home.
pub(super) async fn run(cx: &mut Context, request: &Request) -> Result<Response, Error> {
    if request.body.iter().all(u8::is_ascii_whitespace) {
        let why = "A home holds calendars, no plain collections.";
        return Err(Condition::ValidResourcetype.because(why));
    }
    let Ok(body) = Element::parse(&request.body, &cx.shared.limits.xml) else {
        return Err(Error::Status(415, "MKCOL takes a DAV:mkcol as its body."));
    };
    if !body.is(Name::dav("mkcol")) {
        return Err(Error::Status(415, "MKCOL takes a DAV:mkcol as its body."));
    }
    let row = resourcetype(cx, &body)?;
    create(cx, request, row, Some(&body)).await
}

/// The kind of collection that DAV:resourcetype in the request asks for: DAV:collection and one
/// that a row makes. RFC 5689 §3.3
fn resourcetype(cx: &Context, body: &Element) -> Result<&'static NewCollection, Error> {
    let blocks = body.children(Name::dav("set"));
    let props = blocks.flat_map(|set| set.elements().filter(|e| e.is(Name::dav("prop"))));
    let mut types =
        props.flat_map(|prop| prop.elements().filter(|e| e.is(Name::dav("resourcetype"))));
    let asked = types.next().ok_or(Condition::ValidResourcetype)?;
    let names: Vec<Name<'_>> = asked.elements().map(Element::name).collect();
    let others = names
        .iter()
        .filter(|name| **name != Name::dav("collection"));
    let rows: Option<Vec<_>> = others
        .map(|name| cx.shared.tables.collection(*name))
        .collect();
    match rows.as_deref() {
        Some([row]) if names.contains(&Name::dav("collection")) => Ok(row),
        _ => Err(Condition::ValidResourcetype.into()),
    }
}

/// Makes a collection of this kind at the target with the properties in the body, all or
/// nothing. MKCALENDAR calls it too.
pub async fn create(
    cx: &mut Context,
    request: &Request,
    row: &'static NewCollection,
    body: Option<&Element>,
) -> Result<Response, Error> {
    let (place, name) = match &cx.target {
        Resource::FreeCalendar(place, name) => (place.clone(), name.clone()),
        Resource::FreeObject(..) | Resource::Missing => {
            return Err(Condition::CalendarCollectionLocationOk.into());
        }
        _ => return Err(Condition::ResourceMustBeNull.into()),
    };
    cx.require(&cx.target, Privilege::Bind)?;
    let mut draft = Draft {
        kind: kind(row.kind),
        settings: store::Settings::default(),
    };
    if let Some(body) = body {
        let mut outcome = apply(cx, &mut draft, body, Occasion::Creation)?;
        if let Some(error) = outcome.fatal() {
            return Err(error);
        }
        if !outcome.is_success() {
            return Ok(failed(cx, request, body, &outcome));
        }
    }
    (row.check)(cx, &mut draft)?;
    let id = store::Id::random()?;
    cx.change
        .home(&place.home)
        .create_collection(store::NewCollection {
            id,
            name: Some(name),
            kind: row.kind,
            settings: draft.settings,
        });
    let response = Response::status(201).with("Cache-Control", "no-cache");
    Ok(match Return::of(&request.headers).applied() {
        Some("return=minimal") => response.with("Preference-Applied", "return=minimal"),
        _ => response,
    })
}

/// Which properties failed: with the status of the first of them in a DAV:mkcol-response
/// (RFC 5689 §3.5), for MKCALENDAR in a multistatus (RFC 4791 §5.3.1.1).
fn failed(cx: &Context, request: &Request, body: &Element, outcome: &Outcome<'_>) -> Response {
    if body.is(Name::dav("mkcol")) {
        let mut w = Writer::document(Name::dav("mkcol-response"));
        outcome.write(&mut w);
        return Response::xml(outcome.status(), w.finish()).with("Cache-Control", "no-cache");
    }
    let mut w = Writer::document(Name::dav("multistatus"));
    w.open(Name::dav("response"));
    w.href(&cx.hrefs.own(&request.path, Ending::Slash));
    outcome.write(&mut w);
    w.close(Name::dav("response"));
    Response::xml(207, w.finish())
}

fn kind(kind: store::Kind) -> Kind {
    match kind {
        store::Kind::Home => Kind::Home,
        store::Kind::Calendar => Kind::Calendar,
        store::Kind::Inbox => Kind::Inbox,
        store::Kind::Outbox => Kind::Outbox,
        store::Kind::Notifications => Kind::Notifications,
    }
}
