//! Time zones: from local time to instants and back (RFC 5545 §3.3.5).
//!
//! **Gaps**: a TZID that is no IANA name is not found; VTIMEZONE components are not read.

use std::sync::{Arc, OnceLock};

use jiff::civil::{DateTime, Time};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::ical::{Component, LocalTime, Timestamp, When};

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
}

/// The zones of one calendar object, by the TZIDs it is written with.
#[derive(Clone, Debug, Default)]
pub struct Zones {
    known: Vec<(Arc<str>, Zone)>,
}

fn database() -> &'static TimeZoneDatabase {
    static DATABASE: OnceLock<TimeZoneDatabase> = OnceLock::new();
    DATABASE.get_or_init(TimeZoneDatabase::bundled)
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

    /// The zone of an IANA name.
    #[must_use]
    pub fn named(name: &str) -> Option<Zone> {
        if name.eq_ignore_ascii_case("UTC") {
            return Some(Zone::utc());
        }
        let zone = database().get(name).ok()?;
        Some(Zone {
            id: zone.iana_name()?.into(),
            rules: Rules::Named(zone),
        })
    }

    /// The IANA name, or the TZID of a zone that has none.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The instant of a local time. In an overlap it is the first; a time in a gap "is interpreted
    /// using the UTC offset before the gap". RFC 5545 §3.3.5
    #[must_use]
    pub fn instant(&self, local: LocalTime) -> Timestamp {
        let Rules::Named(zone) = &self.rules else {
            return local.as_utc();
        };
        let offset = civil(local).map(|civil| {
            use jiff::tz::AmbiguousOffset;
            match zone.to_ambiguous_timestamp(civil).offset() {
                AmbiguousOffset::Unambiguous { offset } => offset,
                AmbiguousOffset::Gap { before, .. } | AmbiguousOffset::Fold { before, .. } => {
                    before
                }
            }
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
        let Rules::Named(zone) = &self.rules else {
            return 0;
        };
        let (first, last) = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
        let seconds = instant.0.clamp(first.as_second(), last.as_second());
        jiff::Timestamp::from_second(seconds)
            .map_or(0, |instant| i64::from(zone.to_offset(instant).seconds()))
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        self.id == other.id
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
        let mut zones = Zones::default();
        zones.collect(calendar);
        zones
    }

    fn collect(&mut self, component: &Component) {
        for property in component.all_properties() {
            if let Some(tzid) = property.param("TZID")
                && self.get(&tzid).is_none()
                && let Some(zone) = Zone::named(&tzid)
            {
                self.known.push((tzid.as_ref().into(), zone));
            }
        }
        for inner in component.all_components() {
            if !inner.is("VTIMEZONE") {
                self.collect(inner);
            }
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
        self.known.len() * 128
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
