//! One recurrence set: a master with its rules, dates and exceptions, and the components that
//! override single instances or all later ones (RFC 5545 §3.8.4.4, §3.8.5).
//!
//! DTSTART is always an instance. RDATE, EXDATE and RECURRENCE-ID are compared as instants, in
//! whichever zone they are written, and by the day where they are DATEs and DTSTART is not.
//! An override whose RECURRENCE-ID the rules do not hit is an instance all the same.

use crate::ical::values::{self, PeriodEnd};
use crate::ical::{Component, Kind, LocalTime, Property, Timestamp, When};

use super::busy_source::Busy;
use super::expand::{Last, Limits, Series, TooMuch, Work};
use super::instances::{Instance, Part, RecurProblem};
use super::range::DAY;
use super::rule::Rule;
use super::season::Season;
use super::source::{Length, Row, Source};
use super::zone::{Zone, Zones};

/// A master and its overrides, or overrides alone.
#[derive(Clone, Debug)]
pub(super) struct Set {
    pub(super) master: Option<Master>,
    /// Sorted by key.
    pub(super) overrides: Vec<Override>,
    pub(super) axis: Axis,
    /// The longest any instance takes, in seconds.
    pub(super) longest: i64,
    /// The farthest RANGE=THISANDFUTURE moves an instance, in seconds.
    pub(super) shift: i64,
    replaced: Vec<i64>,
    replaced_days: Vec<i64>,
    /// The overrides of all later instances: their positions and keys.
    futures: Vec<(usize, i64)>,
}

/// The component without RECURRENCE-ID.
#[derive(Clone, Debug)]
pub(super) struct Master {
    pub(super) source: Source,
    pub(super) series: Vec<Bounded>,
    excluded: Vec<Series>,
    /// RDATE, and DTSTART where there is no rule; sorted by key.
    pub(super) extras: Vec<Extra>,
    dates_out: Vec<i64>,
    days_out: Vec<i64>,
}

/// A series with the instant of its UNTIL.
#[derive(Clone, Debug)]
pub(super) struct Bounded {
    pub(super) series: Series,
    until: Option<Timestamp>,
    /// The months of the year its instances can lie in.
    pub(super) season: Season,
}

/// An instance that no rule gives.
#[derive(Clone, Debug)]
pub(super) struct Extra {
    pub(super) local: LocalTime,
    key: i64,
    pub(super) length: Option<Length>,
}

/// A component with RECURRENCE-ID.
#[derive(Clone, Debug)]
pub(super) struct Override {
    pub(super) source: Source,
    /// RECURRENCE-ID in the master's form.
    id: When,
    key: i64,
}

/// What the local times of a set mean.
#[derive(Clone, Debug)]
pub(super) enum Axis {
    /// The zone they are asked in.
    Floating,
    /// This zone.
    Fixed(Zone),
}

impl Axis {
    fn of(start: Option<&When>, zones: &Zones) -> Axis {
        match start {
            None | Some(When::Date(_) | When::Floating(_)) => Axis::Floating,
            Some(When::Utc(_)) => Axis::Fixed(Zone::utc()),
            Some(When::Zoned(_, tzid)) => match zones.get(tzid) {
                Some(zone) => Axis::Fixed(zone.clone()),
                None => Axis::Floating,
            },
        }
    }

    pub(super) fn zone<'a>(&'a self, floating: &'a Zone) -> &'a Zone {
        match self {
            Axis::Floating => floating,
            Axis::Fixed(zone) => zone,
        }
    }

    /// What instances are told apart by: instants, or floating time.
    fn key(&self, local: LocalTime) -> i64 {
        match self {
            Axis::Floating => local.seconds(),
            Axis::Fixed(zone) => zone.instant(local).0,
        }
    }

    /// The local time on this axis that a value means.
    fn local(&self, when: &When, zones: &Zones) -> LocalTime {
        match (self, when) {
            (Axis::Floating, _) | (_, When::Date(_) | When::Floating(_)) => when.local(),
            (Axis::Fixed(zone), _) => zone.local(zones.instant(when, zone)),
        }
    }

