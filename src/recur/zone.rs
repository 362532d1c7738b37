//! Time zones: from local time to instants and back (RFC 5545 §3.3.5).
//!
//! A TZID is an IANA zone when it names one in any dress (`zone_names`), else what the VTIMEZONE of
//! its object describes (`vtimezone_match`, `vtimezone`).

use std::sync::Arc;

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;

use crate::ical::{Component, LocalTime, Timestamp, When, values};

use super::vtimezone::Table;
use super::vtimezone_match::{Years, zone_of};
use super::zone_data::lookup;
use super::zone_names::resolve;

/// A time zone. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Zone {
    id: Arc<str>,
    rules: Rules,
}

#[derive(Clone, Debug)]
enum Rules {
    Utc,
    Named(TimeZone),
    Written(Arc<Table>),
}

/// A change of the UTC offset of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When it happens.
    pub at: Timestamp,
    /// The offset before it, in seconds east of UTC.
    pub before: i64,
    /// The offset after it.
    pub after: i64,
    /// The abbreviation in use after it, such as CEST; empty where none is known.
    pub name: String,
    /// Whether daylight saving time is in force after it.
    pub daylight: bool,
}

/// The zones of one calendar object, by the TZIDs it is written with.
#[derive(Clone, Debug, Default)]
pub struct Zones {
    known: Vec<(Arc<str>, Zone)>,
}

impl Zone {
    /// UTC.
    #[must_use]
    pub fn utc() -> Zone {
        Zone {
            id: "UTC".into(),
            rules: Rules::Utc,
        }
    }

    /// The zone of an IANA name or alias, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Zone> {
        if name.eq_ignore_ascii_case("UTC") {
            return Some(Zone::utc());
        }
        Zone::of_data(lookup(name)?)
    }

    /// The zone that a TZID names by itself: an IANA name or alias, a Windows name, or one of them
    /// behind a vendor's prefix.
    #[must_use]
    pub fn of_tzid(tzid: &str) -> Option<Zone> {
        Zone::of_data(resolve(tzid)?)
    }

    /// The zone that a VTIMEZONE means: by its TZID, else the IANA zone with the same offsets in
    /// the present time, else its own rules. RFC 5545 §3.6.5
    #[must_use]
    pub fn of_vtimezone(vtimezone: &Component) -> Option<Zone> {
        let tzid = vtimezone.text("TZID").unwrap_or_default();
        Zone::of_tzid(&tzid).or_else(|| zone_of(vtimezone, PRESENT))
    }

    pub(super) fn of_data(zone: TimeZone) -> Option<Zone> {
        let id: Arc<str> = zone.iana_name()?.into();
        let rules = match &*id {
            "UTC" | "Etc/UTC" => Rules::Utc,
            _ => Rules::Named(zone),
        };
        Some(Zone { id, rules })
    }

    pub(super) fn of_table(tzid: &str, table: Arc<Table>) -> Zone {
        Zone {
            id: tzid.into(),
            rules: Rules::Written(table),
        }
    }

    /// The IANA name, or the TZID of a zone that has none.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether [`Zone::named`] finds it by its id: it is not read from a VTIMEZONE.
    #[must_use]
    pub fn is_named(&self) -> bool {
        !matches!(self.rules, Rules::Written(_))
    }

    /// The instant of a local time. In an overlap it is the first; a time in a gap "is interpreted
    /// using the UTC offset before the gap". RFC 5545 §3.3.5
    #[must_use]
    pub fn instant(&self, local: LocalTime) -> Timestamp {
        use jiff::tz::AmbiguousOffset;
        let zone = match &self.rules {
            Rules::Utc => return local.as_utc(),
            Rules::Written(table) => return table.instant(local),
            Rules::Named(zone) => zone,
        };
        let offset = civil(local).map(|civil| match zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Gap { before, .. } | AmbiguousOffset::Fold { before, .. } => before,
        });
        let offset = offset.map_or(0, |offset| i64::from(offset.seconds()));
        local.as_utc().add_seconds(-offset)
    }

    /// What clocks show at an instant, cut to the years 1 to 9999.
    #[must_use]
    pub fn local(&self, instant: Timestamp) -> LocalTime {
        instant.add_seconds(self.offset(instant)).utc()
    }

    /// Local time minus UTC at an instant, in seconds.
    #[must_use]
    pub fn offset(&self, instant: Timestamp) -> i64 {
        match &self.rules {
            Rules::Utc => 0,
            Rules::Written(table) => table.offset(instant),
            Rules::Named(zone) => i64::from(zone.to_offset(moment(instant)).seconds()),
        }
    }

    /// The changes of the offset after one instant and before another, in order, at most so many.
    #[must_use]
    pub fn transitions(&self, from: Timestamp, to: Timestamp, most: usize) -> Vec<Transition> {
        let mut before = self.offset(from);
        let mut step = |at: i64, after: i64, name: &str, daylight: bool| {
            let transition = Transition {
                at: Timestamp(at),
                before,
                after,
                name: name.to_owned(),
                daylight,
            };
            let changed = before != after;
            before = after;
            changed.then_some(transition)
        };
        match &self.rules {
            Rules::Utc => Vec::new(),
            Rules::Written(table) => table
                .between(from, to)
                .filter_map(|(at, after)| step(at, after, "", false))
                .take(most)
                .collect(),
            Rules::Named(zone) => zone
                .following(moment(from))
                .map(|it| (it.timestamp().as_second(), it))
                .take_while(|(at, _)| *at < to.0)
                .filter_map(|(at, it)| {
                    let after = i64::from(it.offset().seconds());
                    step(at, after, it.abbreviation(), it.dst().is_dst())
                })
                .take(most)
                .collect(),
        }
    }

    /// The last change of the offset at an instant or before it.
    #[must_use]
    pub fn last_transition(&self, instant: Timestamp) -> Option<Transition> {
        let (at, name, daylight) = match &self.rules {
            Rules::Utc => return None,
            Rules::Written(table) => (table.last(instant)?, String::new(), false),
            Rules::Named(zone) => {
                let offset = |at: i64| self.offset(Timestamp(at));
                let mut before = zone.preceding(moment(instant.add_seconds(1)));
                let found = before.find(|it| {
                    let at = it.timestamp().as_second();
                    offset(at) != offset(at - 1)
                })?;
                let name = found.abbreviation().to_owned();
                (found.timestamp().as_second(), name, found.dst().is_dst())
            }
        };
        Some(Transition {
            at: Timestamp(at),
            before: self.offset(Timestamp(at - 1)),
            after: self.offset(Timestamp(at)),
            name,
            daylight,
        })
    }

    /// The abbreviation in use at an instant, and whether it is daylight saving time.
    #[must_use]
    pub fn observance(&self, instant: Timestamp) -> (String, bool) {
        match &self.rules {
            Rules::Utc => ("UTC".to_owned(), false),
            Rules::Written(_) => (String::new(), false),
            Rules::Named(zone) => {
                let info = zone.to_offset_info(moment(instant));
                (info.abbreviation().to_owned(), info.dst().is_dst())
            }
        }
    }
}

