//! Streams of any origin: RFC 4791 §4.1, §5.3.2.1.

use super::import::import;
use super::limits::Limits;
use super::object::{Fidelity, receive};
use crate::dav::{self, Condition};
use bytes::Bytes;

fn limits() -> Limits {
    Limits::of(&dav::Limits::default())
}

fn calendar(components: &str) -> Bytes {
    let lines = format!("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n{components}\nEND:VCALENDAR");
    Bytes::from(
        lines
            .lines()
            .map(|l| format!("{}\r\n", l.trim()))
            .collect::<String>(),
    )
}

const EVENT: &str =
    "BEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\nDTSTART:20260101T000000Z\nEND:VEVENT";

#[test]
fn one_object_is_kept_as_it_is_and_several_are_split() {
    let one = import(&calendar(EVENT), &limits());
    assert_eq!(one.objects[0].received.text, calendar(EVENT));
    assert_eq!(one.objects[0].name, "1.ics");
    assert!(one.refused.is_empty() && one.repaired.is_empty());

    let other = EVENT.replace("UID:1", "UID:2").replace("VEVENT", "VTODO");
    let two = import(
        &calendar(&format!("METHOD:PUBLISH\n{EVENT}\n{other}")),
        &limits(),
    );
    let uids: Vec<&str> = two
        .objects
        .iter()
        .map(|o| o.received.object.uid.as_str())
        .collect();
    assert_eq!(uids, ["1", "2"]);
}

#[test]
fn what_cannot_be_stored_is_told_with_its_line() {
    let bad = EVENT
        .replace("DTSTART:20260101T000000Z", "SUMMARY:no start")
        .replace("UID:1", "UID:2");
    let import_ = import(&calendar(&format!("{EVENT}\n{bad}")), &limits());
    assert_eq!(import_.objects.len(), 1);
    assert_eq!(
        (import_.refused[0].line, import_.refused[0].uid.as_str()),
        (9, "2")
    );
    let import_ = import(&Bytes::from_static(b"hello"), &limits());
    assert!(import_.objects.is_empty() && !import_.refused.is_empty());
}

#[test]
fn what_does_not_say_when_it_was_written_is_given_a_time() {
    let bare = EVENT.replace("DTSTAMP:20260101T000000Z\n", "");
    let dated = bare.replace("UID:1", "UID:2\nCREATED:20250101T000000Z");
    for (stream, stamps) in [
        (bare.clone(), vec!["19700101T000000Z"]),
        (
            format!("{bare}\n{dated}"),
            vec!["19700101T000000Z", "20250101T000000Z"],
        ),
    ] {
        let done = import(&calendar(&stream), &limits());
        assert!(done.refused.is_empty(), "{:?}", done.refused);
        let texts = done.repaired.iter().map(|remark| remark.text.as_str());
        assert_eq!(
            texts.collect::<Vec<_>>(),
            vec!["It had no DTSTAMP and got one."; stamps.len()]
        );
        assert_eq!(done.repaired[0].line, 4);
        for (object, stamp) in done.objects.iter().zip(stamps) {
            let text = String::from_utf8_lossy(&object.received.text);
            assert!(text.contains(&format!("\r\nDTSTAMP:{stamp}\r\n")), "{text}");
        }
    }
}

#[test]
fn each_breach_has_its_precondition() {
    let refused = |media_type: Option<&str>, body: &Bytes| {
        receive(media_type, body, &limits())
            .unwrap_err()
            .condition()
    };
    let ical = Some("text/calendar; charset=utf-8");
    for (media_type, body, condition) in [
        (
            Some("text/plain"),
            calendar(EVENT),
            Condition::SupportedCalendarData,
        ),
        (
            Some("text/calendar; charset=utf-16"),
            calendar(EVENT),
            Condition::SupportedCalendarData,
        ),
        (
            ical,
            Bytes::from_static(b"hello"),
            Condition::ValidCalendarData,
        ),
        (
            ical,
            calendar(&format!("METHOD:REQUEST\n{EVENT}")),
            Condition::ValidCalendarObjectResource,
        ),
        (
            ical,
            calendar(&format!("{EVENT}\n{}", EVENT.replace("UID:1", "UID:2"))),
            Condition::ValidCalendarObjectResource,
        ),
        (
            ical,
            Bytes::from(vec![b'x'; (10 << 20) + 1]),
            Condition::MaxResourceSize,
        ),
    ] {
        assert_eq!(
            refused(media_type, &body),
            Some(condition),
            "{media_type:?}"
        );
    }
    let received = receive(None, &calendar(EVENT), &limits()).unwrap();
    assert_eq!(received.fidelity, Fidelity::AsSent);
}

#[test]
fn a_fold_within_a_character_is_mended() {
    let text = calendar(&EVENT.replace("END:VEVENT", "SUMMARY:a\u{e4}b\nEND:VEVENT"));
    let at = text.iter().position(|byte| *byte == 0xc3).unwrap();
    let mut folded = text.to_vec();
    folded.splice(at + 1..at + 1, *b"\r\n ");
    let received = receive(None, &Bytes::from(folded), &limits()).unwrap();
    assert_eq!(received.fidelity, Fidelity::Changed);
    assert_eq!(received.text, text);
}
