//! Dates as HTTP and WebDAV write them.
//!
//! RFC 9110 §5.6.7: IMF-fixdate is written, the two obsolete forms are read. RFC 4918 §15.1:
//! creationdate is an RFC 3339 timestamp.

use crate::ical::{Date, LocalTime, Timestamp};

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// `Sun, 06 Nov 1994 08:49:37 GMT`. RFC 9110 §5.6.7
pub fn http(at: Timestamp) -> String {
    let (time, date) = (at.utc(), at.utc().date());
    // The first of January 1970 was a Thursday.
    let weekday = usize::try_from((date.days() + 3).rem_euclid(7)).unwrap_or_default();
    let month = usize::from(date.month()).saturating_sub(1);
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        DAYS.get(weekday).unwrap_or(&"Mon"),
        date.day(),
        MONTHS.get(month).unwrap_or(&"Jan"),
        date.year(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// `1994-11-06T08:49:37Z`. RFC 4918 §15.1
pub fn internet(at: Timestamp) -> String {
    let (time, date) = (at.utc(), at.utc().date());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        date.year(),
        date.month(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// The instant in any of the three forms of RFC 9110 §5.6.7.
pub fn parse(text: &str) -> Option<Timestamp> {
    let words: Vec<&str> = text
        .split([' ', ',', '-'])
        .filter(|w| !w.is_empty())
        .collect();
    let (day, month, year, time) = match words.as_slice() {
        [_, day, month, year, time, "GMT"] => (*day, *month, *year, *time),
        [_, month, day, time, year] => (*day, *month, *year, *time),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| *name == month)?;
    let year = match (year.len(), year.parse::<i32>().ok()?) {
        (2, year) if year < 70 => year + 2000,
        (2, year) => year + 1900,
        (4, year) => year,
        _ => return None,
    };
    let date = Date::new(year, u8::try_from(month + 1).ok()?, day.parse().ok()?)?;
    let mut parts = time.split(':').map(|part| part.parse::<u8>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    match parts.next() {
        None => Some(LocalTime::new(date, hour, minute, second.min(59))?.as_utc()),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_one_instant() {
        let at = parse("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(at, Timestamp(784_111_777));
        assert_eq!(parse("Sunday, 06-Nov-94 08:49:37 GMT"), Some(at));
        assert_eq!(parse("Sun Nov  6 08:49:37 1994"), Some(at));
        assert_eq!(http(at), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(internet(at), "1994-11-06T08:49:37Z");
        assert_eq!(http(Timestamp(0)), "Thu, 01 Jan 1970 00:00:00 GMT");
        for bad in [
            "",
            "x",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
