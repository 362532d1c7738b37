//! Filters that are read and filters that are refused: RFC 4791 §7.8, §9.7.

use super::filter::{BadFilter, CompTest, Filter, Join, PropTest, ValueTest, read};
use crate::xml::{Element, Limits};

fn filter(inner: &str) -> Result<Filter, BadFilter> {
    let xml = format!("<filter xmlns='urn:ietf:params:xml:ns:caldav'>{inner}</filter>");
    read(&Element::parse(xml.as_bytes(), &Limits::default()).unwrap())
}

fn in_event(inner: &str) -> Result<Filter, BadFilter> {
    filter(&format!(
        "<comp-filter name='VCALENDAR'><comp-filter name='VEVENT'>{inner}</comp-filter></comp-filter>"
    ))
}

#[test]
fn what_is_malformed_is_invalid() {
    let range = "<time-range start='20260101T000000Z'/>";
    for bad in [
        String::new(),
        "<comp-filter name='VEVENT'/>".to_owned(),
        "<comp-filter/>".to_owned(),
        "<comp-filter name='VCALENDAR'/><comp-filter name='VCALENDAR'/>".to_owned(),
        format!("<comp-filter name='VCALENDAR'>{range}</comp-filter>"),
        "<comp-filter name='VCALENDAR'><comp-filter name='VALARM'/></comp-filter>".to_owned(),
        "<comp-filter name='VCALENDAR' test='some'/>".to_owned(),
    ] {
        assert!(matches!(filter(&bad), Err(BadFilter::Invalid(_))), "{bad}");
    }
    for bad in [
        "<comp-filter name='VTODO'/>",
        "<is-not-defined/><prop-filter name='UID'/>",
        "<text-match>x</text-match>",
        "<time-range/>",
        "<time-range start='20260101T000000'/>",
        "<time-range start='20260101'/>",
        "<time-range start='20260102T000000Z' end='20260101T000000Z'/>",
        "<time-range start='20260101T000000Z' end='20260101T000000Z'/>",
        "<time-range start='20260101T000000Z'/><time-range start='20260101T000000Z'/>",
        "<prop-filter name='SUMMARY'><time-range start='20260101T000000Z'/></prop-filter>",
        "<prop-filter name='SUMMARY'><text-match>a</text-match><text-match>b</text-match></prop-filter>",
        "<prop-filter name='SUMMARY'><text-match negate-condition='maybe'>a</text-match></prop-filter>",
        "<prop-filter name='SUMMARY'><text-match match-type='near'>a</text-match></prop-filter>",
        "<prop-filter name='SUMMARY'><mystery/></prop-filter>",
        "<prop-filter name='ATTENDEE'><param-filter name='CN'><text-match>a</text-match><text-match>b</text-match></param-filter></prop-filter>",
    ] {
        assert!(matches!(in_event(bad), Err(BadFilter::Invalid(_))), "{bad}");
    }
}

#[test]
fn what_cannot_be_queried_is_named() {
    for (bad, element, name) in [
        ("<comp-filter name='X-FOO'/>", "comp-filter", "X-FOO"),
        (
            "<prop-filter name='x-abc-guid'/>",
            "prop-filter",
            "x-abc-guid",
        ),
        (
            "<prop-filter name='ATTENDEE'><param-filter name='X-Y'/></prop-filter>",
            "param-filter",
            "X-Y",
        ),
    ] {
        let unsupported = BadFilter::Unsupported {
            element,
            name: name.to_owned(),
        };
        assert_eq!(in_event(bad), Err(unsupported), "{bad}");
    }
    let collation =
        "<prop-filter name='UID'><text-match collation='i;x'>a</text-match></prop-filter>";
    assert_eq!(
        in_event(collation),
        Err(BadFilter::Collation("i;x".to_owned()))
    );
}

#[test]
fn names_are_folded_and_other_namespaces_passed_over() {
    let read = in_event(
        "<comp-filter name='valarm'><is-not-defined/></comp-filter><x xmlns='urn:x'/>\
         <prop-filter name='X-Apple-Sort-Order' test='anyof'><param-filter name='value'/></prop-filter>",
    )
    .unwrap();
    let CompTest::Present(calendar) = read.calendar.test else {
        panic!("present")
    };
    let CompTest::Present(event) = &calendar.comps[0].test else {
        panic!("present")
    };
    assert_eq!(event.comps[0].name, "VALARM");
    assert_eq!(event.comps[0].test, CompTest::Absent);
    assert_eq!(event.props[0].name, "X-APPLE-SORT-ORDER");
    assert!(
        matches!(&event.props[0].test, PropTest::Present { join: Join::Any, value: None, params } if params.len() == 1)
    );
}

/// Each row: collation and match-type attributes, needle, text, whether they match.
#[test]
fn text_is_compared_by_collation_and_place() {
    for (attributes, needle, text, expected) in [
        ("", "EVENT #2", "event #2 bis", true),
        ("", "Ä", "ä", false),
        ("collation='i;octet'", "event", "Event", false),
        ("collation='i;octet'", "vent", "Event", true),
        (
            "collation='i;unicode-casemap'",
            "MÜNCHEN",
            "in münchen",
            true,
        ),
        ("match-type='equals'", "a", "A", true),
        ("match-type='equals'", "a", "ab", false),
        ("match-type='starts-with'", "a", "ab", true),
        ("match-type='starts-with'", "b", "ab", false),
        ("match-type='ends-with'", "b", "ab", true),
        ("match-type='ends-with'", "a", "ab", false),
        ("negate-condition='yes'", "a", "ab", false),
        ("negate-condition='yes'", "c", "ab", true),
        ("", "", "anything", true),
    ] {
        let xml = format!(
            "<prop-filter name='SUMMARY'><text-match {attributes}>{needle}</text-match></prop-filter>"
        );
        let CompTest::Present(calendar) = in_event(&xml).unwrap().calendar.test else {
            panic!("present")
        };
        let CompTest::Present(event) = &calendar.comps[0].test else {
            panic!("present")
        };
        let PropTest::Present {
            value: Some(ValueTest::Text(test)),
            ..
        } = &event.props[0].test
        else {
            panic!("text")
        };
        assert_eq!(
            test.matches([text]),
            expected,
            "{attributes} {needle} {text}"
        );
    }
}
