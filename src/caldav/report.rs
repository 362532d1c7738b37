//! What the calendaring reports have in common: the properties asked for, checked before anything is
//! searched. RFC 4791 §7

use super::data::{self, BadData, DataRequest};
use super::filter::BadFilter;
use super::limits::Limits;
use crate::dav::multistatus::Plan;
use crate::dav::{Condition, Detail, Error, Return};
use crate::recur::{Range, TooMuch};
use crate::xml::{Element, Name, Writer};

/// What a report returns of each resource: DAV:prop, DAV:allprop, DAV:propname or nothing.
/// RFC 4791 §9.5
pub(super) fn plan<'a>(
    report: &'a Element,
    preference: Return,
    limits: &Limits,
) -> Result<Plan<'a>, Error> {
    if report.child(Name::dav("allprop")).is_some() {
        return Ok(Plan::all(report.child(Name::dav("include")), preference));
    }
    if report.child(Name::dav("propname")).is_some() {
        return Ok(Plan::names(preference));
    }
    let Some(prop) = report.child(Name::dav("prop")) else {
        return Ok(Plan::of(&[], preference));
    };
    if let Some(element) = data::asked(prop) {
        let request = DataRequest::read(element).map_err(bad_data)?;
        for range in request.ranges() {
            within(&range, limits)?;
        }
    }
    Ok(Plan::prop(prop, preference))
}

fn bad_data(bad: BadData) -> Error {
    match bad {
        BadData::Type => Condition::SupportedCalendarData
            .because("text/calendar and application/calendar+json are given, version 2.0."),
        BadData::Malformed(sentence) => Error::Status(400, sentence),
    }
}

/// Whether a range reaches into the time that objects can be in. RFC 4791 §7.8: its start or its end
/// has to lie there.
pub(super) fn within(range: &Range, limits: &Limits) -> Result<(), Error> {
    if range.end <= limits.earliest() {
        return Err(Condition::MinDateTime.into());
    }
    if range.start > limits.latest() {
        return Err(Condition::MaxDateTime.into());
    }
    Ok(())
}

/// The condition that a filter violates. RFC 4791 §7.8
pub(super) fn bad_filter(bad: BadFilter) -> Error {
    match bad {
        BadFilter::Invalid(sentence) => Condition::ValidFilter.because(sentence),
        BadFilter::Collation(_) => Condition::SupportedCollation.into(),
        BadFilter::Unsupported { element, name } => {
            let mut out = Writer::document(Name::dav("error"));
            let mark = out.len();
            out.open_with(Name::caldav(element), &[("name", &name)]);
            out.close(Name::caldav(element));
            Condition::SupportedFilter.with(Detail::Xml(out.since(mark).to_owned()))
        }
    }
}

/// An expansion met its limit: there is no partial answer. RFC 4791 §7.8
pub(super) fn too_much(_: TooMuch) -> Error {
    Condition::NumberOfMatchesWithinLimits.into()
}
