//! Which property and component may stand where, how often, and with what type of value: RFC 5545
//! §3.6 to §3.8, with what RFC 7986, 9073, 9074, 9253, 7953 and 7808 add, as tables.
//!
//! Properties and components that no table knows may stand everywhere. Where a rule is broken and
//! the meaning is clear, the problem is a note, and the doc of the code that reads the property
//! says which reading wins.
//!
//! **Gaps**: recurrence rules are read by `recur`.

use std::borrow::Cow;

use super::component::Component;
use super::problem::{Problem, ProblemKind, Severity, Subject};
use super::property::Property;
use super::time::When;
use super::values;

/// What may stand in a component. RFC 5545 §3.6
struct Row {
    component: &'static str,
    /// Exactly once.
    once: &'static [&'static str],
    /// At most once.
    optional: &'static [&'static str],
    /// As often as one likes.
    many: &'static [&'static str],
    inside: &'static [&'static str],
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    // RFC 5545 §3.6, RFC 7986 §4; METHOD is judged where objects are stored.
    Row { component: "VCALENDAR", once: &["PRODID", "VERSION"],
        optional: &["CALSCALE", "METHOD", "UID", "LAST-MODIFIED", "URL", "REFRESH-INTERVAL", "SOURCE", "COLOR"],
        many: &["NAME", "DESCRIPTION", "CATEGORIES", "IMAGE", "CONCEPT", "LINK", "REFID"],
        inside: &["VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VTIMEZONE", "VAVAILABILITY"] },
    // RFC 5545 §3.6.1; RRULE "SHOULD NOT occur more than once".
    Row { component: "VEVENT", once: &["DTSTAMP", "UID", "DTSTART"],
        optional: &["CLASS", "CREATED", "DESCRIPTION", "GEO", "LAST-MODIFIED", "LOCATION", "ORGANIZER", "PRIORITY", "SEQUENCE",
            "STATUS", "SUMMARY", "TRANSP", "URL", "RECURRENCE-ID", "DTEND", "DURATION", "COLOR"],
        many: &["RRULE", "ATTACH", "ATTENDEE", "CATEGORIES", "COMMENT", "CONTACT", "EXDATE", "EXRULE", "REQUEST-STATUS", "RELATED-TO",
            "RESOURCES", "RDATE", "IMAGE", "CONFERENCE", "STRUCTURED-DATA", "STYLED-DESCRIPTION", "CONCEPT", "LINK", "REFID"],
        inside: &["VALARM", "PARTICIPANT", "VLOCATION", "VRESOURCE"] },
    // RFC 5545 §3.6.2
    Row { component: "VTODO", once: &["DTSTAMP", "UID"],
        optional: &["CLASS", "COMPLETED", "CREATED", "DESCRIPTION", "DTSTART", "GEO", "LAST-MODIFIED", "LOCATION", "ORGANIZER",
            "PERCENT-COMPLETE", "PRIORITY", "RECURRENCE-ID", "SEQUENCE", "STATUS", "SUMMARY", "URL", "DUE", "DURATION", "COLOR"],
        many: &["RRULE", "ATTACH", "ATTENDEE", "CATEGORIES", "COMMENT", "CONTACT", "EXDATE", "EXRULE", "REQUEST-STATUS", "RELATED-TO",
            "RESOURCES", "RDATE", "IMAGE", "CONFERENCE", "STRUCTURED-DATA", "STYLED-DESCRIPTION", "CONCEPT", "LINK", "REFID"],
        inside: &["VALARM", "PARTICIPANT", "VLOCATION", "VRESOURCE"] },
    // RFC 5545 §3.6.3
    Row { component: "VJOURNAL", once: &["DTSTAMP", "UID"],
        optional: &["CLASS", "CREATED", "DTSTART", "LAST-MODIFIED", "ORGANIZER", "RECURRENCE-ID", "SEQUENCE", "STATUS", "SUMMARY",
            "URL", "COLOR"],
        many: &["RRULE", "ATTACH", "ATTENDEE", "CATEGORIES", "COMMENT", "CONTACT", "DESCRIPTION", "EXDATE", "EXRULE", "RELATED-TO", "RDATE",
            "REQUEST-STATUS", "IMAGE", "STRUCTURED-DATA", "STYLED-DESCRIPTION", "CONCEPT", "LINK", "REFID"],
        inside: &["PARTICIPANT", "VLOCATION", "VRESOURCE"] },
    // RFC 5545 §3.6.4
    Row { component: "VFREEBUSY", once: &["DTSTAMP", "UID"],
        optional: &["CONTACT", "DTSTART", "DTEND", "ORGANIZER", "URL"],
        many: &["ATTENDEE", "COMMENT", "FREEBUSY", "REQUEST-STATUS", "STYLED-DESCRIPTION", "STRUCTURED-DATA", "CONCEPT", "LINK", "REFID"],
        inside: &["PARTICIPANT", "VLOCATION", "VRESOURCE"] },
    // RFC 5545 §3.6.5, RFC 7808 §7
    Row { component: "VTIMEZONE", once: &["TZID"],
        optional: &["LAST-MODIFIED", "TZURL", "TZUNTIL"],
        many: &["TZID-ALIAS-OF"],
        inside: &["STANDARD", "DAYLIGHT"] },
    Row { component: "STANDARD", once: OBSERVANCE, optional: &[], many: &["RRULE", "COMMENT", "RDATE", "TZNAME"], inside: &[] },
    Row { component: "DAYLIGHT", once: OBSERVANCE, optional: &[], many: &["RRULE", "COMMENT", "RDATE", "TZNAME"], inside: &[] },
    // RFC 5545 §3.6.6, RFC 9074 §4 to §8
    Row { component: "VALARM", once: &["ACTION", "TRIGGER"],
        optional: &["DESCRIPTION", "SUMMARY", "DURATION", "REPEAT", "UID", "ACKNOWLEDGED", "PROXIMITY"],
        many: &["ATTACH", "ATTENDEE", "RELATED-TO", "STYLED-DESCRIPTION", "STRUCTURED-DATA", "CONCEPT", "LINK", "REFID"],
        inside: &["VLOCATION"] },
    // RFC 7953 §3.1
    Row { component: "VAVAILABILITY", once: &["DTSTAMP", "UID"],
        optional: &["BUSYTYPE", "CLASS", "CREATED", "DESCRIPTION", "DTSTART", "LAST-MODIFIED", "LOCATION", "ORGANIZER", "PRIORITY",
            "SEQUENCE", "SUMMARY", "URL", "DTEND", "DURATION"],
        many: &["CATEGORIES", "COMMENT", "CONTACT", "CONCEPT", "LINK", "REFID"],
        inside: &["AVAILABLE"] },
    Row { component: "AVAILABLE", once: &["DTSTAMP", "DTSTART", "UID"],
        optional: &["CREATED", "DESCRIPTION", "LAST-MODIFIED", "LOCATION", "RECURRENCE-ID", "SUMMARY", "DTEND", "DURATION"],
        many: &["RRULE", "CATEGORIES", "COMMENT", "CONTACT", "EXDATE", "RDATE", "CONCEPT", "LINK", "REFID"],
        inside: &[] },
    // RFC 9073 §7
    Row { component: "PARTICIPANT", once: &["UID", "PARTICIPANT-TYPE"],
        optional: &["CALENDAR-ADDRESS", "CREATED", "DESCRIPTION", "DTSTAMP", "GEO", "LAST-MODIFIED", "PRIORITY", "SEQUENCE", "STATUS",
            "SUMMARY", "URL"],
        many: &["ATTACH", "CATEGORIES", "COMMENT", "CONTACT", "LOCATION", "REQUEST-STATUS", "RELATED-TO", "RESOURCES",
            "STYLED-DESCRIPTION", "STRUCTURED-DATA", "CONCEPT", "LINK", "REFID"],
        inside: &["VLOCATION", "VRESOURCE"] },
    Row { component: "VLOCATION", once: &["UID"],
        optional: &["DESCRIPTION", "GEO", "LOCATION-TYPE", "NAME", "URL"],
        many: &["STRUCTURED-DATA", "CONCEPT", "LINK", "REFID"],
        inside: &[] },
    Row { component: "VRESOURCE", once: &["UID"],
        optional: &["DESCRIPTION", "GEO", "NAME", "RESOURCE-TYPE"],
        many: &["STRUCTURED-DATA", "CONCEPT", "LINK", "REFID"],
        inside: &[] },
];

