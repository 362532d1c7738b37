//! Answers: what a REPLY says, and what it changes for the organizer (RFC 5546 §3.2.3, RFC 6638 §4.2).
//!
//! An answer counts for whoever sent it. One that says SENT-BY (RFC 5546 §2.1.3) of somebody else's participation is held
//! for the organizer like that of an uninvited person: anybody could claim to act for another.

use super::apply::{earlier, held, rebuilt};
use super::compare::{self, Difference};
use super::incoming::{Change, Inbox, Incoming, Reason, Received, ScheduleTag};
use super::meeting::{self, Key, Meeting};
use super::message::{self, Message, Weight};
use super::people::{Addresses, COMMENT_PARAM, Person, partstat};
use super::sequence::{self, Step};
use super::state::{Mark, State};
use super::view;
use super::{current, delegate};
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
    let mut behind = false;
    for sent in message::meetings(&received.message.calendar) {
        let id = sent.property("RECURRENCE-ID").and_then(values::when);
        // The key is the organizer's: the attendee may write it in another zone, or in UTC.
        let key = id.map(|id| key_of(received, existing, &id));
        for key in meant(received, existing, key) {
            let answered = components.get(&key).or_else(|| components.get(&None));
            let number = answered.map(meeting::sequence);
            behind |= number.is_some_and(|number| number > meeting::sequence(sent));
            behind |= key.is_none() && components.len() > received.meeting.components().count();
            let entry = (&mut components, &mut state);
            reason = match enter(received, existing, entry, (key, sent)) {
                Reason::Answered => Reason::Answered,
                other if reason != Reason::Answered => other,
                _ => reason,
            };
        }
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
    let messages = Meeting::read(&calendar).map_or_else(Vec::new, |after| {
        let sender = if behind { Told::Too } else { Told::Not };
        told(received, (existing, &after), sender)
    });
    Incoming {
        object: Change::Put(calendar),
        messages,
        state,
        inbox: Inbox::Show,
        schedule_tag: ScheduleTag::Keep,
        reason,
    }
}

/// The components an answer is about: the one it names; for somebody who is invited to single instances and names none,
/// each of these.
fn meant(
    received: &Received<'_, '_>,
    existing: &Meeting<'_>,
    key: Option<Key>,
) -> Vec<Option<Key>> {
    let sender = received.who.person(&received.message.from);
    let invited = |c: &Component| meeting::attendee(c, &sender, received.who).is_some();
    if key.is_some() || existing.master.is_some_and(invited) {
        return vec![key];
    }
    let theirs = existing.overrides.iter().filter(|(_, c)| invited(c));
    let keys: Vec<Option<Key>> = theirs.map(|(key, _)| Some(*key)).collect();
    if keys.is_empty() { vec![key] } else { keys }
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
    if meeting::is_cancelled(&component) {
        return Reason::NoInstance;
    }
    if meeting::attendee(&component, &sender, received.who).is_none() {
        match delegated(received, (&component, answer), &sender) {
            Some(delegate) => component.push(delegate),
            None => return Reason::PartyCrasher,
        }
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
        // It answers a meeting that was deleted, and made anew since.
        || state.last.is_some_and(|last| mark.sequence <= last)
    {
        return Reason::Stale;
    }
    if superseded(received, existing, (&component, sent)) {
        return Reason::Stale;
    }
    let was = meeting::attendee(&component, &sender, received.who).map(partstat);
    let of_series = || {
        components
            .get(&None)
            .and_then(|c| meeting::attendee(c, &sender, received.who))
    };
    if key.is_some_and(|_| !components.contains_key(&key))
        && of_series().is_some_and(|series| partstat(series) == mark.partstat)
    {
        // The series says so already; what was said before this is not to be entered any more.
        let newer = state
            .answers
            .get(&id)
            .is_some_and(|m| m.newer_than(mark.sequence, mark.stamp));
        if !newer {
            state.answers.insert(id, mark);
        }
        return Reason::Known;
    }
    let unchanged = state.answers.get(&id) == Some(&mark);
    write(received, &mut component, (&sender, answer), sent);
    name_delegates(received, &mut component, (&sender, sent));
    progress(received, &mut component, (&sender, sent));
    if unchanged && components.get(&key) == Some(&component) {
        return Reason::Known;
    }
    if key.is_none() {
        let said = (sent, answer, was.as_deref());
        said_of_all(received, existing, (components, state), (&sender, said));
    }
    components.insert(key, component);
    state.answers.insert(id, mark);
    Reason::Answered
}

/// An answer to the series is one to its instances, also to those that have a component of their own, as long as they are at
/// the series' time and were not answered otherwise: the sender may not have heard of these components.
fn said_of_all(
    received: &Received<'_, '_>,
    existing: &Meeting<'_>,
    (components, state): (&mut BTreeMap<Option<Key>, Component>, &State),
    (sender, (sent, answer, was)): (&Person, (&Component, &Property, Option<&str>)),
) {
    let text = person_text(sender);
    let named = |key: Key, says: Option<&str>| {
        let answer = state.answers.get(&(text.clone(), Some(key)));
        received.meeting.overrides.contains_key(&key)
            || answer.is_some_and(|answer| says == Some(answer.partstat.as_str()))
    };
    for (key, component) in components.iter_mut() {
        let says = meeting::attendee(component, sender, received.who).map(partstat);
        let Some(key) = key.filter(|key| !named(*key, says.as_deref())) else {
            continue;
        };
        let here = (existing, &*component);
        let in_place = view::instance(existing, key).is_some_and(|instance| {
            let limits = &received.limits.recur;
            sequence::step((existing, &instance), here, limits) != Step::Reschedule
        });
        if in_place && says.is_some() && says.as_deref() == was {
            write(received, component, (sender, answer), sent);
        }
    }
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
    let (then, length) = view::times(received.meeting, sent);
    if length.is_some()
        && (sent.property("RRULE").is_some() == component.property("RRULE").is_some())
    {
        let now = (existing, component);
        let then = (received.meeting, sent);
        let step = sequence::step_of_series(then, now, &received.limits.recur);
        return step == Step::Reschedule;
    }
    // Many programs leave out all but DTSTART, or that as well.
    let now = meeting::start(component).map(|start| existing.instant(&start));
    let then = then.map(|start| received.meeting.instant(&start));
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
        if delegates.is_empty() || partstat(answer) != "DELEGATED" {
            attendee.remove_param("DELEGATED-TO");
        } else {
            let delegates: Vec<&str> = delegates.iter().map(|d| d.as_ref()).collect();
            attendee.set_param_values("DELEGATED-TO", &delegates);
        }
        if let Some(comment) = comment.as_deref().filter(|c| !c.is_empty()) {
            let short: String = comment.chars().take(MAX_COMMENT).collect();
            attendee.set_param(COMMENT_PARAM, &short);
        }
    }
}

