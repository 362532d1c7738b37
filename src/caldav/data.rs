//! CALDAV:calendar-data in a request: which part of an object a report returns, and in which form.
//! RFC 4791 §9.6
//!
//! The whole text goes out as it is stored; everything else is a copy of the tree, cut.

use super::range::closed_range;
use crate::ical::{Component, Format, Property};
use crate::recur::Range;
use crate::xml::{CALDAV, Element, Name};

/// What a calendar-data element asks for. RFC 4791 §9.6
#[derive(Debug, Clone, PartialEq)]
pub struct DataRequest {
    /// The media type of the answer.
    pub format: Format,
    /// Which components and properties; all without one.
    pub selection: Option<Selection>,
    /// What becomes of recurring components.
    pub recurrence: Recurrence,
    /// Only FREEBUSY periods in this range. RFC 4791 §9.6.7
    pub busy: Option<Range>,
}

/// What becomes of recurring components. RFC 4791 §7.6
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recurrence {
    /// They stay as they are.
    Whole,
    /// Each instance in the range is a component. RFC 4791 §9.6.5
    Expand(Range),
    /// Overrides that do not touch the range are left out. RFC 4791 §9.6.6
    Limit(Range),
}

/// Which parts of a component are returned. RFC 4791 §9.6.1
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    name: String,
    /// Names and whether the value is left out; None is all of them.
    props: Option<Vec<(String, Value)>>,
    comps: Option<Vec<Selection>>,
}

/// Whether a property comes with its value: the attribute novalue. RFC 4791 §9.6.4
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Given,
    Omitted,
}

/// Why a calendar-data element is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadData {
    /// CALDAV:supported-calendar-data: an unknown type or version. RFC 4791 §7.8
    Type,
    /// The element is not what RFC 4791 §9.6 defines.
    Malformed(&'static str),
}

impl Default for DataRequest {
    fn default() -> DataRequest {
        DataRequest {
            format: Format::ICalendar,
            selection: None,
            recurrence: Recurrence::Whole,
            busy: None,
        }
    }
}

impl DataRequest {
    /// Reads a calendar-data element of a request. RFC 4791 §9.6
    pub fn read(element: &Element) -> Result<DataRequest, BadData> {
        let mut request = DataRequest {
            format: format(element)?,
            ..DataRequest::default()
        };
        for child in element.elements().filter(|c| c.name().ns == CALDAV) {
            let range = || closed_range(child).map_err(BadData::Malformed);
            match child.name().local {
                "comp" => request.selection = Some(Selection::read_calendar(child)?),
                "expand" => request.recurrence = Recurrence::Expand(range()?),
                "limit-recurrence-set" => request.recurrence = Recurrence::Limit(range()?),
                "limit-freebusy-set" => request.busy = Some(range()?),
                _ => {
                    return Err(BadData::Malformed("calendar-data holds an unknown element"));
                }
            }
        }
        Ok(request)
    }

    /// Whether the answer is the text as it is stored.
    pub fn is_whole_text(&self) -> bool {
        *self == DataRequest::default()
    }

    /// The ranges in it, for CALDAV:min-date-time and max-date-time. RFC 4791 §7.8
    pub fn ranges(&self) -> impl Iterator<Item = Range> {
        let recurrence = match self.recurrence {
            Recurrence::Whole => None,
            Recurrence::Expand(range) | Recurrence::Limit(range) => Some(range),
        };
        recurrence.into_iter().chain(self.busy)
    }
}

fn format(element: &Element) -> Result<Format, BadData> {
    let format = match element.attribute("content-type") {
        None => Format::ICalendar,
        Some(media_type) => Format::of(media_type).ok_or(BadData::Type)?,
    };
    match element.attribute("version") {
        None | Some("2.0") => Ok(format),
        Some(_) => Err(BadData::Type),
    }
}

impl Selection {
    /// The outermost comp, which selects from the VCALENDAR.
    fn read_calendar(comp: &Element) -> Result<Selection, BadData> {
        let selection = Selection::read(comp)?;
        match selection.name.as_str() {
            "VCALENDAR" => Ok(selection),
            _ => Err(BadData::Malformed("the outermost comp is VCALENDAR")),
        }
    }

    fn read(comp: &Element) -> Result<Selection, BadData> {
        let name = name_of(comp)?;
        let (mut props, mut comps) = (Vec::new(), Vec::new());
        let (mut all_props, mut all_comps) = (false, false);
        let mut empty = true;
        for child in comp.elements().filter(|c| c.name().ns == CALDAV) {
            empty = false;
            match child.name().local {
                "allprop" => all_props = true,
                "allcomp" => all_comps = true,
                "comp" => comps.push(Selection::read(child)?),
                "prop" => props.push((name_of(child)?, value(child)?)),
                _ => return Err(BadData::Malformed("comp holds an unknown element")),
            }
        }
        // An empty comp asks for everything in it, as the VTIMEZONE in RFC 4791 §7.8.1.
        Ok(Selection {
            name,
            props: (!all_props && !empty).then_some(props),
            comps: (!all_comps && !empty).then_some(comps),
        })
    }

    /// Leaves in the component what is selected. RFC 4791 §9.6.1
    pub fn cut(&self, component: &mut Component) {
        if let Some(props) = &self.props {
            let asked = |property: &Property| props.iter().find(|(name, _)| property.is(name));
            component.retain_properties(|property| asked(property).is_some());
            for property in component.all_properties_mut() {
                let omitted = props
                    .iter()
                    .any(|(name, value)| property.is(name) && *value == Value::Omitted);
                if omitted {
                    property.set_value("");
                }
            }
        }
        if let Some(comps) = &self.comps {
            component.retain_components(|inner| comps.iter().any(|s| inner.is(&s.name)));
            for inner in component.all_components_mut() {
                if let Some(selection) = comps.iter().find(|s| inner.is(&s.name)) {
                    selection.cut(inner);
                }
            }
        }
    }
}

fn name_of(element: &Element) -> Result<String, BadData> {
    match element.attribute("name") {
        Some(name) if !name.is_empty() => Ok(name.to_ascii_uppercase()),
        _ => Err(BadData::Malformed("comp and prop need a name")),
    }
}

fn value(prop: &Element) -> Result<Value, BadData> {
    match prop.attribute("novalue") {
        None | Some("no") => Ok(Value::Given),
        Some("yes") => Ok(Value::Omitted),
        Some(_) => Err(BadData::Malformed("novalue is yes or no")),
    }
}

/// The calendar-data element of a request's DAV:prop, if it asks for one. RFC 4791 §9.6
pub fn asked(prop: &Element) -> Option<&Element> {
    prop.child(Name::caldav("calendar-data"))
}
