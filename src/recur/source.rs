//! What one component says about time: where it begins, how long it takes, which of the conditions
//! of RFC 4791 §9.9 it is tested by, and its alarms (RFC 5545 §3.6.1-3.6.6, RFC 7953 §3.1).
//!
//! An end written as a time gives every instance "the same exact duration", a length written as
//! DURATION "the same nominal duration". RFC 5545 §3.8.5.3

use crate::ical::values::{self, PeriodEnd, Trigger};
use crate::ical::{Component, Duration, Kind, LocalTime, Property, Timestamp, When};

use super::busy_source::Busy;
use super::range::{DAY, Extent};
use super::zone::{Zone, Zones};

/// One component, read once.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Its position among the components of its kind.
    pub(super) index: usize,
    /// DTSTART, or the DUE of a to-do without it.
    pub(super) start: Option<When>,
    pub(super) length: Length,
    pub(super) row: Row,
    /// RECURRENCE-ID.
    pub(super) id: Option<When>,
    /// RANGE=THISANDFUTURE.
    pub(super) future: bool,
    pub(super) alarms: Vec<Alarm>,
    pub(super) busy: Busy,
}

/// How long every instance takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// No time at all.
    None,
    /// So many seconds on the local axis: whole days, and ends that float as their start does.
    Local(i64),
    /// So many seconds.
    Exact(i64),
    /// Days of the local calendar, then seconds.
    Nominal(Duration),
}

/// Which condition of RFC 4791 §9.9 tests an instance.
#[derive(Clone, Debug)]
pub(super) enum Row {
    /// VEVENT, VJOURNAL and to-dos with only a start.
    Span,
    /// A to-do with a start and a DURATION.
    TodoDuration,
    /// A to-do with a start and a DUE.
    TodoDue,
    /// A to-do with a DUE alone.
    DueOnly,
    /// A to-do with neither: COMPLETED and CREATED decide.
    Logged(Option<Timestamp>, Option<Timestamp>),
    /// A VFREEBUSY with DTSTART and DTEND.
    Closed,
    /// A VFREEBUSY with neither: its FREEBUSY periods.
    Periods(Vec<values::Period>),
    /// A VAVAILABILITY: from and to where it says so.
    Open(Option<When>),
    /// Nothing that can overlap a range.
    Never,
}

/// A VALARM.
#[derive(Clone, Debug)]
pub(super) struct Alarm {
    /// Its position among the component's alarms.
    pub(super) index: usize,
    pub(super) trigger: Trigger,
    /// REPEAT: how often it goes off again.
    pub(super) repeat: u32,
    /// DURATION: how long after the last time.
    pub(super) gap: Duration,
}

/// The kind of object a calendar holds: that of its first component that is one.
pub(super) fn kind_of(calendar: &Component) -> Option<Kind> {
    const KINDS: [Kind; 5] = [
        Kind::Event,
        Kind::Todo,
        Kind::Journal,
        Kind::FreeBusy,
        Kind::Availability,
    ];
    calendar.all_components().find_map(|component| {
        let is = |kind: &&Kind| component.is(kind.component_name());
        KINDS.iter().find(is).copied()
    })
}

impl Length {
    /// The end of what begins there.
    pub(super) fn end(self, local: LocalTime, zone: &Zone) -> Timestamp {
        let start = zone.instant(local);
        match self {
            Length::None | Length::Local(0) => start,
            Length::Local(seconds) => zone.instant(later(local, seconds)),
            Length::Exact(seconds) => start.add_seconds(seconds),
            Length::Nominal(length) => after(start, length, zone),
        }
    }
}

impl Source {
    /// Reads a component of that kind. An AVAILABLE is read as an event.
    pub(super) fn read(component: &Component, index: usize, kind: Kind, zones: &Zones) -> Source {
        let id = component.property("RECURRENCE-ID");
        let future = id.and_then(|id| id.param("RANGE"));
        let mut source = Source {
            index,
            start: time(component, "DTSTART"),
            length: Length::None,
            row: Row::Never,
            id: id.and_then(values::when),
            future: future.is_some_and(|range| range.eq_ignore_ascii_case("THISANDFUTURE")),
            alarms: alarms(component),
            busy: Busy::read(component, kind, zones),
        };
        match kind {
            Kind::Event => source.read_event(component, zones),
            Kind::Todo => source.read_todo(component, zones),
            Kind::Journal => source.read_journal(),
            Kind::FreeBusy => source.read_free_busy(component, zones),
            Kind::Availability => source.read_availability(component),
        }
        source
    }

