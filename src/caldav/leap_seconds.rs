//! The leap seconds that a time zone service tells of: RFC 7808 §5.6.
//!
//! **Gaps**: the list is a part of the program. None was announced since 2016, and none is expected:
//! the General Conference on Weights and Measures gives them up by 2035.

use std::fmt::Write as _;

/// The days from which UTC was one second more behind TAI, in order.
const ONSETS: [&str; 28] = [
    "1972-01-01",
    "1972-07-01",
    "1973-01-01",
    "1974-01-01",
    "1975-01-01",
    "1976-01-01",
    "1977-01-01",
    "1978-01-01",
    "1979-01-01",
    "1980-01-01",
    "1981-07-01",
    "1982-07-01",
    "1983-07-01",
    "1985-07-01",
    "1988-01-01",
    "1990-01-01",
    "1991-01-01",
    "1992-07-01",
    "1993-07-01",
    "1994-07-01",
    "1996-01-01",
    "1997-07-01",
    "1999-01-01",
    "2006-01-01",
    "2009-01-01",
    "2012-07-01",
    "2015-07-01",
    "2017-01-01",
];

/// How far UTC was behind TAI from the first of them, in seconds.
const FIRST: usize = 10;

/// Until when this is all, as the International Earth Rotation and Reference Systems Service said last.
const EXPIRES: &str = "2026-06-28";

/// When the list was last changed by its publisher.
const VERSION: &str = "2025-07-07";

/// The answer to the action leapseconds. RFC 7808 §6.4
pub(super) fn answer() -> String {
    let mut list = String::new();
    for (place, onset) in ONSETS.iter().enumerate() {
        let comma = if place > 0 { "," } else { "" };
        let offset = FIRST + place;
        let _ = write!(
            list,
            "{comma}{{\"utc-offset\":{offset},\"onset\":\"{onset}\"}}"
        );
    }
    format!(
        "{{\"expires\":\"{EXPIRES}\",\"publisher\":\"IERS\",\"version\":\"{VERSION}\",\"leapseconds\":[{list}]}}"
    )
}

#[cfg(test)]
mod tests {
    /// The offsets in the example of RFC 7808 §5.6.1.
    #[test]
    fn leap_seconds_are_counted_from_tai() {
        let answer = super::answer();
        for pair in [
            "{\"utc-offset\":10,\"onset\":\"1972-01-01\"}",
            "{\"utc-offset\":11,\"onset\":\"1972-07-01\"}",
            "{\"utc-offset\":35,\"onset\":\"2012-07-01\"}",
            "{\"utc-offset\":36,\"onset\":\"2015-07-01\"}",
            "{\"utc-offset\":37,\"onset\":\"2017-01-01\"}]}",
        ] {
            assert!(answer.contains(pair), "{pair} in {answer}");
        }
    }
}
