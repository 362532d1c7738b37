//! Mails: whatever comes, an answer changes nothing but the part of the guest whose reply address it came to.

use kalends::ical::{Component, Timestamp, parse};
use kalends::itip::{self, Addresses, Change, Method, Route, State, incoming};
use kalends::mail::{
    Authentic, Circumstances, Guest, Kind, Limits, Verdict, classify, judge, read,
};
use kalends::store::Id;

const MEETING: &[u8] = include_bytes!("../../../testdata/mail/in/weekly.ics");

const SCHEDULING: itip::Limits = itip::Limits {
    messages: 100,
    overrides: 100,
    recur: kalends::recur::Limits {
        instances: 1000,
        work: 100_000,
    },
};

/// Checks one input.
pub(crate) fn check(data: &[u8]) {
    let limits = Limits {
        bytes: 1 << 20,
        ..Limits::default()
    };
    let Ok(letter) = read(data, &limits) else {
        return;
    };
    let Kind::Scheduling(messages) = classify(&letter, limits.messages) else {
        return;
    };
    assert!(messages.len() <= limits.messages);
    let meeting = parse(MEETING, &kalends::ical::Limits::default())
        .calendars
        .remove(0);
    let mut who = Addresses::new(["mailto:alice@example.org"]);
    who.learn("bob@example.com", Route::Mail);
    let guest = Guest::new(
        Id::from_bytes([1; 16]),
        "weekly@example.org",
        "bob@example.com",
    );
    let authentic = Authentic::Doubtful(String::new());
    for message in &messages {
        let cx = Circumstances {
            letter: &letter,
            authentic: &authentic,
            guest: Some(&guest),
            who: &who,
            existing: Some(&meeting),
            pattern: None,
            welcome: false,
        };
        let Verdict::Apply(message) = judge(message, &cx) else {
            continue;
        };
        let answers = matches!(
            message.method,
            Method::Reply | Method::Counter | Method::Refresh
        );
        assert!(answers, "{} without proof", message.method);
        let now = (Timestamp(1_800_000_000), &SCHEDULING);
        let done = incoming(Some(&meeting), &State::default(), &message, &who, now);
        if let Change::Put(object) = done.object {
            assert_eq!(others(&object), others(&meeting));
        }
    }
}

/// The series without the guest, and those the guest may bring.
fn others(calendar: &Component) -> Vec<String> {
    let mut events = calendar.components("VEVENT");
    let series = events
        .find(|event| event.property("RECURRENCE-ID").is_none())
        .unwrap();
    let theirs = |line: &&str| {
        line.starts_with("ATTENDEE") && (line.contains("bob@") || line.contains("DELEGATED-FROM"))
    };
    let lines = series.all_properties().map(|property| property.line());
    lines
        .filter(|line| !theirs(line))
        .map(str::to_owned)
        .collect()
}
