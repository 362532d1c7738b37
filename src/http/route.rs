//! What a path leads to before anything is known of it: well-known URLs, and the homes whose
//! turn a request has to take.
//!
//! RFC 6764 §5, RFC 8615. Paths below `/dav/` are resolved by `dav`.

use crate::dav::{self, Request, Response, Tables};
use crate::store::{Directory, Id, Principal};

/// The redirect from `/.well-known/caldav`, with and without a slash behind it, for whoever
/// asks. 301 and a single one, because there are clients that follow no other.
pub(super) fn well_known(request: &Request) -> Option<Response> {
    match request.path.segments() {
        [first, second] if first == ".well-known" && second == "caldav" => {
            let target = format!("{}/dav/", request.prefix);
            Some(Response::status(301).with("Location", target))
        }
        _ => None,
    }
}

/// The homes that a request may change: that of its path, that of its Destination, and the
/// directory for a principal's properties. None where the method only reads.
/// Another's home is not waited for by who may not change it.
pub(super) fn writes(
    tables: &Tables,
    directory: &Directory,
    viewer: &Principal,
    request: &Request,
) -> Vec<Id> {
    if !tables.writes(&request.method) {
        return Vec::new();
    }
    let destination = dav::destination_of(request);
    let paths = [Some(&request.path), destination.as_ref()];
    let homes = paths.into_iter().flatten();
    let homes = homes.filter_map(|path| dav::home_of(directory, path));
    let mut homes: Vec<Id> = homes
        .filter(|id| viewer.admin || *id == viewer.id)
        .collect();
    if homes.is_empty() {
        homes.push(Id::DIRECTORY);
    }
    homes
}