/// What an alarm may have beyond what all have, by its ACTION. RFC 5545 §3.6.6
struct Action {
    name: &'static str,
    /// At least once.
    needs: &'static [&'static str],
    /// At most once.
    optional: &'static [&'static str],
    never: &'static [&'static str],
}

#[rustfmt::skip]
const ACTIONS: &[Action] = &[
    Action { name: "AUDIO", needs: &[], optional: &["ATTACH"], never: &["ATTENDEE"] },
    Action { name: "DISPLAY", needs: &["DESCRIPTION"], optional: &[], never: &["ATTENDEE"] },
    Action { name: "EMAIL", needs: &["DESCRIPTION", "SUMMARY", "ATTENDEE"], optional: &[], never: &[] },
];

/// Properties of an alarm that stand together or not at all. RFC 5545 §3.6.6
const REPETITION: [&str; 2] = ["DURATION", "REPEAT"];

const OBSERVANCE: &[&str] = &["DTSTART", "TZOFFSETTO", "TZOFFSETFROM"];

/// The types of values that are checked. RFC 5545 §3.8
#[derive(Clone, Copy)]
enum Type {
    When,
    Whens,
    Duration,
    Trigger,
    Periods,
    Integer,
    Geo,
    Offset,
    RequestStatus,
    Exactly(&'static str),
}

/// The type of each property that is checked, and how bad another value is: times that say when
/// something is must be readable, a bad exception date means no exception.
#[rustfmt::skip]
const TYPES: &[(&str, Type, Severity)] = &[
    ("VERSION", Type::Exactly("2.0"), Severity::Fault),
    ("CALSCALE", Type::Exactly("GREGORIAN"), Severity::Fault),
    ("DTSTART", Type::When, Severity::Fault),
    ("DTEND", Type::When, Severity::Fault),
    ("DUE", Type::When, Severity::Fault),
    ("RECURRENCE-ID", Type::When, Severity::Fault),
    ("DURATION", Type::Duration, Severity::Fault),
    ("COMPLETED", Type::When, Severity::Note),
    ("CREATED", Type::When, Severity::Note),
    ("DTSTAMP", Type::When, Severity::Note),
    ("LAST-MODIFIED", Type::When, Severity::Note),
    ("ACKNOWLEDGED", Type::When, Severity::Note),
    ("EXDATE", Type::Whens, Severity::Note),
    ("RDATE", Type::Whens, Severity::Note),
    ("FREEBUSY", Type::Periods, Severity::Note),
    ("TRIGGER", Type::Trigger, Severity::Note),
    ("SEQUENCE", Type::Integer, Severity::Note),
    ("PRIORITY", Type::Integer, Severity::Note),
    ("PERCENT-COMPLETE", Type::Integer, Severity::Note),
    ("REPEAT", Type::Integer, Severity::Note),
    ("GEO", Type::Geo, Severity::Note),
    ("TZOFFSETFROM", Type::Offset, Severity::Note),
    ("TZOFFSETTO", Type::Offset, Severity::Note),
    ("REQUEST-STATUS", Type::RequestStatus, Severity::Note),
];

/// Properties that cannot be believed when two of them differ.
const DECISIVE: &[&str] = &[
    "UID",
    "DTSTART",
    "DTEND",
    "DUE",
    "DURATION",
    "RECURRENCE-ID",
    "VERSION",
];

/// Components whose own times are all there is to them; a fault in others does no more harm than
/// the component.
const MAIN: &[&str] = &[
    "VEVENT",
    "VTODO",
    "VJOURNAL",
    "VFREEBUSY",
    "VAVAILABILITY",
    "VCALENDAR",
];

/// Everything in the component and those inside it that breaks a rule, in order of lines.
#[must_use]
pub fn check(component: &Component) -> Vec<Problem> {
    let mut problems = Vec::new();
    check_into(component, &mut problems);
    problems.sort_by_key(|problem| problem.line);
    problems
}

/// Whether a component of this name must have the property.
#[must_use]
pub fn requires(component: &Component, property: &str) -> bool {
    row_of(component).is_some_and(|row| row.once.contains(&property))
}

fn row_of(component: &Component) -> Option<&'static Row> {
    TABLE.iter().find(|row| component.is(row.component))
}

