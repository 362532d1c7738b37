//! When somebody is busy: the periods that objects contribute to a range by FBTYPE
//! (RFC 4791 §7.10, RFC 5545 §3.6.4, RFC 7953 §4).
//!
//! Availabilities are laid under everything else. Among themselves those of a higher PRIORITY cover
//! those of a lower one, free time included; those of one priority are free where any of them is.

use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::ical::Timestamp;

use super::busy_source::{Availability, Busy, FbType};
use super::expand::{Limits, TooMuch, Work};
use super::instances::{Compiled, Query};
use super::range::Range;
use super::source::{Source, period_instants};
use super::zone::Zone;

/// A period of one free/busy type. RFC 5545 §3.8.2.6
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusyPeriod {
    /// Its start.
    pub start: Timestamp,
    /// Its end, later than the start.
    pub end: Timestamp,
    /// Its type, never FREE.
    pub kind: FbType,
}

/// The busy time of many objects in a range.
#[derive(Clone, Debug)]
pub struct Timeline {
    range: Range,
    owner: Vec<String>,
    periods: Vec<BusyPeriod>,
    layers: Vec<Layer>,
}

/// What one VAVAILABILITY says.
#[derive(Clone, Debug)]
struct Layer {
    priority: u8,
    busy: BusyPeriod,
    free: Vec<(Timestamp, Timestamp)>,
}

/// The busy time of one object in a range, sorted and merged. RFC 4791 §7.10
///
/// # Errors
///
/// When it meets a limit.
pub fn busy(
    object: &Compiled,
    range: Range,
    floating: &Zone,
    limits: &Limits,
) -> Result<Vec<BusyPeriod>, TooMuch> {
    let mut timeline = Timeline::new(range);
    timeline.add(object, floating, limits)?;
    Ok(timeline.finish())
}

/// The periods sorted by their start; those of one type that overlap or touch are one.
/// RFC 4791 §7.10
#[must_use]
pub fn merge(periods: Vec<BusyPeriod>) -> Vec<BusyPeriod> {
    let mut periods = periods;
    periods.sort_unstable_by(|a, b| (&a.kind, a.start, a.end).cmp(&(&b.kind, b.start, b.end)));
    periods.dedup_by(|next, last| {
        let joined = next.kind == last.kind && next.start <= last.end;
        if joined {
            last.end = last.end.max(next.end);
        }
        joined
    });
    periods.sort_unstable_by(|a, b| (a.start, a.end, &a.kind).cmp(&(b.start, b.end, &b.kind)));
    periods
}

impl Timeline {
    /// A range in which nobody is busy yet.
    #[must_use]
    pub fn new(range: Range) -> Timeline {
        Timeline::of(range, Vec::new())
    }

    /// A range in which somebody with these addresses is not busy yet; each is in the form of
    /// [`address_key`](crate::ical::address_key). Events that they declined will not count.
    #[must_use]
    pub fn of(range: Range, owner: Vec<String>) -> Timeline {
        Timeline {
            range,
            owner,
            periods: Vec::new(),
            layers: Vec::new(),
        }
    }

    /// Adds what an object contributes. Its limits are its own; an object of which nothing can be
    /// told adds nothing.
    ///
    /// # Errors
    ///
    /// When it meets a limit.
    pub fn add(
        &mut self,
        object: &Compiled,
        floating: &Zone,
        limits: &Limits,
    ) -> Result<(), TooMuch> {
        let mut work = Work::new(limits);
        let mut room = limits.instances;
        let query = Query {
            range: self.range,
            floating,
            component: None,
        };
        for set in &object.sets {
            let mut layers = Vec::new();
            let flow =
                object.visit_set(
                    set,
                    &query,
                    &mut work,
                    &mut |instance, source| match &source.busy {
                        Busy::Event { declined, .. } if self.is_among(declined) => {
                            ControlFlow::Continue(())
                        }
                        Busy::Event { kind, .. } => {
                            self.push(instance.from, instance.to, kind, &mut room)
                        }
                        Busy::Availability(_) => {
                            layers.push((source.index, (instance.from, instance.to)));
                            ControlFlow::Continue(())
                        }
                        Busy::Nothing | Busy::Periods(_) => ControlFlow::Continue(()),
                    },
                )?;
            let sources = set.sources();
            let flow = self.add_periods(sources, (object, floating), flow, &mut room);
            if flow.is_break() {
                return Err(TooMuch::Instances);
            }
            let by_index: HashMap<usize, &Source> =
                set.sources().map(|source| (source.index, source)).collect();
            for (index, span) in layers {
                let source = by_index.get(&index).map(|source| &source.busy);
                if let Some(Busy::Availability(availability)) = source {
                    self.add_layer((availability, span), (object, &query), &mut work)?;
                }
            }
        }
        Ok(())
    }

