//! Parts of objects: RFC 4791 §9.6.

use super::data::{BadData, DataRequest};
use super::shape::{Shaping, Timezones, shape};
use crate::ical::Format;
use crate::recur::Zone;
use crate::xml::{Element, Limits};
use crate::{ical, recur};

fn request(attributes: &str, inner: &str) -> Result<DataRequest, BadData> {
    let xml = format!(
        "<calendar-data xmlns='urn:ietf:params:xml:ns:caldav' {attributes}>{inner}</calendar-data>"
    );
    DataRequest::read(&Element::parse(xml.as_bytes(), &Limits::default()).unwrap())
}

/// The shaped data of an object; lines are given and compared without their line ends.
fn shaped(text: &str, inner: &str, timezones: Timezones) -> Vec<String> {
    let text: String = text.lines().map(|l| format!("{}\r\n", l.trim())).collect();
    let shaping = Shaping {
        floating: &Zone::named("Europe/Berlin").unwrap(),
        timezones,
        compiled: None,
        recur: &recur::Limits::default(),
        ical: &ical::Limits::default(),
    };
    let shaped = shape(&text, &request("", inner).unwrap(), &shaping).unwrap();
    shaped.lines().map(str::to_owned).collect()
}

#[test]
fn what_is_not_understood_is_refused() {
    assert!(request("", "").unwrap().is_whole_text());
    let jcal = request("content-type='application/calendar+json'", "").unwrap();
    assert_eq!(jcal.format, Format::JCal);
    for attributes in ["content-type='text/vcard'", "version='1.0'"] {
        assert_eq!(request(attributes, ""), Err(BadData::Type), "{attributes}");
    }
    for bad in [
        "<comp name='VEVENT'/>",
        "<comp/>",
        "<mystery/>",
        "<expand start='20260101T000000Z'/>",
        "<expand start='20260101T000000Z' end='20260101T000000Z'/>",
        "<expand start='20260101T000000' end='20260102T000000'/>",
        "<comp name='VCALENDAR'><prop name='X' novalue='maybe'/></comp>",
    ] {
        assert!(
            matches!(request("", bad), Err(BadData::Malformed(_))),
            "{bad}"
        );
    }
}

const OBJECT: &str = "BEGIN:VCALENDAR
    VERSION:2.0
    PRODID:x
    BEGIN:VTIMEZONE
    TZID:Europe/Berlin
    BEGIN:STANDARD
    DTSTART:19961027T030000
    RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
    TZOFFSETFROM:+0200
    TZOFFSETTO:+0100
    END:STANDARD
    BEGIN:DAYLIGHT
    DTSTART:19810329T020000
    RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
    TZOFFSETFROM:+0100
    TZOFFSETTO:+0200
    END:DAYLIGHT
    END:VTIMEZONE
    BEGIN:VEVENT
    UID:1
    DTSTART;TZID=Europe/Berlin:20260328T120000
    DURATION:P1D
    RRULE:FREQ=DAILY;COUNT=3
    EXDATE;TZID=Europe/Berlin:20260330T120000
    ATTENDEE;CN=A:mailto:a@example.com
    BEGIN:VALARM
    ACTION:DISPLAY
    TRIGGER:-PT5M
    END:VALARM
    END:VEVENT
    END:VCALENDAR";

#[test]
fn what_is_selected_comes_and_nothing_else() {
    let all = shaped(OBJECT, "<comp name='VCALENDAR'/>", Timezones::Stored);
    assert_eq!(
        all,
        OBJECT
            .lines()
            .map(|l| l.trim().to_owned())
            .collect::<Vec<_>>()
    );
    let inner = "<comp name='VCALENDAR'><allprop/><comp name='VEVENT'><prop name='uid'/>\
        <prop name='ATTENDEE' novalue='yes'/></comp></comp>";
    assert_eq!(
        shaped(OBJECT, inner, Timezones::Stored),
        [
            "BEGIN:VCALENDAR",
            "VERSION:2.0",
            "PRODID:x",
            "BEGIN:VEVENT",
            "UID:1",
            "ATTENDEE;CN=A:",
            "END:VEVENT",
            "END:VCALENDAR"
        ]
    );
    let inner =
        "<comp name='VCALENDAR'><comp name='VEVENT'><prop name='UID'/><allcomp/></comp></comp>";
    let lines = shaped(OBJECT, inner, Timezones::Stored);
    assert!(
        lines.contains(&"TRIGGER:-PT5M".to_owned()) && !lines.contains(&"VERSION:2.0".to_owned())
    );
}

