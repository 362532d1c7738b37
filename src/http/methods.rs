//! The row for a method on what a path names. RFC 9110 §9.1, §15.5.6

use super::respond;
use crate::dav::{Context, Kind, Kinds, Method, Privilege, Resource, Response};

/// The row, or the answer that there is none: 501 for a method nobody knows, 404 and 405 for one
/// that this resource does not have, 409 for a PUT where no collection is (RFC 4918 §9.7.1).
pub(super) fn find(cx: &Context, method: &str) -> Result<&'static Method, Response> {
    let tables = &cx.shared.tables;
    if !tables.knows_method(method) {
        return Err(Response::text(501, "This server knows no such method."));
    }
    let kind = cx.target.kind();
    if let Some(row) = tables.method(method, kind) {
        return Ok(row);
    }
    let creates = method == "PUT";
    Err(match kind {
        Kind::Missing if creates && matches!(cx.target, Resource::FreeObject(..)) => closed(cx),
        Kind::Missing if creates => Response::text(409, "The collection is not there."),
        _ if Kinds::NOTHING_THERE.contains(kind) && !creates => {
            Response::text(404, "There is nothing here.")
        }
        _ => Response::text(405, "This resource does not have this method.")
            .with("Allow", tables.allow(kind)),
    })
}

/// The answer to a PUT into an inbox or its like, where the server alone puts things: nobody has
/// the privilege. RFC 3744 §7.1.1
fn closed(cx: &Context) -> Response {
    if let Resource::FreeObject(place, collection, _) = &cx.target {
        let collection = Resource::Collection(place.clone(), collection.clone());
        if let Err(error) = cx.require(&collection, Privilege::Bind) {
            return respond::error(error, &cx.request);
        }
    }
    Response::text(403, "The server alone puts things here.")
}
