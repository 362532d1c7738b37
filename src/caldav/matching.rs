//! Whether an object matches a filter, exactly: RFC 4791 §9.7 and §9.9.
//!
//! A time range is asked of each instance of a component: a comp-filter matches if one component of
//! its name has an instance in the range and fulfils the rest itself. `recur` knows the instances and
//! the rows of the tables in RFC 4791 §9.9.

use super::filter::{
    CompFilter, CompMatch, CompTest, Filter, Join, ParamFilter, ParamTest, PropFilter, PropTest,
    TextMatch, ValueTest,
};
use crate::ical::{Component, Property, Timestamp, When, values};
use crate::recur::{self, Compiled, Instance, Query, Range, TooMuch, Zone};
use std::ops::ControlFlow;

/// An object to be tested.
pub struct Subject<'a> {
    /// Its VCALENDAR.
    pub calendar: &'a Component,
    /// The instances of that calendar's components.
    pub compiled: &'a Compiled,
    /// Where floating times and dates lie. RFC 4791 §7.3
    pub floating: &'a Zone,
    /// How far an expansion may go.
    pub limits: &'a recur::Limits,
}

/// Whether the object matches. RFC 4791 §9.7
pub fn matches(filter: &Filter, subject: &Subject<'_>) -> Result<bool, TooMuch> {
    let root = At {
        component: subject.calendar,
        place: Place::Calendar,
    };
    match &filter.calendar.test {
        CompTest::Absent => Ok(false),
        CompTest::Present(test) => component(test, &root, subject),
    }
}

/// A component and where it stands.
#[derive(Clone, Copy)]
struct At<'a> {
    component: &'a Component,
    place: Place,
}

#[derive(Clone, Copy)]
enum Place {
    /// The VCALENDAR.
    Calendar,
    /// The main component of this index.
    Main(usize),
    /// An alarm in a main component.
    Alarm { main: usize, alarm: usize },
    /// Anywhere else.
    Inner,
}