    /// The key of the instance that a value means.
    fn key_of(&self, when: &When, zones: &Zones) -> i64 {
        match (self, when) {
            (Axis::Fixed(zone), When::Utc(_) | When::Zoned(..)) => zones.instant(when, zone).0,
            _ => self.key(self.local(when, zones)),
        }
    }
}

/// What a set is asked.
pub(super) struct Question<'a> {
    /// Instances are wanted that touch these instants, both included.
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) floating: &'a Zone,
    pub(super) zones: &'a Zones,
    /// The component they must come from.
    pub(super) component: Option<usize>,
}

impl Question<'_> {
    fn touches(&self, from: Timestamp, to: Timestamp) -> bool {
        to >= self.from && from <= self.to
    }

    fn wants(&self, index: usize) -> bool {
        self.component.is_none_or(|wanted| wanted == index)
    }
}

impl Set {
    /// The set of some components of one UID.
    pub(super) fn new(
        components: &[(usize, &Component)],
        kind: Kind,
        zones: &Zones,
        problems: &mut Vec<RecurProblem>,
    ) -> Set {
        let (mut masters, mut others) = (Vec::new(), Vec::new());
        for (index, component) in components {
            let source = Source::read(component, *index, kind, zones);
            if component.property("RECURRENCE-ID").is_none() && masters.is_empty() {
                masters.push((source, *component));
            } else {
                others.push(source);
            }
        }
        let first = masters.first().map(|(source, _)| source).or(others.first());
        let start = first.and_then(|source| source.start.clone());
        let axis = Axis::of(start.as_ref(), zones);
        let master = masters.pop().map(|(source, component)| {
            Master::read(source, component, &Reading { axis: &axis, zones }, problems)
        });
        let mut set = Set {
            master,
            overrides: Vec::new(),
            axis,
            longest: 0,
            shift: 0,
            replaced: Vec::new(),
            replaced_days: Vec::new(),
            futures: Vec::new(),
        };
        set.place(others, start.as_ref(), zones);
        set
    }

    /// Puts the overrides where they belong.
    fn place(&mut self, others: Vec<Source>, start: Option<&When>, zones: &Zones) {
        for source in others {
            let Some(id) = source.id.as_ref().or(source.start.as_ref()) else {
                continue;
            };
            let mut local = self.axis.local(id, zones);
            let form = start.unwrap_or(id);
            if id.is_date() && !form.is_date() {
                self.replaced_days.push(local.date().days());
                local = later_by(local, i64::from(form.local().second_of_day()));
            }
            let id = form.with_local(local);
            let key = self.axis.key_of(&id, zones);
            if let (true, Some(moved)) = (source.future, &source.start) {
                let distance = moved.local().seconds() - local.seconds();
                self.shift = self
                    .shift
                    .max(distance.saturating_abs().saturating_add(DAY));
            }
            self.overrides.push(Override { source, id, key });
        }
        self.overrides.sort_by_key(|other| other.key);
        self.replaced = self.overrides.iter().map(|other| other.key).collect();
        self.replaced_days.sort_unstable();
        let future =
            |(index, other): (usize, &Override)| other.source.future.then_some((index, other.key));
        self.futures = self
            .overrides
            .iter()
            .enumerate()
            .filter_map(future)
            .collect();
        let sources = self.overrides.iter().map(|other| &other.source);
        let longest = sources.chain(self.master.as_ref().map(|master| &master.source));
        self.longest = longest.map(Source::longest).max().unwrap_or(0);
        if let Some(master) = &self.master {
            let extra = master
                .extras
                .iter()
                .filter_map(|extra| match extra.length? {
                    Length::Exact(seconds) | Length::Local(seconds) => Some(seconds),
                    Length::Nominal(length) => Some(length.nominal_seconds()),
                    Length::None => None,
                });
            let longest = extra.max().unwrap_or(0).saturating_add(DAY);
            self.longest = self.longest.max(longest);
        }
    }

