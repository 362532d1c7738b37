//! Generated rules and windows, compared with what python-dateutil, libical 3 and ical-rs say.
//!
//! The questions and answers are `testdata/recur/oracles.txt`, made by `tests/oracles`. Where an
//! oracle says something else than we do, a sentence of RFC 5545 §3.3.10 decides, and is named here
//! with the rules it is about; what no sentence here decides is listed in
//! `testdata/recur/differences.txt`, line by line.

use std::collections::{BTreeMap, BTreeSet};

use crate::ical::{LocalTime, Weekday, When};

use super::{ByDay, Freq, Limits, Rule, Scale, Series};

/// A sentence, the oracles it is decided against (`d` python-dateutil, `l` libical, `i` ical-rs),
/// and the rules that it decides.
struct Decided {
    sentence: &'static str,
    against: &'static str,
    about: fn(&Rule) -> bool,
}

const DECIDED: &[Decided] = &[
    // All days of the week against the day of DTSTART.
    Decided {
        sentence: "if the [...] BYDAY [...] rule part were missing, the appropriate [...] day [...] \
                   would have been retrieved from the \"DTSTART\" property",
        against: "dli",
        about: |rule| !rule.weeks.is_empty() && rule.days.is_empty(),
    },
    // Weeks are those of the year that numbers them, also where they begin or end outside of it.
    Decided {
        sentence: "Week number one of the calendar year is the first week that contains at least \
                   four (4) days in that calendar year.",
        against: "dl",
        about: |rule| !rule.weeks.is_empty(),
    },
    // The first week is whole, also before DTSTART; and every frequency has positions.
    Decided {
        sentence: "A set of recurrence instances starts at the beginning of the interval defined \
                   by the FREQ rule part.",
        against: "d",
        about: |rule| rule.freq == Freq::Weekly && !rule.set_positions.is_empty(),
    },
    Decided {
        sentence: "BYSETPOS operates on a set of recurrence instances in one interval of the \
                   recurrence rule.",
        against: "l",
        about: |rule| !rule.set_positions.is_empty(),
    },
    // `MO,1FR` is every Monday and the first Friday, not both at once.
    Decided {
        sentence: "The BYDAY rule part specifies a COMMA-separated list of days of the week [...] \
                   Each BYDAY value can also be preceded by a positive (+n) or negative (-n) integer.",
        against: "d",
        about: |rule| {
            let numbered = |day: &ByDay| day.ordinal != 0;
            rule.days.iter().any(numbered) && !rule.days.iter().all(numbered)
        },
    },
    Decided {
        sentence: "Valid values are 1 to 31 or -31 to -1. For example, -10 represents the tenth to \
                   the last day of the month.",
        against: "l",
        about: |rule| rule.freq <= Freq::Daily && rule.month_days.iter().any(|day| *day < 0),
    },
    // BYMONTHDAY expands a year, also into the months DTSTART is not in.
    Decided {
        sentence: "BYxxx rule parts for a period of time less than the frequency generally increase \
                   or expand the number of occurrences of the recurrence.",
        against: "l",
        about: |rule| {
            rule.freq == Freq::Yearly && rule.months.is_empty() && !rule.month_days.is_empty()
        },
    },
    Decided {
        sentence: "the BYxxx rule parts are applied to the current set of evaluated occurrences in \
                   the following order: BYMONTH, BYWEEKNO, BYYEARDAY, BYMONTHDAY, BYDAY",
        against: "l",
        about: |rule| !rule.year_days.is_empty(),
    },
    Decided {
        sentence: "This is significant when a WEEKLY \"RRULE\" has an interval greater than 1, and a \
                   BYDAY rule part is specified.",
        against: "l",
        about: |rule| {
            rule.freq == Freq::Weekly && rule.interval > 1 && rule.week_start != Weekday::Monday
        },
    },
    Decided {
        sentence: "BYxxx rule parts for a period of time that is the same or greater than the \
                   frequency generally reduce or limit the number of occurrences",
        against: "l",
        about: |rule| rule.freq < Freq::Daily,
    },
];

