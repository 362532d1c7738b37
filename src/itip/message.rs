//! A scheduling message: one method, one UID, one recipient (RFC 5546 §1.4).

use super::meeting::is_meeting;
use crate::ical::{Component, PRODID, Property, Timestamp, When};
use std::fmt;
use std::sync::Arc;

/// What a message asks for. RFC 5546 §1.4
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Posts an entry without asking for an answer.
    Publish,
    /// Invites, changes, delegates, or refreshes.
    Request,
    /// An attendee's answer.
    Reply,
    /// Adds instances to a series.
    Add,
    /// Cancels a meeting, instances of it, or somebody's part in it.
    Cancel,
    /// An attendee asks for the newest state.
    Refresh,
    /// An attendee proposes something else.
    Counter,
    /// The organizer does not follow a proposal.
    DeclineCounter,
}

const METHODS: [(Method, &str); 8] = [
    (Method::Publish, "PUBLISH"),
    (Method::Request, "REQUEST"),
    (Method::Reply, "REPLY"),
    (Method::Add, "ADD"),
    (Method::Cancel, "CANCEL"),
    (Method::Refresh, "REFRESH"),
    (Method::Counter, "COUNTER"),
    (Method::DeclineCounter, "DECLINECOUNTER"),
];

impl Method {
    /// The method of this name, in any case: old programs write it small.
    #[must_use]
    pub fn parse(name: &str) -> Option<Method> {
        let name = name.trim();
        METHODS
            .iter()
            .find(|(_, text)| text.eq_ignore_ascii_case(name))
            .map(|(method, _)| *method)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = METHODS.iter().find(|(method, _)| method == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

/// Whether a person must hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Others' participation changed: copies on this server are brought up to date, nobody is told and nothing is
    /// mailed. RFC 6638 §4.2
    Refresh,
    /// It belongs into the inbox, or into a mail.
    News,
}

/// One message to one recipient.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// What it asks for.
    pub method: Method,
    /// The sender's calendar user address.
    pub from: String,
    /// The recipient's, as the object writes it.
    pub to: String,
    /// The UID it is about.
    pub uid: String,
    /// Whether the recipient must hear of it.
    pub weight: Weight,
    /// The VCALENDAR with METHOD, with the time zones it needs; one for all who are sent the same.
    pub calendar: Arc<Component>,
}

/// An empty VCALENDAR of a message, with the zones that `components` use taken from `source`.
pub(super) fn envelope(
    source: &Component,
    method: Method,
    components: Vec<Component>,
) -> Arc<Component> {
    let mut calendar = Component::new("VCALENDAR")
        .with(Property::new("VERSION", "2.0"))
        .with(Property::new("PRODID", PRODID))
        .with(Property::new("METHOD", &method.to_string()));
    for scale in source.properties("CALSCALE") {
        calendar.push(scale.clone());
    }
    for zone in source.components("VTIMEZONE") {
        let tzid = zone.property("TZID").map(|p| p.value().trim().to_owned());
        if tzid.is_some_and(|tzid| components.iter().any(|c| uses(c, &tzid))) {
            calendar.push_component(zone.clone());
        }
    }
    for component in components {
        calendar.push_component(component);
    }
    Arc::new(calendar)
}

fn uses(component: &Component, tzid: &str) -> bool {
    let here = component
        .all_properties()
        .any(|p| p.param("TZID").is_some_and(|t| t == tzid));
    here || component.all_components().any(|c| uses(c, tzid))
}

/// Stamps every component with the time the message was made. RFC 6638 §3.2.5
pub(super) fn stamped(mut component: Component, now: Timestamp) -> Component {
    component.set(Property::when_value("DTSTAMP", &When::Utc(now)));
    component
}

/// The components of a message that are about the meeting.
pub(super) fn meetings(calendar: &Component) -> impl Iterator<Item = &Component> {
    calendar.all_components().filter(|c| is_meeting(c))
}
