//! Years, months and weeks of the calendars a rule may count in (RFC 7529 §4.2).
//!
//! Days are day numbers: 1970-01-01 is 0. The Gregorian calendar is our own arithmetic, the others
//! are `icu_calendar`'s.
//!
//! **Gaps**: other calendars end with their own year 9999, the Hebrew one in 6239.

use icu_calendar::types::{Month as IcuMonth, RataDie};
use icu_calendar::{AnyCalendar, Date as IcuDate};

use crate::ical::{Date, days_in_month, days_in_year};

use super::rule::{ByMonth, Scale};

/// What `icu_calendar` calls 1970-01-01.
const RATA_DIE_EPOCH: i64 = 719_163;

/// Most months any year has.
const MOST_MONTHS: usize = 14;

/// One year of a calendar with its months.
#[derive(Clone, Copy, Debug)]
pub(super) struct Year {
    /// The number of the year; another era of the same calendar would do as well.
    pub(super) number: i32,
    /// Its first day.
    pub(super) start: i64,
    /// The number of its days.
    pub(super) days: i64,
    count: usize,
    months: [Month; MOST_MONTHS],
}

/// One month of a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Month {
    /// What BYMONTH calls it.
    pub(super) name: ByMonth,
    /// Its first day.
    pub(super) start: i64,
    /// The number of its days.
    pub(super) days: i64,
}

const NO_MONTH: Month = Month {
    name: ByMonth {
        number: 0,
        leap: false,
    },
    start: 0,
    days: 0,
};

impl Year {
    /// The year of that number, if it lies where dates can be written.
    pub(super) fn new(scale: Scale, number: i32) -> Option<Year> {
        match scale.calendar() {
            None => Year::gregorian(number),
            Some(calendar) => {
                let month = IcuMonth::new(1);
                let first = IcuDate::try_new(number.into(), month, 1, calendar).ok()?;
                Year::other(&first)
            }
        }
    }

    /// The year a day lies in.
    pub(super) fn containing(scale: Scale, day: i64) -> Option<Year> {
        let date = Date::from_days(day)?;
        match scale.calendar() {
            None => Year::gregorian(date.year()),
            Some(calendar) => {
                let date = IcuDate::from_rata_die(RataDie::new(day + RATA_DIE_EPOCH), calendar);
                let before = i64::from(date.day_of_year().0) - 1;
                let first = RataDie::new(day - before + RATA_DIE_EPOCH);
                Year::other(&IcuDate::from_rata_die(first, scale.calendar()?))
            }
        }
    }

    fn gregorian(number: i32) -> Option<Year> {
        let first = Date::new(number, 1, 1)?.days();
        let mut months = [NO_MONTH; MOST_MONTHS];
        let mut start = first;
        for (month, number_of) in months.iter_mut().zip(1u8..=12) {
            let days = i64::from(days_in_month(number, number_of));
            *month = Month {
                name: ByMonth {
                    number: number_of,
                    leap: false,
                },
                start,
                days,
            };
            start += days;
        }
        Some(Year {
            number,
            start: first,
            days: i64::from(days_in_year(number)),
            count: 12,
            months,
        })
    }

    fn other(first: &IcuDate<AnyCalendar>) -> Option<Year> {
        let start = first.to_rata_die().to_i64_date() - RATA_DIE_EPOCH;
        let days = i64::from(first.days_in_year());
        // The first and the last year are only partly where dates can be written.
        Date::from_days(start).or_else(|| Date::from_days(start + days - 1))?;
        let mut months = [NO_MONTH; MOST_MONTHS];
        let mut count = 0;
        let mut at = start;
        for month in &mut months {
            if at >= start + days {
                break;
            }
            let rata_die = RataDie::new(at + RATA_DIE_EPOCH);
            let date = IcuDate::from_rata_die(rata_die, first.calendar().clone());
            let name = date.month().to_input();
            *month = Month {
                name: ByMonth {
                    number: name.number(),
                    leap: name.is_leap(),
                },
                start: at,
                days: i64::from(date.days_in_month()),
            };
            at += month.days.max(1);
            count += 1;
        }
        Some(Year {
            number: first.year().extended_year(),
            start,
            days,
            count,
            months,
        })
    }

    /// Its months in order.
    pub(super) fn months(&self) -> &[Month] {
        self.months.get(..self.count).unwrap_or(&[])
    }

    /// The first day after it.
    pub(super) fn end(&self) -> i64 {
        self.start + self.days
    }

    /// Whether the day lies in it.
    pub(super) fn contains(&self, day: i64) -> bool {
        (self.start..self.end()).contains(&day)
    }

    /// The position among its months of the month a day lies in.
    pub(super) fn month_index(&self, day: i64) -> Option<usize> {
        let found = self.months().iter().rposition(|month| month.start <= day);
        found.filter(|_| self.contains(day))
    }

    /// The first day of its week number one: "the first week that contains at least four (4) days
    /// in that calendar year". RFC 5545 §3.3.10
    pub(super) fn first_week(&self, week_start: i64) -> i64 {
        week_of(self.start + 3, week_start)
    }
}

impl Month {
    /// The first day after it.
    pub(super) fn end(&self) -> i64 {
        self.start + self.days
    }
}

/// The day of the week of a day: Monday is 0.
pub(super) fn weekday(day: i64) -> i64 {
    // 1970-01-01 was a Thursday.
    (day + 3).rem_euclid(7)
}

/// The first day of the week a day lies in, when weeks begin with that day of the week.
pub(super) fn week_of(day: i64, week_start: i64) -> i64 {
    day - (weekday(day) - week_start).rem_euclid(7)
}
