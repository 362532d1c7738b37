//! Which days of a year, a month or a week a rule names, and whether it lets a day pass
//! (RFC 5545 §3.3.10, the table of BYxxx parts; RFC 7529 §4.1).
//!
//! The weeks of BYWEEKNO belong to the year that numbers them: week 53 of 2020 ends on
//! 3 January 2021 and is a week of the 2020 interval. Where BYWEEKNO stands without BYDAY the day of
//! the week comes from DTSTART, as "if the [...] BYDAY [...] rule part were missing, the
//! appropriate [...] day [...] would have been retrieved from the "DTSTART" property".

use icu_calendar::AnyCalendarKind;

use super::rule::{ByDay, ByMonth, Freq, Rule, Scale, Skip};
use super::year::{Month, Year, week_of, weekday};

/// The parts of a rule that choose days, with what DTSTART fills in.
#[derive(Clone, Debug)]
pub(super) struct DayRule {
    pub(super) scale: Scale,
    pub(super) week_start: i64,
    skip: Skip,
    months: Vec<ByMonth>,
    weeks: Vec<i16>,
    year_days: Vec<i16>,
    month_days: Vec<i16>,
    days: Vec<ByDay>,
    /// BYDAY numbers count within the month, not within the year.
    by_month: bool,
    start_weekday: ByDay,
    start_month: ByMonth,
    start_month_day: i16,
}

/// The year last asked for: building a year costs more than looking into it.
#[derive(Clone, Debug)]
pub(super) struct Years {
    scale: Scale,
    last: Option<Year>,
}

impl Years {
    pub(super) fn new(scale: Scale) -> Years {
        Years { scale, last: None }
    }

    /// The year a day lies in.
    pub(super) fn containing(&mut self, day: i64) -> Option<&Year> {
        if self.last.as_ref().is_none_or(|year| !year.contains(day)) {
            self.last = Year::containing(self.scale, day);
        }
        self.last.as_ref()
    }

    /// The year of a number.
    pub(super) fn numbered(&mut self, number: i32) -> Option<&Year> {
        if self.last.as_ref().is_none_or(|year| year.number != number) {
            self.last = Year::new(self.scale, number);
        }
        self.last.as_ref()
    }
}

impl DayRule {
    /// The days a rule chooses when its series begins on that day.
    pub(super) fn new(rule: &Rule, start: i64) -> DayRule {
        let scale = rule.scale.unwrap_or(Scale::Gregorian);
        let first = ByMonth {
            number: 1,
            leap: false,
        };
        let year = Year::containing(scale, start);
        let month = year
            .as_ref()
            .and_then(|year| year.months().get(year.month_index(start)?).copied());
        let month_day = month.map_or(1, |month| start - month.start + 1);
        DayRule {
            scale,
            week_start: rule.week_start.number(),
            skip: rule.skip,
            months: rule.months.clone(),
            weeks: rule.weeks.clone(),
            year_days: rule.year_days.clone(),
            month_days: rule.month_days.clone(),
            days: rule.days.clone(),
            by_month: rule.freq == Freq::Monthly || !rule.months.is_empty(),
            start_weekday: ByDay {
                ordinal: 0,
                weekday: crate::ical::Weekday::from_number(weekday(start)),
            },
            start_month: month.map_or(first, |month| month.name),
            start_month_day: i16::try_from(month_day).unwrap_or(1),
        }
    }

    /// The number of months of every year, where all years have the same.
    pub(super) fn months_per_year(&self) -> Option<usize> {
        match self.scale {
            Scale::Other(
                AnyCalendarKind::Chinese | AnyCalendarKind::Dangi | AnyCalendarKind::Hebrew,
            ) => None,
            Scale::Other(
                AnyCalendarKind::Coptic
                | AnyCalendarKind::Ethiopian
                | AnyCalendarKind::EthiopianAmeteAlem,
            ) => Some(13),
            Scale::Gregorian | Scale::Other(_) => Some(12),
        }
    }

    /// Whether every day passes.
    pub(super) fn is_free(&self) -> bool {
        self.months.is_empty() && self.days.is_empty() && !self.has_numbered_days()
    }

    /// Whether nothing but days of the week limits it.
    pub(super) fn has_weekdays_only(&self) -> bool {
        self.months.is_empty() && !self.has_numbered_days()
    }

    fn has_numbered_days(&self) -> bool {
        !self.weeks.is_empty() || !self.year_days.is_empty() || !self.month_days.is_empty()
    }

    /// The days of one year, sorted: FREQ=YEARLY.
    pub(super) fn of_year(&self, year: &Year, years: &mut Years, out: &mut Vec<i64>) {
        let span = (year.start, year.end());
        if !self.year_days.is_empty() {
            out.extend(self.year_days.iter().filter_map(|n| self.pick(span, 1, *n)));
            out.retain(|day| {
                self.month_passes(*day, years)
                    && self.week_passes(*day, years)
                    && self.month_day_passes(*day, years)
                    && self.weekday_passes(*day, years)
            });
        } else if !self.weeks.is_empty() {
            self.of_weeks(year, out);
            out.retain(|day| self.month_passes(*day, years) && self.month_day_passes(*day, years));
        } else if self.days.is_empty() || !self.month_days.is_empty() {
            self.of_months(year, out);
            out.retain(|day| self.weekday_passes(*day, years));
        } else if self.months.is_empty() {
            self.weekdays_between(span, out);
        } else {
            for month in self.wanted_months(year, &self.months) {
                self.weekdays_between((month.start, month.end()), out);
            }
        }
        out.sort_unstable();
        out.dedup();
    }

