//! The CALDAV:filter element as a value that cannot be wrong: RFC 4791 §9.7, with the `test` and
//! `match-type` attributes and the `*` component of draft-daboo-caldav-extensions.
//!
//! What is malformed breaks CALDAV:valid-filter, what names something no query can ask for breaks
//! CALDAV:supported-filter with the element that does. RFC 4791 §7.8
//!
//! **Gaps**: names with an X- prefix can be queried only where a known vendor uses them (RFC 4791 §7.7
//! leaves that to the server, and RFC 4791 §7.8.10 shows the refusal).

use super::collation::Collation;
use super::names;
use super::range::time_range;
use crate::recur::Range;
use crate::xml::{CALDAV, Element, Name};

/// A filter: what the whole VCALENDAR must match. RFC 4791 §9.7
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// The comp-filter named VCALENDAR.
    pub calendar: CompFilter,
}

/// Whether all or any of the tests in a filter must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// All of them; what RFC 4791 §9.7.1 says.
    All,
    /// Any of them; the attribute test="anyof".
    Any,
}

/// A test of the components of one name in their scope. RFC 4791 §9.7.1
#[derive(Debug, Clone, PartialEq)]
pub struct CompFilter {
    /// The component's name in upper case, or `*` for each.
    pub name: String,
    /// What is asked of it.
    pub test: CompTest,
}

/// What is asked of a component. RFC 4791 §9.7.1
#[derive(Debug, Clone, PartialEq)]
pub enum CompTest {
    /// There is none of that name.
    Absent,
    /// There is one that fulfils these.
    Present(CompMatch),
}

/// What one component must fulfil.
#[derive(Debug, Clone, PartialEq)]
pub struct CompMatch {
    /// All or any of the following.
    pub join: Join,
    /// An instance of it overlaps this.
    pub range: Option<Range>,
    /// Tests of its properties.
    pub props: Vec<PropFilter>,
    /// Tests of the components in it.
    pub comps: Vec<CompFilter>,
}

/// A test of the properties of one name in a component. RFC 4791 §9.7.2
#[derive(Debug, Clone, PartialEq)]
pub struct PropFilter {
    /// The property's name in upper case.
    pub name: String,
    /// What is asked of it.
    pub test: PropTest,
}

/// What is asked of a property. RFC 4791 §9.7.2
#[derive(Debug, Clone, PartialEq)]
pub enum PropTest {
    /// There is none of that name.
    Absent,
    /// There is one that fulfils these.
    Present {
        /// All or any of the following.
        join: Join,
        /// A test of its value.
        value: Option<ValueTest>,
        /// Tests of its parameters.
        params: Vec<ParamFilter>,
    },
}

/// A test of a property's value.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueTest {
    /// It is a time within this. RFC 4791 §9.9
    Range(Range),
    /// Its text matches this. RFC 4791 §9.7.5
    Text(TextMatch),
}

/// A test of one parameter of a property. RFC 4791 §9.7.3
#[derive(Debug, Clone, PartialEq)]
pub struct ParamFilter {
    /// The parameter's name in upper case.
    pub name: String,
    /// What is asked of it.
    pub test: ParamTest,
}

/// What is asked of a parameter. RFC 4791 §9.7.3
#[derive(Debug, Clone, PartialEq)]
pub enum ParamTest {
    /// The property does not have it.
    Absent,
    /// The property has it.
    Present,
    /// The property has it, with such a value.
    Text(TextMatch),
}

/// A comparison of text. RFC 4791 §9.7.5
#[derive(Debug, Clone, PartialEq)]
pub struct TextMatch {
    /// What is looked for, folded by the collation.
    needle: String,
    collation: Collation,
    place: Place,
    negate: bool,
}

/// Where in the text the needle must stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Equals,
    Contains,
    Starts,
    Ends,
}

