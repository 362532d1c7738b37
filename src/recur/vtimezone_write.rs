//! From zone data to a VTIMEZONE (RFC 5545 §3.6.5): only as far back as is needed, rules where the
//! changes follow one, RDATE where they do not.
//!
//! What is written is read again and compared with the zone; were they to differ, every change is
//! written as it is.

use crate::ical::{Component, Date, Item, LocalTime, Property, Timestamp, Weekday, days_in_month};

use super::vtimezone::Table;
use super::zone::{Transition, Zone, collect};

/// The last year that is looked at: the longest list of announced changes, that of Morocco, ends in
/// 2087, and all zones follow a rule after it.
const LAST_YEAR: i32 = 2100;
/// More changes than any zone has until then.
const CHANGES: usize = 2_000;

/// The VTIMEZONE of a zone under a TZID, right from a day on, and until another where one is given.
/// RFC 5545 §3.6.5
#[must_use]
pub fn vtimezone(zone: &Zone, tzid: &str, from: Date, to: Option<Date>) -> Component {
    let from = from.midnight().as_utc().add_seconds(-86_400);
    let year = from.utc().date().year().max(LAST_YEAR - 20) + 20;
    let end = Date::new(year, 1, 1)
        .unwrap_or(Date::MAX)
        .midnight()
        .as_utc();
    let needed = to.map_or(end, |to| to.midnight().as_utc().add_seconds(2 * 86_400));
    let changes = changes(zone, from, end);
    let head = Component::new("VTIMEZONE").with(Property::text_value("TZID", tzid));
    let mut written = head.clone();
    for observance in observances(&changes, needed, end) {
        written.push_component(observance.component());
    }
    if agrees(&written, &changes, needed.min(end)) {
        return written;
    }
    let single = |change: &Transition| Observance::of(change).component();
    let start = changes.iter().filter(|it| it.at < needed).map(single);
    start.fold(head, Component::with_component)
}

/// Adds a VTIMEZONE for each TZID of a calendar that names a zone and has none: for mail and
/// export. RFC 5545 §3.2.19
pub fn add_timezones(calendar: &mut Component) {
    let (mut uses, mut endless) = (Vec::new(), false);
    for component in calendar.all_components().filter(|it| !it.is("VTIMEZONE")) {
        collect(component, &mut uses);
        endless |= component.property("RRULE").is_some();
    }
    let mut defined: Vec<String> = calendar.components("VTIMEZONE").map(tzid_of).collect();
    let mut added = Vec::new();
    for (tzid, years) in uses {
        if defined.iter().any(|it| *it == *tzid) {
            continue;
        }
        let Some(zone) = Zone::of_tzid(&tzid) else {
            continue;
        };
        let from = Date::new(years.first, 1, 1).unwrap_or(Date::MIN);
        let to = Date::new(years.last, 12, 31).filter(|_| !endless);
        added.push(Item::Component(vtimezone(&zone, &tzid, from, to)));
        defined.push(tzid.as_ref().to_owned());
    }
    let component = |item: &Item| matches!(item, Item::Component(_));
    let place = calendar.items.iter().position(component);
    let place = place.unwrap_or(calendar.items.len());
    calendar.items.splice(place..place, added);
}

/// Removes each VTIMEZONE whose TZID is an IANA name: for clients that know the zones.
/// RFC 7809 §3.1.3
pub fn strip_timezones(calendar: &mut Component) {
    calendar.retain_components(|it| !it.is("VTIMEZONE") || Zone::named(&tzid_of(it)).is_none());
}

fn tzid_of(vtimezone: &Component) -> String {
    let tzid = vtimezone.text("TZID").unwrap_or_default();
    tzid.trim().to_owned()
}

