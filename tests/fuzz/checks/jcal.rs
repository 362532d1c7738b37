//! jCal: what is read is iCalendar, and comes back as the same jCal.

use kalends::ical::{Limits, from_jcal, parse, print, to_jcal};

const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    lines: 20_000,
    line_bytes: 1 << 19,
    depth: 16,
    problems: 50,
};

/// Checks one input.
pub(crate) fn check(data: &[u8]) {
    let Ok(component) = from_jcal(data, &LIMITS) else {
        return;
    };
    let parsed = parse(&print(&component), &Limits::default());
    assert_eq!(parsed.calendars, std::slice::from_ref(&component));
    let once = to_jcal(&component);
    let again = from_jcal(once.as_bytes(), &LIMITS);
    assert_eq!(again.map(|it| to_jcal(&it)), Ok(once));
}
