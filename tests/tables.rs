//! Each row of the tables has a conformance case that cites its section, so that nothing is claimed
//! without being shown.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

use kalends::dav::{self, Condition, Table};

/// The sections that no case shows, and why.
const NOT_SHOWN: &[(&str, &str)] = &[("RFC 4331 §6", "the disk would have to be full")];

const TABLES: [&Table; 3] = [
    &dav::TABLE,
    &kalends::schedule::TABLE,
    &kalends::caldav::TABLE,
];

/// The text of all cases, and the sections they cite.
fn cases(folder: &Path, text: &mut String, cited: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            cases(&path, text, cited);
        } else if path.extension().is_some_and(|e| e == "dav") {
            let cases = std::fs::read_to_string(path).unwrap();
            let specs = cases.lines().filter_map(|line| line.strip_prefix("spec "));
            cited.extend(
                specs
                    .flat_map(|s| s.split(','))
                    .map(|s| s.trim().to_owned()),
            );
            text.push_str(&cases);
        }
    }
}

/// The section of each row with the name that a case speaks of.
fn rows() -> Vec<(&'static str, &'static str)> {
    let mut rows = Vec::new();
    for table in TABLES {
        rows.extend(table.methods.iter().map(|row| (row.spec, row.name)));
        rows.extend(table.reports.iter().map(|row| (row.spec, row.name.local)));
        let properties = table.properties.iter().copied().flatten();
        rows.extend(properties.map(|row| (row.spec, row.name.local)));
    }
    let conditions = Condition::ALL.iter().map(|condition| condition.row());
    rows.extend(conditions.map(|row| (row.spec, row.name.local)));
    rows
}

#[test]
fn a_row_has_a_case_that_cites_its_section() {
    let (mut text, mut cited) = (String::new(), BTreeSet::new());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    cases(&folder, &mut text, &mut cited);
    let missing: Vec<_> = rows()
        .into_iter()
        .filter(|(spec, _)| NOT_SHOWN.iter().all(|(known, _)| known != spec))
        // What no RFC defines is shown by a case for the client that wants it.
        .filter(|(spec, name)| match spec.starts_with("RFC ") {
            true => !cited.contains(*spec),
            false => !text.contains(name),
        })
        .collect();
    assert!(missing.is_empty(), "rows without a case: {missing:#?}");
    let shown = NOT_SHOWN.iter().find(|(spec, _)| cited.contains(*spec));
    assert_eq!(shown, None, "is shown by now");
}