/// The change in force at an instant and those after it. Where there is none before it, the offset
/// that always was, as a change that changes nothing.
fn changes(zone: &Zone, from: Timestamp, end: Timestamp) -> Vec<Transition> {
    let first = zone.last_transition(from).unwrap_or_else(|| {
        let offset = zone.offset(from);
        let start = Date::new(1900, 1, 1).unwrap_or(Date::MIN).midnight();
        let (name, daylight) = zone.observance(from);
        Transition {
            at: start.as_utc().add_seconds(-offset).min(from),
            before: offset,
            after: offset,
            name,
            daylight,
        }
    });
    let mut changes = vec![first];
    changes.extend(zone.transitions(from, end, CHANGES));
    changes
}

/// What a VTIMEZONE says of one kind of change.
struct Observance {
    change: Transition,
    /// The rule by which it comes again each year, and its last time where it ends.
    rule: Option<(Pattern, Option<Timestamp>)>,
    more: Vec<LocalTime>,
}

/// How the day of a yearly change is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern {
    /// The n-th such weekday of the month.
    Nth(u8, Weekday),
    /// The last such weekday of the month.
    Last(Weekday),
    /// The first such weekday on or after a day of the month.
    From(u8, Weekday),
    /// A day of the month.
    Day(u8),
}

/// The observances for all changes before `needed`, each kind of change in as few as possible.
fn observances(changes: &[Transition], needed: Timestamp, end: Timestamp) -> Vec<Observance> {
    let mut kinds: Vec<Vec<&Transition>> = Vec::new();
    for change in changes {
        match kinds
            .iter_mut()
            .find(|kind| kind.first().is_some_and(|it| alike(it, change)))
        {
            Some(kind) => kind.push(change),
            None => kinds.push(vec![change]),
        }
    }
    let mut found = Vec::new();
    for kind in &kinds {
        observances_of(kind, needed, end, &mut found);
    }
    found.sort_by_key(|it| it.change.at);
    found
}

fn alike(one: &Transition, two: &Transition) -> bool {
    one.before == two.before
        && one.after == two.after
        && one.name == two.name
        && one.daylight == two.daylight
}

