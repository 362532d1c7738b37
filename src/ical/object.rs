//! Calendar object resources: what may be stored under one URL (RFC 4791 §4.1, §5.3.2.1).
//!
//! We say *object* for the resource and its text, *component* for what is inside it, *master* for
//! the component without RECURRENCE-ID and *override* for those with one.

use std::collections::HashSet;
use std::fmt;

use super::component::Component;
use super::date::Date;
use super::parse::{Limits, parse};
use super::print::print;
use super::problem::{Problem, ProblemKind, Severity};
use super::time::When;
use super::{rules, values};

/// A text that may be stored as one calendar object, as a tree.
#[derive(Clone, Debug)]
pub struct CalendarObject {
    /// The VCALENDAR.
    pub calendar: Component,
    /// The type of its components.
    pub kind: Kind,
    /// The UID its components share.
    pub uid: String,
    /// What is wrong with it without putting its meaning in doubt.
    pub problems: Vec<Problem>,
}

/// The types of components that objects consist of. RFC 5545 §3.6, RFC 7953 §3.1
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// VEVENT
    Event,
    /// VTODO
    Todo,
    /// VJOURNAL
    Journal,
    /// VFREEBUSY
    FreeBusy,
    /// VAVAILABILITY
    Availability,
}

/// Why a text may not be stored. The line is 0 where none is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breach {
    /// It is no iCalendar text at all: CALDAV:valid-calendar-data. RFC 4791 §5.3.2.1
    NotCalendar {
        /// The line.
        line: u32,
        /// What is wrong.
        text: String,
    },
    /// It breaks RFC 5545 so that its meaning is in doubt: CALDAV:valid-calendar-data.
    /// RFC 4791 §5.3.2.1
    Data {
        /// The line.
        line: u32,
        /// What is wrong.
        text: String,
    },
    /// It is not one object: CALDAV:valid-calendar-object-resource. RFC 4791 §4.1, §5.3.2.1
    Object {
        /// The line.
        line: u32,
        /// What is wrong.
        text: String,
    },
    /// Its components are of a type that no calendar stores: CALDAV:supported-calendar-component.
    /// RFC 4791 §5.3.2.1
    Component {
        /// The line.
        line: u32,
        /// The name of the component.
        name: String,
    },
}

impl CalendarObject {
    /// Reads a text and checks that it is one object. RFC 4791 §4.1, §5.3.2.1
    pub fn read(text: &[u8], limits: &Limits) -> Result<CalendarObject, Breach> {
        let parsed = parse(text, limits);
        let fault = parsed.fault().map(Breach::data);
        let mut calendars = parsed.calendars.into_iter();
        let Some(calendar) = calendars.next().filter(|first| first.is("VCALENDAR")) else {
            let text = "the text does not begin with BEGIN:VCALENDAR".to_owned();
            return Err(Breach::NotCalendar { line: 1, text });
        };
        if let Some(fault) = fault {
            return Err(fault);
        }
        if let Some(second) = calendars.next() {
            let text = "there is more than one VCALENDAR";
            return Err(Breach::object(second.line_number(), text));
        }
        let mut object = CalendarObject::from_calendar(calendar)?;
        object.problems.extend(parsed.problems);
        object.problems.sort_by_key(|problem| problem.line);
        Ok(object)
    }

    /// Checks that a VCALENDAR is one object. RFC 4791 §4.1, §5.3.2.1
    pub fn from_calendar(calendar: Component) -> Result<CalendarObject, Breach> {
        let mut problems = rules::check(&calendar);
        let fault = |problem: &&Problem| problem.severity() == Severity::Fault;
        if let Some(fault) = problems.iter().find(fault) {
            return Err(Breach::data(fault));
        }
        if let Some(method) = calendar.property("METHOD") {
            let text = "a stored object has no METHOD";
            return Err(Breach::object(method.line_number(), text));
        }
        let kind = kind_of(&calendar)?;
        let uid = uid_of(&calendar, kind)?;
        check_overrides(&calendar, kind)?;
        problems.extend(missing_timezones(&calendar, kind));
        Ok(CalendarObject {
            calendar,
            kind,
            uid,
            problems,
        })
    }