    fn of_weeks(&self, year: &Year, out: &mut Vec<i64>) {
        let next = week_of(year.end() + 3, self.week_start);
        let span = (year.first_week(self.week_start), next);
        let any_weekday = self.days.is_empty() && !self.month_days.is_empty();
        for number in &self.weeks {
            let Some(week) = self.pick(span, 7, *number) else {
                continue;
            };
            if any_weekday {
                out.extend(week..week + 7);
            } else {
                out.extend((week..week + 7).filter(|day| self.is_weekday(*day)));
            }
        }
    }

    fn of_months(&self, year: &Year, out: &mut Vec<i64>) {
        let start_month = [self.start_month];
        let start_day = [self.start_month_day];
        let months = match (self.months.is_empty(), self.month_days.is_empty()) {
            (true, true) => self.wanted_months(year, &start_month),
            (true, false) => year.months().to_vec(),
            (false, _) => self.wanted_months(year, &self.months),
        };
        let days = if self.month_days.is_empty() {
            &start_day[..]
        } else {
            &self.month_days[..]
        };
        for month in months {
            let span = (month.start, month.end());
            out.extend(days.iter().filter_map(|n| self.pick(span, 1, *n)));
        }
    }

    /// The days of one month of a year, sorted: FREQ=MONTHLY.
    pub(super) fn of_month(&self, at: (&Year, Month), years: &mut Years, out: &mut Vec<i64>) {
        let (year, month) = at;
        if !self.months.is_empty() && !self.wanted_months(year, &self.months).contains(&month) {
            return;
        }
        let span = (month.start, month.end());
        let start_day = [self.start_month_day];
        if !self.month_days.is_empty() {
            out.extend(
                self.month_days
                    .iter()
                    .filter_map(|n| self.pick(span, 1, *n)),
            );
            out.retain(|day| self.weekday_passes(*day, years));
        } else if !self.days.is_empty() {
            self.weekdays_between(span, out);
        } else if self.year_days.is_empty() && self.weeks.is_empty() {
            out.extend(start_day.iter().filter_map(|n| self.pick(span, 1, *n)));
        } else {
            out.extend(month.start..month.end());
        }
        if !self.year_days.is_empty() || !self.weeks.is_empty() {
            out.retain(|day| self.year_day_passes(*day, years) && self.week_passes(*day, years));
        }
        out.sort_unstable();
        out.dedup();
    }

    /// The days of the week that begins with that day, sorted: FREQ=WEEKLY.
    pub(super) fn of_week(&self, week: i64, years: &mut Years, out: &mut Vec<i64>) {
        let any_weekday =
            self.days.is_empty() && !(self.month_days.is_empty() && self.year_days.is_empty());
        out.extend((week..week + 7).filter(|day| any_weekday || self.is_weekday(*day)));
        if !self.has_weekdays_only() {
            out.retain(|day| self.number_passes(*day, years));
        }
    }

    /// Whether the rule lets a day pass where all parts limit: FREQ=DAILY and shorter.
    pub(super) fn passes(&self, day: i64, years: &mut Years) -> bool {
        (self.days.is_empty() || self.is_weekday(day)) && self.number_passes(day, years)
    }

    /// The next day that can pass after one that did not: a step over months that are not wanted.
    pub(super) fn after(&self, day: i64, years: &mut Years) -> i64 {
        if self.months.is_empty() || self.month_passes(day, years) {
            return day + 1;
        }
        let month = years.containing(day).and_then(|year| {
            let month = year.months().get(year.month_index(day)?)?;
            Some(month.end())
        });
        month.unwrap_or(day + 1)
    }

    fn number_passes(&self, day: i64, years: &mut Years) -> bool {
        self.month_passes(day, years)
            && self.month_day_passes(day, years)
            && self.year_day_passes(day, years)
            && self.week_passes(day, years)
    }

    /// The `number`th unit of a span, counted from its end when negative; SKIP decides about one
    /// that is not there. RFC 7529 §4.1
    fn pick(&self, span: (i64, i64), unit: i64, number: i16) -> Option<i64> {
        let (start, end) = span;
        let number = i64::from(number);
        let at = if number > 0 {
            start + (number - 1) * unit
        } else {
            end + number * unit
        };
        match self.skip {
            _ if (start..end).contains(&at) => Some(at),
            Skip::Omit => None,
            Skip::Backward if at < start => Some(start - unit),
            Skip::Backward => Some(end - unit),
            Skip::Forward if at < start => Some(start),
            Skip::Forward => Some(end),
        }
    }

