//! A whole calendar as one iCalendar stream, for GET and for export.

use super::limits::Limits;
use super::shape::read;
use super::stream::Merge;
use crate::ical::empty_calendar;
use crate::ical::{Component, Property};
use crate::store::{Collection, Error, Header, Home};
use crate::xml::{self, Element};

/// How many texts are read at once.
const BATCH: usize = 256;

/// All objects of a calendar as one stream, each VTIMEZONE once; of an empty calendar a VCALENDAR
/// without components.
pub async fn whole(
    home: &Home,
    collection: &Collection,
    limits: &Limits,
) -> Result<Vec<u8>, Error> {
    let members = home.members(collection).await?;
    let headers: Vec<Header> = members.iter().collect();
    let mut merge = Merge::new(head(collection));
    for batch in headers.chunks(BATCH) {
        for text in home.texts(batch).await? {
            merge.add(&read(&String::from_utf8_lossy(&text), &limits.ical));
        }
    }
    Ok(merge.finish())
}

/// The VCALENDAR's own properties: what the calendar is called. RFC 7986 §5.1
fn head(collection: &Collection) -> Component {
    let head = empty_calendar();
    let head = match stored(collection, "{DAV:}displayname") {
        None => head,
        Some(name) => head
            .with(Property::text_value("NAME", &name))
            .with(Property::text_value("X-WR-CALNAME", &name)),
    };
    match stored(collection, "{http://apple.com/ns/ical/}calendar-color") {
        None => head,
        Some(color) => head.with(Property::text_value("X-APPLE-CALENDAR-COLOR", &color)),
    }
}

/// The text of a stored property that is not empty.
pub(super) fn stored(collection: &Collection, clark: &str) -> Option<String> {
    let element = collection.settings.properties.get(clark)?;
    let text = Element::parse(element.as_bytes(), &xml::Limits::default())
        .ok()?
        .text()
        .trim()
        .to_owned();
    Some(text).filter(|text| !text.is_empty())
}