/// Why a filter is refused. RFC 4791 §7.8
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadFilter {
    /// CALDAV:valid-filter, with a sentence.
    Invalid(String),
    /// CALDAV:supported-filter, with the element that names what cannot be queried.
    Unsupported {
        /// comp-filter, prop-filter or param-filter.
        element: &'static str,
        /// Its name attribute.
        name: String,
    },
    /// CALDAV:supported-collation. RFC 4791 §7.5
    Collation(String),
}

impl Filter {
    /// All time ranges in it. RFC 4791 §7.8
    pub fn ranges(&self) -> Vec<Range> {
        let mut ranges = Vec::new();
        self.calendar.collect_ranges(&mut ranges);
        ranges
    }
}

impl CompFilter {
    fn collect_ranges(&self, ranges: &mut Vec<Range>) {
        let CompTest::Present(test) = &self.test else {
            return;
        };
        ranges.extend(test.range);
        for prop in &test.props {
            if let PropTest::Present {
                value: Some(ValueTest::Range(range)),
                ..
            } = &prop.test
            {
                ranges.push(*range);
            }
        }
        for comp in &test.comps {
            comp.collect_ranges(ranges);
        }
    }
}

impl TextMatch {
    /// Whether the texts of one property or parameter match: one of them does, or with
    /// negate-condition none of them. RFC 4791 §9.7.5
    pub fn matches<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        texts.into_iter().any(|text| self.hits(text)) != self.negate
    }

    fn hits(&self, text: &str) -> bool {
        let text = self.collation.fold(text);
        match self.place {
            Place::Equals => *text == *self.needle,
            Place::Contains => text.contains(&self.needle),
            Place::Starts => text.starts_with(&self.needle),
            Place::Ends => text.ends_with(&self.needle),
        }
    }
}

/// Reads a CALDAV:filter element. RFC 4791 §9.7
pub fn read(filter: &Element) -> Result<Filter, BadFilter> {
    let mut calendar = None;
    for child in calendar_children(filter) {
        if child.is(Name::caldav("comp-filter")) && calendar.is_none() {
            calendar = Some(comp_filter(child, None)?);
        } else {
            return Err(invalid("a filter holds exactly one comp-filter"));
        }
    }
    let calendar = calendar.ok_or_else(|| invalid("a filter holds exactly one comp-filter"))?;
    if calendar.name != "VCALENDAR" {
        return Err(invalid("the outermost comp-filter is named VCALENDAR"));
    }
    Ok(Filter { calendar })
}

fn invalid(sentence: impl Into<String>) -> BadFilter {
    BadFilter::Invalid(sentence.into())
}

/// The children in CALDAV's namespace; others are ignored as RFC 4918 §17 says.
fn calendar_children(element: &Element) -> impl Iterator<Item = &Element> {
    element.elements().filter(|c| c.name().ns == CALDAV)
}

fn comp_filter(element: &Element, scope: Option<&str>) -> Result<CompFilter, BadFilter> {
    let name = name_of(element)?;
    if name != "*" && !names::is_component(&name) {
        return Err(unsupported("comp-filter", element));
    }
    if scope.is_some_and(|scope| !names::may_hold(scope, &name)) {
        return Err(invalid(format!(
            "a {name} cannot stand in a {}",
            scope.unwrap_or_default()
        )));
    }
    if absent(element)? {
        let test = CompTest::Absent;
        return Ok(CompFilter { name, test });
    }
    let mut test = CompMatch {
        join: join(element)?,
        range: None,
        props: Vec::new(),
        comps: Vec::new(),
    };
    for child in calendar_children(element) {
        match child.name().local {
            "time-range" if test.range.is_none() && names::has_times(&name) => {
                test.range = Some(range(child)?);
            }
            "prop-filter" => test.props.push(prop_filter(child)?),
            "comp-filter" => test.comps.push(comp_filter(child, Some(&name))?),
            other => {
                return Err(invalid(format!(
                    "{other} cannot stand here in a {name} filter"
                )));
            }
        }
    }
    let test = CompTest::Present(test);
    Ok(CompFilter { name, test })
}

