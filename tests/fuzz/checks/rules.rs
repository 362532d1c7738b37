//! Recurrence rules: whatever is read, its windows fit together and cost no more than allowed.
//!
//! The text is a rule; sixteen bytes in front of it choose the start of the series and a window.

use kalends::ical::{LocalTime, When};
use kalends::recur::{Limits, Rule, Series};

/// Checks one input.
pub(crate) fn check(data: &[u8]) {
    let Some((head, text)) = data.split_at_checked(16) else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let Ok((rule, _)) = Rule::parse(text) else {
        return;
    };
    let printed = rule.to_string();
    let again = Rule::parse(&printed).map(|(rule, _)| rule);
    assert_eq!(again.as_ref(), Ok(&rule), "{printed}");
    let number = |at: usize| {
        let bytes = head.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        i64::from(bytes.map_or(0, u32::from_le_bytes))
    };
    let time = |seconds: i64| LocalTime::from_seconds(seconds).unwrap_or(LocalTime::MAX);
    let start = time(number(0) * 58 - 62_135_596_800);
    let from = time(start.seconds() + number(4));
    let middle = time(from.seconds() + number(8) / 64);
    let to = time(middle.seconds() + number(12) / 64);
    let start = if number(0) % 4 == 0 {
        When::Date(start.date())
    } else {
        When::Floating(start)
    };
    let limits = Limits {
        instances: 2000,
        work: 200_000,
    };
    let series = Series::new(&rule, &start);
    let whole = Series::new(&rule, &start).between(from, to, &limits);
    let one = series.between(from, middle, &limits);
    let two = series.between(middle, to, &limits);
    if let (Ok(whole), Ok(mut one), Ok(two)) = (whole, one, two) {
        one.extend(two);
        assert_eq!(whole, one, "{printed} {start}");
    }
    let _ = series.last(&limits);
}