/// The years for which a VTIMEZONE is matched when no object says which it needs.
const PRESENT: Years = Years {
    first: 2020,
    last: 2035,
};

fn moment(instant: Timestamp) -> jiff::Timestamp {
    let (first, last) = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
    let seconds = instant.0.clamp(first.as_second(), last.as_second());
    jiff::Timestamp::from_second(seconds).unwrap_or_default()
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        let tables = match (&self.rules, &other.rules) {
            (Rules::Written(one), Rules::Written(two)) => Arc::ptr_eq(one, two) || one == two,
            (Rules::Written(_), _) | (_, Rules::Written(_)) => false,
            _ => true,
        };
        tables && self.id == other.id
    }
}

fn civil(local: LocalTime) -> Option<DateTime> {
    let (date, small) = (local.date(), |value: u8| i8::try_from(value).ok());
    let year = i16::try_from(date.year()).ok()?;
    let day = jiff::civil::Date::new(year, small(date.month())?, small(date.day())?).ok()?;
    let (hour, minute) = (small(local.hour())?, small(local.minute())?);
    let time = Time::new(hour, minute, small(local.second())?, 0).ok()?;
    Some(DateTime::from_parts(day, time))
}

impl Zones {
    /// The zones that a calendar object names anywhere.
    #[must_use]
    pub fn of(calendar: &Component) -> Zones {
        let mut uses = Vec::new();
        for component in calendar.all_components() {
            if !component.is("VTIMEZONE") {
                collect(component, &mut uses);
            }
        }
        let written = |tzid: &str, years| {
            let mut zones = calendar.components("VTIMEZONE");
            let same = |zone: &&Component| zone.text("TZID").is_some_and(|it| it.trim() == tzid);
            zone_of(zones.find(same)?, years)
        };
        let find = |(tzid, years): (Arc<str>, Years)| {
            let zone = Zone::of_tzid(&tzid).or_else(|| written(tzid.trim(), years))?;
            Some((tzid, zone))
        };
        Zones {
            known: uses.into_iter().filter_map(find).collect(),
        }
    }

