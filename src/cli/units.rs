//! Spans of time and sizes as people write them in server.toml and on the
//! command line: a number and a unit, `30 s`, `5 min`, `30 days`, `10 MB`.
//!
//! A bare number is refused: its unit would be a guess.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A span of time in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub u64);

impl Seconds {
    /// The span as the standard library's type.
    pub fn duration(self) -> std::time::Duration {
        std::time::Duration::from_secs(self.0)
    }

    /// The span as a signed number, for arithmetic on instants.
    pub fn signed(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Bytes {
    /// The size as a length in memory.
    pub fn length(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

const TIMES: &[(&str, u64)] = &[
    ("s", 1),
    ("sec", 1),
    ("second", 1),
    ("seconds", 1),
    ("min", 60),
    ("minute", 60),
    ("minutes", 60),
    ("h", 3600),
    ("hour", 3600),
    ("hours", 3600),
    ("d", 86_400),
    ("day", 86_400),
    ("days", 86_400),
    ("w", 604_800),
    ("week", 604_800),
    ("weeks", 604_800),
];

const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

const TIME_HINT: &str = "a number and a unit, such as \"30 s\", \"5 min\", \"2 h\" or \"30 days\"";
const SIZE_HINT: &str = "a number and a unit, such as \"64 KiB\", \"10 MB\" or \"2 GB\"";

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let factor = units.iter().find(|(name, _)| *name == unit.trim())?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

impl FromStr for Seconds {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Seconds, &'static str> {
        scaled(text, TIMES).map(Seconds).ok_or(TIME_HINT)
    }
}

impl FromStr for Bytes {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Bytes, &'static str> {
        scaled(text, SIZES).map(Bytes).ok_or(SIZE_HINT)
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = [("days", 86_400), ("h", 3600), ("min", 60)]
            .into_iter()
            .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor))
            .unwrap_or(("s", 1));
        write!(f, "{} {unit}", self.0 / factor)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = [
            ("GiB", 1 << 30),
            ("GB", 1_000_000_000),
            ("MiB", 1 << 20),
            ("MB", 1_000_000),
            ("KiB", 1 << 10),
            ("kB", 1_000),
        ]
        .into_iter()
        .find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor))
        .unwrap_or(("B", 1));
        write!(f, "{} {unit}", self.0 / factor)
    }
}

struct Text(&'static str);

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

fn read<'de, D, T>(deserializer: D, hint: &'static str) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = &'static str>,
{
    let text = deserializer.deserialize_str(Text(hint))?;
    text.parse()
        .map_err(|hint| de::Error::custom(format!("\"{text}\" is not {hint}")))
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Seconds, D::Error> {
        read(deserializer, TIME_HINT)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        read(deserializer, SIZE_HINT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit_is_read_and_written() {
        for (text, seconds, shown) in [
            ("30 s", 30, "30 s"),
            ("90s", 90, "90 s"),
            (" 5 min ", 300, "5 min"),
            ("48 h", 172_800, "2 days"),
            ("30 days", 2_592_000, "30 days"),
            ("0 s", 0, "0 s"),
        ] {
            assert_eq!(text.parse(), Ok(Seconds(seconds)), "{text}");
            assert_eq!(Seconds(seconds).to_string(), shown);
        }
        for (text, size, shown) in [
            ("10 MB", 10_000_000, "10 MB"),
            ("64KiB", 65_536, "64 KiB"),
            ("3 B", 3, "3 B"),
            ("2 GiB", 2 << 30, "2 GiB"),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(size)), "{text}");
            assert_eq!(Bytes(size).to_string(), shown);
        }
    }

    #[test]
    fn a_bare_number_or_an_unknown_unit_is_refused() {
        for text in [
            "30",
            "",
            "s",
            "-3 s",
            "3 fortnights",
            "1.5 h",
            "99999999999999999999 s",
            "300000000000000000 weeks",
        ] {
            assert_eq!(text.parse::<Seconds>(), Err(TIME_HINT), "{text}");
        }
        for text in ["10", "10 mb", "MB", "10 s"] {
            assert_eq!(text.parse::<Bytes>(), Err(SIZE_HINT), "{text}");
        }
    }
}