    /// The text of the object. RFC 5545 §3.1
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        print(&self.calendar)
    }

    /// The components of its kind, in order: the master and the overrides.
    pub fn components(&self) -> impl Iterator<Item = &Component> {
        self.calendar.components(self.kind.component_name())
    }

    /// The components of its kind, in order, to be edited.
    pub fn components_mut(&mut self) -> impl Iterator<Item = &mut Component> {
        self.calendar.components_mut(self.kind.component_name())
    }

    /// The component without RECURRENCE-ID; none where a single instance was invited.
    #[must_use]
    pub fn master(&self) -> Option<&Component> {
        self.components().find(|it| !is_override(it))
    }

    /// The components with RECURRENCE-ID, in order.
    pub fn overrides(&self) -> impl Iterator<Item = &Component> {
        self.components().filter(|it| is_override(it))
    }

    /// The VTIMEZONE components, in order.
    pub fn timezones(&self) -> impl Iterator<Item = &Component> {
        self.calendar.components("VTIMEZONE")
    }

    /// The largest number of attendees a component has. RFC 4791 §5.2.9
    #[must_use]
    pub fn max_attendees(&self) -> usize {
        let attendees = |it: &Component| it.properties("ATTENDEE").count();
        self.components().map(attendees).max().unwrap_or_default()
    }

    /// The earliest and the latest day that says when something is; UNTIL and what follows from
    /// rules do not count. RFC 4791 §5.2.6, §5.2.7
    #[must_use]
    pub fn dates(&self) -> Option<(Date, Date)> {
        let mut span: Option<(Date, Date)> = None;
        for property in self.components().flat_map(Component::all_properties) {
            if DATED.iter().any(|name| property.is(name)) {
                for date in values::whens(property).iter().map(When::date) {
                    let (first, last) = span.unwrap_or((date, date));
                    span = Some((first.min(date), last.max(date)));
                }
            }
        }
        span
    }
}

/// The properties that say when something is.
const DATED: &[&str] = &[
    "DTSTART",
    "DTEND",
    "DUE",
    "RECURRENCE-ID",
    "RDATE",
    "FREEBUSY",
];

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 5] = [
        Kind::Event,
        Kind::Todo,
        Kind::Journal,
        Kind::FreeBusy,
        Kind::Availability,
    ];

    /// The name of its components.
    #[must_use]
    pub const fn component_name(self) -> &'static str {
        match self {
            Kind::Event => "VEVENT",
            Kind::Todo => "VTODO",
            Kind::Journal => "VJOURNAL",
            Kind::FreeBusy => "VFREEBUSY",
            Kind::Availability => "VAVAILABILITY",
        }
    }

    /// The kind whose components have that name, in any case.
    #[must_use]
    pub fn of(component_name: &str) -> Option<Kind> {
        let found = |kind: &Kind| kind.component_name().eq_ignore_ascii_case(component_name);
        Kind::ALL.into_iter().find(found)
    }

    /// Whether such objects may have overrides: they recur. RFC 5545 §3.8.4.4
    #[must_use]
    pub const fn recurs(self) -> bool {
        matches!(self, Kind::Event | Kind::Todo | Kind::Journal)
    }
}

impl Breach {
    /// The line to blame, from 1; 0 where none is.
    #[must_use]
    pub fn line(&self) -> u32 {
        match self {
            Breach::NotCalendar { line, .. }
            | Breach::Data { line, .. }
            | Breach::Object { line, .. }
            | Breach::Component { line, .. } => *line,
        }
    }

    fn data(problem: &Problem) -> Breach {
        Breach::Data {
            line: problem.line,
            text: problem.kind.to_string(),
        }
    }

    fn object(line: u32, text: &str) -> Breach {
        Breach::Object {
            line,
            text: text.to_owned(),
        }
    }
}

