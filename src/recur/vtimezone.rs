//! A VTIMEZONE evaluated as it is written: RRULE, RDATE and UNTIL of its observances
//! (RFC 5545 §3.6.5).
//!
//! **Gaps**: changes are listed for the years 1900 to 2199; after them the last offset stays.

use crate::ical::{self, Component, Date, LocalTime, Property, Timestamp, When, values};

use super::expand::{Limits, Series};
use super::rule::Rule;

/// The changes of the UTC offset that a VTIMEZONE describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// The offset before the first change, in seconds east of UTC.
    first: i64,
    changes: Vec<Change>,
}

/// A change of the UTC offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    at: i64,
    offset: i64,
    /// The local time, on its own axis, from which the new offset is read: the end of a gap or
    /// overlap.
    wall: i64,
}

/// The most observances that are read; a long history without rules has a few hundred.
const OBSERVANCES: usize = 2_000;
/// The most changes that are kept.
const CHANGES: usize = 20_000;
const YEARS: (i32, i32) = (1900, 2200);

/// The VTIMEZONE in an iCalendar object that has exactly one, and nothing else. RFC 4791 §5.2.2
#[must_use]
pub fn lone_vtimezone(text: &str, limits: &ical::Limits) -> Option<Component> {
    let parsed = ical::parse(text.as_bytes(), limits);
    let sound = parsed.fault().is_none();
    let [calendar] = parsed.calendars.try_into().ok()?;
    let one = calendar.all_components().count() == 1;
    let zone = calendar.component("VTIMEZONE").cloned()?;
    (sound && one && calendar.is("VCALENDAR")).then_some(zone)
}

impl Table {
    /// The changes that a VTIMEZONE describes; none where it has no usable observance.
    pub(super) fn of(vtimezone: &Component) -> Option<Table> {
        let mut onsets = Vec::new();
        for observance in vtimezone.all_components().take(OBSERVANCES) {
            if observance.is("STANDARD") || observance.is("DAYLIGHT") {
                read_observance(observance, &mut onsets);
            }
            if onsets.len() > CHANGES {
                return None;
            }
        }
        onsets.sort_by_key(|onset| onset.at);
        let first = onsets.first()?.before;
        let (mut changes, mut before) = (Vec::<Change>::new(), first);
        for onset in onsets {
            if onset.offset != before {
                let wall = onset.at + before.max(onset.offset);
                let (at, offset) = (onset.at, onset.offset);
                changes.push(Change { at, offset, wall });
                before = onset.offset;
            }
        }
        Some(Table { first, changes })
    }

    /// The offset at an instant.
    pub(super) fn offset(&self, instant: Timestamp) -> i64 {
        let after = self.changes.partition_point(|it| it.at <= instant.0);
        self.before(after)
    }

    /// The instant of a local time: the first in an overlap, by the offset before it in a gap.
    /// RFC 5545 §3.3.5
    pub(super) fn instant(&self, local: LocalTime) -> Timestamp {
        let seconds = local.seconds();
        let after = self.changes.partition_point(|it| it.wall <= seconds);
        Timestamp(seconds - self.before(after))
    }

    /// The changes after one instant and before another, with the offset after each.
    pub(super) fn between(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Iterator<Item = (i64, i64)> {
        let start = self.changes.partition_point(|it| it.at <= from.0);
        let rest = self.changes.iter().skip(start);
        rest.take_while(move |it| it.at < to.0)
            .map(|it| (it.at, it.offset))
    }

    /// The last change at an instant or before it.
    pub(super) fn last(&self, instant: Timestamp) -> Option<i64> {
        let after = self.changes.partition_point(|it| it.at <= instant.0);
        let last = self.changes.get(after.checked_sub(1)?)?;
        Some(last.at)
    }

    /// Roughly how many bytes it takes.
    pub(super) fn size(&self) -> usize {
        self.changes.len() * size_of::<Change>() + size_of::<Table>()
    }

    /// The offset before the change of that index.
    fn before(&self, index: usize) -> i64 {
        let previous = index.checked_sub(1).and_then(|it| self.changes.get(it));
        previous.map_or(self.first, |it| it.offset)
    }
}

/// The beginning of an observance.
struct Onset {
    at: i64,
    /// The offset before it, as the observance says.
    before: i64,
    offset: i64,
}

fn read_observance(observance: &Component, onsets: &mut Vec<Onset>) {
    let offset = |name| observance.property(name).and_then(values::utc_offset);
    let start = observance.property("DTSTART").and_then(values::when);
    let (Some(before), Some(after), Some(start)) =
        (offset("TZOFFSETFROM"), offset("TZOFFSETTO"), start)
    else {
        return;
    };
    let (before, after, start) = (i64::from(before), i64::from(after), start.local());
    let mut locals = vec![start];
    for property in observance.properties("RDATE") {
        locals.extend(values::whens(property).iter().map(When::local));
    }
    for property in observance.properties("RRULE") {
        locals.extend(rule_onsets(property, start, before));
    }
    onsets.extend(locals.iter().map(|local| Onset {
        at: local.seconds() - before,
        before,
        offset: after,
    }));
}

/// The local times at which a rule of an observance begins it, in the years of the table. A rule
/// that cannot be read, or would take too long, is no rule.
fn rule_onsets(property: &Property, start: LocalTime, before: i64) -> Vec<LocalTime> {
    let Ok((rule, _)) = Rule::parse(property.value().trim()) else {
        return Vec::new();
    };
    let until = match &rule.until {
        // "If the rule part UNTIL is specified, it MUST be in UTC": the offset before is meant.
        Some(When::Utc(until)) => Some(until.add_seconds(before).utc()),
        _ => None,
    };
    let mut series = Series::new(&rule, &When::Floating(start));
    if let Some(until) = until {
        series = series.with_until(until);
    }
    let year = |year| Date::new(year, 1, 1).map_or(LocalTime::MIN, Date::midnight);
    let limits = Limits {
        instances: 4_000,
        work: 1_000_000,
    };
    let window = (start.max(year(YEARS.0)), year(YEARS.1));
    series
        .between(window.0, window.1, &limits)
        .unwrap_or_default()
}
