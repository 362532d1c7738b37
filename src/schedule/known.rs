//! What a home knows of a UID beside its object: iTIP's memory of messages, and which object delivery has placed.

use crate::ical::{Component, Timestamp};
use crate::itip::State;
use crate::store::{Error, Home, HomeChange, Id, UidState};

/// What is known of a UID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// The messages heard of it, and when it was deleted.
    pub(super) state: State,
    /// The object that delivery placed: its calendar and name.
    pub(super) placed: Option<(Id, String)>,
    /// Its object is gone.
    pub(super) gone: bool,
}

impl Known {
    /// What the home knows.
    pub(super) async fn of(home: &Home, uid: &str) -> Result<Option<Known>, Error> {
        let Some(row) = home.uid_state(uid).await? else {
            return Ok(None);
        };
        let known = Known::decode(&row.payload, row.gone);
        let damaged = || Error::Damaged(format!("what is known of {uid} cannot be read"));
        known.map(Some).ok_or_else(damaged)
    }

    /// What the home knows once its owner has deleted this object, and told so at this time.
    pub(super) async fn gone(
        home: &Home,
        (uid, object): (&str, &Component),
        told: Option<Timestamp>,
    ) -> Result<Known, Error> {
        let known = Known::of(home, uid).await?.unwrap_or_default();
        Ok(Known {
            state: known.state.deleted(object, told),
            placed: None,
            gone: true,
        })
    }

    /// Keeps it with a change of the home.
    pub(super) fn keep(&self, change: &mut HomeChange, uid: &str) {
        let state = UidState {
            payload: self.encode().into(),
            gone: self.gone,
        };
        change.set_uid_state(uid, state);
    }

    fn encode(&self) -> Vec<u8> {
        let mut row = match &self.placed {
            Some((calendar, name)) => format!("1 {calendar} {name}\n").into_bytes(),
            None => b"1\n".to_vec(),
        };
        row.extend_from_slice(&self.state.encode());
        row
    }

    fn decode(row: &[u8], gone: bool) -> Option<Known> {
        let end = row.iter().position(|byte| *byte == b'\n')?;
        let (head, rest) = row.split_at_checked(end)?;
        let mut words = std::str::from_utf8(head).ok()?.splitn(3, ' ');
        words.next().filter(|version| *version == "1")?;
        let placed = match (words.next(), words.next()) {
            (Some(calendar), Some(name)) => Some((calendar.parse().ok()?, name.to_owned())),
            _ => None,
        };
        Some(Known {
            state: State::decode(rest.get(1..)?)?,
            placed,
            gone,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_survives_its_row() {
        for placed in [None, Some((Id::from_bytes([7; 16]), "a b.ics".to_owned()))] {
            let known = Known {
                placed,
                gone: true,
                ..Known::default()
            };
            assert_eq!(Known::decode(&known.encode(), true), Some(known));
        }
        assert_eq!(Known::decode(b"2\n1\n", false), None);
    }
}
