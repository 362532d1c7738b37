//! The organizer's messages in an attendee's calendar: REQUEST and ADD (RFC 5546 §3.2.2, §3.2.4, RFC 6638 §4.1).

use super::compare::{self, Difference};
use super::delegate;
use super::incoming::{Change, Inbox, Incoming, Reason, Received, ScheduleTag};
use super::kept::{answered_alone, crossed, moved_to, personal, readmit, still_declined};
use super::meeting::{self, Key, Meeting, is_meeting};
use super::message::{self, Message, Method, Weight};
use super::people::{Person, partstat};
use super::state::{Mark, State};
use super::{cancel, view};
use crate::ical::{Component, Property};
use std::collections::BTreeMap;

/// REQUEST: a new meeting, a change, or what others answered.
pub(super) fn request(received: &Received<'_, '_>) -> Incoming {
    if let Err(reason) = from_organizer(received) {
        return passed_on(received).unwrap_or_else(|| Incoming::nothing(received.state, reason));
    }
    let invited = received
        .meeting
        .components()
        .any(|(_, c)| own(received, c).is_some());
    if !invited {
        return Incoming::nothing(received.state, Reason::NotInvited);
    }
    match received.existing {
        None => first(received),
        Some(existing) => update(received, existing),
    }
}

/// A part in a meeting that an attendee passes on. It makes a meeting the recipient does not have; what they have is the
/// organizer's to change. RFC 5546 §3.2.2.3
fn passed_on(received: &Received<'_, '_>) -> Option<Incoming> {
    let sender = received.who.person(&received.message.from);
    if !delegate::delegates(received.meeting, &sender, received.who) {
        return None;
    }
    Some(match received.existing {
        Some(_) => Incoming::nothing(received.state, Reason::Known),
        None => {
            let made = first(received);
            match made.reason {
                Reason::Invited => Incoming {
                    reason: Reason::Delegated,
                    ..made
                },
                _ => made,
            }
        }
    })
}

pub(super) fn own<'c>(
    received: &Received<'_, '_>,
    component: &'c Component,
) -> Option<&'c Property> {
    meeting::attendee(component, &Person::Owner, received.who)
}

/// Whether the sender is the organizer, of the message and of what the recipient has.
pub(super) fn from_organizer(received: &Received<'_, '_>) -> Result<(), Reason> {
    let sender = received.who.person(&received.message.from);
    let named = received.meeting.organizer().ok_or(Reason::Unreadable)?;
    let sent_by = named.param("SENT-BY").map(|by| received.who.person(&by));
    if received.who.person(named.value()) != sender && sent_by.as_ref() != Some(&sender) {
        return Err(Reason::NotTheOrganizer);
    }
    let known = received.existing.and_then(Meeting::organizer);
    let same =
        known.is_none_or(|o| received.who.person(o.value()) == received.who.person(named.value()));
    // An object of one's own under the same UID is nobody's to change.
    let mine = received.existing.is_some() && known.is_none();
    if same && !mine {
        Ok(())
    } else {
        Err(Reason::NotTheOrganizer)
    }
}

/// A meeting the recipient does not have, or has no more.
fn first(received: &Received<'_, '_>) -> Incoming {
    if received.message.weight == Weight::Refresh {
        return Incoming::nothing(received.state, Reason::NoMeeting);
    }
    let invitations = received.meeting.components();
    let mut components: BTreeMap<Option<Key>, Component> = invitations
        .filter(|(key, c)| !outdated(received, *key, c))
        .map(|(key, c)| (key, c.clone()))
        .collect();
    let whole = received.meeting.master.is_some();
    if components.is_empty() || whole && !components.contains_key(&None) {
        return Incoming::nothing(received.state, Reason::Stale);
    }
    let brought = components
        .iter()
        .any(|(key, c)| received.state.brings_back(*key, meeting::sequence(c)));
    if !brought {
        return Incoming::nothing(received.state, Reason::Deleted);
    }
    let mut state = heard(received, components.iter().map(|(key, c)| (*key, c)));
    state.deleted.clear();
    state.declined = None;
    cancel::keep_cancelled(received, received.meeting, &mut components);
    let mut calendar = object(received, &received.message.calendar);
    calendar.retain_components(|c| !is_meeting(c));
    for component in components.into_values() {
        let component = still_declined(received, unread(received, component));
        calendar.push_component(component);
    }
    Incoming {
        object: Change::Put(calendar),
        state,
        inbox: Inbox::Show,
        schedule_tag: ScheduleTag::Move,
        ..Incoming::nothing(received.state, Reason::Invited)
    }
}

/// A component without what is nobody's business here. RFC 6638 §7.3
fn unread(received: &Received<'_, '_>, mut component: Component) -> Component {
    for property in component.properties_mut("ATTENDEE") {
        if !received.who.is_own(property.value()) {
            property.remove_param("SCHEDULE-STATUS");
        }
    }
    component
}

