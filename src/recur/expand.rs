//! Which local times a rule chooses in a window (RFC 5545 §3.3.10).
//!
//! A rule runs on naive local time: zones, gaps and overlaps are the business of `instances`. Its
//! first instance is DTSTART, whether the rule hits it or not: "The "DTSTART" property value always
//! counts as the first occurrence."
//!
//! The way to a window is a jump of whole intervals, never a walk from DTSTART. COUNT needs to know
//! the last instance, which is arithmetic where every period has the same number of instances, else
//! counted once, period by period, and kept.
//!
//! **Gaps**: where BYSETPOS stands beside a SKIP that moves a date into the next period, an instance
//! of the next period that is not later than the moved one is not given.

use std::sync::OnceLock;

use crate::ical::{LocalTime, When};

use super::days::{DayRule, Years};
use super::period::{Block, Place};
use super::range::DAY;
use super::rule::{Freq, Rule};
use super::times::{Gates, Times};

/// How much one question may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest number of instances in an answer.
    pub instances: usize,
    /// The largest number of steps on the way to it; a step is about ten nanoseconds.
    pub work: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            instances: 20_000,
            work: 2_000_000,
        }
    }
}

/// A question met a limit; there is no partial answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TooMuch {
    /// More instances than [`Limits::instances`].
    Instances,
    /// More steps than [`Limits::work`].
    Work,
}

impl std::fmt::Display for TooMuch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            TooMuch::Instances => "there are too many instances",
            TooMuch::Work => "finding the instances is too much work",
        })
    }
}

impl std::error::Error for TooMuch {}

/// The steps that are left of [`Limits::work`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Work(u64);

impl Work {
    pub(super) fn new(limits: &Limits) -> Work {
        Work(limits.work)
    }

    pub(super) fn spend(&mut self, steps: usize) -> Result<(), TooMuch> {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        self.0 = self.0.checked_sub(steps).ok_or(TooMuch::Work)?;
        Ok(())
    }
}

/// When a series ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Last {
    /// No instance is later than this.
    At(LocalTime),
    /// The rule has no COUNT and no UNTIL.
    Endless,
}

/// A rule bound to the start of its series, ready to be asked for any window.
#[derive(Clone, Debug)]
pub struct Series {
    pub(super) start: i64,
    until: i64,
    count: Option<u32>,
    endless: bool,
    pub(super) freq: Freq,
    pub(super) interval: i64,
    shape: Shape,
    pub(super) days: DayRule,
    pub(super) times: Times,
    pub(super) gates: Gates,
    pub(super) positions: Vec<i16>,
    /// The last instance that COUNT allows, once known.
    last: OnceLock<i64>,
}

/// How the instances lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// There is none but the first.
    Single,
    /// Every so many seconds.
    Even(i64),
    /// As the parts choose, the same number in each period.
    Constant,
    /// As the parts choose.
    Varied,
}

impl Series {
    /// The series of a rule that begins there. UNTIL is compared on the axis of the start; a day
    /// includes all its instances. See [`Series::with_until`].
    #[must_use]
    pub fn new(rule: &Rule, start: &When) -> Series {
        let dates = start.is_date();
        let seconds = start.local().seconds();
        let (day, time) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        let until = match &rule.until {
            None => LocalTime::MAX.seconds(),
            Some(When::Date(date)) => date.midnight().seconds() + DAY - 1,
            Some(other) => other.local().seconds(),
        };
        let mut series = Series {
            start: seconds,
            until: until.min(LocalTime::MAX.seconds()),
            count: rule.count,
            endless: rule.is_endless(),
            freq: rule.freq,
            interval: i64::from(rule.interval),
            shape: Shape::Varied,
            days: DayRule::new(rule, day),
            times: Times::expanding(rule, time, dates),
            gates: Gates::new(rule, dates),
            positions: rule.set_positions.clone(),
            last: OnceLock::new(),
        };
        series.shape = series.shape_of();
        series
    }

    /// The same series with another last local time, for an UNTIL that another zone had to read.
    #[must_use]
    pub fn with_until(mut self, until: LocalTime) -> Series {
        self.until = until.seconds();
        self.last = OnceLock::new();
        self
    }

