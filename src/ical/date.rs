//! Days of the proleptic Gregorian calendar, years 1 to 9999 (RFC 5545 §3.3.4).
//!
//! The day number counts from 1970-01-01, which is day 0.

use std::fmt;

/// A calendar date. Ordered by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: i16,
    month: u8,
    day: u8,
}

/// A day of the week; a week of RFC 5545 begins with Monday unless WKST says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Weekday {
    /// MO
    Monday,
    /// TU
    Tuesday,
    /// WE
    Wednesday,
    /// TH
    Thursday,
    /// FR
    Friday,
    /// SA
    Saturday,
    /// SU
    Sunday,
}

/// Whether the year has a 29th of February.
#[must_use]
pub const fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// The number of days of the year: 365 or 366.
#[must_use]
pub const fn days_in_year(year: i32) -> u16 {
    if is_leap(year) { 366 } else { 365 }
}

/// The number of days of the month, or 0 when there is no month of that number.
#[must_use]
pub const fn days_in_month(year: i32, month: u8) -> u8 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 0,
    }
}

impl Date {
    /// 0001-01-01.
    pub const MIN: Date = Date {
        year: 1,
        month: 1,
        day: 1,
    };
    /// 9999-12-31.
    pub const MAX: Date = Date {
        year: 9999,
        month: 12,
        day: 31,
    };
    /// 1970-01-01.
    pub const EPOCH: Date = Date {
        year: 1970,
        month: 1,
        day: 1,
    };

    /// The date, if there is such a day.
    #[must_use]
    pub fn new(year: i32, month: u8, day: u8) -> Option<Date> {
        if !(1..=9999).contains(&year) || day == 0 || day > days_in_month(year, month) {
            return None;
        }
        let year = i16::try_from(year).ok()?;
        Some(Date { year, month, day })
    }

    /// The year, 1 to 9999.
    #[must_use]
    pub const fn year(self) -> i32 {
        self.year as i32
    }

    /// The month, 1 to 12.
    #[must_use]
    pub const fn month(self) -> u8 {
        self.month
    }

    /// The day of the month, 1 to 31.
    #[must_use]
    pub const fn day(self) -> u8 {
        self.day
    }

    /// The day number: days since 1970-01-01.
    #[must_use]
    pub const fn days(self) -> i64 {
        // Years begin in March here, so that the leap day is the last of its year.
        let before_march = self.month <= 2;
        let year = self.year as i64 - before_march as i64;
        let month = (self.month as i64 + 9) % 12;
        let day_of_year = (153 * month + 2) / 5 + self.day as i64 - 1;
        year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
    }

    /// The date of a day number.
    #[must_use]
    pub fn from_days(days: i64) -> Option<Date> {
        if !(Date::MIN.days()..=Date::MAX.days()).contains(&days) {
            return None;
        }
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        Some(Date {
            year: i16::try_from(year).ok()?,
            month: u8::try_from(month).ok()?,
            day: u8::try_from(day).ok()?,
        })
    }

    /// The day of the week.
    #[must_use]
    pub fn weekday(self) -> Weekday {
        Weekday::from_number(self.days() + 3)
    }

    /// The day of the year, 1 to 366.
    #[must_use]
    pub fn ordinal(self) -> u16 {
        let before: u16 = (1..self.month)
            .map(|month| u16::from(days_in_month(self.year(), month)))
            .sum();
        before + u16::from(self.day)
    }

    /// The date of a day of the year, 1 to 366.
    #[must_use]
    pub fn from_ordinal(year: i32, ordinal: u16) -> Option<Date> {
        if ordinal == 0 || ordinal > days_in_year(year) {
            return None;
        }
        Date::from_days(Date::new(year, 1, 1)?.days() + i64::from(ordinal) - 1)
    }

    /// The date so many days later, or earlier.
    #[must_use]
    pub fn add_days(self, days: i64) -> Option<Date> {
        Date::from_days(self.days().checked_add(days)?)
    }

    /// The same day of the month so many months later, or earlier; none where that month has no
    /// such day.
    #[must_use]
    pub fn add_months(self, months: i64) -> Option<Date> {
        let total = (i64::from(self.year) * 12 + i64::from(self.month) - 1).checked_add(months)?;
        let year = i32::try_from(total.div_euclid(12)).ok()?;
        let month = u8::try_from(total.rem_euclid(12) + 1).ok()?;
        Date::new(year, month, self.day)
    }

