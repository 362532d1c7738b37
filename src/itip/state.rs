//! What is remembered of a UID beside the object (RFC 5546 §2.1.5).

use super::meeting::{self, Key, Meeting};
use crate::ical::{Component, Property, Timestamp, percent_decoded};
use std::collections::{BTreeMap, BTreeSet};

/// What is remembered of a UID beside the object, so that late, repeated and disordered messages do no harm. It outlives
/// the object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The newest message of the organizer, by instance.
    pub(super) heard: BTreeMap<Option<Key>, Mark>,
    /// The instances that the organizer's newest series leaves out for the recipient: those that only the recipient's own
    /// object leaves out, the recipient took out.
    pub(super) excluded: BTreeSet<Key>,
    /// The newest answer of each attendee, by normalised address and instance.
    pub(super) answers: BTreeMap<(String, Option<Key>), Mark>,
    /// The SEQUENCE of each component that the recipient deleted with the object.
    pub(super) deleted: BTreeMap<Option<Key>, u64>,
    /// The highest SEQUENCE an object had that was deleted.
    pub(super) last: Option<u64>,
    /// When the recipient declined by deleting the object.
    pub(super) declined: Option<Timestamp>,
}

/// How new a component of a message was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) sequence: u64,
    pub(super) stamp: Timestamp,
    /// The recipient's participation as the organizer knew it.
    pub(super) partstat: String,
}

impl Mark {
    /// What stands in place of the recipient's participation in an instance that was cancelled.
    pub(super) const CANCELLED: &str = "CANCELLED";

    /// Whether this came later: by SEQUENCE, then DTSTAMP. RFC 5546 §2.1.5
    pub(super) fn newer_than(&self, sequence: u64, stamp: Timestamp) -> bool {
        (self.sequence, self.stamp) > (sequence, stamp)
    }
}

impl State {
    /// Remembers that the recipient deleted their object, and when they told so, if they did. What was cancelled is not
    /// held against a new invitation.
    #[must_use]
    pub fn deleted(&self, object: &Component, told: Option<Timestamp>) -> State {
        let mut state = self.clone();
        state.declined = told;
        let meeting = Meeting::read(object);
        for (key, component) in meeting.iter().flat_map(Meeting::components) {
            let number = meeting::sequence(component);
            state.last = Some(state.last.map_or(number, |last| last.max(number)));
            if !meeting::is_cancelled(component) {
                state.deleted.insert(key, number);
            }
        }
        state
    }

    /// A new object under a UID that its organizer deleted before, with SEQUENCE above what the cancellation had: else
    /// those who were told of that would take the new invitation for an old one. RFC 5546 §2.1.4
    #[must_use]
    pub fn revived(&self, object: &Component) -> Option<Component> {
        // The cancellation itself was one higher.
        let least = self.last?.saturating_add(2);
        let mut revived = object.clone();
        let low = |c: &&mut Component| meeting::is_meeting(c) && meeting::sequence(c) < least;
        for component in revived.all_components_mut().filter(low) {
            component.set(Property::new("SEQUENCE", &least.to_string()));
        }
        (revived != *object).then_some(revived)
    }

    /// Whether these components of a message say more than what the recipient deleted: a higher SEQUENCE, or an
    /// instance that was not in it.
    pub(super) fn brings_back(&self, key: Option<Key>, sequence: u64) -> bool {
        let known = self.deleted.get(&key).or_else(|| self.deleted.get(&None));
        known.is_none_or(|known| sequence > *known)
    }

    /// The state as a row: a line a fact.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut text = String::from("1\n");
        for (key, mark) in &self.heard {
            text.push_str(&format!("heard\t{}\t{}\n", key_text(*key), mark_text(mark)));
        }
        for key in &self.excluded {
            text.push_str(&format!("excluded\t{}\n", key_text(Some(*key))));
        }
        for ((address, key), mark) in &self.answers {
            let address = field(address);
            text.push_str(&format!(
                "answer\t{address}\t{}\t{}\n",
                key_text(*key),
                mark_text(mark)
            ));
        }
        for (key, sequence) in &self.deleted {
            text.push_str(&format!("deleted\t{}\t{sequence}\n", key_text(*key)));
        }
        if let Some(sequence) = self.last {
            text.push_str(&format!("last\t{sequence}\n"));
        }
        if let Some(at) = self.declined {
            text.push_str(&format!("declined\t{}\n", at.0));
        }
        text.into_bytes()
    }

    /// A state from its row; none if it is not one.
    #[must_use]
    pub fn decode(row: &[u8]) -> Option<State> {
        let text = std::str::from_utf8(row).ok()?;
        let mut lines = text.lines();
        lines.next().filter(|version| *version == "1")?;
        let mut state = State::default();
        for line in lines {
            let fields: Vec<&str> = line.split('\t').collect();
            match fields.as_slice() {
                ["heard", key, mark @ ..] => {
                    state.heard.insert(read_key(key)?, read_mark(mark)?);
                }
                ["answer", address, key, mark @ ..] => {
                    let id = (read_field(address), read_key(key)?);
                    state.answers.insert(id, read_mark(mark)?);
                }
                ["excluded", key] => state.excluded.extend(read_key(key)?),
                ["deleted", key, sequence] => {
                    state.deleted.insert(read_key(key)?, sequence.parse().ok()?);
                }
                ["last", sequence] => state.last = Some(sequence.parse().ok()?),
                ["declined", at] => state.declined = Some(Timestamp(at.parse().ok()?)),
                _ => return None,
            }
        }
        Some(state)
    }
}

fn key_text(key: Option<Key>) -> String {
    match key {
        None => "-".to_owned(),
        Some(Key::Date(date)) => date.to_string(),
        Some(Key::Floating(local)) => local.to_string(),
        Some(Key::At(instant)) => instant.to_string(),
    }
}

fn read_key(text: &str) -> Option<Option<Key>> {
    use crate::ical::When;
    if text == "-" {
        return Some(None);
    }
    match When::parse(text, None)? {
        When::Date(date) => Some(Some(Key::Date(date))),
        When::Floating(local) => Some(Some(Key::Floating(local))),
        When::Utc(instant) => Some(Some(Key::At(instant))),
        When::Zoned(..) => None,
    }
}

fn mark_text(mark: &Mark) -> String {
    let partstat = field(&mark.partstat);
    format!("{}\t{}\t{partstat}", mark.sequence, mark.stamp.0)
}

fn read_mark(fields: &[&str]) -> Option<Mark> {
    let [sequence, stamp, partstat] = fields else {
        return None;
    };
    Some(Mark {
        sequence: sequence.parse().ok()?,
        stamp: Timestamp(stamp.parse().ok()?),
        partstat: read_field(partstat),
    })
}

/// What others wrote, without what ends a field or a line.
fn field(text: &str) -> String {
    let text = text.replace('%', "%25").replace('\t', "%09");
    text.replace('\n', "%0A").replace('\r', "%0D")
}

fn read_field(text: &str) -> String {
    String::from_utf8_lossy(&percent_decoded(text)).into_owned()
}
