//! The calendar object that travels: complete in itself, with the addresses that answers come back to,
//! and without what is its owner's alone (RFC 6047 §2.3, RFC 5546 §3.2).

use super::tidings::{from_organizer, one_line};
use crate::ical::{Component, Property, Timestamp, When, address, address_key};
use crate::itip::{Message, Method};
use crate::recur::{add_timezones, strip_timezones};

/// Which address an outside guest's calendar program answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers<'a> {
    /// To this mail address, which is ours; ORGANIZER has it.
    Reply(&'a str),
    /// To the organizer's own address, of which their site sends us what arrives.
    Own,
}

/// Parameters of ATTENDEE and ORGANIZER that are everybody's to see; all others stay here.
const SHARED_PARAMS: [&str; 12] = [
    "CN",
    "CUTYPE",
    "DELEGATED-FROM",
    "DELEGATED-TO",
    "DIR",
    "EMAIL",
    "LANGUAGE",
    "MEMBER",
    "PARTSTAT",
    "ROLE",
    "RSVP",
    "SENT-BY",
];

/// The VCALENDAR of a message as it is mailed to the recipient at this mail address.
pub(super) fn copy(
    message: &Message,
    to: &str,
    answers: Answers<'_>,
    sender: (&str, Option<&str>),
    now: Timestamp,
) -> Component {
    let mut calendar = Component::clone(&message.calendar);
    calendar.set(Property::new("METHOD", &message.method.to_string()));
    let from_organizer = from_organizer(message.method);
    let components = calendar.all_components_mut();
    for component in components.filter(|c| c.is("VEVENT") || c.is("VTODO")) {
        component.retain_components(|inner| !inner.is("VALARM"));
        // "The "DTSTAMP" property MUST be specified"; a second answer with the stamp of the first is
        // ignored by some.
        component.set(Property::when_value("DTSTAMP", &When::Utc(now)));
        if from_organizer && component.property("SEQUENCE").is_none() {
            component.push(Property::new("SEQUENCE", "0"));
        }
        let organizer = component.property("ORGANIZER").map(|p| address(p).key());
        for property in component.all_properties_mut() {
            if !property.is("ATTENDEE") && !property.is("ORGANIZER") {
                continue;
            }
            let key = address(property).key();
            mailable(property);
            let is_organizer = Some(&key) == organizer.as_ref();
            if is_organizer && from_organizer {
                set_organizer(property, answers, sender);
            } else if key == address_key(&message.to) && from_organizer {
                set_guest(property, to, message.method);
            }
        }
        if message.method == Method::Request && component.is("VEVENT") {
            say_to_outlook(component);
        }
    }
    // Zones are written anew: what a program stored of a zone may begin after the meeting.
    strip_timezones(&mut calendar);
    add_timezones(&mut calendar);
    calendar
}

/// A person by mail address, as programs outside know people, with what all may see.
fn mailable(property: &mut Property) {
    let hidden: Vec<String> = property
        .params()
        .map(|param| param.name().to_owned())
        .filter(|name| !SHARED_PARAMS.iter().any(|s| s.eq_ignore_ascii_case(name)))
        .collect();
    for name in hidden {
        property.remove_param(&name);
    }
    let mail = address(property).mail();
    if let Some(mail) = mail {
        let uri = format!("mailto:{mail}");
        if property.value() != uri {
            property.set_value(&uri);
        }
    }
}

/// The organizer at the address that takes answers, with the name and address of the person.
fn set_organizer(property: &mut Property, answers: Answers<'_>, sender: (&str, Option<&str>)) {
    let (name, mail) = sender;
    if property.param("CN").is_none_or(|cn| cn.is_empty()) {
        property.set_param("CN", &one_line(name));
    }
    match (answers, mail) {
        (Answers::Reply(reply), mail) => {
            if let Some(mail) = mail {
                property.set_param("EMAIL", mail);
            }
            property.set_value(&format!("mailto:{reply}"));
        }
        (Answers::Own, Some(mail)) if address(property).mail().is_none() => {
            property.set_value(&format!("mailto:{mail}"));
        }
        (Answers::Own, _) => {}
    }
}

/// The guest by exactly the address that the mail goes to, with all that makes programs offer buttons.
fn set_guest(property: &mut Property, to: &str, method: Method) {
    property.set_value(&format!("mailto:{to}"));
    if method != Method::Request {
        return;
    }
    if property.param("PARTSTAT").is_none() {
        property.set_param("PARTSTAT", "NEEDS-ACTION");
    }
    if address(property).partstat() == "NEEDS-ACTION" {
        property.set_param("RSVP", "TRUE");
    }
    if property.param("ROLE").is_none() {
        property.set_param("ROLE", "REQ-PARTICIPANT");
    }
}

/// What Outlook shows the time as.
fn say_to_outlook(component: &mut Component) {
    let word = |component: &Component, name: &str| {
        let value = component.property(name).map(|p| p.value().to_uppercase());
        value.unwrap_or_default()
    };
    let busy = match (word(component, "TRANSP"), word(component, "STATUS")) {
        (transp, _) if transp == "TRANSPARENT" => "FREE",
        (_, status) if status == "TENTATIVE" => "TENTATIVE",
        _ => "BUSY",
    };
    let day = component
        .property("DTSTART")
        .and_then(crate::ical::values::when)
        .is_some_and(|start| matches!(start, When::Date(_)));
    let all_day = if day { "TRUE" } else { "FALSE" };
    for (name, value) in [
        ("X-MICROSOFT-CDO-BUSYSTATUS", "TENTATIVE"),
        ("X-MICROSOFT-CDO-INTENDEDSTATUS", busy),
        ("X-MICROSOFT-CDO-ALLDAYEVENT", all_day),
        ("X-MICROSOFT-DISALLOW-COUNTER", "FALSE"),
    ] {
        if component.property(name).is_none() {
            component.push(Property::new(name, value));
        }
    }
}
