//! The tree, checked like any other behaviour: order of modules, headers of files, citations, owners of crates,
//! sizes, and the table of modules in README.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules in their order: each may use those before it.
const ORDER: &[&str] = &[
    "ical", "recur", "itip", "xml", "store", "auth", "dav", "schedule", "caldav", "mail", "web",
    "http", "conform", "bench", "cli",
];

/// Foreign crates and the modules that may use them. Those that every module may use are not listed.
const OWNERS: &[(&str, &[&str])] = &[
    ("argon2", &["auth"]),
    ("blake3", &["auth", "mail"]),
    ("brotli", &["http"]),
    ("clap", &["cli"]),
    ("crc32c", &["store"]),
    ("hyper", &["http"]),
    ("hyper_util", &["http"]),
    ("icu_calendar", &["recur"]),
    ("jiff", &["recur"]),
    ("mail_auth", &["mail"]),
    ("mail_parser", &["mail"]),
    ("smtp_proto", &["mail"]),
    ("quick_xml", &["xml"]),
    ("rpassword", &["cli"]),
    ("sled", &["store"]),
    ("tokio_rustls", &["http", "mail", "conform"]),
    ("toml", &["cli", "conform"]),
    ("tracing_subscriber", &["cli"]),
];

/// The longest a file may be.
const MAX_LINES: usize = 800;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir()
                && path
                    .file_name()
                    .is_some_and(|n| n != "target" && n != "fuzz")
            {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

fn all_files() -> Vec<(String, String)> {
    let mut files = rust_files(&root().join("src"));
    files.extend(rust_files(&root().join("tests")));
    files
}

/// `ical` of `src/ical/parse.rs`.
fn module_of(file: &str) -> &str {
    let rest = file.strip_prefix("src/").unwrap_or(file);
    rest.split('/')
        .next()
        .unwrap_or(rest)
        .trim_end_matches(".rs")
}

/// The code of a line, without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or(line)
}

/// Whether `word` stands in `text` with nothing before it that makes it a part of a longer name.
fn stands_in(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

#[test]
fn modules_use_only_those_above_them() {
    let mut wrong = Vec::new();
    for (file, text) in rust_files(&root().join("src")) {
        let module = module_of(&file);
        let Some(place) = ORDER.iter().position(|m| *m == module) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            for other in ORDER.iter().skip(place + 1) {
                if code(line).contains(&format!("crate::{other}::"))
                    || code(line).contains(&format!("crate::{other};"))
                {
                    wrong.push(format!(
                        "{file}:{}: {module} may not use {other}",
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_has_a_place_in_the_order() {
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let apart = ["lib.rs", "main.rs", "testing.rs"];
        let known = ORDER.contains(&name.as_str()) || apart.contains(&name.as_str());
        assert!(known, "src/{name} has no place in the order of modules");
        if path.is_dir() {
            assert!(path.join("mod.rs").is_file(), "src/{name} has no mod.rs");
            let deeper = fs::read_dir(&path)
                .unwrap()
                .any(|e| e.unwrap().path().is_dir());
            assert!(!deeper, "src/{name} has folders: two levels are enough");
        }
    }
}

#[test]
fn every_file_says_what_lives_in_it() {
    for (file, text) in all_files() {
        assert!(text.starts_with("//! "), "{file} does not begin with //!");
    }
}

#[test]
fn no_file_is_too_long() {
    for (file, text) in all_files() {
        assert!(
            text.lines().count() <= MAX_LINES,
            "{file} has more than {MAX_LINES} lines"
        );
    }
}

#[test]
fn every_section_that_the_code_cites_exists() {
    let list = include_str!("../testdata/rfc-sections.txt");
    let known: BTreeSet<&str> = list
        .lines()
        .filter_map(|l| l.split_once('\t'))
        .map(|(section, _)| section)
        .collect();
    let mut wrong = Vec::new();
    for (file, text) in all_files() {
        for (number, line) in text.lines().enumerate() {
            for cited in citations(line) {
                if !known.contains(cited.as_str()) {
                    wrong.push(format!("{file}:{}: {cited} does not exist", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Everything of the form `RFC 4791 §5.3.2, §7` in a line.
fn citations(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in line.split("RFC ").skip(1) {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        let mut rest = part.get(digits.len()..).unwrap_or_default();
        while let Some(after) = rest.strip_prefix(" §").or_else(|| rest.strip_prefix(", §")) {
            let end = after
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '.')
                .unwrap_or(after.len());
            let (section, tail) = after.split_at(end);
            found.push(format!("RFC {digits} §{}", section.trim_end_matches('.')));
            rest = tail;
        }
    }
    found
}

#[test]
fn citations_are_found() {
    let line = "/// RFC 4791 §5.3.2.1, §7.8. And RFC 5545 §3.1; RFC 9110.";
    assert_eq!(
        citations(line),
        ["RFC 4791 §5.3.2.1", "RFC 4791 §7.8", "RFC 5545 §3.1"]
    );
}

#[test]
fn every_foreign_crate_has_one_owner() {
    let mut wrong = Vec::new();
    for (file, text) in rust_files(&root().join("src")) {
        let module = module_of(&file);
        for (number, line) in text.lines().enumerate() {
            for (foreign, owners) in OWNERS {
                let used = stands_in(code(line), &format!("{foreign}::"))
                    || stands_in(code(line), &format!("use {foreign};"));
                if used && !owners.contains(&module) {
                    wrong.push(format!(
                        "{file}:{}: {foreign} belongs to {}",
                        number + 1,
                        owners.join(", ")
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_of_the_library_is_in_the_readme() {
    let Ok(readme) = fs::read_to_string(root().join("README.md")) else {
        return;
    };
    let rows = readme
        .lines()
        .filter_map(|l| l.strip_prefix("| `"))
        .filter_map(|l| l.split_once("/`"));
    let listed: BTreeSet<String> = rows
        .map(|(name, _)| name.to_owned())
        .filter(|n| !n.contains(' '))
        .collect();
    let there: BTreeMap<String, ()> = fs::read_dir(root().join("src"))
        .unwrap()
        .map(|e| e.unwrap())
        .filter(|e| e.path().is_dir())
        .map(|e| (e.file_name().to_string_lossy().into_owned(), ()))
        .collect();
    let there: BTreeSet<String> = there.into_keys().collect();
    assert_eq!(
        listed, there,
        "the table of modules in README and the folders of src differ"
    );
}
