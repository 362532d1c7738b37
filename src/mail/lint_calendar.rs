//! The rules of `lint` about the calendar object in a mail (RFC 5546 §3.2, RFC 6047 §2).

use super::lint::{Rule, Seen, when};
use crate::ical::{Component, Property, When, address, values};
use std::collections::BTreeSet;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "calendar",
        why: "what cannot be read is no invitation",
        check: calendar,
    },
    Rule {
        id: "method",
        why: "without METHOD Gmail offers no answer and Outlook shows a file",
        check: method,
    },
    Rule {
        id: "publish",
        why: "METHOD:PUBLISH has no buttons in Outlook",
        check: publish,
    },
    Rule {
        id: "one-uid",
        why: "a message is about one meeting; of more, programs show one",
        check: one_uid,
    },
    Rule {
        id: "uid",
        why: "a meeting without UID cannot be answered",
        check: uid,
    },
    Rule {
        id: "dtstamp",
        why: "an update without a newer DTSTAMP in UTC is ignored",
        check: dtstamp,
    },
    Rule {
        id: "sequence",
        why: "an update cannot be told from what it replaces",
        check: sequence,
    },
    Rule {
        id: "organizer",
        why: "answers go to ORGANIZER, which must be a mailto: address",
        check: organizer,
    },
    Rule {
        id: "one-organizer",
        why: "the occurrences of a meeting have one organizer",
        check: one_organizer,
    },
    Rule {
        id: "recipient",
        why: "buttons appear if an ATTENDEE is exactly the address in To",
        check: recipient,
    },
    Rule {
        id: "rsvp",
        why: "some offer no answer without RSVP=TRUE",
        check: rsvp,
    },
    Rule {
        id: "summary",
        why: "the meeting has no name",
        check: summary,
    },
    Rule {
        id: "start",
        why: "Outlook shows a message without DTSTART as a file",
        check: start,
    },
    Rule {
        id: "end",
        why: "an event without end has no length",
        check: end,
    },
    Rule {
        id: "one-attendee",
        why: "an answer is that of one attendee; of more, servers refuse it",
        check: one_attendee,
    },
    Rule {
        id: "timezone",
        why: "times in a zone that is not there are hours wrong, or a file in Outlook",
        check: timezone,
    },
    Rule {
        id: "whole-timezone",
        why: "a zone without offsets moves the meeting",
        check: whole_timezone,
    },
    Rule {
        id: "alarm",
        why: "the guest's device rings as the organizer's does",
        check: alarm,
    },
    Rule {
        id: "private",
        why: "it tells guests what is between the organizer and their server",
        check: private,
    },
];

impl Seen<'_> {
    fn method(&self) -> String {
        let method = self.calendar.as_ref().and_then(|c| c.property("METHOD"));
        method
            .map(|p| p.value().trim().to_ascii_uppercase())
            .unwrap_or_default()
    }

    /// The events and to-dos.
    fn meetings(&self) -> impl Iterator<Item = &Component> {
        let all = self.calendar.iter().flat_map(Component::all_components);
        all.filter(|c| c.is("VEVENT") || c.is("VTODO") || c.is("VJOURNAL"))
    }

    fn asks(&self) -> bool {
        ["REQUEST", "ADD"].contains(&self.method().as_str())
    }
}

/// A complaint for each meeting that lacks something, without telling the same twice.
fn each(seen: &Seen<'_>, wrong: impl Fn(&Component) -> Option<String>) -> Vec<String> {
    let all: BTreeSet<String> = seen.meetings().filter_map(wrong).collect();
    all.into_iter().collect()
}

fn lacks(seen: &Seen<'_>, name: &str) -> Vec<String> {
    each(seen, |c| {
        c.property(name)
            .is_none()
            .then(|| format!("there is no {name}"))
    })
}

fn calendar(seen: &Seen<'_>) -> Vec<String> {
    let unread = seen.part().is_some() && seen.calendar.is_none();
    let empty = seen.calendar.is_some() && seen.meetings().next().is_none();
    when(unread || empty, "the text/calendar part holds no meeting")
}

fn method(seen: &Seen<'_>) -> Vec<String> {
    when(
        seen.calendar.is_some() && seen.method().is_empty(),
        "there is no METHOD",
    )
}

fn publish(seen: &Seen<'_>) -> Vec<String> {
    when(seen.method() == "PUBLISH", "METHOD is PUBLISH")
}

fn one_uid(seen: &Seen<'_>) -> Vec<String> {
    let uids: BTreeSet<_> = seen.meetings().filter_map(|c| c.text("UID")).collect();
    when(uids.len() > 1, &format!("there are {} UIDs", uids.len()))
}

fn uid(seen: &Seen<'_>) -> Vec<String> {
    lacks(seen, "UID")
}

fn dtstamp(seen: &Seen<'_>) -> Vec<String> {
    each(seen, |c| match c.property("DTSTAMP").map(values::when) {
        Some(Some(When::Utc(_))) => None,
        Some(_) => Some("DTSTAMP is not in UTC".to_owned()),
        None => Some("there is no DTSTAMP".to_owned()),
    })
}

fn sequence(seen: &Seen<'_>) -> Vec<String> {
    match seen.asks() || seen.method() == "CANCEL" {
        true => lacks(seen, "SEQUENCE"),
        false => Vec::new(),
    }
}

