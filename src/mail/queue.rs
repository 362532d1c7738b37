//! What waits to be mailed: rows that scheduling wrote in the commit of the object, brought together by
//! meeting and guest, so that edits that follow each other fast become one mail.

use crate::ical::{Timestamp, address_key};
use crate::schedule::queue::{Kind, MailItem, Payload};
use crate::store::{Error, Id, MailMessage};
use std::collections::BTreeMap;
use std::fmt;

/// How many times longer than it must be quiet a guest waits at most while edits go on.
const PATIENCE: i64 = 4;

/// A row of the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// The row as it is.
    pub row: MailMessage,
    /// What it stands for.
    pub item: MailItem,
    /// What became of it until now.
    pub note: Note,
}

/// What the queue notes of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// How often it was tried.
    pub tries: u32,
    /// How many of its mails were taken already.
    pub sent: usize,
    /// When it was written, once it was tried.
    pub since: Option<Timestamp>,
    /// Why it was not taken.
    pub why: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since.map_or(0, |since| since.0);
        write!(f, "{} {} {since} {}", self.tries, self.sent, self.why)
    }
}

impl Note {
    /// The note in an item; what is none was never tried.
    #[must_use]
    pub fn read(text: &str) -> Note {
        let mut parts = text.splitn(4, ' ');
        let mut number = || parts.next().and_then(|part| part.parse::<i64>().ok());
        let (tries, sent, since) = (number(), number(), number());
        Note {
            tries: tries.and_then(|n| n.try_into().ok()).unwrap_or(0),
            sent: sent.and_then(|n| n.try_into().ok()).unwrap_or(0),
            since: since.filter(|since| *since != 0).map(Timestamp),
            why: parts.next().unwrap_or_default().to_owned(),
        }
    }
}

impl Waiting {
    /// The row read.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it cannot be.
    pub fn read(row: MailMessage) -> Result<Waiting, Error> {
        let item = MailItem::decode(&row)?;
        let note = Note::read(&item.note);
        Ok(Waiting { row, item, note })
    }

    /// When it was written.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.note.since.unwrap_or(self.row.due)
    }

    fn kind(&self) -> Option<Kind> {
        Payload::decode(&self.item.source.payload)
            .ok()
            .map(|payload| payload.kind)
    }
}

/// What waits for one guest of one meeting, in the order in which it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// The rows; at least one.
    pub rows: Vec<Waiting>,
}

/// One thing to send, and the rows that it settles.
#[derive(Clone, Debug, PartialEq)]
pub struct Errand {
    /// What is sent: the newest row, with the old text of the oldest.
    pub what: Waiting,
    /// All rows that are gone when it is done.
    pub rows: Vec<MailMessage>,
}

/// The rows by meeting and guest.
#[must_use]
pub fn bundles(rows: Vec<Waiting>) -> Vec<Bundle> {
    let mut found: BTreeMap<(Id, String, String), Vec<Waiting>> = BTreeMap::new();
    for row in rows {
        let source = &row.item.source;
        let key = (source.from, source.uid.clone(), address_key(&row.item.to));
        found.entry(key).or_default().push(row);
    }
    let bundle = |mut rows: Vec<Waiting>| {
        rows.sort_by_key(|row| (row.item.source.revision, row.since(), row.row.id));
        Bundle { rows }
    };
    found.into_values().map(bundle).collect()
}

impl Bundle {
    /// When it is to be sent: when nothing was added for `settle` seconds, and what was tried already
    /// when it is its time again.
    #[must_use]
    pub fn due(&self, settle: i64) -> Timestamp {
        let fresh = self.rows.iter().filter(|row| row.note.tries == 0);
        let fresh: Vec<Timestamp> = fresh.map(|row| row.row.due).collect();
        match (fresh.iter().min(), fresh.iter().max()) {
            (Some(first), Some(last)) => {
                let quiet = last.add_seconds(settle);
                quiet.min(first.add_seconds(settle.saturating_mul(PATIENCE)))
            }
            _ => {
                let due = self.rows.iter().map(|row| row.row.due);
                due.min().unwrap_or(Timestamp(i64::MAX))
            }
        }
    }

    /// The domain that its mail goes to.
    #[must_use]
    pub fn domain(&self) -> String {
        let to = self.rows.first().map(|row| address_key(&row.item.to));
        let to = to.unwrap_or_default();
        let domain = to.rsplit_once('@').map(|(_, domain)| domain.to_owned());
        domain.unwrap_or(to)
    }