    /// Reads `YYYYMMDD`. RFC 5545 §3.3.4
    #[must_use]
    pub fn parse(text: &str) -> Option<Date> {
        let text = text.as_bytes();
        if text.len() != 8 {
            return None;
        }
        let year = i32::try_from(digits(text.get(..4)?)?).ok()?;
        let month = u8::try_from(digits(text.get(4..6)?)?).ok()?;
        let day = u8::try_from(digits(text.get(6..)?)?).ok()?;
        Date::new(year, month, day)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [century, year] = [self.year / 100, self.year % 100]
            .map(|half| two_digits(u8::try_from(half).unwrap_or_default()));
        let [m, d] = [self.month, self.day].map(two_digits);
        let text = [
            century[0], century[1], year[0], year[1], m[0], m[1], d[0], d[1],
        ];
        write_ascii(f, &text)
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Weekday {
    /// All seven, Monday first.
    pub const ALL: [Weekday; 7] = [
        Weekday::Monday,
        Weekday::Tuesday,
        Weekday::Wednesday,
        Weekday::Thursday,
        Weekday::Friday,
        Weekday::Saturday,
        Weekday::Sunday,
    ];

    /// Monday is 0, Sunday is 6.
    #[must_use]
    pub const fn number(self) -> i64 {
        self as i64
    }

    /// The weekday of a number counted from Monday = 0, modulo 7.
    #[must_use]
    pub const fn from_number(number: i64) -> Weekday {
        match number.rem_euclid(7) {
            0 => Weekday::Monday,
            1 => Weekday::Tuesday,
            2 => Weekday::Wednesday,
            3 => Weekday::Thursday,
            4 => Weekday::Friday,
            5 => Weekday::Saturday,
            _ => Weekday::Sunday,
        }
    }

    /// The two letters of RFC 5545 §3.3.10.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Weekday::Monday => "MO",
            Weekday::Tuesday => "TU",
            Weekday::Wednesday => "WE",
            Weekday::Thursday => "TH",
            Weekday::Friday => "FR",
            Weekday::Saturday => "SA",
            Weekday::Sunday => "SU",
        }
    }

    /// Reads the two letters of RFC 5545 §3.3.10 in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Weekday> {
        let found = |day: &Weekday| day.code().eq_ignore_ascii_case(text);
        Weekday::ALL.into_iter().find(found)
    }
}

impl fmt::Display for Weekday {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A number below 100 in ASCII. Formatting macros cost several times as much, and a large answer has many times in it.
pub(super) fn two_digits(number: u8) -> [u8; 2] {
    [b'0' + number / 10 % 10, b'0' + number % 10]
}

pub(super) fn write_ascii(f: &mut fmt::Formatter<'_>, text: &[u8]) -> fmt::Result {
    f.write_str(std::str::from_utf8(text).unwrap_or_default())
}

/// The number written by one to eighteen ASCII digits.
pub(crate) fn digits(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    let mut number = 0;
    for byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number * 10 + i64::from(byte - b'0');
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::{Date, Weekday, days_in_month, days_in_year};

    #[test]
    fn every_day_of_ten_thousand_years_has_its_number() {
        let mut days = Date::MIN.days();
        assert_eq!(days, -719_162);
        for year in 1..=9999 {
            let mut ordinal = 0;
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month) {
                    let date = Date::new(year, month, day).unwrap();
                    ordinal += 1;
                    assert_eq!(date.days(), days);
                    assert_eq!(Date::from_days(days), Some(date));
                    days += 1;
                }
            }
            assert_eq!(ordinal, days_in_year(year));
        }
        assert_eq!(Date::from_days(days), None);
        assert_eq!(Date::from_days(Date::MIN.days() - 1), None);
        assert_eq!(Date::from_days(i64::MIN), None);
    }

    #[test]
    fn dates_are_read_and_printed() {
        for (text, weekday, ordinal) in [
            ("19700101", Weekday::Thursday, 1),
            ("20000229", Weekday::Tuesday, 60),
            ("20261231", Weekday::Thursday, 365),
            ("00010101", Weekday::Monday, 1),
        ] {
            let date = Date::parse(text).unwrap();
            assert_eq!(date.to_string(), text);
            assert_eq!(date.weekday(), weekday);
            assert_eq!(date.ordinal(), ordinal);
            assert_eq!(Date::from_ordinal(date.year(), ordinal), Some(date));
        }
        for text in [
            "",
            "2026010",
            "202601011",
            "20260229",
            "20261301",
            "20260100",
            "00000101",
            "+0260101",
            "2026٠101",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
    }

    #[test]
    fn months_without_that_day_have_no_date() {
        let date = Date::parse("20260131").unwrap();
        assert_eq!(date.add_months(1), None);
        assert_eq!(date.add_months(-1), Date::parse("20251231"));
        assert_eq!(date.add_months(26), Date::parse("20280331"));
        assert_eq!(date.add_months(i64::MAX), None);
        assert_eq!(date.add_days(i64::MAX), None);
        assert_eq!(date.add_days(29), Date::parse("20260301"));
    }
}
