//! The conformance suite as a whole: it is well formed, its titles are distinct, and its sections exist.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kalends::conform::{case, suite};

fn suite() -> Vec<case::Case> {
    suite::folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance"))
        .unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn every_case_is_well_formed_and_has_a_title_of_its_own() {
    let cases = suite();
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for case in &cases {
        let here = format!("{}:{}", case.file, case.line);
        if let Some(first) = seen.insert(case.title.to_lowercase(), here.clone()) {
            panic!("{here}: the title {:?} is that of {first}", case.title);
        }
        assert!(!case.title.ends_with('.'), "{here}: a title is no sentence");
    }
}

#[test]
fn every_section_that_a_case_cites_exists() {
    let list = include_str!("../testdata/rfc-sections.txt");
    let known: BTreeSet<&str> = list
        .lines()
        .filter_map(|l| l.split_once('\t'))
        .map(|(section, _)| section)
        .collect();
    for case in suite() {
        for spec in &case.spec {
            assert!(
                known.contains(spec.as_str()),
                "{}:{}: {spec} does not exist",
                case.file,
                case.line
            );
        }
    }
}
