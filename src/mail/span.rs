//! When something takes place, in words and in one zone.

use super::words::Words;
use crate::ical::{Component, Date, LocalTime, Timestamp, When, values};
use crate::recur::{Zone, Zones};

/// In which zone times are told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Frame<'a> {
    /// The reader's, where it is known: everything is told in it.
    pub(super) reader: Option<&'a Zone>,
    /// The writer's: times that are written in UTC are told in it.
    pub(super) writer: Option<&'a Zone>,
}

/// From when to when something is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Span {
    start: When,
    end: Option<When>,
}

impl Span {
    /// From DTSTART to DTEND, or as long as DURATION says. RFC 5545 §3.6.1
    pub(super) fn of(component: &Component, zones: &Zones) -> Option<Span> {
        let read = |name| component.property(name).and_then(values::when);
        let start: When = read("DTSTART")?;
        let length = component.property("DURATION").and_then(values::duration);
        let end = read("DTEND").or_else(|| {
            let length = length?;
            let day = start.local().add_days(length.days())?;
            Some(later(&start.with_local(day), length.seconds(), zones))
        });
        Some(Span { start, end })
    }

    /// The same length at another start.
    pub(super) fn at(&self, start: When, zones: &Zones) -> Span {
        let end = self.end.as_ref().map(|end| match (&self.start, end) {
            (When::Date(from), When::Date(to)) => {
                let days = to.days() - from.days();
                let moved = start.local().add_days(days);
                moved.map_or_else(|| start.clone(), |moved| start.with_local(moved))
            }
            (from, to) => {
                let floating = Zone::utc();
                let seconds = zones.instant(to, &floating).0 - zones.instant(from, &floating).0;
                later(&start, seconds, zones)
            }
        });
        Span { start, end }
    }

    /// In words.
    pub(super) fn say(&self, words: &Words, zones: &Zones, frame: Frame<'_>) -> String {
        if let When::Date(first) = self.start {
            let last = self.end.as_ref().and_then(|end| end.date().add_days(-1));
            return all_day(words, first, last);
        }
        let (from, zone) = shown(words, &self.start, zones, frame);
        let to = self.end.as_ref().map(|end| match (&self.start, end) {
            // A start and an end in two zones, as flights have, are told in that of the start.
            (When::Zoned(_, tzid), end) if frame.reader.is_none() => {
                let floating = Zone::utc();
                let zone = zones.get(tzid).unwrap_or(&floating);
                zone.local(zones.instant(end, &floating))
            }
            _ => shown(words, end, zones, frame).0,
        });
        let time = match to.filter(|to| *to != from) {
            None => words.date_time(from),
            Some(to) if to.date() == from.date() => {
                let (first, last) = (words.time(from), words.time(to));
                let time = words.say("time.span", &[("from", &first), ("to", &last)]);
                let date = words.date(from.date());
                words.say("time.at", &[("date", &date), ("time", &time)])
            }
            Some(to) => {
                let (first, last) = (words.date_time(from), words.date_time(to));
                words.say("time.span", &[("from", &first), ("to", &last)])
            }
        };
        words.say("time.in", &[("time", &time), ("zone", &zone)])
    }
}

/// A day or a time in words.
pub(super) fn say(words: &Words, at: &When, zones: &Zones, frame: Frame<'_>) -> String {
    if let When::Date(date) = at {
        return words.date(*date);
    }
    let (time, zone) = shown(words, at, zones, frame);
    let time = words.date_time(time);
    words.say("time.in", &[("time", &time), ("zone", &zone)])
}

/// The day on which something is, in words.
pub(super) fn say_day(words: &Words, at: &When, zones: &Zones, frame: Frame<'_>) -> String {
    match at {
        When::Date(date) => words.date(*date),
        at => words.date(shown(words, at, zones, frame).0.date()),
    }
}

fn all_day(words: &Words, first: Date, last: Option<Date>) -> String {
    let date = match last.filter(|last| *last > first) {
        None => words.date(first),
        Some(last) => {
            let (first, last) = (words.date(first), words.date(last));
            words.say("time.span", &[("from", &first), ("to", &last)])
        }
    };
    words.say("all-day", &[("date", &date)])
}

/// The local time at which something is told, and in which zone.
fn shown(words: &Words, at: &When, zones: &Zones, frame: Frame<'_>) -> (LocalTime, String) {
    if let When::Floating(_) | When::Date(_) = at {
        return (at.local(), words.text("floating").to_owned());
    }
    let utc = Zone::utc();
    let own = at.tzid().and_then(|tzid| zones.get(tzid));
    let zone = frame.reader.or(own).or(frame.writer).unwrap_or(&utc);
    let instant: Timestamp = zones.instant(at, zone);
    (zone.local(instant), words.zone(zone, instant))
}

/// So many exact seconds later, in the same form.
fn later(at: &When, seconds: i64, zones: &Zones) -> When {
    if seconds == 0 {
        return at.clone();
    }
    match at {
        When::Utc(instant) => When::Utc(instant.add_seconds(seconds)),
        When::Zoned(local, tzid) => match zones.get(tzid) {
            Some(zone) => {
                let instant = zone.instant(*local).add_seconds(seconds);
                When::Zoned(zone.local(instant), tzid.clone())
            }
            None => moved(at, seconds),
        },
        When::Date(_) | When::Floating(_) => moved(at, seconds),
    }
}

fn moved(at: &When, seconds: i64) -> When {
    let local = at.local().add_seconds(seconds);
    local.map_or_else(|| at.clone(), |local| at.with_local(local))
}
