//! Filters: whatever is read, what the index says without the text is what the text says.

use kalends::caldav::filter::{self, Filter};
use kalends::caldav::matching::{Subject, matches};
use kalends::caldav::quick::{Facts, decide};
use kalends::caldav::shape;
use kalends::ical;
use kalends::recur::{self, Range, Verdict, Zone};
use kalends::xml::{Element, Limits};

/// What stands between the lines that every object has.
const OBJECTS: [&str; 6] = [
    "BEGIN:VEVENT\r\nUID:1\r\nDTSTART:20260301T100000Z\r\nDURATION:PT1H\r\nSUMMARY:a\r\nEND:VEVENT\r\n",
    "BEGIN:VEVENT\r\nUID:1\r\nDTSTART;TZID=Europe/Vienna:20250301T100000\r\nRRULE:FREQ=WEEKLY\r\n\
     ATTENDEE;PARTSTAT=ACCEPTED:mailto:a@example.org\r\nBEGIN:VALARM\r\nTRIGGER:-PT1H\r\nREPEAT:2\r\nDURATION:PT5M\r\n\
     END:VALARM\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:1\r\nRECURRENCE-ID;TZID=Europe/Vienna:20260307T100000\r\n\
     DTSTART:20260601T100000Z\r\nEND:VEVENT\r\n",
    "BEGIN:VTODO\r\nUID:1\r\nDUE;VALUE=DATE:20260310\r\nCOMPLETED:20260309T100000Z\r\nEND:VTODO\r\n",
    "BEGIN:VTODO\r\nUID:1\r\nSUMMARY:b\r\nEND:VTODO\r\n",
    "BEGIN:VJOURNAL\r\nUID:1\r\nDTSTART:20260301T230000\r\nSUMMARY:\u{dc}ber\r\nEND:VJOURNAL\r\n",
    "BEGIN:VFREEBUSY\r\nUID:1\r\nFREEBUSY:20260301T100000Z/PT1H,20260302T100000Z/20260302T120000Z\r\nEND:VFREEBUSY\r\n",
];

/// Checks one input.
pub(crate) fn check(data: &[u8]) {
    let limits = Limits {
        size_bytes: 1 << 16,
        depth: 32,
        nodes: 2_000,
    };
    let Ok(element) = Element::parse(data, &limits) else {
        return;
    };
    if let Ok(filter) = filter::read(&element) {
        for object in OBJECTS {
            object_agrees(&filter, object);
        }
    }
}

fn object_agrees(filter: &Filter, object: &str) {
    let text = format!("BEGIN:VCALENDAR\r\n{object}END:VCALENDAR\r\n");
    let calendar = shape::read(&text, &ical::Limits::default());
    let compiled = recur::compile(&calendar);
    let summary = compiled.summary(&calendar);
    let floating = Zone::named("America/New_York").unwrap_or_else(Zone::utc);
    let overlaps = |range: &Range| summary.verdict(range, &floating);
    let alarms = |range: &Range| match summary.may_alarm(range, &floating) {
        true => Verdict::Maybe,
        false => Verdict::No,
    };
    let component = summary.kind.map(ical::Kind::component_name);
    let said = decide(
        filter,
        &Facts {
            component,
            uid: "1",
            overlaps: &overlaps,
            alarms: &alarms,
        },
    );
    let subject = Subject {
        calendar: &calendar,
        compiled: &compiled,
        floating: &floating,
        limits: &recur::Limits {
            instances: 500,
            work: 50_000,
        },
    };
    if let Ok(found) = matches(filter, &subject) {
        match said {
            Verdict::No => assert!(!found, "{filter:?} {text}"),
            Verdict::Yes => assert!(found, "{filter:?} {text}"),
            Verdict::Maybe => {}
        }
    }
}
