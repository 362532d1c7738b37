//! What the conformance suite shows: `conformance/coverage.md` lists each sentence that binds a server with its cases,
//! `conformance/deviations.md` what the server does otherwise on purpose, and for whom.
//!
//! Both are made here, of `conformance/sentences/` and of the tables, and are compared with what the tree has. That no
//! sentence is forgotten is seen by `testdata/sentences.txt`, which `tests/sentences.py` makes of the standards.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use kalends::conform::suite;
use kalends::dav::{self, Deviation};

/// How many cases there are at least.
const FLOOR: usize = 800;

fn conformance() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance")
}

fn cases() -> BTreeSet<String> {
    let cases = suite::folder(&conformance()).unwrap_or_else(|e| panic!("{e}"));
    cases.iter().map(|case| case.id()).collect()
}

/// A sentence, or a client's demand.
#[derive(Debug)]
struct Sentence {
    /// Where it stands, and how it begins.
    key: String,
    /// What it says, in our words.
    says: String,
    /// The cases that show it.
    cases: Vec<String>,
    /// Why there is none.
    none: Option<String>,
}

/// The name of a document and its sentences.
fn read(path: &Path) -> (String, Vec<Sentence>) {
    let text = fs::read_to_string(path).unwrap();
    let mut blocks = text.split("\n\n");
    let document = blocks.next().unwrap().strip_prefix("document ");
    let document =
        document.unwrap_or_else(|| panic!("{}: `document NAME` comes first", path.display()));
    let sentences = blocks
        .map(|block| sentence(path, block.trim_end()))
        .collect();
    (document.trim().to_owned(), sentences)
}

fn sentence(path: &Path, block: &str) -> Sentence {
    let mut lines = block.lines();
    let key = lines.next().unwrap_or_default().to_owned();
    let bad = |line: &str| -> ! {
        panic!(
            "{}: {key}: {line:?} is no line of a sentence",
            path.display()
        )
    };
    let mut sentence = Sentence {
        key: key.clone(),
        says: String::new(),
        cases: Vec::new(),
        none: None,
    };
    for line in lines {
        let Some(line) = line.strip_prefix("  ") else {
            bad(line)
        };
        if let Some(case) = line.strip_prefix("= ") {
            sentence.cases.push(case.to_owned());
        } else if let Some(reason) = line.strip_prefix("none: ") {
            sentence.none = Some(reason.to_owned());
        } else if sentence.says.is_empty() {
            sentence.says = line.to_owned();
        } else {
            bad(line);
        }
    }
    sentence
}

fn documents() -> Vec<(String, Vec<Sentence>)> {
    documents_in("sentences")
}

fn documents_in(folder: &str) -> Vec<(String, Vec<Sentence>)> {
    let folder = fs::read_dir(conformance().join(folder)).unwrap();
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| read(path)).collect()
}