fn check_into(component: &Component, problems: &mut Vec<Problem>) {
    if let Some(row) = row_of(component) {
        missing(row, component, problems);
        for property in component.all_properties() {
            placed(row, component, property, problems);
        }
        together(row, component, problems);
        if component.is("VALARM") {
            alarm(row, component, problems);
        }
        for inner in component.all_components() {
            let misplaced = TABLE.iter().any(|it| inner.is(it.component))
                && !row.inside.iter().any(|name| inner.is(name));
            if misplaced {
                let main = MAIN.iter().any(|name| inner.is(name));
                let severity = if main {
                    Severity::Fault
                } else {
                    Severity::Note
                };
                let subject = subject(row, inner.name(), severity);
                problems.push(Problem {
                    line: inner.line_number(),
                    kind: ProblemKind::MisplacedComponent(subject),
                });
            }
        }
    }
    for inner in component.all_components() {
        check_into(inner, problems);
    }
}

/// Notes required properties that are not there. Only an event without a start has no meaning.
fn missing(row: &Row, component: &Component, problems: &mut Vec<Problem>) {
    for name in row.once {
        if component.property(name).is_none() {
            let fatal = row.component == "VEVENT" && *name == "DTSTART";
            let severity = if fatal {
                Severity::Fault
            } else {
                Severity::Note
            };
            problems.push(Problem {
                line: component.line_number(),
                kind: ProblemKind::Missing(subject(row, name, severity)),
            });
        }
    }
}