fn organizer(seen: &Seen<'_>) -> Vec<String> {
    each(seen, |c| match c.property("ORGANIZER") {
        None => Some("there is no ORGANIZER".to_owned()),
        Some(p) => {
            let value = p.value().trim();
            let mailto = value
                .get(..7)
                .is_some_and(|s| s.eq_ignore_ascii_case("mailto:"));
            (!mailto || address(p).mail().is_none()).then(|| format!("ORGANIZER is {value}"))
        }
    })
}

fn one_organizer(seen: &Seen<'_>) -> Vec<String> {
    let people = seen.meetings().filter_map(|c| c.property("ORGANIZER"));
    let people: BTreeSet<String> = people.map(|p| address(p).key()).collect();
    when(
        people.len() > 1,
        &format!("there are {} organizers", people.len()),
    )
}

/// The recipient's own ATTENDEE.
fn own<'c>(seen: &Seen<'_>, component: &'c Component) -> Option<&'c Property> {
    let to = seen.to.as_deref()?;
    let exact = |p: &&Property| address(p).mail().is_some_and(|mail| mail == to);
    component.properties("ATTENDEE").find(exact)
}

fn recipient(seen: &Seen<'_>) -> Vec<String> {
    if !seen.asks() {
        return Vec::new();
    }
    each(seen, |c| {
        let to = seen.to.as_deref().unwrap_or("nobody");
        own(seen, c)
            .is_none()
            .then(|| format!("no ATTENDEE is {to}"))
    })
}

fn rsvp(seen: &Seen<'_>) -> Vec<String> {
    if !seen.asks() {
        return Vec::new();
    }
    each(seen, |c| {
        let own = address(own(seen, c)?);
        let asked = own.partstat() == "NEEDS-ACTION" && !own.rsvp();
        asked.then(|| "the recipient's ATTENDEE has no RSVP=TRUE".to_owned())
    })
}

fn summary(seen: &Seen<'_>) -> Vec<String> {
    match seen.asks() {
        true => lacks(seen, "SUMMARY"),
        false => Vec::new(),
    }
}

fn start(seen: &Seen<'_>) -> Vec<String> {
    if ["REFRESH", "DECLINECOUNTER"].contains(&seen.method().as_str()) {
        return Vec::new();
    }
    each(seen, |c| {
        let none = c.is("VEVENT") && c.property("DTSTART").is_none();
        none.then(|| "there is no DTSTART".to_owned())
    })
}

fn end(seen: &Seen<'_>) -> Vec<String> {
    if !seen.asks() {
        return Vec::new();
    }
    each(seen, |c| {
        let endless = c.property("DTEND").is_none() && c.property("DURATION").is_none();
        let none = c.is("VEVENT") && endless;
        none.then(|| "there is no DTEND".to_owned())
    })
}

fn one_attendee(seen: &Seen<'_>) -> Vec<String> {
    if seen.method() != "REPLY" {
        return Vec::new();
    }
    each(seen, |c| {
        let count = c.properties("ATTENDEE").count();
        (count != 1).then(|| format!("there are {count} ATTENDEEs"))
    })
}

fn timezone(seen: &Seen<'_>) -> Vec<String> {
    let Some(calendar) = &seen.calendar else {
        return Vec::new();
    };
    let zones: BTreeSet<String> = calendar
        .components("VTIMEZONE")
        .filter_map(|zone| zone.text("TZID"))
        .map(|tzid| tzid.trim().to_owned())
        .collect();
    let properties = seen.meetings().flat_map(Component::all_properties);
    let used = properties.filter_map(|p| p.param("TZID"));
    let missing: BTreeSet<String> = used
        .map(|tzid| tzid.trim().to_owned())
        .filter(|tzid| !zones.contains(tzid))
        .collect();
    let say = |tzid: String| format!("there is no VTIMEZONE {tzid}");
    missing.into_iter().map(say).collect()
}

fn whole_timezone(seen: &Seen<'_>) -> Vec<String> {
    let zones = seen.calendar.iter().flat_map(|c| c.components("VTIMEZONE"));
    let whole = |zone: &Component| {
        let mut parts = zone.all_components();
        zone.component("STANDARD")
            .or_else(|| zone.component("DAYLIGHT"))
            .is_some()
            && parts.all(|part| {
                ["DTSTART", "TZOFFSETFROM", "TZOFFSETTO"]
                    .iter()
                    .all(|name| part.property(name).is_some())
            })
    };
    let broken = zones.filter(|zone| !whole(zone));
    let say = |zone: &Component| {
        let tzid = zone.text("TZID").unwrap_or_default().into_owned();
        format!("VTIMEZONE {tzid} is not complete")
    };
    broken.map(say).collect()
}

fn alarm(seen: &Seen<'_>) -> Vec<String> {
    each(seen, |c| {
        c.component("VALARM")
            .map(|_| "there is a VALARM".to_owned())
    })
}

fn private(seen: &Seen<'_>) -> Vec<String> {
    let mut found = BTreeSet::new();
    for property in seen.meetings().flat_map(Component::all_properties) {
        let name = property.name().to_ascii_uppercase();
        if name.starts_with("X-MOZ-") || name.starts_with("X-APPLE-") {
            found.insert(format!("there is {name}"));
        }
        for param in property.params() {
            let name = param.name().to_ascii_uppercase();
            if name.starts_with("SCHEDULE-") {
                found.insert(format!("there is {name}"));
            }
        }
    }
    found.into_iter().collect()
}
