//! From an object's text to the calendar data a client asked for. RFC 4791 §7.6, §9.6, RFC 7809 §3.1.3

use super::data::{DataRequest, Recurrence};
use super::expand::{expand, limit_busy, limit_recurrence};
use super::matching::Subject;
use crate::ical::Format;
use crate::ical::{self, Component, parse, print, to_jcal};
use crate::recur::{self, Compiled, TooMuch, Zone, add_timezones, compile, strip_timezones};

/// Which VTIMEZONEs a client wants. RFC 7809 §7.1
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timezones {
    /// Those that are stored: no header.
    Stored,
    /// All that are named: `CalDAV-Timezones: T`.
    All,
    /// Only those the server does not know: `CalDAV-Timezones: F`.
    Unknown,
}

impl Timezones {
    /// What the header says.
    pub fn of(header: Option<&str>) -> Timezones {
        match header.map(str::trim) {
            Some("T" | "t") => Timezones::All,
            Some("F" | "f") => Timezones::Unknown,
            _ => Timezones::Stored,
        }
    }
}

/// What an answer depends on besides the request's calendar-data element.
#[derive(Debug, Clone, Copy)]
pub struct Shaping<'a> {
    /// Where floating times lie.
    pub floating: &'a Zone,
    /// Which VTIMEZONEs go out.
    pub timezones: Timezones,
    /// The object compiled, where that was done already.
    pub compiled: Option<&'a Compiled>,
    /// How far an expansion may go.
    pub recur: &'a recur::Limits,
    /// How much is read.
    pub ical: &'a ical::Limits,
}

/// The data a client asked for.
pub fn shape(text: &str, request: &DataRequest, shaping: &Shaping<'_>) -> Result<String, TooMuch> {
    let mut calendar = cut_to_range(read(text, shaping.ical), request, shaping)?;
    match shaping.timezones {
        Timezones::Stored => {}
        Timezones::All => add_timezones(&mut calendar),
        Timezones::Unknown => strip_timezones(&mut calendar),
    }
    if let Some(selection) = &request.selection {
        selection.cut(&mut calendar);
    }
    Ok(match request.format {
        Format::ICalendar => String::from_utf8_lossy(&print(&calendar)).into_owned(),
        Format::JCal => to_jcal(&calendar),
    })
}

/// The first VCALENDAR of a text.
pub fn read(text: &str, limits: &ical::Limits) -> Component {
    let parsed = parse(text.as_bytes(), limits);
    let first = parsed.calendars.into_iter().next();
    first.unwrap_or_else(|| Component::new("VCALENDAR"))
}

fn cut_to_range(
    calendar: Component,
    request: &DataRequest,
    shaping: &Shaping<'_>,
) -> Result<Component, TooMuch> {
    if request.recurrence == Recurrence::Whole && request.busy.is_none() {
        return Ok(calendar);
    }
    let made;
    let compiled = match shaping.compiled {
        Some(compiled) => compiled,
        None => {
            made = compile(&calendar);
            &made
        }
    };
    let subject = Subject {
        calendar: &calendar,
        compiled,
        floating: shaping.floating,
        limits: shaping.recur,
    };
    let mut cut = match &request.recurrence {
        Recurrence::Whole => calendar.clone(),
        Recurrence::Expand(range) => expand(&subject, range)?,
        Recurrence::Limit(range) => limit_recurrence(&subject, range)?,
    };
    if let Some(range) = &request.busy {
        limit_busy(&mut cut, &subject, range);
    }
    Ok(cut)
}