#[test]
fn each_sentence_has_cases_or_the_reason_why_not() {
    let cases = cases();
    let mut wrong = Vec::new();
    for (document, sentences) in documents() {
        for sentence in sentences {
            let here = format!("{document} {}", sentence.key);
            if sentence.says.is_empty() {
                wrong.push(format!("{here}: what it says is missing"));
            }
            if sentence.cases.is_empty() == sentence.none.is_none() {
                wrong.push(format!("{here}: has to have cases or a reason"));
            }
            let unknown = sentence.cases.iter().filter(|case| !cases.contains(*case));
            wrong.extend(unknown.map(|case| format!("{here}: there is no case {case:?}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_sentence_is_listed_or_left_out() {
    let keys = |folder| -> BTreeSet<String> {
        let all = documents_in(folder).into_iter();
        let keys = |(document, sentences): (String, Vec<Sentence>)| {
            let key = move |s: Sentence| format!("{document} {}", s.key);
            sentences.into_iter().map(key).collect::<Vec<_>>()
        };
        all.flat_map(keys).collect()
    };
    let (listed, left_out) = (keys("sentences"), keys("left-out"));
    let twice: Vec<_> = listed.intersection(&left_out).collect();
    assert!(twice.is_empty(), "listed and left out: {twice:#?}");
    let found = include_str!("../testdata/sentences.txt").lines();
    let found: BTreeSet<String> = found.map(str::to_owned).collect();
    let forgotten = found
        .iter()
        .filter(|f| !listed.contains(*f) && !left_out.contains(*f));
    let forgotten: Vec<_> = forgotten.collect();
    assert!(forgotten.is_empty(), "in neither list: {forgotten:#?}");
    let unknown: Vec<_> = left_out.difference(&found).collect();
    assert!(
        unknown.is_empty(),
        "there is no such sentence: {unknown:#?}"
    );
    for (document, sentences) in documents_in("left-out") {
        for sentence in sentences {
            assert!(
                !sentence.says.is_empty(),
                "{document} {}: why?",
                sentence.key
            );
        }
    }
}

#[test]
fn each_section_with_sentences_exists() {
    let list = include_str!("../testdata/rfc-sections.txt");
    let sections = list.lines().filter_map(|line| line.split_once('\t'));
    let known: BTreeSet<&str> = sections.map(|(section, _)| section).collect();
    for (document, sentences) in documents() {
        for sentence in sentences.iter().filter(|_| document.starts_with("RFC ")) {
            let section = sentence.key.split(' ').next().unwrap();
            let cited = format!("{document} {section}");
            assert!(known.contains(cited.as_str()), "{cited} does not exist");
        }
    }
}

#[test]
fn there_are_as_many_cases_as_promised() {
    let cases = cases().len();
    assert!(cases >= FLOOR, "{cases} cases, and {FLOOR} were promised");
}

/// Compares with a file of the tree; where it differs, what it has to be is left beside the test's own files.
fn compare(name: &str, made: &str) {
    let path = conformance().join(name);
    if fs::read_to_string(&path).unwrap_or_default() != made {
        let left = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&left, made).unwrap();
        panic!("{0} is stale: cp {1} {0}", path.display(), left.display());
    }
}

#[test]
fn the_coverage_is_up_to_date() {
    let mut rows = String::new();
    let mut summary = String::from("| document | sentences | shown by cases |\n|---|---:|---:|\n");
    let (mut all, mut shown) = (0, 0);
    for (document, sentences) in documents() {
        let with = sentences.iter().filter(|s| s.none.is_none()).count();
        (all, shown) = (all + sentences.len(), shown + with);
        let _ = writeln!(summary, "| {document} | {} | {with} |", sentences.len());
        let _ = writeln!(rows, "\n## {document}\n");
        for sentence in &sentences {
            let _ = writeln!(rows, "- {}: {}", sentence.key, sentence.says);
            for case in &sentence.cases {
                let _ = writeln!(rows, "  - {case}");
            }
            if let Some(reason) = &sentence.none {
                let _ = writeln!(rows, "  - *no case:* {reason}");
            }
        }
    }
    let _ = writeln!(summary, "| all | {all} | {shown} |");
    let made = format!(
        "# What the cases show\n\n\
         Each sentence with MUST or SHOULD that binds a server and can be seen from outside, said in our words after its\n\
         first words, and the cases that show it, or why there is none. Made of `sentences/` by `tests/coverage.rs`. Sentences that bind\n\
         others than servers, or are about locks, are in `left-out/`, with the reason; a test sees that none is forgotten.\n\n\
         {summary}{rows}"
    );
    compare("coverage.md", &made);
}

#[test]
fn the_deviations_are_up_to_date() {
    let cases = cases();
    let tables = [
        &dav::TABLE,
        &kalends::caldav::TABLE,
        &kalends::schedule::TABLE,
    ];
    let deviations: Vec<&Deviation> = tables.iter().flat_map(|t| t.deviations).collect();
    let mut made = String::from(
        "# What the server does otherwise on purpose\n\n\
         An RFC says otherwise, and a client needs it. Made of the tables of `dav/`, `caldav/` and `schedule/` by\n\
         `tests/coverage.rs`; the cases that do not hold because of it are known differences of our own runs.\n\n\
         | what | against | needed by |\n|---|---|---|\n",
    );
    for deviation in &deviations {
        let Deviation {
            what, spec, client, ..
        } = deviation;
        let _ = writeln!(made, "| {what} | {spec} | {client} |");
        for case in deviation.cases {
            assert!(cases.contains(*case), "{what}: there is no case {case:?}");
        }
    }
    made.push_str("\nCases that do not hold:\n\n");
    for case in deviations.iter().flat_map(|d| d.cases) {
        let _ = writeln!(made, "- {case}");
    }
    compare("deviations.md", &made);
}