    /// Whether there can be more than one instance.
    pub(super) fn recurs(&self) -> bool {
        !self.overrides.is_empty()
            || self
                .master
                .as_ref()
                .is_some_and(|master| !master.series.is_empty() || master.extras.len() > 1)
    }

    /// Whether a rule of it has no end.
    pub(super) fn is_endless(&self) -> bool {
        let endless = |bounded: &Bounded| {
            let none = Limits {
                instances: 0,
                work: 0,
            };
            bounded.series.last(&none) == Ok(Last::Endless)
        };
        self.master
            .as_ref()
            .is_some_and(|master| master.series.iter().any(endless))
    }

    /// Events without DTSTART, which scheduling messages may have, are in every range and make
    /// nobody busy. RFC 6638 §2.3
    pub(super) fn open(&mut self) {
        let master = self.master.iter_mut().map(|master| &mut master.source);
        let overrides = self.overrides.iter_mut().map(|it| &mut it.source);
        for source in master.chain(overrides).filter(|s| s.start.is_none()) {
            source.row = Row::Open(None);
            source.busy = Busy::Nothing;
        }
    }

    /// All its components.
    pub(super) fn sources(&self) -> impl Iterator<Item = &Source> {
        let overrides = self.overrides.iter().map(|other| &other.source);
        self.master
            .iter()
            .map(|master| &master.source)
            .chain(overrides)
    }

