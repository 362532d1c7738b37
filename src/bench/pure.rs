//! The layers below the server, measured in this process: reading, printing and expanding.

use std::hint::black_box;

use super::calendars;
use super::load;
use super::{Options, Row};
use crate::ical::{self, Component, Date, LocalTime, When};
use crate::recur::{Limits, Rule, Series};

/// Objects of the text that is read: some megabytes, as a year's calendar has.
const OBJECTS: usize = 5_000;

/// Reading and printing against a bare pass over the same bytes, a month of an old rule against a bare loop.
pub(super) fn run(options: &Options) -> Result<Vec<Row>, String> {
    let objects: Vec<String> = (0..OBJECTS)
        .map(|n| calendars::object(n, OBJECTS))
        .collect();
    let text = objects.concat();
    let bytes = text.as_bytes();
    let parsed = ical::parse(bytes, &ical::Limits::default());
    if parsed.calendars.len() != OBJECTS {
        return Err(format!("{} objects were read", parsed.calendars.len()));
    }
    let bare = rate(options, || bare_pass(bytes));
    let parse = rate(options, || {
        ical::parse(bytes, &ical::Limits::default()).calendars.len()
    });
    let each = rate(options, || {
        let read = |text: &String| ical::parse(text.as_bytes(), &ical::Limits::default());
        objects.iter().map(|text| read(text).calendars.len()).sum()
    });
    let print = rate(options, || printed(&parsed.calendars));
    let megabytes = bytes.len() as f64 / 1e6;
    let against = |name: &str, each: f64| {
        Row::compared(
            name,
            format!("{:.0} MB/s", megabytes * each),
            format!(
                "{:.0} % of splitting the same bytes into lines and checking UTF-8",
                100.0 * each / bare
            ),
        )
    };
    Ok(vec![
        against("parse", parse),
        against("parse, object by object", each),
        against("print", print),
        month(options)?,
    ])
}

/// How often a second `work` can be done.
fn rate(options: &Options, mut work: impl FnMut() -> usize) -> f64 {
    let (mut count, mut spent) = (0.0, 0.0);
    while spent < f64::from(options.seconds) {
        let (took, result) = load::time(&mut work);
        black_box(result);
        spent += took;
        count += 1.0;
    }
    count / spent
}

fn bare_pass(bytes: &[u8]) -> usize {
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| std::str::from_utf8(line).is_ok())
        .count()
}

fn printed(calendars: &[Component]) -> usize {
    let mut out = Vec::new();
    for calendar in calendars {
        ical::print_to(&mut out, calendar);
    }
    out.len()
}

/// One month of a daily rule begun in 1970 against a loop that only counts the days.
fn month(options: &Options) -> Result<Row, String> {
    let date = |year, month| Date::new(year, month, 1).ok_or("no such day");
    let start = date(1970, 1)?.midnight();
    let (from, to) = (date(2026, 9)?.midnight(), date(2026, 10)?.midnight());
    let (rule, _) = Rule::parse("FREQ=DAILY").map_err(|e| format!("{e:?}"))?;
    let series = Series::new(&rule, &When::Floating(start));
    let limits = Limits::default();
    let expected = bare_month(from, to).len();
    let found = series
        .between(from, to, &limits)
        .map_err(|e| format!("{e:?}"))?;
    if found.len() != expected {
        return Err(format!("{} days in the month", found.len()));
    }
    // A thousand at a time, because one is too short for the clock.
    let bare = rate(options, || {
        (0..1000)
            .map(|_| black_box(bare_month(from, to)).len())
            .sum()
    });
    let ours = rate(options, || {
        let month = |_| black_box(series.between(from, to, &limits)).map_or(0, |days| days.len());
        (0..1000).map(month).sum()
    });
    Ok(Row::compared(
        "a month of a daily rule begun in 1970",
        format!("{:.2} µs", 1e3 / ours),
        format!("{:.1} times a bare loop over the same dates", bare / ours),
    ))
}

fn bare_month(from: LocalTime, to: LocalTime) -> Vec<LocalTime> {
    let mut days = Vec::new();
    let mut day = Some(from);
    while let Some(at) = day.filter(|at| *at < to) {
        days.push(at);
        day = at.add_days(1);
    }
    days
}