/// Checks the place, the number and the value of one property.
fn placed(row: &Row, component: &Component, property: &Property, problems: &mut Vec<Problem>) {
    let listed = |names: &[&str]| names.iter().any(|name| property.is(name));
    let line = property.line_number();
    if listed(row.once) || listed(row.optional) {
        let first = component.property(property.name());
        if let Some(first) = first.filter(|first| !std::ptr::eq(*first, property)) {
            let decides = listed(DECISIVE) && first.value() != property.value();
            let severity = if decides {
                Severity::Fault
            } else {
                Severity::Note
            };
            let kind = ProblemKind::Repeated(subject(row, property.name(), severity));
            problems.push(Problem { line, kind });
        }
    } else if !listed(row.many) && TABLE.iter().any(|row| row.knows(property)) {
        let kind = ProblemKind::Misplaced(subject(row, property.name(), Severity::Note));
        problems.push(Problem { line, kind });
        return;
    }
    let row_type = TYPES.iter().find(|(name, ..)| property.is(name));
    if let Some((.., severity)) = row_type.filter(|(_, kind, _)| !kind.fits(property)) {
        let main = MAIN.contains(&row.component);
        let severity = if main { *severity } else { Severity::Note };
        let kind = ProblemKind::Value(subject(row, property.name(), severity));
        problems.push(Problem { line, kind });
    }
}

/// Notes an end that contradicts the start. The end is then taken to be the start, or the day of
/// the end that was meant; beside an end a duration does not count. RFC 5545 §3.6.1, §3.8.2.2
fn together(row: &Row, component: &Component, problems: &mut Vec<Problem>) {
    let ends = ["DTEND", "DUE"];
    let Some(end) = ends.iter().find_map(|name| component.property(name)) else {
        return;
    };
    let start = component.property("DTSTART").and_then(values::when);
    let both = component.property("DURATION").is_some();
    let wrong = match (start, values::when(end)) {
        (Some(start), Some(end)) => contradict(&start, &end),
        _ => false,
    };
    if both || wrong {
        let kind = ProblemKind::Conflict(subject(row, end.name(), Severity::Note));
        let line = end.line_number();
        problems.push(Problem { line, kind });
    }
}

/// Notes what an alarm of its action lacks or has too much. An alarm that does not go off as it was
/// meant does no harm to the event. RFC 5545 §3.6.6
fn alarm(row: &Row, component: &Component, problems: &mut Vec<Problem>) {
    let count = |name: &str| component.properties(name).count();
    let mut note = |line: u32, kind: fn(Subject) -> ProblemKind, name: &str| {
        let kind = kind(subject(row, name, Severity::Note));
        problems.push(Problem { line, kind });
    };
    let line = component.line_number();
    if let [Some(_), None] | [None, Some(_)] = REPETITION.map(|name| component.property(name)) {
        for name in REPETITION.iter().filter(|name| count(name) == 0) {
            note(line, ProblemKind::Missing, name);
        }
    }
    let action = component.property("ACTION").map(Property::value);
    let action = action.map_or("", str::trim);
    let Some(action) = ACTIONS
        .iter()
        .find(|it| it.name.eq_ignore_ascii_case(action))
    else {
        return;
    };
    for name in action.needs.iter().filter(|name| count(name) == 0) {
        note(line, ProblemKind::Missing, name);
    }
    for name in action.optional {
        for more in component.properties(name).skip(1) {
            note(more.line_number(), ProblemKind::Repeated, name);
        }
    }
    for name in action.never {
        for stray in component.properties(name) {
            note(stray.line_number(), ProblemKind::Misplaced, name);
        }
    }
}

fn contradict(start: &When, end: &When) -> bool {
    start.is_date() != end.is_date() || (start.same_form(end) && end.local() < start.local())
}

fn subject(row: &Row, name: &str, severity: Severity) -> Subject {
    Subject {
        component: Cow::Borrowed(row.component),
        name: Cow::Owned(name.to_ascii_uppercase()),
        severity,
    }
}

impl Row {
    fn knows(&self, property: &Property) -> bool {
        let lists = [self.once, self.optional, self.many];
        lists
            .iter()
            .any(|list| list.iter().any(|name| property.is(name)))
    }
}

impl Type {
    fn fits(self, property: &Property) -> bool {
        let value = property.value().trim();
        let parts = || value.split(',').count();
        match self {
            Type::When => values::when(property).is_some(),
            Type::Whens => values::whens(property).len() == parts(),
            Type::Duration => values::duration(property).is_some(),
            Type::Trigger => values::trigger(property).is_some(),
            Type::Periods => values::periods(property).len() == parts(),
            Type::Integer => value.parse::<i32>().is_ok(),
            Type::Geo => values::geo(property).is_some(),
            Type::Offset => values::utc_offset(property).is_some(),
            Type::RequestStatus => values::request_status(property).is_some(),
            Type::Exactly(text) => value.eq_ignore_ascii_case(text),
        }
    }
}
