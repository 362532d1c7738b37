//! The organizer's side: who hears what of a meeting that was made, changed or removed (RFC 6638 §3.2.1).

use super::compare::{self, Difference};
use super::meeting::{self, Key, Meeting};
use super::message::{self, Message, Method, Weight};
use super::outgoing::{Change, Intent, Outgoing, Refused, earlier, edited};
use super::people::{COMMENT_PARAM, Person, Route, partstat, served};
use super::sequence::{self, Step};
use super::view::{self, View};
use crate::ical::{Component, Property, values};
use std::collections::{BTreeMap, BTreeSet};

/// What an organizer's change causes.
pub(super) fn change(change: &Change<'_, '_>) -> Result<Outgoing, Refused> {
    if let (Some(before), Some(after)) = (change.before, change.after)
        && let (Some(old), Some(new)) = (before.organizer(), after.organizer())
        && change.who.person(old.value()) != change.who.person(new.value())
    {
        return Err(Refused::OrganizerChange(
            "the organizer of a meeting stays the same",
        ));
    }
    let (stored, steps) = match change.after {
        Some(after) => stored(change, after),
        None => (None, BTreeMap::new()),
    };
    let after = stored.as_ref().and_then(Meeting::read);
    let mut messages = Vec::new();
    for (person, address) in recipients(change, after.as_ref()) {
        let recipient = Recipient {
            person: &person,
            address: &address,
        };
        messages.extend(messages_for(change, after.as_ref(), &recipient, &steps));
    }
    let store = stored.map(|stored| with_statuses(change, &stored, &messages));
    Ok(Outgoing { store, messages })
}

struct Recipient<'a> {
    person: &'a Person,
    address: &'a str,
}

/// Everybody but the organizer who is or was invited, by newest address.
fn recipients(change: &Change<'_, '_>, after: Option<&Meeting<'_>>) -> BTreeMap<Person, String> {
    let mut all = change
        .before
        .map(|m| m.invited(change.who))
        .unwrap_or_default();
    all.extend(after.map(|m| m.invited(change.who)).unwrap_or_default());
    // RFC 6638 §3.2.1: "the server MUST NOT send a scheduling message to the "Attendee" that matches the "Organizer"".
    all.remove(&Person::Owner);
    all
}

/// The object as it is stored: SEQUENCE moved, participation reset or kept, what each component's change means.
fn stored(
    change: &Change<'_, '_>,
    after: &Meeting<'_>,
) -> (Option<Component>, BTreeMap<Option<Key>, Step>) {
    let master = after.master.map(|master| {
        let old = change.before.and_then(|before| before.master);
        let step = step(change, after, (None, old, master));
        let given_back = given_back(change, after);
        sequence::least(old.map_or(0, meeting::sequence), step)
            .max(given_back)
            .max(meeting::sequence(master))
    });
    let mut steps = BTreeMap::new();
    let calendar = edited(after, |key, component| {
        let old = change.before.and_then(|before| earlier(before, key));
        let mut step = step(change, after, (key, old.as_ref(), component));
        let reset = step == Step::Reschedule;
        for attendee in component.properties_mut("ATTENDEE") {
            let was = old.as_ref().and_then(|old| {
                meeting::attendee(old, &change.who.person(attendee.value()), change.who)
            });
            if participation(change, attendee, was, reset) == Asked::Again {
                // RFC 5546 §2.1.4: also for what "will jeopardize the validity of the participation status".
                step = step.max(Step::Revise);
            }
        }
        let number = old.as_ref().map_or(0, meeting::sequence);
        let least = match key {
            None => master.unwrap_or(0),
            Some(_) => left_alone(change, after, component, master),
        };
        sequence::raise(component, sequence::least(number, step).max(least));
        steps.insert(key, step);
    });
    (Some(with_answers(change, calendar)), steps)
}