    /// What is to be sent, in order: changes of one object that follow each other are one.
    #[must_use]
    pub fn errands(&self) -> Vec<Errand> {
        let mut errands: Vec<Errand> = Vec::new();
        for row in &self.rows {
            match errands.last_mut() {
                Some(last) if follows(&last.what, row) => {
                    let merged = merged(&last.what, row);
                    last.what = merged;
                    last.rows.push(row.row.clone());
                }
                _ => errands.push(Errand {
                    what: row.clone(),
                    rows: vec![row.row.clone()],
                }),
            }
        }
        errands
    }
}

/// Whether the second change begins where the first one ended.
fn follows(first: &Waiting, second: &Waiting) -> bool {
    let is_change = |row: &Waiting| matches!(row.kind(), Some(Kind::Change | Kind::Forced));
    let (one, two) = (&first.item.source, &second.item.source);
    is_change(first)
        && is_change(second)
        // Some of the first one's mails are out: what is left of it goes first.
        && first.note.sent == 0
        && (one.collection, &one.name) == (two.collection, &two.name)
        && one.new == two.old
}

fn merged(first: &Waiting, second: &Waiting) -> Waiting {
    let mut merged = second.clone();
    merged.item.source.old = first.item.source.old;
    if first.kind() == Some(Kind::Forced)
        && let Ok(mut payload) = Payload::decode(&second.item.source.payload)
    {
        payload.kind = Kind::Forced;
        merged.item.source.payload = payload.encode();
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{LocalMessage, Position};

    fn at(n: u64) -> Option<Position> {
        (n > 0).then_some(Position { revision: n, n: 0 })
    }

    fn row(id: u8, due: i64, change: (u64, u64), kind: Kind, note: &str) -> Waiting {
        let home = Id::from_bytes([1; 16]);
        let payload = Payload {
            kind,
            at: Timestamp(due),
        };
        let item = MailItem {
            source: LocalMessage {
                to: home,
                from: home,
                uid: "u".to_owned(),
                revision: change.1,
                collection: home,
                name: "u.ics".to_owned(),
                old: at(change.0),
                new: at(change.1),
                payload: payload.encode(),
            },
            to: "mailto:Bob@Example.net".to_owned(),
            note: note.to_owned(),
        };
        Waiting::read(MailMessage {
            id: Id::from_bytes([id; 16]),
            due: Timestamp(due),
            payload: item.encode(),
        })
        .unwrap()
    }

    #[test]
    fn a_note_survives_its_text() {
        let note = Note {
            tries: 3,
            sent: 1,
            since: Some(Timestamp(5)),
            why: "450 later, please".to_owned(),
        };
        assert_eq!(Note::read(&note.to_string()), note);
        assert_eq!(Note::read(""), Note::default());
        assert_eq!(Note::read("x y"), Note::default());
    }

    #[test]
    fn edits_that_follow_each_other_are_one_errand() {
        let rows = vec![
            row(2, 110, (5, 6), Kind::Change, ""),
            row(1, 100, (0, 5), Kind::Forced, ""),
            row(3, 120, (6, 7), Kind::Request, ""),
            row(4, 130, (7, 8), Kind::Change, ""),
        ];
        let bundles = bundles(rows);
        let [bundle] = bundles.as_slice() else {
            panic!("{bundles:?}");
        };
        assert_eq!(bundle.domain(), "example.net");
        let errands = bundle.errands();
        let shape: Vec<_> = errands
            .iter()
            .map(|e| (e.what.item.source.old, e.what.item.source.new, e.rows.len()))
            .collect();
        assert_eq!(
            shape,
            [(None, at(6), 2), (at(6), at(7), 1), (at(7), at(8), 1)]
        );
        assert_eq!(errands[0].what.row.id, Id::from_bytes([2; 16]));
        assert_eq!(errands[0].what.kind(), Some(Kind::Forced));
    }

    #[test]
    fn what_is_half_sent_is_not_merged() {
        let rows = vec![
            row(1, 100, (0, 5), Kind::Change, "1 1 90 why"),
            row(2, 110, (5, 6), Kind::Change, ""),
        ];
        assert_eq!(bundles(rows)[0].errands().len(), 2);
    }

    #[test]
    fn a_bundle_is_due_when_it_is_quiet_but_not_much_later() {
        let due = |rows: Vec<Waiting>| bundles(rows)[0].due(30).0;
        let fresh = |id, due| row(id, due, (0, 1), Kind::Change, "");
        assert_eq!(due(vec![fresh(1, 100)]), 130);
        assert_eq!(due(vec![fresh(1, 100), fresh(2, 120)]), 150);
        assert_eq!(due(vec![fresh(1, 100), fresh(2, 215)]), 220);
        let tried = row(3, 500, (0, 1), Kind::Change, "1 0 90 why");
        assert_eq!(due(vec![tried.clone()]), 500);
        assert_eq!(due(vec![tried, fresh(1, 100)]), 130);
    }
}