    fn read_event(&mut self, component: &Component, zones: &Zones) {
        let Some(start) = &self.start else {
            return;
        };
        self.row = Row::Span;
        let whole_day = if start.is_date() { DAY } else { 0 };
        let end = time(component, "DTEND");
        let duration = component.property("DURATION").and_then(values::duration);
        self.length = match (end, duration) {
            // A DTEND that is not later breaks RFC 5545 §3.8.2.2; a day that ends on itself is
            // what some programs write for one day.
            (Some(end), _) => match between(start, &end, zones) {
                Length::Local(..=0) | Length::Exact(..=0) => Length::Local(whole_day),
                length => length,
            },
            (None, Some(duration)) if !duration.is_negative() => Length::Nominal(duration),
            (None, _) => Length::Local(whole_day),
        };
    }

    fn read_todo(&mut self, component: &Component, zones: &Zones) {
        let due = time(component, "DUE");
        let duration = component.property("DURATION").and_then(values::duration);
        match (&self.start, due, duration) {
            (Some(start), Some(due), _) => {
                self.length = between(start, &due, zones);
                self.row = Row::TodoDue;
            }
            (Some(_), None, Some(duration)) => {
                self.length = Length::Nominal(duration);
                self.row = Row::TodoDuration;
            }
            (Some(_), None, None) => self.row = Row::Span,
            (None, Some(due), _) => {
                self.start = Some(due);
                self.row = Row::DueOnly;
            }
            (None, None, _) => {
                let instant = |name| time(component, name).map(|when| when.local().as_utc());
                self.row = Row::Logged(instant("COMPLETED"), instant("CREATED"));
            }
        }
    }

    fn read_journal(&mut self) {
        if let Some(start) = &self.start {
            self.row = Row::Span;
            self.length = Length::Local(if start.is_date() { DAY } else { 0 });
        }
    }

    fn read_free_busy(&mut self, component: &Component, zones: &Zones) {
        match (&self.start, time(component, "DTEND")) {
            (Some(start), Some(end)) => {
                self.length = between(start, &end, zones);
                self.row = Row::Closed;
            }
            _ => {
                let periods = component.properties("FREEBUSY").flat_map(values::periods);
                self.row = Row::Periods(periods.collect());
            }
        }
    }

    fn read_availability(&mut self, component: &Component) {
        let end = time(component, "DTEND");
        let duration = component.property("DURATION").and_then(values::duration);
        if let (None, Some(duration), Some(_)) = (&end, duration, &self.start) {
            self.length = Length::Nominal(duration);
            self.row = Row::Span;
        } else {
            self.row = Row::Open(end);
        }
    }

    /// The end of an instance that begins there.
    pub(super) fn end(&self, local: LocalTime, zone: &Zone) -> Timestamp {
        self.length.end(local, zone)
    }

    /// The longest any instance can take, in seconds and generously.
    pub(super) fn longest(&self) -> i64 {
        match self.length {
            Length::None | Length::Local(0) => 0,
            Length::Local(seconds) => seconds.saturating_add(DAY),
            Length::Exact(seconds) => seconds,
            Length::Nominal(length) => length.nominal_seconds().saturating_add(DAY),
        }
    }

    /// The condition of RFC 4791 §9.9 on an instance with that start and end.
    pub(super) fn extent(&self, from: Timestamp, to: Timestamp) -> Extent {
        match self.row {
            Row::TodoDuration => Extent {
                start: from,
                starts_inside: to <= from,
                end: to,
                ends_inside: true,
            },
            Row::TodoDue => Extent {
                start: from.min(to),
                starts_inside: to <= from,
                end: to.max(from),
                ends_inside: to <= from,
            },
            Row::DueOnly => Extent {
                start: from,
                starts_inside: true,
                end: to,
                ends_inside: false,
            },
            Row::Closed => Extent {
                start: from,
                starts_inside: false,
                end: to,
                ends_inside: true,
            },
            Row::Span | Row::Logged(..) | Row::Periods(_) | Row::Open(_) | Row::Never => Extent {
                start: from,
                starts_inside: false,
                end: to,
                ends_inside: to <= from,
            },
        }
    }

