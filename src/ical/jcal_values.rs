//! Values of jCal properties, both ways (RFC 7265 §3.6).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

use super::date::Date;
use super::property::Property;
use super::text::{clean_value, escape, split_unescaped, unescape};
use super::time::{LocalTime, Timestamp};

/// A type of values that has a form of its own in JSON. RFC 7265 §3.6
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Binary,
    Boolean,
    Date,
    DateTime,
    Float,
    Integer,
    Period,
    Recur,
    Text,
    Time,
    UtcOffset,
    /// Strings that stay as they are, of that type.
    Plain(&'static str),
    /// A type this table does not know: strings that stay as they are.
    Other,
    /// No VALUE parameter and no default. RFC 7265 §5.1
    Unknown,
}

#[rustfmt::skip]
const KINDS: &[(&str, Kind)] = &[
    ("binary", Kind::Binary), ("boolean", Kind::Boolean), ("cal-address", Kind::Plain("cal-address")), ("date", Kind::Date),
    ("date-time", Kind::DateTime), ("duration", Kind::Plain("duration")), ("float", Kind::Float), ("integer", Kind::Integer),
    ("period", Kind::Period), ("recur", Kind::Recur), ("text", Kind::Text), ("time", Kind::Time), ("uri", Kind::Plain("uri")),
    ("utc-offset", Kind::UtcOffset), ("unknown", Kind::Unknown),
];

/// The default types of properties: RFC 5545 §3.8, RFC 7986 §5, RFC 9073 §6, RFC 9074, RFC 9253 §8,
/// RFC 7953 §3.2, RFC 7808 §7. IMAGE, CONFERENCE, LINK, STRUCTURED-DATA and STYLED-DESCRIPTION have
/// none.
#[rustfmt::skip]
const DEFAULTS: &[(&[&str], Kind)] = &[
    (&["COMPLETED", "CREATED", "DTSTAMP", "DTSTART", "DTEND", "DUE", "EXDATE", "RDATE", "LAST-MODIFIED", "RECURRENCE-ID",
        "ACKNOWLEDGED", "TZUNTIL"], Kind::DateTime),
    (&["DURATION", "TRIGGER", "REFRESH-INTERVAL"], Kind::Plain("duration")),
    (&["RRULE", "EXRULE"], Kind::Recur),
    (&["ATTACH", "TZURL", "URL", "SOURCE", "CONCEPT"], Kind::Plain("uri")),
    (&["ATTENDEE", "ORGANIZER", "CALENDAR-ADDRESS"], Kind::Plain("cal-address")),
    (&["TZOFFSETFROM", "TZOFFSETTO"], Kind::UtcOffset),
    (&["PERCENT-COMPLETE", "PRIORITY", "REPEAT", "SEQUENCE"], Kind::Integer),
    (&["GEO"], Kind::Float),
    (&["FREEBUSY"], Kind::Period),
    (&["ACTION", "BUSYTYPE", "CALSCALE", "CATEGORIES", "CLASS", "COLOR", "COMMENT", "CONTACT", "DESCRIPTION", "LOCATION",
        "LOCATION-TYPE", "METHOD", "NAME", "PARTICIPANT-TYPE", "PRODID", "PROXIMITY", "REFID", "RELATED-TO", "REQUEST-STATUS",
        "RESOURCES", "RESOURCE-TYPE", "STATUS", "SUMMARY", "TRANSP", "TZID", "TZID-ALIAS-OF", "TZNAME", "UID", "VERSION"], Kind::Text),
];

/// The properties whose value is a list. RFC 5545 §3.1.2
const LISTS: &[&str] = &["CATEGORIES", "RESOURCES", "EXDATE", "RDATE", "FREEBUSY"];

impl Kind {
    /// The type of that name, in lower case.
    pub(super) fn parse(name: &str) -> Kind {
        let found = KINDS.iter().find(|(known, _)| *known == name);
        found.map_or(Kind::Other, |(_, kind)| *kind)
    }

    /// The type that values of a property have without VALUE.
    pub(super) fn default_of(property: &Property) -> Kind {
        let named = |(names, _): &&(&[&str], Kind)| names.iter().any(|name| property.is(name));
        DEFAULTS
            .iter()
            .find(named)
            .map_or(Kind::Unknown, |(_, kind)| *kind)
    }

