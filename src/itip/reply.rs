//! Answers: what a REPLY says, and what it changes for the organizer; REFRESH and COUNTER (RFC 5546 §3.2.3, §3.2.6-7,
//! RFC 6638 §4.2).

use super::apply::{earlier, held, rebuilt};
use super::incoming::{Change, Inbox, Incoming, Mark, Reason, Received, ScheduleTag, State};
use super::meeting::{self, Key, Meeting};
use super::message::{self, Message, Method, Weight};
use super::people::{Addresses, Person, partstat, served};
use super::view::{self, View};
use crate::ical::{Component, Property, address_key, values};
use std::collections::BTreeMap;

/// Properties of the meeting that a reply repeats, so that a program that does not have it can show what was answered.
const REPEATED: [&str; 19] = [
    "UID",
    "RECURRENCE-ID",
    "SEQUENCE",
    "ORGANIZER",
    "ATTENDEE",
    "DTSTART",
    "DTEND",
    "DURATION",
    "DUE",
    "RRULE",
    "RDATE",
    "EXDATE",
    "SUMMARY",
    "LOCATION",
    "COMMENT",
    "PERCENT-COMPLETE",
    "COMPLETED",
    "STATUS",
    "REQUEST-STATUS",
];

/// The component of a REPLY: the meeting's identity, and of all attendees only the one who answers, with those they
/// delegate to. RFC 5546 §3.2.3: "The property "ATTENDEE" … MUST be the address of the Attendee replying."
pub(super) fn component(answered: &Component, who: &Addresses) -> Option<Component> {
    let own = meeting::attendee(answered, &Person::Owner, who)?.clone();
    let delegates: Vec<Person> = own
        .param_values("DELEGATED-TO")
        .iter()
        .map(|address| who.person(address))
        .collect();
    let mut component = view::public(answered);
    component.retain_properties(|p| {
        let status_of_event = p.is("STATUS") && !answered.is("VTODO");
        REPEATED.iter().any(|name| p.is(name))
            && !status_of_event
            && (!p.is("ATTENDEE") || {
                let person = who.person(p.value());
                person == Person::Owner || delegates.contains(&person)
            })
    });
    // One address of the owner is enough, the one that was invited.
    let mut seen = false;
    component.retain_properties(|p| {
        !p.is("ATTENDEE") || !who.is_own(p.value()) || !std::mem::replace(&mut seen, true)
    });
    if let Some(own) = component
        .properties_mut("ATTENDEE")
        .find(|p| who.is_own(p.value()))
    {
        own.remove_param("RSVP");
    }
    Some(component)
}

/// REPLY: the sender's participation is entered, and the others' copies are brought up to date.
pub(super) fn apply(received: &Received<'_, '_>) -> Incoming {
    let Some(existing) = received.existing else {
        return Incoming::nothing(received.state, Reason::NoMeeting);
    };
    if !existing
        .organizer()
        .is_some_and(|o| received.who.is_own(o.value()))
    {
        return Incoming::nothing(received.state, Reason::NotTheOrganizer);
    }
    let mut components = held(existing);
    let mut state = received.state.clone();
    let mut reason = Reason::NoInstance;
    for sent in message::meetings(&received.message.calendar) {
        let id = sent.property("RECURRENCE-ID").and_then(values::when);
        // The key is the organizer's: the attendee may write it in another zone, or in UTC.
        let key = id.map(|id| key_of(received, existing, &id));
        reason = match enter(
            received,
            existing,
            (&mut components, &mut state),
            (key, sent),
        ) {
            Reason::Answered => Reason::Answered,
            other if reason != Reason::Answered => other,
            _ => reason,
        };
    }
    if components.len() > received.limits.overrides {
        return Incoming::nothing(received.state, Reason::TooMany);
    }
    if reason != Reason::Answered {
        let inbox = match reason {
            Reason::PartyCrasher => Inbox::Show,
            _ => Inbox::Hide,
        };
        return Incoming {
            state,
            inbox,
            ..Incoming::nothing(received.state, reason)
        };
    }
    let components = components.into_values().collect();
    let calendar = rebuilt(received, existing.calendar, existing, components);
    let messages = Meeting::read(&calendar).map_or_else(Vec::new, |after| told(received, &after));
    Incoming {
        object: Change::Put(calendar),
        messages,
        state,
        inbox: Inbox::Show,
        schedule_tag: ScheduleTag::Keep,
        reason,
    }
}

/// The organizer's key of the instance that a message in the attendee's zones names.
fn key_of(received: &Received<'_, '_>, existing: &Meeting<'_>, id: &crate::ical::When) -> Key {
    use crate::ical::When;
    match id {
        When::Zoned(local, tzid) if existing.zones.get(tzid).is_none() => {
            match received.meeting.zones.get(tzid) {
                Some(zone) => existing.key(&When::Utc(zone.instant(*local))),
                None => existing.key(&When::Floating(*local)),
            }
        }
        id => existing.key(id),
    }
}

