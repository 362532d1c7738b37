//! Properties of every rule: windows fit together, and no text does harm.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::RngSeed;

use crate::ical::{LocalTime, When};

use super::{Limits, Rule, Scale, Series, TooMuch};

const FREQS: [&str; 7] = [
    "SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY",
];

/// A part with some values of a range, or nothing.
fn part(name: &'static str, range: std::ops::RangeInclusive<i16>) -> BoxedStrategy<String> {
    let zero = *range.start() == 0;
    let values = vec(range, 1..4).prop_map(move |values| {
        let values = values.iter().filter(|value| **value != 0 || zero);
        let values: Vec<String> = values.map(ToString::to_string).collect();
        if values.is_empty() {
            String::new()
        } else {
            format!(";{name}={}", values.join(","))
        }
    });
    prop_oneof![3 => Just(String::new()), 1 => values].boxed()
}

fn days() -> impl Strategy<Value = String> {
    let names = vec!["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
    let some = subsequence(names, 1..4).prop_map(|days| format!(";BYDAY={}", days.join(",")));
    prop_oneof![2 => Just(String::new()), 1 => some, 1 => Just(";BYDAY=-1FR,2MO".to_owned())]
}

fn rule() -> impl Strategy<Value = String> {
    let scales: Vec<&str> = Scale::names().collect();
    let scale = prop_oneof![4 => Just(String::new()), 1 => (select(scales), select(vec!["OMIT", "FORWARD", "BACKWARD"]))
        .prop_map(|(scale, skip)| format!(";RSCALE={scale};SKIP={skip}"))];
    let bound = prop_oneof![
        2 => Just(String::new()),
        1 => (1u32..400).prop_map(|count| format!(";COUNT={count}")),
        1 => (1990u32..2040).prop_map(|year| format!(";UNTIL={year}0615T120000")),
    ];
    let large = (
        part("BYMONTH", 1..=12),
        part("BYMONTHDAY", -31..=31),
        part("BYYEARDAY", -366..=366),
        part("BYWEEKNO", -53..=53),
        days(),
    );
    let small = (
        part("BYHOUR", 0..=23),
        part("BYMINUTE", 0..=59),
        part("BYSECOND", 0..=59),
        part("BYSETPOS", -4..=4),
    );
    let head = (select(FREQS.to_vec()), 1u32..40, scale, bound);
    (head, large, small).prop_map(|(head, large, small)| {
        let (freq, interval, scale, bound) = head;
        let (months, month_days, year_days, weeks, days) = large;
        let (hours, minutes, seconds, positions) = small;
        format!(
            "FREQ={freq};INTERVAL={interval}{scale}{bound}{months}{month_days}{year_days}{weeks}\
             {days}{hours}{minutes}{seconds}{positions}"
        )
    })
}

fn time(year: i64, seconds: i64) -> LocalTime {
    let base = LocalTime::parse("19700101T000000").unwrap();
    base.add_seconds(year * 31_557_600 + seconds).unwrap()
}

fn limits() -> Limits {
    Limits {
        instances: 3000,
        work: 200_000,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, rng_seed: RngSeed::Fixed(5545), ..ProptestConfig::default() })]

    #[test]
    fn windows_fit_together(
        text in rule(),
        start in 0i64..40 * 31_557_600,
        dates in any::<bool>(),
        year in 0i64..70,
        lengths in (1i64..3_000_000, 1i64..40_000_000),
    ) {
        let (rule, _) = Rule::parse(&text).unwrap();
        let start = time(0, start);
        let start = if dates { When::Date(start.date()) } else { When::Floating(start) };
        let from = time(year, 0);
        let middle = from.add_seconds(lengths.0).unwrap();
        let to = middle.add_seconds(lengths.1).unwrap();
        let series = Series::new(&rule, &start);
        // Another series that has never been asked: what is kept must not change an answer.
        let whole = Series::new(&rule, &start).between(from, to, &limits());
        let parts = series.between(from, middle, &limits()).and_then(|mut one| {
            one.extend(series.between(middle, to, &limits())?);
            Ok(one)
        });
        if let (Ok(whole), Ok(parts)) = (&whole, &parts) {
            prop_assert_eq!(whole, parts, "{} {}", text, start);
            prop_assert!(whole.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(whole.iter().all(|at| *at >= start.local() && *at >= from && *at < to));
        } else {
            prop_assert!(matches!(whole, Err(TooMuch::Instances | TooMuch::Work)) || parts.is_err());
        }
    }

    #[test]
    fn printed_rules_are_the_same_rules(text in rule()) {
        let (rule, _) = Rule::parse(&text).unwrap();
        let (again, _) = Rule::parse(&rule.to_string()).unwrap();
        prop_assert_eq!(rule, again);
    }

    #[test]
    fn no_text_does_harm(text in "(FREQ=(DAILY|YEARLY|HOURLY);)?[A-Z0-9=;,+ é-]{0,60}", seconds in 0i64..4_000_000_000) {
        if let Ok((rule, _)) = Rule::parse(&text) {
            let series = Series::new(&rule, &When::Floating(time(0, seconds)));
            let _ = series.between(time(20, 0), time(30, 0), &limits());
            let _ = series.last(&limits());
        }
    }
}