    /// Its name, unless it is no type of iCalendar.
    pub(super) fn type_name(self) -> Option<&'static str> {
        if self == Kind::Unknown {
            return None;
        }
        KINDS
            .iter()
            .find(|(_, kind)| *kind == self)
            .map(|(name, _)| *name)
    }

    /// The type identifier of a property of this type. RFC 7265 §3.5.1
    pub(super) fn name(self, property: &Property) -> String {
        match (self, property.param("VALUE")) {
            (Kind::Other, Some(value)) => value.to_ascii_lowercase(),
            _ => self.type_name().unwrap_or("unknown").to_owned(),
        }
    }

    /// The type of a property's value. Where a day stands without VALUE=DATE its shape decides, as
    /// in the example of RFC 7265 §B.1.
    fn of(property: &Property) -> Kind {
        let kind = match property.param("VALUE") {
            Some(value) => Kind::parse(&value.to_ascii_lowercase()),
            None => Kind::default_of(property),
        };
        let implied = property.param("VALUE").is_none();
        let first = property
            .value()
            .split(',')
            .next()
            .unwrap_or_default()
            .trim();
        match kind {
            Kind::DateTime if Date::parse(first).is_some() => Kind::Date,
            // What is no rule keeps its text; a VALUE that says so keeps its word too.
            Kind::Recur if rule(property.value()).is_none() && implied => Kind::Unknown,
            kind => kind,
        }
    }
}

/// The type and the values of a property in JSON, and whether they were decoded. RFC 7265 §3.4, §3.6
pub(super) fn write_values(property: &Property) -> (Kind, Vec<Value>, bool) {
    let kind = Kind::of(property);
    if let Some(text) = decoded(property, kind) {
        return (kind, vec![Value::String(text)], true);
    }
    let value = property.value();
    let lists = LISTS.iter().any(|name| property.is(name));
    let values = match kind {
        Kind::Float if property.is("GEO") => vec![structure(value, |part| number(part.trim()))],
        Kind::Text if property.is("REQUEST-STATUS") => {
            vec![structure(value, |part| {
                Value::String(unescape(part).into_owned())
            })]
        }
        Kind::Unknown => vec![Value::String(value.to_owned())],
        _ if lists => {
            let parts = split_unescaped(value, b',');
            parts
                .into_iter()
                .map(|part| write_value(kind, part))
                .collect()
        }
        _ => vec![write_value(kind, value)],
    };
    (kind, values, false)
}

/// The text behind ENCODING=BASE64, if it can stand in a property without that. RFC 7265 §3.1
fn decoded(property: &Property, kind: Kind) -> Option<String> {
    let encoding = property.param("ENCODING")?;
    if kind == Kind::Binary || !encoding.eq_ignore_ascii_case("BASE64") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(property.value().trim()).ok()?).ok()?;
    let written = match kind {
        Kind::Text => escape(&text),
        _ => text.as_str().into(),
    };
    let fits = clean_value(&written) == written;
    fits.then_some(text)
}

fn structure(value: &str, part: impl Fn(&str) -> Value) -> Value {
    Value::Array(split_unescaped(value, b';').into_iter().map(part).collect())
}

fn write_value(kind: Kind, value: &str) -> Value {
    let text = match kind {
        Kind::Text => unescape(value).into_owned(),
        Kind::Boolean if value.trim().eq_ignore_ascii_case("TRUE") => return Value::Bool(true),
        Kind::Boolean if value.trim().eq_ignore_ascii_case("FALSE") => return Value::Bool(false),
        Kind::Integer | Kind::Float => return number(value.trim()),
        Kind::Date | Kind::DateTime | Kind::Time => extended(value.trim()),
        Kind::Period => match value.trim().split_once('/') {
            Some((start, end)) => {
                return Value::Array(vec![extended(start).into(), extended(end).into()]);
            }
            None => extended(value.trim()),
        },
        Kind::Recur => return rule(value).map_or_else(|| value.into(), Value::Object),
        Kind::UtcOffset => colons(value.trim()),
        Kind::Boolean | Kind::Binary | Kind::Plain(_) | Kind::Other | Kind::Unknown => {
            value.to_owned()
        }
    };
    Value::String(text)
}

/// A number as JSON has it, else the text.
fn number(text: &str) -> Value {
    if let Ok(number) = text.parse::<i64>() {
        return number.into();
    }
    let number = text.parse::<f64>().ok().and_then(Number::from_f64);
    number.map_or_else(|| text.into(), Value::Number)
}