    /// The overrides that touch the question's range, by their start.
    pub(super) fn overrides_in(&self, question: &Question<'_>) -> Vec<(Instance, &Source)> {
        let instance = |other: &'_ Override| {
            let source = &other.source;
            let start = source
                .start
                .as_ref()
                .filter(|_| question.wants(source.index))?;
            let utc = Zone::utc();
            let zone = question
                .zones
                .zone_of(start, question.floating)
                .unwrap_or(&utc);
            let from = question.zones.instant(start, question.floating);
            let to = source.end(start.local(), zone);
            question.touches(from.min(to), to.max(from)).then(|| {
                let part = if source.future {
                    Part::Future
                } else {
                    Part::Override
                };
                let id = Some(other.id.clone());
                instance_of((source, part), id, start.clone(), (from, to), zone)
            })
        };
        let found = self
            .overrides
            .iter()
            .filter_map(|other| Some((instance(other)?, &other.source)));
        let mut found: Vec<_> = found.collect();
        found.sort_by_key(|(instance, _)| instance.from);
        found
    }

    /// The window of local times whose instances may touch the question's range.
    pub(super) fn window(&self, question: &Question<'_>) -> (i64, i64) {
        let zone = self.axis.zone(question.floating);
        let reach = self.longest.saturating_add(self.shift);
        let from = question.from.add_seconds(reach.saturating_neg());
        let to = question.to.add_seconds(self.shift);
        // A time in a gap, or before a change of the offset, has the offset before it.
        let offsets = |at: Timestamp| [zone.offset(at), zone.offset(at.add_seconds(-DAY))];
        let [one, two] = offsets(from);
        let [three, four] = offsets(to);
        (
            from.add_seconds(one.min(two)).0,
            to.add_seconds(three.max(four)).0.saturating_add(1),
        )
    }

    /// The instance of the master, or of an override of all later ones, at a local time; nothing
    /// when it is excluded, overridden, not wanted or out of range.
    pub(super) fn instance_at(
        &self,
        at: (LocalTime, Option<Length>),
        question: &Question<'_>,
        work: &mut Work,
    ) -> Result<Option<(Instance, &Source)>, TooMuch> {
        let (local, length) = at;
        let Some(master) = &self.master else {
            return Ok(None);
        };
        let key = self.axis.key(local);
        let day = local.date().days();
        let has = |list: &[i64], value: i64| list.binary_search(&value).is_ok();
        if has(&self.replaced, key) || has(&self.replaced_days, day) || master.is_out(key, day) {
            return Ok(None);
        }
        for series in &master.excluded {
            if series.hits(local, work)? {
                return Ok(None);
            }
        }
        let Some(form) = &master.source.start else {
            return Ok(None);
        };
        let id = form.with_local(local);
        let zone = self.axis.zone(question.floating);
        let later = self.futures.partition_point(|(_, future)| *future < key);
        let future = later.checked_sub(1).and_then(|at| self.futures.get(at));
        let future = future.and_then(|(index, _)| self.overrides.get(*index));
        let moved = future.and_then(|other| Some((other, other.source.start.as_ref()?)));
        let (source, part, start, zone) = match moved {
            Some((other, start)) => {
                let distance = local.seconds() - other.id.local().seconds();
                let start = start.with_local(later_by(start.local(), distance));
                let zone = question.zones.zone_of(&start, question.floating);
                let zone = zone.cloned().unwrap_or_else(Zone::utc);
                (&other.source, Part::Future, start, zone)
            }
            None => (&master.source, Part::Master, id.clone(), zone.clone()),
        };
        if !question.wants(source.index) {
            return Ok(None);
        }
        let from = zone.instant(start.local());
        let length = length.filter(|_| part == Part::Master);
        let to = length.unwrap_or(source.length).end(start.local(), &zone);
        if !question.touches(from.min(to), to.max(from)) {
            return Ok(None);
        }
        let recurs = self.recurs();
        let part = if recurs { part } else { Part::Single };
        let id = recurs.then_some(id);
        let instance = instance_of((source, part), id, start, (from, to), &zone);
        Ok(Some((instance, source)))
    }

    /// Whether a time in a gap stands for one that the set has anyway: an hourly rule has 02:30 and
    /// 03:30, which are one instant on the day the clocks go forward.
    pub(super) fn is_repeated(&self, local: LocalTime, work: &mut Work) -> Result<bool, TooMuch> {
        let (Axis::Fixed(zone), Some(master)) = (&self.axis, &self.master) else {
            return Ok(false);
        };
        let shown = zone.local(zone.instant(local));
        if shown == local {
            return Ok(false);
        }
        for bounded in &master.series {
            if bounded.series.hits(shown, work)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Bounded {
    /// Whether UNTIL lets an instance be.
    pub(super) fn allows(&self, local: LocalTime, zone: &Zone) -> bool {
        self.until.is_none_or(|until| zone.instant(local) <= until)
    }
}

/// What a master is read with.
struct Reading<'a> {
    axis: &'a Axis,
    zones: &'a Zones,
}

impl Master {
    fn read(
        source: Source,
        component: &Component,
        reading: &Reading<'_>,
        problems: &mut Vec<RecurProblem>,
    ) -> Master {
        let mut master = Master {
            source,
            series: Vec::new(),
            excluded: Vec::new(),
            extras: Vec::new(),
            dates_out: Vec::new(),
            days_out: Vec::new(),
        };
        let Some(start) = master.source.start.clone() else {
            return master;
        };
        if matches!(
            master.source.row,
            Row::Closed | Row::Open(_) | Row::Periods(_)
        ) {
            master.push_extra(&start, None, reading);
            return master;
        }
        for property in component.properties("RRULE") {
            if let Some(rule) = read_rule(property, problems) {
                master
                    .series
                    .extend(bound(&rule, &master.source, reading.axis));
            }
        }
        for property in component.properties("EXRULE") {
            if let Some(rule) = read_rule(property, problems) {
                let bounded = bound(&rule, &master.source, reading.axis);
                master
                    .excluded
                    .extend(bounded.map(|bounded| bounded.series));
            }
        }
        for property in component.properties("EXDATE") {
            for when in values::whens(property) {
                if when.is_date() && !start.is_date() {
                    master.days_out.push(when.date().days());
                } else {
                    master
                        .dates_out
                        .push(reading.axis.key_of(&fit(&when, &start), reading.zones));
                }
            }
        }
        if master.series.is_empty() {
            master.push_extra(&start, None, reading);
        }
        for property in component.properties("RDATE") {
            master.read_dates(property, &start, reading);
        }
        master.extras.sort_by_key(|extra| extra.key);
        master.extras.dedup_by_key(|extra| extra.key);
        master.dates_out.sort_unstable();
        master.days_out.sort_unstable();
        master
    }

    fn read_dates(&mut self, property: &Property, start: &When, reading: &Reading<'_>) {
        let periods = values::periods(property);
        if periods.is_empty() {
            for when in values::whens(property) {
                self.push_extra(&when, None, reading);
            }
        }
        for period in periods {
            let length = match &period.end {
                PeriodEnd::For(length) => Length::Nominal(*length),
                PeriodEnd::At(end) => {
                    let utc = Zone::utc();
                    let zone = reading.axis.zone(&utc);
                    let instant = |when| reading.zones.instant(when, zone).0;
                    Length::Exact((instant(end) - instant(&period.start)).max(0))
                }
            };
            let start = fit(&period.start, start);
            self.push_extra(&start, Some(length), reading);
        }
    }

    fn push_extra(&mut self, when: &When, length: Option<Length>, reading: &Reading<'_>) {
        let Some(start) = &self.source.start else {
            return;
        };
        let mut local = reading.axis.local(&fit(when, start), reading.zones);
        if when.is_date() && !start.is_date() {
            local = later_by(local, i64::from(start.local().second_of_day()));
        }
        let key = reading.axis.key(local);
        self.extras.push(Extra { local, key, length });
    }

    fn is_out(&self, key: i64, day: i64) -> bool {
        self.dates_out.binary_search(&key).is_ok() || self.days_out.binary_search(&day).is_ok()
    }

    /// Roughly how many bytes it takes.
    pub(super) fn size(&self) -> usize {
        let rules = self.series.len() + self.excluded.len();
        rules * 1024
            + self.extras.len() * size_of::<Extra>()
            + (self.dates_out.len() + self.days_out.len()) * 8
    }
}

/// A time as a series of whole days has it.
fn fit(when: &When, start: &When) -> When {
    if start.is_date() {
        When::Date(when.date())
    } else {
        when.clone()
    }
}

fn later_by(local: LocalTime, seconds: i64) -> LocalTime {
    super::source::later(local, seconds)
}

fn read_rule(property: &Property, problems: &mut Vec<RecurProblem>) -> Option<Rule> {
    let line = property.line_number();
    match Rule::parse(property.value()) {
        Ok((rule, found)) => {
            problems.extend(
                found
                    .into_iter()
                    .map(|problem| RecurProblem::odd(line, problem)),
            );
            Some(rule)
        }
        Err(error) => {
            problems.push(RecurProblem::unreadable(line, error));
            None
        }
    }
}

/// A rule at the start of its series. An UNTIL in UTC is an instant; on the local axis it is no
/// earlier than the last instance it allows.
fn bound(rule: &Rule, source: &Source, axis: &Axis) -> Option<Bounded> {
    let start = source.start.as_ref()?;
    let mut bounded = Bounded {
        series: Series::new(rule, start),
        until: None,
        season: Season::of_rule(rule, start.local(), source.longest()),
    };
    if let (Axis::Fixed(zone), Some(When::Utc(until))) = (axis, &rule.until) {
        let shown = zone.local(*until);
        // In the second pass of an overlap all of the first pass has been.
        let passed = until.0 - zone.instant(shown).0;
        bounded.series = bounded.series.with_until(later_by(shown, passed.max(0)));
        bounded.until = Some(*until);
    }
    Some(bounded)
}

fn instance_of(
    what: (&Source, Part),
    id: Option<When>,
    start: When,
    span: (Timestamp, Timestamp),
    zone: &Zone,
) -> Instance {
    let (source, part) = what;
    let (from, to) = span;
    let end = match &start {
        When::Utc(_) => When::Utc(to),
        start => start.with_local(zone.local(to)),
    };
    Instance {
        id,
        start: Some(start),
        end: Some(end),
        from,
        to,
        extent: source.extent(from, to),
        component: source.index,
        part,
    }
}