/// The sentence with its line number.
impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line() > 0 {
            write!(f, "line {}: ", self.line())?;
        }
        match self {
            Breach::NotCalendar { text, .. }
            | Breach::Data { text, .. }
            | Breach::Object { text, .. } => f.write_str(text),
            Breach::Component { name, .. } => write!(f, "{name} components are not stored"),
        }
    }
}

impl std::error::Error for Breach {}

/// Whether a component is an override.
fn is_override(component: &Component) -> bool {
    component.property("RECURRENCE-ID").is_some()
}

/// The one type of component beside VTIMEZONE; components that programs invent do not count.
fn kind_of(calendar: &Component) -> Result<Kind, Breach> {
    let mut kind = None;
    for component in calendar.all_components() {
        let (name, line) = (component.name(), component.line_number());
        let invented = name
            .get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case("X-"));
        if component.is("VTIMEZONE") || invented {
            continue;
        }
        let Some(this) = Kind::of(name) else {
            let name = name.to_ascii_uppercase();
            return Err(Breach::Component { line, name });
        };
        if kind.is_some_and(|kind| kind != this) {
            let text = "an object has components of one type only, beside VTIMEZONE";
            return Err(Breach::object(line, text));
        }
        kind = Some(this);
    }
    kind.ok_or_else(|| {
        let text = "the object has no event, task, journal entry, free-busy or availability";
        Breach::object(calendar.line_number(), text)
    })
}

/// The UID that all components share.
fn uid_of(calendar: &Component, kind: Kind) -> Result<String, Breach> {
    let mut uid: Option<String> = None;
    for component in calendar.components(kind.component_name()) {
        let property = component.property("UID");
        let text = property.map(|uid| uid.text().trim().to_owned());
        let Some(this) = text.filter(|text| !text.is_empty()) else {
            let text = format!("{} has no UID", kind.component_name());
            return Err(Breach::object(component.line_number(), &text));
        };
        if uid.as_ref().is_some_and(|uid| *uid != this) {
            let line = property.map_or(0, super::Property::line_number);
            return Err(Breach::object(line, "an object has one UID only"));
        }
        uid = Some(this);
    }
    Ok(uid.unwrap_or_default())
}

/// Notes each TZID without VTIMEZONE, once, unless it looks like a zone everybody knows
/// (RFC 7809 §3.1 lets clients leave those out).
fn missing_timezones(calendar: &Component, kind: Kind) -> Vec<Problem> {
    let defined = calendar.components("VTIMEZONE");
    let mut known: HashSet<String> = defined
        .filter_map(|zone| Some(zone.property("TZID")?.value().trim().to_owned()))
        .collect();
    let mut problems = Vec::new();
    for component in calendar.components(kind.component_name()) {
        for property in component.all_properties() {
            let Some(tzid) = property.param("TZID") else {
                continue;
            };
            let common = tzid == "UTC" || (tzid.contains('/') && !tzid.starts_with('/'));
            if !common && known.insert(tzid.trim().to_owned()) {
                problems.push(Problem {
                    line: property.line_number(),
                    kind: ProblemKind::NoTimeZone(tzid.into_owned()),
                });
            }
        }
    }
    problems
}

/// At most one master, and no two overrides of one instance.
fn check_overrides(calendar: &Component, kind: Kind) -> Result<(), Breach> {
    let (mut masters, mut seen) = (0, HashSet::new());
    for component in calendar.components(kind.component_name()) {
        let line = component.line_number();
        let Some(property) = component
            .property("RECURRENCE-ID")
            .filter(|_| kind.recurs())
        else {
            masters += 1;
            if masters > 1 {
                let text = "there are two components of one UID without RECURRENCE-ID";
                return Err(Breach::object(line, text));
            }
            continue;
        };
        let range = property
            .param("RANGE")
            .map(|range| range.to_ascii_uppercase());
        if !seen.insert((values::when(property), range)) {
            let line = property.line_number();
            let text = "there are two components with the same RECURRENCE-ID";
            return Err(Breach::object(line, text));
        }
    }
    Ok(())
}
