//! What a mail is: scheduling messages, a report that one of ours was not delivered, a machine's own answer, or nothing
//! for us (RFC 6047 §2, RFC 3464, RFC 3834 §5).
//!
//! Subjects are never read: every program words them its own way and in its own language.

use std::collections::BTreeMap;

use super::read::{Found, Letter, Place, Report};
use crate::ical::{Component, Property, When};
use crate::itip::{self, Method};
use crate::recur;

/// What a mail is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Scheduling messages, each of one method and one UID.
    Scheduling(Vec<Scheduling>),
    /// One of our mails did not reach its recipient.
    Bounce(Report),
    /// A machine answered by itself: an absence note, a receipt, a report of delay.
    Automatic(&'static str),
    /// There is nothing for a calendar in it.
    Nothing(&'static str),
}

/// A scheduling message as a mail brought it. RFC 5546 §1.4
#[derive(Clone, Debug, PartialEq)]
pub struct Scheduling {
    /// What it asks for.
    pub method: Method,
    /// The UID it is about.
    pub uid: String,
    /// Where in the mail it was.
    pub place: Place,
    /// The VCALENDAR: METHOD, the time zones, the components of this UID.
    pub calendar: Component,
}

/// What a mail is. At most `most` scheduling messages are taken from it.
#[must_use]
pub fn classify(letter: &Letter, most: usize) -> Kind {
    if let Some(report) = &letter.report {
        return if report.failed.is_empty() {
            Kind::Automatic("a report of a delay, or of success")
        } else {
            Kind::Bounce(report.clone())
        };
    }
    let messages = scheduling(letter, most);
    let answered = letter.automatic.filter(|why| !why.contains("generated"));
    // Exchange's rooms answer by themselves, and these answers count; an absence note that sends our invitation back
    // does not.
    let answers = |m: &Scheduling| {
        matches!(
            m.method,
            Method::Reply | Method::Counter | Method::DeclineCounter | Method::Refresh
        )
    };
    match (answered, messages.is_empty()) {
        (Some(why), _) if !messages.iter().all(answers) || messages.is_empty() => {
            Kind::Automatic(why)
        }
        (_, false) => Kind::Scheduling(messages),
        (_, true) => match letter.automatic {
            Some(why) => Kind::Automatic(why),
            None => Kind::Nothing(why_nothing(letter)),
        },
    }
}

fn why_nothing(letter: &Letter) -> &'static str {
    match letter.calendars.first() {
        None if letter.packed => "Outlook packed it into winmail.dat, which only Outlook reads",
        None => "there is no calendar in it",
        Some(found) => match method(found) {
            None => "the calendar in it has no method",
            Some(_) => "the calendar in it has no event or to-do with a UID",
        },
    }
}

/// METHOD inside the calendar wins over the parameter, as Outlook has it; either may be in any case.
fn method(found: &Found) -> Option<Method> {
    let inside = found.calendar.property("METHOD");
    match inside.map(|p| p.value().trim()).filter(|m| !m.is_empty()) {
        Some(name) => Method::parse(name),
        None => found.method.as_deref().and_then(Method::parse),
    }
}

/// The messages of the best place that has any, each once.
fn scheduling(letter: &Letter, most: usize) -> Vec<Scheduling> {
    let mut all: Vec<Scheduling> = Vec::new();
    for found in &letter.calendars {
        let better = all.first().is_some_and(|first| first.place < found.place);
        let Some(method) = method(found).filter(|_| !better) else {
            continue;
        };
        for message in by_uid(found, method, letter) {
            let known = all
                .iter()
                .any(|m| m.method == method && m.uid == message.uid);
            if !known && all.len() < most {
                all.push(message);
            }
        }
    }
    all
}

/// One message for each UID: RFC 5546 §3.2 allows no more than one in a message, and senders do it nevertheless.
fn by_uid(found: &Found, method: Method, letter: &Letter) -> Vec<Scheduling> {
    let mut components: BTreeMap<String, Vec<Component>> = BTreeMap::new();
    for component in found.calendar.all_components() {
        if !component.is("VEVENT") && !component.is("VTODO") {
            continue;
        }
        let uid = component.property("UID").map(|p| p.value().trim());
        if let Some(uid) = uid.filter(|uid| !uid.is_empty()) {
            let stamped = clean(component, method, letter);
            components.entry(uid.to_owned()).or_default().push(stamped);
        }
    }
    let messages = components.into_iter().map(|(uid, components)| {
        let mut calendar = frame(found, method);
        for component in components {
            calendar.push_component(component);
        }
        // Who keeps the message needs the zones that some senders only name.
        recur::add_timezones(&mut calendar);
        Scheduling {
            method,
            uid,
            place: found.place,
            calendar,
        }
    });
    messages.collect()
}

/// The calendar around the components, with what old programs leave out. RFC 5545 §3.7
fn frame(found: &Found, method: Method) -> Component {
    let source = &found.calendar;
    let text = |name: &str| {
        let property = source.property(name);
        property
            .map(|p| p.value().trim().to_owned())
            .filter(|value| !value.is_empty())
    };
    let prodid = text("PRODID").unwrap_or_else(|| "-//unknown//unknown//EN".to_owned());
    let mut calendar = Component::new("VCALENDAR")
        .with(Property::new("VERSION", "2.0"))
        .with(Property::new("PRODID", &prodid))
        .with(Property::new("METHOD", &method.to_string()));
    for scale in source.properties("CALSCALE").take(1) {
        calendar.push(scale.clone());
    }
    for zone in source.components("VTIMEZONE") {
        calendar.push_component(zone.clone());
    }
    calendar
}

/// A component without what its sender has no say in: alarms, the parameters between a program and its server, the
/// STATUS that Apple's programs write into answers.
fn clean(component: &Component, method: Method, letter: &Letter) -> Component {
    let mut component = component.clone();
    component.retain_components(|c| !c.is("VALARM"));
    for property in component.all_properties_mut() {
        if property.is("ATTENDEE") || property.is("ORGANIZER") {
            property.retain_params(|param| !itip::is_scheduling_param(param.name()));
        }
    }
    if method == Method::Reply && component.is("VEVENT") {
        component.remove("STATUS");
    }
    // Which of two answers is newer is told by DTSTAMP; where it is missing, the mail's own date must do.
    if component.property("DTSTAMP").is_none()
        && let Some(date) = letter.date
    {
        component.push(Property::when_value("DTSTAMP", &When::Utc(date)));
    }
    component
}
