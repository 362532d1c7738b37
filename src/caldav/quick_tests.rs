//! What the index may say of a filter: never yes or no where the exact test says otherwise.

use super::filter::{Filter, read};
use super::quick::{Facts, decide, window};
use crate::ical::Timestamp;
use crate::recur::{Range, Verdict};
use crate::xml::{Element, Limits};

fn filter(inner: &str) -> Filter {
    let xml = format!(
        "<filter xmlns='urn:ietf:params:xml:ns:caldav'><comp-filter name='VCALENDAR'>{inner}</comp-filter></filter>"
    );
    read(&Element::parse(xml.as_bytes(), &Limits::default()).unwrap()).unwrap()
}

const RANGE: &str = "<time-range start='20260101T000000Z' end='20260201T000000Z'/>";

/// What is said of an event with the UID `a` whose range the index decides so.
fn said(inner: &str, range: Verdict) -> Verdict {
    let facts = Facts {
        component: Some("VEVENT"),
        uid: "a",
        overlaps: &|_| range,
        alarms: &|_| range,
    };
    decide(&filter(inner), &facts)
}

#[test]
fn the_header_answers_for_kind_range_and_uid() {
    use Verdict::{Maybe, No, Yes};
    let event = |inner: &str| format!("<comp-filter name='VEVENT'>{inner}</comp-filter>");
    let uid = |value: &str| {
        format!(
            "<prop-filter name='UID'><text-match match-type='equals'>{value}</text-match></prop-filter>"
        )
    };
    let summary = "<prop-filter name='SUMMARY'/>";
    for (inner, range, expected) in [
        (String::new(), No, Yes),
        (event(""), No, Yes),
        ("<comp-filter name='VTODO'/>".to_owned(), Yes, No),
        (
            "<comp-filter name='VTODO'><is-not-defined/></comp-filter>".to_owned(),
            Yes,
            Yes,
        ),
        (
            "<comp-filter name='VEVENT'><is-not-defined/></comp-filter>".to_owned(),
            Yes,
            No,
        ),
        ("<comp-filter name='VTIMEZONE'/>".to_owned(), Yes, Maybe),
        (event(RANGE), Yes, Yes),
        (event(RANGE), No, No),
        (event(RANGE), Maybe, Maybe),
        (event(&uid("A")), No, Yes),
        (event(&uid("b")), Yes, No),
        (event(&format!("{RANGE}{}", uid("a"))), Yes, Yes),
        (event(&format!("{RANGE}{summary}")), Yes, Maybe),
        (event(&format!("{RANGE}{summary}")), No, No),
        (event(summary), No, Maybe),
        (
            event(&format!("<comp-filter name='VALARM'>{RANGE}</comp-filter>")),
            No,
            No,
        ),
        (
            event(&format!("<comp-filter name='VALARM'>{RANGE}</comp-filter>")),
            Yes,
            Maybe,
        ),
        (
            format!("<comp-filter name='*'>{RANGE}</comp-filter>"),
            No,
            Maybe,
        ),
        (
            format!("<comp-filter name='VEVENT' test='anyof'>{RANGE}{summary}</comp-filter>"),
            No,
            Maybe,
        ),
        (
            format!("<comp-filter name='VEVENT' test='anyof'>{RANGE}{summary}</comp-filter>"),
            Yes,
            Yes,
        ),
    ] {
        assert_eq!(said(&inner, range), expected, "{inner} {range:?}");
    }
}

#[test]
fn a_window_is_what_every_match_has() {
    let january = Range::new(
        Timestamp::parse("20260101T000000Z").unwrap(),
        Timestamp::parse("20260201T000000Z").unwrap(),
    );
    let text = "<prop-filter name='SUMMARY'/>";
    for (inner, component, range) in [
        (String::new(), None, None),
        (
            format!("<comp-filter name='VEVENT'>{RANGE}</comp-filter>"),
            Some("VEVENT"),
            january,
        ),
        (
            format!("<comp-filter name='VEVENT'>{RANGE}{text}</comp-filter>"),
            Some("VEVENT"),
            january,
        ),
        (
            format!("<comp-filter name='VEVENT' test='anyof'>{RANGE}{text}</comp-filter>"),
            Some("VEVENT"),
            None,
        ),
        (
            "<comp-filter name='VEVENT'><is-not-defined/></comp-filter>".to_owned(),
            None,
            None,
        ),
        (
            format!("<comp-filter name='*'>{RANGE}</comp-filter>"),
            None,
            None,
        ),
    ] {
        let window = window(&filter(&inner));
        assert_eq!(
            (window.component.as_deref(), window.range),
            (component, range),
            "{inner}"
        );
    }
    let any = "<filter xmlns='urn:ietf:params:xml:ns:caldav'>\
        <comp-filter name='VCALENDAR' test='anyof'><comp-filter name='VEVENT'/><comp-filter name='VTODO'/>\
        </comp-filter></filter>";
    let any = read(&Element::parse(any.as_bytes(), &Limits::default()).unwrap()).unwrap();
    assert_eq!(window(&any).component, None);
}
