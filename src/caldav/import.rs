//! Import: a stream of any origin becomes objects that may be stored, and a report of the others.
//!
//! What holds one object is stored as it is; what holds several is split by UID (RFC 4791 §4.1).
//! Safe repairs are made and told: a METHOD is dropped, a missing UID is made from the content, a missing DTSTAMP from what
//! else says when it was written.

use super::limits::Limits;
use super::object::{self, Fidelity, Received};
use super::stream::{file_name, split};
use crate::dav::{Detail, Error};
use crate::ical::{CalendarObject, Component, Property, Timestamp, When, parse, rules, values};
use crate::store::{Collection, Put};
use bytes::Bytes;

/// What a stream gives.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// What may be stored.
    pub objects: Vec<Imported>,
    /// What may not.
    pub refused: Vec<Remark>,
    /// What was repaired.
    pub repaired: Vec<Remark>,
}

/// An object from a stream.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The name it gets in a calendar where that is free.
    pub name: String,
    /// The line of the stream at which it begins.
    pub line: u32,
    /// The object.
    pub received: Received,
}

/// Something to tell about a place in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The line, from 1; 0 where it is about the whole.
    pub line: u32,
    /// The UID it is about; empty where none is known.
    pub uid: String,
    /// A sentence.
    pub text: String,
}

/// The objects in a stream.
pub fn import(stream: &Bytes, limits: &Limits) -> Import {
    let whole = CalendarObject::read(stream, &limits.ical);
    if let Ok(object) = whole
        && !object.calendar.all_components().any(is_unstamped)
    {
        let objects = vec![imported(1, Received::read(object, stream))];
        return Import {
            objects,
            ..Import::default()
        };
    }
    let parsed = parse(stream, &limits.ical);
    let mut import = Import::default();
    for problem in &parsed.problems {
        import
            .repaired
            .push(remark(problem.line, "", problem.to_string()));
    }
    if parsed.calendars.is_empty() {
        let text = "This is no iCalendar text.".to_owned();
        import.refused.push(remark(0, "", text));
    }
    for part in split(&parsed.calendars) {
        if part.uid_made {
            let text = "It had no UID and got one.".to_owned();
            import.repaired.push(remark(part.line, &part.uid, text));
        }
        let mut calendar = part.calendar;
        for line in stamp(&mut calendar) {
            let text = "It had no DTSTAMP and got one.".to_owned();
            import.repaired.push(remark(line, &part.uid, text));
        }
        match CalendarObject::from_calendar(calendar) {
            Ok(object) => {
                let received = Received {
                    text: Bytes::from(object.text()),
                    object,
                    fidelity: Fidelity::Changed,
                };
                import.objects.push(imported(part.line, received));
            }
            Err(breach) => {
                import
                    .refused
                    .push(remark(part.line, &part.uid, breach.to_string()));
            }
        }
    }
    import
}

/// Whether it must say when it was written, and does not. RFC 5545 §3.6.1-3.6.4, RFC 7953 §3.1
fn is_unstamped(component: &Component) -> bool {
    rules::requires(component, "DTSTAMP") && component.property("DTSTAMP").is_none()
}

/// Gives components that lack one a DTSTAMP; answers their lines. What says nothing of its age is older than all else.
fn stamp(calendar: &mut Component) -> Vec<u32> {
    let mut lines = Vec::new();
    for component in calendar.all_components_mut().filter(|c| is_unstamped(c)) {
        let written = ["LAST-MODIFIED", "CREATED"].iter().find_map(|name| {
            let when = values::when(component.property(name)?)?;
            matches!(when, When::Utc(_)).then_some(when)
        });
        let written = written.unwrap_or(When::Utc(Timestamp(0)));
        component.push(Property::when_value("DTSTAMP", &written));
        lines.push(component.line_number());
    }
    lines
}

fn imported(line: u32, received: Received) -> Imported {
    Imported {
        name: file_name(&received.object.uid),
        line,
        received,
    }
}

fn remark(line: u32, uid: &str, text: String) -> Remark {
    let uid = uid.to_owned();
    Remark { line, uid, text }
}

/// What the store is told to keep an imported object in a calendar, or why the calendar does not
/// take it: what no client could PUT is not stored by another way. RFC 4791 §5.3.2.1
pub fn admit(imported: &Imported, collection: &Collection, limits: &Limits) -> Result<Put, String> {
    if imported.received.text.len() > limits.resource_bytes {
        return Err(object::too_long(limits));
    }
    let received = &imported.received;
    let compiled = object::admit(&received.object, collection, limits).map_err(|e| sentence(&e))?;
    Ok(object::stored(&imported.name, received, &compiled))
}

/// An error in words.
fn sentence(error: &Error) -> String {
    match error {
        Error::Refused(refusal) => match &refusal.detail {
            Detail::Text(text) => text.clone(),
            _ => refusal.condition.row().name.local.to_owned(),
        },
        Error::Status(_, sentence) => (*sentence).to_owned(),
        Error::Store(error) => error.to_string(),
    }
}