/// The number of the times and the 32-bit FNV-1a hash of their text.
fn digest(times: &[LocalTime]) -> String {
    let texts: Vec<String> = times.iter().map(ToString::to_string).collect();
    let mut hash: u32 = 0x811c_9dc5;
    for byte in texts.join(" ").bytes() {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    format!("{}:{hash:x}", times.len())
}

fn read(name: &str) -> String {
    let path = format!("{}/testdata/recur/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

fn ours(question: &[&str]) -> (Rule, String) {
    let [start, text, from, to] = question else {
        panic!("{question:?}");
    };
    let (rule, _) = Rule::parse(text).unwrap();
    let local = |text| LocalTime::parse(text).unwrap();
    let series = Series::new(&rule, &When::parse(start, None).unwrap());
    let limits = Limits {
        instances: 1_000_000,
        ..Limits::default()
    };
    let found = series.between(local(from), local(to), &limits).unwrap();
    (rule, digest(&found))
}

#[test]
fn rules_mean_what_other_programs_or_the_rfc_say() {
    let (oracles, listed) = (read("oracles.txt"), read("differences.txt"));
    let mut listed: BTreeSet<&str> = listed
        .lines()
        .filter(|line| !line.starts_with('#') && !line.contains("RSCALE"))
        .collect();
    let mut sentences: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut questions, mut undecided) = (0, 0);
    let mut failures = String::new();
    for line in oracles.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split(' ').collect();
        let (question, answers) = fields.split_at(4);
        let (rule, ours) = ours(question);
        questions += 1;
        let mut open = false;
        for answer in answers {
            let (oracle, said) = answer.split_once('=').unwrap_or(("", answer));
            if said == "-" || said == ours {
                continue;
            }
            let decides = |row: &&Decided| {
                !oracle.is_empty() && row.against.contains(oracle) && (row.about)(&rule)
            };
            match DECIDED.iter().find(decides) {
                Some(row) => *sentences.entry(row.sentence).or_default() += 1,
                None => open = true,
            }
        }
        // Nobody else had an answer.
        open |= answers.iter().all(|answer| answer.ends_with("=-"));
        undecided += usize::from(open);
        if open && !listed.remove(line) {
            failures.push_str(&format!("not listed, we say {ours}: {line}\n"));
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
    assert!(
        listed.is_empty(),
        "listed, but decided or gone: {listed:#?}"
    );
    assert!(questions >= 20_000, "{questions}");
    assert!(undecided * 20 <= questions, "{undecided} of {questions}");
    assert_eq!(
        sentences.len(),
        DECIDED.len(),
        "a sentence decides nothing: {sentences:#?}"
    );
}

/// Rules of other calendars, against libical with ICU. Where it has an interval, "the year component
/// is incremented" from that of the start (RFC 7529 §3); libical counts from another year.
#[test]
fn rules_of_other_calendars_mean_what_libical_says() {
    let (answers, listed) = (read("rscale.txt"), read("differences.txt"));
    let mut listed: BTreeSet<&str> = listed
        .lines()
        .filter(|line| line.contains("RSCALE"))
        .collect();
    let mut compared = 0;
    let mut failures = String::new();
    for line in answers.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split(' ').collect();
        let [start, text, end, said @ ..] = fields.as_slice() else {
            panic!("{line}");
        };
        let (rule, _) = Rule::parse(text).unwrap();
        if rule.interval > 1 && rule.scale != Some(Scale::Gregorian) {
            continue;
        }
        let start = When::parse(start, None).unwrap();
        let end = When::parse(end, None).unwrap().local();
        let found = Series::new(&rule, &start).between(start.local(), end, &Limits::default());
        let found: Vec<String> = found
            .unwrap()
            .iter()
            .map(|at| at.date().to_string())
            .collect();
        compared += 1;
        let question = fields[..3].join(" ");
        if found != said && !listed.remove(question.as_str()) {
            failures.push_str(&format!("{question}\n  have {found:?}\n  said {said:?}\n"));
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
    assert!(
        listed.is_empty(),
        "listed, but decided or gone: {listed:#?}"
    );
    assert!(compared > 400, "{compared}");
}
