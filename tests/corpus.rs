//! The corpora of the fuzz targets, run as plain tests: what was once found stays mended.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "fuzz/checks/ical.rs"]
mod ical;
#[path = "fuzz/checks/jcal.rs"]
mod jcal;
#[path = "fuzz/checks/objects.rs"]
mod objects;
#[path = "fuzz/checks/rules.rs"]
mod rules;
#[path = "fuzz/checks/xml.rs"]
mod xml;
#[path = "fuzz/checks/zones.rs"]
mod zones;

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
