//! Typed views of property values (RFC 5545 §3.3): functions on a property that answer nothing
//! when the value cannot be read. Blanks around a value do not count: programs leave them there.

use std::borrow::Cow;

use super::date::digits;
use super::duration::Duration;
use super::property::Property;
use super::text::{split_unescaped, unescape};
use super::time::When;

/// A PERIOD value. RFC 5545 §3.3.9
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// Where it begins.
    pub start: When,
    /// Where it ends.
    pub end: PeriodEnd,
}

/// The second half of a PERIOD value. RFC 5545 §3.3.9
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeriodEnd {
    /// The end itself.
    At(When),
    /// The length.
    For(Duration),
}

/// When an alarm goes off. RFC 5545 §3.8.6.3
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// So long after the start.
    Start(Duration),
    /// So long after the end or due time.
    End(Duration),
    /// At a time of its own, which must be UTC and sometimes is not.
    At(When),
}

/// A REQUEST-STATUS value. RFC 5545 §3.8.8.3
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestStatus<'a> {
    /// The digits and dots, such as `2.0`.
    pub code: &'a str,
    /// What it means, in words.
    pub description: Cow<'a, str>,
    /// The content line that caused it.
    pub data: Option<Cow<'a, str>>,
}

/// The DATE or DATE-TIME of a property, read with its VALUE and TZID. RFC 5545 §3.3.4, §3.3.5
#[must_use]
pub fn when(property: &Property) -> Option<When> {
    let tzid = property.param("TZID");
    read_when(property, property.value(), tzid.as_deref())
}

/// The DATEs and DATE-TIMEs of a list such as EXDATE; of a period its start. What cannot be read
/// is left out. RFC 5545 §3.8.5.1, §3.8.5.2
#[must_use]
pub fn whens(property: &Property) -> Vec<When> {
    let tzid = property.param("TZID");
    let start = |part| str::split_once(part, '/').map_or(part, |(start, _)| start);
    property
        .value()
        .split(',')
        .filter_map(|part| read_when(property, start(part), tzid.as_deref()))
        .collect()
}

/// The PERIODs of a list such as FREEBUSY or RDATE. What cannot be read is left out.
/// RFC 5545 §3.3.9
#[must_use]
pub fn periods(property: &Property) -> Vec<Period> {
    let tzid = property.param("TZID");
    let period = |part: &str| {
        let (start, end) = part.trim().split_once('/')?;
        let end = match Duration::parse(end) {
            Some(duration) => PeriodEnd::For(duration),
            None => PeriodEnd::At(When::parse(end, tzid.as_deref())?),
        };
        let start = When::parse(start, tzid.as_deref())?;
        Some(Period { start, end })
    };
    property.value().split(',').filter_map(period).collect()
}

/// The DURATION of a property. RFC 5545 §3.3.6
#[must_use]
pub fn duration(property: &Property) -> Option<Duration> {
    Duration::parse(property.value().trim())
}

/// The TRIGGER of an alarm. RFC 5545 §3.8.6.3
#[must_use]
pub fn trigger(property: &Property) -> Option<Trigger> {
    let Some(duration) = duration(property) else {
        return when(property).map(Trigger::At);
    };
    let related = property.param("RELATED");
    Some(match related {
        Some(related) if related.eq_ignore_ascii_case("END") => Trigger::End(duration),
        _ => Trigger::Start(duration),
    })
}

/// The REQUEST-STATUS of a property. RFC 5545 §3.8.8.3
#[must_use]
pub fn request_status(property: &Property) -> Option<RequestStatus<'_>> {
    let mut parts = split_unescaped(property.value(), b';').into_iter();
    let code = parts.next()?.trim();
    if code.is_empty()
        || !code
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return None;
    }
    Some(RequestStatus {
        code,
        description: unescape(parts.next().unwrap_or_default()),
        data: parts.next().map(unescape),
    })
}

/// Latitude and longitude in degrees. RFC 5545 §3.8.1.6
#[must_use]
pub fn geo(property: &Property) -> Option<(f64, f64)> {
    let (latitude, longitude) = property.value().split_once(';')?;
    let degrees = |text: &str, most: f64| {
        let number: f64 = text.trim().parse().ok()?;
        (number.abs() <= most).then_some(number)
    };
    Some((degrees(latitude, 90.0)?, degrees(longitude, 180.0)?))
}

