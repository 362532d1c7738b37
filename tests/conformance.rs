//! The conformance suite against the real binary, on an empty directory.

#![allow(clippy::unwrap_used, reason = "tests")]

mod running;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use kalends::conform::target::{Difference, Target};
use kalends::conform::{
    self,
    report::{self, Totals},
    run::Played,
    suite,
};
use running::{Folder, Running};

#[test]
fn every_case_holds() {
    let folder = Folder::new("conformance");
    let server = Running::start(&folder.data());
    let target = Target {
        name: "Kalends".to_owned(),
        url: server.url(),
        ca: None,
        insecure: false,
        users: Vec::new(),
        make_user: server.make_user(),
        make_room: server.make_room(),
        make_group: server.make_group(),
        mail: None,
        differs: differences(),
    };
    let cases = suite::folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance"))
        .unwrap_or_else(|e| panic!("{e}"));
    let mut log = Vec::new();
    let run = conform::play(target, &cases, None, &mut log).unwrap();
    let totals = Totals::of(&run.cases);
    assert!(totals.good(), "{}", String::from_utf8_lossy(&log));
    eprintln!("{totals}");
    readme_tells(&table(&run.cases));
}

/// The run as README shows it.
fn table(played: &[Played]) -> String {
    let mut table = String::from(
        "| document | cases | passed | otherwise on purpose | not offered |\n|---|---:|---:|---:|---:|\n",
    );
    let all = ("all".to_owned(), Totals::of(played));
    for (document, totals) in report::documents(played).into_iter().chain([all]) {
        let Totals {
            passed,
            known,
            not_offered,
            ..
        } = totals;
        let _ = writeln!(
            table,
            "| {document} | {} | {passed} | {known} | {not_offered} |",
            totals.all()
        );
    }
    table
}

/// README has the table; where it is stale, the whole README as it has to be is left beside the test's own files.
fn readme_tells(table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    if readme.contains(table) {
        return;
    }
    let start = readme.find("| document | cases |").unwrap();
    let end = readme[start..]
        .find("\n\n")
        .map_or(readme.len(), |at| start + at + 1);
    let left = Path::new(env!("CARGO_TARGET_TMPDIR")).join("README.md");
    fs::write(
        &left,
        format!("{}{table}{}", &readme[..start], &readme[end..]),
    )
    .unwrap();
    panic!(
        "the table of cases is stale: cp {} {}",
        left.display(),
        path.display()
    );
}

/// What the server does otherwise on purpose.
fn differences() -> Vec<Difference> {
    let tables = [
        &kalends::dav::TABLE,
        &kalends::caldav::TABLE,
        &kalends::schedule::TABLE,
    ];
    let deviations = tables.iter().flat_map(|table| table.deviations);
    deviations
        .map(|deviation| Difference {
            cases: deviation.cases.iter().map(|c| (*c).to_owned()).collect(),
            reason: format!("{}: {}", deviation.spec, deviation.what),
        })
        .collect()
}