/// Enters the answer to one instance, or to the series.
fn enter(
    received: &Received<'_, '_>,
    existing: &Meeting<'_>,
    (components, state): (&mut BTreeMap<Option<Key>, Component>, &mut State),
    (key, sent): (Option<Key>, &Component),
) -> Reason {
    let sender = received.who.person(&received.message.from);
    let Some(answer) = answering(received, sent, &sender) else {
        return Reason::Unreadable;
    };
    let mut component = match component_for(received, existing, (components, key)) {
        Ok(component) => component,
        Err(reason) => return reason,
    };
    if meeting::attendee(&component, &sender, received.who).is_none() {
        return match delegated(received, (&component, answer), &sender) {
            Some(delegate) => {
                component.push(delegate);
                components.insert(key, component);
                Reason::Answered
            }
            None => Reason::PartyCrasher,
        };
    }
    let mark = Mark {
        sequence: meeting::sequence(sent),
        stamp: meeting::stamp(sent),
        partstat: partstat(answer),
    };
    let id = (person_text(&sender), key);
    if state
        .answers
        .get(&id)
        .is_some_and(|m| m.newer_than(mark.sequence, mark.stamp))
        || superseded(received, existing, (&component, sent))
    {
        return Reason::Stale;
    }
    let unchanged = state.answers.get(&id) == Some(&mark);
    write(received, &mut component, (&sender, answer), sent);
    for delegate in delegates(received, answer, sent) {
        if meeting::attendee(
            &component,
            &received.who.person(delegate.value()),
            received.who,
        )
        .is_none()
        {
            component.push(delegate);
        }
    }
    if unchanged && components.get(&key) == Some(&component) {
        return Reason::Known;
    }
    components.insert(key, component);
    state.answers.insert(id, mark);
    Reason::Answered
}

/// The ATTENDEE that answers: the sender's own, or the only one. An alias that nobody knows is recognised by that.
fn answering<'c>(
    received: &Received<'_, '_>,
    sent: &'c Component,
    sender: &Person,
) -> Option<&'c Property> {
    let own = meeting::attendee(sent, sender, received.who);
    let mut all = sent.properties("ATTENDEE");
    let only = all.next().filter(|_| all.next().is_none());
    own.or(only)
}

/// What the answer is entered into: the override, the instance made one, or the series.
fn component_for(
    received: &Received<'_, '_>,
    existing: &Meeting<'_>,
    (components, key): (&BTreeMap<Option<Key>, Component>, Option<Key>),
) -> Result<Component, Reason> {
    if let Some(component) = components.get(&key) {
        return Ok(component.clone());
    }
    let Some(key) = key else {
        return Err(Reason::NoInstance);
    };
    if existing.excludes(key) || !existing.has(key, &received.limits.recur) {
        return Err(Reason::NoInstance);
    }
    earlier(existing, key).ok_or(Reason::NoInstance)
}

/// Whether the meeting was moved since the attendee answered: an older SEQUENCE, and another time.
///
/// RFC 5546 §2.1.5 lets an organizer take a lower SEQUENCE as outdated; a revision that only took instances away does not
/// outdate the answers on their way.
fn superseded(
    received: &Received<'_, '_>,
    existing: &Meeting<'_>,
    (component, sent): (&Component, &Component),
) -> bool {
    if meeting::sequence(sent) >= meeting::sequence(component) {
        return false;
    }
    let now = meeting::start(component).map(|start| existing.instant(&start));
    let then = meeting::start(sent).map(|start| received.meeting.instant(&start));
    then.is_none() || now != then
}

/// PARTSTAT and what goes with it. RFC 6638 §4.2
fn write(
    received: &Received<'_, '_>,
    component: &mut Component,
    (sender, answer): (&Person, &Property),
    sent: &Component,
) {
    let statuses: Vec<String> = sent
        .properties("REQUEST-STATUS")
        .filter_map(|p| {
            p.value()
                .split(';')
                .next()
                .map(|code| code.trim().to_owned())
        })
        .filter(|code| code.starts_with(|c: char| c.is_ascii_digit()))
        .collect();
    let status = if statuses.is_empty() {
        "2.0".to_owned()
    } else {
        statuses.join(",")
    };
    let comment = sent.text("COMMENT").map(|c| c.trim().to_owned());
    for attendee in component.properties_mut("ATTENDEE") {
        if received.who.person(attendee.value()) != *sender {
            continue;
        }
        attendee.set_param("PARTSTAT", &partstat(answer));
        attendee.set_param("SCHEDULE-STATUS", &status);
        attendee.remove_param("RSVP");
        let delegates = answer.param_values("DELEGATED-TO");
        if !delegates.is_empty() {
            let delegates: Vec<&str> = delegates.iter().map(|d| d.as_ref()).collect();
            attendee.set_param_values("DELEGATED-TO", &delegates);
        }
        if let Some(comment) = comment.as_deref().filter(|c| !c.is_empty()) {
            let short: String = comment.chars().take(MAX_COMMENT).collect();
            attendee.set_param("X-RESPONSE-COMMENT", &short);
        }
    }
}