#[test]
fn instances_are_expanded_in_utc_with_their_true_length() {
    let inner = "<expand start='20260301T000000Z' end='20260501T000000Z'/>";
    let lines = shaped(OBJECT, inner, Timezones::Stored);
    let times: Vec<&str> = lines
        .iter()
        .map(String::as_str)
        .filter(|l| {
            ["DTSTART", "DURATION", "RECURRENCE-ID"]
                .iter()
                .any(|n| l.starts_with(n))
        })
        .collect();
    assert_eq!(
        times,
        [
            "DTSTART:20260328T110000Z",
            "DURATION:PT23H",
            "RECURRENCE-ID:20260328T110000Z",
            "DTSTART:20260329T100000Z",
            "DURATION:P1D",
            "RECURRENCE-ID:20260329T100000Z",
        ]
    );
    for gone in ["TZID", "RRULE", "EXDATE", "VTIMEZONE"] {
        assert!(lines.iter().all(|line| !line.contains(gone)), "{gone}");
    }
    assert_eq!(
        lines.iter().filter(|line| *line == "TRIGGER:-PT5M").count(),
        2
    );
}

#[test]
fn dates_and_floating_times_stay_what_they_are() {
    let object = "BEGIN:VCALENDAR
        BEGIN:VEVENT
        UID:1
        DTSTART;VALUE=DATE:20260328
        RRULE:FREQ=DAILY
        END:VEVENT
        END:VCALENDAR";
    let inner = "<expand start='20260402T000000Z' end='20260402T120000Z'/>";
    let lines = shaped(object, inner, Timezones::Stored);
    assert!(
        lines.contains(&"DTSTART;VALUE=DATE:20260402".to_owned()),
        "{lines:?}"
    );
    assert!(lines.contains(&"RECURRENCE-ID;VALUE=DATE:20260402".to_owned()));
    assert_eq!(lines.iter().filter(|l| *l == "BEGIN:VEVENT").count(), 1);
}

#[test]
fn overrides_and_busy_periods_outside_the_range_are_left_out() {
    let object = "BEGIN:VCALENDAR
        BEGIN:VEVENT
        UID:1
        DTSTART:20260301T100000Z
        DTEND:20260301T110000Z
        RRULE:FREQ=DAILY
        END:VEVENT
        BEGIN:VEVENT
        UID:1
        SUMMARY:into the range
        RECURRENCE-ID:20260305T100000Z
        DTSTART:20260310T100000Z
        END:VEVENT
        BEGIN:VEVENT
        UID:1
        SUMMARY:out of the range
        RECURRENCE-ID:20260310T100000Z
        DTSTART:20260320T100000Z
        END:VEVENT
        BEGIN:VEVENT
        UID:1
        SUMMARY:elsewhere
        RECURRENCE-ID:20260305T110000Z
        DTSTART:20260315T100000Z
        END:VEVENT
        END:VCALENDAR";
    let inner = "<limit-recurrence-set start='20260310T000000Z' end='20260311T000000Z'/>";
    let lines = shaped(object, inner, Timezones::Stored);
    let kept = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(kept("RRULE") && kept("into the range") && kept("out of the range"));
    assert!(!kept("elsewhere"));

    let busy = "BEGIN:VCALENDAR
        BEGIN:VFREEBUSY
        UID:1
        FREEBUSY:20260301T100000Z/PT1H,20260305T100000Z/PT1H
        FREEBUSY;FBTYPE=BUSY-TENTATIVE:20260301T120000Z/PT1H
        END:VFREEBUSY
        END:VCALENDAR";
    let inner = "<limit-freebusy-set start='20260305T000000Z' end='20260306T000000Z'/>";
    let lines = shaped(busy, inner, Timezones::Stored);
    assert!(
        lines.contains(&"FREEBUSY:20260305T100000Z/PT1H".to_owned()),
        "{lines:?}"
    );
    assert!(!lines.iter().any(|line| line.contains("TENTATIVE")));
}

#[test]
fn known_time_zones_come_and_go_as_asked() {
    let without = shaped(OBJECT, "", Timezones::Unknown);
    assert!(!without.contains(&"BEGIN:VTIMEZONE".to_owned()));
    let with = shaped(&without.join("\n"), "", Timezones::All);
    assert_eq!(
        with.iter().filter(|l| *l == "TZID:Europe/Berlin").count(),
        1
    );
}