    fn shape_of(&self) -> Shape {
        let unit = self.unit();
        let step = unit * self.interval;
        if self.freq < Freq::Daily && !self.gates.ever_open(self.tick_base(), step) {
            return Shape::Single;
        }
        let weekly = self.freq == Freq::Weekly && self.days.has_weekdays_only();
        let steady = self.freq <= Freq::Daily && self.gates.is_free() && self.days.is_free();
        if !steady && !weekly {
            return Shape::Varied;
        }
        let mut block = Block::default();
        let place = self.first_place();
        self.fill(place, &mut Years::new(self.days.scale), &mut block);
        if block.len(self) == 0 {
            return Shape::Single;
        }
        if block.len(self) == 1 && block.at(self, 0) == self.start {
            return Shape::Even(step);
        }
        Shape::Constant
    }

    /// The seconds of one unit of the frequency, where it has a fixed length.
    pub(super) fn unit(&self) -> i64 {
        match self.freq {
            Freq::Secondly => 1,
            Freq::Minutely => 60,
            Freq::Hourly => 3600,
            Freq::Weekly => 7 * DAY,
            Freq::Daily | Freq::Monthly | Freq::Yearly => DAY,
        }
    }

    pub(super) fn tick_base(&self) -> i64 {
        self.start - self.start.rem_euclid(self.unit())
    }

    /// Every instance at or after `from` and before `to`, in order.
    ///
    /// # Errors
    ///
    /// When it meets a limit.
    pub fn between(
        &self,
        from: LocalTime,
        to: LocalTime,
        limits: &Limits,
    ) -> Result<Vec<LocalTime>, TooMuch> {
        let mut work = Work::new(limits);
        let mut found = Vec::new();
        let mut walk = self.walk((from.seconds(), to.seconds()), &mut work)?;
        while let Some(seconds) = walk.next(&mut work)? {
            if found.len() == limits.instances {
                return Err(TooMuch::Instances);
            }
            found.extend(LocalTime::from_seconds(seconds));
        }
        Ok(found)
    }

    /// Whether the rule itself gives that time; DTSTART alone is no hit.
    pub(super) fn hits(&self, local: LocalTime, work: &mut Work) -> Result<bool, TooMuch> {
        let at = local.seconds();
        if at != self.start {
            let mut walk = self.walk((at, at + 1), work)?;
            return Ok(walk.next(work)?.is_some());
        }
        let mut years = Years::new(self.days.scale);
        let mut block = Block::default();
        self.fill(self.first_place(), &mut years, &mut block);
        let index = block.lower_bound(self, at);
        Ok(index < block.len(self) && block.at(self, index) == at)
    }

    /// The end of the series.
    ///
    /// # Errors
    ///
    /// When counting to COUNT meets the limit.
    pub fn last(&self, limits: &Limits) -> Result<Last, TooMuch> {
        if self.shape == Shape::Single {
            return Ok(LocalTime::from_seconds(self.start).map_or(Last::Endless, Last::At));
        }
        if self.endless {
            return Ok(Last::Endless);
        }
        let mut work = Work::new(limits);
        let end = self.end_before(LocalTime::MAX.seconds() + 1, &mut work)?;
        let last = LocalTime::from_seconds((end - 1).max(self.start));
        Ok(last.map_or(Last::Endless, Last::At))
    }

