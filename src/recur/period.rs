//! The periods of a rule, which INTERVAL counts: the way from one to the next, the jump to the one a
//! window begins in, and the instances in one (RFC 5545 §3.3.10).

use super::days::Years;
use super::expand::{Series, TooMuch, Work};
use super::range::DAY;
use super::rule::Freq;
use super::year::{Year, week_of};

/// One period of a rule: what INTERVAL counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Year(i32),
    Month(i32, usize),
    /// A day, or the first day of a week.
    Day(i64),
    /// The first second of an hour, minute or second.
    Tick(i64),
}

impl Series {
    /// The period the start lies in.
    pub(super) fn first_place(&self) -> Place {
        let day = self.start.div_euclid(DAY);
        let year = || Year::containing(self.days.scale, day);
        match self.freq {
            Freq::Yearly => Place::Year(year().map_or(0, |year| year.number)),
            Freq::Monthly => {
                let place = year().and_then(|year| Some((year.number, year.month_index(day)?)));
                let (year, month) = place.unwrap_or((0, 0));
                Place::Month(year, month)
            }
            Freq::Weekly => Place::Day(week_of(day, self.days.week_start)),
            Freq::Daily => Place::Day(day),
            Freq::Hourly | Freq::Minutely | Freq::Secondly => Place::Tick(self.tick_base()),
        }
    }

    /// The last period of the series that begins so early that all instances at or after `from` lie
    /// in it or later.
    pub(super) fn seek(&self, from: i64, work: &mut Work) -> Result<Place, TooMuch> {
        let first = self.first_place();
        let day = from.div_euclid(DAY);
        Ok(match first {
            Place::Year(number) => {
                // BYWEEKNO and SKIP reach into the next year.
                let year = Year::containing(self.days.scale, day);
                let target = year.map_or(number, |year| year.number - 1);
                let steps = i64::from(target - number).max(0) / self.interval;
                let years = i32::try_from(steps * self.interval).unwrap_or(0);
                Place::Year(number + years)
            }
            Place::Month(year, month) => self.seek_month((year, month), day, work)?,
            Place::Day(start) => {
                let step = self.interval * self.unit() / DAY;
                Place::Day(start + (day - start).max(0) / step * step)
            }
            Place::Tick(base) => {
                let step = self.interval * self.unit();
                Place::Tick(base + (from - base).max(0) / step * step)
            }
        })
    }

    fn seek_month(&self, start: (i32, usize), day: i64, work: &mut Work) -> Result<Place, TooMuch> {
        let (mut number, mut index) = start;
        // SKIP reaches into the next month.
        let Some(target) = Year::containing(self.days.scale, day - 32) else {
            return Ok(Place::Month(number, index));
        };
        let interval = usize::try_from(self.interval).unwrap_or(usize::MAX);
        if interval == 1 {
            let place = (target.number, target.month_index(day - 32).unwrap_or(0));
            let (number, index) = place.max(start);
            return Ok(Place::Month(number, index));
        }
        if let Some(months) = self.days.months_per_year() {
            let years = usize::try_from(target.number - number).unwrap_or(0);
            let steps = (years * months).saturating_sub(index) / interval;
            let ordinal = index + steps * interval;
            let years = i32::try_from(ordinal / months).unwrap_or(0);
            return Ok(Place::Month(number + years, ordinal % months));
        }
        let mut years = Years::new(self.days.scale);
        while let Some(year) = years.numbered(number) {
            work.spend(1)?;
            let length = year.months().len();
            if index < length {
                if number >= target.number {
                    break;
                }
                // The first month of the series after this year.
                index += (length - index).div_ceil(interval) * interval;
            }
            index -= length;
            number += 1;
        }
        Ok(Place::Month(number, index))
    }

    /// The period after one, or nothing when it begins too late.
    pub(super) fn next_place(
        &self,
        place: Place,
        end: i64,
        years: &mut Years,
        work: &mut Work,
    ) -> Result<Option<Place>, TooMuch> {
        let unit = self.unit();
        Ok(match place {
            Place::Year(number) => {
                let interval = i32::try_from(self.interval).unwrap_or(i32::MAX);
                number.checked_add(interval).map(Place::Year)
            }
            Place::Month(number, index) => {
                let interval = usize::try_from(self.interval).unwrap_or(usize::MAX);
                let (mut number, mut index) = (number, index.saturating_add(interval));
                while let Some(year) = years.numbered(number) {
                    if index < year.months().len() {
                        return Ok(Some(Place::Month(number, index)));
                    }
                    work.spend(1)?;
                    index -= year.months().len();
                    number += 1;
                }
                None
            }
            Place::Day(day) => {
                let next = day + self.interval * unit / DAY;
                self.next_day(next, end, years, work)?
            }
            Place::Tick(at) => self.next_tick(at + 1, end, years, work)?,
        })
    }

