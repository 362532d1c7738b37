//! Filters against objects: RFC 4791 §9.7 and §9.9. Each row is a filter and whether it matches.

use super::filter::read;
use super::matching::{Subject, matches};
use crate::ical::{self, parse};
use crate::recur::{self, Zone, compile};
use crate::xml::{Element, Limits};

/// Asks each filter of one object, whose components are given without their VCALENDAR.
fn check(components: &str, rows: &[(&str, bool)]) {
    let body: String = components
        .lines()
        .map(|l| format!("{}\r\n", l.trim()))
        .collect();
    let text = format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{body}END:VCALENDAR\r\n");
    let calendar = parse(text.as_bytes(), &ical::Limits::default())
        .calendars
        .remove(0);
    let compiled = compile(&calendar);
    let subject = Subject {
        calendar: &calendar,
        compiled: &compiled,
        floating: &Zone::utc(),
        limits: &recur::Limits::default(),
    };
    for (inner, expected) in rows {
        let xml = format!(
            "<filter xmlns='urn:ietf:params:xml:ns:caldav'><comp-filter name='VCALENDAR'>{inner}</comp-filter></filter>"
        );
        let element = Element::parse(xml.as_bytes(), &Limits::default()).unwrap();
        let filter = read(&element).unwrap();
        assert_eq!(matches(&filter, &subject), Ok(*expected), "{inner}");
    }
}

fn event(inner: &str) -> String {
    format!("<comp-filter name='VEVENT'>{inner}</comp-filter>")
}

const MEETING: &str = "BEGIN:VEVENT
    UID:1
    DTSTAMP:20260101T000000Z
    CREATED:20251231T120000Z
    DTSTART:20260105T100000Z
    DURATION:PT1H
    SUMMARY:Planning\\, again
    CATEGORIES:Work,Café
    CATEGORIES:Other
    ATTENDEE;PARTSTAT=ACCEPTED;CN=\"Ann\":mailto:ann@example.com
    ATTENDEE;PARTSTAT=NEEDS-ACTION;MEMBER=\"mailto:a@x\",\"mailto:b@x\":mailto:bob@example.com
    BEGIN:VALARM
    ACTION:DISPLAY
    TRIGGER:-PT15M
    END:VALARM
    BEGIN:VALARM
    ACTION:AUDIO
    TRIGGER:-PT2H
    END:VALARM
    END:VEVENT";

#[test]
fn components_and_properties_are_there_or_not() {
    let prop = |inner: &str| event(&format!("<prop-filter {inner}"));
    check(
        MEETING,
        &[
            ("", true),
            ("<comp-filter name='VEVENT'/>", true),
            ("<comp-filter name='vevent'/>", true),
            ("<comp-filter name='*'/>", true),
            ("<comp-filter name='VTODO'/>", false),
            (
                "<comp-filter name='VTODO'><is-not-defined/></comp-filter>",
                true,
            ),
            (
                "<comp-filter name='VEVENT'><is-not-defined/></comp-filter>",
                false,
            ),
            (&prop("name='SUMMARY'/>"), true),
            (&prop("name='LOCATION'/>"), false),
            (
                &prop("name='LOCATION'><is-not-defined/></prop-filter>"),
                true,
            ),
            (
                &prop("name='SUMMARY'><is-not-defined/></prop-filter>"),
                false,
            ),
            (
                "<prop-filter name='PRODID'><text-match>X</text-match></prop-filter>",
                true,
            ),
        ],
    );
}

#[test]
fn text_is_matched_in_one_property_with_its_parameters() {
    let text = |name: &str, inner: &str| {
        event(&format!("<prop-filter name='{name}'>{inner}</prop-filter>"))
    };
    let attendee = |who: &str, param: &str| {
        let who = format!("<text-match>{who}</text-match>");
        text(
            "ATTENDEE",
            &format!("{who}<param-filter name={param}</param-filter>"),
        )
    };
    let equals = |value: &str| format!("<text-match match-type='equals'>{value}</text-match>");
    let unlike = |value: &str| format!("<text-match negate-condition='yes'>{value}</text-match>");
    check(
        MEETING,
        &[
            (
                &text("SUMMARY", "<text-match>planning, again</text-match>"),
                true,
            ),
            (
                &text(
                    "SUMMARY",
                    "<text-match collation='i;octet'>planning</text-match>",
                ),
                false,
            ),
            (&text("CATEGORIES", &equals("work")), true),
            (&text("CATEGORIES", &equals("wor")), false),
            (&text("CATEGORIES", &equals("other")), true),
            (
                &text(
                    "CATEGORIES",
                    "<text-match collation='i;unicode-casemap'>CAFÉ</text-match>",
                ),
                true,
            ),
            (&text("SUMMARY", &unlike("planning")), false),
            (&text("SUMMARY", &unlike("retro")), true),
            (&text("LOCATION", &unlike("Berlin")), false),
            (
                &attendee("bob", "'PARTSTAT'><text-match>needs-action</text-match>"),
                true,
            ),
            (
                &attendee("ann", "'PARTSTAT'><text-match>needs-action</text-match>"),
                false,
            ),
            (&attendee("ann", "'CN'><text-match>ann</text-match>"), true),
            (&attendee("bob", "'CN'><is-not-defined/>"), true),
            (&attendee("ann", "'CN'><is-not-defined/>"), false),
            (
                &attendee("bob", "'MEMBER'><text-match>b@x</text-match>"),
                true,
            ),
            (
                &attendee(
                    "bob",
                    "'MEMBER'><text-match negate-condition='yes'>b@x</text-match>",
                ),
                false,
            ),
            (
                &attendee(
                    "ann",
                    "'MEMBER'><text-match negate-condition='yes'>b@x</text-match>",
                ),
                false,
            ),
        ],
    );
}

