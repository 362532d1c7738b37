//! The first minutes with real clients: the binary is started on an empty directory with README's command, and the
//! whole account set-up and first sync of each client is played as it goes over the wire (tests/setup/*.dav).

#![allow(clippy::unwrap_used, reason = "tests")]

mod running;

use std::path::Path;

use kalends::conform::{self, suite, target::Account, target::Target};
use running::{Client, Folder, Running};

#[test]
fn the_first_start_makes_an_account_that_can_log_in() {
    let folder = Folder::new("first-start");
    let server = Running::start_in(&folder);
    let word = |label: &str| {
        let line = server
            .greeting
            .lines()
            .find(|l| l.trim_start().starts_with(label));
        line.and_then(|l| l.split_whitespace().nth(1))
            .unwrap_or_else(|| panic!("no {label} in {}", server.greeting))
    };
    let client = Client::new(&server.origin, word("user"), word("password"));
    let body = "<propfind xmlns='DAV:'><prop><current-user-principal/></prop></propfind>";
    let answer = client.ask("PROPFIND", "/", &[("Depth", "0")], body);
    assert_eq!(answer.status, 207, "{}", answer.text());
    assert!(
        answer.text().contains("/dav/principals/users/admin/"),
        "{}",
        answer.text()
    );
    let stranger = Client {
        authorization: None,
        ..client
    };
    assert_eq!(
        stranger
            .ask("PROPFIND", "/", &[("Depth", "0")], body)
            .status,
        401
    );
    assert_eq!(server.stop(), Some(0));
    assert!(folder.data().is_dir(), "the data is where server.toml says");
    let again = Running::start_in(&folder);
    assert!(
        !again.greeting.contains("password  "),
        "the password is shown once: {}",
        again.greeting
    );
    assert_eq!(again.stop(), Some(0));
}

#[test]
fn every_client_sets_up_an_account_and_syncs() {
    let folder = Folder::new("setup");
    let server = Running::start(&folder.data());
    let cases = suite::folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/setup"))
        .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(cases.len(), 5);
    let target = Target {
        name: "Kalends".to_owned(),
        url: server.url(),
        ca: None,
        insecure: false,
        users: vec![Account::default()],
        make_user: server.make_user(),
        make_room: Vec::new(),
        make_group: Vec::new(),
        mail: None,
        differs: Vec::new(),
    };
    let mut log = Vec::new();
    let run = conform::play(target, &cases, None, &mut log).unwrap();
    let bad = run.cases.iter().any(conform::run::Played::is_bad);
    assert!(!bad, "{}", String::from_utf8_lossy(&log));
}
