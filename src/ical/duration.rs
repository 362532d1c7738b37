//! Durations (RFC 5545 §3.3.6): nominal weeks and days apart from exact seconds.

use std::fmt;

use super::date::digits;

/// A length of time: days that follow the local calendar, then seconds that are exact.
///
/// `P1D` over a change of the UTC offset ends at the same hour of the next day, `PT24H` does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Duration {
    days: i64,
    seconds: i64,
}

/// No part of a duration is larger: about thirty thousand years.
const MAX_SECONDS: i64 = 1_000_000_000_000;
const MAX_DAYS: i64 = 10_000_000;

impl Duration {
    /// `PT0S`.
    pub const ZERO: Duration = Duration {
        days: 0,
        seconds: 0,
    };

    /// The duration, if both parts have one sign and no part exceeds the years that exist.
    #[must_use]
    pub fn new(days: i64, seconds: i64) -> Option<Duration> {
        let mixed = (days < 0 && seconds > 0) || (days > 0 && seconds < 0);
        let large = days.unsigned_abs() > MAX_DAYS.unsigned_abs()
            || seconds.unsigned_abs() > MAX_SECONDS.unsigned_abs();
        (!mixed && !large).then_some(Duration { days, seconds })
    }

    /// An exact duration, cut to the largest there is.
    #[must_use]
    pub fn of_seconds(seconds: i64) -> Duration {
        Duration {
            days: 0,
            seconds: seconds.clamp(-MAX_SECONDS, MAX_SECONDS),
        }
    }

    /// A nominal duration, cut to the largest there is.
    #[must_use]
    pub fn of_days(days: i64) -> Duration {
        Duration {
            days: days.clamp(-MAX_DAYS, MAX_DAYS),
            seconds: 0,
        }
    }

    /// The nominal days, weeks counted as seven.
    #[must_use]
    pub const fn days(self) -> i64 {
        self.days
    }

    /// The exact part.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// Whether it goes back in time.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.days < 0 || self.seconds < 0
    }

    /// The length where a day has 86,400 seconds: in UTC and on a local axis.
    #[must_use]
    pub const fn nominal_seconds(self) -> i64 {
        self.days * 86_400 + self.seconds
    }

    /// The same length in the other direction.
    #[must_use]
    pub const fn negate(self) -> Duration {
        Duration {
            days: -self.days,
            seconds: -self.seconds,
        }
    }

    /// Reads a DURATION value. Parts may be left out and weeks may stand beside other parts
    /// (`P1W2D`), which the grammar forbids and programs write. RFC 5545 §3.3.6
    #[must_use]
    pub fn parse(text: &str) -> Option<Duration> {
        let (negative, rest) = match text.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let [b'P' | b'p', rest @ ..] = rest else {
            return None;
        };
        let mut parts = Parts::default();
        parts.read(rest)?;
        let duration = Duration::new(parts.days, parts.seconds)?;
        Some(if negative {
            duration.negate()
        } else {
            duration
        })
    }
}

/// What has been read of a duration.
#[derive(Default)]
struct Parts {
    days: i64,
    seconds: i64,
    /// The place of the last unit in `W D T H M S`: units come in this order, each once.
    last: usize,
}

impl Parts {
    fn read(&mut self, mut rest: &[u8]) -> Option<()> {
        let mut any = false;
        while let [first, after @ ..] = rest {
            if first.eq_ignore_ascii_case(&b'T') {
                self.advance(3)?;
                rest = after;
                continue;
            }
            let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (number, tail) = rest.split_at_checked(length)?;
            let [unit, after @ ..] = tail else {
                return None;
            };
            self.add(digits(number)?, unit.to_ascii_uppercase())?;
            any = true;
            rest = after;
        }
        any.then_some(())
    }

    fn add(&mut self, number: i64, unit: u8) -> Option<()> {
        let (place, size) = match unit {
            b'W' => (1, 7),
            b'D' => (2, 1),
            b'H' => (4, 3600),
            b'M' => (5, 60),
            b'S' => (6, 1),
            _ => return None,
        };
        // Hours, minutes and seconds stand after the T.
        if place > 3 && self.last < 3 {
            return None;
        }
        self.advance(place)?;
        let total = if place < 3 {
            &mut self.days
        } else {
            &mut self.seconds
        };
        *total = total.checked_add(number.checked_mul(size)?)?;
        Some(())
    }

    fn advance(&mut self, place: usize) -> Option<()> {
        if place <= self.last {
            return None;
        }
        self.last = place;
        Some(())
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_negative() {
            f.write_str("-")?;
        }
        let (days, seconds) = (self.days.abs(), self.seconds.abs());
        if seconds == 0 && days > 0 && days % 7 == 0 {
            return write!(f, "P{}W", days / 7);
        }
        f.write_str("P")?;
        if days > 0 {
            write!(f, "{days}D")?;
        }
        if seconds == 0 && days > 0 {
            return Ok(());
        }
        let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        f.write_str("T")?;
        if hours > 0 {
            write!(f, "{hours}H")?;
        }
        // The grammar allows no seconds right after hours.
        if minutes > 0 || (hours > 0 && rest > 0) {
            write!(f, "{minutes}M")?;
        }
        if rest > 0 || seconds == 0 {
            write!(f, "{rest}S")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Duration;

    #[test]
    fn durations_are_read_and_printed() {
        for (text, days, seconds, printed) in [
            ("P15DT5H0M20S", 15, 18_020, "P15DT5H0M20S"),
            ("P7W", 49, 0, "P7W"),
            ("-PT15M", 0, -900, "-PT15M"),
            ("+PT1H", 0, 3600, "PT1H"),
            ("PT0S", 0, 0, "PT0S"),
            ("-PT0S", 0, 0, "PT0S"),
            ("P0D", 0, 0, "PT0S"),
            ("-P1DT2H", -1, -7200, "-P1DT2H"),
            ("PT90M", 0, 5400, "PT1H30M"),
            ("P1W2D", 9, 0, "P9D"),
            ("P1DT", 1, 0, "P1D"),
            ("pt1h10s", 0, 3610, "PT1H0M10S"),
        ] {
            let duration = Duration::parse(text).unwrap();
            assert_eq!((duration.days(), duration.seconds()), (days, seconds));
            assert_eq!(duration.to_string(), printed);
        }
        for text in [
            "",
            "P",
            "PT",
            "-P",
            "15M",
            "P15",
            "P1H",
            "PT1D",
            "PT1M1H",
            "P1D1D",
            "PTT1H",
            "P-1D",
            "P1.5D",
            "P99999999999999999W",
            "PT1H ",
        ] {
            assert_eq!(Duration::parse(text), None, "{text}");
        }
        assert_eq!(Duration::new(1, -1), None);
    }
}
