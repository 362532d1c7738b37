//! DELETE of calendars and of what is in collections. RFC 4918 §9.6

use super::context::Context;
use super::error::Error;
use super::fields::{Depth, nothing_sent};
use super::request::{Request, Response};
use super::resource::Resource;

/// Answers DELETE. A calendar goes with everything in it.
pub(super) async fn run(cx: &mut Context, request: &Request) -> Result<Response, Error> {
    nothing_sent(request)?;
    let target = cx.target.clone();
    let partial = Depth::of(&request.headers)?.is_some_and(|depth| depth != Depth::Infinity);
    if partial && target.kind().is_collection() {
        return Err(Error::Status(
            400,
            "A collection is deleted with all its members.",
        ));
    }
    remove(cx, &target).await?;
    Ok(Response::status(204))
}

/// Stages the removal of a resource, after the modules above have had their say.
pub(super) async fn remove(cx: &mut Context, resource: &Resource) -> Result<(), Error> {
    for rules in cx.shared.clone().tables.rules() {
        (rules.remove)(cx, resource).await?;
    }
    match resource {
        Resource::Object(place, collection, header) => {
            cx.change
                .home(&place.home)
                .remove_object(collection.id, header.name());
        }
        Resource::Collection(place, collection) => {
            cx.change.home(&place.home).remove_collection(collection.id);
        }
        _ => return Err(Error::Status(403, "This resource cannot be deleted.")),
    }
    Ok(())
}