/// Whether something newer was heard of this instance, or of the series as a whole. RFC 5546 §2.1.5
fn outdated(received: &Received<'_, '_>, key: Option<Key>, component: &Component) -> bool {
    let (number, stamp) = (meeting::sequence(component), meeting::stamp(component));
    let heard = &received.state.heard;
    if heard
        .get(&key)
        .is_some_and(|mark| mark.newer_than(number, stamp))
    {
        return true;
    }
    // A series is sent with all its overrides: one that an older message has and the newer did not is there no more.
    let newest = received
        .meeting
        .components()
        .map(|(_, c)| meeting::stamp(c));
    let newest = newest.max().unwrap_or(stamp);
    key.is_some()
        && heard
            .get(&None)
            .is_some_and(|series| series.stamp > newest && series.sequence >= number)
}

/// A message's calendar as an object to store: without METHOD.
fn object(received: &Received<'_, '_>, calendar: &Component) -> Component {
    let mut calendar = calendar.clone();
    calendar.remove("METHOD");
    for component in calendar.all_components_mut().filter(|c| is_meeting(c)) {
        *component = unread(received, component.clone());
    }
    calendar
}

/// What the recipient remembers after these components.
pub(super) fn heard<'c>(
    received: &Received<'_, '_>,
    components: impl Iterator<Item = (Option<Key>, &'c Component)>,
) -> State {
    let mut state = received.state.clone();
    for (key, component) in components {
        let mark = Mark {
            sequence: meeting::sequence(component),
            stamp: meeting::stamp(component),
            partstat: own(received, component).map_or_else(String::new, partstat),
        };
        let known = state.heard.get(&key);
        if !known.is_some_and(|known| known.newer_than(mark.sequence, mark.stamp)) {
            state.heard.insert(key, mark);
            if key.is_none() && received.message.method == Method::Request {
                state.excluded = received.meeting.exceptions().clone();
            }
        }
    }
    state
}

/// The components of the message that are not older than what was heard before.
pub(super) fn fresh<'m>(
    received: &Received<'_, 'm>,
    existing: &Meeting<'_>,
) -> BTreeMap<Option<Key>, &'m Component> {
    let newer = |key: Option<Key>, component: &Component| {
        let held = match key {
            None => existing.master,
            Some(key) => existing.overrides.get(&key).copied(),
        };
        !outdated(received, key, component)
            && held.is_none_or(|held| meeting::sequence(held) <= meeting::sequence(component))
    };
    received
        .meeting
        .components()
        .filter(|(key, component)| newer(*key, component))
        .collect()
}

/// A change to a meeting the recipient has.
fn update(received: &Received<'_, '_>, existing: &Meeting<'_>) -> Incoming {
    let fresh = fresh(received, existing);
    if fresh.is_empty() {
        return Incoming::nothing(received.state, Reason::Stale);
    }
    let whole = fresh.contains_key(&None) && received.meeting.master.is_some();
    let components = if whole {
        replaced(received, existing, &fresh)
    } else {
        let mut components = held(existing);
        for (key, component) in &fresh {
            let old = key
                .and_then(|key| earlier(existing, key))
                .or_else(|| existing.master.filter(|_| key.is_none()).cloned());
            components.insert(*key, personal(received, component, old.as_ref(), *key));
        }
        readmit(received, existing, &mut components);
        components
    };
    let mut components = components;
    cancel::keep_cancelled(received, existing, &mut components);
    if components.len() > received.limits.overrides {
        return Incoming::nothing(received.state, Reason::TooMany);
    }
    let state = heard(received, fresh.iter().map(|(key, c)| (*key, *c)));
    let source = if whole {
        &received.message.calendar
    } else {
        existing.calendar
    };
    let calendar = rebuilt(
        received,
        source,
        existing,
        components.into_values().collect(),
    );
    let outcome = finished(received, existing, calendar, state);
    let messages = missed(received, existing, &fresh);
    match outcome.reason {
        Reason::Known if asks_again(received, &fresh) => Incoming {
            inbox: Inbox::Show,
            reason: Reason::AskedAgain,
            messages,
            ..outcome
        },
        _ => Incoming {
            messages,
            ..outcome
        },
    }
}

/// Whether a message that changes nothing is a newer question than the last one. RFC 5546 §3.2.2.7
fn asks_again(received: &Received<'_, '_>, fresh: &BTreeMap<Option<Key>, &Component>) -> bool {
    received.message.weight == Weight::News
        && fresh.iter().any(|(key, component)| {
            let newer = received
                .state
                .heard
                .get(key)
                .is_some_and(|mark| meeting::stamp(component) > mark.stamp);
            let rsvp = own(received, component)
                .and_then(|own| own.param("RSVP"))
                .is_some_and(|rsvp| rsvp.eq_ignore_ascii_case("TRUE"));
            newer && rsvp
        })
}