    /// The zone of a TZID, spelled as the object spells it.
    #[must_use]
    pub fn get(&self, tzid: &str) -> Option<&Zone> {
        let found = self.known.iter().find(|(known, _)| **known == *tzid);
        found.map(|(_, zone)| zone)
    }

    /// The zone a value is read in: the floating one for days, local times and unknown zones.
    #[must_use]
    pub fn zone_of<'a>(&'a self, when: &When, floating: &'a Zone) -> Option<&'a Zone> {
        match when {
            When::Utc(_) => None,
            When::Date(_) | When::Floating(_) => Some(floating),
            When::Zoned(_, tzid) => Some(self.get(tzid).unwrap_or(floating)),
        }
    }

    /// The instant a value means; of a day its beginning. RFC 4791 §7.3
    #[must_use]
    pub fn instant(&self, when: &When, floating: &Zone) -> Timestamp {
        match (when, self.zone_of(when, floating)) {
            (When::Utc(instant), _) => *instant,
            (other, Some(zone)) => zone.instant(other.local()),
            (other, None) => other.local().as_utc(),
        }
    }

    /// Roughly how many bytes they take.
    #[must_use]
    pub fn size(&self) -> usize {
        let sizes = self.known.iter().map(|(tzid, zone)| match &zone.rules {
            // Others share the table of a VTIMEZONE that is not long.
            Rules::Written(table) => table.size().min(1 << 10) + tzid.len() + 128,
            Rules::Utc | Rules::Named(_) => tzid.len() + 128,
        });
        sizes.sum()
    }
}

/// How many years ahead a rule needs its zone to be right.
const AHEAD: i32 = 10;
/// The most years for which offsets are compared.
const MOST_YEARS: i32 = 60;

/// The TZIDs of a component and those inside it, with the years in which they are used.
pub(super) fn collect(component: &Component, uses: &mut Vec<(Arc<str>, Years)>) {
    let ahead = if component.property("RRULE").is_some() {
        AHEAD
    } else {
        0
    };
    for property in component.all_properties() {
        let Some(tzid) = property.param("TZID") else {
            continue;
        };
        let years = values::whens(property)
            .into_iter()
            .map(|it| it.date().year());
        let (mut first, mut last) = (i32::MAX, i32::MIN);
        for year in years {
            (first, last) = (first.min(year), last.max(year + ahead));
        }
        if first > last {
            continue;
        }
        match uses.iter_mut().find(|(known, _)| **known == *tzid) {
            Some((_, years)) => {
                years.first = years.first.min(first);
                years.last = years.last.max(last).min(years.first + MOST_YEARS);
            }
            None => uses.push((tzid.as_ref().into(), Years { first, last })),
        }
    }
    for inner in component.all_components() {
        collect(inner, uses);
    }
}

#[cfg(test)]
mod tests {
    use super::Zone;
    use crate::ical::{LocalTime, Timestamp};

    #[test]
    fn local_times_become_instants() {
        for (zone, local, utc, back) in [
            ("Europe/Berlin", "20260115T120000", "20260115T110000Z", ""),
            ("Europe/Berlin", "20260715T120000", "20260715T100000Z", ""),
            // A gap: the offset before it counts. RFC 5545 §3.3.5
            (
                "America/New_York",
                "20070311T023000",
                "20070311T073000Z",
                "20070311T033000",
            ),
            // An overlap: the first of the two. RFC 5545 §3.3.5
            (
                "America/New_York",
                "20071104T013000",
                "20071104T053000Z",
                "",
            ),
            (
                "America/Vancouver",
                "20261215T120000",
                "20261215T190000Z",
                "",
            ),
            ("UTC", "20260115T120000", "20260115T120000Z", ""),
        ] {
            let zone = Zone::named(zone).unwrap();
            let local_time = LocalTime::parse(local).unwrap();
            let instant = zone.instant(local_time);
            assert_eq!(Some(instant), Timestamp::parse(utc), "{local}");
            let back = if back.is_empty() { local } else { back };
            assert_eq!(zone.local(instant).to_string(), back);
        }
        assert!(Zone::named("Mars/Olympus").is_none());
        let zone = Zone::named("Asia/Tokyo").unwrap();
        assert!(zone.local(Timestamp::MAX) >= zone.local(Timestamp(0)));
        assert!(zone.instant(LocalTime::MIN) < zone.instant(LocalTime::MAX));
    }
}
