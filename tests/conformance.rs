//! The conformance suite against the real binary, on an empty directory.

#![allow(clippy::unwrap_used, reason = "tests")]

mod running;

use std::path::Path;

use kalends::conform::{self, report::Totals, suite, target::Target};
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
        mail: None,
        differs: Vec::new(),
    };
    let cases = suite::folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance"))
        .unwrap_or_else(|e| panic!("{e}"));
    let mut log = Vec::new();
    let run = conform::play(target, &cases, None, &mut log).unwrap();
    let totals = Totals::of(&run.cases);
    assert!(totals.good(), "{}", String::from_utf8_lossy(&log));
    eprintln!("{totals}");
}
