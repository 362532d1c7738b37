//! The fixtures of `testdata/recur/objects.txt`: calendar objects and their instances in a range.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use crate::ical::{Component, Timestamp, parse};

use super::{Compiled, Limits, Query, Range, Zone, busy, compile};

/// One case of the file.
pub(super) struct Case {
    pub(super) title: String,
    pub(super) floating: Zone,
    pub(super) range: Range,
    pub(super) object: String,
    pub(super) expected: Vec<String>,
    pub(super) alarms: Option<String>,
}

impl Case {
    pub(super) fn calendar(&self) -> Component {
        let text = format!("BEGIN:VCALENDAR\n{}END:VCALENDAR\n", self.object);
        parse(text.as_bytes(), &crate::ical::Limits::default())
            .calendars
            .remove(0)
    }
}

/// The cases of a file of objects.
pub(super) fn cases(name: &str) -> Vec<Case> {
    let path = format!("{}/testdata/recur/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "===" {
            cases.push(Case {
                title: rest.to_owned(),
                floating: Zone::utc(),
                range: Range::ALL,
                object: String::new(),
                expected: Vec::new(),
                alarms: None,
            });
        }
        let Some(case) = cases.last_mut() else {
            continue;
        };
        match word {
            "===" | "#" | "" => {}
            "floating" => case.floating = Zone::named(rest).unwrap(),
            "range" => {
                let (start, end) = rest.split_once(' ').unwrap();
                let instant = |text| Timestamp::parse(text).unwrap();
                case.range = Range::new(instant(start), instant(end)).unwrap();
            }
            "=" => case.expected.push(rest.to_owned()),
            "alarms" => case.alarms = Some(rest.to_owned()),
            _ => {
                case.object.push_str(line);
                case.object.push('\n');
            }
        }
    }
    cases
}

fn instances(compiled: &Compiled, case: &Case) -> Vec<String> {
    let limits = Limits::default();
    let found = compiled
        .instances(case.range, &case.floating, &limits)
        .unwrap();
    let overlaps = compiled.overlaps(case.range, &case.floating, &limits);
    assert_eq!(overlaps, Ok(!found.is_empty()), "{}", case.title);
    let line = |instance: &super::Instance| {
        let id = instance
            .id
            .as_ref()
            .map_or("-".to_owned(), ToString::to_string);
        format!(
            "{} {} {id} {}",
            instance.from, instance.to, instance.component
        )
    };
    found.iter().map(line).collect()
}

fn alarms(compiled: &Compiled, case: &Case) -> String {
    let query = Query {
        range: case.range,
        floating: &case.floating,
        component: None,
    };
    let mut times = Vec::new();
    let found = compiled.visit_alarms(&query, &Limits::default(), &mut |time| {
        times.push(time.at.to_string());
        ControlFlow::Continue(())
    });
    assert_eq!(found, Ok(()));
    times.sort_unstable();
    times.join(" ")
}

#[test]
fn objects_have_the_instances_of_the_fixtures() {
    let mut failures = String::new();
    let cases = cases("objects.txt");
    assert!(cases.len() > 40);
    for case in cases {
        let compiled = compile(&case.calendar());
        let (found, expected) = match &case.alarms {
            Some(expected) => (vec![alarms(&compiled, &case)], vec![expected.clone()]),
            None => (instances(&compiled, &case), case.expected.clone()),
        };
        if found != expected {
            let _ = writeln!(
                failures,
                "=== {}\n  want {expected:#?}\n  have {found:#?}",
                case.title
            );
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

#[test]
fn objects_are_busy_as_the_fixtures_say() {
    let mut failures = String::new();
    let cases = cases("busy.txt");
    assert!(cases.len() >= 10);
    for case in cases {
        let compiled = compile(&case.calendar());
        let limits = Limits::default();
        let found = busy(&compiled, case.range, &case.floating, &limits).unwrap();
        let line = |period: &super::BusyPeriod| {
            format!("{} {} {}", period.start, period.end, period.kind.name())
        };
        let found: Vec<_> = found.iter().map(line).collect();
        if found != case.expected {
            let _ = writeln!(
                failures,
                "=== {}\n  want {:#?}\n  have {found:#?}",
                case.title, case.expected
            );
        }
        let summary = compiled.summary(&case.calendar());
        assert!(summary.busy.blocks() || found.is_empty(), "{}", case.title);
    }
    assert!(failures.is_empty(), "\n{failures}");
}