/// The REFRESH that asks for the whole meeting if the message speaks of an instance that the recipient's series does not
/// have: a message between was missed. RFC 5546 §4.7.2
fn missed(
    received: &Received<'_, '_>,
    existing: &Meeting<'_>,
    fresh: &BTreeMap<Option<Key>, &Component>,
) -> Vec<Message> {
    let whole = received.meeting.master.is_some() || existing.master.is_none();
    let unknown = fresh
        .keys()
        .flatten()
        .any(|key| !existing.has(*key, &received.limits.recur));
    if whole || !unknown {
        return Vec::new();
    }
    ask_for_all(received).into_iter().collect()
}

/// What the recipient holds, by instance.
pub(super) fn held(existing: &Meeting<'_>) -> BTreeMap<Option<Key>, Component> {
    existing
        .components()
        .map(|(key, component)| (key, component.clone()))
        .collect()
}

/// What an instance is now, whether an override says so or the series.
pub(super) fn earlier(existing: &Meeting<'_>, key: Key) -> Option<Component> {
    match existing.overrides.get(&key) {
        Some(component) => Some((*component).clone()),
        None => view::instance(existing, key),
    }
}

/// The series as the organizer has it now, with what is the recipient's own: alarms, private properties, answers under
/// way, and the instances they took out of their calendar.
fn replaced(
    received: &Received<'_, '_>,
    existing: &Meeting<'_>,
    fresh: &BTreeMap<Option<Key>, &Component>,
) -> BTreeMap<Option<Key>, Component> {
    let mut components = BTreeMap::new();
    for (key, component) in received.meeting.components() {
        let old = match key {
            None => existing.master.cloned(),
            Some(key) => earlier(existing, key),
        };
        let component = match (&old, fresh.contains_key(&key)) {
            (Some(old), false) => old.clone(),
            _ => personal(received, component, old.as_ref(), key),
        };
        components.insert(key, component);
    }
    let Some(master) = received.meeting.master else {
        return components;
    };
    for (key, component) in answered_alone(received, existing, master) {
        components.entry(Some(key)).or_insert(component);
    }
    // What was heard of an instance after this was sent.
    for (key, component) in &existing.overrides {
        let heard = received.state.heard.get(&Some(*key));
        let newer = heard.is_some_and(|heard| {
            heard.stamp > meeting::stamp(master) && heard.partstat != Mark::CANCELLED
        });
        if newer {
            let kept = || (*component).clone();
            components.entry(Some(*key)).or_insert_with(kept);
        }
    }
    let removed: Vec<Key> = existing
        .exceptions()
        .iter()
        .filter(|key| !received.meeting.excludes(**key))
        .copied()
        .collect();
    for key in removed {
        let answer = received
            .meeting
            .governing(key)
            .and_then(|c| own(received, c))
            .map(partstat);
        let unchanged = match existing.master {
            None => false,
            Some(old) if crossed(received, (existing, old), key) => true,
            Some(_) if received.meeting.overrides.contains_key(&key) => false,
            Some(old) if received.state.excluded.contains(&key) => {
                meeting::sequence(master) == meeting::sequence(old)
            }
            Some(old) => !moved_to(received, (existing, old), master),
        };
        let still_out = answer.as_deref() == Some("DECLINED") || unchanged;
        if still_out {
            components.remove(&Some(key));
            if let Some(master) = components.get_mut(&None) {
                master.push(Property::when_value("EXDATE", &existing.id(key)));
            }
        }
    }
    components
}

/// A VCALENDAR of these components, with the frame of `source` and the zones of both.
pub(super) fn rebuilt(
    received: &Received<'_, '_>,
    source: &Component,
    existing: &Meeting<'_>,
    components: Vec<Component>,
) -> Component {
    let mut calendar = object(received, source);
    calendar.retain_components(|c| !is_meeting(c));
    let zones = [existing.calendar, &received.message.calendar];
    for zone in zones.iter().flat_map(|c| c.components("VTIMEZONE")) {
        let tzid = |zone: &Component| zone.property("TZID").map(|p| p.value().trim().to_owned());
        if !calendar
            .components("VTIMEZONE")
            .any(|z| tzid(z) == tzid(zone))
        {
            calendar.push_component(zone.clone());
        }
    }
    for component in components {
        calendar.push_component(component);
    }
    calendar
}