/// Characters of a comment that are kept with an answer; some senders add a company's whole disclaimer.
const MAX_COMMENT: usize = 500;

/// The delegates an answer names, as attendees of the meeting. RFC 5546 §3.2.2.3
fn delegates(received: &Received<'_, '_>, answer: &Property, sent: &Component) -> Vec<Property> {
    answer
        .param_values("DELEGATED-TO")
        .iter()
        .map(|address| {
            let person = received.who.person(address);
            let named = meeting::attendee(sent, &person, received.who).cloned();
            let delegate = named.unwrap_or_else(|| Property::new("ATTENDEE", address));
            delegate
                .with_param("DELEGATED-FROM", answer.value().trim())
                .with_param("PARTSTAT", "NEEDS-ACTION")
                .with_param("RSVP", "TRUE")
        })
        .collect()
}

/// The answer of somebody who is not on the list, but to whom somebody on it delegated. RFC 5546 §3.2.3
fn delegated(
    received: &Received<'_, '_>,
    (component, answer): (&Component, &Property),
    sender: &Person,
) -> Option<Property> {
    let delegated_here = component.properties("ATTENDEE").any(|a| {
        a.param_values("DELEGATED-TO")
            .iter()
            .any(|to| received.who.person(to) == *sender)
    });
    delegated_here.then(|| {
        let mut delegate = Property::new("ATTENDEE", answer.value().trim());
        delegate.set_param("PARTSTAT", &partstat(answer));
        delegate
    })
}

fn person_text(person: &Person) -> String {
    match person {
        Person::Owner => "owner".to_owned(),
        Person::Local(id) => format!("local:{id}"),
        Person::Other(address) => address_key(address),
    }
}

/// Brings the copies of all other attendees up to date. RFC 6638 §4.2: "The server SHOULD send scheduling messages to all
/// the other "Attendees" indicating the change in participation status of the "Attendee" replying".
fn told(received: &Received<'_, '_>, after: &Meeting<'_>) -> Vec<Message> {
    let sender = received.who.person(&received.message.from);
    let (Some(organizer), Some(uid)) = (after.organizer(), after.any().and_then(|c| c.text("UID")))
    else {
        return Vec::new();
    };
    let mut messages = Vec::new();
    for (person, address) in after.invited(received.who) {
        let others = person != Person::Owner && person != sender;
        if !others || !matches!(person, Person::Local(_)) {
            continue;
        }
        let view = View::of(after, &person, received.who);
        let hears = |c: &Component| meeting::attendee(c, &person, received.who).is_some_and(served);
        if view.is_empty() || !after.components().any(|(_, c)| hears(c)) {
            continue;
        }
        let components = view.shown(after).into_values();
        let components = components
            .map(|c| message::stamped(c, received.now))
            .collect();
        messages.push(Message {
            method: Method::Request,
            from: organizer.value().trim().to_owned(),
            to: address,
            uid: uid.clone().into_owned(),
            weight: Weight::Refresh,
            calendar: message::envelope(after.calendar, Method::Request, components),
        });
    }
    messages
}

/// REFRESH: the sender gets what concerns them. RFC 5546 §3.2.6
pub(super) fn refresh(received: &Received<'_, '_>) -> Incoming {
    let Some(existing) = received.existing else {
        return Incoming::nothing(received.state, Reason::NoMeeting);
    };
    let Some(organizer) = existing
        .organizer()
        .filter(|o| received.who.is_own(o.value()))
    else {
        return Incoming::nothing(received.state, Reason::NotTheOrganizer);
    };
    let sender = received.who.person(&received.message.from);
    let view = View::of(existing, &sender, received.who);
    if view.is_empty() {
        return Incoming::nothing(received.state, Reason::PartyCrasher);
    }
    let components = view.shown(existing).into_values();
    let components = components
        .map(|c| message::stamped(c, received.now))
        .collect();
    let request = Message {
        method: Method::Request,
        from: organizer.value().trim().to_owned(),
        to: received.message.from.clone(),
        uid: received.message.uid.clone(),
        weight: Weight::News,
        calendar: message::envelope(existing.calendar, Method::Request, components),
    };
    Incoming {
        messages: vec![request],
        ..Incoming::nothing(received.state, Reason::Asked)
    }
}

/// COUNTER: a proposal is shown to the organizer, who answers it by changing the meeting, or not. RFC 5546 §3.2.7
pub(super) fn counter(received: &Received<'_, '_>) -> Incoming {
    let Some(existing) = received.existing else {
        return Incoming::nothing(received.state, Reason::NoMeeting);
    };
    if !existing
        .organizer()
        .is_some_and(|o| received.who.is_own(o.value()))
    {
        return Incoming::nothing(received.state, Reason::NotTheOrganizer);
    }
    let sender = received.who.person(&received.message.from);
    let reason = if existing.invited(received.who).contains_key(&sender) {
        Reason::Countered
    } else {
        Reason::PartyCrasher
    };
    Incoming {
        inbox: Inbox::Show,
        ..Incoming::nothing(received.state, reason)
    }
}
