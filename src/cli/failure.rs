//! Why a command did not do what it was asked, and its exit code.

use std::fmt;

use crate::auth::accounts;
use crate::store;

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Something went wrong.
    Failed = 1,
    /// The command line or the settings are wrong.
    Usage = 2,
    /// What was named is not there.
    NotFound = 3,
    /// It is taken, in conflict, or there is no room.
    Refused = 4,
    /// The store is in use, damaged or not there.
    Store = 5,
    /// Done, but something was found or refused on the way.
    Findings = 6,
    /// Not now: mail servers know the number as EX_TEMPFAIL.
    Later = 75,
}

/// A sentence for people, and the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The code.
    pub code: Code,
    /// The sentence; empty when everything was said before.
    pub sentence: String,
}

impl Failure {
    /// A failure with a sentence.
    pub fn new(code: Code, sentence: impl Into<String>) -> Failure {
        Failure {
            code,
            sentence: sentence.into(),
        }
    }

    /// Something went wrong that has no kind of its own.
    pub fn failed(sentence: impl Into<String>) -> Failure {
        Failure::new(Code::Failed, sentence)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl From<accounts::Error> for Failure {
    fn from(error: accounts::Error) -> Failure {
        let sentence = error.to_string();
        match error {
            accounts::Error::Unknown(_) => Failure::new(Code::NotFound, sentence),
            accounts::Error::Bad(_) => Failure::new(Code::Usage, sentence),
            accounts::Error::Refused(_) => Failure::new(Code::Refused, sentence),
            accounts::Error::Hash(_) => Failure::failed(sentence),
            accounts::Error::Store(error) => error.into(),
        }
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Failure {
        let code = match &error {
            store::Error::Refused(
                store::Refusal::NoHome
                | store::Refusal::NoCollection
                | store::Refusal::NoObject
                | store::Refusal::NoPrincipal,
            ) => Code::NotFound,
            store::Error::Conflict
            | store::Error::Full
            | store::Error::TooLarge(_)
            | store::Error::Refused(_) => Code::Refused,
            store::Error::Damaged(_) | store::Error::ReadOnly(_) => Code::Store,
            store::Error::Broken(_) => Code::Failed,
        };
        Failure::new(code, error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::failed(error.to_string())
    }
}
