//! A summary never misses what the object has.

use crate::ical::Timestamp;

use super::object_tests::cases;
use super::{Limits, Month, Range, Summary, Verdict, Zone, compile};

/// Ranges of many lengths around the range of a fixture.
fn ranges(around: Range) -> Vec<Range> {
    let mut ranges = vec![around, Range::ALL];
    for days in [
        -400, -40, -31, -8, -7, -6, -2, -1, 0, 1, 2, 3, 4, 5, 6, 9, 15, 40, 400,
    ] {
        for hours in [1, 11, 24, 24 * 9] {
            let start = around.start.add_seconds(days * 86_400 + hours * 1800);
            ranges.extend(Range::new(start, start.add_seconds(hours * 3600)));
        }
    }
    ranges.extend(Range::new(Timestamp::MIN, around.start));
    ranges.extend(Range::new(around.end, Timestamp::MAX));
    ranges
}

#[test]
fn a_summary_never_misses_an_instance() {
    let limits = Limits::default();
    let zones = ["UTC", "America/New_York", "Pacific/Kiritimati"];
    let zones = zones.map(|name| Zone::named(name).unwrap());
    let mut decided = 0;
    for case in cases("objects.txt") {
        let calendar = case.calendar();
        let compiled = compile(&calendar);
        let summary = compiled.summary(&calendar);
        assert_eq!(
            Summary::decode(&summary.encode()).as_ref(),
            Some(&summary),
            "{}",
            case.title
        );
        for zone in zones.iter().chain([&case.floating]) {
            for range in ranges(case.range) {
                let overlaps = compiled.overlaps(range, zone, &limits).unwrap();
                let alarm = compiled.alarms_overlap(range, zone, &limits).unwrap();
                let title = format!("{} {range:?} {zone:?} {summary:?}", case.title);
                match summary.verdict(&range, zone) {
                    Verdict::Yes => assert!(overlaps, "{title}"),
                    Verdict::No => assert!(!overlaps, "{title}"),
                    Verdict::Maybe => decided -= 1,
                }
                decided += 1;
                assert!(summary.may_overlap(&range, zone) || !overlaps, "{title}");
                assert!(summary.may_alarm(&range, zone) || !alarm, "{title}");
            }
        }
    }
    assert!(decided > 9000, "{decided}");
}

#[test]
fn months_hold_every_instance() {
    let limits = Limits::default();
    for case in cases("objects.txt") {
        let calendar = case.calendar();
        let compiled = compile(&calendar);
        let summary = compiled.summary(&calendar);
        let horizon = (
            Month::of(case.range.start),
            Month(Month::of(case.range.end).0 + 2),
        );
        let months = match summary.months(horizon, &case.floating) {
            Some(months) => months,
            None => compiled.months(horizon, &case.floating, &limits).unwrap(),
        };
        for month in horizon.0.0..=horizon.1.0 {
            let range = Range::new(Month(month).start(), Month(month + 1).start()).unwrap();
            let overlaps = compiled.overlaps(range, &case.floating, &limits).unwrap();
            assert!(
                months.contains(&Month(month)) || !overlaps,
                "{} {month}",
                case.title
            );
        }
    }
}

#[test]
fn months_begin_and_end_with_time() {
    assert_eq!(Month::of(Timestamp(0)), Month(0));
    assert_eq!(Month::of(Timestamp(-1)), Month(-1));
    assert_eq!(Month(-1).start().to_string(), "19691201T000000Z");
    assert_eq!(Month(683).start().to_string(), "20261201T000000Z");
    assert_eq!(Month(i32::MAX).start(), Timestamp::MAX);
    assert_eq!(Month(i32::MIN).start(), Timestamp::MIN);
}

#[test]
fn bytes_of_no_summary_are_refused() {
    let case = cases("objects.txt").remove(0);
    let bytes = compile(&case.calendar()).summary(&case.calendar()).encode();
    for length in 0..bytes.len() {
        assert_eq!(Summary::decode(&bytes[..length]), None, "{length}");
    }
    assert_eq!(Summary::decode(&[255; 40]), None);
    assert_eq!(Summary::decode(&[2, 1, 0, 0, 4, 255, 255, 255]), None);
}
