//! Whether a text may be stored as a calendar object: the preconditions of RFC 4791 §5.3.2.1, each
//! breach named by its own.
//!
//! One list for PUT, COPY, MOVE and import. What depends on other objects (the UID) is asked where
//! the calendar's view is at hand.

use super::limits::Limits;
use crate::dav::{Condition, Error};
use crate::ical::{Breach, CalendarObject, Component, Format, Kind, from_jcal, print};
use crate::recur::{Compiled, RecurFault, RecurProblem, RuleError, compile};
use crate::store::{self, Collection};
use bytes::Bytes;

/// An object that may be stored, and the bytes to store.
#[derive(Debug, Clone)]
pub struct Received {
    /// What the text says.
    pub object: CalendarObject,
    /// The text.
    pub text: Bytes,
    /// Whether the text is what the client sent, octet by octet. RFC 4791 §5.3.4
    pub fidelity: Fidelity,
}

/// Whether stored bytes are the bytes sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fidelity {
    /// They are: the answer to PUT may carry a strong entity tag.
    AsSent,
    /// They are not, so that the client has to read the object again.
    Changed,
}

impl Received {
    /// An object as it was read from these bytes, which are kept. Where a fold cuts a character in
    /// two they are no UTF-8 (RFC 5545 §3.1), and no XML could carry them: then it is printed anew.
    pub(super) fn read(mut object: CalendarObject, bytes: &Bytes) -> Received {
        let (text, fidelity) = match std::str::from_utf8(bytes) {
            Ok(_) => (bytes.clone(), Fidelity::AsSent),
            Err(_) => {
                fold_anew(&mut object.calendar);
                (Bytes::from(object.text()), Fidelity::Changed)
            }
        };
        Received {
            object,
            text,
            fidelity,
        }
    }
}

impl Received {
    /// The same object as scheduling has completed it.
    pub(super) fn with(self, calendar: &Component) -> Received {
        Received {
            text: Bytes::from(print(calendar)),
            object: CalendarObject {
                calendar: calendar.clone(),
                ..self.object
            },
            fidelity: Fidelity::Changed,
        }
    }
}

/// Makes the writer fold each line as it folds its own: it does with lines that were changed.
fn fold_anew(component: &mut Component) {
    for property in component.all_properties_mut() {
        let value = property.value().to_owned();
        property.set_value("");
        property.set_value(&value);
    }
    component.all_components_mut().for_each(fold_anew);
}

/// Reads what a client sends as a calendar object.
pub fn receive(media_type: Option<&str>, body: &Bytes, limits: &Limits) -> Result<Received, Error> {
    let format = format(media_type)?;
    if body.len() > limits.resource_bytes {
        return Err(Condition::MaxResourceSize.because(too_long(limits)));
    }
    match format {
        Format::ICalendar => {
            let object = CalendarObject::read(body, &limits.ical).map_err(refused)?;
            Ok(Received::read(object, body))
        }
        Format::JCal => {
            let calendar = from_jcal(body, &limits.ical)
                .map_err(|problem| Condition::ValidCalendarData.because(problem.to_string()))?;
            let text = Bytes::from(print(&calendar));
            let object = CalendarObject::from_calendar(calendar).map_err(refused)?;
            Ok(Received {
                object,
                text,
                fidelity: Fidelity::Changed,
            })
        }
    }
}

/// What is said of an object that has too many bytes.
pub(super) fn too_long(limits: &Limits) -> String {
    format!("At most {} bytes can be stored.", limits.resource_bytes)
}

/// The format of a body.
fn format(media_type: Option<&str>) -> Result<Format, Error> {
    Format::of_body(media_type).ok_or_else(|| {
        Condition::SupportedCalendarData.because("text/calendar in UTF-8 is stored.")
    })
}

/// The precondition that a breach violates. RFC 4791 §5.3.2.1
pub(super) fn refused(breach: Breach) -> Error {
    let (condition, line, text) = match breach {
        Breach::NotCalendar { line, text } => (Condition::ValidCalendarData, line, text),
        Breach::Data { line, text } => (Condition::ValidCalendarData, line, text),
        Breach::Object { line, text } => (Condition::ValidCalendarObjectResource, line, text),
        Breach::Component { line, name } => {
            let text = format!("{name} cannot be stored.");
            (Condition::SupportedCalendarComponent, line, text)
        }
    };
    match line {
        0 => condition.because(text),
        _ => condition.because(format!("Line {line}: {text}")),
    }
}

/// Whether the collection takes the object, and when it is if it does. RFC 4791 §5.3.2.1
pub fn admit(
    object: &CalendarObject,
    collection: &Collection,
    limits: &Limits,
) -> Result<Compiled, Error> {
    if !collection.settings.components.contains(component(object)) {
        let sentence = format!("This calendar takes no {}.", object.kind.component_name());
        return Err(Condition::SupportedCalendarComponent.because(sentence));
    }
    if object.max_attendees() > limits.attendees {
        let sentence = format!("At most {} attendees are kept.", limits.attendees);
        return Err(Condition::MaxAttendeesPerInstance.because(sentence));
    }
    dates(object, limits)?;
    instances(object, limits)
}

/// Dates that are written, not those of instances. RFC 4791 §5.2.6, §5.2.7
fn dates(object: &CalendarObject, limits: &Limits) -> Result<(), Error> {
    match object.dates() {
        Some((first, _)) if first < limits.first => Err(Condition::MinDateTime.into()),
        Some((_, last)) if last > limits.last => Err(Condition::MaxDateTime.into()),
        _ => Ok(()),
    }
}

/// Rules have to mean something, and those that end may not have more instances than the limit;
/// endless ones are taken. RFC 4791 §5.2.8, RFC 7529 §10
fn instances(object: &CalendarObject, limits: &Limits) -> Result<Compiled, Error> {
    let compiled = compile(&object.calendar);
    for problem in compiled.problems() {
        match problem.fault {
            RecurFault::Unreadable(RuleError::Scale) => {
                return Err(Condition::SupportedRscale.because(sentence(problem)));
            }
            RecurFault::Unreadable(_) => {
                return Err(Condition::ValidCalendarData.because(sentence(problem)));
            }
            RecurFault::Odd(_) => {}
        }
    }
    match compiled.count(&limits.recur) {
        Ok(_) => Ok(compiled),
        Err(_) => {
            let most = limits.recur.instances;
            Err(Condition::MaxInstances.because(format!("At most {most} instances are kept.")))
        }
    }
}

fn sentence(problem: &RecurProblem) -> String {
    let mut sentence = problem.to_string();
    if let Some(first) = sentence.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    sentence
}

/// What the store calls the object's kind.
pub fn component(object: &CalendarObject) -> store::Component {
    match object.kind {
        Kind::Event => store::Component::Event,
        Kind::Todo => store::Component::Todo,
        Kind::Journal => store::Component::Journal,
        Kind::FreeBusy => store::Component::FreeBusy,
        Kind::Availability => store::Component::Availability,
    }
}

/// What the store is told of an object, compiled as [`admit`] does it.
pub fn stored(name: &str, received: &Received, compiled: &Compiled) -> store::Put {
    store::Put {
        name: name.to_owned(),
        text: received.text.clone(),
        uid: Some(received.object.uid.clone()),
        component: Some(component(&received.object)),
        summary: compiled.summary(&received.object.calendar).encode(),
        tag: store::Tag::None,
        shared: store::Sharing::Moves,
    }
}
