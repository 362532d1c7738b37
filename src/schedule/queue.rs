//! What the rows of the queue say beside where their texts are.
//!
//! A row holds no message. It names a change of one object by the positions of its texts in the history, and what kind
//! of messages follow from it; they are computed again when the row is worked off, right after the commit as well as
//! after a crash.

use crate::ical::Timestamp;
use crate::itip::{Message, Method, Weight};
use crate::store::{Error, LocalMessage, MailMessage};
use bytes::Bytes;

/// What kind of messages follow from what a row names.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Those of the owner's change from the old text to the new one.
    Change,
    /// The same, and the recipient hears of it even if nothing changed for them: SCHEDULE-FORCE-SEND. RFC 6638 §7.2
    Forced,
    /// What the recipient sees of the new text, quietly: somebody's participation changed. RFC 6638 §4.2
    Refresh,
    /// What the recipient sees of the new text, because they asked: REFRESH. RFC 5546 §3.2.6
    Request,
    /// A message that no text implies.
    Verbatim(Verbatim),
    /// What follows from the removal of a whole calendar, which is worked off: the row's name is the last object done,
    /// and the row goes to the home that it comes from.
    Withdraw,
}

/// A message kept as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Verbatim {
    /// What it asks for.
    pub method: Method,
    /// Who sends it.
    pub from: String,
    /// To whom.
    pub to: String,
    /// Its text.
    pub text: String,
}

/// What a row says beside where its texts are.
#[derive(Clone, Debug, PartialEq)]
pub struct Payload {
    /// What follows from it.
    pub kind: Kind,
    /// When the change was made: DTSTAMP of the messages. RFC 6638 §3.2.5
    pub at: Timestamp,
}

/// The most bytes of a message that is kept as it is: a row has to hold it.
pub const VERBATIM_BYTES: usize = 40 * 1024;

impl Kind {
    /// The kind of a message that was made while another was delivered; none if it is too long to be kept.
    pub fn of(message: &Message) -> Option<Kind> {
        match (message.method, message.weight) {
            (Method::Request, Weight::Refresh) => Some(Kind::Refresh),
            (Method::Request, Weight::News) => Some(Kind::Request),
            (method, _) => {
                let text = crate::ical::print(&message.calendar);
                let text = String::from_utf8_lossy(&text).into_owned();
                (text.len() <= VERBATIM_BYTES).then(|| {
                    Kind::Verbatim(Verbatim {
                        method,
                        from: message.from.clone(),
                        to: message.to.clone(),
                        text,
                    })
                })
            }
        }
    }
}

impl Payload {
    /// The payload as bytes: a line of words, for a message kept as it is three more and its text.
    pub fn encode(&self) -> Bytes {
        let word = match &self.kind {
            Kind::Change => "change",
            Kind::Forced => "forced",
            Kind::Refresh => "refresh",
            Kind::Request => "request",
            Kind::Verbatim(_) => "verbatim",
            Kind::Withdraw => "withdraw",
        };
        let mut text = format!("1 {word} {}\n", self.at.0);
        if let Kind::Verbatim(message) = &self.kind {
            let line = |text: &str| text.replace(['\r', '\n'], " ");
            let (from, to) = (line(&message.from), line(&message.to));
            text.push_str(&format!(
                "{}\n{from}\n{to}\n{}",
                message.method, message.text
            ));
        }
        text.into()
    }

    /// The payload of a row.
    ///
    /// # Errors
    /// [`Error::Damaged`] for what is none.
    pub fn decode(row: &[u8]) -> Result<Payload, Error> {
        Self::read(row).ok_or_else(|| {
            let row = row.get(..200).unwrap_or(row).escape_ascii();
            Error::Damaged(format!("a queued message cannot be read: {row}"))
        })
    }

    fn read(row: &[u8]) -> Option<Payload> {
        let (head, rest) = std::str::from_utf8(row).ok()?.split_once('\n')?;
        let words: Vec<&str> = head.split(' ').collect();
        let ["1", word, at] = words.as_slice() else {
            return None;
        };
        let kind = match *word {
            "change" => Kind::Change,
            "forced" => Kind::Forced,
            "refresh" => Kind::Refresh,
            "request" => Kind::Request,
            "withdraw" => Kind::Withdraw,
            "verbatim" => {
                let mut lines = rest.splitn(4, '\n');
                Kind::Verbatim(Verbatim {
                    method: Method::parse(lines.next()?)?,
                    from: lines.next()?.to_owned(),
                    to: lines.next()?.to_owned(),
                    text: lines.next()?.to_owned(),
                })
            }
            _ => return None,
        };
        let at = Timestamp(at.parse().ok()?);
        Some(Payload { kind, at })
    }
}

/// A message that leaves by mail: where its text is, and to whom it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailItem {
    /// The change it follows from, as rows of the local queue name it; `to` is the sender's own home.
    pub source: LocalMessage,
    /// The recipient's calendar user address, as the object writes it.
    pub to: String,
    /// What the mail queue notes for itself: how often it was tried.
    pub note: String,
}

impl MailItem {
    /// The item as the payload of a row.
    pub fn encode(&self) -> Bytes {
        let line = |text: &str| text.replace(['\r', '\n'], " ");
        let mut row = format!("1\n{}\n{}\n", line(&self.to), line(&self.note)).into_bytes();
        row.extend_from_slice(&self.source.encode());
        row.into()
    }

    /// The item of a row.
    ///
    /// # Errors
    /// [`Error::Damaged`] for what is none.
    pub fn decode(row: &MailMessage) -> Result<MailItem, Error> {
        let damaged = || Error::Damaged("a message to be mailed cannot be read".to_owned());
        let mut lines = row.payload.splitn(4, |byte| *byte == b'\n');
        let mut line = || lines.next().ok_or_else(damaged);
        let text = |bytes: &[u8]| {
            std::str::from_utf8(bytes)
                .map(str::to_owned)
                .map_err(|_| damaged())
        };
        if line()? != b"1" {
            return Err(damaged());
        }
        Ok(MailItem {
            to: text(line()?)?,
            note: text(line()?)?,
            source: LocalMessage::decode(line()?).map_err(|_| damaged())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_survive_their_encoding() {
        let verbatim = Verbatim {
            method: Method::Refresh,
            from: "mailto:a@example.org".to_owned(),
            to: "mailto:b@example.org".to_owned(),
            text: "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n".to_owned(),
        };
        for kind in [
            Kind::Change,
            Kind::Forced,
            Kind::Refresh,
            Kind::Request,
            Kind::Verbatim(verbatim),
            Kind::Withdraw,
        ] {
            let at = Timestamp(-5);
            let payload = Payload { kind, at };
            assert_eq!(Payload::decode(&payload.encode()).unwrap(), payload);
        }
        for bad in [
            "",
            "1 change",
            "2 change 5\n",
            "1 change x\n",
            "1 verbatim 5\nREQUEST\n",
        ] {
            assert!(Payload::decode(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