    /// The instances at or after the first and before the second bound.
    pub(super) fn walk(&self, window: (i64, i64), work: &mut Work) -> Result<Walk<'_>, TooMuch> {
        let (from, to) = window;
        let end = self.end_before(to, work)?;
        let first = from <= self.start && self.start < to;
        let from = from.max(self.start + 1);
        let state = match self.shape {
            _ if from >= end => State::Done,
            Shape::Single => State::Done,
            Shape::Even(step) => {
                let steps = (from - self.start + step - 1) / step;
                State::Even(self.start + steps * step, step)
            }
            Shape::Constant | Shape::Varied => State::Before(self.seek(from, work)?),
        };
        Ok(Walk {
            series: self,
            end,
            last: from - 1,
            first,
            state,
            years: Years::new(self.days.scale),
            block: Block::default(),
            index: 0,
        })
    }

    /// The first second no instance before `to` can have: what UNTIL and COUNT leave of it.
    fn end_before(&self, to: i64, work: &mut Work) -> Result<i64, TooMuch> {
        let to = to.min(self.until + 1);
        let Some(count) = self.count else {
            return Ok(to);
        };
        if let Some(last) = self.last.get() {
            return Ok(to.min(last + 1));
        }
        let last = self.counted(i64::from(count), to, work)?;
        if let Some(last) = last {
            // Another thread may have found the same.
            let _ = self.last.set(last);
        }
        Ok(last.map_or(to, |last| to.min(last + 1)))
    }

    /// The instance of that number, or nothing when it does not come before `to`.
    fn counted(&self, count: i64, to: i64, work: &mut Work) -> Result<Option<i64>, TooMuch> {
        let mut left = usize::try_from(count - 1).unwrap_or(0);
        if left == 0 || self.shape == Shape::Single {
            return Ok(Some(self.start));
        }
        if let Shape::Even(step) = self.shape {
            return Ok(Some(
                self.start.saturating_add(step.saturating_mul(count - 1)),
            ));
        }
        let mut years = Years::new(self.days.scale);
        let mut block = Block::default();
        let mut last = self.start;
        let mut next = Some(self.first_place());
        while let Some(place) = next {
            work.spend(1 + block.bases.len() / 4)?;
            if self.earliest(place, &mut years) >= to {
                return Ok(None);
            }
            self.fill(place, &mut years, &mut block);
            let from = block.lower_bound(self, last + 1);
            let here = block.len(self) - from;
            if here >= left {
                return Ok(Some(block.at(self, from + left - 1)));
            }
            left -= here;
            if here > 0 {
                last = block.at(self, block.len(self) - 1);
            }
            next = self.next_place(place, to, &mut years, work)?;
            if self.shape == Shape::Constant && place != self.first_place() {
                let periods = (left - 1) / here.max(1);
                left -= periods * here;
                next = next.and_then(|place| self.skip_periods(place, periods));
            }
        }
        Ok(None)
    }

    /// The place so many periods later, for frequencies of fixed length.
    fn skip_periods(&self, place: Place, periods: usize) -> Option<Place> {
        let periods = i64::try_from(periods).ok()?;
        let steps = periods.checked_mul(self.interval)?;
        match place {
            Place::Day(day) => {
                let unit = self.unit() / DAY;
                Some(Place::Day(day.checked_add(steps.checked_mul(unit)?)?))
            }
            Place::Tick(at) => Some(Place::Tick(
                at.checked_add(steps.checked_mul(self.unit())?)?,
            )),
            Place::Year(_) | Place::Month(..) => None,
        }
    }
}

/// A way through the instances of a window, in order.
#[derive(Clone, Debug)]
pub(super) struct Walk<'a> {
    series: &'a Series,
    end: i64,
    last: i64,
    first: bool,
    state: State,
    years: Years,
    block: Block,
    index: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The start of the series, or every so many seconds: the next one and the step.
    Even(i64, i64),
    /// The period is to be filled.
    Before(Place),
    /// The block holds the period.
    In(Place),
    Done,
}

impl Walk<'_> {
    /// The next instance.
    pub(super) fn next(&mut self, work: &mut Work) -> Result<Option<i64>, TooMuch> {
        if self.first {
            self.first = false;
            return Ok(Some(self.series.start));
        }
        loop {
            match self.state {
                State::Done => return Ok(None),
                State::Even(at, step) => {
                    work.spend(1)?;
                    if at >= self.end {
                        self.state = State::Done;
                        return Ok(None);
                    }
                    self.state = State::Even(at.saturating_add(step), step);
                    return Ok(Some(at));
                }
                State::Before(place) => self.enter(place, work)?,
                State::In(place) => {
                    if self.index < self.block.len(self.series) {
                        work.spend(1)?;
                        let at = self.block.at(self.series, self.index);
                        self.index += 1;
                        if at >= self.end {
                            self.state = State::Done;
                        } else if at > self.last {
                            self.last = at;
                            return Ok(Some(at));
                        }
                        continue;
                    }
                    let next = self
                        .series
                        .next_place(place, self.end, &mut self.years, work)?;
                    self.state = next.map_or(State::Done, State::Before);
                }
            }
        }
    }

    fn enter(&mut self, place: Place, work: &mut Work) -> Result<(), TooMuch> {
        let place = match place {
            Place::Tick(at) => self.series.next_tick(at, self.end, &mut self.years, work)?,
            other => Some(other),
        };
        let place = place.filter(|place| {
            let earliest = self.series.earliest(*place, &mut self.years);
            earliest < self.end
        });
        let Some(place) = place else {
            self.state = State::Done;
            return Ok(());
        };
        self.series.fill(place, &mut self.years, &mut self.block);
        work.spend(1 + self.block.bases.len() / 4)?;
        self.index = self.block.lower_bound(self.series, self.last + 1);
        self.state = State::In(place);
        Ok(())
    }
}