    /// The spans of a component whose time no single start tells, with its start and end where they
    /// are known.
    pub(super) fn fixed(&self, zones: &Zones, floating: &Zone) -> Vec<Extent> {
        let all = Extent::ALL;
        match &self.row {
            Row::Logged(None, None) => vec![all],
            Row::Logged(None, Some(created)) => vec![Extent {
                start: *created,
                starts_inside: false,
                ..all
            }],
            Row::Logged(Some(completed), created) => {
                let created = created.unwrap_or(*completed);
                vec![Extent {
                    start: created.min(*completed),
                    starts_inside: true,
                    end: created.max(*completed),
                    ends_inside: true,
                }]
            }
            Row::Periods(periods) => {
                let extent = |period: &values::Period| {
                    let (start, end) = period_instants(period, zones, floating);
                    Extent::span(start, end)
                };
                periods.iter().map(extent).collect()
            }
            Row::Open(end) => {
                let instant = |when: &When| zones.instant(when, floating);
                let start = self.start.as_ref().map_or(Timestamp::MIN, instant);
                vec![Extent::span(
                    start,
                    end.as_ref().map_or(Timestamp::MAX, instant),
                )]
            }
            _ => Vec::new(),
        }
    }
}

/// The instants a period begins and ends at.
pub(super) fn period_instants(
    period: &values::Period,
    zones: &Zones,
    floating: &Zone,
) -> (Timestamp, Timestamp) {
    let start = zones.instant(&period.start, floating);
    let end = match &period.end {
        PeriodEnd::At(end) => zones.instant(end, floating),
        PeriodEnd::For(length) => {
            let zone = zones.zone_of(&period.start, floating).cloned();
            after(start, *length, &zone.unwrap_or_else(Zone::utc))
        }
    };
    (start, end)
}

/// The value of a property that holds a DATE or DATE-TIME.
pub(super) fn time(component: &Component, name: &str) -> Option<When> {
    component.property(name).and_then(values::when)
}

fn alarms(component: &Component) -> Vec<Alarm> {
    let read = |(index, alarm): (usize, &Component)| {
        let number = |property: &Property| property.value().trim().parse().ok();
        let gap = alarm.property("DURATION").and_then(values::duration);
        let gap = gap.filter(|gap| gap.nominal_seconds() > 0);
        let repeat = alarm.property("REPEAT").and_then(number);
        Some(Alarm {
            index,
            trigger: alarm.property("TRIGGER").and_then(values::trigger)?,
            repeat: gap.and(repeat).unwrap_or(0),
            gap: gap.unwrap_or(Duration::ZERO),
        })
    };
    component
        .components("VALARM")
        .enumerate()
        .filter_map(read)
        .collect()
}

/// The distance of two times as every instance is to have it.
fn between(start: &When, end: &When, zones: &Zones) -> Length {
    let floats = |when: &When| match when {
        When::Zoned(_, tzid) => zones.get(tzid).is_none(),
        When::Utc(_) => false,
        When::Date(_) | When::Floating(_) => true,
    };
    let exact =
        |zone: &Zone| Length::Exact(zones.instant(end, zone).0 - zones.instant(start, zone).0);
    match (floats(start), floats(end)) {
        (true, _) => Length::Local(end.local().seconds() - start.local().seconds()),
        // An end without a zone is read in that of the start.
        (false, _) => match zones.zone_of(start, &Zone::utc()) {
            Some(zone) => exact(zone),
            None => exact(&Zone::utc()),
        },
    }
}

/// The local time so many seconds later, cut to where there are dates.
pub(super) fn later(local: LocalTime, seconds: i64) -> LocalTime {
    let bound = if seconds < 0 {
        LocalTime::MIN
    } else {
        LocalTime::MAX
    };
    local.add_seconds(seconds).unwrap_or(bound)
}

/// An instant and a duration: days on the local axis, then exact seconds. RFC 5545 §3.3.6
pub(super) fn after(instant: Timestamp, length: Duration, zone: &Zone) -> Timestamp {
    let day = if length.days() == 0 {
        instant
    } else {
        zone.instant(later(zone.local(instant), length.days() * DAY))
    };
    day.add_seconds(length.seconds())
}
