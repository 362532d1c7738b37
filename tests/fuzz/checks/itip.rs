//! Scheduling: whatever two states of an object and whatever message, the decisions end, are bounded, and what they keep
//! can be read again.
//!
//! The input is up to three texts with a line `====` between them: what there is, what is put in its place, a message.

use std::sync::Arc;

use kalends::ical::{self, Component, Timestamp};
use kalends::itip::{
    Addresses, Change, Incoming, Intent, Limits, Message, Method, Route, State, Weight, answered,
    decline_counter, incoming, outgoing, unanswered,
};

const NOW: Timestamp = Timestamp(1_790_000_000);

const LIMITS: Limits = Limits {
    messages: 100,
    overrides: 50,
    recur: kalends::recur::Limits {
        instances: 500,
        work: 20_000,
    },
};

/// Checks one input.
pub(crate) fn check(data: &[u8]) {
    let mut texts = Vec::new();
    let mut rest = data;
    while let Some(at) = rest.windows(5).position(|bytes| bytes == b"====\n") {
        texts.push(&rest[..at]);
        rest = &rest[at + 5..];
    }
    texts.push(rest);
    let limits = ical::Limits::default();
    let read = |text: &&[u8]| ical::parse(text, &limits).calendars.into_iter().next();
    let calendars: Vec<Option<Component>> = texts.iter().take(3).map(read).collect();
    let calendar = |index: usize| calendars.get(index).and_then(Option::as_ref);
    for own in ["mailto:anna@example.org", "mailto:ben@example.org"] {
        let mut who = Addresses::new([own]);
        for local in ["anna", "ben", "carl"] {
            if !own.contains(local) {
                let address = format!("mailto:{local}@example.org");
                who.learn(&address, Route::Local(local.into()));
            }
        }
        who.learn("mailto:dora@example.net", Route::Mail);
        changes(calendar(0), calendar(1), &who);
        for message in messages(calendar(2)) {
            receive(calendar(0), &message, &who);
        }
    }
}

/// A message as any method, from its own organizer or attendee.
fn messages(calendar: Option<&Component>) -> Vec<Message> {
    let Some(calendar) = calendar else {
        return Vec::new();
    };
    let named = calendar.property("METHOD").map_or("", |p| p.value());
    let method = Method::parse(named).unwrap_or(Method::Request);
    let address = |name: &str| {
        let mut components = calendar.all_components();
        let property = components.find_map(|c| c.property(name));
        property.map(|p| p.value().to_owned()).unwrap_or_default()
    };
    let message = |from: String, weight: Weight| Message {
        method,
        from,
        to: address("ATTENDEE"),
        uid: address("UID"),
        weight,
        calendar: Arc::new(calendar.clone()),
    };
    vec![
        message(address("ORGANIZER"), Weight::News),
        message(address("ORGANIZER"), Weight::Refresh),
        message(address("ATTENDEE"), Weight::News),
    ]
}

fn changes(old: Option<&Component>, new: Option<&Component>, who: &Addresses) {
    for change in [(old, new), (None, new), (old, None), (new, old)] {
        for intent in [Intent::Change, Intent::Silence, Intent::Import] {
            let Ok(done) = outgoing(change, who, intent, NOW, &LIMITS) else {
                continue;
            };
            assert!(done.messages.len() <= LIMITS.messages);
            assert!(intent == Intent::Change || done.messages.is_empty());
            if let Some(object) = &done.store {
                bounded(object, &[change.0, change.1]);
                entered(object, who);
            }
        }
    }
}

/// Answers of a room.
fn entered(object: &Component, who: &Addresses) {
    let waiting = unanswered(object, who);
    let answers = waiting.iter().map(|key| (*key, "DECLINED")).collect();
    let object = answered(object, who, &answers);
    assert!(unanswered(&object, who).is_empty());
}

fn receive(existing: Option<&Component>, message: &Message, who: &Addresses) {
    let mut state = State::default();
    let mut object = existing.cloned();
    for _ in 0..2 {
        let Incoming {
            object: change,
            messages,
            state: known,
            ..
        } = incoming(object.as_ref(), &state, message, who, (NOW, &LIMITS));
        assert_eq!(State::decode(&known.encode()).as_ref(), Some(&known));
        assert!(messages.len() <= 10_000);
        if let Change::Put(calendar) = change {
            bounded(&calendar, &[object.as_ref(), Some(&message.calendar)]);
            object = Some(calendar);
        }
        state = known;
    }
    if let Some(object) = &object {
        let _ = state.deleted(object, Some(NOW)).revived(object);
        let _ = decline_counter(object, message, who, (Some("no"), NOW));
    }
}

/// What is stored is not much more than what it was made of.
fn bounded(object: &Component, sources: &[Option<&Component>]) {
    let size = |calendar: &Component| ical::print(calendar).len();
    let largest = sources.iter().flatten().map(|c| size(c)).max().unwrap_or(0);
    let most = (largest + 1_000) * (LIMITS.overrides + 10) * 4;
    assert!(size(object) <= most, "{} bytes of {largest}", size(object));
}
