//! Generated iCalendar texts: print(parse(x)) means x.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "fuzz/checks/ical.rs"]
mod ical;

use proptest::prelude::{Strategy, any, prop};
use proptest::strategy::{Just, Union};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Pieces of iCalendar text, whole and broken.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let fixed = [
        "BEGIN:VCALENDAR",
        "END:VCALENDAR",
        "BEGIN:VEVENT",
        "END:VEVENT",
        "begin:valarm",
        "END:VALARM",
        "BEGIN:",
        "END:",
        "\r\n",
        "\r\n",
        "\r\n",
        "\r\n",
        "\n",
        "\r",
        "\r\n ",
        "\n\t",
        ":",
        ";",
        ",",
        "\"",
        "=",
        "\\",
        "\\n",
        "^",
        "^n",
        " ",
        "UID:1",
        "DTSTART;TZID=Europe/Vienna:20260102T030405",
        "DTSTART:20260102",
        "RRULE:FREQ=DAILY",
        "ATTENDEE;CN=\"A, b\":mailto:a@b",
        "SUMMARY",
        "X-A",
        "GEO:1;2",
        "DURATION:PT1H",
        "TRIGGER:-PT5M",
        "EXDATE:20260101,20260102",
        "ü",
        "€",
        "𝄞",
        "\u{feff}",
        "\0",
        "\u{b}",
    ];
    let fixed = prop::sample::select(fixed.to_vec()).prop_map(|text| text.as_bytes().to_vec());
    let long = (1_usize..200).prop_map(|length| b"long".repeat(length));
    let bytes = prop::collection::vec(any::<u8>(), 0..6);
    Union::new_weighted(vec![
        (12, fixed.boxed()),
        (1, long.boxed()),
        (1, bytes.boxed()),
        (1, Just(b"\xc3\r\n \xbc".to_vec()).boxed()),
    ])
}

#[test]
fn generated_texts_are_printed_as_they_mean() {
    let config = Config {
        cases: 1500,
        failure_persistence: None,
        ..Config::default()
    };
    // The seed is fixed: the same texts every time.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let texts = prop::collection::vec(piece(), 0..60);
    let body = |pieces: Vec<Vec<u8>>| {
        let text = pieces.concat();
        ical::check(&text);
        let framed = [
            b"BEGIN:VCALENDAR\r\n".as_slice(),
            &text,
            b"\r\nEND:VCALENDAR\r\n",
        ]
        .concat();
        ical::check(&framed);
        Ok(())
    };
    runner.run(&texts, body).unwrap();
}