impl<'a> At<'a> {
    fn children(self, subject: &Subject<'_>) -> impl Iterator<Item = At<'a>> {
        let (mut mains, mut alarms) = (0, 0);
        self.component.all_components().map(move |component| {
            let place = match self.place {
                Place::Calendar if subject.is_main(component) => {
                    mains += 1;
                    Place::Main(mains - 1)
                }
                Place::Main(main) if component.is("VALARM") => {
                    alarms += 1;
                    Place::Alarm {
                        main,
                        alarm: alarms - 1,
                    }
                }
                _ => Place::Inner,
            };
            At { component, place }
        })
    }
}

/// All or any of the tests; without tests the answer is yes.
fn joined(join: Join, tests: impl Iterator<Item = Result<bool, TooMuch>>) -> Result<bool, TooMuch> {
    let mut tested = false;
    for test in tests {
        tested = true;
        match (join, test?) {
            (Join::All, false) => return Ok(false),
            (Join::Any, true) => return Ok(true),
            _ => {}
        }
    }
    Ok(join == Join::All || !tested)
}

fn comp_filter(
    filter: &CompFilter,
    scope: &At<'_>,
    subject: &Subject<'_>,
) -> Result<bool, TooMuch> {
    let mut named = scope
        .children(subject)
        .filter(|at| filter.name == "*" || at.component.is(&filter.name));
    match &filter.test {
        CompTest::Absent => Ok(named.next().is_none()),
        CompTest::Present(test) => joined(
            Join::Any,
            named
                .map(|at| component(test, &at, subject))
                .chain([Ok(false)]),
        ),
    }
}

fn component(test: &CompMatch, at: &At<'_>, subject: &Subject<'_>) -> Result<bool, TooMuch> {
    let range = test.range.iter().map(|range| overlaps(range, at, subject));
    let props = test.props.iter().map(|f| prop_filter(f, at, subject));
    let comps = test.comps.iter().map(|f| comp_filter(f, at, subject));
    joined(test.join, props.chain(range).chain(comps))
}

/// Whether an instance of the component overlaps the range. RFC 4791 §9.9
fn overlaps(range: &Range, at: &At<'_>, subject: &Subject<'_>) -> Result<bool, TooMuch> {
    let Subject {
        compiled, limits, ..
    } = subject;
    let mut found = false;
    match at.place {
        Place::Main(main) => compiled.visit(&subject.query(main, range), limits, &mut |_| {
            found = true;
            ControlFlow::Break(())
        })?,
        Place::Alarm { main, alarm } => {
            compiled.visit_alarms(&subject.query(main, range), limits, &mut |time| {
                found = time.alarm == alarm;
                until(found)
            })?;
        }
        Place::Calendar | Place::Inner => {}
    }
    Ok(found)
}

fn prop_filter(filter: &PropFilter, at: &At<'_>, subject: &Subject<'_>) -> Result<bool, TooMuch> {
    let mut named = at.component.properties(&filter.name).peekable();
    let (join, value, params) = match &filter.test {
        PropTest::Absent => return Ok(named.peek().is_none()),
        PropTest::Present {
            join,
            value,
            params,
        } => (*join, value, params),
    };
    // The end that follows from DURATION is tested although nothing is written. RFC 4791 §9.9
    if let (Some(ValueTest::Range(range)), None, Place::Main(main)) =
        (value, named.peek(), at.place)
    {
        let ends = filter.name == "DTEND" || filter.name == "DUE";
        let implied = ends && params.is_empty() && at.component.property("DURATION").is_some();
        return Ok(implied && instance_within(&filter.name, main, range, subject)?);
    }
    joined(
        Join::Any,
        named
            .map(|property| {
                let value = value.iter().map(|v| value_test(v, property, at, subject));
                let params = params.iter().map(|f| Ok(param_filter(f, property)));
                joined(join, value.chain(params))
            })
            .chain([Ok(false)]),
    )
}

fn value_test(
    test: &ValueTest,
    property: &Property,
    at: &At<'_>,
    subject: &Subject<'_>,
) -> Result<bool, TooMuch> {
    match (test, at.place) {
        (ValueTest::Text(text), _) => Ok(text_matches(text, property)),
        (ValueTest::Range(range), Place::Main(main)) if follows_instances(property) => {
            instance_within(property.name(), main, range, subject)
        }
        (ValueTest::Range(range), _) => {
            Ok(values::when(property).is_some_and(|when| range.contains(subject.instant(&when))))
        }
    }
}

/// Whether an instance has its own value of this property. RFC 4791 §9.9
fn follows_instances(property: &Property) -> bool {
    ["DTSTART", "DTEND", "DUE"]
        .iter()
        .any(|name| property.is(name))
}

/// Whether the start or end of an instance lies in the range. RFC 4791 §9.9
fn instance_within(
    name: &str,
    main: usize,
    range: &Range,
    subject: &Subject<'_>,
) -> Result<bool, TooMuch> {
    let start = name.eq_ignore_ascii_case("DTSTART");
    let time = |instance: &Instance| match start {
        true => instance.start.clone(),
        false => instance.end.clone(),
    };
    // An end at the very start of the range is in it, though its instance does not overlap.
    let wide = Range {
        start: range.start.add_seconds(-1),
        end: range.end.add_seconds(1),
    };
    let Subject {
        compiled, limits, ..
    } = subject;
    let mut found = false;
    compiled.visit(&subject.query(main, &wide), limits, &mut |instance| {
        found = time(instance).is_some_and(|when| range.contains(subject.instant(&when)));
        until(found)
    })?;
    Ok(found)
}

fn until(found: bool) -> ControlFlow<()> {
    match found {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}

impl Subject<'_> {
    /// The components whose instances are known, as `recur` counts them.
    pub(super) fn mains(&self) -> impl Iterator<Item = &Component> {
        let components = self.calendar.all_components();
        components.filter(|component| self.is_main(component))
    }

    /// Whether it is one of those.
    pub(super) fn is_main(&self, component: &Component) -> bool {
        let kind = self.compiled.kind();
        kind.is_some_and(|kind| component.is(kind.component_name()))
    }

    /// A question about the instances of one component.
    pub(super) fn query(&self, component: usize, range: &Range) -> Query<'_> {
        Query {
            range: *range,
            floating: self.floating,
            component: Some(component),
        }
    }

    /// The instant of a time written in the object.
    pub(super) fn instant(&self, when: &When) -> Timestamp {
        self.compiled.zones().instant(when, self.floating)
    }
}

fn param_filter(filter: &ParamFilter, property: &Property) -> bool {
    let values = property.param_values(&filter.name);
    match &filter.test {
        ParamTest::Absent => values.is_empty(),
        ParamTest::Present => !values.is_empty(),
        ParamTest::Text(text) => {
            !values.is_empty() && text.matches(values.iter().map(AsRef::as_ref))
        }
    }
}

/// Whether the text of a value matches, of a list that of an item or of the whole.
fn text_matches(test: &TextMatch, property: &Property) -> bool {
    let whole = property.text();
    if !["CATEGORIES", "RESOURCES"].iter().any(|n| property.is(n)) {
        return test.matches([whole.as_ref()]);
    }
    let items = property.texts();
    test.matches(items.iter().map(AsRef::as_ref).chain([whole.as_ref()]))
}