/// The UTC-OFFSET of a property in seconds east of UTC. RFC 5545 §3.3.14
#[must_use]
pub fn utc_offset(property: &Property) -> Option<i32> {
    let (sign, rest) = match property.value().trim().as_bytes() {
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let number = i32::try_from(digits(rest)?).ok()?;
    let (hours, minutes, seconds) = match rest.len() {
        4 => (number / 100, number % 100, 0),
        6 => (number / 10_000, number / 100 % 100, number % 100),
        _ => return None,
    };
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    Some(sign * (hours * 3600 + minutes * 60 + seconds))
}

/// `VALUE=DATE` in front of a DATE-TIME means its day; else the shape decides.
fn read_when(property: &Property, text: &str, tzid: Option<&str>) -> Option<When> {
    let when = When::parse(text.trim(), tzid.filter(|tzid| !tzid.is_empty()))?;
    let is_day = |value: Cow<'_, str>| value.eq_ignore_ascii_case("DATE");
    if !when.is_date() && property.param("VALUE").is_some_and(is_day) {
        return Some(When::Date(when.date()));
    }
    Some(when)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn property(name: &str, params: &[(&str, &str)], value: &str) -> Property {
        let start = Property::new(name, value);
        let add = |it: Property, (name, value): &(&str, &str)| it.with_param(name, value);
        params.iter().fold(start, add)
    }

    fn at(text: &str) -> When {
        When::parse(text, None).unwrap()
    }

    #[test]
    fn times_are_read_with_their_parameters() {
        let vienna = ("TZID", "Europe/Vienna");
        for (params, value, expected) in [
            (vec![], "20260102T030405", Some(at("20260102T030405"))),
            (vec![], " 20260102T030405Z ", Some(at("20260102T030405Z"))),
            (
                vec![("VALUE", "date")],
                "20260102T030405",
                Some(at("20260102")),
            ),
            (vec![vienna], "20260102", Some(at("20260102"))),
            (
                vec![("TZID", "")],
                "20260102T030405",
                Some(at("20260102T030405")),
            ),
            (
                vec![vienna],
                "20260102T030405",
                When::parse("20260102T030405", Some("Europe/Vienna")),
            ),
            (vec![], "2026-01-02", None),
            (vec![], "", None),
        ] {
            assert_eq!(when(&property("DTSTART", &params, value)), expected);
        }
        let list = property("EXDATE", &[], "20260102,bad,,20260103T000000Z, 20260104");
        assert_eq!(
            whens(&list),
            [at("20260102"), at("20260103T000000Z"), at("20260104")]
        );
        assert_eq!(
            whens(&property("RDATE", &[], "20260101T000000Z/PT1H")).len(),
            1
        );
        assert_eq!(whens(&property("EXDATE", &[], "")), []);
    }

    #[test]
    fn periods_end_at_a_time_or_after_a_duration() {
        let list = property(
            "FREEBUSY",
            &[],
            "19970308T160000Z/PT3H,19970308T200000Z/19970308T210000Z,19970308T200000Z,x/y",
        );
        let hours = Duration::parse("PT3H").unwrap();
        assert_eq!(
            periods(&list),
            [
                Period {
                    start: at("19970308T160000Z"),
                    end: PeriodEnd::For(hours)
                },
                Period {
                    start: at("19970308T200000Z"),
                    end: PeriodEnd::At(at("19970308T210000Z"))
                },
            ]
        );
    }

    #[test]
    fn triggers_are_relative_or_absolute() {
        let before = Duration::parse("-PT15M").unwrap();
        for (params, value, expected) in [
            (vec![], "-PT15M", Some(Trigger::Start(before))),
            (
                vec![("RELATED", "START")],
                "-PT15M",
                Some(Trigger::Start(before)),
            ),
            (
                vec![("RELATED", "end")],
                "-PT15M",
                Some(Trigger::End(before)),
            ),
            (
                vec![("VALUE", "DATE-TIME")],
                "19980403T120000Z",
                Some(Trigger::At(at("19980403T120000Z"))),
            ),
            (vec![], "soon", None),
        ] {
            assert_eq!(trigger(&property("TRIGGER", &params, value)), expected);
        }
    }

    #[test]
    fn small_values_are_read() {
        for (value, expected) in [
            ("+0530", Some(19_800)),
            ("-023017", Some(-9017)),
            ("+0000", Some(0)),
            ("0100", None),
            ("+2460", None),
            ("+1", None),
        ] {
            assert_eq!(
                utc_offset(&property("TZOFFSETTO", &[], value)),
                expected,
                "{value}"
            );
        }
        assert_eq!(
            geo(&property("GEO", &[], "37.386013;-122.082932")),
            Some((37.386_013, -122.082_932))
        );
        for bad in ["37", "91;0", "0;181", "a;b", "NaN;0"] {
            assert_eq!(geo(&property("GEO", &[], bad)), None, "{bad}");
        }
        let status = property(
            "REQUEST-STATUS",
            &[],
            r"3.1;Invalid\; value;DTSTART:96-Apr-01",
        );
        let expected = RequestStatus {
            code: "3.1",
            description: "Invalid; value".into(),
            data: Some("DTSTART:96-Apr-01".into()),
        };
        assert_eq!(request_status(&status), Some(expected));
        assert_eq!(request_status(&property("REQUEST-STATUS", &[], "ok")), None);
    }
}