/// The object with the overrides it lost although they hold answers that the series does not: programs write the whole
/// object from a copy that may be older than such an answer, and it is not the organizer's to take back.
/// RFC 6638 §3.2.1, §3.2.10.1
fn with_answers(change: &Change<'_, '_>, calendar: Component) -> Component {
    let (Some(before), Some(after)) = (change.before, Meeting::read(&calendar)) else {
        return calendar;
    };
    let limits = &change.limits.recur;
    let mut kept = Vec::new();
    for (key, old) in &before.overrides {
        let there = after.overrides.contains_key(key) || after.excludes(*key);
        if there || meeting::is_cancelled(old) || !after.has(*key, limits) {
            continue;
        }
        let Some(mut instance) = view::instance(&after, *key) else {
            continue;
        };
        if sequence::step((before, old), (&after, &instance), limits) == Step::Reschedule {
            continue;
        }
        let mut differs = false;
        for attendee in instance.properties_mut("ATTENDEE") {
            let person = change.who.person(attendee.value());
            let known = meeting::attendee(old, &person, change.who).filter(|a| served(a));
            if let Some(known) = known.filter(|_| person != Person::Owner && served(attendee))
                && partstat(known) != partstat(attendee)
                && partstat(known) != "NEEDS-ACTION"
            {
                *attendee = known.clone();
                differs = true;
            }
        }
        if differs {
            kept.push(instance);
        }
    }
    drop(after);
    let mut calendar = calendar;
    kept.into_iter().for_each(|c| calendar.push_component(c));
    calendar
}

/// What the change of one component means for those who answered.
fn step(
    change: &Change<'_, '_>,
    after: &Meeting<'_>,
    (key, old, component): (Option<Key>, Option<&Component>, &Component),
) -> Step {
    let (Some(before), Some(old)) = (change.before, old) else {
        return Step::Stay;
    };
    let step = sequence::step((before, old), (after, component), &change.limits.recur);
    let withdrawn = key.is_none() && !gone(before, after).is_empty();
    let lost = !invited(old, change).is_subset(&invited(component, change));
    // RFC 5546 §2.1.4: "The "SEQUENCE" property value MUST be incremented each time the "Organizer" uses the "ADD" or
    // "CANCEL" methods": also that somebody invited again is not taken for an older state.
    if withdrawn || lost {
        step.max(Step::Revise)
    } else {
        step
    }
}

/// Those the server sends for who take part in a component.
fn invited(component: &Component, change: &Change<'_, '_>) -> BTreeSet<Person> {
    if meeting::is_cancelled(component) {
        return BTreeSet::new();
    }
    let served = component.properties("ATTENDEE").filter(|a| served(a));
    let people = served.map(|a| change.who.person(a.value()));
    people.filter(|person| *person != Person::Owner).collect()
}

/// Overrides that are there no more: their instances are the series' again, or nobody's.
fn gone<'m>(before: &Meeting<'m>, after: &Meeting<'_>) -> Vec<&'m Component> {
    let overrides = before.overrides.iter();
    let gone = overrides.filter(|(key, _)| !after.overrides.contains_key(key));
    gone.map(|(_, component)| *component).collect()
}

/// SEQUENCE that a series needs so that an override of such an instance, if it ever gets one again, is newer than the one
/// that is gone and than its cancellation.
fn given_back(change: &Change<'_, '_>, after: &Meeting<'_>) -> u64 {
    let gone = change.before.map(|before| gone(before, after));
    let numbers = gone.iter().flatten().map(|c| meeting::sequence(c));
    numbers.max().map_or(0, |number| number.saturating_add(1))
}

/// SEQUENCE that an override needs to be newer than the cancellation of its series for somebody who keeps this instance.
fn left_alone(
    change: &Change<'_, '_>,
    after: &Meeting<'_>,
    component: &Component,
    master: Option<u64>,
) -> u64 {
    let Some(series) = change.before.and_then(|before| before.master) else {
        return 0;
    };
    let still = after.master.map(|c| invited(c, change)).unwrap_or_default();
    let here = invited(component, change);
    let alone = invited(series, change)
        .into_iter()
        .any(|person| here.contains(&person) && !still.contains(&person));
    if alone {
        let cancelled = meeting::sequence(series).saturating_add(1);
        master.unwrap_or(0).max(cancelled)
    } else {
        0
    }
}

/// Whether the organizer set somebody's participation back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Again,
    No,
}

