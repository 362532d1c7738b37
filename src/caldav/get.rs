//! GET of calendar objects (RFC 4791 §5.3.4) and of whole calendars as one stream or, for a browser,
//! a page.
//!
//! Every representation has an entity tag of its own: that of the object for what is stored, the same
//! with a suffix for jCal and for other VTIMEZONEs than are stored (RFC 9110 §8.8.3).

use super::accept::Accept;
use super::data::DataRequest;
use super::limits::Limits;
use super::shape::{Shaping, Timezones, shape};
use super::{export, page, zone};
use crate::dav::conditional::Current;
use crate::dav::{Answer, Context, Error, Place, Request, Resource, Response, conditional, date};
use crate::ical::Format;
use crate::store::{Collection, Header};
use bytes::Bytes;
use std::sync::Arc;

/// Runs GET and HEAD on what is in a home.
pub(super) fn run<'a>(cx: &'a mut Context, request: &'a Request) -> Answer<'a> {
    Box::pin(async move {
        match &cx.target {
            Resource::Object(place, collection, header) => {
                object(cx, request, (place, collection, header)).await
            }
            Resource::Collection(place, collection) => {
                calendar(cx, request, place, collection).await
            }
            _ => Err(Error::Status(404, "There is nothing here.")),
        }
    })
}

async fn object(
    cx: &Context,
    request: &Request,
    (place, collection, header): (&Place, &Arc<Collection>, &Header),
) -> Result<Response, Error> {
    let accept = Accept::of(request);
    let format = if accept.prefers(Format::JCal) {
        Format::JCal
    } else {
        Format::ICalendar
    };
    let timezones = Timezones::of(request.headers.get("CalDAV-Timezones"));
    let mut current = Current::of(&cx.target);
    let etag = tag_of(&header.etag(), format, timezones);
    current.etag = Some(etag.clone());
    let response = match conditional::not_modified(request, &current) {
        true => Response::status(304),
        false => {
            let stored = place.home.text(header).await?;
            let data = DataRequest {
                format,
                ..DataRequest::default()
            };
            let body = match (format, timezones) {
                (Format::ICalendar, Timezones::Stored) => stored,
                _ => reshaped(cx, &stored, &data, timezones, (place, collection))?,
            };
            Response::status(200).body(&media_type(format, header), body)
        }
    };
    let response = match header.schedule_tag() {
        Some(tag) => response.with("Schedule-Tag", tag),
        None => response,
    };
    Ok(response
        .with("ETag", etag)
        .with("Last-Modified", date::http(header.modified))
        .with("Vary", "Accept, CalDAV-Timezones")
        .uncoded())
}

/// The entity tag of a representation.
fn tag_of(etag: &str, format: Format, timezones: Timezones) -> String {
    let state = etag.trim_matches('"');
    let json = if format == Format::JCal { "+json" } else { "" };
    let zones = match timezones {
        Timezones::Stored => "",
        Timezones::All => "+zones",
        Timezones::Unknown => "+nozones",
    };
    format!("\"{state}{json}{zones}\"")
}

/// The media type with the component's name, by which clients pass over what they do not show.
/// draft-daboo-caldav-extensions §5
fn media_type(format: Format, header: &Header) -> String {
    let mut media_type = format!("{}; charset=utf-8", format.media_type());
    if let Some(component) = header.component {
        media_type.push_str("; component=");
        media_type.push_str(component.name());
    }
    media_type
}

fn reshaped(
    cx: &Context,
    stored: &Bytes,
    data: &DataRequest,
    timezones: Timezones,
    (place, collection): (&Place, &Collection),
) -> Result<Bytes, Error> {
    let limits = Limits::of(&cx.shared.limits);
    let text = String::from_utf8_lossy(stored);
    let floating = zone::of_collection(place, collection, &limits.ical);
    let shaping = Shaping {
        floating: &floating,
        timezones,
        compiled: None,
        recur: &limits.recur,
        ical: &limits.ical,
    };
    let shaped = shape(&text, data, &shaping)
        .map_err(|_| Error::Status(507, "The object has too many instances."))?;
    Ok(Bytes::from(shaped))
}

async fn calendar(
    cx: &Context,
    request: &Request,
    place: &Place,
    collection: &Arc<Collection>,
) -> Result<Response, Error> {
    let download = request.query.as_deref() == Some("export");
    if Accept::of(request).wants_page() && !download {
        let body = page::calendar(cx, place, collection);
        return Ok(Response::status(200)
            .body("text/html; charset=utf-8", body)
            .with("Content-Security-Policy", page::POLICY)
            .with("Vary", "Accept"));
    }
    let current = Current::of(&cx.target);
    let response = match conditional::not_modified(request, &current) {
        true => Response::status(304),
        false => Response::status(200).body(
            "text/calendar; charset=utf-8",
            stream(cx, place, collection).await?,
        ),
    };
    let response = match download {
        true => response.with(
            "Content-Disposition",
            "attachment; filename=\"calendar.ics\"",
        ),
        false => response,
    };
    Ok(response
        .with("ETag", current.etag.unwrap_or_default())
        .with("Last-Modified", date::http(collection.members_modified))
        .with("Vary", "Accept")
        .uncoded())
}

async fn stream(cx: &Context, place: &Place, collection: &Collection) -> Result<Vec<u8>, Error> {
    let most = u64::try_from(cx.shared.limits.multistatus_bytes).unwrap_or(u64::MAX);
    if collection.bytes > most {
        return Err(Error::Status(
            507,
            "The calendar is too large for one answer.",
        ));
    }
    let limits = Limits::of(&cx.shared.limits);
    Ok(export::whole(&place.home, collection, &limits).await?)
}