/// Characters of a comment that are kept with an answer; some senders add a company's whole disclaimer.
const MAX_COMMENT: usize = 500;

/// The delegates an answer names become attendees of the meeting. RFC 5546 §3.2.2.3
fn name_delegates(
    received: &Received<'_, '_>,
    component: &mut Component,
    (sender, sent): (&Person, &Component),
) {
    let own = meeting::attendee(component, sender, received.who).map(|own| own.value().to_owned());
    let delegates = delegate::delegates_of(component, sender, received.who);
    for (delegate, address) in delegates {
        if let Some(own) = &own
            && meeting::attendee(component, &delegate, received.who).is_none()
        {
            let mut made = delegate::attendee(sent, (own.trim(), &address), received.who);
            made.set_param("PARTSTAT", "NEEDS-ACTION");
            made.set_param("RSVP", "TRUE");
            component.push(made);
        }
    }
}

/// How far the only one who works on a to-do is, is how far the to-do is. Of several each has a part of it, and the
/// organizer says how far the whole is. RFC 5546 §4.5.6
fn progress(
    received: &Received<'_, '_>,
    component: &mut Component,
    (sender, sent): (&Person, &Component),
) {
    let people: Vec<Person> = component
        .properties("ATTENDEE")
        .map(|a| received.who.person(a.value()))
        .collect();
    if !component.is("VTODO") || people.iter().any(|p| p != sender && *p != Person::Owner) {
        return;
    }
    for name in ["PERCENT-COMPLETE", "COMPLETED"] {
        if let Some(property) = sent.property(name) {
            component.set(property.clone());
        }
    }
    let own = meeting::attendee(component, sender, received.who).map(partstat);
    match own.as_deref() {
        Some("COMPLETED") => component.set(Property::new("STATUS", "COMPLETED")),
        Some("IN-PROCESS") => component.set(Property::new("STATUS", "IN-PROCESS")),
        _ => {}
    }
}

/// The answer of somebody who is not on the list, but to whom somebody on it delegated. RFC 5546 §3.2.3
fn delegated(
    received: &Received<'_, '_>,
    (component, answer): (&Component, &Property),
    sender: &Person,
) -> Option<Property> {
    delegate::delegator_of(component, sender, received.who)?;
    Some(Property::new("ATTENDEE", answer.value().trim()))
}

fn person_text(person: &Person) -> String {
    match person {
        Person::Owner => "owner".to_owned(),
        Person::Local(id) => format!("local:{id}"),
        Person::Other(address) => address_key(address),
    }
}

/// Whether the sender of an answer is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// They answered an older revision: what the organizer sent since may have set their copy back.
    Too,
    /// They know.
    Not,
}

/// Brings the copies of all other attendees up to date. RFC 6638 §4.2: "The server SHOULD send scheduling messages to all
/// the other "Attendees" indicating the change in participation status of the "Attendee" replying".
///
/// To who delegated it is news that the delegate declined. RFC 5546 §4.2.5
fn told(
    received: &Received<'_, '_>,
    (before, after): (&Meeting<'_>, &Meeting<'_>),
    sender_is: Told,
) -> Vec<Message> {
    let sender = received.who.person(&received.message.from);
    let let_down = let_down(received, (before, after), &sender);
    let held = (held(before), held(after));
    let visible = compare::difference((before, &held.0), (after, &held.1)) != Difference::None;
    let mut shown = current::Shown::of(after, received.who, received.now);
    let mut messages = Vec::new();
    for (person, address) in after.invited(received.who) {
        let news = let_down.as_ref() == Some(&person);
        let hears = if person == sender {
            sender_is == Told::Too
        } else {
            visible && person != Person::Owner
        };
        if !hears || !news && !matches!(person, Person::Local(_)) {
            continue;
        }
        let weight = if news { Weight::News } else { Weight::Refresh };
        messages.extend(shown.message(&address, weight));
    }
    messages
}

/// The delegator whose delegate declines by this answer.
fn let_down(
    received: &Received<'_, '_>,
    (before, after): (&Meeting<'_>, &Meeting<'_>),
    sender: &Person,
) -> Option<Person> {
    after.components().find_map(|(key, component)| {
        let answer = |c: &Component| meeting::attendee(c, sender, received.who).map(partstat);
        let was = key
            .map_or(before.master, |key| before.governing(key))
            .and_then(answer);
        let declined = answer(component).as_deref() == Some("DECLINED");
        (declined && was.as_deref() != Some("DECLINED"))
            .then(|| delegate::delegator_of(component, sender, received.who))?
    })
}