    fn is_among(&self, keys: &[String]) -> bool {
        keys.iter().any(|key| self.owner.contains(key))
    }

    /// The periods of VFREEBUSY components.
    fn add_periods<'a>(
        &mut self,
        sources: impl Iterator<Item = &'a Source>,
        place: (&Compiled, &Zone),
        flow: ControlFlow<()>,
        room: &mut usize,
    ) -> ControlFlow<()> {
        flow?;
        for source in sources {
            let Busy::Periods(periods) = &source.busy else {
                continue;
            };
            for (period, kind) in periods {
                let (start, end) = period_instants(period, &place.0.zones, place.1);
                self.push(start, end, kind, room)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn push(
        &mut self,
        start: Timestamp,
        end: Timestamp,
        kind: &FbType,
        room: &mut usize,
    ) -> ControlFlow<()> {
        let start = start.max(self.range.start);
        let end = end.min(self.range.end);
        if start >= end || *kind == FbType::Free {
            return ControlFlow::Continue(());
        }
        if *room == 0 {
            return ControlFlow::Break(());
        }
        *room -= 1;
        self.periods.push(BusyPeriod {
            start,
            end,
            kind: kind.clone(),
        });
        ControlFlow::Continue(())
    }

    fn add_layer(
        &mut self,
        layer: (&Availability, (Timestamp, Timestamp)),
        place: (&Compiled, &Query<'_>),
        work: &mut Work,
    ) -> Result<(), TooMuch> {
        let ((availability, (start, end)), (object, query)) = (layer, place);
        let start = start.max(self.range.start);
        let end = end.min(self.range.end);
        if start >= end {
            return Ok(());
        }
        let mut free = Vec::new();
        for set in &availability.available {
            let _: ControlFlow<()> = object.visit_set(set, query, work, &mut |instance, _| {
                let (from, to) = (instance.from.max(start), instance.to.min(end));
                if from < to {
                    free.push((from, to));
                }
                ControlFlow::Continue(())
            })?;
        }
        self.layers.push(Layer {
            priority: availability.priority,
            busy: BusyPeriod {
                start,
                end,
                kind: availability.kind.clone(),
            },
            free,
        });
        Ok(())
    }

    /// All busy time, sorted and merged.
    #[must_use]
    pub fn finish(self) -> Vec<BusyPeriod> {
        let mut periods = self.periods;
        let mut layers = self.layers;
        layers.sort_by_key(|layer| layer.priority);
        // What layers of higher priority have decided.
        let mut covered: Vec<(Timestamp, Timestamp)> = Vec::new();
        for group in layers.chunk_by(|one, two| one.priority == two.priority) {
            let free = group.iter().flat_map(|layer| layer.free.iter().copied());
            let closed = union(free.chain(covered.iter().copied()).collect());
            for layer in group {
                let span = (layer.busy.start, layer.busy.end);
                let open = without(span, &closed).into_iter();
                periods.extend(open.map(|(start, end)| BusyPeriod {
                    start,
                    end,
                    kind: layer.busy.kind.clone(),
                }));
            }
            let spans = group.iter().map(|layer| (layer.busy.start, layer.busy.end));
            covered = union(spans.chain(covered).collect());
        }
        periods.retain(|period| period.kind != FbType::Free);
        merge(periods)
    }
}

/// The spans sorted, those that overlap or touch joined.
fn union(spans: Vec<(Timestamp, Timestamp)>) -> Vec<(Timestamp, Timestamp)> {
    let mut spans = spans;
    spans.sort_unstable();
    spans.dedup_by(|next, last| {
        let joined = next.0 <= last.1;
        if joined {
            last.1 = last.1.max(next.1);
        }
        joined
    });
    spans
}

/// What is left of a span outside of others, which are sorted and apart.
fn without(
    span: (Timestamp, Timestamp),
    others: &[(Timestamp, Timestamp)],
) -> Vec<(Timestamp, Timestamp)> {
    let (mut start, end) = span;
    let mut left = Vec::new();
    let first = others.partition_point(|other| other.1 <= start);
    for (from, to) in others.iter().skip(first).take_while(|other| other.0 < end) {
        if start < *from {
            left.push((start, *from));
        }
        start = start.max(*to);
    }
    if start < end {
        left.push((start, end));
    }
    left
}
