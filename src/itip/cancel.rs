//! CANCEL in an attendee's calendar (RFC 5546 §3.2.5, RFC 6638 §4.1).

use super::apply::{earlier, finished, fresh, from_organizer, heard, held, own, rebuilt};
use super::incoming::{Incoming, Reason, Received};
use super::meeting::{self, Key, Meeting};
use crate::ical::{Component, Property};
use std::collections::BTreeMap;

/// CANCEL: the meeting, or instances of it, do not take place for the recipient. RFC 5546 §3.2.5
///
/// They stay in the calendar with STATUS:CANCELLED, so that nobody is left wondering where a meeting went; they block no
/// time, and deleting them tells nobody.
pub(super) fn cancel(received: &Received<'_, '_>) -> Incoming {
    let Some(existing) = received.existing else {
        let components = received.meeting.components();
        return Incoming {
            state: heard(received, components),
            ..Incoming::nothing(received.state, Reason::NoMeeting)
        };
    };
    if let Err(reason) = from_organizer(received) {
        return Incoming::nothing(received.state, reason);
    }
    let fresh = fresh(received, existing);
    if fresh.is_empty() {
        return Incoming::nothing(received.state, Reason::Stale);
    }
    let mut components = held(existing);
    let mut touched = 0;
    for (key, sent) in &fresh {
        let for_others = sent.property("ATTENDEE").is_some() && own(received, sent).is_none();
        if for_others {
            continue;
        }
        touched += cancelled(received, existing, &mut components, (*key, sent));
    }
    if touched == 0 {
        return Incoming::nothing(received.state, Reason::NoInstance);
    }
    let state = heard(received, fresh.iter().map(|(key, c)| (*key, *c)));
    let components = components.into_values().collect();
    let calendar = rebuilt(received, existing.calendar, existing, components);
    let outcome = finished(received, existing, calendar, state);
    match outcome.reason {
        Reason::Updated => Incoming {
            reason: Reason::Cancelled,
            ..outcome
        },
        _ => outcome,
    }
}

/// Cancels one instance, or all of them; how many components that touched.
fn cancelled(
    received: &Received<'_, '_>,
    existing: &Meeting<'_>,
    components: &mut BTreeMap<Option<Key>, Component>,
    (key, sent): (Option<Key>, &Component),
) -> usize {
    let cancel = |component: &mut Component| {
        component.set(Property::new("STATUS", "CANCELLED"));
        let number = meeting::sequence(sent).max(meeting::sequence(component));
        component.set(Property::new("SEQUENCE", &number.to_string()));
    };
    let Some(key) = key else {
        components.values_mut().for_each(cancel);
        return components.len();
    };
    if existing.excludes(key) || !existing.has(key, &received.limits.recur) {
        return 0;
    }
    let Some(mut component) = earlier(existing, key) else {
        return 0;
    };
    cancel(&mut component);
    components.insert(Some(key), component);
    1
}
