//! The encoding of rows: a version byte, then fields in order; numbers as LEB128, texts with their
//! length in front.
//!
//! Every row begins with the version of its own layout; reading an older version upgrades it.

use bytes::Bytes;

use super::{Id, Position};
use crate::ical::Timestamp;

/// Bytes that are not the row they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Writes the fields of a row.
#[derive(Debug, Default)]
pub(super) struct Encoder(Vec<u8>);

impl Encoder {
    /// A row of this version.
    pub(super) fn version(version: u8) -> Self {
        Self(vec![version])
    }

    pub(super) fn byte(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    pub(super) fn number(&mut self, mut value: u64) -> &mut Self {
        loop {
            let low = u8::try_from(value & 0x7f).unwrap_or(0);
            value >>= 7;
            if value == 0 {
                self.0.push(low);
                return self;
            }
            self.0.push(low | 0x80);
        }
    }

    pub(super) fn signed(&mut self, value: i64) -> &mut Self {
        self.number((value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned())
    }

    pub(super) fn time(&mut self, value: Timestamp) -> &mut Self {
        self.signed(value.0)
    }

    pub(super) fn position(&mut self, value: Position) -> &mut Self {
        self.number(value.revision).number(u64::from(value.n))
    }

    pub(super) fn id(&mut self, value: Id) -> &mut Self {
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    pub(super) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.number(u64::try_from(value.len()).unwrap_or(u64::MAX));
        self.0.extend_from_slice(value);
        self
    }

    pub(super) fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    pub(super) fn optional<T>(
        &mut self,
        value: Option<T>,
        write: impl FnOnce(&mut Self, T),
    ) -> &mut Self {
        match value {
            None => {
                self.byte(0);
            }
            Some(value) => {
                self.byte(1);
                write(self, value);
            }
        }
        self
    }

    pub(super) fn many<T>(
        &mut self,
        values: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.number(u64::try_from(values.len()).unwrap_or(u64::MAX));
        for value in values {
            write(self, value);
        }
        self
    }

    /// Fields without a length in front: only as the last of a row.
    pub(super) fn rest(&mut self, value: &[u8]) -> &mut Self {
        self.0.extend_from_slice(value);
        self
    }

    pub(super) fn finish(self) -> Bytes {
        self.0.into()
    }
}

/// Reads the fields of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Reads `row`, which must be of a version up to `newest`; answers the version too.
    pub(super) fn version(row: &'a [u8], newest: u8) -> Result<(u8, Self), Malformed> {
        let mut decoder = Self { rest: row };
        let version = decoder.byte()?;
        if version == 0 || version > newest {
            return Err(Malformed);
        }
        Ok((version, decoder))
    }

    pub(super) fn new(row: &'a [u8]) -> Self {
        Self { rest: row }
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.rest.split_first().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*first)
    }

    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    pub(super) fn small(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.number()?).map_err(|_| Malformed)
    }

    pub(super) fn length(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.number()?).map_err(|_| Malformed)
    }

    pub(super) fn signed(&mut self) -> Result<i64, Malformed> {
        let value = self.number()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, Malformed> {
        Ok(Timestamp(self.signed()?))
    }

    pub(super) fn position(&mut self) -> Result<Position, Malformed> {
        Ok(Position {
            revision: self.number()?,
            n: self.small()?,
        })
    }

    pub(super) fn id(&mut self) -> Result<Id, Malformed> {
        let (first, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(Id::from_bytes(*first))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.length()?;
        let (value, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(value)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    pub(super) fn string(&mut self) -> Result<String, Malformed> {
        self.text().map(str::to_owned)
    }

    pub(super) fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        match self.byte()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(Malformed),
        }
    }

    pub(super) fn many<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let length = self.length()?;
        // Every item has at least one byte, so a damaged length cannot reserve memory.
        if length > self.rest.len() {
            return Err(Malformed);
        }
        (0..length).map(|_| read(self)).collect()
    }

    /// What is left, for the last field of a row.
    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// The row must end here.
    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_value() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut encoder = Encoder::default();
            encoder.number(value);
            let bytes = encoder.finish();
            assert_eq!(Decoder::new(&bytes).number(), Ok(value));
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            let mut encoder = Encoder::default();
            encoder.signed(value);
            let bytes = encoder.finish();
            assert_eq!(Decoder::new(&bytes).signed(), Ok(value));
        }
    }

    #[test]
    fn damaged_rows_are_refused() {
        assert!(Decoder::version(&[], 1).is_err());
        assert!(Decoder::version(&[2], 1).is_err());
        assert_eq!(Decoder::new(&[0xff; 11]).number(), Err(Malformed));
        assert_eq!(Decoder::new(&[5, b'a']).bytes(), Err(Malformed));
        let many = Decoder::new(&[0xff, 0xff, 0x7f]).many(|d| d.byte());
        assert_eq!(many, Err(Malformed));
    }
}