/// The extended format of ISO 8601 for a date, a date with time, or a time; other texts as they
/// are. RFC 7265 §3.6.4, §3.6.5, §3.6.12
fn extended(text: &str) -> String {
    let date = |date: Date| format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day());
    let time = |local: LocalTime| {
        let (hour, minute, second) = (local.hour(), local.minute(), local.second());
        format!("{hour:02}:{minute:02}:{second:02}")
    };
    let both = |local: LocalTime| format!("{}T{}", date(local.date()), time(local));
    if let Some(day) = Date::parse(text) {
        return date(day);
    }
    if let Some(local) = LocalTime::parse(text) {
        return both(local);
    }
    if let Some(instant) = Timestamp::parse(text) {
        return both(instant.utc()) + "Z";
    }
    let (digits, zone) = text
        .strip_suffix('Z')
        .map_or((text, ""), |digits| (digits, "Z"));
    match LocalTime::parse(&format!("20000101T{digits}")) {
        Some(local) => time(local) + zone,
        None => text.to_owned(),
    }
}

/// `+0100` as `+01:00`.
fn colons(offset: &str) -> String {
    let digits = offset.get(1..).unwrap_or_default();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || !matches!(digits.len(), 4 | 6) {
        return offset.to_owned();
    }
    let mut text = String::new();
    for (place, char) in offset.chars().enumerate() {
        if matches!(place, 3 | 5) {
            text.push(':');
        }
        text.push(char);
    }
    text
}

/// The parts of a RECUR; nothing where a part has no name or stands twice. RFC 7265 §3.6.10
fn rule(value: &str) -> Option<Map<String, Value>> {
    let mut parts = Map::new();
    for part in value.trim().trim_end_matches(';').split(';') {
        let (name, value) = part.split_once('=')?;
        let name = name.to_ascii_lowercase();
        let value = match name.as_str() {
            "until" => Value::String(extended(value)),
            "freq" | "wkst" | "rscale" | "skip" => value.into(),
            _ => {
                let mut list: Vec<Value> = value.split(',').map(whole_number).collect();
                match list.len() {
                    1 => list.pop().unwrap_or_default(),
                    _ => Value::Array(list),
                }
            }
        };
        if name.is_empty() || parts.insert(name, value).is_some() {
            return None;
        }
    }
    Some(parts)
}

/// A whole number as JSON has it, else the text. A plus sign is kept only in a text.
fn whole_number(text: &str) -> Value {
    text.parse::<i64>().map_or_else(|_| text.into(), Into::into)
}

/// The iCalendar form of a value in JSON. RFC 7265 §4
pub(super) fn read_value(kind: Kind, value: &Value) -> String {
    match (kind, value) {
        (Kind::Period, Value::Array(parts)) => {
            let parts: Vec<String> = parts.iter().map(|it| read_value(kind, it)).collect();
            parts.join("/")
        }
        // GEO and REQUEST-STATUS are "represented as an array". RFC 7265 §3.4.1
        (_, Value::Array(parts)) => {
            let parts: Vec<String> = parts.iter().map(|it| read_value(kind, it)).collect();
            parts.join(";")
        }
        (Kind::Recur, Value::Object(parts)) => {
            let part = |(name, value): (&String, &Value)| {
                let value = match (name.as_str(), value) {
                    ("until", Value::String(text)) => basic(text),
                    (_, Value::Array(list)) => {
                        let list: Vec<String> = list.iter().map(plain).collect();
                        list.join(",")
                    }
                    (_, value) => plain(value),
                };
                format!("{}={value}", name.to_ascii_uppercase())
            };
            let parts: Vec<String> = parts.iter().map(part).collect();
            parts.join(";")
        }
        (Kind::Boolean, Value::Bool(true)) => "TRUE".to_owned(),
        (Kind::Boolean, Value::Bool(false)) => "FALSE".to_owned(),
        (Kind::Text, value) => escape(&plain(value)),
        (Kind::Date | Kind::DateTime | Kind::Time, Value::String(text)) => basic(text),
        (Kind::Period, Value::String(text)) => {
            let parts: Vec<String> = text.split('/').map(basic).collect();
            parts.join("/")
        }
        (Kind::UtcOffset, Value::String(text)) => {
            let short = text.replace(':', "");
            if colons(&short) == *text {
                short
            } else {
                text.clone()
            }
        }
        (_, value) => plain(value),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        value => value.to_string(),
    }
}

/// The basic format of what [`extended`] writes; other texts as they are.
fn basic(text: &str) -> String {
    let short: String = text.chars().filter(|char| !"-:".contains(*char)).collect();
    if extended(&short) == text {
        return short;
    }
    text.to_owned()
}
