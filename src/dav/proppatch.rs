//! PROPPATCH. RFC 4918 §9.2
//!
//! **Gaps**: the root, the collections of principals and of homes keep no properties.

use super::context::Context;
use super::draft::{Occasion, Outcome, apply};
use super::error::Error;
use super::fields::Return;
use super::propfind::own_href;
use super::request::{Request, Response};
use super::resource::Resource;
use super::tables::Draft;
use crate::store::{Principal, Settings};
use crate::xml::{Element, Name, Writer};

/// Answers PROPPATCH on what keeps properties.
pub(super) async fn run(cx: &mut Context, request: &Request) -> Result<Response, Error> {
    let body = Element::parse(&request.body, &cx.shared.limits.xml)?;
    if !body.is(Name::dav("propertyupdate")) {
        return Err(Error::Status(400, "The body is not a DAV:propertyupdate."));
    }
    let settings = settings(&cx.target).await?;
    let mut draft = Draft {
        kind: cx.target.kind(),
        settings,
    };
    let mut outcome = apply(cx, &mut draft, &body, Occasion::Change)?;
    if let Some(error) = outcome.fatal() {
        return Err(error);
    }
    if outcome.is_success() {
        stage(cx, draft.settings)?;
        let preference = Return::of(&request.headers);
        if let (Return::Minimal, Some(applied)) = (preference, preference.applied()) {
            return Ok(Response::status(200).with("Preference-Applied", applied));
        }
    }
    Ok(multistatus(cx, request, &outcome))
}

fn multistatus(cx: &Context, request: &Request, outcome: &Outcome<'_>) -> Response {
    let mut w = Writer::document(Name::dav("multistatus"));
    w.open(Name::dav("response"));
    w.href(&own_href(cx, request));
    outcome.write(&mut w);
    w.close(Name::dav("response"));
    Response::xml(207, w.finish())
}

/// What the resource keeps now.
async fn settings(target: &Resource) -> Result<Settings, Error> {
    let properties = match target {
        Resource::Home(place) => return Ok(place.home.row().settings.clone()),
        Resource::Collection(_, collection) => return Ok(collection.settings.clone()),
        Resource::Object(place, _, header) => place.home.object_properties(header).await?,
        Resource::Principal(principal) => principal.properties.clone(),
        _ => return Err(Error::Status(403, "This resource keeps no properties.")),
    };
    Ok(Settings {
        properties,
        ..Settings::default()
    })
}

/// Stages what it is to keep.
fn stage(cx: &mut Context, settings: Settings) -> Result<(), Error> {
    match &cx.target {
        Resource::Home(place) => cx
            .change
            .home(&place.home)
            .set(place.home.row().id, settings),
        Resource::Collection(place, collection) => {
            cx.change.home(&place.home).set(collection.id, settings);
        }
        Resource::Object(place, collection, header) => cx
            .change
            .home(&place.home)
            .set_object_properties(collection.id, header.name(), settings.properties),
        Resource::Principal(principal) => {
            let changed = Principal {
                properties: settings.properties,
                ..Principal::clone(principal)
            };
            cx.change.directory(&cx.directory).update(changed);
        }
        _ => return Err(Error::Status(403, "This resource keeps no properties.")),
    }
    Ok(())
}