pub(super) fn finished(
    received: &Received<'_, '_>,
    existing: &Meeting<'_>,
    calendar: Component,
    state: State,
) -> Incoming {
    let (difference, same_revision, asked) = match Meeting::read(&calendar) {
        Some(after) => (
            compare::difference((existing, &held(existing)), (&after, &held(&after))),
            revisions(existing) == revisions(&after),
            asked(received, (existing, &after)),
        ),
        None => (Difference::Substance, false, false),
    };
    if difference == Difference::None && same_revision {
        return Incoming {
            state,
            ..Incoming::nothing(received.state, Reason::Known)
        };
    }
    let quiet = received.message.weight == Weight::Refresh
        || difference <= Difference::Participation && !asked;
    Incoming {
        object: Change::Put(calendar),
        state,
        inbox: if quiet { Inbox::Hide } else { Inbox::Show },
        schedule_tag: if difference <= Difference::Participation {
            ScheduleTag::Keep
        } else {
            ScheduleTag::Move
        },
        ..Incoming::nothing(
            received.state,
            if quiet {
                Reason::Refreshed
            } else {
                Reason::Updated
            },
        )
    }
}

/// SEQUENCE of each component.
fn revisions(meeting: &Meeting<'_>) -> Vec<(Option<Key>, u64)> {
    let components = meeting.components();
    components
        .map(|(key, c)| (key, meeting::sequence(c)))
        .collect()
}

/// Whether it is the recipient's turn now: their own participation was set back, or their delegate declined.
fn asked(received: &Received<'_, '_>, (before, after): (&Meeting<'_>, &Meeting<'_>)) -> bool {
    let answer = |component: &Component, person: &Person| {
        meeting::attendee(component, person, received.who).map(partstat)
    };
    after.components().any(|(key, component)| {
        let old = key.map_or(before.master, |key| before.governing(key));
        let turned = |person: &Person, to: &str| {
            let was = old.and_then(|old| answer(old, person));
            answer(component, person).as_deref() == Some(to) && was.as_deref() != Some(to)
        };
        let mut delegates =
            delegate::delegates_of(component, &Person::Owner, received.who).into_keys();
        turned(&Person::Owner, "NEEDS-ACTION") || delegates.any(|d| turned(&d, "DECLINED"))
    })
}

/// ADD: more instances of a meeting the recipient has; who does not have it asks for all of it. RFC 5546 §3.2.4
pub(super) fn add(received: &Received<'_, '_>) -> Incoming {
    if let Err(reason) = from_organizer(received) {
        return Incoming::nothing(received.state, reason);
    }
    let Some(existing) = received.existing else {
        return Incoming {
            messages: ask_for_all(received).into_iter().collect(),
            ..Incoming::nothing(received.state, Reason::NoMeeting)
        };
    };
    let mut components = held(existing);
    let mut added: Vec<(Option<Key>, &Component)> = Vec::new();
    for sent in message::meetings(&received.message.calendar) {
        // "The "ADD" method … MUST NOT contain RECURRENCE-ID": an added instance is named by its start.
        let Some(start) = meeting::start(sent) else {
            return Incoming::nothing(received.state, Reason::Unreadable);
        };
        let key = existing.key(&start);
        if outdated(received, Some(key), sent) {
            return Incoming::nothing(received.state, Reason::Stale);
        }
        let mut component = sent.clone();
        component.set(Property::when_value("RECURRENCE-ID", &existing.id(key)));
        let old = existing.overrides.get(&key).copied();
        let new = !existing.has(key, &received.limits.recur);
        if let Some(master) = components.get_mut(&None).filter(|_| new) {
            master.push(Property::when_value("RDATE", &existing.id(key)));
        }
        component = personal(received, &component, old, Some(key));
        components.insert(Some(key), component);
        added.push((Some(key), sent));
    }
    let state = heard(received, added.into_iter());
    if components.len() > received.limits.overrides {
        return Incoming::nothing(received.state, Reason::TooMany);
    }
    let components = components.into_values().collect();
    let calendar = rebuilt(received, existing.calendar, existing, components);
    finished(received, existing, calendar, state)
}

/// The REFRESH by which the recipient asks for the newest state of a meeting. RFC 5546 §3.2.6
fn ask_for_all(received: &Received<'_, '_>) -> Option<Message> {
    let component = received.meeting.any()?;
    let own = own(received, component)?.clone();
    let mut refresh = Component::new(component.name());
    for name in ["UID", "ORGANIZER"] {
        refresh.push(component.property(name)?.clone());
    }
    refresh.push(own.clone());
    let refresh = message::stamped(refresh, received.now);
    Some(Message {
        method: Method::Refresh,
        from: own.value().trim().to_owned(),
        to: received.message.from.clone(),
        uid: received.message.uid.clone(),
        weight: Weight::News,
        calendar: message::envelope(&received.message.calendar, Method::Refresh, vec![refresh]),
    })
}
