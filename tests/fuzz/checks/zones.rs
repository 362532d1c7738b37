//! Zones of an object answer for all times, and their two directions agree.

use kalends::ical::{Limits, Timestamp, parse};
use kalends::recur::{Zone, Zones};

const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    lines: 20_000,
    line_bytes: 1 << 19,
    depth: 16,
    problems: 50,
};

/// Checks one input.
pub(crate) fn check(data: &[u8]) {
    let parsed = parse(data, &LIMITS);
    for calendar in &parsed.calendars {
        let zones = Zones::of(calendar);
        for vtimezone in calendar.components("VTIMEZONE") {
            let tzid = vtimezone.text("TZID").unwrap_or_default();
            let zone = zones
                .get(&tzid)
                .cloned()
                .or_else(|| Zone::of_vtimezone(vtimezone));
            let Some(zone) = zone else {
                continue;
            };
            for at in [
                i64::MIN,
                -3_000_000_000,
                0,
                1_700_000_000,
                1_780_000_000,
                i64::MAX,
            ] {
                let at = Timestamp(at.clamp(Timestamp::MIN.0, Timestamp::MAX.0));
                let back = zone.instant(zone.local(at));
                let day = 2 * 86_400;
                assert!((back.0 - at.0).abs() <= day, "{at} comes back as {back}");
                let _ = zone.transitions(at, Timestamp::MAX, 10);
                let _ = zone.last_transition(at);
            }
        }
    }
}
