//! What a path leads to before anything is known of it: what is open to everybody, and the homes
//! whose turn a request has to take.
//!
//! RFC 6764 §5, RFC 7808 §4.2.1.3, RFC 8615. Paths below `/dav/` are resolved by `dav`.

use crate::caldav::tzdist;
use crate::dav::{self, Request, Response, Tables};
use crate::store::{Directory, Id, Principal};

/// The answer to what needs no credentials: the redirects from `/.well-known/caldav`, with and
/// without a slash behind it, and `/.well-known/timezone`, and the time zones themselves.
/// 301 and a single one, because there are clients that follow no other; kept for an hour, as the
/// path may be configured otherwise one day.
pub(super) fn open(request: &Request) -> Option<Response> {
    let redirect = |to: &str| {
        let target = format!("{}{to}", request.prefix);
        let response = Response::status(301).with("Location", target);
        Some(response.with("Cache-Control", "max-age=3600".to_owned()))
    };
    let segments: Vec<&str> = request.path.segments().iter().map(String::as_str).collect();
    match segments.as_slice() {
        [".well-known", "caldav"] => redirect("/dav/"),
        [".well-known", "timezone"] => redirect(tzdist::SERVICE),
        [first, ..] if tzdist::SERVICE.strip_prefix('/') == Some(first) => {
            let below = request.path.segments().get(1..).unwrap_or_default();
            Some(tzdist::answer(below, request))
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
        .filter(|id| *id == viewer.id || directory.may_keep(viewer, *id))
        .collect();
    if homes.is_empty() {
        homes.push(Id::DIRECTORY);
    }
    homes
}
