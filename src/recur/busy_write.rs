//! Busy time as it is told: one VFREEBUSY with the busy periods of a range (RFC 4791 §7.10,
//! RFC 5545 §3.6.4).
//!
//! Free time is what is not busy, and is not written.

use super::busy::BusyPeriod;
use super::busy_source::FbType;
use super::range::Range;
use crate::ical::{Component, Duration, Property, Timestamp, When};

/// The VFREEBUSY that has these periods, which are sorted and merged.
#[must_use]
pub fn free_busy(range: &Range, periods: &[BusyPeriod], now: Timestamp) -> Component {
    let utc = |name, instant| Property::when_value(name, &When::Utc(instant));
    let busy = Component::new("VFREEBUSY")
        .with(utc("DTSTAMP", now))
        .with(utc("DTSTART", range.start))
        .with(utc("DTEND", range.end));
    let periods = periods.iter().filter(|p| p.kind != FbType::Free);
    periods.map(period).fold(busy, Component::with)
}

/// One FREEBUSY property. RFC 5545 §3.8.2.6, §3.2.9
fn period(period: &BusyPeriod) -> Property {
    let length = Duration::of_seconds(period.end.0 - period.start.0);
    let property = Property::new("FREEBUSY", &format!("{}/{length}", period.start));
    match &period.kind {
        FbType::Busy => property,
        FbType::Tentative => property.with_param("FBTYPE", "BUSY-TENTATIVE"),
        FbType::Free => property.with_param("FBTYPE", "FREE"),
        FbType::Unavailable => property.with_param("FBTYPE", "BUSY-UNAVAILABLE"),
        FbType::Other(name) => property.with_param("FBTYPE", name),
    }
}
