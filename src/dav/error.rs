//! Why a request was not done, as the protocol layers say it.

use super::condition::Condition;
use super::privilege::Privilege;
use crate::store;
use crate::xml::Malformed;

/// What a handler answers when it does not do what was asked.
#[derive(Debug)]
pub enum Error {
    /// A condition does not hold: its row decides the status.
    Refused(Box<Refusal>),
    /// A status that needs no condition, with a sentence that the client may show.
    Status(u16, &'static str),
    /// The store could not, or asks to run the request again.
    Store(store::Error),
}

impl store::Contended for Error {
    fn is_conflict(&self) -> bool {
        matches!(self, Error::Store(error) if error.is_conflict())
    }
}

/// A condition with what its element holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What does not hold.
    pub condition: Condition,
    /// What the element contains.
    pub detail: Detail,
}

impl From<Condition> for Refusal {
    fn from(condition: Condition) -> Refusal {
        Refusal {
            condition,
            detail: Detail::None,
        }
    }
}

/// The content of a condition's element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Detail {
    /// Nothing.
    #[default]
    None,
    /// A sentence that says what to change.
    Text(String),
    /// The resource that stands in the way, as an encoded href.
    Href(String),
    /// The privilege that is missing on the resource with this href. RFC 3744 §7.1.1
    Privilege(String, Privilege),
    /// XML that stands for itself.
    Xml(String),
}

impl Condition {
    /// The refusal with a sentence that says what to change.
    pub fn because(self, sentence: impl Into<String>) -> Error {
        self.with(Detail::Text(sentence.into()))
    }

    /// The refusal with the resource that stands in the way, as an encoded href.
    pub fn at(self, href: impl Into<String>) -> Error {
        self.with(Detail::Href(href.into()))
    }

    /// The refusal with this content.
    pub fn with(self, detail: Detail) -> Error {
        Error::Refused(Box::new(Refusal {
            condition: self,
            detail,
        }))
    }
}

impl Error {
    /// The condition that does not hold, where one was named.
    pub fn condition(&self) -> Option<Condition> {
        match self {
            Error::Refused(refusal) => Some(refusal.condition),
            Error::Status(..) | Error::Store(_) => None,
        }
    }
}

impl From<Condition> for Error {
    fn from(condition: Condition) -> Error {
        condition.with(Detail::None)
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        Error::Store(error)
    }
}

/// RFC 4918 §8.2: 400 for what is not well-formed; §16 for external entities.
impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Error {
        match malformed {
            Malformed::Doctype => Condition::NoExternalEntities.into(),
            Malformed::Limit => Error::Status(413, "The XML in the body is too large or too deep."),
            Malformed::Encoding => Error::Status(415, "The XML is in an encoding not supported."),
            Malformed::Syntax(_) => Error::Status(400, "The body is not well-formed XML."),
        }
    }
}
