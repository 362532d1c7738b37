//! Time ranges in requests: CALDAV:time-range (RFC 4791 §9.9) and the closed ones of CALDAV:expand,
//! limit-recurrence-set and limit-freebusy-set (RFC 4791 §9.6.5-9.6.7).

use crate::ical::Timestamp;
use crate::recur::Range;
use crate::xml::Element;

/// The range of a time-range element: one end may be open, both must be UTC. RFC 4791 §9.9
pub fn time_range(element: &Element) -> Result<Range, &'static str> {
    let start = instant(element, "start")?;
    let end = instant(element, "end")?;
    if start.is_none() && end.is_none() {
        return Err("a time-range has a start or an end");
    }
    let start = start.unwrap_or(Timestamp::MIN);
    let end = end.unwrap_or(Timestamp::MAX);
    Range::new(start, end).ok_or("the end of a time-range is after its start")
}

/// The range of an element that needs both ends. RFC 4791 §9.6.5
pub fn closed_range(element: &Element) -> Result<Range, &'static str> {
    let start = instant(element, "start")?.ok_or("the start is missing")?;
    let end = instant(element, "end")?.ok_or("the end is missing")?;
    Range::new(start, end).ok_or("the end is after the start")
}

fn instant(element: &Element, attribute: &str) -> Result<Option<Timestamp>, &'static str> {
    match element.attribute(attribute) {
        None => Ok(None),
        Some(text) => match Timestamp::parse(text) {
            Some(instant) => Ok(Some(instant)),
            None => Err("a time is written as 20060102T030405Z, in UTC"),
        },
    }
}