fn prop_filter(element: &Element) -> Result<PropFilter, BadFilter> {
    let name = name_of(element)?;
    if !names::is_property(&name) {
        return Err(unsupported("prop-filter", element));
    }
    if absent(element)? {
        let test = PropTest::Absent;
        return Ok(PropFilter { name, test });
    }
    let (mut value, mut params) = (None, Vec::new());
    for child in calendar_children(element) {
        match child.name().local {
            "time-range" if value.is_none() && names::is_time(&name) => {
                value = Some(ValueTest::Range(range(child)?));
            }
            "text-match" if value.is_none() => value = Some(ValueTest::Text(text_match(child)?)),
            "param-filter" => params.push(param_filter(child)?),
            other => {
                return Err(invalid(format!(
                    "{other} cannot stand here in a {name} filter"
                )));
            }
        }
    }
    let join = join(element)?;
    let test = PropTest::Present {
        join,
        value,
        params,
    };
    Ok(PropFilter { name, test })
}

fn param_filter(element: &Element) -> Result<ParamFilter, BadFilter> {
    let name = name_of(element)?;
    if !names::is_parameter(&name) {
        return Err(unsupported("param-filter", element));
    }
    if absent(element)? {
        let test = ParamTest::Absent;
        return Ok(ParamFilter { name, test });
    }
    let mut test = ParamTest::Present;
    for child in calendar_children(element) {
        if child.name().local != "text-match" || test != ParamTest::Present {
            return Err(invalid("a param-filter holds at most one text-match"));
        }
        test = ParamTest::Text(text_match(child)?);
    }
    Ok(ParamFilter { name, test })
}

fn text_match(element: &Element) -> Result<TextMatch, BadFilter> {
    let collation = match element.attribute("collation") {
        None => Collation::AsciiCasemap,
        Some(name) => {
            Collation::named(name).ok_or_else(|| BadFilter::Collation(name.to_owned()))?
        }
    };
    let negate = match element.attribute("negate-condition") {
        None | Some("no") => false,
        Some("yes") => true,
        Some(_) => return Err(invalid("negate-condition is yes or no")),
    };
    let place = match element.attribute("match-type") {
        None | Some("contains") => Place::Contains,
        Some("equals") => Place::Equals,
        Some("starts-with") => Place::Starts,
        Some("ends-with") => Place::Ends,
        Some(_) => {
            return Err(invalid(
                "match-type is equals, contains, starts-with or ends-with",
            ));
        }
    };
    let needle = collation.fold(&element.text()).into_owned();
    Ok(TextMatch {
        needle,
        collation,
        place,
        negate,
    })
}

/// The name attribute in upper case.
fn name_of(element: &Element) -> Result<String, BadFilter> {
    match element.attribute("name") {
        Some(name) if !name.is_empty() => Ok(name.to_ascii_uppercase()),
        _ => Err(invalid(format!("{} needs a name", element.name().local))),
    }
}

fn unsupported(kind: &'static str, element: &Element) -> BadFilter {
    let name = element.attribute("name").unwrap_or_default().to_owned();
    BadFilter::Unsupported {
        element: kind,
        name,
    }
}

/// Whether is-not-defined is all that the element holds.
fn absent(element: &Element) -> Result<bool, BadFilter> {
    let mut children = calendar_children(element);
    match (
        children.any(|c| c.name().local == "is-not-defined"),
        calendar_children(element).count(),
    ) {
        (true, 1) => Ok(true),
        (true, _) => Err(invalid("is-not-defined stands alone")),
        (false, _) => Ok(false),
    }
}

fn join(element: &Element) -> Result<Join, BadFilter> {
    match element.attribute("test") {
        None | Some("allof") => Ok(Join::All),
        Some("anyof") => Ok(Join::Any),
        Some(_) => Err(invalid("test is allof or anyof")),
    }
}

fn range(element: &Element) -> Result<Range, BadFilter> {
    time_range(element).map_err(invalid)
}
