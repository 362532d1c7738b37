//! The months of the year in which an object can have instances: what lets an index pass over
//! birthdays and other yearly series in eleven months of twelve.
//!
//! The months are those of UTC: every instance is taken a day longer at both ends, so that no zone
//! can move it out of them. **Gaps**: rules of other calendars than the Gregorian, or with SKIP, may
//! come in any month.

use crate::ical::{LocalTime, days_in_month};

use super::range::DAY;
use super::rule::{Freq, Rule, Scale, Skip};

/// A set of months of the year; every month where nothing better is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Season(pub(super) u16);

impl Season {
    /// Every month.
    pub const ALL: Season = Season(0xfff);
    /// No month.
    pub const NONE: Season = Season(0);

    /// Whether one of so many months, from that one on, is in it; January is 0.
    #[must_use]
    pub fn meets(self, first: i32, count: i32) -> bool {
        count >= 12 || (0..count.max(0)).any(|month| self.has(first + month))
    }

    fn has(self, month: i32) -> bool {
        self.0 >> month.rem_euclid(12) & 1 == 1
    }

    fn add(&mut self, month: i32) {
        self.0 |= 1 << month.rem_euclid(12);
    }

    /// Both together.
    #[must_use]
    pub fn with(self, other: Season) -> Season {
        Season(self.0 | other.0)
    }

    /// The months of a span, and a day around it.
    pub(super) fn of_span(start: LocalTime, end: LocalTime) -> Season {
        let first = start.add_days(-1).unwrap_or(start).date();
        let last = end.add_days(1).unwrap_or(end).date();
        let month = |date: crate::ical::Date| date.year() * 12 + i32::from(date.month()) - 1;
        let mut season = Season::NONE;
        for month in (month(first)..=month(last)).take(12) {
            season.add(month);
        }
        season
    }

    /// The months of a series of that rule and start whose instances take no longer than that.
    pub(super) fn of_rule(rule: &Rule, start: LocalTime, longest: i64) -> Season {
        if matches!(rule.scale, Some(Scale::Other(_))) || rule.skip != Skip::Omit {
            return Season::ALL;
        }
        let days = longest / DAY + 2;
        let mut season = Season::of_span(start, start.add_seconds(longest).unwrap_or(start));
        for month in months_of(rule, start) {
            let (first, last) = days_of(rule, start, month);
            let length = i64::from(days_in_month(2001, month.clamp(1, 12)));
            let month = i32::from(month) - 1;
            season.add(month);
            if first <= 1 {
                season.add(month - 1);
            }
            // How many months after this one the last instance can reach into.
            let reach = (last + days - length + 27) / 28;
            for after in 1..=reach.clamp(0, 12) {
                season.add(month + i32::try_from(after).unwrap_or(12));
            }
        }
        season
    }
}

/// The months a rule begins instances in, 1 to 12.
fn months_of(rule: &Rule, start: LocalTime) -> Vec<u8> {
    if !rule.months.is_empty() && rule.weeks.is_empty() {
        return rule.months.iter().map(|month| month.number).collect();
    }
    let own = start.date().month();
    let yearly = rule.freq == Freq::Yearly
        && rule.weeks.is_empty()
        && rule.year_days.is_empty()
        && rule.month_days.is_empty()
        && rule.days.is_empty();
    if yearly {
        return vec![own];
    }
    let step = match rule.freq {
        Freq::Monthly => common(rule.interval, 12),
        _ => 1,
    };
    (1..=12)
        .filter(|month| (u32::from(own) + 12 - u32::from(*month)).is_multiple_of(step))
        .collect()
}

/// The first and the last day of a month a rule can begin an instance on.
fn days_of(rule: &Rule, start: LocalTime, month: u8) -> (i64, i64) {
    let long = rule.freq >= Freq::Monthly;
    let by_days = !rule.days.is_empty() || !rule.weeks.is_empty() || !rule.year_days.is_empty();
    let last = i64::from(days_in_month(2000, month));
    if long && rule.month_days.is_empty() && !by_days {
        let day = i64::from(start.date().day());
        return (day, day);
    }
    if rule.month_days.is_empty() || rule.month_days.iter().any(|day| *day < 0) {
        return (1, last);
    }
    let first = rule.month_days.first().copied().unwrap_or(1);
    let final_day = rule.month_days.last().copied().unwrap_or(31);
    (i64::from(first), i64::from(final_day).min(last))
}

fn common(one: u32, two: u32) -> u32 {
    if two == 0 {
        one
    } else {
        common(two, one % two)
    }
}

#[cfg(test)]
mod tests {
    use super::Season;
    use crate::ical::LocalTime;
    use crate::recur::Rule;

    #[test]
    fn yearly_rules_have_their_months() {
        for (rule, start, days, months) in [
            ("FREQ=YEARLY", "20000315T000000", 1, vec![3]),
            ("FREQ=YEARLY", "20000301T000000", 1, vec![2, 3]),
            ("FREQ=YEARLY", "20000228T120000", 0, vec![2, 3]),
            ("FREQ=YEARLY", "20001230T000000", 1, vec![1, 12]),
            ("FREQ=YEARLY", "20000110T000000", 40, vec![1, 2]),
            ("FREQ=YEARLY", "20000110T000000", 60, vec![1, 2, 3]),
            ("FREQ=MONTHLY;INTERVAL=6", "20000310T000000", 1, vec![3, 9]),
            (
                "FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=-1",
                "20000331T000000",
                0,
                vec![2, 3, 4],
            ),
            (
                "FREQ=YEARLY;BYMONTH=5;BYDAY=2SU",
                "20000514T000000",
                1,
                vec![4, 5, 6],
            ),
            (
                "FREQ=YEARLY;BYMONTH=5,6;BYMONTHDAY=10,12",
                "20000510T000000",
                1,
                vec![5, 6],
            ),
            ("FREQ=DAILY;BYMONTH=1", "20000110T000000", 0, vec![1, 2, 12]),
        ] {
            let (rule, _) = Rule::parse(rule).unwrap();
            let start = LocalTime::parse(start).unwrap();
            let season = Season::of_rule(&rule, start, days * 86_400);
            let found: Vec<i32> = (1..=12)
                .filter(|month| season.meets(month - 1, 1))
                .collect();
            assert_eq!(found, months, "{rule} {start}");
        }
        for rule in [
            "FREQ=YEARLY;BYWEEKNO=1",
            "FREQ=WEEKLY",
            "RSCALE=HEBREW;FREQ=YEARLY",
        ] {
            let (rule, _) = Rule::parse(rule).unwrap();
            let start = LocalTime::parse("20000315T000000").unwrap();
            assert_eq!(Season::of_rule(&rule, start, 0), Season::ALL, "{rule}");
        }
    }
}
