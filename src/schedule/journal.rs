//! The scheduling journal: each decision with its reason, as rows of the home it is about. "Why did my answer not
//! arrive" is answered by it.

use crate::ical::Timestamp;
use crate::itip::{Message, Reason};
use crate::store::{Change, Error, Home, Id, JournalEntry};

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Messages were sent.
    Sent,
    /// A message came and was judged.
    Received,
    /// A message could not be delivered.
    Failed,
}

const WORDS: [(What, &str); 3] = [
    (What::Sent, "sent"),
    (What::Received, "received"),
    (What::Failed, "failed"),
];

/// A decision of scheduling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What was decided.
    pub what: What,
    /// The method of the messages.
    pub method: String,
    /// Who it came from or goes to: addresses with commas.
    pub with: String,
    /// The reason, in a word that programs know and a sentence that people read.
    pub reason: (String, String),
}

impl What {
    /// The word for it.
    pub fn word(self) -> &'static str {
        let known = WORDS.iter().find(|(what, _)| *what == self);
        known.map_or("", |(_, word)| word)
    }
}

impl Decision {
    /// What was made of a message.
    pub fn received(message: &Message, reason: Reason) -> Decision {
        Decision {
            what: What::Received,
            method: message.method.to_string(),
            with: message.from.clone(),
            reason: (format!("{reason:?}"), sentence(reason).to_owned()),
        }
    }

    /// Messages of one method to these addresses.
    pub fn sent(method: String, to: &[&str], status: &str) -> Decision {
        Decision {
            what: What::Sent,
            method,
            with: to.join(", "),
            reason: ("Sent".to_owned(), status_sentence(status)),
        }
    }

    /// Nothing came of it.
    pub fn failed(method: String, with: String, (word, sentence): (&str, &str)) -> Decision {
        Decision {
            what: What::Failed,
            method,
            with,
            reason: (word.to_owned(), sentence.to_owned()),
        }
    }

    fn encode(&self) -> String {
        let field = |text: &str| text.replace(['\t', '\n', '\r'], " ");
        [
            self.what.word(),
            &field(&self.method),
            &field(&self.with),
            &field(&self.reason.0),
            &field(&self.reason.1),
        ]
        .join("\t")
    }

    /// The decision in the text of a row; none if it is of another program.
    pub fn decode(text: &str) -> Option<Decision> {
        let fields: Vec<&str> = text.split('\t').collect();
        let [what, method, with, word, sentence] = fields.as_slice() else {
            return None;
        };
        let (what, _) = WORDS.iter().find(|(_, known)| known == what)?;
        Some(Decision {
            what: *what,
            method: (*method).to_owned(),
            with: (*with).to_owned(),
            reason: ((*word).to_owned(), (*sentence).to_owned()),
        })
    }
}

/// Notes a decision about a UID in the journal of a home, with the change that carries it out.
pub fn note(
    change: &mut Change,
    home: &Home,
    uid: &str,
    at: Timestamp,
    decision: &Decision,
) -> Result<(), Error> {
    // In the order of revisions; what shares one with another row is told apart by chance.
    let [a, b, c, ..] = *Id::random()?.as_bytes();
    let chance = u64::from(u32::from_be_bytes([0, a, b, c]));
    let number = (home.revision() << 24) | chance;
    let entry = JournalEntry {
        at,
        uid: uid.to_owned(),
        text: decision.encode(),
    };
    change.journal(home.id(), &entry, number);
    Ok(())
}

/// What a delivery status means. RFC 6638 §3.2.9
fn status_sentence(status: &str) -> String {
    let meaning = match status {
        "1.0" => "waits to be mailed",
        "1.2" => "somebody of this server",
        "3.7" => "nobody has this address",
        "5.3" => "they may not be invited",
        _ => "sent",
    };
    format!("{meaning} ({status})")
}

/// Why, for people.
#[must_use]
pub fn sentence(reason: Reason) -> &'static str {
    match reason {
        Reason::Invited => "a new meeting was put into the calendar",
        Reason::Updated => "the meeting was changed",
        Reason::Refreshed => "only the answers of others changed",
        Reason::AskedAgain => "nothing changed, and an answer was asked for again",
        Reason::Delegated => "an attendee passed their part in the meeting on",
        Reason::Cancelled => "the meeting, or instances of it, were cancelled",
        Reason::Answered => "the answer was entered",
        Reason::Asked => "the newest state was asked for and sent",
        Reason::Countered => "something else was proposed; the organizer decides",
        Reason::CounterDeclined => "the proposal was declined",
        Reason::Published => "it was posted for information",
        Reason::Known => "it says what was known already",
        Reason::Stale => "a newer message was applied before",
        Reason::Deleted => "the meeting had been deleted here and nothing new was said",
        Reason::NoMeeting => "there is no such meeting here",
        Reason::NoInstance => "the series has no such instance",
        Reason::NotTheOrganizer => "the sender is not the organizer of the meeting",
        Reason::NotInvited => "it invites none of the recipient's addresses",
        Reason::PartyCrasher => "the sender was never invited; the organizer decides",
        Reason::TooMany => "the meeting would have too many exceptions",
        Reason::Unreadable => "it cannot be understood",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_survives_its_row() {
        let decision = Decision::failed(
            "REQUEST".to_owned(),
            "mailto:a@example.org".to_owned(),
            ("NoCalendar", "no calendar takes\tit"),
        );
        let read = Decision::decode(&decision.encode()).unwrap();
        assert_eq!(read.reason.1, "no calendar takes it");
        assert_eq!((read.what, read.with), (decision.what, decision.with));
        assert_eq!(Decision::decode("something else"), None);
    }
}
