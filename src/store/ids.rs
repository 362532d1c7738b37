//! Identifiers of homes, collections and principals, and places in a home's history.

use std::fmt;
use std::str::FromStr;

use super::{Error, hex};

/// A random 128-bit identifier that is never reused; a principal and its home share one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id([u8; 16]);

impl Id {
    /// The directory of principals, which is a home of its own kind.
    pub const DIRECTORY: Self = Self([0; 16]);

    /// A new identifier.
    pub fn random() -> Result<Self, Error> {
        let mut bytes = [0; 16];
        random(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The identifier with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Appends its text.
    pub(super) fn push_to(&self, out: &mut String) {
        for byte in self.0 {
            hex::push_digits(out, byte.into(), 2);
        }
    }

    /// The first four bytes, which tell the collections of a home apart in an ETag.
    pub(super) const fn prefix(&self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }
}

/// Fills `bytes` from the system's source of randomness.
pub(super) fn random(bytes: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(bytes).map_err(|error| Error::Broken(format!("no randomness: {error}")))
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(32);
        self.push_to(&mut text);
        f.write_str(&text)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnId;

impl FromStr for Id {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(NotAnId);
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| NotAnId)?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// A place in the history of a home: the n-th change of a revision. Sync tokens, ETags and
/// Schedule-Tags are made of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The revision of the home.
    pub revision: u64,
    /// Which change of that revision.
    pub n: u32,
}

impl Position {
    /// Before everything.
    pub const START: Self = Self { revision: 0, n: 0 };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        let id = Id::random().unwrap();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(Id::DIRECTORY.to_string(), "0".repeat(32));
        assert_eq!("+".repeat(32).parse::<Id>(), Err(NotAnId));
        assert_eq!("0".repeat(31).parse::<Id>(), Err(NotAnId));
    }
}