/// What an attendee's participation is after a change by the organizer.
///
/// RFC 6638 §3.2.1: "The server SHOULD reject any attempt to set the "PARTSTAT" iCalendar property parameter value of the
/// "ATTENDEE" iCalendar property of other users in the calendar object resource to a value other than "NEEDS-ACTION"". We
/// put back what the attendee answered instead: programs write the whole object from a copy that may be older than the
/// newest answer, and a refusal would lose the organizer's change.
fn participation(
    change: &Change<'_, '_>,
    attendee: &mut Property,
    was: Option<&Property>,
    reset: bool,
) -> Asked {
    if change.who.is_own(attendee.value()) || !served(attendee) {
        return Asked::No;
    }
    let told = was.map_or_else(|| "NEEDS-ACTION".to_owned(), partstat);
    let again = partstat(attendee) == "NEEDS-ACTION"
        && told != "NEEDS-ACTION"
        && attendee.param("PARTSTAT").is_some();
    if reset || again {
        attendee.set_param("PARTSTAT", "NEEDS-ACTION");
    } else if partstat(attendee) != told {
        attendee.set_param("PARTSTAT", &told);
    }
    let only_informed = attendee
        .param("ROLE")
        .is_some_and(|role| role.eq_ignore_ascii_case("NON-PARTICIPANT"));
    let open = partstat(attendee) == "NEEDS-ACTION" && !only_informed;
    if open && attendee.param("RSVP").is_none() {
        attendee.set_param("RSVP", "TRUE");
    }
    let status = was.and_then(|was| was.param("SCHEDULE-STATUS"));
    if let Some(status) = status {
        attendee.set_param("SCHEDULE-STATUS", &status);
    }
    let said = was.and_then(|was| was.param(COMMENT_PARAM));
    if let Some(said) = said.filter(|_| !reset && !again) {
        attendee.set_param(COMMENT_PARAM, &said);
    }
    if again { Asked::Again } else { Asked::No }
}

/// What one recipient is sent. RFC 6638 §3.2.1.1-3
fn messages_for(
    change: &Change<'_, '_>,
    after: Option<&Meeting<'_>>,
    recipient: &Recipient<'_>,
    steps: &BTreeMap<Option<Key>, Step>,
) -> Vec<Message> {
    let old = change
        .before
        .map_or_else(View::none, |m| served_view(change, m, recipient.person));
    let new = after.map_or_else(View::none, |m| served_view(change, m, recipient.person));
    let mut messages = Vec::new();
    if change.intent == Intent::Silence {
        return messages;
    }
    if let Some(before) = change.before {
        let gone = cancelled(before, &old, after, &new);
        if !gone.is_empty() {
            let components = gone
                .iter()
                .filter_map(|key| cancellation(change, (before, &old), after, (*key, recipient)));
            let components: Vec<_> = components.collect();
            messages.extend(message(
                change,
                before,
                Method::Cancel,
                recipient,
                components,
            ));
        }
    }
    if let Some(after) = after.filter(|_| !new.is_empty())
        && let Some(weight) = asks(change, (&old, &new), after, (recipient, steps))
    {
        let components = new.shown(after).into_values().collect();
        // What others answered, and who else is invited, is brought up to date on this server; it is no reason for a mail.
        let reaches = weight == Weight::News || matches!(recipient.person, Person::Local(_));
        let request = message(change, after, Method::Request, recipient, components);
        let request = request.filter(|_| reaches);
        messages.extend(request.map(|request| Message { weight, ..request }));
    }
    messages
}

/// The view of a person, of which only what the server sends for counts. RFC 6638 §7.1
fn served_view<'m>(change: &Change<'_, '_>, meeting: &Meeting<'m>, person: &Person) -> View<'m> {
    let mut view = View::of(meeting, person, change.who);
    let is_served = |c: &Component| meeting::attendee(c, person, change.who).is_some_and(served);
    if view.master.is_some_and(|c| !is_served(c)) {
        view.master = None;
        view.excluded.clear();
    }
    view.overrides.retain(|_, c| is_served(c));
    view
}

/// The instances that somebody was invited to and is no more; `None` is the whole series or the only instance.
fn cancelled(
    before: &Meeting<'_>,
    old: &View<'_>,
    after: Option<&Meeting<'_>>,
    new: &View<'_>,
) -> BTreeSet<Option<Key>> {
    let mut gone = BTreeSet::new();
    if old.master.is_some() && new.master.is_none() {
        gone.insert(None);
        return gone;
    }
    let lost = |key: &Key| match after {
        None => true,
        Some(after) => after.excludes(*key) || new.excluded.contains(key) || new.master.is_none(),
    };
    for key in old.overrides.keys() {
        if !new.overrides.contains_key(key) && lost(key) {
            gone.insert(Some(*key));
        }
    }
    if old.master.is_some() {
        let excluded = after
            .map(|after| after.exceptions().clone())
            .unwrap_or_default();
        let now_gone = excluded.iter().chain(&new.excluded);
        let was = |key: &&Key| {
            !before.excludes(**key)
                && !old.excluded.contains(key)
                && !old.overrides.contains_key(key)
        };
        gone.extend(now_gone.filter(was).map(|key| Some(*key)));
    }
    gone
}