    /// The months of those names; SKIP decides about one that the year does not have.
    fn wanted_months(&self, year: &Year, names: &[ByMonth]) -> Vec<Month> {
        let find = |name: &ByMonth| year.months().iter().find(|month| month.name == *name);
        let instead = |name: &ByMonth| match self.skip {
            Skip::Omit => None,
            Skip::Forward => match year.months().iter().find(|month| month.name > *name) {
                Some(month) => Some(*month),
                None => Year::containing(self.scale, year.end())?
                    .months()
                    .first()
                    .copied(),
            },
            Skip::Backward => {
                let before = year.months().iter().rfind(|month| month.name < *name);
                before.copied()
            }
        };
        let wanted = names
            .iter()
            .filter_map(|name| find(name).copied().or_else(|| instead(name)));
        wanted.collect()
    }

    fn is_weekday(&self, day: i64) -> bool {
        let number = weekday(day);
        if self.days.is_empty() {
            return self.start_weekday.weekday.number() == number;
        }
        self.days
            .iter()
            .any(|by_day| by_day.weekday.number() == number)
    }

    /// BYDAY expanding a span: every one of those days of the week, or the numbered ones.
    fn weekdays_between(&self, span: (i64, i64), out: &mut Vec<i64>) {
        let (start, end) = span;
        for by_day in &self.days {
            let wanted = by_day.weekday.number();
            let first = start + (wanted - weekday(start)).rem_euclid(7);
            let last = end - 1 - (weekday(end - 1) - wanted).rem_euclid(7);
            let ordinal = i64::from(by_day.ordinal);
            let at = match ordinal {
                0 => {
                    let mut at = first;
                    while at < end {
                        out.push(at);
                        at += 7;
                    }
                    continue;
                }
                1.. => first + (ordinal - 1) * 7,
                _ => last + (ordinal + 1) * 7,
            };
            if (start..end).contains(&at) {
                out.push(at);
            }
        }
    }

    /// BYDAY limiting days that other parts chose: notes 1 and 2 of the table.
    fn weekday_passes(&self, day: i64, years: &mut Years) -> bool {
        if self.days.is_empty() {
            return true;
        }
        let number = weekday(day);
        let numbered = |by_day: &ByDay| by_day.ordinal != 0;
        let mut fitting = self.days.iter().filter(|d| d.weekday.number() == number);
        if !self.days.iter().any(numbered) {
            return fitting.next().is_some();
        }
        let Some((start, end)) = self.ordinal_span(day, years) else {
            return false;
        };
        let from_start = (day - start) / 7 + 1;
        let from_end = -((end - 1 - day) / 7 + 1);
        fitting.any(|by_day| {
            let ordinal = i64::from(by_day.ordinal);
            ordinal == 0 || ordinal == from_start || ordinal == from_end
        })
    }

    fn ordinal_span(&self, day: i64, years: &mut Years) -> Option<(i64, i64)> {
        let year = years.containing(day)?;
        if !self.by_month {
            return Some((year.start, year.end()));
        }
        let month = year.months().get(year.month_index(day)?)?;
        Some((month.start, month.end()))
    }

    fn month_passes(&self, day: i64, years: &mut Years) -> bool {
        if self.months.is_empty() {
            return true;
        }
        let Some(year) = years.containing(day) else {
            return false;
        };
        let inside = |year: &Year| {
            let wanted = self.wanted_months(year, &self.months);
            wanted
                .iter()
                .any(|month| (month.start..month.end()).contains(&day))
        };
        if self.skip == Skip::Omit {
            let month = year
                .month_index(day)
                .and_then(|index| year.months().get(index));
            return month.is_some_and(|month| self.months.contains(&month.name));
        }
        inside(year)
            || Year::containing(self.scale, year.start - 1).is_some_and(|before| inside(&before))
    }

    fn month_day_passes(&self, day: i64, years: &mut Years) -> bool {
        if self.month_days.is_empty() {
            return true;
        }
        let month = years
            .containing(day)
            .and_then(|year| year.months().get(year.month_index(day)?));
        month.is_some_and(|month| numbered(&self.month_days, (month.start, month.end()), 1, day))
    }

    fn year_day_passes(&self, day: i64, years: &mut Years) -> bool {
        if self.year_days.is_empty() {
            return true;
        }
        let year = years.containing(day);
        year.is_some_and(|year| numbered(&self.year_days, (year.start, year.end()), 1, day))
    }

    fn week_passes(&self, day: i64, years: &mut Years) -> bool {
        if self.weeks.is_empty() {
            return true;
        }
        // A week is numbered by the year that has its fourth day.
        let week = week_of(day, self.week_start);
        let Some(year) = years.containing(week + 3) else {
            return false;
        };
        let next = week_of(year.end() + 3, self.week_start);
        numbered(
            &self.weeks,
            (year.first_week(self.week_start), next),
            7,
            week,
        )
    }
}

/// Whether one of the numbers, from the start or from the end, is that unit of the span.
fn numbered(numbers: &[i16], span: (i64, i64), unit: i64, at: i64) -> bool {
    let from_start = (at - span.0) / unit + 1;
    let from_end = (at - span.1) / unit;
    numbers
        .iter()
        .map(|number| i64::from(*number))
        .any(|number| number == from_start || number == from_end)
}