fn observances_of(
    kind: &[&Transition],
    needed: Timestamp,
    end: Timestamp,
    found: &mut Vec<Observance>,
) {
    let last_year = end.utc().date().year() - 1;
    let mut single: Option<Observance> = None;
    let mut rest = kind;
    while let [first, ..] = rest {
        if first.at >= needed {
            break;
        }
        let (pattern, length) = longest(rest);
        let (run, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        let last = run.last().unwrap_or(first);
        let endless = after.is_empty() && onset(last).date().year() >= last_year;
        if length >= 3 || endless {
            found.push(Observance {
                change: (*first).clone(),
                rule: Some((pattern, (!endless).then_some(last.at))),
                more: Vec::new(),
            });
            rest = after;
        } else {
            match &mut single {
                Some(single) => single.more.push(onset(first)),
                None => single = Some(Observance::of(first)),
            }
            rest = rest.get(1..).unwrap_or_default();
        }
    }
    found.extend(single);
}

/// The local time of a change, by the offset before it.
fn onset(change: &Transition) -> LocalTime {
    change.at.add_seconds(change.before).utc()
}

/// The pattern that the first changes follow longest, and how many do: one a year, at one time.
fn longest(changes: &[&Transition]) -> (Pattern, usize) {
    let onsets: Vec<LocalTime> = changes.iter().map(|it| onset(it)).collect();
    let Some(first) = onsets.first() else {
        return (Pattern::Day(1), 0);
    };
    let (date, weekday) = (first.date(), first.date().weekday());
    let mut patterns = vec![
        Pattern::Last(weekday),
        Pattern::Nth((date.day() - 1) / 7 + 1, weekday),
        Pattern::Day(date.day()),
    ];
    let earliest = date.day().saturating_sub(6).max(1);
    patterns.extend((earliest..=date.day()).map(|day| Pattern::From(day, weekday)));
    let length = |pattern: &Pattern| {
        let follows = |(years, local): &(i32, &LocalTime)| {
            local.date().year() == date.year() + years
                && local.date().month() == date.month()
                && local.second_of_day() == first.second_of_day()
                && pattern.holds(local.date())
        };
        (0..).zip(&onsets).take_while(follows).count()
    };
    let mut best = (Pattern::Day(date.day()), 0);
    for pattern in patterns {
        let length = length(&pattern);
        if length > best.1 {
            best = (pattern, length);
        }
    }
    best
}

impl Pattern {
    fn holds(self, date: Date) -> bool {
        let (day, last) = (date.day(), days_in_month(date.year(), date.month()));
        match self {
            Pattern::Nth(n, weekday) => date.weekday() == weekday && (day - 1) / 7 + 1 == n,
            Pattern::Last(weekday) => date.weekday() == weekday && day + 7 > last,
            Pattern::From(first, weekday) => {
                first + 6 <= last && date.weekday() == weekday && (first..first + 7).contains(&day)
            }
            Pattern::Day(known) => day == known,
        }
    }

    /// The RRULE for a month.
    fn rule(self, month: u8) -> String {
        let start = format!("FREQ=YEARLY;BYMONTH={month}");
        match self {
            Pattern::Nth(n, weekday) => format!("{start};BYDAY={n}{weekday}"),
            Pattern::Last(weekday) => format!("{start};BYDAY=-1{weekday}"),
            Pattern::From(first, weekday) => {
                let days: Vec<String> = (first..first + 7).map(|day| day.to_string()).collect();
                format!("{start};BYMONTHDAY={};BYDAY={weekday}", days.join(","))
            }
            Pattern::Day(day) => format!("{start};BYMONTHDAY={day}"),
        }
    }
}

impl Observance {
    fn of(change: &Transition) -> Observance {
        Observance {
            change: change.clone(),
            rule: None,
            more: Vec::new(),
        }
    }

    fn component(&self) -> Component {
        let change = &self.change;
        let name = if change.daylight {
            "DAYLIGHT"
        } else {
            "STANDARD"
        };
        let start = onset(change);
        let mut component = Component::new(name)
            .with(Property::new("DTSTART", &start.to_string()))
            .with(Property::new("TZOFFSETFROM", &offset(change.before)))
            .with(Property::new("TZOFFSETTO", &offset(change.after)));
        if !change.name.is_empty() {
            component.push(Property::text_value("TZNAME", &change.name));
        }
        if let Some((pattern, until)) = &self.rule {
            let mut rule = pattern.rule(start.date().month());
            if let Some(until) = until {
                rule.push_str(&format!(";UNTIL={until}"));
            }
            component.push(Property::new("RRULE", &rule));
        }
        for local in &self.more {
            component.push(Property::new("RDATE", &local.to_string()));
        }
        component
    }
}

/// A UTC-OFFSET value. RFC 5545 §3.3.14
fn offset(seconds: i64) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes) = (seconds.abs() / 3600, seconds.abs() / 60 % 60);
    match seconds.abs() % 60 {
        0 => format!("{sign}{hours:02}{minutes:02}"),
        rest => format!("{sign}{hours:02}{minutes:02}{rest:02}"),
    }
}

/// Whether a VTIMEZONE says what the changes before `end` say.
fn agrees(vtimezone: &Component, changes: &[Transition], end: Timestamp) -> bool {
    let Some(table) = Table::of(vtimezone) else {
        return false;
    };
    let Some((first, rest)) = changes.split_first() else {
        return false;
    };
    let rest: Vec<(i64, i64)> = rest.iter().map(|it| (it.at.0, it.after)).collect();
    let before = rest.partition_point(|(at, _)| *at < end.0);
    let written: Vec<(i64, i64)> = table.between(first.at, end).collect();
    table.offset(first.at) == first.after && rest.get(..before) == Some(written.as_slice())
}
