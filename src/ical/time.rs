//! Times: local, absolute, and as a property writes them (RFC 5545 §3.3.5).

use std::fmt;
use std::sync::Arc;

use super::date::{Date, digits, two_digits, write_ascii};

const DAY: i64 = 86_400;

/// A date and a time of day that belong to no zone, or to one named elsewhere. Ordered on its own
/// axis.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalTime {
    date: Date,
    second_of_day: u32,
}

/// An instant: seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// A DATE or DATE-TIME as a property writes it: a day, or one of the three forms of
/// RFC 5545 §3.3.5.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum When {
    /// A day.
    Date(Date),
    /// Local time without a zone: the same hour everywhere.
    Floating(LocalTime),
    /// An instant, written with `Z`.
    Utc(Timestamp),
    /// Local time in the zone of this TZID, spelled as the object spells it.
    Zoned(LocalTime, Arc<str>),
}

impl LocalTime {
    /// 0001-01-01T00:00:00.
    pub const MIN: LocalTime = LocalTime {
        date: Date::MIN,
        second_of_day: 0,
    };
    /// 9999-12-31T23:59:59.
    pub const MAX: LocalTime = LocalTime {
        date: Date::MAX,
        second_of_day: 86_399,
    };

    /// The time, if there is such an hour, minute and second. Second 60 becomes 59: "Implementations
    /// that do not support leap seconds SHOULD interpret the second 60 as equivalent to the second
    /// 59." RFC 5545 §3.3.12
    #[must_use]
    pub fn new(date: Date, hour: u8, minute: u8, second: u8) -> Option<LocalTime> {
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let second_of_day =
            u32::from(hour) * 3600 + u32::from(minute) * 60 + u32::from(second.min(59));
        Some(LocalTime {
            date,
            second_of_day,
        })
    }

    /// The day.
    #[must_use]
    pub const fn date(self) -> Date {
        self.date
    }

    /// The hour, 0 to 23.
    #[must_use]
    pub const fn hour(self) -> u8 {
        (self.second_of_day / 3600) as u8
    }

    /// The minute, 0 to 59.
    #[must_use]
    pub const fn minute(self) -> u8 {
        (self.second_of_day / 60 % 60) as u8
    }

    /// The second, 0 to 59.
    #[must_use]
    pub const fn second(self) -> u8 {
        (self.second_of_day % 60) as u8
    }

    /// Seconds since midnight, 0 to 86,399.
    #[must_use]
    pub const fn second_of_day(self) -> u32 {
        self.second_of_day
    }

    /// Seconds since 1970-01-01T00:00:00 on its own axis.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.date.days() * DAY + self.second_of_day as i64
    }

    /// The time of a number of seconds since 1970-01-01T00:00:00 on the local axis.
    #[must_use]
    pub fn from_seconds(seconds: i64) -> Option<LocalTime> {
        Some(LocalTime {
            date: Date::from_days(seconds.div_euclid(DAY))?,
            second_of_day: u32::try_from(seconds.rem_euclid(DAY)).ok()?,
        })
    }

    /// The time so many seconds later, or earlier, on its own axis.
    #[must_use]
    pub fn add_seconds(self, seconds: i64) -> Option<LocalTime> {
        LocalTime::from_seconds(self.seconds().checked_add(seconds)?)
    }

    /// The same time of day so many days later, or earlier.
    #[must_use]
    pub fn add_days(self, days: i64) -> Option<LocalTime> {
        Some(LocalTime {
            date: self.date.add_days(days)?,
            ..self
        })
    }

    /// The instant at which clocks in UTC show this time.
    #[must_use]
    pub const fn as_utc(self) -> Timestamp {
        Timestamp(self.seconds())
    }

    /// Reads `YYYYMMDDTHHMMSS`. RFC 5545 §3.3.5
    #[must_use]
    pub fn parse(text: &str) -> Option<LocalTime> {
        let (date, time) = text.split_at_checked(8)?;
        let time = match time.as_bytes() {
            [b'T' | b't', time @ ..] if time.len() == 6 => time,
            _ => return None,
        };
        let part = |range| u8::try_from(digits(time.get(range)?)?).ok();
        LocalTime::new(Date::parse(date)?, part(0..2)?, part(2..4)?, part(4..6)?)
    }
}

impl Date {
    /// The first second of the day.
    #[must_use]
    pub const fn midnight(self) -> LocalTime {
        LocalTime {
            date: self,
            second_of_day: 0,
        }
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.date, f)?;
        let [h, m, s] = [self.hour(), self.minute(), self.second()].map(two_digits);
        write_ascii(f, &[b'T', h[0], h[1], m[0], m[1], s[0], s[1]])
    }
}

impl fmt::Debug for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Timestamp {
    /// The beginning of the year 1.
    pub const MIN: Timestamp = LocalTime::MIN.as_utc();
    /// The last second of the year 9999.
    pub const MAX: Timestamp = LocalTime::MAX.as_utc();

    /// What clocks in UTC show, cut to the years 1 to 9999.
    #[must_use]
    pub fn utc(self) -> LocalTime {
        let seconds = self.0.clamp(Timestamp::MIN.0, Timestamp::MAX.0);
        LocalTime::from_seconds(seconds).unwrap_or(LocalTime::MIN)
    }

