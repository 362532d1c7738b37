//! The fixtures of `testdata/recur`: a rule, its start, a range and the instances in it.

use std::fmt::Write as _;

use crate::ical::{LocalTime, When};

use super::{Limits, Rule, Series};

struct Case {
    file: String,
    title: String,
    start: When,
    rule: String,
    range: (LocalTime, LocalTime),
    expected: Vec<LocalTime>,
}

fn local(text: &str) -> LocalTime {
    When::parse(text, None).unwrap().local()
}

fn cases() -> Vec<Case> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/recur");
    let mut cases = Vec::new();
    for name in ["rfc5545.txt", "rfc7529.txt", "rules.txt"] {
        let text = std::fs::read_to_string(format!("{directory}/{name}")).unwrap();
        let mut case: Option<Case> = None;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let rest = rest.trim();
            if word == "===" {
                cases.extend(case.take());
                case = Some(Case {
                    file: name.to_owned(),
                    title: rest.to_owned(),
                    start: When::parse("19700101", None).unwrap(),
                    rule: String::new(),
                    range: (LocalTime::MIN, LocalTime::MAX),
                    expected: Vec::new(),
                });
                continue;
            }
            let Some(case) = &mut case else {
                assert!(line.is_empty(), "{name}: {line}");
                continue;
            };
            match word {
                "start" => case.start = When::parse(rest, None).unwrap(),
                "rule" => case.rule = rest.to_owned(),
                "range" => {
                    let (from, to) = rest.split_once(' ').unwrap();
                    case.range = (local(from), local(to));
                }
                "=" => case.expected.extend(rest.split(' ').map(local)),
                "" => {}
                _ => panic!("{name}: {line}"),
            }
        }
        cases.extend(case);
    }
    cases
}

fn list(times: &[LocalTime]) -> String {
    times.iter().fold(String::new(), |mut text, time| {
        let _ = write!(text, " {time}");
        text
    })
}

#[test]
fn rules_give_the_instances_of_the_fixtures() {
    let mut failures = String::new();
    let cases = cases();
    assert!(cases.len() > 70, "{}", cases.len());
    for case in cases {
        let (rule, _) = Rule::parse(&case.rule).unwrap();
        let series = Series::new(&rule, &case.start);
        let found = series.between(case.range.0, case.range.1, &Limits::default());
        if found.as_ref() != Ok(&case.expected) {
            let found = found.map_or_else(|error| error.to_string(), |times| list(&times));
            let _ = writeln!(
                failures,
                "{}: {}\n  {}\n  want{}\n  have{found}",
                case.file,
                case.title,
                case.rule,
                list(&case.expected)
            );
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
}

#[test]
fn a_window_gives_what_the_whole_gives_there() {
    for case in cases() {
        let (rule, _) = Rule::parse(&case.rule).unwrap();
        for (index, at) in case.expected.iter().enumerate() {
            let series = Series::new(&rule, &case.start);
            let limits = Limits::default();
            let before = series.between(case.range.0, *at, &limits).unwrap();
            let after = series.between(*at, case.range.1, &limits).unwrap();
            assert_eq!(before, case.expected[..index], "{} {at}", case.rule);
            assert_eq!(after, case.expected[index..], "{} {at}", case.rule);
        }
    }
}
