//! PUBLISH: an entry posted for information (RFC 5546 §3.2.1).
//!
//! It is shown to the recipient, who may put it into a calendar. Once there, a newer PUBLISH of the same organizer brings
//! it up to date; it makes nobody an attendee and is never answered.

use super::apply::{finished, fresh, from_organizer, heard, held, own, rebuilt};
use super::incoming::{Inbox, Incoming, Reason, Received};
use super::kept::personal;
use super::meeting::Meeting;

/// A posted entry.
pub(super) fn publish(received: &Received<'_, '_>) -> Incoming {
    let Some(existing) = received.existing else {
        return Incoming {
            inbox: Inbox::Show,
            ..Incoming::nothing(received.state, Reason::Published)
        };
    };
    if let Err(reason) = from_organizer(received) {
        return Incoming::nothing(received.state, reason);
    }
    // Somebody who is invited hears by REQUEST.
    let takes_part = existing
        .components()
        .any(|(_, c)| own(received, c).is_some());
    let newest = |meeting: &Meeting<'_>| {
        let components = meeting.components().filter(|(key, _)| key.is_none());
        components.map(|(_, c)| super::meeting::sequence(c)).max()
    };
    let fresh = fresh(received, existing);
    if takes_part || fresh.is_empty() || newest(received.meeting) < newest(existing) {
        return Incoming::nothing(received.state, Reason::Stale);
    }
    let mut components = held(existing);
    if fresh.contains_key(&None) {
        components.retain(|key, _| received.meeting.components().any(|(sent, _)| sent == *key));
    }
    for (key, sent) in &fresh {
        let old = components.get(key).cloned();
        components.insert(*key, personal(received, sent, old.as_ref(), *key));
    }
    if components.len() > received.limits.overrides {
        return Incoming::nothing(received.state, Reason::TooMany);
    }
    let state = heard(received, fresh.iter().map(|(key, c)| (*key, *c)));
    let components = components.into_values().collect();
    let calendar = rebuilt(received, &received.message.calendar, existing, components);
    finished(received, existing, calendar, state)
}
