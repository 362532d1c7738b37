//! When the alarms of a calendar object go off (RFC 5545 §3.6.6, §3.8.6.3; RFC 4791 §9.9).
//!
//! An alarm relative to an instance goes off for each of them, one with a time of its own once.
//! A to-do without DTSTART has its DUE in its place, as the example of RFC 4791 §7.8.5 wants it.

use std::ops::ControlFlow;

use crate::ical::Timestamp;
use crate::ical::values::Trigger;

use super::expand::{Limits, TooMuch, Work};
use super::instances::{Compiled, Instance, Query};
use super::range::{DAY, Range};
use super::set::Set;
use super::source::{Alarm, Source, after};
use super::zone::Zone;

/// One time an alarm goes off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlarmTime {
    /// The position of its component among the object's components of its kind.
    pub component: usize,
    /// The position of the alarm among the component's.
    pub alarm: usize,
    /// When it goes off.
    pub at: Timestamp,
}

type Show<'a> = &'a mut dyn FnMut(&AlarmTime) -> ControlFlow<()>;

impl Compiled {
    /// Whether any of its components has alarms that can go off.
    #[must_use]
    pub fn has_alarms(&self) -> bool {
        let mut sources = self.sets.iter().flat_map(Set::sources);
        sources.any(|source| !source.alarms.is_empty())
    }

    /// Shows each time in the range an alarm goes off, until the visitor breaks off. They come by
    /// instance, not by time.
    ///
    /// # Errors
    ///
    /// When it meets the limit on work.
    pub fn visit_alarms(
        &self,
        query: &Query<'_>,
        limits: &Limits,
        visitor: Show<'_>,
    ) -> Result<(), TooMuch> {
        let mut work = Work::new(limits);
        for set in &self.sets {
            if self
                .visit_set_alarms(set, query, &mut work, visitor)?
                .is_break()
            {
                break;
            }
        }
        Ok(())
    }

    /// Whether any alarm goes off in the range: `start <= trigger-time AND end > trigger-time`.
    /// RFC 4791 §9.9
    ///
    /// # Errors
    ///
    /// When it meets the limit on work.
    pub fn alarms_overlap(
        &self,
        range: Range,
        floating: &Zone,
        limits: &Limits,
    ) -> Result<bool, TooMuch> {
        let mut found = false;
        let query = Query {
            range,
            floating,
            component: None,
        };
        self.visit_alarms(&query, limits, &mut |_| {
            found = true;
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    fn visit_set_alarms(
        &self,
        set: &Set,
        query: &Query<'_>,
        work: &mut Work,
        visitor: Show<'_>,
    ) -> Result<ControlFlow<()>, TooMuch> {
        let Some((before, behind)) = reach(set) else {
            return Ok(ControlFlow::Continue(()));
        };
        for source in set.sources() {
            let wanted = query.component.is_none_or(|index| index == source.index);
            for alarm in source.alarms.iter().filter(|_| wanted) {
                if let Trigger::At(at) = &alarm.trigger {
                    let first = self.zones.instant(at, query.floating);
                    let zone = Zone::utc();
                    if repeats((source, alarm), first, (query.range, &zone), visitor).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
        }
        let wide = Query {
            range: query.range.widened(behind, before),
            ..*query
        };
        self.visit_set(set, &wide, work, &mut |instance, source| {
            let zone = instance.start.as_ref();
            let zone = zone.and_then(|start| self.zones.zone_of(start, query.floating));
            let utc = Zone::utc();
            let zone = zone.unwrap_or(&utc);
            for alarm in &source.alarms {
                let Some(first) = first_time(alarm, instance, zone) else {
                    continue;
                };
                repeats((source, alarm), first, (query.range, zone), visitor)?;
            }
            ControlFlow::Continue(())
        })
    }
}

/// How far before the start of an instance and after its end alarms of a set may go off, in
/// seconds; nothing when there are no alarms.
pub(super) fn reach(set: &Set) -> Option<(i64, i64)> {
    let mut found = None;
    for alarm in set.sources().flat_map(|source| &source.alarms) {
        let (before, behind) = found.unwrap_or((0, 0));
        let first = match &alarm.trigger {
            Trigger::Start(length) | Trigger::End(length) => length.nominal_seconds(),
            Trigger::At(_) => 0,
        };
        let gap = alarm.gap.nominal_seconds();
        let repeated = gap.saturating_mul(i64::from(alarm.repeat));
        let last = first.saturating_add(repeated);
        let slack = |seconds: i64| {
            if seconds > 0 {
                seconds.saturating_add(DAY)
            } else {
                0
            }
        };
        found = Some((slack(-first).max(before), slack(last).max(behind)));
    }
    found
}

fn first_time(alarm: &Alarm, instance: &Instance, zone: &Zone) -> Option<Timestamp> {
    match &alarm.trigger {
        Trigger::Start(length) => {
            instance.start.as_ref()?;
            Some(after(instance.from, *length, zone))
        }
        Trigger::End(length) => {
            instance.end.as_ref()?;
            Some(after(instance.to, *length, zone))
        }
        Trigger::At(_) => None,
    }
}

/// Shows an alarm's first time and its repetitions, as far as they lie in the range.
fn repeats(
    what: (&Source, &Alarm),
    first: Timestamp,
    place: (Range, &Zone),
    visitor: Show<'_>,
) -> ControlFlow<()> {
    let ((source, alarm), (range, zone)) = (what, place);
    let mut show = |at: Timestamp| {
        let time = AlarmTime {
            component: source.index,
            alarm: alarm.index,
            at,
        };
        if range.contains(at) {
            visitor(&time)
        } else {
            ControlFlow::Continue(())
        }
    };
    show(first)?;
    let gap = alarm.gap.nominal_seconds();
    if gap <= 0 {
        return ControlFlow::Continue(());
    }
    // Repetitions that are certainly too early are passed over in one step.
    let skipped = (range
        .start
        .0
        .saturating_sub(first.0)
        .saturating_sub(2 * DAY)
        / gap)
        .max(0);
    let skipped = skipped.min(i64::from(alarm.repeat));
    let mut at = first.add_seconds(gap.saturating_mul(skipped));
    for _ in skipped..i64::from(alarm.repeat) {
        at = after(at, alarm.gap, zone);
        if at >= range.end {
            break;
        }
        show(at)?;
    }
    ControlFlow::Continue(())
}