#[test]
fn ranges_are_asked_of_components_alarms_and_properties() {
    let range = |start: &str, end: &str| {
        format!("<time-range start='202601{start}00Z' end='202601{end}00Z'/>")
    };
    let event_in = |start: &str, end: &str| event(&range(start, end));
    let prop_in = |name: &str, start: &str, end: &str| {
        event(&format!(
            "<prop-filter name='{name}'>{}</prop-filter>",
            range(start, end)
        ))
    };
    let alarm = |inner: &str| event(&format!("<comp-filter name='VALARM'>{inner}</comp-filter>"));
    let audio = "<prop-filter name='ACTION'><text-match>AUDIO</text-match></prop-filter>";
    check(
        MEETING,
        &[
            (&event_in("05T1059", "05T1200"), true),
            (&event_in("05T1100", "05T1200"), false),
            (&event_in("05T0900", "05T1000"), false),
            (&event_in("05T0900", "05T1001"), true),
            (&event("<time-range start='20260105T103000Z'/>"), true),
            (&event("<time-range end='20260105T100000Z'/>"), false),
            (&prop_in("DTSTART", "05T1000", "05T1001"), true),
            (&prop_in("DTSTART", "05T1001", "05T1002"), false),
            // DTEND is not written and follows from DURATION.
            (&prop_in("DTEND", "05T1100", "05T1101"), true),
            (&prop_in("DTEND", "05T1000", "05T1100"), false),
            (&prop_in("DTSTAMP", "01T0000", "01T0001"), true),
            (
                &event(
                    "<prop-filter name='CREATED'><time-range end='20260101T000000Z'/></prop-filter>",
                ),
                true,
            ),
            (&prop_in("COMPLETED", "01T0000", "31T0000"), false),
            (&alarm(&range("05T0945", "05T0946")), true),
            (
                &alarm(&format!("{}{audio}", range("05T0945", "05T0946"))),
                false,
            ),
            (
                &alarm(&format!("{}{audio}", range("05T0800", "05T0801"))),
                true,
            ),
            (&alarm(&range("05T1000", "05T1100")), false),
        ],
    );
}

#[test]
fn a_range_selects_by_instance_and_the_rest_by_the_same_component() {
    let series = "BEGIN:VEVENT
        UID:1
        DTSTAMP:20260101T000000Z
        DTSTART:20260105T100000Z
        DTEND:20260105T110000Z
        RRULE:FREQ=DAILY
        SUMMARY:Usual
        END:VEVENT
        BEGIN:VEVENT
        UID:1
        DTSTAMP:20260101T000000Z
        RECURRENCE-ID:20260107T100000Z
        DTSTART:20260107T180000Z
        DTEND:20260107T190000Z
        SUMMARY:Moved
        END:VEVENT";
    let with = |summary: &str, start: &str, end: &str| {
        event(&format!(
            "<time-range start='{start}' end='{end}'/>\
             <prop-filter name='SUMMARY'><text-match>{summary}</text-match></prop-filter>"
        ))
    };
    let start_in = |start: &str, end: &str| {
        event(&format!(
            "<prop-filter name='DTSTART'><time-range start='{start}' end='{end}'/></prop-filter>"
        ))
    };
    check(
        series,
        &[
            (&with("usual", "20280301T000000Z", "20280302T000000Z"), true),
            (
                &with("moved", "20280301T000000Z", "20280302T000000Z"),
                false,
            ),
            (
                &with("usual", "20260107T000000Z", "20260108T000000Z"),
                false,
            ),
            (&with("moved", "20260107T000000Z", "20260108T000000Z"), true),
            (
                &event("<time-range start='20260107T100000Z' end='20260107T110000Z'/>"),
                false,
            ),
            // An endless rule and an open range end at the first instance.
            (&event("<time-range start='99000101T000000Z'/>"), true),
            (&start_in("20260110T100000Z", "20260110T100001Z"), true),
            (&start_in("20260107T100000Z", "20260107T100001Z"), false),
            (&start_in("20260107T180000Z", "20260107T180001Z"), true),
        ],
    );
}

#[test]
fn any_of_several_tests_is_enough_where_it_says_so() {
    let any =
        |inner: &str| format!("<comp-filter name='VEVENT' test='anyof'>{inner}</comp-filter>");
    let no = "<prop-filter name='LOCATION'/>";
    let yes = "<prop-filter name='SUMMARY'/>";
    let within = "<time-range start='20260105T000000Z' end='20260106T000000Z'/>";
    let outside = "<time-range start='20270105T000000Z' end='20270106T000000Z'/>";
    check(
        MEETING,
        &[
            (&any(&format!("{no}{yes}")), true),
            (&any(no), false),
            (&any(&format!("{within}{no}")), true),
            (&any(&format!("{outside}{no}")), false),
            (&event(&format!("{within}{no}")), false),
        ],
    );
}

#[test]
fn to_dos_without_times_are_in_every_range() {
    let range = "<comp-filter name='VTODO'><time-range start='20300101T000000Z' end='20300102T000000Z'/></comp-filter>";
    check("BEGIN:VTODO\nUID:1\nSUMMARY:x\nEND:VTODO", &[(range, true)]);
    let completed = "BEGIN:VTODO\nUID:1\nCOMPLETED:20260101T000000Z\nEND:VTODO";
    check(completed, &[(range, false)]);
}
