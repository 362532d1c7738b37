//! MKCALENDAR: RFC 4791 §5.3.1. What it shares with extended MKCOL is `dav::mkcol`.

use super::properties;
use crate::dav::{Answer, Context, Error, NewCollection, Request, mkcol};
use crate::store;
use crate::xml::{Element, Name};

/// How a calendar is made, by MKCALENDAR or MKCOL.
pub(super) const CALENDAR: NewCollection = NewCollection {
    resourcetype: Name::caldav("calendar"),
    spec: "RFC 4791 §4.2",
    kind: store::Kind::Calendar,
    check: properties::complete,
};

/// Runs MKCALENDAR. The body is read whatever its media type says: clients label it text/xml,
/// application/xml and text/calendar.
pub(super) fn run<'a>(cx: &'a mut Context, request: &'a Request) -> Answer<'a> {
    Box::pin(async move {
        let body = body(cx, request)?;
        mkcol::create(cx, request, &CALENDAR, body.as_ref()).await
    })
}

fn body(cx: &Context, request: &Request) -> Result<Option<Element>, Error> {
    if request.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    match Element::parse(&request.body, &cx.shared.limits.xml) {
        Ok(body) if body.is(Name::caldav("mkcalendar")) => Ok(Some(body)),
        Ok(_) => Err(Error::Status(415, "MKCALENDAR takes a CALDAV:mkcalendar.")),
        Err(_) => Err(Error::Status(400, "The body is not well-formed XML.")),
    }
}
