//! The corpora of the fuzz targets, run as plain tests: what was once found stays mended.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "fuzz/checks/filters.rs"]
mod filters;
#[path = "fuzz/checks/ical.rs"]
mod ical;
#[path = "fuzz/checks/itip.rs"]
mod itip;
#[path = "fuzz/checks/jcal.rs"]
mod jcal;
#[path = "fuzz/checks/mail.rs"]
mod mail;
#[path = "fuzz/checks/objects.rs"]
mod objects;
#[path = "fuzz/checks/pages.rs"]
mod pages;
#[path = "fuzz/checks/rules.rs"]
mod rules;
#[path = "fuzz/checks/xml.rs"]
mod xml;
#[path = "fuzz/checks/zones.rs"]
mod zones;

/// How often each input is changed.
const ROUNDS: u64 = 8;

fn run(name: &str, check: fn(&[u8])) {
    let folder = format!("{}/tests/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{name}");
    for file in files {
        eprintln!("{}", file.display());
        check(&std::fs::read(file).unwrap());
    }
}

#[test]
fn rules_do_no_harm() {
    run("rules", rules::check);
}

#[test]
fn objects_do_no_harm() {
    run("objects", objects::check);
}

#[test]
fn icalendar_texts_do_no_harm() {
    run("ical", ical::check);
}

#[test]
fn jcal_texts_do_no_harm() {
    run("jcal", jcal::check);
}

#[test]
fn time_zones_do_no_harm() {
    run("zones", zones::check);
}

#[test]
fn xml_does_no_harm() {
    run("xml", xml::check);
}

#[test]
fn filters_do_no_harm() {
    run("filters", filters::check);
}

#[test]
fn neighbours_of_filters_do_no_harm() {
    run_mutated("filters", 100, filters::check);
}

#[test]
fn mails_do_no_harm() {
    run("mail", mail::check);
}

#[test]
fn scheduling_does_no_harm() {
    run("itip", itip::check);
}

#[test]
fn parameters_of_pages_do_no_harm() {
    run("pages", pages::check);
}

/// Inputs a step away from those of a corpus: bytes changed, lines dropped and doubled.
fn run_mutated(name: &str, rounds: u64, check: fn(&[u8])) {
    let folder = format!("{}/tests/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<_> = entries.map(|it| it.unwrap().path()).collect();
    files.sort();
    let mut state: u64 = 5545;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below.max(1)
    };
    for file in files {
        let original = std::fs::read(&file).unwrap();
        for round in 0..rounds {
            let mut data = original.clone();
            for _ in 0..=random(3) {
                let at = random(data.len());
                match random(4) {
                    0 => data[at] = b"0123456789-+;:,=TZPDWMHS"[random(24)],
                    1 => data[at] = b"0123456789"[random(10)],
                    2 => {
                        let line = data[at..].iter().take_while(|byte| **byte != b'\n').count();
                        data.drain(at..at + line);
                    }
                    _ => {
                        let piece = data[at..].to_vec();
                        let into = random(data.len());
                        data.splice(into..into, piece.into_iter().take(40));
                    }
                }
                if data.is_empty() {
                    break;
                }
            }
            eprintln!("{} round {round} of seed 5545", file.display());
            check(&data);
        }
    }
}

#[test]
fn neighbours_of_rules_do_no_harm() {
    run_mutated("rules", ROUNDS, rules::check);
}

#[test]
fn neighbours_of_objects_do_no_harm() {
    run_mutated("objects", ROUNDS, objects::check);
}

#[test]
fn neighbours_of_mails_do_no_harm() {
    run_mutated("mail", 40, mail::check);
}

#[test]
fn neighbours_of_parameters_do_no_harm() {
    run_mutated("pages", 200, pages::check);
}

#[test]
fn neighbours_of_meetings_do_no_harm() {
    run_mutated("itip", 20, itip::check);
}
