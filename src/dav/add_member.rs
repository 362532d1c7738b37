//! POST to a collection's add-member URL: a PUT whose name the server chooses. RFC 5995

use super::context::Context;
use super::error::Error;
use super::kind::Kind;
use super::request::{Request, Response};
use super::resource::Resource;
use crate::store::Id;

/// Answers POST on a calendar.
pub(super) async fn run(cx: &mut Context, request: &Request) -> Result<Response, Error> {
    let Resource::Collection(place, collection) = cx.target.clone() else {
        return Err(Error::Status(405, "Nothing can be posted here."));
    };
    if request.query.as_deref() != Some("add-member") {
        return Err(Error::Status(
            400,
            "POST goes to the URL that DAV:add-member names.",
        ));
    }
    let row = cx.shared.tables.method("PUT", Kind::FreeObject);
    let row = row.ok_or(Error::Status(405, "Nothing can be posted here."))?;
    let name = format!("{}.ics", Id::random()?);
    cx.target = Resource::FreeObject(place, collection, name);
    let location = cx.target.href(&cx.hrefs);
    let response = (row.run)(cx, request).await?;
    Ok(match response.status {
        200..=299 => response.with("Location", location),
        _ => response,
    })
}
