//! The clock: the only place that reads it, and instants as people write them.

use std::time::{SystemTime, UNIX_EPOCH};

use super::units::Seconds;
use crate::ical::{Date, LocalTime, Timestamp};

/// The time now.
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    // A clock before 1970 is not set at all.
    Timestamp(since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    }))
}

/// An instant as people write it: `2026-11-20T08:30:00Z`, with another offset
/// or without one (which means UTC), without seconds or without a time; or a
/// span before now, such as `2 h`.
pub fn instant(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(span) = text.trim_end_matches("ago").parse::<Seconds>() {
        return Some(now.add_seconds(-span.signed()));
    }
    let (day, rest) = text.split_at_checked(10)?;
    let day = date(day)?;
    let Some(rest) = rest.strip_prefix(['T', 't', ' ']) else {
        return rest.is_empty().then(|| day.midnight().as_utc());
    };
    let (time, offset) = match rest.find(['Z', 'z', '+', '-']) {
        Some(at) => rest.split_at_checked(at)?,
        None => (rest, "Z"),
    };
    let mut parts = time.trim().split(':').map(number);
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    if parts.next().is_some() {
        return None;
    }
    let local = LocalTime::new(day, hour, minute, second)?;
    Some(local.as_utc().add_seconds(-offset_seconds(offset)?))
}

fn date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let year: i32 = digits(parts.next()?)?.parse().ok()?;
    let (month, day) = (number(parts.next()?)?, number(parts.next()?)?);
    if parts.next().is_some() {
        return None;
    }
    Date::new(year, month, day)
}

fn digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

fn number(text: &str) -> Option<u8> {
    digits(text).filter(|text| text.len() == 2)?.parse().ok()
}

fn offset_seconds(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest.split_once(':') {
        Some(pair) => pair,
        None => rest.split_at_checked(2)?,
    };
    let minutes = if minutes.is_empty() {
        0
    } else {
        number(minutes)?
    };
    Some(sign * (i64::from(number(hours)?) * 3600 + i64::from(minutes) * 60))
}

/// An instant as RFC 3339 writes it, in UTC.
pub fn shown(instant: Timestamp) -> String {
    instant.rfc3339()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_as_people_write_them() {
        let now = Timestamp(1_800_000_000);
        for (text, expected) in [
            ("2026-11-20T08:30:00Z", Some("2026-11-20T08:30:00Z")),
            ("2026-11-20 08:30", Some("2026-11-20T08:30:00Z")),
            ("2026-11-20", Some("2026-11-20T00:00:00Z")),
            ("2026-11-20T08:30:00+01:00", Some("2026-11-20T07:30:00Z")),
            ("2026-11-20T08:30-0530", Some("2026-11-20T14:00:00Z")),
            ("2026-11-20t08:30:59z", Some("2026-11-20T08:30:59Z")),
            ("2 h", Some("2027-01-15T06:00:00Z")),
            ("1 day ago", Some("2027-01-14T08:00:00Z")),
            ("2026-13-20", None),
            ("2026-11-20T25:00", None),
            ("2026-11-20T08", None),
            ("2026-11-20T08:30:00+1", None),
            ("20261120", None),
            ("yesterday", None),
            ("", None),
            ("2026-11-2\u{e9}T08:00", None),
        ] {
            assert_eq!(instant(text, now).map(shown).as_deref(), expected, "{text}");
        }
    }
}
