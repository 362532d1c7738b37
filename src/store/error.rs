//! Why the store does not do what it is asked, and the limits of what it takes.

use std::fmt;

use super::codec::Malformed;
use super::kv;

/// What the store takes, and what it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Seconds that replaced and deleted texts, calendars and tombstones stay; at least an hour.
    pub history_keep: i64,
    /// Bytes of memory for indexes of calendars.
    pub index_bytes: usize,
    /// Longest name of an object, a collection or a principal.
    pub name_bytes: usize,
    /// Longest UID.
    pub uid_bytes: usize,
    /// Longest text of an object.
    pub text_bytes: usize,
    /// Longest row of a collection, a principal or an object's properties, with all properties.
    pub row_bytes: usize,
    /// Most collections in a home, deleted ones that can still be restored not counted.
    pub collections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            history_keep: 30 * 24 * 3600,
            index_bytes: 256 << 20,
            name_bytes: 255,
            uid_bytes: 1024,
            text_bytes: 32 << 20,
            row_bytes: 48 << 10,
            collections: 1000,
        }
    }
}

/// Why the store does not answer or did not commit. Nothing of a refused change is visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Another writer was faster: read again, decide again.
    Conflict,
    /// There is no room; reads go on.
    Full,
    /// Writes stopped until the store is opened again; the sentence says why.
    ReadOnly(String),
    /// Something exceeds the limit of this name.
    TooLarge(&'static str),
    /// The change contradicts the view it was made on.
    Refused(Refusal),
    /// The engine failed; the sentence says how.
    Broken(String),
    /// A row is not what it should be; the sentence says which.
    Damaged(String),
}

/// What a change contradicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The home exists already.
    HomeExists,
    /// There is no such home.
    NoHome,
    /// The home has no such collection, or it cannot be changed that way.
    NoCollection,
    /// The collection has no such object.
    NoObject,
    /// Another collection or principal has the name.
    NameTaken(String),
    /// The object of this name in the collection has the UID.
    UidTaken(String),
    /// There is no such principal.
    NoPrincipal,
    /// The principal exists already.
    PrincipalExists,
    /// Another principal has this address.
    AddressTaken(String),
    /// The name is empty or has characters that no name can have.
    BadName(String),
    /// The turn does not hold a home that the change touches.
    NotInTurn,
    /// The history does not reach back that far.
    NoHistory,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HomeExists => f.write_str("the home exists already"),
            Self::NoHome => f.write_str("there is no such home"),
            Self::NoCollection => f.write_str("there is no such collection"),
            Self::NoObject => f.write_str("there is no such object"),
            Self::NameTaken(name) => write!(f, "the name {name:?} is taken"),
            Self::UidTaken(name) => write!(f, "the object {name:?} has the same UID"),
            Self::NoPrincipal => f.write_str("there is no such principal"),
            Self::PrincipalExists => f.write_str("the principal exists already"),
            Self::AddressTaken(address) => write!(f, "somebody else has the address {address}"),
            Self::BadName(name) => write!(f, "{name:?} cannot be a name"),
            Self::NotInTurn => f.write_str("the change touches a home outside of its turn"),
            Self::NoHistory => f.write_str("the history does not reach back that far"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict => f.write_str("another writer was faster"),
            Self::Full => f.write_str("the store has no room for writes"),
            Self::ReadOnly(why) => write!(f, "the store takes no writes until restart: {why}"),
            Self::TooLarge(what) => write!(f, "over the limit: {what}"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Broken(why) => write!(f, "the store failed: {why}"),
            Self::Damaged(what) => write!(
                f,
                "the store is damaged ({what}); kalends check --repair may mend it"
            ),
        }
    }
}

impl std::error::Error for Error {}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<kv::ReadError> for Error {
    fn from(error: kv::ReadError) -> Self {
        Self::Broken(error.0)
    }
}

impl From<kv::CommitError> for Error {
    fn from(error: kv::CommitError) -> Self {
        match error {
            kv::CommitError::Conflict => Self::Conflict,
            kv::CommitError::Full => Self::Full,
            kv::CommitError::ReadOnly(why) => Self::ReadOnly(why),
            kv::CommitError::Broken(why) => Self::Broken(why),
            kv::CommitError::TooLarge(kv::Bound::Key) => Self::TooLarge("bytes of a key"),
            kv::CommitError::TooLarge(kv::Bound::Value) => Self::TooLarge("bytes of a row"),
            kv::CommitError::TooLarge(kv::Bound::Rows) => Self::TooLarge("rows of a commit"),
            kv::CommitError::TooLarge(kv::Bound::Bytes) => Self::TooLarge("bytes of a commit"),
        }
    }
}

/// Names the row that could not be read.
pub(super) trait Row<T> {
    fn row(self, key: &[u8]) -> Result<T, Error>;
}

impl<T> Row<T> for Result<T, Malformed> {
    fn row(self, key: &[u8]) -> Result<T, Error> {
        self.map_err(|Malformed| Error::Damaged(format!("row {}", key.escape_ascii())))
    }
}