    /// The instant so many seconds later, or earlier.
    #[must_use]
    pub const fn add_seconds(self, seconds: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(seconds))
    }

    /// As RFC 3339 writes it, in UTC: `2026-11-20T08:00:00Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let local = self.utc();
        let date = local.date();
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            date.year(),
            date.month(),
            date.day(),
            local.hour(),
            local.minute(),
            local.second()
        )
    }

    /// Reads `YYYYMMDDTHHMMSSZ`. RFC 5545 §3.3.5
    #[must_use]
    pub fn parse(text: &str) -> Option<Timestamp> {
        let local = text.strip_suffix(['Z', 'z'])?;
        Some(LocalTime::parse(local)?.as_utc())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.utc(), f)?;
        f.write_str("Z")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl When {
    /// Reads a DATE or DATE-TIME: the shape of the text decides, not the VALUE parameter, because
    /// programs leave VALUE=DATE out and the shape is never in doubt.
    ///
    /// A `Z` wins over a TZID: "The "TZID" property parameter MUST NOT be applied to DATE
    /// properties and DATE-TIME or TIME properties whose time values are specified in UTC."
    /// RFC 5545 §3.2.19
    #[must_use]
    pub fn parse(text: &str, tzid: Option<&str>) -> Option<When> {
        match text.len() {
            8 => Some(When::Date(Date::parse(text)?)),
            16 => Some(When::Utc(Timestamp::parse(text)?)),
            _ => {
                let local = LocalTime::parse(text)?;
                Some(match tzid {
                    Some(tzid) => When::Zoned(local, tzid.into()),
                    None => When::Floating(local),
                })
            }
        }
    }

    /// Whether it is a whole day.
    #[must_use]
    pub const fn is_date(&self) -> bool {
        matches!(self, When::Date(_))
    }

    /// The day it names in its own zone.
    #[must_use]
    pub fn date(&self) -> Date {
        self.local().date()
    }

    /// What it shows in its own zone: midnight for a day, UTC for an instant.
    #[must_use]
    pub fn local(&self) -> LocalTime {
        match self {
            When::Date(date) => date.midnight(),
            When::Floating(local) | When::Zoned(local, _) => *local,
            When::Utc(instant) => instant.utc(),
        }
    }

    /// The TZID it was written with.
    #[must_use]
    pub fn tzid(&self) -> Option<&str> {
        match self {
            When::Zoned(_, tzid) => Some(tzid),
            When::Date(_) | When::Floating(_) | When::Utc(_) => None,
        }
    }

    /// The same form and zone with another local time: how an instance is written as its series is.
    #[must_use]
    pub fn with_local(&self, local: LocalTime) -> When {
        match self {
            When::Date(_) => When::Date(local.date()),
            When::Floating(_) => When::Floating(local),
            When::Utc(_) => When::Utc(local.as_utc()),
            When::Zoned(_, tzid) => When::Zoned(local, Arc::clone(tzid)),
        }
    }

    /// Whether both are days, floating, absolute, or in zones of one TZID.
    #[must_use]
    pub fn same_form(&self, other: &When) -> bool {
        match (self, other) {
            (When::Zoned(_, one), When::Zoned(_, two)) => one == two,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

/// The text of the value, without the parameters that go with it.
impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::Date(date) => fmt::Display::fmt(date, f),
            When::Floating(local) | When::Zoned(local, _) => fmt::Display::fmt(local, f),
            When::Utc(instant) => fmt::Display::fmt(instant, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Date, LocalTime, Timestamp, When};

    fn local(text: &str) -> LocalTime {
        LocalTime::parse(text).unwrap()
    }

    #[test]
    fn times_are_read_and_printed() {
        for (text, seconds) in [
            ("19700101T000000", 0),
            ("19691231T235959", -1),
            ("20261215T190000", 1_797_361_200),
            ("00010101T000000", -62_135_596_800),
            ("99991231T235959", 253_402_300_799),
        ] {
            let time = local(text);
            assert_eq!(time.seconds(), seconds);
            assert_eq!(LocalTime::from_seconds(seconds), Some(time));
            assert_eq!(time.to_string(), text);
            assert_eq!(
                Timestamp::parse(&format!("{text}Z")),
                Some(Timestamp(seconds))
            );
            assert_eq!(Timestamp(seconds).to_string(), format!("{text}Z"));
        }
        assert_eq!(local("20161231T235960"), local("20161231T235959"));
        for text in [
            "",
            "20260101",
            "20260101T",
            "20260101T24000",
            "20260101T240000",
            "20260101T006000",
            "20260101T000061",
            "20260101 000000",
            "2026010éT00000",
            "20260101T0000001",
            "20260101T-10000",
        ] {
            assert_eq!(LocalTime::parse(text), None, "{text}");
        }
        assert_eq!(Timestamp(i64::MAX).to_string(), "99991231T235959Z");
        assert_eq!(LocalTime::MAX.add_seconds(1), None);
        assert_eq!(LocalTime::MIN.add_seconds(i64::MIN), None);
    }

    #[test]
    fn the_shape_of_a_value_decides_its_form() {
        let vienna = Some("Europe/Vienna");
        let date = Date::parse("20260102").unwrap();
        let time = local("20260102T030405");
        for (text, tzid, expected) in [
            ("20260102", None, Some(When::Date(date))),
            ("20260102", vienna, Some(When::Date(date))),
            ("20260102T030405", None, Some(When::Floating(time))),
            (
                "20260102T030405",
                vienna,
                Some(When::Zoned(time, "Europe/Vienna".into())),
            ),
            ("20260102T030405Z", vienna, Some(When::Utc(time.as_utc()))),
            ("20260102T0304", None, None),
            ("20260102T030405+0100", None, None),
        ] {
            let when = When::parse(text, tzid);
            assert_eq!(when, expected, "{text}");
            if let Some(when) = when {
                assert_eq!(when.to_string(), text);
                assert_eq!(when.date(), date);
                assert_eq!(when.with_local(when.local()), when);
                assert!(when.same_form(&when));
            }
        }
    }
}