/// A component of a CANCEL: what the recipient had.
///
/// RFC 5546 §3.2.5 of STATUS: "MUST be set to CANCELLED to cancel the entire event. If uninviting specific Attendees, then
/// MUST NOT be included."
fn cancellation(
    change: &Change<'_, '_>,
    (before, old): (&Meeting<'_>, &View<'_>),
    after: Option<&Meeting<'_>>,
    (key, recipient): (Option<Key>, &Recipient<'_>),
) -> Option<Component> {
    let had = match key {
        None => old.master.cloned(),
        Some(key) => match old.overrides.get(&key) {
            Some(component) => Some((*component).clone()),
            None => view::instance(before, key),
        },
    }?;
    let mut component = view::public(&had);
    component.retain_properties(|p| {
        !p.is("ATTENDEE") || change.who.person(p.value()) == *recipient.person
    });
    for attendee in component.properties_mut("ATTENDEE") {
        attendee.remove_param("RSVP");
    }
    let newest = after.and_then(|after| match key {
        Some(key) => after.governing(key),
        None => after.master,
    });
    let excluded = key.is_some_and(|key| after.is_some_and(|after| after.excludes(key)));
    let takes_place = newest.is_some_and(|c| !meeting::is_cancelled(c)) && !excluded;
    if takes_place {
        component.remove("STATUS");
    } else {
        component.set(Property::new("STATUS", "CANCELLED"));
    }
    let number = meeting::sequence(&had).saturating_add(1);
    let number = newest.map_or(number, |c| meeting::sequence(c).max(number));
    component.set(Property::new("SEQUENCE", &number.to_string()));
    Some(component)
}

/// Whether this recipient is sent a REQUEST, and how loud.
fn asks(
    change: &Change<'_, '_>,
    (old, new): (&View<'_>, &View<'_>),
    after: &Meeting<'_>,
    (recipient, steps): (&Recipient<'_>, &BTreeMap<Option<Key>, Step>),
) -> Option<Weight> {
    if forced(after, recipient.person, change) {
        return Some(Weight::News);
    }
    let Some(before) = change.before.filter(|_| !old.is_empty()) else {
        return Some(Weight::News);
    };
    let shown_before = old.shown(before);
    let shown = new.shown(after);
    let rescheduled = shown
        .keys()
        .any(|key| steps.get(key) == Some(&Step::Reschedule));
    if rescheduled {
        return Some(Weight::News);
    }
    let only_lost = only_lost_instances((before, &shown_before), (after, &shown));
    match compare::difference((before, &shown_before), (after, &shown)) {
        // RFC 6638 §3.2.5: nothing but SEQUENCE moved.
        Difference::None => shown
            .keys()
            .any(|key| steps.get(key) >= Some(&Step::Revise))
            .then_some(Weight::Refresh),
        Difference::Participation | Difference::Attendance
            if asked_again(before, &shown, recipient, change) =>
        {
            Some(Weight::News)
        }
        Difference::Participation | Difference::Attendance => Some(Weight::Refresh),
        // The CANCEL of the instances has said it all but the SEQUENCE of the series.
        Difference::Substance if only_lost => Some(Weight::Refresh),
        Difference::Substance => Some(Weight::News),
    }
}

/// Whether the only difference is that EXDATE takes out more instances.
fn only_lost_instances(
    (before, old): compare::Shown<'_, '_>,
    (after, new): compare::Shown<'_, '_>,
) -> bool {
    let taken_out = |meeting: &Meeting<'_>, shown: &BTreeMap<Option<Key>, Component>| {
        let dates = shown
            .get(&None)
            .into_iter()
            .flat_map(|master| master.properties("EXDATE").flat_map(values::whens));
        dates.map(|date| meeting.key(&date)).collect()
    };
    let was_out: BTreeSet<Key> = taken_out(before, old);
    let out: BTreeSet<Key> = taken_out(after, new);
    let bare = |shown: &BTreeMap<Option<Key>, Component>| -> BTreeMap<_, _> {
        let kept = shown
            .iter()
            .filter(|(key, _)| key.is_none_or(|key| !out.contains(&key)));
        kept.map(|(key, c)| (*key, without_exceptions(c))).collect()
    };
    was_out.is_subset(&out)
        && old.contains_key(&None)
        && new.contains_key(&None)
        && compare::difference((before, &bare(old)), (after, &bare(new))) == Difference::None
}

fn without_exceptions(component: &Component) -> Component {
    let mut component = component.clone();
    component.remove("EXDATE");
    component
}

/// Whether the organizer set the recipient's own participation back to ask again. RFC 6638 §3.2.8
fn asked_again(
    before: &Meeting<'_>,
    new: &BTreeMap<Option<Key>, Component>,
    recipient: &Recipient<'_>,
    change: &Change<'_, '_>,
) -> bool {
    let answer = |component: &Component| {
        meeting::attendee(component, recipient.person, change.who).map(partstat)
    };
    new.iter().any(|(key, component)| {
        answer(component).as_deref() == Some("NEEDS-ACTION")
            && earlier(before, *key)
                .as_ref()
                .and_then(answer)
                .is_some_and(|was| was != "NEEDS-ACTION")
    })
}

/// SCHEDULE-FORCE-SEND=REQUEST on any of the recipient's ATTENDEEs in what was sent in. RFC 6638 §7.2
fn forced(after: &Meeting<'_>, person: &Person, change: &Change<'_, '_>) -> bool {
    after.components().any(|(_, component)| {
        meeting::attendee(component, person, change.who)
            .and_then(|a| a.param("SCHEDULE-FORCE-SEND"))
            .is_some_and(|method| method.eq_ignore_ascii_case("REQUEST"))
    })
}

fn message(
    change: &Change<'_, '_>,
    source: &Meeting<'_>,
    method: Method,
    recipient: &Recipient<'_>,
    components: Vec<Component>,
) -> Option<Message> {
    let organizer = source.organizer()?.value().trim().to_owned();
    let uid = source.any()?.text("UID")?.into_owned();
    let components: Vec<_> = components
        .into_iter()
        .map(|c| message::stamped(c, change.now))
        .collect();
    if components.is_empty() {
        return None;
    }
    Some(Message {
        method,
        from: organizer,
        to: recipient.address.to_owned(),
        uid,
        weight: Weight::News,
        calendar: message::envelope(source.calendar, method, components),
    })
}

/// What is said of a SCHEDULE-FORCE-SEND that nobody knows. RFC 6638 §7.2
const IGNORED: &str = "2.3";

/// SCHEDULE-STATUS on everybody something was sent to; SCHEDULE-FORCE-SEND has done its work. RFC 6638 §3.2.9, §7.2
fn with_statuses(change: &Change<'_, '_>, stored: &Component, messages: &[Message]) -> Component {
    let told: BTreeSet<Person> = messages
        .iter()
        .filter(|m| m.weight == Weight::News)
        .map(|m| change.who.person(&m.to))
        .collect();
    let mut calendar = stored.clone();
    for component in calendar.all_components_mut() {
        for attendee in component.properties_mut("ATTENDEE") {
            let force = attendee
                .param("SCHEDULE-FORCE-SEND")
                .map(std::borrow::Cow::into_owned);
            let known = |method: &str| {
                ["REQUEST", "REPLY"]
                    .iter()
                    .any(|m| method.eq_ignore_ascii_case(m))
            };
            let unknown = force.as_deref().is_some_and(|method| !known(method));
            if force.is_some() {
                attendee.remove_param("SCHEDULE-FORCE-SEND");
            }
            let person = change.who.person(attendee.value());
            if served(attendee) && told.contains(&person) {
                let route = match person {
                    Person::Owner => continue,
                    Person::Local(id) => Route::Local(id),
                    Person::Other(address) => change.who.route(&address),
                };
                let status = if unknown { IGNORED } else { route.status() };
                attendee.set_param("SCHEDULE-STATUS", status);
            } else if !served(attendee) {
                attendee.remove_param("SCHEDULE-STATUS");
            }
        }
    }
    calendar
}