    /// The first period at or after the one that begins on that day, past days that do not pass.
    fn next_day(
        &self,
        day: i64,
        end: i64,
        years: &mut Years,
        work: &mut Work,
    ) -> Result<Option<Place>, TooMuch> {
        if self.freq == Freq::Weekly || self.days.is_free() {
            return Ok(Some(Place::Day(day)));
        }
        let mut day = day;
        while day < end.div_euclid(DAY) + 1 {
            if self.days.passes(day, years) {
                return Ok(Some(Place::Day(day)));
            }
            work.spend(1)?;
            let after = self.days.after(day, years) - day;
            day += (after + self.interval - 1) / self.interval * self.interval;
        }
        Ok(None)
    }

    /// The first tick at or after a second that passes all limiting parts.
    pub(super) fn next_tick(
        &self,
        from: i64,
        end: i64,
        years: &mut Years,
        work: &mut Work,
    ) -> Result<Option<Place>, TooMuch> {
        let (base, step) = (self.tick_base(), self.interval * self.unit());
        let mut from = from;
        loop {
            let at = base + (from - base + step - 1).div_euclid(step) * step;
            if at >= end {
                return Ok(None);
            }
            work.spend(1)?;
            let (day, time) = (at.div_euclid(DAY), at.rem_euclid(DAY));
            if !self.days.is_free() && !self.days.passes(day, years) {
                from = self.days.after(day, years) * DAY;
                continue;
            }
            let open = self.gates.next(time);
            if open == time {
                return Ok(Some(Place::Tick(at)));
            }
            from = day * DAY + open;
        }
    }

    /// No instance of a period is earlier than this.
    pub(super) fn earliest(&self, place: Place, years: &mut Years) -> i64 {
        match place {
            // Week 1 begins up to three days before the year; SKIP=BACKWARD goes one unit back.
            Place::Year(number) => {
                let year = years.numbered(number);
                year.map_or(i64::MAX, |year| (year.start - 10) * DAY)
            }
            Place::Month(number, index) => {
                let month = years
                    .numbered(number)
                    .and_then(|year| year.months().get(index));
                month.map_or(i64::MAX, |month| (month.start - 1) * DAY)
            }
            Place::Day(day) => day.saturating_mul(DAY),
            Place::Tick(at) => at,
        }
    }

    /// Fills the block with the instances of a period.
    pub(super) fn fill(&self, place: Place, years: &mut Years, block: &mut Block) {
        block.bases.clear();
        block.chosen.clear();
        match place {
            Place::Year(number) => {
                if let Some(year) = years.numbered(number).copied() {
                    self.days.of_year(&year, years, &mut block.bases);
                }
            }
            Place::Month(number, index) => {
                if let Some(year) = years.numbered(number).copied()
                    && let Some(month) = year.months().get(index)
                {
                    self.days.of_month((&year, *month), years, &mut block.bases);
                }
            }
            Place::Day(day) if self.freq == Freq::Weekly => {
                self.days.of_week(day, years, &mut block.bases);
            }
            Place::Day(day) => {
                if self.days.is_free() || self.days.passes(day, years) {
                    block.bases.push(day);
                }
            }
            Place::Tick(at) => block.bases.push(at),
        }
        if !matches!(place, Place::Tick(_)) {
            block.bases.iter_mut().for_each(|day| *day *= DAY);
        }
        if !self.positions.is_empty() {
            block.choose(self);
        }
    }
}

/// The instances of one period: a list of days or ticks with the times each expands to, or the
/// positions of them that BYSETPOS chose.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    pub(super) bases: Vec<i64>,
    chosen: Vec<usize>,
}

impl Block {
    fn all(&self, series: &Series) -> usize {
        self.bases.len() * series.times.len()
    }

    pub(super) fn len(&self, series: &Series) -> usize {
        if series.positions.is_empty() {
            self.all(series)
        } else {
            self.chosen.len()
        }
    }

    pub(super) fn at(&self, series: &Series, index: usize) -> i64 {
        let index = if series.positions.is_empty() {
            index
        } else {
            self.chosen.get(index).copied().unwrap_or(0)
        };
        let times = series.times.len().max(1);
        let base = self.bases.get(index / times).copied().unwrap_or(i64::MAX);
        base.saturating_add(series.times.get(index % times))
    }

    /// "BYSETPOS operates on a set of recurrence instances in one interval of the recurrence rule.
    /// [...] A set of recurrence instances starts at the beginning of the interval": also before
    /// DTSTART.
    fn choose(&mut self, series: &Series) {
        let all = self.all(series);
        for position in &series.positions {
            let distance = usize::from(position.unsigned_abs());
            if distance <= all {
                let index = if *position > 0 {
                    distance - 1
                } else {
                    all - distance
                };
                self.chosen.push(index);
            }
        }
        self.chosen.sort_unstable();
        self.chosen.dedup();
    }

    /// The position of the first instance at or after a time.
    pub(super) fn lower_bound(&self, series: &Series, from: i64) -> usize {
        let (mut low, mut high) = (0, self.len(series));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.at(series, middle) < from {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}
