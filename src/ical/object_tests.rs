//! Every text in `testdata/ical` and `testdata/ical/bad` has beside it what is wrong with it and
//! whether it may be stored: one line for each problem, then the verdict.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::{Breach, CalendarObject, Limits, Parsed, Severity, parse, print_to, rules};

/// What we find in a text, in the form of the files.
fn report(text: &[u8]) -> String {
    let parsed = parse(text, &Limits::default());
    let object = CalendarObject::read(text, &Limits::default());
    let problems = object.as_ref().map_or_else(
        |_| {
            let rules = parsed.calendars.iter().flat_map(rules::check);
            let mut problems: Vec<_> = parsed.problems.iter().cloned().chain(rules).collect();
            problems.sort_by_key(|problem| problem.line);
            problems
        },
        |object| object.problems.clone(),
    );
    let mut report = String::new();
    for problem in &problems {
        let severity = match problem.severity() {
            Severity::Note => "note",
            Severity::Fault => "fault",
        };
        writeln!(report, "{severity}, {problem}").unwrap();
    }
    match object {
        Ok(object) => {
            let dates = object
                .dates()
                .map(|(first, last)| format!(" {first} to {last}"));
            let (kind, uid) = (object.kind.component_name(), &object.uid);
            let dates = dates.unwrap_or_default();
            writeln!(report, "stored: {kind} {uid}{dates}").unwrap();
        }
        Err(breach) => {
            let kind = match breach {
                Breach::NotCalendar { .. } => "not iCalendar",
                Breach::Data { .. } => "data",
                Breach::Object { .. } => "object",
                Breach::Component { .. } => "component",
            };
            writeln!(report, "refused: {kind}, {breach}").unwrap();
        }
    }
    report
}

/// Each text of a directory with the report beside it.
fn fixtures(directory: &str) -> Vec<(PathBuf, Vec<u8>, String)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "ics"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 10, "{} lacks its texts", directory.display());
    let read = |path: PathBuf| {
        let text = std::fs::read(&path).unwrap();
        let expected = std::fs::read_to_string(path.with_extension("txt")).unwrap();
        (path, text, expected)
    };
    paths.into_iter().map(read).collect()
}

fn check(directory: &str, verdict: &str) {
    let mut wrong = String::new();
    for (path, text, expected) in fixtures(directory) {
        let found = report(&text);
        if found != expected || !found.contains(verdict) {
            write!(wrong, "\n{}:\n{found}", path.display()).unwrap();
        }
    }
    assert_eq!(
        wrong, "",
        "what was found differs from the .txt beside the text"
    );
}

#[test]
fn texts_with_a_clear_meaning_are_stored() {
    check("testdata/ical", "stored: ");
}

#[test]
fn texts_without_a_clear_meaning_are_refused() {
    check("testdata/ical/bad", "refused: ");
}

#[test]
fn every_text_survives_printing() {
    for directory in ["testdata/ical", "testdata/ical/bad"] {
        for (path, text, _) in fixtures(directory) {
            let Parsed { calendars, .. } = parse(&text, &Limits::default());
            let mut printed = Vec::new();
            for calendar in &calendars {
                print_to(&mut printed, calendar);
            }
            let again = parse(&printed, &Limits::default());
            assert_eq!(again.calendars, calendars, "{}", path.display());
        }
    }
}
